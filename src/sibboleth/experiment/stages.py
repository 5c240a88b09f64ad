"""Stages: a small file that says what a run is doing just now, for whoever looks on."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from sibboleth import progress, runs
from sibboleth.errors import SibbolethError
from sibboleth.progress import Step
from sibboleth.runs import RunDirectory

FILE = "stage.json"
PERIOD = 1.0
"""Seconds after which it is written anew while nothing but the count changes."""


@dataclass(frozen=True)
class Stage:
    """What a run is doing."""

    title: str
    done: int
    total: int
    unit: str
    seconds: float
    """Since it began."""
    written: str
    """When this was so, in UTC."""

    @property
    def left(self) -> float | None:
        """Seconds left if it goes on as it went so far; none where nothing is done yet."""
        return self.seconds * (self.total - self.done) / self.done if self.done else None


class _Writing:
    """Writes each step that is told of it, but not too often."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.title: str | None = None
        self.begun = self.last = 0.0

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        if step.title != self.title or not step.done:
            self.title, self.begun = step.title, now
        elif now - self.last < PERIOD:
            return
        self.last = now
        stage = Stage(**asdict(step), seconds=round(now - self.begun, 3), written=runs.now())
        with contextlib.suppress(SibbolethError):  # work goes on where only this cannot be written
            runs.write_text(self.directory / FILE, json.dumps(asdict(stage), indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def told(directory: RunDirectory) -> Iterator[None]:
    """Keep the file while the work inside is done; a killed process leaves it, which says where it was."""
    with progress.watched(_Writing(directory)):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (directory / FILE).unlink(missing_ok=True)


def read(directory: RunDirectory) -> Stage | None:
    """Return what a run is doing, or was when it was killed; none where it does not say."""
    try:
        return Stage(**json.loads((directory / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
