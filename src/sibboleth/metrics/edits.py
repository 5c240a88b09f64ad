"""Edits: which words of a reference an answer kept, replaced or dropped, and which it added.

Two alignments are in use. That of jiwer has the fewest errors and is the one that WER counts. That of NIST's sclite,
in which a replaced word weighs less than a dropped and an added one but more than either, is what its tests of
significance are made from; the two differ in a few utterances.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sibboleth.metrics.transcription import Answers, single_blanks

Kind = Literal["equal", "substitute", "delete", "insert"]
INSERTION, DELETION, SUBSTITUTION = 3, 3, 4
"""Costs of sclite's alignment."""
GOOD = 2
"""Adjacent words that both recognisers have right between one segment and the next, as in `sc_stats`."""


class Edit(NamedTuple):
    """One step of an alignment; a side that has no word is empty."""

    kind: Kind
    reference: str
    hypothesis: str


def word_edits(answers: Answers) -> list[list[Edit]]:
    """Align the words of each answer with its reference, with the fewest errors, as jiwer does."""
    import jiwer

    if not len(answers):
        return []
    found = jiwer.process_words(single_blanks(answers.reference), single_blanks(answers.hypothesis))
    rows = zip(found.references, found.hypotheses, found.alignments, strict=True)
    return [list(_steps(*row)) for row in rows]


def _steps(reference: list[str], hypothesis: list[str], chunks: list[Any]) -> Iterator[Edit]:
    for chunk in chunks:
        true = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        said = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        size = max(len(true), len(said))
        for a, b in zip(true or [""] * size, said or [""] * size, strict=True):
            yield Edit(chunk.type, a, b)


def sclite_edits(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Edit]:
    """Align words as NIST's sclite does: the cheapest edits, of equals replacing before adding before dropping."""
    words = {word: k for k, word in enumerate({*reference, *hypothesis})}
    said = np.array([words[word] for word in hypothesis], dtype=np.int64)
    costs = _costs([words[word] for word in reference], said)
    row, column, found = len(reference), len(hypothesis), []
    while row or column:
        cost = costs[row, column]
        same = bool(row and column) and reference[row - 1] == hypothesis[column - 1]
        if row and column and cost == costs[row - 1, column - 1] + (0 if same else SUBSTITUTION):
            row, column = row - 1, column - 1
            found.append(Edit("equal" if same else "substitute", reference[row], hypothesis[column]))
        elif column and cost == costs[row, column - 1] + INSERTION:
            column -= 1
            found.append(Edit("insert", "", hypothesis[column]))
        else:
            row -= 1
            found.append(Edit("delete", reference[row], ""))
    return found[::-1]


def _costs(reference: Sequence[int], hypothesis: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the cost `[row, column]` of the cheapest edits of so many words of both sides."""
    along = INSERTION * np.arange(len(hypothesis) + 1)
    costs = np.empty((len(reference) + 1, len(hypothesis) + 1), dtype=np.int64)
    costs[0] = along
    for row, word in enumerate(reference, 1):
        before = costs[row - 1]
        here = before + DELETION
        here[1:] = np.minimum(here[1:], before[:-1] + SUBSTITUTION * (hypothesis != word))
        # Adding words costs alike everywhere, so that the best place to begin adding is a running minimum.
        costs[row] = np.minimum.accumulate(here - along) + along
    return costs


def segments(a: Sequence[Edit], b: Sequence[Edit]) -> list[tuple[int, int]]:
    """Count errors of A and of B in each segment of one utterance, whose reference both alignments share.

    A segment is a stretch with an error of either, bounded by the utterance or by `GOOD` adjacent words or more that
    both have right with nothing added between them (Gillick and Cox 1989).
    """
    words = sum(edit.kind != "insert" for edit in a)
    errors = np.stack([_errors(edits, words) for edits in (a, b)], axis=1)
    wrong = np.flatnonzero(errors.any(axis=1))
    if not len(wrong):
        return []
    right_between = wrong[1:] // 2 - (wrong[:-1] + 1) // 2
    first = np.concatenate([[0], np.flatnonzero(right_between >= GOOD) + 1])
    return [(int(x), int(y)) for x, y in np.add.reduceat(errors[wrong], first)]


def _errors(edits: Sequence[Edit], words: int) -> npt.NDArray[np.int64]:
    """Count errors `[place]`: word k is at place 2 k + 1, what is added before it at place 2 k."""
    counts = np.zeros(2 * words + 1, dtype=np.int64)
    word = 0
    for edit in edits:
        if edit.kind == "insert":
            counts[2 * word] += 1
        else:
            counts[2 * word + 1] = edit.kind != "equal"
            word += 1
    return counts
