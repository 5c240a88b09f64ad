"""What a data study found in one of its runs: a score for every encoder, and paired differences between encoders."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from sibboleth import predictions, scores
from sibboleth.runs import RunDirectory
from sibboleth.scores import Pair
from sibboleth.stats import holm
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

Role = Literal["pretrained", "start", "control", "other"]
"""Pre-trained here; what that began with; `logmel` or untrained; named by the user beside them."""
SELECTED = "selected"

POINTS: dict[str, type[pl.DataType]] = {
    "target": pl.String,
    "regime": pl.String,
    "domain": pl.String,
    "metric": pl.String,
    "name": pl.String,
    "role": pl.String,
    "language": pl.String,
    "hours": pl.Float64,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "layer": pl.Int32,
    "layer_share": pl.Float64,
    "encoder": pl.String,
}
"""`domain` is null for all domains together, `language` and `hours` for what was not pre-trained here; `n` counts
answers, of several sources under zero-shot; `layer` is what dev chose most often, in `layer_share` of the folds."""

DIFFERENCES: dict[str, type[pl.DataType]] = {
    "target": pl.String,
    "regime": pl.String,
    "question": pl.String,
    "domain": pl.String,
    "metric": pl.String,
    "a": pl.String,
    "b": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "family": pl.String,
}
"""A minus B. `question` is `amount` (one language, A has more), `language` (one amount) or `other` (A pre-trained, B
anything else); `p_holm` is corrected within `family`: one target, regime and question, all domains together apart from
single ones."""


@dataclass(frozen=True)
class System:
    """One encoder of the studies and its place in the figures."""

    name: str
    """Short."""
    encoder: str
    """Its name in the studies."""
    role: Role
    language: str | None = None
    hours: float | None = None


def found(
    run: RunDirectory, target: str, systems: Sequence[System], statistics: StatisticsSettings, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score and compare what dev selected in a finished run: rows of `POINTS` and of `DIFFERENCES`.

    Each regime by itself, over all domains together (each utterance answered by the probe of its own domain, or under
    zero-shot by those of all others, which weigh one together) and over each. Intervals and p as in `scores`.
    """
    record = run.read()
    table = run.table("utterances")
    everything = pl.scan_parquet(run / "predictions.parquet")
    reference = everything.filter(pl.col("source") == "reference").collect()
    answers = everything.filter(pl.col("rater") == SELECTED).collect()
    cells = run.table("cells")
    asked = _Asked(
        target,
        Target(**record["target"] | {"labels": tuple(record["target"]["labels"])}),
        record["main_metric"],
        record["domain"],
        statistics.model_copy(update={"slices": (record["domain"],)}),
        seed,
        table,
        reference,
    )
    points, differences = [pl.DataFrame(schema=POINTS)], [pl.DataFrame(schema=DIFFERENCES)]
    for regime in dict.fromkeys(record["study"]["regimes"]):
        mine = cells.filter(regime=regime)
        if mine.is_empty():
            continue
        given = _named(answers, mine, systems)
        layers = _layers(run.table("selection"), mine, systems)
        points.append(_points(asked, regime, given, layers, systems))
        differences.append(_differences(asked, regime, given, systems))
    return pl.concat(points), pl.concat(differences)


@dataclass(frozen=True)
class _Asked:
    """What is the same for all regimes of a run."""

    name: str
    target: Target
    metric: str
    domain: str
    statistics: StatisticsSettings
    seed: int
    table: pl.DataFrame
    reference: pl.DataFrame

    @property
    def options(self) -> dict[str, Any]:
        """What scoring and comparing take alike."""
        clusters = dict(self.table.select("utterance", "speaker").iter_rows())
        return {"clusters": clusters, "slices": self.table, "statistics": self.statistics, "seed": self.seed}

    def domains(self, table: pl.DataFrame) -> pl.DataFrame:
        """Keep the rows of everything and of single domains; `domain` is null for everything."""
        start = f"{self.domain}="
        whole = pl.col("slice") == "all"
        named = pl.when(~whole).then(pl.col("slice").str.strip_prefix(start)).alias("domain")
        kept = table.filter((pl.col("metric") == self.metric) & (whole | pl.col("slice").str.starts_with(start)))
        return kept.with_columns(named, target=pl.lit(self.name))


def _named(answers: pl.DataFrame, cells: pl.DataFrame, systems: Sequence[System]) -> pl.DataFrame:
    """Call the answers of all runs of an encoder by its name; several sources of an answer are trials of it."""
    names = pl.DataFrame([(s.encoder, s.name) for s in systems], schema=["encoder", "=name"], orient="row")
    placed = answers.join(cells.select("run", "encoder", origin="source").join(names, on="encoder"), on="run")
    trial = pl.struct("origin", "trial").rank("dense").over("=name").cast(predictions.SCHEMA["trial"])
    return placed.with_columns(trial.alias("trial"), run="=name").select(list(predictions.SCHEMA))


def _layers(selection: pl.DataFrame, cells: pl.DataFrame, systems: Sequence[System]) -> pl.DataFrame:
    """Find the layer that dev chose most often: `name, domain, layer, layer_share`; of equals the lower."""
    names = {s.encoder: s.name for s in systems}
    chosen = (
        selection.filter(pl.col("selected") & pl.col("layer").is_not_null())
        .join(cells.select("run", "encoder", "domain"), on="run")
        .select(pl.col("encoder").replace_strict(names).alias("name"), "domain", "layer")
    )
    every = pl.concat([chosen, chosen.with_columns(domain=pl.lit(None, pl.String))])
    counted = every.group_by("name", "domain", "layer").len("folds")
    share = (pl.col("folds") / pl.col("folds").sum().over("name", "domain")).alias("layer_share")
    ranked = counted.with_columns(share).sort("folds", "layer", descending=[True, False])
    return ranked.unique(["name", "domain"], keep="first", maintain_order=True).drop("folds")


def _points(
    asked: _Asked, regime: str, given: pl.DataFrame, layers: pl.DataFrame, systems: Sequence[System]
) -> pl.DataFrame:
    scored = asked.domains(scores.score(given, asked.reference, asked.target, **asked.options))
    known = pl.DataFrame(
        [(place, s.name, s.role, s.language, s.hours, s.encoder) for place, s in enumerate(systems)],
        schema={
            "=place": pl.Int64,
            "name": pl.String,
            **{c: POINTS[c] for c in ("role", "language", "hours", "encoder")},
        },
        orient="row",
    )
    rows = (
        scored.drop("layer")
        .rename({"run": "name"})
        .join(known, on="name")
        .join(layers, on=["name", "domain"], how="left", nulls_equal=True)
        .with_columns(regime=pl.lit(regime))
        .sort("domain", "=place", nulls_last=False)
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in POINTS.items())


def _differences(asked: _Asked, regime: str, given: pl.DataFrame, systems: Sequence[System]) -> pl.DataFrame:
    pairs = list(_pairs(systems))
    if not pairs:
        return pl.DataFrame(schema=DIFFERENCES)
    compared = asked.domains(scores.compare(given, asked.reference, asked.target, pairs, **asked.options))
    single = pl.when(pl.col("domain").is_null()).then(pl.lit("")).otherwise(pl.lit(f", each {asked.domain}"))
    rows = compared.rename({"family": "question", "a_run": "a", "b_run": "b"}).with_columns(
        pl.format("{}, {}: {}{}", pl.lit(asked.name), pl.lit(regime), "question", single).alias("family"),
        regime=pl.lit(regime),
    )
    corrected = pl.col("p").map_batches(lambda p: pl.Series(holm(p.to_numpy())), return_dtype=pl.Float64)
    rows = rows.with_columns(corrected.over("family").alias("p_holm"))
    return rows.select(pl.col(name).cast(kind) for name, kind in DIFFERENCES.items())


def _pairs(systems: Sequence[System]) -> Iterator[Pair]:
    """List neighbouring amounts, the ends where there are more than two; languages at one amount; and all others."""
    trained = [one for one in systems if one.role == "pretrained"]
    languages = list(dict.fromkeys(one.language for one in trained))
    for language in languages:
        row = sorted((one for one in trained if one.language == language), key=lambda one: one.hours or 0.0)
        steps = list(itertools.pairwise(row)) + ([(row[0], row[-1])] if len(row) > 2 else [])
        yield from (("amount", more.name, SELECTED, less.name, SELECTED) for less, more in steps)
    for hours in sorted({one.hours or 0.0 for one in trained}):
        column = [one for one in trained if one.hours == hours]
        for a, b in itertools.combinations(column, 2):
            yield "language", a.name, SELECTED, b.name, SELECTED
    for one, other in itertools.product(trained, [one for one in systems if one.role != "pretrained"]):
        yield "other", one.name, SELECTED, other.name, SELECTED
