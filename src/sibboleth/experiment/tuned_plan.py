"""What fine-tuning would take: at most, since dev may stop it any epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sibboleth.experiment import plan, tuned
from sibboleth.experiment.cost import NONE, Span
from sibboleth.experiment.material import Material
from sibboleth.experiment.planned import Line
from sibboleth.experiment.tuned import TunedCell, TunedWork
from sibboleth.runs import RunDirectory
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache

LEARNING = 3.0
"""What a step costs, as passes through the layers: forward, and backward about twice that."""
SHORTEST = 0.6
"""Seconds that a training takes at least: it has to be begun, and its answers written."""
ACTIVATION_BYTES = 180
"""Held for the way back, per frame, layer and number of a frame: as measured with wav2vec2-base and LoRA."""
TRAINED_BYTES = 12
"""Held besides for a trained weight: its slope, and two moments."""


def lines(
    material: Material, works: Sequence[TunedWork], cache: "Cache", directory: RunDirectory, probed: bool
) -> list[Line]:
    """Count, for every encoder and method, trainings that are not finished, what is to be encoded, memory and time.

    What one has to be encoded for, or the probes where there are any, is there for those behind it.
    """
    there: dict[str, set[int | None]] = {}
    found = []
    for one in works:
        needed = there.setdefault(one.encoder.identity, {None} if probed else set())
        found.append(_line(material, one, cache, directory, needed))
    return found


def _line(material: Material, work: TunedWork, cache: "Cache", directory: RunDirectory, there: set[int | None]) -> Line:
    todo = [cell for cell in work.cells if not (material.heard and tuned.finished(cell, material, directory))]
    done = len(work.cells) - len(todo) if material.heard else None
    if not todo:
        return Line(work.name, len(work.cells), done, 0, 0, 0.0, 0, NONE, {}, 0, tunes=True)
    tuning, rows = work.tuning, _answered(todo)
    answered = 10 * tuning.voices if tuning.kind in FRAMED else tuning.out
    tables = int(2 * rows * answered * plan.BYTES_PER_ROW)
    if not material.heard:
        counts = len(work.cells), done, _trainings(todo)
        return Line(work.name, *counts, None, None, tables, None, None, tunes=True)
    passes, seconds, grown = _missing(material, work, cache, there)
    return Line(
        work.name,
        len(work.cells),
        done,
        _trainings(todo),
        passes,
        seconds / 3600,
        tables + grown,
        plan.encoded(work.encoder, material, seconds),
        _trained(material, work, todo),
        plan.taken(work.encoder, material, passes) + _training_bytes(work) + rows // len(todo) * plan.ROW_BYTES,
        tunes=True,
    )


def _missing(material: Material, work: TunedWork, cache: "Cache", there: set[int | None]) -> tuple[int, float, int]:
    """Return passes, seconds and bytes of what is to be encoded, and notes what then is there: layers, None: means."""
    from sibboleth.models import features

    tuning = work.tuning
    if tuning.hears_audio:
        return 0, 0.0, 0
    framed = tuning.method.adapts or tuning.kind in FRAMED
    needed: set[int | None] = {None, tuning.lowest} if framed else {None}
    if needed <= there:
        return 0, 0.0, 0
    missing = features.plan(work.encoder, material.table, material.scan, cache, (tuning.lowest,) if framed else ())
    grown = missing.frame_bytes if None in there else missing.bytes
    there |= needed
    return missing.passes, missing.seconds, grown


def _training_bytes(work: TunedWork) -> int:
    """Estimate what a step of training takes beside the weights: what is held for the way back, slopes and moments."""
    tuning = work.tuning
    if not tuning.layered:
        return 0
    encoder = work.encoder
    assert encoder.stride is not None  # what has layers that are computed has a fixed stride
    frames = tuning.training.batch_seconds * encoder.rate / encoder.stride
    above = tuning.layers - (0 if tuning.hears_audio else tuning.lowest)
    trained = 12 * encoder.dim**2 * above if tuning.method.train != "head" else 0
    return int(ACTIVATION_BYTES * frames * above * encoder.dim + TRAINED_BYTES * trained)


def _answered(todo: Sequence[TunedCell]) -> int:
    return sum(
        len(test.rows) * (1 if fit.then is not None and fit.then.shots is not None else cell.tuning.trials)
        for cell in todo
        for fit in cell.fits
        for test in fit.tests
    )


def _trainings(todo: Sequence[TunedCell]) -> int:
    from sibboleth.models.tuning.problems import problems

    every = [one for cell in todo for trial in range(cell.tuning.trials) for one in problems(cell.fits, trial)]
    return sum(len(todo[0].tuning.training.rates) + len(one.stages) for one in every)


def _trained(material: Material, work: TunedWork, todo: Sequence[TunedCell]) -> dict[str, Span] | None:
    """Estimate from the speed of a pass what all epochs of each cell take; a head alone takes next to nothing."""
    shortest = {cell.file(material): Span.of([SHORTEST * _trainings([cell])]) for cell in todo}
    if not work.tuning.layered:
        return shortest
    seconds = material.scan["seconds"].fill_null(0.0).to_numpy()
    each = plan.encoded(work.encoder, material, 1.0)
    if each is None:
        return None
    share = 1.0 if work.tuning.hears_audio else (work.tuning.layers - work.tuning.lowest) / (work.encoder.layers - 1)
    return {
        cell.file(material): short + each * (share * _heard(cell, seconds))
        for cell, short in zip(todo, shortest.values(), strict=True)
    }


def _heard(cell: TunedCell, seconds: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """Return the audio of all epochs and tests, learning counted as the passes that it costs."""
    from sibboleth.models.tuning.problems import problems

    epochs, total = cell.tuning.training.epochs, 0.0
    first = epochs * len(cell.tuning.training.rates)
    for trial in range(cell.tuning.trials):
        for problem in problems(cell.fits, trial):
            watched = sum(float(seconds[dev].sum()) for dev in problem.devs)
            total += first * (LEARNING * float(seconds[problem.train].sum()) + watched)
            for _, stage, _ in problem.stages:
                passed = float(seconds[stage.train].sum()) * LEARNING
                steps = cell.tuning.training.shot_steps
                by_steps = min(passed, LEARNING * cell.tuning.training.batch_seconds) * steps
                total += epochs * (passed + float(seconds[stage.dev].sum())) if len(stage.dev) else by_steps
    return total + sum(float(seconds[test.rows].sum()) for fit in cell.fits for test in fit.tests)
