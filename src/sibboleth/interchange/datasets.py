"""Hugging Face datasets: saved by `save_to_disk`, folders of Parquet files or of recordings, or of the hub by name.

Sound is never decoded: what a dataset embeds is written to files that are called by their content, what lies in files
stays XLayout: https://huggingface.co/docs/datasets/audio_dataset
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import storage
from sibboleth.corpora import layouts
from sibboleth.corpus import OTHER_NAMES, Corpus
from sibboleth.errors import InvalidInput, MissingExtra
from sibboleth.interchange import recordings
from sibboleth.interchange.gathering import Asked, Gathered, no_speakers, tabulated
from sibboleth.interchange.placing import placed
from sibboleth.interchange.writing import whole_folder

SAVED = (("dataset_dict.json",), ("state.json", "dataset_info.json"))
"""Files that `save_to_disk` writes, of several splits and of one."""
STARTS = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"FORM": ".aiff"}
DOWNLOAD = (
    "Download it where that works (hf download OWNER/NAME --repo-type dataset --local-dir FOLDER), and give the folder"
)
GROUP = 64
"""Utterances whose sound is held at a time."""


@dataclass
class _Rows:
    """Rows as they come, with what was left out of them."""

    embedded: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[str | None] = field(default_factory=list)
    """Names of the recordings at the source."""
    lost: set[str] = field(default_factory=set)
    written: bool = False
    """Whether any sound was embedded."""
    silent: int = 0
    """Rows without a recording, which are left out."""

    def sound(self, value: Any) -> str | None:
        """Return the path of a recording, of whose bytes a file is made if it has none."""
        if isinstance(value, str):
            return value
        if not isinstance(value, dict):
            return None
        if value.get("bytes") is None:
            return value.get("path")
        self.written = True
        return _saved(value["bytes"], value.get("path"), self.embedded)


def recognises(place: Path) -> bool:
    """Tell a folder by what `save_to_disk` writes, by what describes recordings, or by Parquet files with sound."""
    if not place.is_dir() or (place / "db.yaml").is_file():
        return False
    return _is_saved(place) or recordings.recognises(place) or any(_has_sound(file) for file in _parquet(place)[:1])


def read(place: str, asked: Asked) -> Gathered:
    """Read a dataset; raises `InvalidInput` where it has no sound, and `MissingExtra` without the library."""
    path = Path(place)
    if path.is_dir() and not _is_saved(path) and not _parquet(path):
        return recordings.read(path, asked)
    found = _Rows(asked.embedded)
    parts = _parts(place, asked)
    for name, dataset in parts.items():
        part = name if len(parts) > 1 else None  # one split is no division
        features = dict(dataset.features or {})
        sound = _sound_column(place, features, asked)
        if asked.speaker is None and "speaker" not in {*features, *asked.columns}:
            raise no_speakers(place, list(features), "its file")  # before anything is fetched and written
        for row in islice(_undecoded(dataset, features), asked.rows):
            _take(row, part, sound, features, found)
    if not found.rows:
        raise InvalidInput(f"{place}: has no rows" + (" with sound" if found.silent else ""))
    table = tabulated(found.rows)
    if not found.written:
        table = table.with_columns(placed(path, table[sound], range(1, len(table) + 1), asked.audio).alias(sound))
    if "utterance" not in table.columns and found.written:
        table = table.with_columns(_ids(found))
    table = table.rename({} if sound in ("audio", *asked.columns.values()) else {sound: "audio"})
    notes = [f"columns of images, bytes and the like left out: {', '.join(sorted(found.lost))}"] if found.lost else []
    notes += [f"{found.silent:,} rows without sound left out"] if found.silent else []
    called = path.absolute().name if path.exists() else place.partition("@")[0].rpartition("/")[2]
    return Gathered(called, table, tuple(notes), pl.Series(found.files, dtype=pl.String) if found.written else None)


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write Parquet files, one for each part, that embed the recordings; says what it does not hold.

    Where utterances are parts of recordings the recordings stay where they are, and the dataset has their paths.
    """
    datasets = _library()
    import pyarrow
    from pyarrow import parquet

    table = corpus.table
    kept = table.select(name for name in table.columns if name == "audio" or table[name].null_count() < len(table))
    embed = kept["start"].null_count() == len(kept) if "start" in kept.columns else True
    plain = kept.drop("audio").to_arrow()
    features = datasets.Features({"audio": datasets.Audio(), **datasets.Features.from_arrow_schema(plain.schema)})
    parts = kept["part"].fill_null("unknown") if "part" in kept.columns else pl.Series(["train"] * len(kept))
    with whole_folder(place) as folder:
        (folder / "data").mkdir()
        for part in parts.unique(maintain_order=True):
            file = folder / "data" / f"{_split(place, part)}-00000-of-00001.parquet"
            rows = kept.filter(parts == part)
            with parquet.ParquetWriter(file, features.arrow_schema) as writer:
                for some in rows.iter_slices(GROUP):
                    sound = [_embedded(audio) if embed else {"bytes": None, "path": audio} for audio in some["audio"]]
                    columns = some.drop("audio").to_arrow()
                    audio = pyarrow.array(sound, features.arrow_schema.field("audio").type)
                    whole = columns.add_column(0, "audio", audio).cast(features.arrow_schema)
                    writer.write_table(whole)
    return [] if embed else ["recordings stay where they are, since utterances are parts of them"]


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtra("Hugging Face datasets", "formats") from None
    return datasets


def _is_saved(place: Path) -> bool:
    return any(all((place / name).is_file() for name in names) for names in SAVED)


def _parquet(place: Path) -> list[Path]:
    return [file for folder in (place, place / "data") for file in sorted(folder.glob("*.parquet")) if file.is_file()]


def _has_sound(file: Path) -> bool:
    try:
        schema = pl.read_parquet_schema(file)
    except (OSError, pl.exceptions.PolarsError):
        return False
    return any(isinstance(kind, pl.Struct) and "bytes" in {one.name for one in kind.fields} for kind in schema.values())


def _parts(place: str, asked: Asked) -> Mapping[str | None, Any]:
    """Open a dataset's splits, by their names; a saved dataset of one split has none."""
    datasets = _library()
    local = Path(place).exists()
    if not local and not _on_hub(place):
        raise InvalidInput(f"{place}: no such folder, and no name of a dataset of the hub, OWNER/NAME")
    name, _, revision = place.partition("@") if not local else (place, "", "")
    if len(asked.subset) > 1:
        raise InvalidInput(f"{place}: a dataset is read in one configuration; give one --subset")
    try:
        if local and _is_saved(Path(place)):
            opened = datasets.load_from_disk(place)
        else:
            subset = asked.subset[0] if asked.subset else None
            opened = datasets.load_dataset(name, subset, revision=revision or None, streaming=local or asked.streaming)
    except Exception as error:  # the library lets its parsers' and its network client's own errors through
        raise InvalidInput(f"{place}: {_told(error)}") from None
    return dict(opened) if isinstance(opened, dict) else {None: opened}


def _on_hub(place: str) -> bool:
    """Tell a dataset's name on the hub: OWNER/NAME, with @REVISION if need be."""
    owner, _, name = place.partition("/")
    return bool(owner) and bool(name) and "/" not in name and not place.startswith((".", "~"))


def _told(error: Exception) -> str:
    """Say what to do about what the library raises."""
    told = " ".join(str(error).split())[:400] or type(error).__name__
    if "torchcodec" in told:
        return f"its recordings are single files, which the library would decode with torchcodec. {DOWNLOAD}"
    if "onfig name" in told or "BuilderConfig" in told:
        return f"is there in several configurations; choose one: --subset NAME ({told})"
    if isinstance(error, ConnectionError):
        return f"the hub cannot be reached, or has it for you alone after `hf auth login` ({told}). {DOWNLOAD}"
    return f"cannot be read as a dataset ({told})"


def _undecoded(dataset: Any, features: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield rows with sound, images and the like as bytes or a path."""
    for name, feature in features.items():
        if _decodes(feature):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    try:
        yield from dataset
    except ImportError as error:
        raise InvalidInput(_told(error)) from None


def _decodes(feature: Any) -> bool:
    """Tell sound, images, videos and the like, which the library would decode."""
    return hasattr(feature, "decode")


def _sound_column(place: str, features: Mapping[str, Any], asked: Asked) -> str:
    """Choose the column of the recordings: the one that is asked for, `audio`, or the first that holds sound."""
    datasets = _library()
    sounds = [name for name, feature in features.items() if isinstance(feature, datasets.Audio)]
    wanted = asked.columns.get("audio")
    usual = [name for name in features if name.lower() in {"audio", *OTHER_NAMES["audio"]}]
    chosen = wanted or next((name for name in ("audio", *sounds, *usual) if name in features), None)
    if chosen is None or chosen not in features:
        there = ", ".join(features)
        missing = "no column of recordings" if chosen is None else f"no column {chosen!r}"
        raise InvalidInput(f"{place}: {missing}; there are: {there}. Say which has them: --columns.audio NAME")
    return chosen


def _take(row: dict[str, Any], part: str | None, sound: str, features: Mapping[str, Any], found: _Rows) -> None:
    """Keep a row: the path of its recording, names of labels, plain values."""
    value = row.get(sound)
    path = found.sound(value)
    if path is None:
        found.silent += 1
        return
    found.files.append(value.get("path") if isinstance(value, dict) else value)
    kept: dict[str, Any] = {sound: path}
    for name, one in row.items():
        if name == sound:
            continue
        feature: Any = features.get(name)
        if isinstance(one, bytes) or _decodes(feature):
            found.lost.add(name)
        elif one is not None and hasattr(feature, "int2str"):
            kept[name] = feature.int2str(one) if one >= 0 else None
        else:
            kept[name] = one if isinstance(one, (str, int, float, bool, list, dict, type(None))) else str(one)
    found.rows.append(kept if part is None else {**kept, "part": part})


def _saved(data: bytes, named: str | None, folder: Path) -> str:
    """Write sound to a file called by its content, and return its absolute path."""
    suffix = next((suffix for start, suffix in STARTS.items() if data.startswith(start)), None)
    ending = Path(named or "").suffix.lower()
    suffix = suffix or (ending if ending in layouts.SUFFIXES else ".sound")
    path = folder.absolute() / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
    if not path.is_file() or path.stat().st_size != len(data):
        with storage.atomic(path) as temporary:
            temporary.write_bytes(data)
    return str(path)


def _ids(found: _Rows) -> pl.Series:
    """Name utterances by the files they come from, or, where these are not all different, by part and number."""
    stems = [Path(name).stem if name else None for name in found.files]
    if None not in stems and len(set(stems)) == len(stems):
        return pl.Series("utterance", stems)
    numbers: dict[str, int] = {}
    ids = []
    for row in found.rows:
        part = str(row.get("part") or "row")
        numbers[part] = numbers.get(part, 0) + 1
        ids.append(f"{part}-{numbers[part]:06d}")
    return pl.Series("utterance", ids)


def _embedded(audio: str) -> dict[str, Any]:
    try:
        return {"bytes": Path(audio).read_bytes(), "path": Path(audio).name}
    except OSError as error:
        raise InvalidInput(f"{audio}: cannot be read ({error.strerror}), so it cannot be embedded") from None


def _split(place: Path, part: object) -> str:
    """Return a part as the name of a split; raises `InvalidInput` where it can be none."""
    name = str(part)
    if not name.replace(".", "").replace("_", "").isalnum():
        raise InvalidInput(f"{place}: {name!r} cannot be the name of a split; letters, digits, dots and _ can")
    return name
