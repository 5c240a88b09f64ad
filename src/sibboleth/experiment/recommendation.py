"""Which source, which layer, before any label of the target is seen; and, once it was measured, how good that was.

Of the target only audio is used. Of a source, its audio and its own labels.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import alignment as alignments
from sibboleth import metrics
from sibboleth.experiment import aligning, cells, labels
from sibboleth.experiment.cells import Aligned, Cell
from sibboleth.experiment.material import Material
from sibboleth.metrics import regression
from sibboleth.progress import track
from sibboleth.scores import Pair

if TYPE_CHECKING:
    from sibboleth.models.probes import Pooling

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MEASURES = {"coral": False, "mmd": False, "proxy_a": False, "logme": True, "curve": True}
"""What sources are ranked by, and whether more of it is better: three distances, and two of the source's own labels."""
COMBINED = "combined"
MOST = 2000
"""Utterances of a domain that are looked at; of more, so many are drawn."""
FEWEST = 10
"""Utterances that a domain must have."""
FOLDS = 3
VERSION = 1
"""Raised when the numbers of a recommendation change."""

RECOMMENDATION: dict[str, type[pl.DataType]] = {
    "target": pl.String,
    "encoder": pl.String,
    "rank": pl.Int32,
    "source": pl.String,
    "layer": pl.Int32,
    "score": pl.Float64,
    **dict.fromkeys(MEASURES, pl.Float64),
}
SCORED: dict[str, type[pl.DataType]] = {
    "target": pl.String,
    "encoder": pl.String,
    "measure": pl.String,
    "sources": pl.Int64,
    "kendall": pl.Float64,
    "source": pl.String,
    "layer": pl.Int32,
    "reached": pl.Float64,
    "regret": pl.Float64,
    "best_source": pl.String,
    "best_layer": pl.Int32,
    "best": pl.Float64,
    "source_regret": pl.Float64,
    "random_regret": pl.Float64,
    "run": pl.String,
    "best_run": pl.String,
}


def possible(material: Material) -> bool:
    """Say whether some target of a run has several sources to choose from."""
    study = material.study
    domains = set(material.table[study.domain]) - {None}
    sources = domains - set(study.splits.test_only)
    whole = study.splits.scheme != "leave-one-domain-out"
    return "zero-shot" in study.regimes and whole and any(len(sources - {target}) > 1 for target in domains)


def file(cell: Cell, missing: Sequence[int], material: Material) -> str:
    """Name the file that keeps what is recommended for the encoder of a cell, so that the next run need not find it."""
    study = material.study
    columns = aligning.known(alignments.SPEAKER_Z_NORM, material)
    settings = (VERSION, cell.identity, cell.probing.pooling, study.seed, study.splits.test_only, columns)
    return cells.file_name(f"recommendation--{cell.encoder}", settings, (), missing, material)


def kept(path: Path) -> pl.DataFrame | None:
    """Return what a run kept, none where there is nothing that can be read."""
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError):
        return None


def table(encoder: str, features: Aligned, pooling: "Pooling", material: Material) -> pl.DataFrame:
    """Rank the sources of every target for one encoder, each with its best layer; rows of `RECOMMENDATION`.

    A source's layer is the one with the best mean place by its own two measures (the lower of equals). `score` is a
    source's mean place by the five measures at its layer; of equals the one with the better mean place by distances
    comes first.
    """
    own, between = _measured(encoder, features, pooling, material)
    chosen = {source: _layer(curve) for source, curve in own.items()}
    targets = sorted({target for _, target in between})
    made = [pl.DataFrame(schema=RECOMMENDATION)]
    for target in targets:
        rows = [
            {"source": source, "layer": layer, **between[source, target][layer], **own[source][layer]}
            for source, layer in sorted(chosen.items())
            if source != target
        ]
        if rows:
            made.append(_ranked(target, encoder, pl.DataFrame(rows)))
    return pl.concat(made)


def _ranked(target: str, encoder: str, rows: pl.DataFrame) -> pl.DataFrame:
    from sibboleth.models.transferability import ranks

    places = np.stack([ranks(rows[name].to_list(), better) for name, better in MEASURES.items()])
    far = places[[not better for better in MEASURES.values()]].mean(axis=0)
    ranked = rows.with_columns(pl.Series("score", places.mean(axis=0)), pl.Series("far", far))
    ranked = ranked.sort("score", "far", "source").with_row_index("rank", offset=1)
    named = ranked.with_columns(target=pl.lit(target), encoder=pl.lit(encoder))
    return named.select(pl.col(name).cast(kind) for name, kind in RECOMMENDATION.items())


def _layer(curve: Sequence[dict[str, float]]) -> int:
    from sibboleth.models.transferability import ranks

    places = [ranks([one[name] for one in curve], True) for name in ("curve", "logme")]
    return int(np.argmin(np.sum(places, axis=0)))


Own = dict[str, list[dict[str, float]]]
Between = dict[tuple[str, str], list[dict[str, float]]]


def _measured(encoder: str, features: Aligned, pooling: "Pooling", material: Material) -> tuple[Own, Between]:
    """Measure every layer of every source by its own labels, and of every pair of domains by audio alone."""
    domain = material.study.domain
    there = np.setdiff1d(np.arange(material.table.height), features.missing)
    asked = material.table.select(pl.col(domain).cast(pl.String).alias("domain")).with_row_index("row")[there]
    rows = {
        str(name): _drawn(some["row"].to_numpy().astype(np.int64), material.study.seed)
        for (name,), some in asked.filter(pl.col("domain").is_not_null()).group_by("domain")
        if len(some) >= FEWEST
    }
    speakers = aligning.codes(material.table.with_columns(speaker=pl.coalesce("speaker", "utterance")), "speaker")
    names = sorted(rows)
    sources = {name: known for name in names if (known := _labelled(name, there, material)) is not None}
    own: Own = {name: [] for name in sources}
    between: Between = {pair: [] for pair in itertools.permutations(names, 2) if pair[0] in sources}
    for layer in track(range(features.layers), f"Recommending sources for {encoder}", features.layers, "layers"):
        x = _standardised(features.matrix(layer, pooling).astype(np.float64), there)
        for name, (mine, truth) in sources.items():
            own[name].append(_fit(x[mine], truth, speakers[mine], material))
        for a, b in itertools.combinations(names, 2):
            found = _distances(x[rows[a]], x[rows[b]], speakers[rows[a]], speakers[rows[b]])
            for pair in ((a, b), (b, a)):
                if pair in between:
                    between[pair].append(found)
    return own, between


def _drawn(rows: Rows, seed: int) -> Rows:
    """Draw `MOST` of some rows, whatever they are labelled."""
    kept = np.random.default_rng([seed, len(rows)]).permutation(len(rows))[:MOST]
    return rows[np.sort(kept)]


def _labelled(name: str, there: Rows, material: Material) -> tuple[Rows, Array] | None:
    """Return the rows of a source that have a label, and what it says of each; none for what cannot train."""
    table, target = material.table.with_row_index("row"), material.target
    usable = (
        pl.col(target.name).is_in(target.labels)
        if target.labels
        else pl.col(target.name).is_not_null() & pl.col(target.name).cast(pl.Float64, strict=False).is_finite()
    )
    mine = table.filter((pl.col(material.study.domain).cast(pl.String) == name) & usable & pl.col("row").is_in(there))
    if name in material.study.splits.test_only or len(mine) < FEWEST:
        return None
    rows = _drawn(mine["row"].to_numpy().astype(np.int64), material.study.seed)
    truth = labels.truth(material.table[rows], target)
    truth = truth[:, truth.max(axis=0) > truth.min(axis=0)]
    return (rows, truth) if truth.shape[1] else None


def _standardised(x: Array, there: Rows) -> Array:
    mean, deviation = x[there].mean(axis=0), x[there].std(axis=0)
    return np.asarray((x - mean) / np.where(deviation > 1e-9, deviation, np.inf))


def _distances(a: Array, b: Array, a_speakers: Rows, b_speakers: Rows) -> dict[str, float]:
    from sibboleth.models import transferability

    a_groups, b_groups = (np.unique(one, return_inverse=True)[1].astype(np.int64) for one in (a_speakers, b_speakers))
    return {
        "coral": transferability.coral_distance(a, b),
        "mmd": transferability.mean_distance(a, b),
        "proxy_a": transferability.proxy_a_distance(a, b, a_groups, b_groups, FOLDS),
    }


def _fit(x: Array, truth: Array, speakers: Rows, material: Material) -> dict[str, float]:
    """Say how well a source's own labels follow from its features: LogME, and the main metric of held-out speakers."""
    from sibboleth.models import transferability

    groups = np.unique(speakers, return_inverse=True)[1].astype(np.int64)
    number = material.target.kind == "regression"
    goal = (truth - truth.mean(axis=0)) / truth.std(axis=0) if number else truth
    told = transferability.held_out(x, goal, transferability.dealt_out(groups, FOLDS))
    if number:
        reached = metrics.of(material.target)[0](regression.Answers.centred(goal[:, 0], told[:, 0]))
    else:
        reached = float(transferability.recalls(truth, told).mean())
    return {"logme": transferability.logme(np.column_stack([x, np.ones(len(x))]), goal), "curve": reached}


def scored(recommended: pl.DataFrame, scores: pl.DataFrame, runs: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Hold each measure, and all of them combined, against the zero-shot matrix that was measured; rows of `SCORED`.

    `kendall` compares the order of the sources with that of the scores of the layer that dev selected. `regret` is the
    best score of any source and layer minus that of the recommended ones, `source_regret` the best of the sources minus
    the recommended one's, both with the layer that dev selected, and `random_regret` the same for a source at random.
    """
    plain = runs.filter((pl.col("regime") == "zero-shot") & pl.col("alignment").is_null() & ~pl.col("tuned"))
    wanted = scores.filter((pl.col("metric") == metric) & (pl.col("slice") == "all"))
    told = wanted.join(plain, on="run").filter(pl.col("estimate").is_not_nan())
    made = []
    for (target, encoder), rows in recommended.group_by("target", "encoder", maintain_order=True):
        mine = told.filter((pl.col("domain") == target) & (pl.col("encoder") == encoder))
        selected = mine.filter(pl.col("rater") == "selected").select(
            "source", "run", pl.col("estimate").alias("reached")
        )
        both = rows.join(selected, on="source").sort("rank")
        if len(both) > 1:
            layers = mine.filter(pl.col("rater").str.starts_with("layer"))
            made += [(target, encoder, *row) for row in _held_against(both, layers)]
    return pl.DataFrame(made, schema=SCORED, orient="row")


def _held_against(both: pl.DataFrame, layers: pl.DataFrame) -> Iterator[tuple[object, ...]]:
    """Yield a row for each measure of one target and encoder; `both` are the sources in the order recommended."""
    from scipy.stats import kendalltau

    reached = both["reached"].to_numpy()
    best = int(reached.argmax())
    top = layers.sort(pl.col("estimate"), "layer", descending=[True, False]).row(0, named=True)
    for measure, better in {COMBINED: False, **MEASURES}.items():
        values = both["score" if measure == COMBINED else measure].to_numpy() * (1 if better else -1)
        order = -both["rank"].to_numpy() if measure == COMBINED else values
        pick = int(np.nanargmax(order)) if not np.isnan(order).all() else 0
        agreed = float(kendalltau(order, reached).statistic) if np.ptp(order) and np.ptp(reached) else float("nan")
        chosen = both.row(pick, named=True)
        here = layers.filter((pl.col("source") == chosen["source"]) & (pl.col("layer") == chosen["layer"]))["estimate"]
        there = float(here[0]) if len(here) else float("nan")
        yield (
            measure,
            len(both),
            agreed,
            chosen["source"],
            chosen["layer"],
            there,
            top["estimate"] - there,
            top["source"],
            top["layer"],
            top["estimate"],
            float(reached[best] - reached[pick]),
            float(reached[best] - reached.mean()),
            chosen["run"],
            both["run"][best],
        )


def pairs(scored: pl.DataFrame) -> list[Pair]:
    """List the best source beside each other one that was recommended."""
    different = scored.filter(pl.col("run") != pl.col("best_run")).select("best_run", "run").unique().sort("run")
    return [("recommendation", best, "selected", run, "selected") for best, run in different.iter_rows()]


def bounded(scored: pl.DataFrame, compared: pl.DataFrame) -> pl.DataFrame:
    """Add the paired interval of `source_regret`, `low` and `high`; 0 where the best source was recommended."""
    limits = compared.select(pl.col("a_run").alias("best_run"), pl.col("b_run").alias("run"), "low", "high")
    joined = scored.join(limits, on=["best_run", "run"], how="left", maintain_order="left")
    same = pl.col("run") == pl.col("best_run")
    return joined.with_columns(pl.when(same).then(0.0).otherwise(pl.col(name)).alias(name) for name in ("low", "high"))
