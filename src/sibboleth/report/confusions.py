"""The section of confusions: what was answered for each label, pooled over the runs of a system and regime."""

from collections.abc import Sequence

import polars as pl

from sibboleth.metrics.classification import OTHER
from sibboleth.metrics.segmentation import NONE
from sibboleth.report import plots, sections, wording
from sibboleth.report.results import Results
from sibboleth.report.sections import Panel, Section
from sibboleth.report.segmentation import read
from sibboleth.report.systems import System

MOST = 40
"""Labels above which no matrix is drawn."""


def by_system(results: Results) -> Section:
    """Confusion matrices of each system, side by side, within and across domains."""
    if not results.labels:
        return Section(note="The target is not a set of classes, so there are no confusions.")
    if len(results.labels) > MOST:
        return Section(note=f"{len(results.labels)} labels are too many to draw; scores.parquet has their confusions.")
    pooled_shares = shares(results)
    made = []
    for regime in [r for r in results.regimes if r != "target-selected" or "zero-shot" not in results.regimes]:
        panels = []
        for system in results.systems:
            rows = pooled_shares.filter((pl.col("system") == system.name) & (pl.col("regime") == regime))
            if rows.height:
                panels.append(_panel(rows, system, regime, references(results), answers(results)))
        pooled = len(results.pairs(regime)) > 1
        if panels:
            made.append(
                sections.drawn(
                    panels,
                    f"confusions-{regime}",
                    f"{wording.capital(regime)}: what was answered",
                    f"Share of {_what(results)} below"
                    + (f", summed over {len(results.pairs(regime))} runs." if pooled else "."),
                    f"scores.parquet: metric confusion, runs */{regime}/*; intervals by run in tables/confusions.csv",
                    fold=len(panels) > sections.OPEN_PANELS,
                )
            )
    return Section(tuple(made)) if made else Section(note="The run has no confusion counts.")


def _what(results: Results) -> str:
    if results.kind == "segmentation":
        return "the seconds of each reference label (rows sum to 1), with seconds"
    return "the answers to each reference label (rows sum to 1), with the number of answers"


def references(results: Results) -> list[str]:
    """Rows of a confusion matrix: the labels, and no label of segments."""
    return [*results.labels, NONE] if results.kind == "segmentation" else results.labels


def answers(results: Results) -> list[str]:
    """Columns of a confusion matrix: the labels, anything else that was ever answered, and no label of segments."""
    other = (pl.col("metric") == "confusion") & pl.col("slice").str.ends_with(f",answer={OTHER}")
    others = [OTHER] if (results.scores.filter(other)["estimate"] > 0).any() else []
    return [*results.labels, *others, *references(results)[len(results.labels) :]]


def shares(results: Results) -> pl.DataFrame:
    """Pool confusions over the runs of a system and regime: `system, regime, label, answer, count, estimate`."""
    names = {f"label={a},answer={b}": (a, b) for a in references(results) for b in answers(results)}
    rows = results.scores.filter((pl.col("metric") == "confusion") & pl.col("leads") & pl.col("slice").is_in(names))
    split = pl.DataFrame(
        {"slice": list(names), "label": [a for a, _ in names.values()], "answer": [b for _, b in names.values()]},
        schema=dict.fromkeys(("slice", "label", "answer"), pl.String),
    )
    # A score is a share of the label's n answers or its seconds; it is turned back into them before they are pooled.
    parted = rows.join(split, on="slice").with_columns(pl.col("n").cast(pl.Float64).alias("many"))
    if results.kind == "segmentation":
        parted = _lasting(results, parted)
    counted = parted.with_columns((pl.col("estimate").fill_nan(0.0).fill_null(0.0) * pl.col("many")).alias("count"))
    pooled = counted.group_by("system", "regime", "label", "answer").agg(pl.col("count").sum())
    total = pl.col("count").sum().over("system", "regime", "label")
    return pooled.with_columns(
        pl.when(total > 0).then(pl.col("count") / total).alias("estimate"), pl.col("count").round(0).cast(pl.Int64)
    ).sort("system", "regime", "label", "answer")


def _lasting(results: Results, rows: pl.DataFrame) -> pl.DataFrame:
    """Take the seconds of each label as `many`; no rows where the run does not say them."""
    lengths = read(results, "label-seconds")
    if lengths.is_empty():
        return rows.clear()
    known = lengths.select("run", "rater", "label", pl.col("seconds").alias("many"))
    return rows.drop("many").join(known, on=["run", "rater", "label"])


def _panel(rows: pl.DataFrame, system: System, regime: str, labels: Sequence[str], columns: Sequence[str]) -> Panel:
    shown = rows.with_columns(
        pl.col("estimate").map_elements(wording.number, return_dtype=pl.String, skip_nulls=False).alias("text"),
        pl.col("count").cast(pl.String).alias("interval"),
        pl.col("estimate")
        .map_elements(lambda v: plots.ink(v, (0.0, 1.0)), return_dtype=pl.String, skip_nulls=False)
        .alias("ink"),
    ).select("label", "answer", "estimate", "text", "interval", "ink")
    right = {r["label"]: r["text"] for r in shown.to_dicts() if r["label"] == r["answer"]}
    worst = shown.filter(pl.col("label") != pl.col("answer")).sort(
        "estimate", "label", "answer", descending=[True, False, False], nulls_last=True
    )
    most = worst.row(0, named=True) if worst.height else None
    text = f"Confusions of {system.short}, {regime}. Answered correctly: " + ", ".join(
        f"{label} {right.get(label, wording.MISSING)}" for label in labels
    )
    if most is not None:
        text += f". Most frequent error: {most['label']} answered as {most['answer']}, {most['text']}"
    return Panel(system.title, text + ".", lambda: plots.confusion(shown, labels, columns))
