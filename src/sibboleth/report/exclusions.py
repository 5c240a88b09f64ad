"""What was left out, told by kind of reason: one line for hundreds of utterances that lack one label."""

import re
from dataclasses import dataclass

from sibboleth.report.results import Results

MOST_NAMES = 200
"""Utterances of one kind that the page names; the table in tables/ names them all."""
_VARYING = re.compile(r"(?<=^label ).+(?= is not asked for$)|'[^']*'|\"[^\"]*\"|\d+(?:\.\d+)?")
"""What differs between reasons of one kind: a label, what stands in quotation marks, numbers."""


@dataclass(frozen=True)
class Reason:
    """One reason, word for word, and the first utterances it holds for."""

    text: str
    count: int
    utterances: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """Reasons that differ in a name or number alone."""

    text: str
    """The reason, where it is one, else with dots for what differs."""
    count: int
    reasons: tuple[Reason, ...]

    @property
    def named(self) -> int:
        """How many utterances are named."""
        return sum(len(reason.utterances) for reason in self.reasons)


def left_out(results: Results) -> list[Kind]:
    """Group what was left out, the commonest kind and reason first, ties by text."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in results.record.get("excluded") or []:
        text = str(row.get("reason") or "no reason given")
        reasons = found.setdefault(_VARYING.sub("\N{HORIZONTAL ELLIPSIS}", text), {})
        reasons.setdefault(text, []).append(str(row.get("utterance") or row.get("audio") or "?"))
    kinds = [_kind(pattern, reasons) for pattern, reasons in found.items()]
    return sorted(kinds, key=lambda kind: (-kind.count, kind.text))


def _kind(pattern: str, reasons: dict[str, list[str]]) -> Kind:
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_NAMES]
    told = []
    for text, found in ordered:
        names = tuple(dict.fromkeys(found))  # an utterance may fail with several encoders
        told.append(Reason(text, len(names), names[: MOST_NAMES // len(ordered)]))
    count = len({name for names in reasons.values() for name in names})
    return Kind(pattern if len(reasons) > 1 else next(iter(reasons)), count, tuple(told))
