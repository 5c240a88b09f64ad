"""What became of the labels of each corpus, as a table of its own for each."""

from itertools import accumulate
from typing import Any

import polars as pl

from sibboleth.report.results import Results
from sibboleth.report.tables import Part, Table, table

LEFT_OUT = "left out: not asked for"
NO_LABEL = "(no label)"
COLUMNS = {
    "corpus": pl.String,
    "label": pl.String,
    "here": pl.String,
    "used": pl.Int64,
    "left_out": pl.Int64,
}


def became(results: Results) -> Table:
    """Labels of each corpus beside those of the study, with what is used and what is left out."""
    told = [one for one in results.record.get("corpora") or [] if one.get("labels")]
    rows = [(str(one["name"]), *_row(label)) for one in told for label in one["labels"]]
    numbers = [{"corpus": one["name"], **label} for one in told for label in one["labels"]]
    ends = list(accumulate(len(one["labels"]) for one in told))
    what = "segments" if results.kind == "segmentation" else "utterances"
    return table(
        "labels",
        f"What became of each corpus's labels, in {what}",
        "run.json: corpora",
        ("Corpus", "Its label", "In the study", "Used", "Left out"),
        rows,
        numeric=(3, 4),
        numbers=pl.DataFrame(numbers, schema=COLUMNS),
        begin=1,
        parts=[
            Part(f"{one['name']}: its labels, in {what}", first, last)
            for one, first, last in zip(told, [0, *ends], ends, strict=False)
        ],
    )


def _row(label: dict[str, Any]) -> tuple[str, str, str, str]:
    said, here = label["label"], label["here"]
    told = here or ("" if said is None else LEFT_OUT)
    return NO_LABEL if said is None else str(said), told, f"{label['used']:,}", f"{label['left_out']:,}"
