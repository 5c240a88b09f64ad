"""This machine: one cell after another, each with all threads that it gains from.

Those that gain from one alone are filled side by side in processes, once one has shown that it is worth it.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from sibboleth import memory
from sibboleth.engines import beside, node
from sibboleth.engines.beside import Task
from sibboleth.engines.unit import Outcome, Unit, carried_out
from sibboleth.errors import CannotWrite
from sibboleth.experiment import states
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedCell
from sibboleth.progress import track
from sibboleth.runs import RunDirectory

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.features import Features

WORTH = 10.0
"""Seconds that a cell takes from which processes are started for those that follow; each takes some to begin."""
PERIOD = 0.5
"""Seconds after which what they did is looked at again."""


class Local:
    """Does everything on this machine."""

    def __init__(self, material: Material, directory: RunDirectory) -> None:
        """Work on the cells of a study."""
        self.material = material
        self.directory = directory
        self._outcomes: dict[str, Outcome] = {}
        self._processes = 1
        """That cells of narrow networks are divided among."""
        self._later: list[Task] = []

    def extract(
        self, encoder: "Encoder", table: pl.DataFrame, scan: pl.DataFrame, cache: "Cache", frames: Sequence[int] = ()
    ) -> "Features":
        """Encode in as many threads as the encoder gains from, or in batches on an accelerator."""
        from sibboleth.models.features import extract

        return extract(encoder, table, scan, cache, frames)

    def begin(self, title: str, units: Sequence[Unit]) -> None:
        """Fill the cells one after another, but for those that processes will fill."""
        todo = []
        for unit in units:
            if unit.finished(self.material, self.directory):
                file = unit.cell.file(self.material)
                self._outcomes[file] = Outcome.of(unit.cell, file)
            elif self._processes > 1 and unit.narrow:
                self._postpone(unit)
            else:
                todo.append(unit)
        kind = "epochs at most" if any(isinstance(unit.cell, TunedCell) for unit in todo) else "probes"
        for _ in track(self._solved(todo), title, sum(unit.steps for unit in todo), kind):
            pass

    def outcomes(self) -> dict[str, Outcome]:
        """Return what became of all that was begun, once processes have filled what was left to them."""
        if self._later:
            title = f"Fine-tuning {len(self._later)} cells in {min(self._processes, len(self._later))} processes"
            total = sum(task.steps for task in self._later)
            for _ in track(self._divided(), title, total, "epochs at most"):
                pass
        return dict(self._outcomes)

    def _solved(self, units: Sequence[Unit]) -> Iterator[None]:
        """Fill cells, yielding at every step."""
        for place, unit in enumerate(units):
            begun = time.monotonic()
            for outcome in carried_out(unit, self.material, self.directory):
                if outcome is None:
                    yield
                else:
                    self._outcomes[outcome.file] = outcome
            if self._worth(unit, time.monotonic() - begun):
                for other in units[place + 1 :]:
                    self._postpone(other)
                    yield from (None for _ in range(other.steps))
                return

    def _worth(self, unit: Unit, seconds: float) -> bool:
        """Find whether processes are worth starting for cells like one that took so many seconds."""
        from sibboleth.models import threads

        if not unit.narrow:
            return False
        if seconds > WORTH and memory.limit() is None and sys.platform != "win32":
            there = memory.available()
            room = threads.count() if there is None else there // max(1, memory.peak())
            self._processes = max(1, min(threads.count(), room))
        return self._processes > 1

    def _postpone(self, unit: Unit) -> None:
        assert unit.work is not None and isinstance(unit.cell, TunedCell)
        settings = node.settings(unit.work.encoder, self.material)
        self._later.append(Task(unit.cell, settings, unit.steps, unit.cell.file(self.material)))

    def _divided(self) -> Iterator[None]:
        """Fill cells in processes of one thread, yielding at every step."""
        waiting, ended, shown = {task.file: task for task in self._later}, 0, 0
        with (
            node.shared(self.directory, 1) as place,
            beside.opened(place, self.material, self._later, self._processes) as others,
        ):
            self._later = []
            try:
                while waiting:
                    for task, outcome in others.ended(PERIOD):
                        self._note(outcome)
                        del waiting[task.file]
                        ended += task.steps
                    for _ in range(ended + states.under_way(self.directory, waiting) - shown):
                        shown += 1
                        yield
            finally:
                others.stop()
                for file in waiting:
                    states.forget(self.directory, file)

    def _note(self, outcome: Outcome) -> None:
        if outcome.fatal:
            raise CannotWrite(str(outcome.reason))
        self._outcomes[outcome.file] = outcome
