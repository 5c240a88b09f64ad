"""Filling the cells of a run, encoder by encoder, on some engine; what fails is noted, and the rest goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl
from rich.text import Text

from sibboleth import engines
from sibboleth.engines import Engine, Outcome, Unit
from sibboleth.errors import CannotWrite, CellsFailed
from sibboleth.experiment import cells, erasure, recommendation, states, tuned, tuned_inputs
from sibboleth.experiment.cells import Aligned, Cell
from sibboleth.experiment.material import Material
from sibboleth.experiment.plan import Work
from sibboleth.experiment.planned import Plan
from sibboleth.experiment.record import Record
from sibboleth.experiment.tuned import TunedCell, TunedWork
from sibboleth.progress import console
from sibboleth.runs import RunDirectory, write_table

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache

AnyCell = TypeVar("AnyCell", Cell, TunedCell)

SHOWN = 10
"""Failed cells that the terminal names; all are in run.json."""


@dataclass
class Filling:
    """The cells of one run, as far as they are filled."""

    material: Material
    cache: "Cache"
    engine: Engine
    directory: RunDirectory
    record: Record
    probed: list[Cell] = field(default_factory=list)
    """Cells of probes, as they are filled."""
    trained: list[TunedCell] = field(default_factory=list)
    """Cells of methods, as they are filled."""
    failures: list[Outcome] = field(default_factory=list)

    def fill(self, work: Sequence[Work], tuning: Sequence[TunedWork], planned: Plan) -> None:
        """Fill all cells; raises `CellsFailed` where not one could be."""
        states.clear(self.directory)
        self.record.plan(_planned(work, tuning), self.material, planned.expected())
        begun = [(one, *self._probe(one)) for one in work]
        learnt = [(one, self._tune(one)) for one in tuning]
        outcomes = self.engine.outcomes()
        for one, aligned, mine in begun:
            done = self._noted(mine, one.encoder.name, outcomes)
            if aligned is not None and any(cell.alignment for cell in done):
                add(self.directory / "erasure.parquet", erasure.table(done, aligned, self.material, self.directory))
            self.probed += done
        for other, some in learnt:
            self.trained += self._noted(some, other.name, outcomes)
        told = ("file", "encoder", "method", "source", "reason", "log")
        self.record.fail([{name: getattr(one, name) for name in told} for one in self.failures])
        if not self.probed and not self.trained:
            raise CellsFailed(f"no cell could be filled\n{self.told()}")

    def require_all(self, page: Path) -> None:
        """Raise `CellsFailed` where some cells failed, after `page` was made of the others."""
        if self.failures:
            failed, done = len(self.failures), len(self.probed) + len(self.trained)
            raise CellsFailed(f"{failed} of {failed + done} cells failed; {page} is of the others\n{self.told()}")

    def told(self) -> str:
        """Say which cells failed and why, where to look and how to go on."""
        lines = [f"  {one.encoder}, {one.method}, trained on {one.source}: {one.reason}" for one in self.failures]
        if len(lines) > SHOWN:
            lines[SHOWN:] = [f"  ... and {len(lines) - SHOWN} more (run.json names them under failed)"]
        if logs := [one.log for one in self.failures if one.log]:
            lines.append(f"look at one:    cat '{self.directory / logs[0]}'")
        lines.append(f"run them again: {self.record.facts['command']}")
        return "\n".join(lines)

    def _probe(self, work: Work) -> tuple[Aligned | None, tuple[Cell, ...]]:
        """Encode with one encoder and begin to fill its cells; returns them as they will be filled."""
        material, directory = self.material, self.directory
        try:
            features = self.engine.extract(work.encoder, material.table, material.scan, self.cache)
        except CannotWrite:
            raise
        except Exception as error:
            return None, self._lost(work.cells, error)
        self.record.exclude(features.excluded.to_dicts())
        aligned = cells.Aligned(features, material.table["utterance"].to_list())
        if recommendation.possible(material):  # before any probe is trained
            place = directory / recommendation.file(work.cells[0], aligned.missing, material)
            told = recommendation.kept(place)
            if told is None:
                told = recommendation.table(work.cells[0].encoder, aligned, work.probing.pooling, material)
                write_table(place, told)
            add(directory / "recommendation.parquet", told)
        mine = tuple(replace(cell, missing=aligned.missing) for cell in work.cells)
        self._named(work.cells, mine)
        self.engine.begin(f"Probing {work.encoder.name}", [Unit(cell, aligned) for cell in mine])
        return aligned, mine

    def _tune(self, work: TunedWork) -> tuple[TunedCell, ...]:
        """Begin to fine-tune one encoder by one method for its cells; returns them as they will be filled."""
        try:
            given = tuned_inputs.inputs(work, self.material, self.cache, self.engine.extract)
        except CannotWrite:
            raise
        except Exception as error:
            return self._lost(work.cells, error)
        self.record.exclude(given.excluded.to_dicts())
        mine = tuple(replace(cell, missing=given.missing, short=given.short) for cell in work.cells)
        self._named(work.cells, mine)
        title = f"Probing {work.encoder.name}" if work.of_probe else f"Fine-tuning {work.name}"
        self.engine.begin(title, [Unit(cell, given.inputs, work) for cell in mine])
        return mine

    def _named(self, planned: Sequence[Cell | TunedCell], mine: Sequence[Cell | TunedCell]) -> None:
        """Note what the cells' files are called, now that it is known what the encoder fails on."""
        if not any(cell.missing or getattr(cell, "short", ()) for cell in mine):
            return
        files = (cell.file(self.material) for cell in planned)
        self.record.rename(dict(zip(files, (cell.file(self.material) for cell in mine), strict=True)))

    def _lost(self, mine: Sequence[AnyCell], error: Exception) -> tuple[AnyCell, ...]:
        """Note that none of the cells of an encoder could be begun."""
        self.failures += [engines.failed(cell, error, self.material, self.directory) for cell in mine]
        console.print(Text.assemble(("failed", "red"), f" {mine[0].encoder}: {error}"))
        return ()

    def _noted(self, mine: Sequence[AnyCell], name: str, outcomes: dict[str, Outcome]) -> list[AnyCell]:
        """Note what became of cells; returns those that are filled."""
        done = []
        for cell in mine:
            file = cell.file(self.material)
            outcome = outcomes[file]
            if outcome.reason is None:
                self.record.cell(file, name, cell.source, outcome.seconds)
                done.append(cell)
            else:
                self.failures.append(outcome)
        return done


def _planned(work: Sequence[Work], tuning: Sequence[TunedWork]) -> dict[str, list[tuple[Cell | TunedCell, int]]]:
    """List the cells by what they are a part of, and how many steps each takes."""
    planned: dict[str, list[tuple[Cell | TunedCell, int]]] = {}
    for one in work:
        planned[one.name] = [(cell, cells.steps(cell, one.encoder.layers)) for cell in one.cells]
    for other in tuning:
        planned[other.name] = [(cell, tuned.epochs(cell)) for cell in other.cells]
    return planned


def add(path: Path, rows: pl.DataFrame) -> None:
    """Write what one encoder adds to a table of the run."""
    write_table(path, pl.concat([pl.read_parquet(path), rows]) if path.exists() else rows)
