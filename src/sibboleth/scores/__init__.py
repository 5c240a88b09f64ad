"""Scores: every metric of every rater with its uncertainty, paired comparisons, and what is most often wrong.

Nothing here asks who answered: models, listeners and other people's systems are scored by the same code.
"""

from sibboleth.scores.comparison import COMPARISON, Pair, compare
from sibboleth.scores.gaps import GAPS, Quartet, gaps
from sibboleth.scores.groups import Groups
from sibboleth.scores.mistakes import judge, worst
from sibboleth.scores.pretrained import PRETRAINED, Match, pretrained
from sibboleth.scores.scoring import SCHEMA, score
from sibboleth.scores.slices import Clusters

__all__ = [
    "COMPARISON",
    "GAPS",
    "PRETRAINED",
    "SCHEMA",
    "Clusters",
    "Groups",
    "Match",
    "Pair",
    "Quartet",
    "compare",
    "gaps",
    "judge",
    "pretrained",
    "score",
    "worst",
]
