"""What a run says about fine-tuning: one row per encoder and method, and one per epoch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import LOG, TunedCell
from sibboleth.runs import RunDirectory


def method_table(cells_: Sequence[TunedCell], material: Material, directory: RunDirectory) -> pl.DataFrame:
    """Say what each encoder with each method trained, and what that cost."""
    systems: dict[tuple[str, str], list[TunedCell]] = {}
    for cell in cells_:
        systems.setdefault((cell.encoder, cell.method), []).append(cell)
    rows = [_method(some, [directory / cell.file(material) for cell in some]) for some in systems.values()]
    return pl.DataFrame(rows, schema=METHODS, orient="row")


def learning_table(cells_: Sequence[TunedCell], material: Material, directory: RunDirectory) -> pl.DataFrame:
    """Join what was told of every epoch."""
    paths = [(directory / cell.file(material)).with_suffix(".learning.parquet") for cell in cells_]
    return pl.concat([pl.read_parquet(path) for path in paths])


def _method(some: Sequence[TunedCell], paths: Sequence[Path]) -> dict[str, Any]:
    first = some[0]
    facts = json.loads(paths[0].with_suffix(".facts.json").read_text(encoding="utf-8"))
    log = pl.concat([pl.read_parquet(path.with_suffix(".learning.parquet")) for path in paths])
    # An epoch that several dev sets watch stands in the log once for each.
    trainings = [name for name in LOG if name in ("source", "then", "shots", "trial", "stage")] + ["training"]
    passed = log.unique([*trainings, "epoch"], maintain_order=True)
    per_training = passed.group_by(trainings).len()["len"]
    return {
        "encoder": first.encoder,
        "method": first.method,
        "kept": first.tuning.layers,
        "lowest": first.tuning.lowest,
        "trained": sum(facts["parts"].values()),
        "total": facts["total"],
        "parts": json.dumps(facts["parts"]),
        "matched": first.tuning.method.match_parameters,
        "fits": len(per_training),
        "epochs": per_training.mean(),
        "seconds": passed["seconds"].sum(),
        "seconds_per_epoch": passed["seconds"].mean(),
        "memory": passed["memory"].max(),
        "device": facts["device"],
        "bits": facts["bits"],
    }


METHODS = {
    "encoder": pl.String,
    "method": pl.String,
    "kept": pl.Int32,
    "lowest": pl.Int32,
    "trained": pl.Int64,
    "total": pl.Int64,
    "parts": pl.String,
    "matched": pl.String,
    "fits": pl.Int32,
    "epochs": pl.Float64,
    "seconds": pl.Float64,
    "seconds_per_epoch": pl.Float64,
    "memory": pl.Int64,
    "device": pl.String,
    "bits": pl.String,
}
