"""Sources: utterances that others were put together from, as `sibboleth corpus mix` does and says."""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.audit.finding import Evidence, Finding, numbered, place, plural
from sibboleth.splits import Rows

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sources:
    """What utterances are made of, told by digests, which are numbered from 0; -1 is unknown."""

    own: Rows
    """The content of every row."""
    mixed: Rows
    """The row of every source."""
    content: Rows
    """The content of every source."""

    def sharing(self, some: Mask) -> Mask:
        """Mark the rows that are made of what these rows are or are made of, or that these rows are made of."""
        size = int(max(self.own.max(initial=-1), self.content.max(initial=-1))) + 2
        whole, within = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        whole[self.own[some]] = True
        within[self.content[some[self.mixed]]] = True
        whole[-1] = within[-1] = False
        found = within[self.own]
        found[self.mixed[(whole | within)[self.content]]] = True
        return found


def sources(evidence: Evidence) -> Sources | None:
    """Read the column `sources`; None where no row says what it was made of."""
    return evidence.once("sources", lambda: _sources(evidence))


def shared_sources(evidence: Evidence) -> Finding | None:
    """Find mixes in test of what train or dev hold, utterances of which these hold mixes, and mixes of the same."""
    known = sources(evidence)
    if known is None:
        return None
    hit, tests, count, where = np.zeros(len(evidence.table), dtype=bool), 0, 0, ""
    for fit, test in evidence.tests():
        count += 1
        learnt, tested = (np.zeros(len(evidence.table), dtype=bool) for _ in range(2))
        learnt[np.concatenate(fit.heard)] = True
        tested[test.rows] = True
        found = known.sharing(learnt) & tested
        if found.any():
            tests, where = tests + 1, where or place(fit, test)
            hit |= found
    if not tests:
        return None
    often = f"in the only test, {where}" if count == 1 else f"in {tests} of {count} tests, first in {where}"
    return Finding(
        "shared-sources",
        "error",
        f"Train or dev hold mixes of the same speech as {plural(int(hit.sum()), 'utterance')} in test, {often}.",
        "The model has heard this speech, only between other speech: the scores are too high. Make mixes of the "
        "utterances that train alone.",
        evidence.utterances(hit),
    )


def _sources(evidence: Evidence) -> Sources | None:
    column = evidence.column("sources")
    if column.dtype != pl.String or column.null_count() == len(column):
        return None
    found = [(row, one) for row, text in enumerate(column) if text is not None for one in _digests(text)]
    if not found:
        return None
    own = (
        pl.repeat(None, len(column), dtype=pl.String, eager=True) if evidence.scan is None else evidence.scan["digest"]
    )
    codes = numbered(pl.concat([own.alias("digest"), pl.Series("digest", [one for _, one in found])]))
    return Sources(codes[: len(column)], np.array([row for row, _ in found]), codes[len(column) :])


def _digests(text: str) -> list[str]:
    """Return the digests of a row's sources; none where the column means something else."""
    try:
        return [str(one["digest"]) for one in json.loads(text)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
