"""Finding: one thing that the audit saw, and the evidence it looks at."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import schemes
from sibboleth.splits import Fit, ImpossiblePair, Rows, ScarceLabel, Test
from sibboleth.targets import Target

Value = TypeVar("Value")
Grade = Literal["error", "warning", "note"]
GRADES: tuple[Grade, ...] = ("error", "warning", "note")
SHOWN = 50
"""Utterances of a finding that a record keeps."""


SECOND_TRAIN, SECOND_DEV = "train of the second stage", "dev of the second stage"
"""What a second training on the target learns from and selects on, in sentences."""
Cause = tuple[str, Sequence[str]]
"""One place where something was found, for a sentence, and its utterances."""


@dataclass(frozen=True)
class Finding:
    """One thing found, and what it does to the result."""

    name: str
    grade: Grade
    message: str
    """What was found, in a plain sentence with numbers."""
    effect: str
    """What it does to the result."""
    utterances: tuple[str, ...] = ()
    """The utterances that caused it."""
    allowed: bool = False
    """An error that the study accepts by name."""

    count: int = field(init=False)
    """Number of these utterances."""

    def __post_init__(self) -> None:
        """Count the utterances."""
        object.__setattr__(self, "count", len(self.utterances))

    @classmethod
    def of(
        cls,
        causes: Iterable[Cause],
        name: str,
        grade: Grade,
        message: str,
        effect: str,
        noun: str = "domain",
        shown: int = 5,
    ) -> "Finding | None":
        """Make a finding of its causes; None where there are none.

        In `message` stand `{count}` for the number of causes with its noun, `{told}` for the first `shown` of them, and
        `{utterances}` for the number of utterances.
        """
        found = list(causes)
        if not found:
            return None
        utterances = tuple(dict.fromkeys(utterance for _, several in found for utterance in several))
        written = message.format(
            count=plural(len(found), noun),
            told=some([told for told, _ in found], shown),
            utterances=plural(len(utterances), "utterance"),
        )
        return cls(name, grade, written, effect, utterances)

    def record(self) -> dict[str, object]:
        """Return what `audit.json` keeps: everything, but only the first `SHOWN` utterances."""
        return asdict(self) | {"utterances": list(self.utterances[:SHOWN])}


@dataclass(frozen=True)
class Evidence:
    """What a check looks at. Rows of `table` and `scan` are the same in the same order."""

    table: pl.DataFrame
    fits: Sequence[Fit]
    target: Target
    domain: str
    scan: pl.DataFrame | None = None
    """What `audio.scan` found."""
    encoders: Sequence[str] = ()
    fine_tuned: Sequence[str] = ()
    """Encoders that are known to be trained with labels, whatever their names say."""
    excluded: pl.DataFrame | None = None
    """Rows left out before: utterance, reason."""
    impossible: Sequence[ImpossiblePair] = ()
    """Pairs of domains that have no fits."""
    scarce: Sequence[ScarceLabel] = ()
    """Labels of which there are too few for some numbers of shots."""
    judged: Rows | None = None
    """Rows that listeners judge, which are to be heard in no training."""
    _known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def column(self, name: str) -> pl.Series:
        """Return a column of the table; all null where there is none."""
        if name in self.table.columns:
            return self.table[name]
        return pl.Series(name, [None] * len(self.table), pl.String)

    def codes(self, name: str) -> Rows:
        """Number the values of a column of the table from 0; -1 is unknown."""
        return self.once(f"codes of {name}", lambda: numbered(self.column(name)))

    def once(self, name: str, compute: Callable[[], Value]) -> Value:
        """Return what a computation that several checks need gave the first time."""
        if name not in self._known:
            self._known[name] = compute()
        found: Value = self._known[name]
        return found

    def digests(self) -> Rows:
        """Number the contents of the audio from 0; -1 is unknown."""
        if self.scan is None:
            return np.full(len(self.table), -1, dtype=np.int64)
        scan = self.scan
        return self.once("digests", lambda: numbered(scan["digest"]))

    def labels(self) -> Rows:
        """Number the labels from 0; all -1 where the target is a number."""
        if self.target.kind != "classification":
            return np.full(len(self.table), -1, dtype=np.int64)
        return self.codes(self.target.name)

    def label_names(self) -> list[str]:
        """Return the labels in the order of their numbers."""
        return self.column(self.target.name).drop_nulls().unique().sort().cast(pl.String).to_list()

    def domains(self) -> Iterator[tuple[str, Rows]]:
        """Yield every domain with its rows."""
        yield from self.once("rows of domains", self._rows_of_domains)

    def _rows_of_domains(self) -> list[tuple[str, Rows]]:
        column = self.column(self.domain).cast(pl.String)
        codes = schemes.codes(column, unknown=-1)
        names = column.drop_nulls().unique().sort()
        return [(name, np.flatnonzero(codes == number)) for number, name in enumerate(names)]

    def tests(self) -> Iterator[tuple[Fit, Test]]:
        """Yield every test with its fit."""
        for fit in self.fits:
            for test in fit.tests:
                yield fit, test

    def utterances(self, rows: Rows | npt.NDArray[np.bool_]) -> tuple[str, ...]:
        """Name the utterances of some rows (indices or a mask), in order."""
        found = np.flatnonzero(rows) if rows.dtype == np.bool_ else np.unique(rows)
        return tuple(self.column("utterance").gather(found).to_list())


def numbered(column: pl.Series) -> Rows:
    """Number the values from 0 in sorted order; -1 is null."""
    return schemes.codes(column, unknown=-1)


def place(fit: Fit, test: Test) -> str:
    """Name a test for a sentence: `emodb fold-1`, `emodb fold-1 tested on nemo`."""
    return f"{fit.source} {fit.fold}" + ("" if test.regime == "within" else f" tested on {test.domain} ({test.regime})")


def plural(count: int, noun: str) -> str:
    """Write a number with its noun: `1 speaker`, `2 speakers`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def some(names: Sequence[str], shown: int = 5) -> str:
    """Name the first few: `a, b, c and 7 more`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
