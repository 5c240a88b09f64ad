"""The page of a pre-training from what its folder says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth.runs import RunDirectory

PAGE = "curve.html"
LOG = "training.parquet"
_EMPTY = {"step": pl.Float64, "loss": pl.Float64, "learning rate": pl.Float64, "audio seconds": pl.Float64}


def draw(
    directory: RunDirectory, record: Mapping[str, Any], *, left: float | None = None, title: str | None = None
) -> Path:
    """Write the page of a pre-training from its record and its log; `left` are the seconds it will still take."""
    from sibboleth.report import curve

    log = directory / LOG
    rows = pl.read_parquet(log) if log.exists() else pl.DataFrame(schema=_EMPTY)
    known = ("name", "meaning", "least", "most")
    steps = record.get("settings", {}).get("training", {}).get("steps", 1)
    return curve.write(
        rows,
        directory / PAGE,
        title=title or record["name"],
        facts=_facts(record),
        signs=[curve.Sign(**{name: one[name] for name in known}) for one in record.get("vitals", [])],
        state=curve.State(status=record["status"], steps=steps, left=left, told=record.get("told", "")),
    )


def _facts(record: Mapping[str, Any]) -> list[str]:
    """Say in a line each what is known of it."""
    command = f"Command: {record['command']}"
    if "settings" not in record:
        return [command]
    settings = record["settings"]
    objective, batches, training = (settings[name] for name in ("objective", "batches", "training"))
    corpora = ", ".join(one["name"] for one in settings["corpora"])
    languages = ", ".join(record["languages"]) or "unknown"
    told = [
        f"Speech: {record['hours']:.3g} h in {record['pieces']:,} pieces of {corpora}; languages: {languages}",
        f"Begins with: {record['start']['name']}",
        f"Objective: {objective['kind']}{_targets(record)}",
        f"Training: {training['steps']:,} steps of {batches['accumulate']} x {batches['seconds']:g} s of audio in each "
        f"process, learning rate {training['learning_rate']:g}, seed {record['seed']}",
        command,
        f"Started: {record['started'][:19].replace('T', ' ')}",
    ]
    left_out = len(record["excluded"])
    return [*told, f"Left out: {left_out:,} utterances, with their reasons in run.json"] if left_out else told


def _targets(record: Mapping[str, Any]) -> str:
    targets = record["settings"]["objective"].get("targets", [])
    each = []
    for one in targets:
        layer = "" if one["layer"] is None else f", layer {one['layer']}"
        each.append(f"{one['clusters']} clusters of {one['features']}{layer}")
    return f", {' and '.join(each)}" if each else ""
