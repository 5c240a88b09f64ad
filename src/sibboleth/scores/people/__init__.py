"""People beside models: agreement, ceiling, error consistency, confidence, effects, and where they part.

All of it works on predictions of source `listener` (or `simulated`, never both) beside those of source `model`.
"""

from sibboleth.scores.people.comparing import EVERYWHERE, PEOPLE, TABLES, Tables, beside
from sibboleth.scores.people.listeners import ALL, ATTENTIVE

__all__ = ["ALL", "ATTENTIVE", "EVERYWHERE", "PEOPLE", "TABLES", "Tables", "beside"]
