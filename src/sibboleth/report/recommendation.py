"""The section of recommendations: which source and layer were recommended, and how good that turned out to be."""

from statistics import mean
from typing import Any

import polars as pl

from sibboleth.report import wording
from sibboleth.report.results import Results
from sibboleth.report.tables import Table, table

COMBINED = "combined"
MEASURES = {
    COMBINED: "all five: the mean place",
    "coral": "distance of covariances (CORAL)",
    "mmd": "distance of means (linear MMD)",
    "proxy_a": "proxy A-distance",
    "logme": "LogME of the source's labels",
    "curve": "the source's own held-out score",
}
NUMBERS = ("coral", "mmd", "proxy_a", "logme", "curve")


def told(results: Results) -> str:
    """Sum up in two sentences how good the recommendations were; empty where none was scored."""
    rows = [row for row in _scored(results) if row["measure"] == COMBINED]
    if not rows:
        return ""
    hits = sum(row["source_regret"] == 0 for row in rows)
    luck = sum(1 / row["sources"] for row in rows)
    metric = wording.metric(results.metric)
    lost, drawn = (mean(row[name] for row in rows) for name in ("source_regret", "random_regret"))
    return (
        f"Before any label of a target was seen, the best source was recommended in {hits} of {len(rows)} cases "
        f"(a source at random would be it in {wording.number(luck, 1)}). The recommended source is "
        f"{wording.number(lost)} {metric} behind the best one in the mean, a source at random {wording.number(drawn)}."
    )


def cases(results: Results) -> Table:
    """What was recommended for every target and encoder, and how it did."""
    rows = [row for row in _scored(results) if row["measure"] == COMBINED]
    metric = wording.metric(results.metric)
    head = (
        *("Target", "Encoder", "Recommended", f"{metric} there", "Best", f"{metric} there"),
        *("Source behind the best", "At random", "Kendall's \N{GREEK SMALL LETTER TAU}", "Sources"),
    )
    return table(
        "recommendations",
        "What was recommended, by the mean place in all measures, and what turned out to be best. Sources are compared "
        "with the layer that dev selected, in pairs on the same utterances. The best one is the best of these very "
        "scores, and partly by luck",
        "recommendation-score.parquet",
        head,
        [_case(results, row) for row in rows],
        numeric=(3, *range(5, len(head))),
        numbers=_optional(results, "recommendation-score"),
    )


def _case(results: Results, row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["target"],
        results.short(row["encoder"]),
        f"{row['source']}, layer {row['layer']}",
        wording.number(row["reached"]),
        f"{row['best_source']}, layer {row['best_layer']}",
        wording.number(row["best"]),
        wording.estimate(row["source_regret"], row["low"], row["high"]),
        wording.number(row["random_regret"]),
        wording.number(row["kendall"]),
        str(row["sources"]),
    )


def measures(results: Results) -> Table:
    """How good each measure alone would have been, over all targets of an encoder."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in _scored(results):
        groups.setdefault((row["encoder"], row["measure"]), []).append(row)
    rows = []
    for (encoder, measure), some in groups.items():
        known = [row["kendall"] for row in some if row["kendall"] == row["kendall"]]
        hits = sum(row["source_regret"] == 0 for row in some)
        lost = [mean(row[name] for row in some) for name in ("source_regret", "random_regret", "regret")]
        rows.append(
            (
                results.short(encoder),
                MEASURES[measure],
                f"{hits} of {len(some)}",
                wording.number(mean(known)) if known else wording.MISSING,
                *map(wording.number, lost),
            )
        )
    head = (
        *("Encoder", "Measure", "Best source found", "Mean Kendall's \N{GREEK SMALL LETTER TAU}"),
        *("Source behind the best", "At random", "Source and layer behind the best"),
    )
    return table(
        "recommendation-measures",
        f"What each measure alone would have recommended: means over {wording.plural('target')}, without intervals, as "
        "targets share sources",
        "recommendation-score.parquet",
        head,
        rows,
        numeric=range(2, len(head)),
    )


def ranks(results: Results) -> Table:
    """Every source of every target in the order recommended, with its measures."""
    frame = _optional(results, "recommendation")
    rows = [
        (
            row["target"],
            results.short(row["encoder"]),
            str(row["rank"]),
            row["source"],
            str(row["layer"]),
            wording.number(row["score"], 1),
            *(wording.number(row[name], 3) for name in NUMBERS),
        )
        for row in frame.to_dicts()
    ]
    head = ("Target", "Encoder", "Rank", "Source", "Layer", "Mean place", "CORAL", "Means", "Proxy A", "LogME", "Curve")
    return table(
        "recommendation-ranks",
        "Sources in the order recommended: lower is better of the distances (CORAL, means, proxy A), higher of LogME "
        "and of the source's own curve",
        "recommendation.parquet",
        head,
        rows,
        numeric=(2, *range(4, len(head))),
        numbers=frame,
    )


def _scored(results: Results) -> list[dict[str, Any]]:
    return _optional(results, "recommendation-score").to_dicts()


def _optional(results: Results, name: str) -> pl.DataFrame:
    """Read a table that only a run with several sources has."""
    return results.run.table(name) if (results.run / f"{name}.parquet").exists() else pl.DataFrame()
