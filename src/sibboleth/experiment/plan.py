"""The plan of a run: what there is to do, before it is done."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from sibboleth.experiment import cells
from sibboleth.experiment.cells import Cell
from sibboleth.experiment.material import Material
from sibboleth.runs import RunDirectory

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder

TRIAL_SECONDS = 2.0
"""Audio that is encoded to see how fast an encoder is here."""
BYTES_PER_ROW = 6
"""Of a predictions table on disk, per utterance, label, layer and trial; it stands there twice."""
SHARE_OF_PEAK = 0.25
"""Of the speed of a matrix product that probes reach."""


@dataclass(frozen=True)
class Line:
    """What one encoder has to do."""

    encoder: str
    cells: int
    finished: int
    forward_passes: int
    hours: float
    disk: int
    """Bytes that the cache and the run's tables will take."""
    minutes: float | None
    """To encode and to probe; unknown where the encoder fails on the trial."""


def of(
    material: Material,
    work: Sequence[tuple["Encoder", Sequence[Cell]]],
    cache: "Cache",
    directory: RunDirectory,
) -> Table:
    """Tell cells, hours of audio, forward passes, disk and time of every encoder, as a table for the terminal."""
    lines = [_line(material, encoder, mine, cache, directory) for encoder, mine in work]
    hours = material.scan["seconds"].sum() / 3600
    speakers = material.table["speaker"].n_unique()
    domains = material.table[material.study.domain].n_unique()
    table = Table(
        title=f"{material.study.name}: {material.table.height} utterances, {hours:.2f} hours, {speakers} speakers, "
        f"{domains} domains ({material.study.domain})",
        title_justify="left",
        caption=_caption(lines, material, cache),
        caption_justify="left",
    )
    for name in ("encoder", "cells", "done", "forward passes", "hours to encode", "disk", "time about"):
        table.add_column(name, justify="left" if name == "encoder" else "right")
    for line in lines:
        table.add_row(
            line.encoder,
            str(line.cells),
            str(line.finished),
            str(line.forward_passes),
            f"{line.hours:.2f}",
            _size(line.disk),
            _duration(line.minutes),
        )
    return table


def _line(
    material: Material, encoder: "Encoder", mine: Sequence[Cell], cache: "Cache", directory: RunDirectory
) -> Line:
    from sibboleth.models import features

    todo = [cell for cell in mine if not cells.finished(cell, material, directory)]
    done = len(mine) - len(todo)
    if not todo:
        return Line(encoder.name, len(mine), done, 0, 0.0, 0, 0.0)
    missing = features.plan(encoder, material.table, material.scan, cache)
    speed = _speed(encoder) if missing.seconds else 1.0
    out = max(1, len(material.target.labels))
    operations = sum(cell.probing.operations(encoder.layers, encoder.dim, out, cell.fits) for cell in todo)
    probing = operations / _operations_per_second()
    minutes = None if speed is None else (missing.seconds / speed + probing) / 60
    answers = sum(cells.steps(cell, encoder.layers) + len(cell.fits) for cell in todo) / len(todo)
    rows = answers * sum(len(test.rows) for cell in todo for fit in cell.fits for test in fit.tests) / len(todo[0].fits)
    disk = missing.bytes + int(2 * rows * out * BYTES_PER_ROW)
    return Line(encoder.name, len(mine), done, missing.passes, missing.seconds / 3600, disk, minutes)


def _operations_per_second() -> float:
    """Measure how fast this machine multiplies matrices as probes do."""
    matrix = np.random.default_rng(0).normal(size=(384, 384))
    matrix @ matrix
    begun = time.perf_counter()
    for _ in range(4):
        matrix @ matrix
    return SHARE_OF_PEAK * 4 * 2 * 384**3 / (time.perf_counter() - begun)


def _speed(encoder: "Encoder") -> float | None:
    """Measure seconds of audio encoded per second, on noise, after one pass to warm up; None where it fails."""
    noise = np.random.default_rng(0).normal(0, 0.1, int(TRIAL_SECONDS * encoder.rate)).astype(np.float32)
    encoder.prepare()
    try:
        encoder.hidden_states(noise)
        begun = time.perf_counter()
        encoder.hidden_states(noise)
    except Exception:  # a callable may fail on noise and work on speech; what it fails on is told when it is encoded
        return None
    return TRIAL_SECONDS / (time.perf_counter() - begun)


def _caption(lines: Sequence[Line], material: Material, cache: "Cache") -> str:
    needed = sum(line.disk for line in lines)
    free = shutil.disk_usage(cache.folder).free
    left_out = f"; {material.excluded.height} rows left out" if material.excluded.height else ""
    warning = "; [bold red]this is more than there is[/]" if needed > free else ""
    return f"cache ({cache.folder}) and tables will take {_size(needed)} of {_size(free)} free{warning}{left_out}"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _duration(minutes: float | None) -> str:
    if minutes is None:
        return "unknown"
    if minutes == 0:
        return "-"
    if minutes < 1:
        return "under a minute"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
