"""audformat databases, as audb publishes them: `db.yaml` and `db.TABLE.parquet` or `.csv`.

Tables of files and of segments are put together, a row per segment, or per file that has none. What the scheme of a
column says of its labels becomes columns: sex and age of speakers, the text of a transcription. Tables of a split say
the `part`. A column that tables disagree about is read from each (`TABLE.COLUMN`); `subset` names the tables to read.
The header is read as plain YAML, and tables that are pickles are refused: either could run any code.
Layout: https://audeering.github.io/audformat/
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sibboleth import lists
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, MissingExtra, Problem
from sibboleth.interchange.gathering import Asked, Gathered
from sibboleth.interchange.placing import placed
from sibboleth.interchange.writing import beside, others, simple, whole_folder

if TYPE_CHECKING:
    import audformat

HEADER = "db.yaml"
SUFFIXES = (".parquet", ".csv")
NAMES = {"transcription": "text", "gender": "sex"}
"""Our column by audformat's."""
LABELS = 100
"""A column of more different texts than these has no list of labels in its scheme."""
MISSING = ("NAType", "NaTType")
"""What pandas has for a missing value, besides None and NaN."""
Key = tuple[str, float | None, float | None]
"""File, start and end in seconds, both null for all of it."""


@dataclass
class _Columns:
    """Values of one column, by the table that has them and the row they are of."""

    by_table: dict[str, dict[Key, Any]] = field(default_factory=dict)
    scheme: "audformat.Scheme | None" = None

    def merged(self) -> dict[Key, Any] | None:
        """Put tables together; None where two of them disagree."""
        all_of_them: dict[Key, Any] = {}
        for values in self.by_table.values():
            for key, value in values.items():
                if all_of_them.setdefault(key, value) != value:
                    return None
        return all_of_them


def recognises(place: Path) -> bool:
    """Tell a database by its header."""
    return (place / HEADER).is_file() or (place.name == HEADER and place.is_file())


def read(place: str, asked: Asked) -> Gathered:
    """Read a database; raises `InvalidInput` for tables that cannot be read, and `MissingExtra` without audformat."""
    path = Path(place)
    root = path if path.is_dir() else path.parent
    database = _loaded(root, asked.subset)
    chosen = [name for name in database.tables if not asked.subset or name in asked.subset]
    keys, columns, parts = _gathered(database, chosen)
    if not keys:
        raise InvalidInput(f"{root / HEADER}: its tables have no rows")
    notes: list[str] = []
    names = pl.Series("audio", [file for file, *_ in keys], pl.String)
    found = placed(root / HEADER, names, range(1, len(keys) + 1), asked.audio)
    table = pl.DataFrame({"audio": found, "start": [key[1] for key in keys], "end": [key[2] for key in keys]})
    table = table.with_columns(pl.col("start", "end").cast(pl.Float64))
    said = dict(_named(database, columns, keys, notes))
    if parts is None:
        notes.append("tables put an utterance into different parts, so there is no column part; choose: --subset TABLE")
    elif parts:
        said["part"] = [parts.get(key) for key in keys]
    if said.get("language") is None and len(database.languages) == 1:
        said["language"] = [_short(database.languages[0])] * len(keys)
    more = [pl.Series(name, values, strict=False) for name, values in said.items()]
    return Gathered(database.name, table.with_columns(more), tuple(notes))


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write a database: one table of files or segments, and one for each part; says what it does not hold.

    In the folder in which the recordings lie it can be moved with them; elsewhere it has their absolute paths.
    """
    audformat = _library()
    table = corpus.table
    segmented = table["start"].null_count() < len(table)
    files = beside(table["audio"], place)
    database = audformat.Database(corpus.name, source=f"the manifest {corpus.name} of sibboleth", usage="other")
    database.languages = _languages(audformat, table["language"])
    database.media["recordings"] = audformat.Media(type="audio")
    index = _index(audformat, table, files, segmented)
    name = "segments" if segmented else "files"
    database[name] = audformat.Table(index, media_id="recordings")
    for theirs, column in _columns(corpus):
        database.schemes[theirs] = _scheme(audformat, theirs, column)
        database[name][theirs] = audformat.Column(scheme_id=theirs)
        database[name][theirs].set(column.to_list())
    for part in sorted(set(_parts(table).drop_nulls())):
        database.splits[part] = audformat.Split(part)
        database[part] = audformat.Table(index[(_parts(table) == part).fill_null(False).to_numpy()], split_id=part)
    with whole_folder(place, last=HEADER) as folder:
        database.save(str(folder), num_workers=1)
    outside = sum(Path(file).is_absolute() for file in files)
    return [f"{outside:,} recordings lie outside {place}, so the database holds for this machine"] if outside else []


def _library() -> Any:
    try:
        import audformat
    except ImportError:
        raise MissingExtra("audformat", "formats") from None
    return audformat


def _loaded(root: Path, subset: Sequence[str]) -> "audformat.Database":
    """Load header and tables without running anything that they may hold."""
    audformat = _library()
    import yaml

    header = root / HEADER
    try:
        said = yaml.safe_load(header.read_text(encoding="utf-8"))
        database = audformat.Database.load_header_from_yaml(said)
    except OSError as error:
        raise InvalidInput(f"{header}: cannot be read ({error.strerror})") from None
    except Exception as error:  # yaml and audformat raise whatever their checks raise
        told = " ".join(str(error).split())[:300] or type(error).__name__
        raise InvalidInput(f"{header}: is not the header of an audformat database ({told})") from None
    if unknown := [name for name in subset if name not in database.tables]:
        there = ", ".join(database.tables)
        raise InvalidInput(f"{header}: has no table {', '.join(unknown)}; there are {there or 'none'}")
    wanted = [*database.misc_tables, *(name for name in database.tables if not subset or name in subset)]
    problems = [problem for name in wanted if (problem := _load(database[name], root, name))]
    if problems:
        raise InvalidInput(f"{header}: {len(problems):,} tables cannot be read", problems)
    return database


def _load(table: Any, root: Path, name: str) -> Problem | None:
    """Load a table from where no pickle lies beside it; return what is wrong with it."""
    files = [root / f"db.{name}{suffix}" for suffix in SUFFIXES]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        pickled = (root / f"db.{name}.pkl").is_file()
        told = "is a pickle, which could run any code; save the database as Parquet or CSV" if pickled else "is missing"
        return Problem(str(root / f"db.{name}"), f"the table {told}")
    with tempfile.TemporaryDirectory() as apart:
        shutil.copyfile(file, Path(apart) / file.name)
        try:
            table.load(str(Path(apart) / f"db.{name}"))
        except Exception as error:  # pandas and pyarrow raise whatever their parsers raise
            return Problem(str(file), f"cannot be read ({' '.join(str(error).split())[:300]})")
    return None


def _gathered(
    database: "audformat.Database", chosen: Sequence[str]
) -> tuple[list[Key], dict[str, _Columns], dict[Key, str] | None]:
    """Return rows, columns by name, and the part of each row; no parts where tables disagree about them."""
    rows = {name: [_key(one) for one in database[name].index] for name in chosen}
    files: dict[str, list[Key]] = {}
    for segmented in (True, False):
        seen = set(files)  # files that have segments
        tables = [name for name in chosen if database[name].is_segmented is segmented]
        tables.sort(key=lambda name: -len(rows[name]))  # the order is that of the largest
        for key in dict.fromkeys(key for name in tables for key in rows[name]):
            if key[0] not in seen:
                files.setdefault(key[0], []).append(key)
    columns: dict[str, _Columns] = {}
    parts: dict[Key, str] | None = {}
    for name in chosen:
        table = database[name]
        of = [[key] if table.is_segmented else files[key[0]] for key in rows[name]]
        for column in table.columns:
            kept = columns.setdefault(column, _Columns(scheme=table.columns[column].scheme))
            kept.by_table[name] = {
                key: value
                for keys, value in zip(of, map(_value, table.df[column]), strict=True)
                for key in keys
                if value is not None
            }
        part = None if table.split_id is None else lists.PARTS.get(str(database.splits[table.split_id].type))
        for key in (key for keys in of for key in keys) if part is not None else ():
            if parts is not None and part is not None and parts.setdefault(key, part) != part:
                parts = None
    return [key for keys in files.values() for key in keys], columns, parts


def _key(index: Any) -> Key:
    """Read a row's index: a file, or a file with its start and end."""
    if isinstance(index, str):
        return index, None, None
    file, start, end = index
    begin, stop = _value(start), _value(end)
    return (str(file), None, None) if not begin and stop is None else (str(file), begin or 0.0, stop)


def _value(value: Any) -> Any:
    """Make a plain value of what pandas has: seconds of a duration, text of a date, None of what is missing."""
    if value is None or type(value).__name__ in MISSING or value != value:
        return None
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds())
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, (str, int, float, bool)) else str(plain)


def _named(
    database: "audformat.Database", columns: Mapping[str, _Columns], keys: Sequence[Key], notes: list[str]
) -> Iterator[tuple[str, list[Any]]]:
    """Yield columns under our names, and those that their schemes speak of."""
    ours = {name: NAMES.get(name, name) if NAMES.get(name) not in columns else name for name in columns}
    taken = set(ours.values())
    for name, column in columns.items():
        values = column.merged()
        if values is None:
            notes.append(f"tables disagree about {name}, which is read from each: {', '.join(column.by_table)}")
            for table, apart in column.by_table.items():
                yield f"{table}.{name}", [apart.get(key) for key in keys]
            continue
        listed = [values.get(key) for key in keys]
        meanings = _meanings(database, column.scheme)
        texts = {label: said for label, said in meanings.items() if isinstance(said, str)}
        if name == "transcription" and texts:
            yield name, listed
            yield "text", [texts.get(label, label) for label in listed]
        else:
            yield ours[name], [_short(one) for one in listed] if name == "language" else listed
        facts = {label: said for label, said in meanings.items() if isinstance(said, dict)}
        for fact in dict.fromkeys(fact for said in facts.values() for fact in said):
            called = NAMES.get(fact, fact)
            called = f"{name}.{fact}" if called in taken else called
            taken.add(called)
            told = [_value(facts.get(label, {}).get(fact)) for label in listed]
            yield called, [_short(one) for one in told] if fact == "language" else told


def _meanings(database: "audformat.Database", scheme: "audformat.Scheme | None") -> dict[Any, Any]:
    """Return what a scheme says of each of its labels, itself or in a table of its own."""
    if scheme is None or scheme.labels is None or isinstance(scheme.labels, list):
        return {}
    if isinstance(scheme.labels, str):
        rows = database[scheme.labels].df.to_dict("index")
        return {_value(label): dict(said) for label, said in rows.items()}
    return dict(scheme.labels)


def _short(language: Any) -> Any:
    """Return the code of two letters of a language that has one of three."""
    import iso639

    try:
        return iso639.Lang(language).pt1 or language if isinstance(language, str) and len(language) == 3 else language
    except iso639.exceptions.InvalidLanguageValue:
        return language


def _index(audformat: Any, table: pl.DataFrame, files: Sequence[str], segmented: bool) -> Any:
    if not segmented:
        return audformat.filewise_index(files)
    starts, ends = ([None if one is None else f"{one!r}s" for one in table[name]] for name in ("start", "end"))
    return audformat.segmented_index(files, [one or "0s" for one in starts], ends)


def _columns(corpus: Corpus) -> Iterator[tuple[str, pl.Series]]:
    theirs = {ours: name for name, ours in NAMES.items()}
    for name in others(corpus, ("audio", "start", "end")):
        column = corpus.table[name]
        if name == "part" and _parts(corpus.table).null_count() == column.null_count():
            continue
        if column.dtype.is_nested():
            column = pl.Series(name, [simple(one) for one in column], pl.String)
        yield theirs[name] if name in theirs and theirs[name] not in corpus.table.columns else name, column


def _scheme(audformat: Any, name: str, column: pl.Series) -> Any:
    if column.dtype == pl.Boolean:
        return audformat.Scheme("bool")
    if column.dtype.is_numeric():
        return audformat.Scheme("float" if column.dtype.is_float() else "int")
    labels = column.cast(pl.String).drop_nulls().unique().sort().to_list()
    listed = len(labels) <= LABELS and name not in ("utterance", "transcription")
    return audformat.Scheme("str", labels=labels) if listed else audformat.Scheme("str")


def _parts(table: pl.DataFrame) -> pl.Series:
    """Return the part of each row in audformat's words; null where it is none of them."""
    if "part" not in table.columns:
        return pl.repeat(None, len(table), dtype=pl.String, eager=True)
    return (
        table["part"]
        .cast(pl.String)
        .str.to_lowercase()
        .replace_strict(lists.PARTS, default=None, return_dtype=pl.String)
    )


def _languages(audformat: Any, languages: pl.Series) -> list[str]:
    """Return the languages as audformat writes them, those that it knows."""
    found = []
    for tag in sorted(set(languages.drop_nulls())):
        try:
            found.append(audformat.utils.map_language(tag.partition("-")[0]))
        except ValueError:
            continue
    return list(dict.fromkeys(found))
