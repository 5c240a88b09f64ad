"""Split lists as people publish them: which utterance is in train, dev or test of which fold."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from sibboleth import storage
from sibboleth.corpus import sheets
from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput, Problem

PARTS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("dev", "development", "eval", "valid", "validation", "val"), "dev"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
"""What a part may be called, in a column or in a file or folder name."""

NAMES = {
    "utterance": ("utterance", "utterance_id", "utt_id", "utt", "key", "id", "file", "file_name", "filename", "path")
    + ("wav", "audio"),
    "audio": ("audio", "wav", "path", "file", "file_name", "filename"),
    "part": ("part", "split", "subset", "partition", "set"),
    "fold": ("fold",),
    "corpus": ("corpus", "dataset"),
    "speaker": ("speaker", "speaker_id", "spk_id", "spk", "client_id", "actor"),
    "session": ("session", "session_id"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "label": ("label", "emotion", "emo", "answer", "target", "class"),
}
"""What a column may be called, the first that is there counting."""

ORDER = ("train", "dev", "test")
COLUMNS = (*NAMES, "source", "row")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_FOLD = re.compile(r"fold[ _-]?([0-9]+|[A-Za-z](?![A-Za-z]))", re.IGNORECASE)


def read(path: Path, speaker: str | None = None) -> pl.DataFrame:
    """Read split lists from one file or from a folder of files.

    A file (CSV, TSV, JSONL, Parquet) has a column for the utterance or its audio file and one for the part, and
    may have `fold`, `speaker`, `session`, `text` and a label; common other names are known (`NAMES`). In a folder,
    part and fold may instead be in the names of files and folders: `train.csv`, `test/metadata_fold0.csv`,
    `fold_1/emodb_train_fold_1.jsonl`; folders above those name the corpus.

    Args:
        path: File or folder.
        speaker: Regular expression that finds the speaker in the name of an utterance's file; several groups are
            joined by `-`.

    Returns:
        The columns of `COLUMNS` as text, null where unknown, one row per utterance and fold; `source` and `row`
        are the file and line it came from.

    Raises:
        InvalidInput: Nothing that can be read as lists; an unknown part; an empty utterance; one utterance twice in
            one fold.
    """
    files = _files(path)
    table = pl.concat([_one(file, path) for file in files])
    if speaker is not None:
        named = table.select(pl.coalesce("audio", "utterance")).to_series().to_list()
        table = table.with_columns(speakers(named, speaker))
    table = table.with_columns(pl.col("part").str.strip_chars().str.to_lowercase().replace_strict(PARTS, default=None))
    table = _spread(table).unique([c for c in COLUMNS if c not in ("source", "row")], keep="first", maintain_order=True)
    return _checked(table, path)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidInput(f"{path}: no such file or folder")
    there = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    named = [file for file in there if _named_part(file.relative_to(path)) is not None]
    if not named:
        raise InvalidInput(
            f"{path}: no split lists in it. A list is a {', '.join(SUFFIXES)} file whose name, or whose folder's name, "
            "says train, dev (eval, valid) or test; or give one file with a column 'part'"
        )
    return named


def _named_part(path: Path) -> str | None:
    """Find the part in the file's name, else in the nearest folder's."""
    for name in (path.stem, *reversed(path.parent.parts)):
        words: list[str] = re.findall(r"[a-z]+", name.lower())
        if part := next((word for word in words if word in PARTS), None):
            return part
    return None


def _named_fold(path: Path) -> str | None:
    found = _FOLD.findall(str(path.with_suffix("")))
    return f"fold-{found[-1]}" if found else None


def _named_corpus(path: Path) -> str | None:
    """Join the folders above the first that names a part or a fold."""
    above = []
    for name in path.parent.parts:
        if _named_part(Path(name)) is not None or _FOLD.search(name):
            break
        above.append(name)
    return "/".join(above) or None


def _one(file: Path, root: Path) -> pl.DataFrame:
    table, first = _parsed(file)
    lower = {name.strip().lower(): name for name in reversed(table.columns)}
    found = {role: next((lower[name] for name in names if name in lower), None) for role, names in NAMES.items()}
    inside = file.relative_to(root) if root.is_dir() else Path(file.name)
    part = _named_part(inside) if root.is_dir() else None
    if found["utterance"] is None:
        raise InvalidInput(
            f"{file}: no column names the utterance; there are {', '.join(table.columns) or 'none'}. "
            f"One of these is needed: {', '.join(NAMES['utterance'])}"
        )
    if found["part"] is None and part is None:
        raise InvalidInput(
            f"{file}: no column says train, dev or test; there are {', '.join(table.columns)}. "
            f"One of these is needed: {', '.join(NAMES['part'])}. (A manifest is audited as a part of a study, a .toml)"
        )
    named = {"part": part, "fold": _named_fold(inside), "corpus": _named_corpus(inside)}
    columns = [
        pl.lit(named.get(role), pl.String).alias(role)
        if column is None
        else pl.lit(sheets.text(table[column])).alias(role)
        for role, column in found.items()
    ]
    if found["part"] is not None and part is not None:
        columns = [c for c in columns if c.meta.output_name() != "part"] + [pl.lit(part).alias("part")]
    return table.select(*columns, pl.lit(str(file)).alias("source"), pl.int_range(pl.len()).alias("row") + first)[
        list(COLUMNS)
    ]


def _parsed(file: Path) -> tuple[pl.DataFrame, int]:
    """Return the file's table as it is and the line of its first row."""
    try:
        if file.suffix.lower() == ".jsonl":
            return pl.DataFrame(list(_objects(file)), infer_schema_length=None, strict=False), 1
        if file.suffix.lower() == ".parquet":
            return storage.parquet(file), 1
        with file.open(encoding="utf-8-sig") as lines:
            header = lines.readline()
        separator = max("\t,;|", key=header.count)
        return pl.read_csv(file, separator=separator, infer_schema=False), 2
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"{file}: cannot be read as a table ({error})") from None


def _objects(file: Path) -> Iterator[dict[str, str | None]]:
    problems = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = parsed(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            problems.append(Problem(str(file), "is not a JSON object", number))
        elif not problems:
            yield {name: value if value is None else str(value) for name, value in row.items()}
    if problems:
        raise InvalidInput(f"{file}: not JSONL", problems)


def speakers(files: Sequence[str | None], pattern: str) -> pl.Series:
    """Find the speaker in the name of each file by a regular expression, several groups joined by `-`; else null.

    A pattern with a `/` in it is looked for in the whole path, as where each speaker has a folder.
    Raises `InvalidInput` where it is no regular expression, or matches no name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f"the pattern of the speaker {pattern!r} is not a regular expression: {error}") from None
    found = []
    for name in files:
        path = (name or "").replace("\\", "/")
        match = compiled.search(path if "/" in pattern else path.rpartition("/")[2])
        groups = () if match is None else match.groups() or (match[0],)
        found.append("-".join(group or "" for group in groups) or None)
    if not any(found):
        raise InvalidInput(f"the pattern of the speaker {pattern!r} matches no file name, e.g. {files[0]}")
    return pl.Series("speaker", found, pl.String)


def _spread(table: pl.DataFrame) -> pl.DataFrame:
    """Put rows without a fold into every fold of their corpus."""
    known = table.filter(pl.col("fold").is_not_null())
    loose = table.filter(pl.col("fold").is_null()).drop("fold")
    numbers = known.select("corpus", "fold").unique(maintain_order=True)
    spread = loose.join(numbers, on="corpus", how="left", nulls_equal=True)
    return pl.concat([known, spread.select(COLUMNS)]).with_columns(pl.col("fold").fill_null("fold-1"))


def _checked(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    problems = []
    key = ["corpus", "fold", "utterance"]
    twice = table.select(key).is_duplicated() & table["utterance"].is_not_null()
    parts = table.group_by(key, maintain_order=True).agg(pl.col("part").unique().sort().str.join(" and "))
    told = table.join(parts.rename({"part": "parts"}), on=key, how="left", nulls_equal=True, maintain_order="left")
    for row, again in zip(told.iter_rows(named=True), twice, strict=True):
        place = (row["source"], row["row"])
        if not row["utterance"]:
            problems.append(Problem(place[0], "is empty", place[1], "utterance"))
        elif row["part"] is None:
            problems.append(Problem(place[0], f"must be one of {', '.join(PARTS)}", place[1], "part"))
        elif again and row["parts"] in PARTS:
            message = f"{row['utterance']} stands twice in {row['parts']} of {row['fold']}"
            problems.append(Problem(place[0], message, place[1], "utterance"))
    if problems:
        raise InvalidInput(f"{path}: {len(problems)} bad rows in the split lists", problems)
    if table.is_empty():
        raise InvalidInput(f"{path}: the split lists are empty")
    return table
