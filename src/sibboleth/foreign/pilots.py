"""Pilots: answers from which a planned study takes its levels and correlations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sibboleth import metrics, runs, scores, texts
from sibboleth.errors import InvalidInput
from sibboleth.foreign import reading
from sibboleth.foreign.remarks import some
from sibboleth.metrics import Metric
from sibboleth.stats import FEW_CLUSTERS, planning
from sibboleth.stats.planning import Model


@dataclass(frozen=True)
class Pilot:
    """What a pilot says about answers to come."""

    model: Model
    labels: int
    """Number of labels."""
    systems: int
    """One, or two that answered the same utterances."""


def read(path: Path, reference: Path | None, wanted: Sequence[str], metric: Metric[Any], notes: list[str]) -> Pilot:
    """Estimate the model from answers of one or two raters; raises `InvalidInput` where they cannot serve."""
    file = path
    if path.is_dir():
        runs.RunDirectory(path).read()
        file, reference = path / "predictions.parquet", reference or path / "utterances.parquet"
    found = reading.gather((file,), reference, reading.Names(), texts.named("basic"))
    if found.target.kind != "classification":
        raise InvalidInput(f"{path}: a pilot has labels, not {found.target.kind}")
    there = found.answers.select("run", "rater").unique().sort("run", "rater").rows()
    chosen = _chosen(path, there, wanted)
    kept = found.answers.join(
        pl.DataFrame(chosen, schema={"run": pl.String, "rater": pl.String}, orient="row"),
        on=["run", "rater"],
        how="semi",
    )
    right = scores.judge(kept, found.reference, found.target).select(
        "run", "rater", "utterance", right=1.0 - pl.col("wrong").cast(pl.Float64)
    )
    wide = right.group_by("utterance", "run", "rater").agg(pl.col("right").mean().round()).sort("utterance")
    sides = [wide.filter(pl.col("run") == run, pl.col("rater") == rater).drop("run", "rater") for run, rater in chosen]
    both = sides[0] if len(sides) == 1 else sides[0].join(sides[1], on="utterance", suffix="_b").sort("utterance")
    speakers = [found.clusters.get(utterance) for utterance in both["utterance"]]
    if None in speakers or len(set(speakers)) < 2:
        raise InvalidInput(f"{path}: a pilot needs the speaker of every utterance, and two speakers or more")
    codes = np.unique(np.array(speakers, dtype=str), return_inverse=True)[1].astype(np.int64)
    a = both["right"].to_numpy()
    model = planning.fit(a, a if len(sides) == 1 else both["right_b"].to_numpy(), codes)
    levels = [_level(found, name, metric) for name in chosen]
    model = replace(model, a=levels[0], b=levels[-1])
    said = f" and {metric.name} {levels[1]:.3f}" if len(sides) == 2 else ""
    notes.append(
        f"pilot: {len(both):,} answers about {len(set(speakers))} speakers of"
        f" {' and '.join('/'.join(name) for name in chosen)}, {metric.name} {levels[0]:.3f}{said}"
    )
    if len(set(speakers)) < FEW_CLUSTERS:
        notes.append(
            f"WARNING: correlations from fewer than {FEW_CLUSTERS} speakers are rough: try --icc half and twice that"
        )
    return Pilot(model, len(found.target.labels), len(sides))


def _level(found: reading.Reading, name: tuple[str, str], metric: Metric[Any]) -> float:
    mine = found.answers.filter(pl.col("run") == name[0], pl.col("rater") == name[1])
    aligned = metrics.align(mine, found.reference, found.target)
    return float(np.clip(metric(aligned.answers), 0.01, 0.99))


def _chosen(path: Path, there: list[tuple[str, str]], wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Find the one or two raters that the user means."""
    names = {f"{run}/{rater}": (run, rater) for run, rater in there}
    if not wanted:
        if len(there) > 2:
            raise InvalidInput(f"{path}: has {len(there)} raters; choose one or two with --raters: {some(names)}")
        return there
    if len(wanted) > 2:
        raise InvalidInput("--raters: one or two")
    chosen = []
    for name in wanted:
        fits = [pair for whole, pair in names.items() if name in (whole, *pair)]
        if len(fits) != 1:
            many = f"{len(fits)} raters match" if fits else "no rater is called so"
            raise InvalidInput(f"--raters {name}: {many}; there are {some(names)}")
        chosen.append(fits[0])
    return chosen
