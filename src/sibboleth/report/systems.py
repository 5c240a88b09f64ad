"""Systems, what a page tells apart, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sibboleth.report import wording

PLUS = " + "
"""Between encoder and method in the name of a system."""


@dataclass(frozen=True)
class Score:
    """One number with its uncertainty and where it comes from."""

    system: str
    regime: str
    source: str
    domain: str
    run: str
    rater: str
    estimate: float
    low: float
    high: float
    n: int
    clusters: int

    def __str__(self) -> str:
        """Write 0.61 [0.52, 0.69]."""
        return wording.estimate(self.estimate, self.low, self.high)

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target domain."""
        return self.source, self.domain

    @property
    def name(self) -> str:
        """Write de → nl, on one line; nl where it trained itself."""
        if self.source == self.domain:
            return self.domain
        return f"{self.source}\N{NO-BREAK SPACE}\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}{self.domain}"


@dataclass(frozen=True)
class System:
    """What answers, as the page shows it: an encoder under a probe, or fine-tuned by a method."""

    name: str
    """The encoder's name, and the method's behind a plus where there is one."""
    short: str
    control: bool
    layers: int
    fine_tuned: bool = False
    """Whether the encoder was trained with labels before it came here."""
    method: str = ""
    """Name of the method; empty for a probe."""

    @property
    def encoder(self) -> str:
        """Name of the encoder."""
        return self.name.removesuffix(PLUS + self.method) if self.method else self.name

    @property
    def title(self) -> str:
        """Short name, with what must be known to read its scores."""
        marks = [text for mark, text in ((self.control, "control"), (self.fine_tuned, "fine-tuned")) if mark]
        return f"{self.short} ({', '.join(marks)})" if marks else self.short


def ordered(rows: Sequence[dict[str, Any]], encoders: Sequence[dict[str, Any]], methods: Sequence[str]) -> list[System]:
    """Make the systems of rows `system, encoder, method, tuned, control`.

    Encoders and methods come in the order given (those of the record and the study), probes before methods, controls
    last.
    """
    known = {str(one["name"]): one for one in encoders}
    short = wording.short_names([*known, *sorted({row["encoder"] for row in rows} - set(known))])
    names = list(short)

    def place(row: dict[str, Any]) -> tuple[object, ...]:
        method = _method(row)
        number = methods.index(method) if method in methods else len(methods)
        return bool(row["control"]), names.index(row["encoder"]), bool(method), number, method

    return [_system(row, short[row["encoder"]], known.get(row["encoder"], {})) for row in sorted(rows, key=place)]


def _method(row: dict[str, Any]) -> str:
    return str(row["method"]) if row["tuned"] else ""


def _system(row: dict[str, Any], short: str, encoder: dict[str, Any]) -> System:
    method = _method(row)
    name = f"{short}\N{NO-BREAK SPACE}\N{MIDDLE DOT} {method}" if method else short
    depth, labels = int(encoder.get("layers") or 1), bool(encoder.get("fine_tuned"))
    return System(row["system"], name, bool(row["control"]), depth, labels and not method, method)
