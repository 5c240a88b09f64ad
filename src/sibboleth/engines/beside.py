"""Processes beside this one that fill cells whose training uses one thread, so that all cores have work.

They are started with nothing but a pipe, are told of one cell after another, and end with the process that began them.
"""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sibboleth.engines import node
from sibboleth.engines.unit import Outcome
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedCell
from sibboleth.study import EncoderSettings

CHECKED = 1.0
"""Seconds after which a process looks whether the one that began it is still there."""


@dataclass(frozen=True)
class Task:
    """A cell that is to be filled in another process."""

    cell: TunedCell
    settings: EncoderSettings
    steps: int
    file: str
    """Of the cell, in the run directory."""


@dataclass
class Beside:
    """Processes that fill cells of one run."""

    place: node.Place
    shelf: Path
    """File with the material."""
    waiting: "queue.SimpleQueue[Task]" = field(default_factory=queue.SimpleQueue)
    _outcomes: "queue.SimpleQueue[tuple[Task, Outcome | None]]" = field(default_factory=queue.SimpleQueue)
    _processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    """One for each process."""

    def start(self, count: int) -> None:
        """Start so many processes, each of which fills what waits until nothing does."""
        command = [sys.executable, "-m", "sibboleth.engines.beside", str(os.getpid())]
        for _ in range(count):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the process that began it
            )
            self._processes.append(process)
            self._threads.append(threading.Thread(target=self._serve, args=(process,), daemon=True))
            self._threads[-1].start()

    def ended(self, seconds: float) -> Iterator[tuple[Task, Outcome]]:
        """Yield what has ended, and wait so long for it where nothing has.

        What was lost with a process, or waits for processes that are all lost, is filled here.
        """
        while not self.waiting.empty() and not any(one.is_alive() for one in self._threads):
            yield self._here(self.waiting.get())
        with contextlib.suppress(queue.Empty):
            task, outcome = self._outcomes.get(timeout=seconds)
            yield self._here(task) if outcome is None else (task, outcome)

    def stop(self) -> None:
        """End the processes, whatever they are doing."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _here(self, task: Task) -> tuple[Task, Outcome]:
        from sibboleth.models import threads

        before = threads.count()
        try:
            return task, node.fill(self.place, task.cell, task.settings, [self.shelf])
        finally:
            threads.use(before)  # a process for cells uses one

    def _serve(self, process: "subprocess.Popen[bytes]") -> None:
        """Hand one cell after another to a process; ends with it."""
        assert process.stdin and process.stdout
        with contextlib.suppress(OSError, queue.Empty), process.stdin, process.stdout:
            while True:
                task = self.waiting.get_nowait()
                try:
                    pickle.dump((self.place, task.cell, task.settings, [self.shelf]), process.stdin)
                    process.stdin.flush()
                    self._outcomes.put((task, pickle.load(process.stdout)))
                except (OSError, EOFError, pickle.UnpicklingError):
                    self._outcomes.put((task, None))
                    return


@contextlib.contextmanager
def opened(place: node.Place, material: Material, tasks: Sequence[Task], count: int) -> Iterator[Beside]:
    """Start processes that fill cells, at most as many as there are cells; they end with the block."""
    with tempfile.TemporaryDirectory(prefix="sibboleth-") as folder:
        shelf = Path(folder) / "material"
        shelf.write_bytes(pickle.dumps(node.needed(material)))
        beside = Beside(place, shelf)
        for task in tasks:
            beside.waiting.put(task)
        try:
            beside.start(min(count, len(tasks)))
            yield beside
        finally:
            beside.stop()


def main() -> None:
    """Fill cells that are told on standard input, and tell what became of them on standard output."""
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no answer
    threading.Thread(target=_watch, args=(int(sys.argv[1]),), daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _answer(asked, told)


def _answer(asked: BinaryIO, told: Any) -> None:
    told.write(pickle.dumps(node.fill(*pickle.load(asked))))
    told.flush()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(CHECKED)
    os._exit(1)


if __name__ == "__main__":
    main()
