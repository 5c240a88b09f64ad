"""Patterns: what is put together, in writing. `n` is the background, `e` an emotion, `e1` and `e2` two different ones.

The first four are those of Zaion's emotion diarization (Wang, Ravanelli and Yacoubi 2023, Speech emotion diarization:
which emotion appears when?), in which there is one emotion per utterance.
"""

import re
from dataclasses import dataclass
from itertools import permutations

PATTERNS = ("n-e", "e-n", "n-e-n", "e", "e1-e2", "n-e1-n-e2")
BACKGROUND = "n"
_TOKEN = re.compile(r"n|e[1-9]?")


@dataclass(frozen=True)
class Pattern:
    """One pattern, taken apart."""

    name: str
    tokens: tuple[str, ...]

    @classmethod
    def parse(cls, name: str) -> "Pattern":
        """Take a pattern apart; raises `ValueError` where it is none."""
        tokens = tuple(name.split("-"))
        if not all(_TOKEN.fullmatch(token) for token in tokens):
            raise ValueError(f"{name!r} is no pattern; write n, e, e1, e2, ... with - between them, as in n-e1-n-e2")
        return cls(name, tokens)

    @property
    def variables(self) -> tuple[str, ...]:
        """The emotions that it leaves open, each once, in order."""
        return tuple(dict.fromkeys(token for token in self.tokens if token != BACKGROUND))

    def needs(self, emotions: tuple[str, ...], background: str) -> dict[str, int]:
        """Say how many utterances of which label it takes with these emotions."""
        labels = self.labels(emotions, background)
        return {label: labels.count(label) for label in labels}

    def labels(self, emotions: tuple[str, ...], background: str) -> tuple[str, ...]:
        """Say which label stands at each place."""
        said = dict(zip(self.variables, emotions, strict=True)) | {BACKGROUND: background}
        return tuple(said[token] for token in self.tokens)

    def fillings(self, emotions: tuple[str, ...]) -> list[tuple[str, ...]]:
        """List all ways to fill in its emotions."""
        return list(permutations(emotions, len(self.variables)))
