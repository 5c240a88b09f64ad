"""A collapse watch: an encoder that gives the same for everything can have a fine loss, and has learnt nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sibboleth.errors import SibbolethError

PATIENCE = 5
"""Rows of the log in a row beyond a limit that count as a collapse."""


class Collapsed(SibbolethError):
    """Pre-training was stopped, because the encoder had collapsed."""

    exit_code = 1


@dataclass(frozen=True)
class Vital:
    """A number of an objective with a least or greatest value that a healthy encoder keeps."""

    name: str
    meaning: str
    """What it says when it is beyond the limit."""
    remedy: str
    least: float | None = None
    most: float | None = None

    def healthy(self, value: float) -> bool:
        """Tell whether a value is within the limits; what is no number is not."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def watch(rows: Sequence[Mapping[str, float]], vitals: Sequence[Vital], after: int) -> None:
    """Raise `Collapsed` where a vital was beyond its limit in the last `PATIENCE` rows, all later than step `after`."""
    last = rows[-PATIENCE:]
    if len(last) < PATIENCE or last[0]["step"] <= after:
        return
    for vital in vitals:
        values = [row[vital.name] for row in last if vital.name in row]
        if len(values) == PATIENCE and not any(vital.healthy(value) for value in values):
            limit = f"at least {vital.least:.3g}" if vital.least is not None else f"at most {vital.most:.3g}"
            raise Collapsed(
                f"the encoder has collapsed: {vital.name} is {values[-1]:.3g} at step {int(last[-1]['step'])}, and a "
                f"healthy one has {limit}; {vital.meaning}. {vital.remedy}. What was learnt until the last saved state "
                "is kept; the curve shows when it began"
            )
