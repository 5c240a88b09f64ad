"""Transcription: WER and CER from pooled counts.

Counts come from jiwer, per utterance, and are added; rates are never averaged. Words lie between blanks, and a run of
blanks counts as one. An empty hypothesis deletes every word. An empty reference makes every word an insertion, which
counts where utterances are pooled; a set of utterances without any reference word has no rate (NaN). The CER counts
blanks between words as characters.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from sibboleth.metrics.metric import Array, Metric, Rows, divide


@dataclass(frozen=True)
class Answers:
    """Texts, answered and true, normalised alike."""

    reference: Sequence[str]
    hypothesis: Sequence[str]

    def __len__(self) -> int:
        """Count the answers."""
        return len(self.reference)

    def take(self, rows: Rows) -> Self:
        """Return some of the answers."""
        index = np.arange(len(self))[rows]
        return type(self)([self.reference[k] for k in index], [self.hypothesis[k] for k in index])


def word_counts(answers: Answers) -> Array:
    """Hits, substitutions, deletions and insertions of words, `[answer, 4]`."""
    import jiwer

    return _counts(answers, lambda reference, hypothesis: jiwer.process_words(reference, hypothesis).alignments)


def character_counts(answers: Answers) -> Array:
    """Hits, substitutions, deletions and insertions of characters, `[answer, 4]`."""
    import jiwer

    return _counts(answers, lambda reference, hypothesis: jiwer.process_characters(reference, hypothesis).alignments)


def _counts(answers: Answers, align: Callable[[list[str], list[str]], list[list[Any]]]) -> Array:
    counts = np.zeros((len(answers), 4))
    if not len(answers):
        return counts
    column = {"equal": 0, "substitute": 1, "delete": 2, "insert": 3}
    for row, chunks in enumerate(align(single_blanks(answers.reference), single_blanks(answers.hypothesis))):
        for chunk in chunks:
            length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            counts[row, column[chunk.type]] += length
    return counts


def single_blanks(texts: Sequence[str]) -> list[str]:
    """Make every run of blanks one blank, and none at the ends."""
    return [" ".join(text.split()) for text in texts]


def _error_rate(sums: Array) -> Array:
    return divide(sums[..., 1:].sum(axis=-1), sums[..., :3].sum(axis=-1))


def _share(column: int) -> Callable[[Array], Array]:
    return lambda sums: divide(sums[..., column], sums[..., :3].sum(axis=-1))


_ANY = (0.0, math.inf)
WER = Metric("wer", "WER", word_counts, _error_rate, False, _ANY, ratio=True)
"""Word error rate, (substitutions + deletions + insertions) / reference words; above 1 with many insertions."""
CER = Metric("cer", "CER", character_counts, _error_rate, False, _ANY, ratio=True)
"""Character error rate, as the WER over characters."""
SUBSTITUTIONS = Metric("substitutions", "Substitutions", word_counts, _share(1), False)
"""Substituted words per reference word."""
DELETIONS = Metric("deletions", "Deletions", word_counts, _share(2), False)
"""Deleted words per reference word."""
INSERTIONS = Metric("insertions", "Insertions", word_counts, _share(3), False, _ANY)
"""Inserted words per reference word."""

METRICS: tuple[Metric[Answers], ...] = (WER, CER, SUBSTITUTIONS, DELETIONS, INSERTIONS)
