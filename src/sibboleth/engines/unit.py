"""Units of work: a cell and what it is filled from, carried out by whichever process it was given to."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sibboleth.errors import CannotWrite, SibbolethError
from sibboleth.experiment import cells, states, tuned
from sibboleth.experiment.cells import Aligned, Cell
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedCell, TunedWork
from sibboleth.runs import RunDirectory

if TYPE_CHECKING:
    from sibboleth.models.tuning.inputs import Inputs


@dataclass(frozen=True)
class Unit:
    """One cell that is to be filled."""

    cell: Cell | TunedCell
    given: "Aligned | Inputs"
    """Features of an encoder for a probe, inputs of the networks for a method."""
    work: TunedWork | None = None
    """What the cell of a method is a part of."""

    @property
    def steps(self) -> int:
        """Count the steps that `solve` yields."""
        if isinstance(self.cell, TunedCell):
            return tuned.epochs(self.cell)
        assert isinstance(self.given, Aligned)
        return cells.steps(self.cell, self.given.layers)

    @property
    def narrow(self) -> bool:
        """Say whether it trains a network so narrow that it computes on one thread; on an accelerator none does."""
        from sibboleth.models import threads
        from sibboleth.models.encoders import arithmetic

        return self.work is not None and self.work.encoder.dim < threads.NARROW and arithmetic.device().type == "cpu"

    def finished(self, material: Material, directory: RunDirectory) -> bool:
        """Say whether it is filled already."""
        if isinstance(self.cell, TunedCell):
            return tuned.finished(self.cell, material, directory)
        return cells.finished(self.cell, material, directory)

    def solve(self, material: Material, directory: RunDirectory) -> Iterator[None]:
        """Fill it, yielding at every step."""
        if isinstance(self.cell, TunedCell):
            from sibboleth.models import threads

            assert self.work is not None and not isinstance(self.given, Aligned)
            with threads.at_most(1 if self.narrow else threads.count()):
                yield from tuned.solve(self.cell, self.work, self.given, material, directory)
            return
        assert isinstance(self.given, Aligned)
        yield from cells.solve(self.cell, self.given, material, directory)


@dataclass(frozen=True)
class Outcome:
    """What became of one cell."""

    file: str
    """Of the cell, in the run directory."""
    encoder: str
    method: str
    source: str
    seconds: float | None = None
    """That it took; none where it was filled already."""
    reason: str | None = None
    """Why it failed."""
    log: str | None = None
    """File in the run directory that says where."""
    fatal: bool = False
    """Whether the reason holds for all other cells, too."""

    @classmethod
    def of(cls, cell: Cell | TunedCell, file: str, seconds: float | None = None) -> "Outcome":
        """Say that a cell is filled."""
        return cls(file, cell.encoder, cell.method, cell.source, seconds)


def carried_out(unit: Unit, material: Material, directory: RunDirectory) -> Iterator[Outcome | None]:
    """Fill a cell, yielding at every step, and at last what became of it; its state is written as it goes.

    Whatever it raises must not stop the others. Raises `CannotWrite`, which would stop them, too.
    """
    cell, file = unit.cell, unit.cell.file(material)
    state = states.Writing(directory, file, cell.encoder, cell.method, cell.source, unit.steps)
    try:
        for _ in unit.solve(material, directory):
            state.step()
            yield None
    except CannotWrite:
        state.forgotten()
        raise
    except Exception as error:
        yield _failed(cell, error, state)
    except BaseException:
        state.forgotten()
        raise
    else:
        yield Outcome.of(cell, file, state.done())


def failed(cell: Cell | TunedCell, error: Exception, material: Material, directory: RunDirectory) -> Outcome:
    """Note that a cell could not be begun, or was lost with the process that filled it."""
    file = cell.file(material)
    state = states.Writing(directory, file, cell.encoder, cell.method, cell.source, 0)
    return _failed(cell, error, state)


def _failed(cell: Cell | TunedCell, error: Exception, state: states.Writing) -> Outcome:
    reason = str(error) if isinstance(error, SibbolethError) else f"{type(error).__name__}: {error}"
    log = state.failed(reason, "".join(traceback.format_exception(error)))
    return Outcome(state.state.file, cell.encoder, cell.method, cell.source, reason=reason, log=log)
