"""Copies: sound that train and test share without being the same file, re-encoded, cut or overlapping."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from sibboleth.audio import matching
from sibboleth.audit import sources
from sibboleth.audit.finding import Evidence, Finding, Grade, place, plural
from sibboleth.splits import Rows

TOUCHING = 0.5
"""Seconds that two segments of a file may share, the padding of a segmenter; but never half of the shorter."""
STEPS = 500
"""Segments after a segment that are looked at for an overlap."""
SHOWN = 3
"""Pairs that a message names."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of things (recordings or utterances) that share sound, and the thing of each row; -1 is unknown."""

    codes: Rows
    first: Rows
    second: Rows
    told: Callable[[int], str]
    """Says what a pair shares."""


@dataclass(frozen=True)
class Sharing:
    """Pairs that stand on both sides of a test."""

    tests: int
    all: int
    where: str
    """The first of these tests."""
    pairs: Rows
    rows: Rows
    """Test rows with a partner."""

    @property
    def often(self) -> str:
        """Say in how many tests."""
        return f"in the only test, {self.where}" if self.all == 1 else f"in {self.tests} of {self.all} tests"


def near_duplicate_audio(evidence: Evidence) -> Finding | None:
    """Find recordings in test of which train or dev hold a copy, re-encoded, at another rate or level, or cut."""
    return _finding(
        evidence,
        _copies(evidence),
        "near-duplicate-audio",
        "error",
        "Train or dev hold copies of {count} in test that are not the same file but the same sound",
        "The model has heard these recordings, only encoded, cut or amplified otherwise: their scores are too high. "
        "Leave the copies out, or put them into the same part.",
    )


def overlapping_segments(evidence: Evidence) -> Finding | None:
    """Find segments of a file in test that overlap in time with segments of the same file in train or dev."""
    return _finding(
        evidence,
        _segments(evidence),
        "overlapping-segments",
        "error",
        "{count} in test overlap in time with segments of the same file in train or dev",
        "The model has heard this speech: the scores of these segments are too high. Keep all segments of a file in "
        "one part, or cut them so that they do not overlap.",
    )


def near_duplicate_test(evidence: Evidence) -> Finding | None:
    """Find recordings that are in one test twice, in different encodings or cuts."""
    return _finding(
        evidence,
        _copies(evidence),
        "near-duplicate-test",
        "warning",
        "{count} in test have a copy in the same test that is not the same file but the same sound",
        "The same speech counts more than once in the score, and its interval is too narrow.",
        within=True,
    )


def heard_listening_items(evidence: Evidence) -> Finding | None:
    """Find recordings in train or dev that listeners judge: the same utterance, samples, sound or stretch of a file."""
    if evidence.judged is None or not len(evidence.judged):
        return None
    learnt = np.zeros(len(evidence.table), dtype=bool)
    for fit in evidence.fits:
        for rows in fit.heard:
            learnt[rows] = True
    alike = np.zeros(len(evidence.table), dtype=bool)
    alike[evidence.judged] = True
    digests = evidence.digests()
    alike |= np.isin(digests, digests[evidence.judged]) & (digests >= 0)
    for pairs in (_copies(evidence), _segments(evidence)):
        if pairs is not None:
            known = np.unique(pairs.codes[evidence.judged])
            partners = [pairs.second[np.isin(pairs.first, known)], pairs.first[np.isin(pairs.second, known)]]
            alike |= np.isin(pairs.codes, np.concatenate(partners)) & (pairs.codes >= 0)
    if (mixed := sources.sources(evidence)) is not None:
        alike |= mixed.sharing(alike)
    found = evidence.utterances(alike & learnt)
    if not found:
        return None
    return Finding(
        "heard-listening-items",
        "error",
        f"Train or dev hold {plural(len(found), 'utterance')} that listeners judge, or copies of them.",
        "Models have learnt from what people hear for the first time: beside people their scores are too high. Leave "
        "the copies out.",
        found,
    )


def _copies(evidence: Evidence) -> Pairs | None:
    """Pair recordings by their fingerprints; the very same samples are one recording."""
    if evidence.scan is None or "fingerprint" not in evidence.scan.columns:
        return None
    codes = evidence.digests()
    known, rows = np.unique(codes[codes >= 0], return_index=True)
    rows = np.flatnonzero(codes >= 0)[rows]
    prints = evidence.scan["fingerprint"]
    found = evidence.once("matches", lambda: matching.matches(prints.gather(rows).to_list()))
    files = evidence.codes("audio")[rows]
    kept = np.flatnonzero((files[found.first] != files[found.second]) | (files[found.first] < 0))
    return Pairs(
        codes,
        known[found.first[kept]],
        known[found.second[kept]],
        lambda at: f"{found.seconds[kept[at]]:.1f} s, {found.error[kept[at]]:.0%} of the fingerprint differs",
    )


def _segments(evidence: Evidence) -> Pairs | None:
    """Pair rows that are overlapping segments of one file."""
    table = evidence.table
    if "start" not in table.columns or table["start"].null_count() + table["end"].null_count() == 2 * len(table):
        return None
    if not table["audio"].drop_nulls().is_duplicated().any():
        return None
    files, digests = evidence.codes("audio"), evidence.digests()
    start = table["start"].cast(pl.Float64).fill_null(0.0).to_numpy()
    end = table["end"].cast(pl.Float64).fill_null(np.inf).to_numpy()
    order = np.lexsort((end, start, files))
    order = order[files[order] >= 0]
    alive, pairs = np.arange(len(order)), []
    for step in range(1, STEPS + 1):
        alive = alive[alive < len(order) - step]
        one, other = order[alive], order[alive + step]
        touching = (files[one] == files[other]) & (start[other] < end[one])
        alive, one, other = alive[touching], one[touching], other[touching]
        if not len(alive):
            break
        shared = np.minimum(end[one], end[other]) - start[other]
        shorter = np.minimum(end[one] - start[one], end[other] - start[other])
        same = (digests[one] == digests[other]) & (digests[one] >= 0)
        pairs.append(np.stack([one, other])[:, (shared >= np.minimum(TOUCHING, shorter / 2)) & ~same])
    if not pairs:
        return None
    first, second = np.concatenate(pairs, axis=1)
    shared = np.minimum(end[first], end[second]) - np.maximum(start[first], start[second])
    return Pairs(
        np.arange(len(table)),
        first,
        second,
        lambda at: "the whole file" if np.isinf(shared[at]) else f"{shared[at]:.1f} s",
    )


def _sharing(evidence: Evidence, pairs: Pairs, within: bool) -> Sharing | None:
    """Find the pairs that stand in train or dev and in test of one fit, or, `within`, twice in one test."""
    size = int(pairs.codes.max(initial=-1)) + 2
    hit, rows, tests, count, where = np.zeros(len(pairs.first), dtype=bool), [], 0, 0, ""
    learnt, tested = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for fit, test in evidence.tests():
        count += 1
        learnt[:], tested[:] = False, False
        tested[pairs.codes[test.rows]] = True
        learnt[pairs.codes[test.rows if within else np.concatenate(fit.heard)]] = True
        learnt[-1] = tested[-1] = False
        ahead, back = tested[pairs.first] & learnt[pairs.second], tested[pairs.second] & learnt[pairs.first]
        if not (ahead | back).any():
            continue
        tests, where = tests + 1, where or place(fit, test)
        hit |= ahead | back
        partners = np.concatenate([pairs.first[ahead], pairs.second[back]])
        rows.append(test.rows[np.isin(pairs.codes[test.rows], partners)])
    return Sharing(tests, count, where, np.flatnonzero(hit), np.unique(np.concatenate(rows))) if tests else None


def _finding(
    evidence: Evidence,
    pairs: Pairs | None,
    name: str,
    grade: Grade,
    message: str,
    effect: str,
    within: bool = False,
) -> Finding | None:
    if pairs is None or not len(pairs.first):
        return None
    found = _sharing(evidence, pairs, within)
    if found is None:
        return None
    row_of = np.full(int(pairs.codes.max()) + 1, -1)
    known = np.flatnonzero(pairs.codes >= 0)[::-1]  # the first row of a code is written last
    row_of[pairs.codes[known]] = known
    ends = np.sort(np.stack([row_of[pairs.first[found.pairs]], row_of[pairs.second[found.pairs]]]), axis=0)
    names = evidence.column("utterance")
    examples = [
        f"{names[int(ends[0, at])]} and {names[int(ends[1, at])]} ({pairs.told(int(found.pairs[at]))})"
        for at in np.lexsort((ends[1], ends[0]))[:SHOWN]
    ]
    more = f" and {len(found.pairs) - SHOWN} more pairs" if len(found.pairs) > SHOWN else ""
    counted = message.format(count=plural(len(found.rows), "utterance"))
    return Finding(
        name,
        grade,
        f"{counted}, {found.often}: {'; '.join(examples)}{more}.",
        effect,
        evidence.utterances(found.rows),
    )
