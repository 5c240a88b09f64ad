"""Alphabet: characters as tokens, texts as rows of them, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

END = -1
"""What stands behind a text; token 0 is CTC's blank, and tokens from 1 on are characters."""


@dataclass(frozen=True)
class Alphabet:
    """Characters in the order of their tokens."""

    known: str
    """Those of training texts, sorted: what can be answered."""
    unknown: str = ""
    """Those of dev and test texts alone: they stand in references, and every answer there is wrong."""

    @classmethod
    def of(cls, train: Sequence[str], every: Sequence[str]) -> "Alphabet":
        """Collect the characters of training texts, and those of all texts that are not among them."""
        known = sorted(set("".join(train)))
        return cls("".join(known), "".join(sorted(set("".join(every)) - set(known))))

    @property
    def out(self) -> int:
        """Outputs of a head: the blank, and all characters that can be answered."""
        return 1 + len(self.known)

    def tokens(self, texts: Sequence[str]) -> Array:
        """Return texts as tokens `[text, token]`, -1 behind."""
        place = {character: number for number, character in enumerate(self.known + self.unknown, 1)}
        found = np.full((len(texts), max(map(len, texts), default=0)), float(END))
        for row, text in enumerate(texts):
            found[row, : len(text)] = [place[character] for character in text]
        return found

    def texts(self, tokens: Array) -> list[str]:
        """Return the texts of tokens, blanks between words single."""
        characters = np.array(["", *self.known, *self.unknown])
        kept = [row[row > 0].astype(np.int64) for row in tokens]
        return [" ".join("".join(characters[row]).split()) for row in kept]
