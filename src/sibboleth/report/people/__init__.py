"""People beside models in a run's report: one figure per question, tables, items on which they part, and methods."""

from dataclasses import dataclass

from sibboleth.report.examples import Players
from sibboleth.report.people import errors, figures, listings, methods, telling
from sibboleth.report.people.parted import Parted, parted
from sibboleth.report.people.reading import Beside
from sibboleth.report.results import Results

STEPS = {
    "people": figures.question,
    "people-labels": figures.labels,
    "people-confusions": figures.confused,
    "people-errors": errors.shared_errors,
    "people-dialects": errors.dialects,
}
"""Sections with figures, by the names that the template has for them."""
TABLES = listings.TABLES
lead = telling.lead


@dataclass(frozen=True)
class Block:
    """What the section says beside its figures and tables."""

    title: str
    word: str
    simulated: bool
    beyond: str
    """What the columns of the table beyond accuracy are."""
    told: tuple[str, ...]
    cautions: tuple[str, ...]
    parted: tuple[Parted, ...]
    methods: tuple[tuple[str, str], ...]


def block(results: Results, most: int, players: Players, left: int) -> Block | None:
    """Make what the section says; None where nobody answered. `left` bytes of audio may be embedded."""
    beside = Beside(results)
    if not beside.there:
        return None
    title = "Simulated listeners beside models" if beside.simulated else "People beside models"
    return Block(
        title=title,
        word=beside.word,
        simulated=beside.simulated,
        beyond=telling.beyond(results),
        told=tuple(telling.told(results)),
        cautions=tuple(telling.cautions(results)),
        parted=tuple(parted(results, most, players, left)),
        methods=tuple(methods.written(results)),
    )


__all__ = ["STEPS", "TABLES", "Block", "block", "lead"]
