"""Kaldi data folders: `wav.scp` and `utt2spk`, with `segments`, `text`, `utt2lang`, `utt2dur`, `spk2gender`.

Every line is a key, a blank, and a value. `wav.scp` names a recording's file; a command that ends in `|` is refused and
never run. Any other `utt2NAME` or `spk2NAME` is a column, by which columns that Kaldi does not know are written, too.
Layout: https://kaldi-asr.org/doc/data_prep.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.interchange.gathering import Asked, Gathered, finite, stems, tabulated
from sibboleth.interchange.placing import placed
from sibboleth.interchange.writing import others, simple, whole_folder
from sibboleth.segments.gathering import decoded, plain

NAMES = {"utt2spk": "speaker", "utt2lang": "language", "utt2dur": "duration", "spk2gender": "sex"}
"""Our column by the name of a file; others are called by what follows `utt2` or `spk2`."""
SEXES = {"m": "male", "f": "female"}
PASSED_OVER = ("spk2utt", "utt2uniq", "utt2num_frames", "utt2max_frames", "reco2dur", "reco2num_frames")
"""Files that say again what others say, or speak of features."""
ARCHIVED = re.compile(r"\.ark:\d+")
FILE = re.compile(r"[\w./~+@%=-]+\.\w{2,4}\b")
WRITTEN = ("utterance", "audio", "start", "end", "speaker", "language", "text", "duration", "sex")


@dataclass
class _Mapping:
    """The lines of a file: key to value, and to the line's number."""

    path: Path
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, key: str, message: str) -> None:
        self.problems.append(Problem(str(self.path), message, self.lines[key]))


def recognises(place: Path) -> bool:
    """Tell a Kaldi data folder, or its `wav.scp`."""
    return _folder(place).joinpath("wav.scp").is_file() and (place.is_dir() or place.name == "wav.scp")


def read(place: str, asked: Asked) -> Gathered:
    """Read a data folder; raises `InvalidInput` with every line that cannot be used."""
    folder = _folder(Path(place))
    scp = _read(folder / "wav.scp")
    _refuse_commands(scp)
    paths = pl.Series("audio", list(scp.values.values()), pl.String)
    found = placed(scp.path, paths, list(scp.lines.values()), asked.audio)
    recordings = dict(zip(scp.values, found, strict=True))
    rows = _segments(folder / "segments", recordings)
    notes: list[str] = []
    for name, mapping in _columns(folder):
        _join(rows, name, mapping, notes)
    table = tabulated(list(rows.values()))
    return Gathered(folder.absolute().name, table, tuple(notes))


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write a data folder, and say what it does not hold.

    Where ids do not sort by speaker, as Kaldi wants them to, the speaker is put before them, and `utt2utterance` has
    the ids. Raises `InvalidInput` for ids with blanks, which Kaldi cannot hold.
    """
    table = corpus.table
    _refuse_blanks(place, table)
    notes = []
    ids, changed = _sorted_ids(table)
    if changed:
        notes.append("ids begin with the speaker, by which Kaldi sorts; utt2utterance has them as they were")
    keyed = table.with_columns(pl.Series("id", ids), recording=_recordings(table))
    cut = keyed.filter(pl.col("start").is_not_null())
    whole = keyed.filter(pl.col("start").is_null())
    files: dict[str, dict[str, Any]] = {
        "wav.scp": dict(keyed.select("recording", "audio").iter_rows()) if len(cut) else _by_id(whole, "audio"),
        "utt2spk": _by_id(keyed, "speaker"),
        "text": _texts(keyed, notes),
        "utt2lang": _by_id(keyed, "language"),
    }
    if len(cut):
        files["segments"] = {
            one: f"{recording} {plain(start or 0.0)} {'-1' if end is None else plain(end)}"
            for one, recording, start, end in keyed.select("id", "recording", "start", "end").iter_rows()
        }
    files["spk2utt"] = {
        speaker: " ".join(sorted(utterances, key=str.encode))
        for speaker, utterances in keyed.group_by("speaker").agg("id").iter_rows()
    }
    files |= _others(keyed, corpus, changed, notes)
    if blank := int(table["text"].str.contains(r"\s{2}|[^\S ]").fill_null(False).sum()):
        notes.append(f"{blank:,} texts have line breaks or several blanks in a row, which Kaldi reads as one blank")
    if any(not str(one).lower().endswith(".wav") for one in files["wav.scp"].values()):
        notes.append(
            "Kaldi itself reads WAV alone; these recordings are of other formats too, which lhotse and ESPnet read"
        )
    with whole_folder(place) as folder:
        for name, values in files.items():
            if values:
                folder.joinpath(name).write_text(_lines(values), encoding="utf-8")
    return notes


def _folder(place: Path) -> Path:
    return place if place.is_dir() else place.parent


def _read(path: Path, *, bare: bool = False) -> _Mapping:
    """Take a file apart; `bare` keys may stand without a value, as those of empty transcripts."""
    mapping = _Mapping(path)
    for number, line in enumerate(decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        key, *value = line.split(maxsplit=1)
        if key in mapping.values:
            mapping.problems.append(Problem(str(path), f"{key!r} stands in line {mapping.lines[key]} too", number))
        elif not value and not bare:
            mapping.problems.append(Problem(str(path), f"{key!r} has no value", number))
        mapping.values[key], mapping.lines[key] = "".join(value).strip(), number
    if mapping.problems:
        raise InvalidInput(f"{path}: {len(mapping.problems):,} lines cannot be used", mapping.problems)
    return mapping


def _refuse_commands(scp: _Mapping) -> None:
    """Raise `InvalidInput` for commands and pieces of archives, naming the file that a command seems to decode."""
    for key, value in scp.values.items():
        if value.endswith("|") or value.startswith("|"):
            inside = FILE.findall(value)
            advice = f"if it only decodes {inside[-1]}, write that path in its place" if inside else ""
            hint = advice or "write the recordings to files (Kaldi's wav-copy does), and their paths in its place"
            scp.wrong(key, f"is a command, which is not run ({value}); {hint}")
        elif ARCHIVED.search(value):
            scp.wrong(key, f"is a piece of an archive ({value}); write recordings to files with Kaldi's wav-copy")
        elif value == "-":
            scp.wrong(key, "is the standard input; write the recording to a file")
    if scp.problems:
        raise InvalidInput(f"{scp.path}: {len(scp.problems):,} recordings are not files", scp.problems)
    if not scp.values:
        raise InvalidInput(f"{scp.path}: is empty; it needs a line of each recording: ID PATH")


def _segments(path: Path, recordings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Begin the row of each utterance: of each segment, or of each recording where there are no segments."""
    if not path.is_file():
        return {key: {"utterance": key, "audio": audio} for key, audio in recordings.items()}
    segments = _read(path)
    rows = {}
    for key, value in segments.values.items():
        fields = value.split()
        start, end = (finite(one) for one in fields[1:3]) if len(fields) == 3 else (None, None)
        open_end = len(fields) == 3 and fields[2].startswith("-")
        if len(fields) != 3 or start is None or (end is None and not open_end):
            segments.wrong(key, "must be: UTTERANCE RECORDING START END, in seconds")
        elif fields[0] not in recordings:
            segments.wrong(key, f"wav.scp has no recording {fields[0]!r}")
        elif end is not None and end <= start:
            segments.wrong(key, f"ends before it starts ({end:g} <= {start:g})")
        else:
            rows[key] = {"utterance": key, "audio": recordings[fields[0]], "start": start, "end": end}
    if segments.problems:
        raise InvalidInput(f"{path}: {len(segments.problems):,} segments cannot be used", segments.problems)
    return rows


def _columns(folder: Path) -> Iterator[tuple[str, _Mapping]]:
    """Yield each file of values, by utterance or speaker, with the name that its column has here."""
    if not (folder / "utt2spk").is_file():
        raise InvalidInput(f"{folder}: has no utt2spk, which says who speaks; without speakers no split is safe")
    first = ("utt2spk", "text")
    there = (path.name for path in folder.iterdir() if path.name.startswith(("utt2", "spk2")) and path.is_file())
    for name in (*first, *sorted(set(there) - {*first, *PASSED_OVER})):
        if (folder / name).is_file():
            yield NAMES.get(name, name.partition("2")[2] or name), _read(folder / name, bare=True)


def _join(rows: dict[str, dict[str, Any]], name: str, mapping: _Mapping, notes: list[str]) -> None:
    by = "speaker" if mapping.path.name.startswith("spk") else "utterance"
    met = set()
    for key, row in rows.items():
        of = row.get("speaker") if by == "speaker" else key
        value = None if of is None else mapping.values.get(of)
        met.add(of)
        if value is not None or name not in row:
            row[name] = _typed(name, value)
    if extra := [key for key in mapping.values if key not in met]:
        notes.append(f"{len(extra):,} lines of {mapping.path.name} are of no {by} here, such as {extra[0]}: left out")


def _typed(name: str, value: str | None) -> str | float | None:
    if name == "duration":
        return finite(value)
    return SEXES.get(value, value) if name == "sex" and value is not None else value or None


def _sorted_ids(table: pl.DataFrame) -> tuple[list[str], bool]:
    """Return ids that sort as their speakers do, and whether they are others than before."""
    pairs = list(table.select("utterance", "speaker").iter_rows())
    ordered = [speaker.encode() for _, speaker in sorted(pairs, key=lambda pair: pair[0].encode())]
    if ordered == sorted(ordered):
        return [utterance for utterance, _ in pairs], False
    return [f"{speaker}-{utterance}" for utterance, speaker in pairs], True


def _recordings(table: pl.DataFrame) -> pl.Series:
    named = {path: name.replace(" ", "_") for path, name in stems(table["audio"]).items()}
    return table["audio"].replace_strict(named, return_dtype=pl.String)


def _refuse_blanks(place: Path, table: pl.DataFrame) -> None:
    for column in ("utterance", "speaker"):
        blank = table[column].filter(table[column].str.contains(r"\s"))
        if len(blank):
            raise InvalidInput(f"{place}: Kaldi cannot hold the blanks in the {column} {blank[0]!r}; rename it")


def _by_id(keyed: pl.DataFrame, column: str) -> dict[str, Any]:
    return dict(keyed.select("id", column).filter(pl.col(column).is_not_null()).iter_rows())


def _texts(keyed: pl.DataFrame, notes: list[str]) -> dict[str, str]:
    """Return the text of each utterance, empty where others have one, since Kaldi wants all utterances in each file."""
    empty = keyed["text"].null_count()
    if empty == len(keyed):
        return {}
    if empty:
        notes.append(f"{empty:,} utterances have no text, and stand in the file text without any")
    return dict(keyed.select("id", pl.col("text").fill_null("")).iter_rows())


def _others(keyed: pl.DataFrame, corpus: Corpus, changed: bool, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Write columns that Kaldi does not know as `utt2NAME`, and sexes by speaker where each has one."""
    files = {"utt2utterance": _by_id(keyed, "utterance")} if changed else {}
    letters = {full: letter for letter, full in SEXES.items()}
    for name in (*others(corpus, WRITTEN), *(one for one in ("duration", "sex") if one in keyed.columns)):
        if name == "sex" and (sexes := _sexes(keyed)) is not None:
            files["spk2gender"] = {speaker: letters.get(sex, sex) for speaker, sex in sexes.items()}
        elif "/" in name or f"utt2{name}" in (*NAMES, *PASSED_OVER):
            notes.append(f"a file cannot be called utt2{name}: the column is left out")
        else:
            files[f"utt2{'dur' if name == 'duration' else name}"] = _by_id(keyed, name)
    return files


def _sexes(keyed: pl.DataFrame) -> dict[str, str] | None:
    """Return the sex of each speaker; None where a speaker has several, or one that Kaldi has no letter for."""
    known = keyed.select("speaker", "sex").drop_nulls().unique()
    each = known["speaker"].n_unique() == len(known)
    return dict(known.iter_rows()) if each and set(known["sex"]) <= {*SEXES, *SEXES.values()} else None


def _lines(values: Mapping[str, Any]) -> str:
    """Write a file in the order of the keys' bytes, as Kaldi's tools expect it."""
    return "".join(f"{f'{key} {simple(values[key]) or str()}'.rstrip()}\n" for key in sorted(values, key=str.encode))
