"""States of cells: a small file for every cell that is being filled, is filled or failed, for whoever looks on.

The process that fills a cell writes its state, wherever it runs; `docs/design.md` lists what is in it.
"""

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from sibboleth import runs
from sibboleth.errors import SibbolethError
from sibboleth.runs import RunDirectory

FOLDER, LOGS = "states", "logs"
PERIOD = 1.0
"""Seconds after which a state is written anew while its cell is being filled."""

Progress = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class State:
    """How it stands with one cell."""

    file: str
    """Of the cell, in the run directory."""
    encoder: str
    method: str
    source: str
    state: Progress
    host: str
    pid: int
    started: str
    """In UTC."""
    seconds: float
    """Since then; of a cell that is done or failed, what it took."""
    steps: int
    """Answers and epochs that are done, of `total`."""
    total: int
    reason: str | None = None
    """Why it failed."""
    log: str | None = None
    """File in the run directory that says where."""


class Writing:
    """The state of a cell that this process fills."""

    def __init__(self, directory: RunDirectory, file: str, encoder: str, method: str, source: str, total: int) -> None:
        """Write that it has begun."""
        self.directory = directory
        who = platform.node() or "this machine"
        self.state = State(file, encoder, method, source, "running", who, os.getpid(), runs.now(), 0.0, 0, total)
        self._begun = self._written = time.monotonic()
        self._write()

    def step(self) -> None:
        """Count a step; what others see of it is `PERIOD` old at most."""
        self.state = replace(self.state, steps=self.state.steps + 1)
        if time.monotonic() - self._written > PERIOD:
            self._write()

    def done(self) -> float:
        """Write that the cell is filled; returns the seconds that it took."""
        self.state = replace(self.state, state="done")
        self._write()
        return self.state.seconds

    def failed(self, reason: str, trace: str) -> str | None:
        """Write that it failed, and a log of where; returns the log's name, none where it could not be written."""
        log = f"{LOGS}/{Path(self.state.file).stem}.log"
        one = self.state
        head = f"{one.encoder}, {one.method}, trained on {one.source} ({one.file})\n"
        place = f"process {one.pid} on {one.host}, begun {one.started}, step {one.steps} of {one.total}\n"
        self.state = replace(one, state="failed", reason=reason, log=log)
        with contextlib.suppress(SibbolethError):
            runs.write_text(self.directory / log, f"{head}{place}{reason}\n\n{trace}")
            self._write()
            return log
        return None

    def forgotten(self) -> None:
        """Remove the state of a cell that was stopped: nobody is filling it now."""
        forget(self.directory, self.state.file)

    def _write(self) -> None:
        self._written = time.monotonic()
        self.state = replace(self.state, seconds=round(self._written - self._begun, 3))
        with contextlib.suppress(SibbolethError):  # work goes on where only its state cannot be written
            write(self.directory, self.state)


def place(directory: RunDirectory, file: str) -> Path:
    """Return where the state of a cell is kept."""
    return directory / f"{FOLDER}/{Path(file).stem}.json"


def write(directory: RunDirectory, state: State) -> None:
    """Write a state, whole or not at all."""
    runs.write_text(place(directory, state.file), json.dumps(asdict(state), indent=2, ensure_ascii=False) + "\n")


def read(directory: RunDirectory, file: str) -> State | None:
    """Return the state of a cell; none where there is none, or none that this code knows."""
    return _read(place(directory, file))


def every(directory: RunDirectory) -> Iterator[State]:
    """Read all states, in the order of their files' names."""
    for path in sorted((directory / FOLDER).glob("[!.]*.json")):
        if (state := _read(path)) is not None:
            yield state


def under_way(directory: RunDirectory, files: Iterable[str]) -> int:
    """Count the steps that are done of cells that are being filled."""
    return sum(state.steps for file in files if (state := read(directory, file)) is not None)


def forget(directory: RunDirectory, file: str) -> None:
    """Remove the state of a cell that nobody is filling."""
    place(directory, file).unlink(missing_ok=True)


def clear(directory: RunDirectory) -> None:
    """Remove states and logs of an earlier run; what is done keeps its state, and so the time that it took."""
    for state in every(directory):
        if state.state != "done":
            place(directory, state.file).unlink(missing_ok=True)
    for log in (directory / LOGS).glob("*.log"):
        log.unlink(missing_ok=True)


def _read(path: Path) -> State | None:
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
