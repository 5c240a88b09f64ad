"""Audacity's labels: `start<TAB>end<TAB>label` a line, one recording a file.

A second line of a label, which begins with a backslash, has its frequencies and is passed over.
"""

from pathlib import Path

import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.segments.gathering import Gathering, decoded, plain
from sibboleth.segments.table import Segments

FIELDS = 3


def read(path: Path, utterance: str, gathering: Gathering) -> None:
    """Gather the labels of a recording; those without a name are left out."""
    gathering.know(utterance)
    nameless = []
    for row, line in enumerate(decoded(path).split("\n"), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.split("\t", FIELDS - 1)
        if len(fields) < FIELDS - 1:
            gathering.problem(row, "not a label of Audacity: start, end and name with tabs between them")
        elif len(fields) < FIELDS or not fields[2].strip():
            nameless.append(row)
        else:
            gathering.add(row, utterance, fields[0], fields[1], fields[2])
    if nameless:
        gathering.notes.append(f"{path}:{nameless[0]}: {len(nameless):,} labels without a name left out")


def written(segments: Segments, utterance: str) -> str:
    """Return the text of one recording's file; raises `InvalidInput` for labels that it cannot hold."""
    mine = segments.table.filter(pl.col("utterance") == utterance)
    if mine["tier"].n_unique() > 1:
        raise InvalidInput(
            f"{utterance}: Audacity's labels have no tiers; write one of {sorted(set(mine['tier']))} alone"
        )
    for label in mine["label"].unique():
        if len(label.split("\n")) > 1 or "\r" in label:
            raise InvalidInput(f"{utterance}: Audacity's labels cannot hold the line break in {label!r}")
    rows = mine.sort("start", "end", "label").select("start", "end", "label").iter_rows()
    return "".join(f"{plain(start)}\t{plain(end)}\t{label}\n" for start, end, label in rows)
