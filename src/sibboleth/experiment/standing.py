"""How a run stands: its cells, what it is doing, and how long that may still take, from what it leaves behind."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sibboleth.experiment import stages, states
from sibboleth.experiment.stages import Stage
from sibboleth.experiment.states import State
from sibboleth.runs import LOCK, RunDirectory

Condition = Literal["running", "killed", "stopped", "failed", "incomplete", "complete"]
CONDITIONS: dict[str, Condition] = {"interrupted": "stopped", "running": "killed"}
"""What a status in `run.json` stands for where nobody is at work; others stand for themselves."""
CellCondition = Literal["done", "running", "failed", "waiting"]
ENCODING = "Encoding with "
"""So begins the title of a stage that encodes."""


@dataclass(frozen=True)
class PlannedCell:
    """One cell that a run is to fill, and how it stands with it."""

    file: str
    """In the run directory."""
    work: str
    """What it is a part of: its encoder, or encoder and method."""
    encoder: str
    method: str
    source: str
    steps: int
    """That it takes in all, at most."""
    expected: float | None
    """Seconds that the plan gave it."""
    condition: CellCondition
    state: State | None
    """What the process that fills it, or filled it, says; none of what is waiting, or was filled long ago."""


@dataclass(frozen=True)
class Standing:
    """How a run stands."""

    condition: Condition
    who: str
    """The process that is, or was, at work; empty where it does not say."""
    stage: Stage | None
    """What it is doing, or was when it was killed."""
    cells: tuple[PlannedCell, ...]
    left: float | None
    """Seconds, about; none where nobody is at work, or nothing like what is left was done yet."""
    record: Mapping[str, Any]
    """`run.json`."""

    def counted(self, cells: Iterable[PlannedCell] | None = None) -> "Counter[CellCondition]":
        """Count cells, all or some, by their condition."""
        return Counter(cell.condition for cell in (self.cells if cells is None else cells))

    def those(self, condition: CellCondition) -> tuple[PlannedCell, ...]:
        """List the cells of one condition."""
        return tuple(cell for cell in self.cells if cell.condition == condition)


def read(directory: RunDirectory) -> Standing:
    """Read how a run stands; nothing is written. Raises `SibbolethError` where there is no run."""
    occupied = directory.occupied()
    record = directory.read()
    status = str(record["status"])
    stage = stages.read(directory)
    at_work = occupied if occupied is not None else status == "running"
    condition: Condition = "running" if at_work else CONDITIONS.get(status, status)  # type: ignore[arg-type]
    cells = tuple(_cell(one, directory) for one in record.get("planned", ()))
    left = _left(cells, stage, record.get("expected") or {}) if at_work else None
    return Standing(
        condition, _who(directory) if condition in ("running", "killed") else "", stage, cells, left, record
    )


def _who(directory: RunDirectory) -> str:
    try:
        return (directory / LOCK).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _cell(planned: Mapping[str, Any], directory: RunDirectory) -> PlannedCell:
    file = str(planned["file"])
    state = states.read(directory, file)
    condition: CellCondition = "waiting"
    if state is not None and state.state == "failed":
        condition = "failed"
    elif (directory / file).exists():
        condition = "done"
    elif state is not None and state.state == "running":
        condition = "running"
    return PlannedCell(
        file,
        planned["work"],
        planned["encoder"],
        planned["method"],
        planned["source"],
        planned["steps"],
        planned.get("seconds"),
        condition,
        state,
    )


def _left(cells: Sequence[PlannedCell], stage: Stage | None, expected: Mapping[str, Any]) -> float | None:
    """Add up what encoding, cells and the end may take; cells go on as many at once as now."""
    encoding = _encoding_left(cells, stage, expected.get("encoding") or {})
    rates = _rates(cells)
    filling = [_cell_left(cell, rates) for cell in cells if cell.condition in ("running", "waiting")]
    finish = expected.get("finish")
    if encoding is None or any(one is None for one in filling):
        return None
    if not filling and stage is not None and not stage.title.startswith(ENCODING):
        return stage.left
    at_once = max(1, sum(cell.condition == "running" for cell in cells))
    return encoding + sum(one for one in filling if one is not None) / at_once + (finish or 0.0)


def _encoding_left(
    cells: Sequence[PlannedCell], stage: Stage | None, expected: Mapping[str, float | None]
) -> float | None:
    """Return seconds of encoding: what is going on, and what the plan gave to work that has not begun."""
    under_way = stage is not None and stage.title.startswith(ENCODING)
    left = stage.left if stage is not None and under_way else 0.0
    waiting = {cell.work for cell in cells} - {cell.work for cell in cells if cell.condition != "waiting"}
    if stage is not None and under_way:
        encoder = stage.title.removeprefix(ENCODING)
        current = next((cell.work for cell in cells if cell.work in waiting and cell.encoder == encoder), None)
        waiting -= {current}
    others = [expected.get(work) for work in sorted(waiting)]
    if left is None or any(one is None for one in others):
        return None
    return left + sum(one for one in others if one is not None)


def _rates(cells: Iterable[PlannedCell]) -> dict[tuple[str, str], float]:
    """Return the seconds that a step took so far, for every encoder and method of which some were taken."""
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    steps: defaultdict[tuple[str, str], int] = defaultdict(int)
    for cell in cells:
        if cell.state is not None and cell.condition in ("running", "done") and cell.state.steps:
            seconds[cell.encoder, cell.method] += cell.state.seconds
            steps[cell.encoder, cell.method] += cell.state.steps
    return {kind: seconds[kind] / steps[kind] for kind in steps}


def _cell_left(cell: PlannedCell, rates: Mapping[tuple[str, str], float]) -> float | None:
    """Return seconds until a cell is filled, by those like it as far as they have come, or else by the plan."""
    done = cell.state.steps if cell.state is not None and cell.condition == "running" else 0
    rate = rates.get((cell.encoder, cell.method))
    if rate is None and cell.expected is not None:
        rate = cell.expected / max(1, cell.steps)
    return None if rate is None else (cell.steps - done) * rate
