"""Corpus: the manifest, one row per utterance.

A manifest is a CSV (comma or semicolon), TSV, JSONL or Parquet file in UTF-8. A TSV is read without quoting, as Common
Voice writes it, unless its header is quoted, as R writes it. It needs the columns `audio` (a path, absolute or
relative to the manifest) and `speaker`. Blanks around a value are dropped, an empty value is unknown, a column without
a name is passed over, a decimal comma is read where semicolons separate. `start` without `end` lasts to the end of the
file. Without a column `utterance` ids are made of the paths.
"""

import hashlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
    path: Path, *, name: str | None = None, columns: Mapping[str, str] | None = None, language: str | None = None
) -> Corpus:
    """Read and validate a manifest.

    Args:
        path: a CSV, TSV, JSONL or Parquet file.
        name: name of the corpus; else the file's, or its folder's if the file is called `manifest`.
        columns: our column name to the manifest's, where they differ; it replaces a column that has our name already.
        language: language of every row, where the manifest has no such column.

    Raises `InvalidInput` with every bad row at once.
    """
    if path.suffix.lower() not in sheets.SUFFIXES:
        raise InvalidInput(f"{path}: not a manifest; save it as one of {', '.join(sheets.SUFFIXES)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    sheet = sheets.read(path, data)
    if not sheet.rows and not sheet.problems:
        raise InvalidInput(f"{path}: the manifest is empty; it needs column names and one row per utterance")
    _rename(path, sheet, columns or {})
    table = _validated(path, sheet)
    if language is not None and "language" not in sheet.columns:
        table = table.with_columns(pl.lit(language).alias("language"))
    default = path.absolute().parent.name if path.stem == "manifest" else path.stem
    return Corpus(name or default, table, path, hashlib.sha256(data).hexdigest())


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
    if column.dtype.is_nested():
        plain = [None if one is None else json.dumps(one, ensure_ascii=False, default=str) for one in column.to_list()]
        return pl.Series(column.name, plain, pl.String)
    if column.dtype.is_float():
        frame = column.fill_nan(None).to_frame("x")
        whole = (pl.col("x") == pl.col("x").round()) & (pl.col("x").abs() < 2**53)
        text = pl.when(whole).then(pl.col("x").cast(pl.Int64, strict=False).cast(pl.String))
        column = frame.select(text.otherwise(pl.col("x").cast(pl.String)).alias(column.name)).to_series()
    text_only = column.cast(pl.String).str.strip_chars()
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


def _rename(path: Path, sheet: Sheet, columns: Mapping[str, str]) -> None:
    """Give columns our names; raises `InvalidInput` naming each column that is not there, and those that are."""
    there = sheet.columns
    problems = [
        Problem(str(path), f"no column {c!r} to be read as {ours!r}", field=c)
        for ours, c in columns.items()
        if c not in there
    ]
    renamed = {name: column for name, column in there.items() if name not in columns.values()}
    renamed |= {ours: there[c].alias(ours) for ours, c in columns.items() if c in there}
    for ours in REQUIRED:
        if ours not in renamed and ours not in columns:
            guess = next((name for name in there if name.lower() in {ours, *OTHER_NAMES[ours]}), "ITS_NAME")
            told = f"in the study, columns = {{ {ours} = {json.dumps(guess)} }}; on the command line, --columns.{ours}"
            message = f"column {ours!r} is missing; if it has another name: {told} {shlex.quote(guess)}"
            problems.append(Problem(str(path), message))
    if problems:
        named = ", ".join(there) or "none"
        raise InvalidInput(f"{path}: columns are missing; there are: {named}", [*sheet.problems, *problems])
    sheet.columns = renamed


def _validated(path: Path, sheet: Sheet) -> pl.DataFrame:
    """Type and check every row; raises `InvalidInput` with all problems, in the order of the file."""
    problems = list(sheet.problems)
    folder = _folder(path)

    def complain(bad: pl.Series, column: str, message: Callable[[int], str]) -> None:
        for index in bad.fill_null(False).arg_true():
            problems.append(Problem(str(path), message(index), sheet.rows[index], column))

    typed = _typed(path, sheet)
    columns = dict(typed)
    doubtful = typed["audio"].is_null()
    for name in SPAN:
        if name in columns:
            columns[name], bad = _seconds(columns[name], sheet.decimal_comma)
            doubtful = doubtful | bad
            complain(bad, name, lambda _: "must be a number of seconds, 0 or more")
    given = columns["audio"]
    found = places.locate(folder, given.drop_nulls())
    table = complete(pl.DataFrame(columns)).with_columns(
        pl.Series("audio", [None if one is None else found[one] for one in given], pl.String)
    )
    made = "utterance" not in columns
    if made:
        table = table.with_columns(_ids(table, folder).set(doubtful, None))
    for name in ("utterance", *REQUIRED):
        if name in columns:
            complain(columns[name].is_null(), name, lambda _: "is empty")
    complain(given.is_not_null() & table["audio"].is_null(), "audio", lambda row: places.absence(folder, given[row]))
    start, end, ids = table["start"], table["end"], table["utterance"]
    blank = typed["start"].is_null() if "start" in typed else start.is_null()
    complain(blank & end.is_not_null(), "start", lambda _: "is empty although end is not; write 0 for the beginning")
    complain(end <= start, "end", lambda row: f"must be after start ({end[row]:g} <= {start[row]:g})")
    hint = "; the id is made of the audio path, add a column utterance" if made else ""
    repeated = ids.is_duplicated() & ids.is_not_null()
    complain(repeated, "utterance", lambda row: f"{ids[row]!r} is the id of another row too{hint}")
    if problems:
        problems.sort(key=lambda problem: problem.row or 0)
        count = len({problem.row for problem in problems})
        raise InvalidInput(f"{path}: {count} bad row{'s' * (count > 1)}", problems)
    return table


def _folder(path: Path) -> Path:
    return Path(os.path.normpath(path.parent.absolute()))


def _typed(path: Path, sheet: Sheet) -> dict[str, pl.Series]:
    """Make text of our columns, and clean text of the others."""
    embedded = [n for n, c in sheet.columns.items() if n in COLUMNS and (c.dtype.is_nested() or c.dtype == pl.Binary)]
    if embedded:
        message = "must hold one text per row; write embedded audio to files of its own"
        kinds = [Problem(str(path), f"{message} (it holds {sheet.columns[n].dtype})", field=n) for n in embedded]
        raise InvalidInput(f"{path}: columns of the wrong kind", kinds)
    ours = COLUMNS.keys() - {c.name for c in sheet.columns.values() if c.name in SPAN and c.dtype.is_numeric()}
    plain = (pl.String, pl.Categorical, pl.Enum)
    return {n: as_text(c) if n in ours or c.dtype in plain else c for n, c in sheet.columns.items()}


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
    outside = {one.rpartition(os.sep)[0] for one in table["audio"].drop_nulls() if not one.startswith(below)}
    names = table["audio"].str.strip_prefix(below)
    if outside:
        names = names.str.strip_prefix(_prefix(os.path.commonpath(outside)))
    stems = names.str.replace_all(os.sep, "/", literal=True).str.replace(r"\.[^./]*$", "")
    spans = ("".join(f"-{t:.3f}" for t in span if t is not None) for span in table.select(SPAN).iter_rows())
    return (stems + pl.Series(list(spans), dtype=pl.String)).alias("utterance")


def _prefix(folder: Path | str) -> str:
    return f"{str(folder).rstrip(os.sep)}{os.sep}"
