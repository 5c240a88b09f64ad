"""Corpus: the manifest, one row per utterance.

A manifest is a CSV (comma, semicolon or tab), TSV, JSONL or Parquet file in UTF-8. A TSV is read without quoting, as
Common Voice writes it, unless its header is quoted, as R writes it. It needs the columns `audio` (a path, absolute or
relative to the manifest) and `speaker`. Blanks around a value are dropped, an empty value is unknown, a column without
a name is passed over, a decimal comma is read where commas do not separate. `start` without `end` lasts to the end of
the file. Without a column `utterance` ids are made of the paths.
"""

import hashlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sibboleth.corpus import places, sheets
from sibboleth.corpus.sheets import Sheet
from sibboleth.errors import InvalidInput, Problem
from sibboleth.storage import atomic

COLUMNS: dict[str, type[pl.DataType]] = {
    "utterance": pl.String,
    "audio": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "speaker": pl.String,
    "language": pl.String,
    "dialect": pl.String,
    "accent": pl.String,
    "session": pl.String,
    "text": pl.String,
}
"""Columns that every corpus table has, null where unknown; `start` and `end` in seconds."""

REQUIRED = ("audio", "speaker")
OTHER_NAMES = {
    "audio": {"path", "file", "filename", "file_name", "filepath", "file_path", "audio_filepath", "audio_file", "wav"},
    "speaker": {"speaker_id", "client_id", "spk", "spk_id", "speakerid", "actor", "participant", "subject"},
}
"""What other tools call the required columns; used to suggest a mapping, never to guess one."""
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
"""Endings by which a row is told that stands where the header should."""
EMPTY = {"speaker": "is empty; without speakers no split is safe, so give whom you cannot name a name of your own"}
"""What an empty value means, beyond that it is one."""
SPAN = ("start", "end")
IDENTITIES = ("utterance", "speaker", "session")
"""Columns whose values mean something only inside one corpus."""


@dataclass(frozen=True)
class Corpus:
    """Utterances and what is known about them."""

    name: str
    table: pl.DataFrame
    """The columns of `COLUMNS` (audio as absolute paths) and every other column of the manifest."""
    source: Path | None = None
    """The manifest it was read from."""
    digest: str = ""
    """SHA-256 of the manifest's bytes."""


def read(
    path: Path,
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    language: str | None = None,
    without_audio: bool = False,
    required: Sequence[str] = REQUIRED,
) -> Corpus:
    """Read and validate a manifest.

    Args:
        path: a CSV, TSV, JSONL or Parquet file.
        name: name of the corpus; else the file's, or its folder's if the file is called `manifest`.
        columns: our column name to the manifest's, where they differ; it replaces a column that has our name already.
        language: language of every row, where the manifest has no such column.
        without_audio: take the paths of audio as they are written, and do not look whether the files are there.
        required: columns that it must have, `audio` among them.

    Raises `InvalidInput` with every bad row at once; of more than `sheets.KEPT`, with the first and their number.
    """
    if path.is_dir():
        told = "sibboleth corpus import makes one of recordings, corpus prepare of a corpus that is known"
        raise InvalidInput(f"{path}: a folder, and not a manifest; {told}")
    if path.suffix.lower() not in sheets.SUFFIXES:
        raise InvalidInput(f"{path}: not a manifest; save it as one of {', '.join(sheets.SUFFIXES)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    digest = hashlib.sha256(data).hexdigest()
    sheet = sheets.read(path, data)
    del data
    if not sheet.rows and not sheet.problems:
        raise InvalidInput(f"{path}: the manifest is empty; it needs column names and one row per utterance")
    _rename(path, sheet, columns or {}, required)
    table = _validated(path, sheet, without_audio, required)
    if language is not None and "language" not in sheet.columns:
        table = table.with_columns(pl.lit(language).alias("language"))
    default = path.absolute().parent.name if path.stem == "manifest" else path.stem
    return Corpus(name or default, table, path, digest)


def complete(table: pl.DataFrame) -> pl.DataFrame:
    """Put the columns of `COLUMNS` first, with their types, null where the table has none."""
    there = [pl.col(c).cast(t) if c in table.columns else pl.lit(None, t).alias(c) for c, t in COLUMNS.items()]
    return table.select(*there, *(c for c in table.columns if c not in COLUMNS))


def write(corpus: Corpus, path: Path) -> Path:
    """Write the corpus as a manifest, whole or not at all, and return its path.

    Audio below the manifest's folder is written relative to it; columns that are null throughout are left out.
    Raises `InvalidInput` for a suffix that is no manifest's and for values that the format cannot hold.
    """
    suffix = path.suffix.lower()
    if suffix not in _SAVE:
        raise InvalidInput(f"{path}: a manifest ends in one of {', '.join(_SAVE)}")
    folder = _folder(path)
    below = _prefix(folder)
    audio = corpus.table["audio"]
    posix = audio.str.strip_prefix(below).str.replace_all(os.sep, "/", literal=True)
    relative = audio.to_frame().select(pl.when(audio.str.starts_with(below)).then(posix).otherwise(audio)).to_series()
    known = [column for column in corpus.table if column.name in REQUIRED or column.null_count() < len(column)]
    table = pl.DataFrame(known).with_columns(relative.alias("audio"))
    _refuse_unwritable(path, table)
    try:
        with atomic(path) as temporary:
            _SAVE[suffix](table, temporary)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
    return path


def merge(corpora: Sequence[Corpus]) -> pl.DataFrame:
    """Put corpora under each other, with a first column `corpus`.

    Utterance, speaker and session become `NAME/id`, so that ids of two corpora never meet. A column whose types
    differ, and are not all numbers, becomes text; a column that a corpus lacks is null there.
    """
    twice = [name for name, count in Counter(corpus.name for corpus in corpora).items() if count > 1]
    if twice:
        raise InvalidInput(f"two corpora are called {', '.join(twice)}; give each a name of its own")
    tables = [
        corpus.table.select(
            pl.lit(corpus.name).alias("corpus"),
            *(
                (pl.lit(f"{corpus.name}/") + pl.col(c)).alias(c) if c in IDENTITIES else c
                for c in corpus.table.columns
                if c != "corpus"
            ),
        )
        for corpus in corpora
    ]
    clashing = _clashing(tables)
    return pl.concat(
        [table.with_columns(as_text(table[c]) for c in clashing if c in table.columns) for table in tables],
        how="diagonal_relaxed",
    )


def as_text(column: pl.Series) -> pl.Series:
    """Make text of any column: blanks around it stripped, empty and NaN null, 3.0 as `3`, a list as JSON."""
    if column.dtype.is_float():
        frame = column.fill_nan(None).to_frame("x")
        whole = (pl.col("x") == pl.col("x").round()) & (pl.col("x").abs() < 2**53)
        text = pl.when(whole).then(pl.col("x").cast(pl.Int64, strict=False).cast(pl.String))
        column = frame.select(text.otherwise(pl.col("x").cast(pl.String)).alias(column.name)).to_series()
    text_only = sheets.text(column).str.strip_chars()
    return text_only.set(text_only == "", None)


def _clashing(tables: Sequence[pl.DataFrame]) -> list[str]:
    types: dict[str, set[pl.DataType]] = {}
    for table in tables:
        for name, kind in table.schema.items():
            types.setdefault(name, set()).update(() if kind == pl.Null else (kind,))
    return [name for name, kinds in types.items() if len(kinds) > 1 and not all(kind.is_numeric() for kind in kinds)]


_SAVE: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": lambda table, path: table.write_csv(path),
    ".tsv": lambda table, path: table.write_csv(path, separator="\t", quote_style="never"),
    ".jsonl": lambda table, path: table.write_ndjson(path),
    ".parquet": lambda table, path: table.write_parquet(path),
}


def _refuse_unwritable(path: Path, table: pl.DataFrame) -> None:
    suffix = path.suffix.lower()
    nested = [name for name, kind in table.schema.items() if kind.is_nested()]
    if nested and suffix in (".csv", ".tsv"):
        raise InvalidInput(f"{path}: {suffix} cannot hold the lists in {', '.join(nested)}; write .jsonl or .parquet")
    broken = [c.name for c in table if c.dtype == pl.String and c.str.contains(r"[\t\r\n]").any()]
    if broken and suffix == ".tsv":
        raise InvalidInput(f"{path}: .tsv cannot hold the tabs or line breaks in {', '.join(broken)}; write .csv")


def _rename(path: Path, sheet: Sheet, columns: Mapping[str, str], required: Sequence[str]) -> None:
    """Give columns our names; raises `InvalidInput` naming each column that is not there, and those that are."""
    there = sheet.columns
    problems = [
        Problem(str(path), f"no column {c!r} to be read as {ours!r}", field=c)
        for ours, c in columns.items()
        if c not in there
    ]
    renamed = {name: column for name, column in there.items() if name not in columns.values()}
    renamed |= {ours: there[c].alias(ours) for ours, c in columns.items() if c in there}
    for ours in required:
        if ours not in renamed and ours not in columns:
            guess = next((name for name in there if name.lower() in {ours, *OTHER_NAMES[ours]}), "ITS_NAME")
            told = f"in the study, columns = {{ {ours} = {json.dumps(guess)} }}; on the command line, --columns.{ours}"
            message = f"column {ours!r} is missing; if it has another name: {told} {shlex.quote(guess)}"
            problems.append(Problem(str(path), message))
    if problems:
        named = ", ".join(there) or "none"
        unnamed = any(name.lower().endswith(SOUNDS) for name in there)
        advice = " (the first line must name the columns)" if unnamed else ""
        raise InvalidInput(f"{path}: columns are missing; there are: {named}{advice}", [*sheet.problems, *problems])
    sheet.columns = renamed


class _Complaints:
    """What is wrong with which rows: the first `sheets.KEPT` problems, and the number of rows."""

    def __init__(self, path: Path, sheet: Sheet) -> None:
        """Begin with the rows that could not be taken apart."""
        self.path, self.sheet = path, sheet
        self.problems = list(sheet.problems)
        self.bad = pl.repeat(False, len(sheet.rows), dtype=pl.Boolean, eager=True)
        self.count = sheet.unread

    def add(self, bad: pl.Series, column: str, messages: Callable[[list[int]], Iterable[str]]) -> None:
        """Complain about the rows in which `bad` is true; `messages` makes a text for each of some rows."""
        bad = bad.fill_null(False)
        indices = bad.arg_true()
        self.count += len(indices)
        self.bad = self.bad | bad
        kept = indices.head(sheets.KEPT).to_list()
        told = zip(kept, messages(kept), strict=True)
        self.problems += [Problem(str(self.path), text, self.sheet.rows[row], column) for row, text in told]

    def refuse(self) -> None:
        """Raise `InvalidInput` if there is any problem, with all in the order of the file."""
        if not self.count:
            return
        first = sorted(self.problems, key=lambda problem: problem.row or 0)[: sheets.KEPT]
        rows = int(self.bad.sum()) + self.sheet.unread
        more = f" with {self.count} problems; the first {len(first)} are kept" if self.count > len(first) else ""
        raise InvalidInput(f"{self.path}: {rows} bad row{'s' * (rows > 1)}{more}", first)


def _validated(path: Path, sheet: Sheet, without_audio: bool, required: Sequence[str]) -> pl.DataFrame:
    """Type and check every row; raises `InvalidInput` with all problems, in the order of the file."""
    complaints = _Complaints(path, sheet)
    folder = _folder(path)
    columns = _typed(path, sheet)
    given, blank = columns["audio"], columns["start"].is_null() if "start" in columns else None
    doubtful = given.is_null()
    for name in SPAN:
        if name in columns:
            said = columns[name]
            columns[name], bad = _seconds(said, sheet.decimal_comma)
            doubtful = doubtful | bad
            complaints.add(bad, name, _no_seconds(said))
    columns["audio"] = places.supposed(folder, given) if without_audio else places.locate(folder, given)
    made = "utterance" not in columns
    table = complete(pl.DataFrame(columns))
    if made:
        table = table.with_columns(_ids(table, folder).set(doubtful, None))
    for name in ("utterance", *required):
        if name in columns:
            complaints.add(
                (given if name == "audio" else columns[name]).is_null(), name, _same(EMPTY.get(name, "is empty"))
            )
    absent = given.is_not_null() & table["audio"].is_null()
    complaints.add(absent, "audio", lambda rows: places.absences(folder, given.gather(rows).to_list()))
    _check_spans(complaints, table, table["start"].is_null() if blank is None else blank)
    _check_ids(complaints, table["utterance"], made, sheet.rows)
    complaints.refuse()
    return table


def _check_spans(complaints: _Complaints, table: pl.DataFrame, blank: pl.Series) -> None:
    start, end = table["start"], table["end"]
    wanting = "is empty although end is not; write 0 for the beginning"
    complaints.add(blank & end.is_not_null(), "start", _same(wanting))
    complaints.add(
        end <= start, "end", lambda rows: [f"must be after start ({end[row]:g} <= {start[row]:g})" for row in rows]
    )


def _check_ids(complaints: _Complaints, ids: pl.Series, made: bool, lines: Sequence[int]) -> None:
    hint = (
        "the id is made of the audio path; add a column utterance, or leave one of the rows out"
        if made
        else "give each its own, or leave the column out: then ids are made of the audio paths"
    )
    if ids.n_unique() == len(ids):
        return
    repeated = ids.is_duplicated() & ids.is_not_null()

    def messages(rows: list[int]) -> Iterator[str]:
        others: dict[str, list[int]] = {}
        for row in repeated.arg_true().to_list():
            others.setdefault(ids[row], []).append(lines[row])
        for row in rows:
            other = next(line for line in others[ids[row]] if line != lines[row])
            yield f"{ids[row]!r} is the id of row {other} too; {hint}"

    complaints.add(repeated, "utterance", messages)


def _no_seconds(said: pl.Series) -> Callable[[list[int]], Iterable[str]]:
    def messages(rows: list[int]) -> Iterator[str]:
        for row in rows:
            advice = "; write a decimal point" if "," in str(said[row]) else ""
            yield f"must be a number of seconds, 0 or more (given: {said[row]}){advice}"

    return messages


def _same(message: str) -> Callable[[list[int]], Iterable[str]]:
    return lambda rows: [message] * len(rows)


def _folder(path: Path) -> Path:
    return Path(os.path.normpath(path.parent.absolute()))


def _typed(path: Path, sheet: Sheet) -> dict[str, pl.Series]:
    """Make text of our columns, and clean text of the others; the sheet's own columns are given up one by one."""
    embedded = [n for n, c in sheet.columns.items() if n in COLUMNS and (c.dtype.is_nested() or c.dtype == pl.Binary)]
    if embedded:
        message = "must hold one text per row; write embedded audio to files of its own"
        kinds = [Problem(str(path), f"{message} (it holds {sheet.columns[n].dtype})", field=n) for n in embedded]
        raise InvalidInput(f"{path}: columns of the wrong kind", kinds)
    ours = COLUMNS.keys() - {c.name for c in sheet.columns.values() if c.name in SPAN and c.dtype.is_numeric()}
    plain = (pl.String, pl.Categorical, pl.Enum)
    typed = {}
    for name in list(sheet.columns):
        column = sheet.columns.pop(name)
        typed[name] = as_text(column) if name in ours or column.dtype in plain else column
    return typed


def _seconds(column: pl.Series, decimal_comma: bool) -> tuple[pl.Series, pl.Series]:
    """Make numbers of a column of seconds; also say which values are none."""
    if column.dtype == pl.String and decimal_comma:
        column = column.str.replace(",", ".", literal=True)
    number = column.cast(pl.Float64, strict=False)
    if column.dtype != pl.String:
        column = number = number.fill_nan(None)
    good = (number.is_finite() & (number >= 0)).fill_null(False)
    return number.set(~good, None), column.is_not_null() & ~good


def _ids(table: pl.DataFrame, folder: Path) -> pl.Series:
    """Name utterances by their path below the manifest (else below what all share), without suffix, and their span."""
    below = _prefix(folder)
    audio = table["audio"]
    outside = audio.filter(~audio.str.starts_with(below)).str.replace(r"/?[^/]*$", "").unique().to_list()
    names = audio.str.strip_prefix(below)
    if outside:
        names = names.str.strip_prefix(_prefix(os.path.commonpath(outside)))
    stems = names.str.replace_all(os.sep, "/", literal=True).str.replace(r"\.[^./]*$", "")
    for name in SPAN:
        stems = stems + _milliseconds(table[name])
    return stems.alias("utterance")


def _milliseconds(seconds: pl.Series) -> pl.Series:
    """Write `-1.250` for each number of seconds, nothing for null; rounded as Python does."""
    thousandths = seconds * 1000
    whole = thousandths.round().fill_null(0.0).clip(0, 2**53)
    unsure = (((thousandths - thousandths.floor() - 0.5).abs() < 1e-3) | (thousandths > 2**40)).fill_null(False)
    number = whole.cast(pl.Int64)
    text = pl.select(pl.format("-{}.{}", number // 1000, (number % 1000).cast(pl.String).str.zfill(3))).to_series()
    if unsure.any():
        text = text.scatter(unsure.arg_true(), [f"-{one:.3f}" for one in seconds.filter(unsure)])
    return text.set(seconds.is_null(), "")


def _prefix(folder: Path | str) -> str:
    return f"{str(folder).rstrip(os.sep)}{os.sep}"
