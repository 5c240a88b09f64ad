"""What recognisers get wrong, and for whom: counts, ratios between groups, matched pairs, lost words, alignments."""

from sibboleth.scores.recognition.alignments import ALIGNMENTS, alignment, worst_alignments
from sibboleth.scores.recognition.counts import COUNTS, counts
from sibboleth.scores.recognition.pairs import PAIRS, compare_segments
from sibboleth.scores.recognition.ratios import RATIOS, rate_ratios
from sibboleth.scores.recognition.transcripts import Transcripts
from sibboleth.scores.recognition.words import WORDS, lost_words

__all__ = [
    "ALIGNMENTS",
    "COUNTS",
    "PAIRS",
    "RATIOS",
    "WORDS",
    "Transcripts",
    "alignment",
    "compare_segments",
    "counts",
    "lost_words",
    "rate_ratios",
    "worst_alignments",
]
