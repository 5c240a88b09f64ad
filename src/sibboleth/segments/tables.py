"""A long table of segments: CSV, TSV, JSONL or Parquet with `utterance, start, end, label` and, if there are, `tier`.

A row without label says how long the utterance is (from 0 to its end); so does a column `duration`. A row with nothing
but an utterance says that there is one.
"""

from pathlib import Path

import polars as pl

from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput
from sibboleth.segments.gathering import Gathering
from sibboleth.segments.table import SCHEMA, Segments
from sibboleth.storage import atomic

COLUMNS = ("utterance", "start", "end", "label")
LABELS = ("label", "emotion", "emo", "phone")
"""Names of the column of labels that are understood, the likeliest first."""
WRITTEN = (".csv", ".tsv", ".jsonl", ".parquet")


def read(path: Path, utterance: str, gathering: Gathering) -> None:
    """Gather the segments of all utterances."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    sheet = sheets.read(path, data)
    gathering.problems += sheet.problems
    columns = {name.strip().lower(): column for name, column in sheet.columns.items()}
    label = next((name for name in LABELS if name in columns), "label")
    missing = [name for name in (*COLUMNS[:3], label) if name not in columns]
    if missing:
        there = ", ".join(sheet.columns) or "none"
        raise InvalidInput(f"{path}: not segments: columns {', '.join(missing)} are missing (there are {there})")
    gather(columns, label, sheet.rows, gathering)


def gather(columns: dict[str, pl.Series], label: str, rows: object, gathering: Gathering) -> None:
    """Gather rows of columns by their names."""
    names = ("utterance", "start", "end", label, "tier", "duration")
    values = [columns[name].to_list() if name in columns else None for name in names]
    for k, row in enumerate(rows):  # type: ignore[arg-type, var-annotated]
        name, start, end, said, tier, duration = (None if column is None else column[k] for column in values)
        called = None if name is None else str(name).strip()
        if not called:
            gathering.problem(row, "utterance is empty", "utterance")
            continue
        if duration is not None and str(duration).strip():
            gathering.lasts(row, called, duration)
        gathering.know(called)
        if said in (None, "") and start in (None, "") and end in (None, ""):
            continue
        gathering.add(row, called, start, end, None if said is None else str(said), _tier(tier))


def _tier(given: object) -> str | None:
    return str(given) if given is not None and str(given) else None


def long(segments: Segments) -> pl.DataFrame:
    """Return all segments and, as rows without label, durations."""
    known = segments.durations
    lengths = pl.DataFrame(
        [
            *((utterance, 0.0, end) for utterance, end in known.items()),
            *((utterance, None, None) for utterance in sorted(segments.silent)),
        ],
        schema={name: SCHEMA[name] for name in COLUMNS[:3]},
        orient="row",
    )
    columns = list(SCHEMA) if segments.table["tier"].null_count() < len(segments.table) else list(COLUMNS)
    both = pl.concat([lengths, segments.table], how="diagonal")
    return both.select(columns).sort("utterance", pl.col("label").is_not_null(), "start", "end", "label")


def write(path: Path, segments: Segments) -> None:
    """Write all segments and durations; raises `InvalidInput` for what a TSV cannot hold."""
    table, suffix = long(segments), path.suffix.lower()
    texts = [column for column in table if column.dtype == pl.String]
    if suffix == ".tsv" and any(column.str.contains(r'[\t\r\n"]').any() for column in texts):
        raise InvalidInput(f"{path}: .tsv cannot hold tabs, line breaks and quotes; write .csv")
    with atomic(path) as temporary:
        if suffix == ".parquet":
            table.write_parquet(temporary)
        elif suffix == ".jsonl":
            table.write_ndjson(temporary)
        else:
            table.write_csv(temporary, separator="\t" if suffix == ".tsv" else ",")


def save(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
