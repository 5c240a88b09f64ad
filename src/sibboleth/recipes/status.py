"""How a run stands: what is done, running and failed, and the time left."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import study as studies
from sibboleth.errors import SibbolethError
from sibboleth.experiment import standing
from sibboleth.experiment.standing import PlannedCell, Standing
from sibboleth.recipes import printing
from sibboleth.runs import RunDirectory

SHOWN = 10
"""Cells of a kind that are named; the rest is counted."""
AGO = 600.0
"""Seconds without a word from a run from which on that is told."""
SAID = {
    "running": "running",
    "killed": "killed: its process is gone",
    "stopped": "stopped",
    "failed": "failed as a whole",
    "incomplete": "done, but for cells that failed",
    "complete": "complete",
}


@dataclass(frozen=True)
class Status:
    """How a run stands; looks good on a terminal."""

    name: str
    directory: Path
    command: str
    """That begins it, or goes on with it."""
    standing: Standing | None
    """None where it was not begun."""
    soft_wrap: ClassVar[bool] = True
    """Commands are to be copied, so no line is broken."""

    def __str__(self) -> str:
        """Say it as plain text."""
        return printing.plain(self)

    def __rich__(self) -> RenderableType:
        """Show how it is, its cells, those that failed, and how to go on."""
        found = self.standing
        if found is None:
            return Text(
                f"{self.name}: not begun, or still reading and auditing ({self.directory} has no run.json)\n"
                f"begin: {self.command}\nwhat it takes: {self.command.replace(' run ', ' plan ', 1)}"
            )
        shown: list[RenderableType] = [Text(f"{self.name}: {_how(found)}")]
        if found.stage is not None:
            shown.append(Text(_doing(found)))
        if found.cells:
            shown.append(_table(found))
        shown += [Text(line) for line in [*_left(found), *_running(found), *self._failed(found), *self._onward(found)]]
        return Group(*shown)

    def _failed(self, found: Standing) -> list[str]:
        failed = found.those("failed")
        lines = []
        for cell in failed[:SHOWN]:
            assert cell.state is not None
            lines.append(f"failed: {_named(cell)}: {cell.state.reason}")
            if cell.state.log:
                lines.append(f"  look at it: cat {shlex.quote(str(self.directory / cell.state.log))}")
        if len(failed) > SHOWN:
            lines.append(
                f"... and {len(failed) - SHOWN} more that failed (their logs are in {self.directory / 'logs'})"
            )
        if failed:
            when = ", when it has ended" if found.condition == "running" else ""
            lines.append(f"run failed cells again{when}: {self.command}")
        return lines

    def _onward(self, found: Standing) -> list[str]:
        page = self.directory / "report.html"
        if found.condition in ("complete", "incomplete"):
            return [f"report: {page}"] if page.exists() else [f"its page is missing: sibboleth report {self.directory}"]
        if found.condition == "running" or found.those("failed"):
            return []
        return [f"go on: {self.command}"]


def status(study: Path, *, output: Path | None = None) -> Status:
    """Tell what of a study is done, running and failed, why, and how long the rest may take; nothing is changed.

    Args:
        study: The study file, or its run directory.
        output: Run directory of the study file; `runs/NAME` where not given.

    Returns:
        How the run stands. Raises `InvalidInput` for a study that cannot be read, and `SibbolethError` for a folder
        that has no run of a study.
    """
    if study.is_dir():
        if output is not None:
            raise SibbolethError(f"{study}: is a run directory, so leave --output out")
        directory, name = RunDirectory(study), study.name
        command = ""
    else:
        name = studies.read(study).name
        directory = RunDirectory(output or Path("runs") / name)
        command = f"sibboleth run {study}" + (f" --output {output}" if output else "")
        if not (directory / "run.json").exists():
            return Status(name, directory.path, command, None)
    found = standing.read(directory)
    if kind := found.record.get("kind"):
        page = "curves.html" if kind == "curves" else "curve.html"
        raise SibbolethError(f"{directory.path}: is of a {kind}; {directory / page} shows how that goes")
    return Status(str(found.record["name"]), directory.path, str(found.record.get("command") or command), found)


def _how(found: Standing) -> str:
    said = SAID.get(found.condition, found.condition)
    if found.condition == "running" and found.record["status"] not in ("running",):
        said = "running, its tables are done"
    told = [found.who] if found.who else []
    began = datetime.fromisoformat(found.record["started"])
    told.append(f"begun {began:%Y-%m-%d %H:%M} UTC")
    if finished := found.record.get("finished"):
        told.append(f"took {_duration((datetime.fromisoformat(finished) - began).total_seconds())}")
    elif found.condition == "running":
        told.append(f"for {_duration(_since(began))}")
    return f"{said} ({', '.join(told)})"


def _doing(found: Standing) -> str:
    stage = found.stage
    assert stage is not None
    count = f"{stage.title}: {stage.done:,} of {stage.total:,} {stage.unit}".rstrip()
    if found.condition != "running":
        return f"it was at: {count}"
    left = "" if stage.left is None else f", about {_duration(stage.left)} left of it"
    quiet = _since(datetime.fromisoformat(stage.written))
    return f"now: {count}{left}" + (f" (nothing new for {_duration(quiet)})" if quiet > AGO else "")


def _table(found: Standing) -> Table:
    shown = printing.table("", ("encoder", "method"), ("cells", "done", "running", "failed", "waiting"))
    kinds = dict.fromkeys((cell.encoder, cell.method) for cell in found.cells)
    for encoder, method in kinds:
        mine = [cell for cell in found.cells if (cell.encoder, cell.method) == (encoder, method)]
        shown.add_row(Text(encoder), Text(method), *_counts(found, mine))
    if len(kinds) > 1:
        shown.add_section()
        shown.add_row("all", "", *_counts(found, found.cells))
    return shown


def _counts(found: Standing, cells: "list[PlannedCell] | tuple[PlannedCell, ...]") -> list[str]:
    count = found.counted(cells)
    running = "running" if found.condition == "running" else None
    waiting = count["waiting"] + (0 if running else count["running"])
    return [
        f"{len(cells):,}",
        f"{count['done']:,}",
        f"{count['running'] if running else 0:,}",
        f"{count['failed']:,}",
        f"{waiting:,}",
    ]


def _left(found: Standing) -> list[str]:
    if found.condition != "running":
        return []
    if found.left is None:
        return ["time left: not known yet, nothing like what is left was done so far"]
    return [f"time left: about {_duration(found.left)}"]


def _running(found: Standing) -> list[str]:
    running = found.those("running")
    if found.condition != "running":
        under_way = "was being filled when it ended; what it had finished is kept"
        return [f"{_named(cell)}: {under_way}" for cell in running[:SHOWN]]
    lines = []
    for cell in running[:SHOWN]:
        assert cell.state is not None
        at = f"process {cell.state.pid} on {cell.state.host}"
        lines.append(f"running: {_named(cell)}: step {cell.state.steps:,} of {cell.steps:,} ({at})")
    return [*lines, f"... and {len(running) - SHOWN} more"] if len(running) > SHOWN else lines


def _named(cell: PlannedCell) -> str:
    return f"{cell.encoder}, {cell.method}, trained on {cell.source}"


def _since(when: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - when).total_seconds())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.1f} days"
