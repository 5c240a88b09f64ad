"""Let simulated listeners take a drawn test."""

from pathlib import Path

from pydantic import Field

from sibboleth import runs, settings
from sibboleth.listeners import export, simulation, test, words
from sibboleth.listeners.session import Course
from sibboleth.recipes.listen_answers import Exported
from sibboleth.settings import Settings


class _Asked(Settings):
    listeners: int = Field(ge=1, le=100_000)
    seed: int = Field(ge=0)


def simulate(folder: Path, *, listeners: int = 20, seed: int = 0, output: Path | None = None) -> Exported:
    """Let simulated listeners take a test, to try its analysis, and the numbers of people, before people are asked.

    Native listeners of an item's language are better at it, items differ in difficulty and in the wrong answer that
    they suggest, and some listeners answer without listening. The source of what they answer is `simulated`.

    Args:
        folder: What `sibboleth listen design` wrote.
        listeners: How many.
        seed: Decides all that they answer; more listeners change none before.
        output: Folder for predictions.csv, listeners.csv and answers.csv; the test's own `simulated` where not given.
    """
    settings.checked(_Asked, listeners=listeners, seed=seed)
    drawn = test.read(folder)
    made = simulation.simulate(Course(drawn, words.read(drawn.settings.language)), listeners, seed)
    written = []
    for name, frame in export.named(made).items():
        path = (output or folder / "simulated") / f"{name}.csv"
        with runs.atomic(path) as temporary:
            frame.write_csv(temporary)
        written.append(path)
    return Exported(tuple(written), len(made.listeners), len(made.answers))
