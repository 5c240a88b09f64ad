"""What fine-tuning would take: at most, since dev may stop it any epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sibboleth.experiment import plan, tuned
from sibboleth.experiment.material import Material
from sibboleth.experiment.plan import Line
from sibboleth.experiment.tuned import TunedCell, TunedWork
from sibboleth.runs import RunDirectory
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache

LEARNING = 3.0
"""What a step costs, as passes through the layers: forward, and backward about twice that."""
SHORTEST = 0.01
"""Minutes that a training takes at least: it has to be begun, and its answers written."""


def lines(material: Material, works: Sequence[TunedWork], cache: "Cache", directory: RunDirectory) -> list[Line]:
    """Count, for every encoder and method, trainings that are not finished, what is to be encoded, and time."""
    return [_line(material, one, cache, directory) for one in works]


def _line(material: Material, work: TunedWork, cache: "Cache", directory: RunDirectory) -> Line:
    from sibboleth.models import features

    todo = [cell for cell in work.cells if not (material.heard and tuned.finished(cell, material, directory))]
    done = len(work.cells) - len(todo) if material.heard else None
    if not todo:
        return Line(work.name, len(work.cells), done, 0, 0, 0.0, 0, 0.0)
    tuning, rows = work.tuning, _answered(todo)
    answered = 10 * tuning.voices if tuning.kind in FRAMED else tuning.out
    size = int(2 * rows * answered * plan.BYTES_PER_ROW)
    if not material.heard:
        return Line(work.name, len(work.cells), done, _trainings(todo), None, None, size, None)
    framed = (tuning.method.adapts or tuning.kind in FRAMED) and not tuning.hears_audio
    frames = (tuning.lowest,) if framed else ()
    missing = features.plan(work.encoder, material.table, material.scan, cache, frames)
    passes, seconds, more = (0, 0.0, 0) if tuning.hears_audio else (missing.passes, missing.seconds, missing.bytes)
    return Line(
        work.name,
        len(work.cells),
        done,
        _trainings(todo),
        passes,
        seconds / 3600,
        size + more,
        _minutes(material, work, todo, seconds),
    )


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


def _minutes(material: Material, work: TunedWork, todo: Sequence[TunedCell], encoding: float) -> float | None:
    """Estimate from the speed of a pass what all epochs take; a head alone takes next to nothing."""
    shortest = SHORTEST * _trainings(todo)
    if not work.tuning.layered:
        return shortest
    speed = plan.speed(work.encoder)
    if speed is None:
        return None
    share = 1.0 if work.tuning.hears_audio else (work.tuning.layers - work.tuning.lowest) / (work.encoder.layers - 1)
    seconds = material.scan["seconds"].fill_null(0.0).to_numpy()
    heard = share * sum(_heard(cell, seconds) for cell in todo)
    return shortest + (encoding + heard) / speed / 60


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
