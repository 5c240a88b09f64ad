"""This process: one cell after another, each with all threads that it gains from."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from sibboleth.engines.unit import Outcome, Unit, carried_out
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedCell
from sibboleth.progress import track
from sibboleth.runs import RunDirectory

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.features import Features


class Local:
    """Does everything in this process, at once."""

    def __init__(self, material: Material, directory: RunDirectory) -> None:
        """Work on the cells of a study."""
        self.material = material
        self.directory = directory
        self._outcomes: dict[str, Outcome] = {}

    def extract(
        self, encoder: "Encoder", table: pl.DataFrame, scan: pl.DataFrame, cache: "Cache", frames: Sequence[int] = ()
    ) -> "Features":
        """Encode in as many threads as the encoder gains from, or in batches on an accelerator."""
        from sibboleth.models.features import extract

        return extract(encoder, table, scan, cache, frames)

    def begin(self, title: str, units: Sequence[Unit]) -> None:
        """Fill the cells one after another."""
        todo = []
        for unit in units:
            if unit.finished(self.material, self.directory):
                file = unit.cell.file(self.material)
                self._outcomes[file] = Outcome.of(unit.cell, file)
            else:
                todo.append(unit)
        kind = "epochs at most" if any(isinstance(unit.cell, TunedCell) for unit in todo) else "probes"
        for _ in track(self._solved(todo), title, sum(unit.steps for unit in todo), kind):
            pass

    def outcomes(self) -> dict[str, Outcome]:
        """Return what became of all that was begun."""
        return dict(self._outcomes)

    def _solved(self, units: Sequence[Unit]) -> Iterator[None]:
        for unit in units:
            for outcome in carried_out(unit, self.material, self.directory):
                if outcome is None:
                    yield
                else:
                    self._outcomes[outcome.file] = outcome
