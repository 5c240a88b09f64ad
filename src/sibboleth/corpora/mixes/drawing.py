"""Drawing: which utterances are put together, in which pattern. All are drawn in turn, and equals by the hash of names.

Patterns, then speakers, then emotions are taken in turn, each least used first; then the utterances, each least used
first. So nothing depends on the order of a manifest, and fewer mixes are the beginning of more.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sibboleth.corpora.mixes.patterns import Pattern
from sibboleth.corpora.mixes.pieces import Piece

Group = tuple[str, ...]


@dataclass(frozen=True)
class Mix:
    """What is put together, before anything is."""

    name: str
    pattern: str
    emotions: tuple[str, ...]
    pieces: tuple[Piece, ...]


class Pool:
    """The utterances of one speaker, session and language, of which the least used are taken."""

    def __init__(self, seed: int, pieces: Iterable[Piece]) -> None:
        """Sort them by the hash of their names."""
        self._uses: Counter[str] = Counter()
        self._of: dict[str, list[Piece]] = {}
        for piece in sorted(pieces, key=lambda one: key(seed, one.utterance)):
            self._of.setdefault(piece.label, []).append(piece)

    def fillings(self, pattern: Pattern, emotions: tuple[str, ...], background: str) -> list[tuple[str, ...]]:
        """List the emotions with which it has enough for a pattern, each place another utterance."""
        return [
            filling
            for filling in pattern.fillings(emotions)
            if all(len(self._of.get(label, ())) >= n for label, n in pattern.needs(filling, background).items())
        ]

    def take(self, labels: Sequence[str]) -> tuple[Piece, ...]:
        """Take the least used utterance of each label, none of them twice."""
        taken: list[Piece] = []
        for label in labels:
            free = [piece for piece in self._of[label] if piece not in taken]
            taken.append(min(free, key=lambda one: self._uses[one.utterance]))
        self._uses.update(piece.utterance for piece in taken)
        return tuple(taken)


@dataclass(frozen=True)
class Drawn:
    """Mixes, and who can be in which pattern."""

    mixes: tuple[Mix, ...]
    able: dict[str, frozenset[Group]]
    """Of each pattern, who has the utterances for it."""


def draw(
    pieces: Sequence[Piece],
    patterns: Sequence[Pattern],
    emotions: tuple[str, ...],
    background: str,
    count: int,
    seed: int,
) -> Drawn:
    """Draw so many mixes; none where no speaker has the utterances for any pattern."""
    by_group: dict[Group, list[Piece]] = {}
    for piece in pieces:
        by_group.setdefault(piece.group, []).append(piece)
    pools = {group: Pool(seed, by_group[group]) for group in sorted(by_group, key=lambda one: key(seed, *one))}
    able = {
        pattern: {
            group: fillings
            for group, pool in pools.items()
            if (fillings := pool.fillings(pattern, emotions, background))
        }
        for pattern in patterns
    }
    turns = [pattern for pattern in patterns if able[pattern]]
    uses: Counter[tuple[object, ...]] = Counter()
    mixes = []
    for number in range(count if turns else 0):
        pattern = turns[number % len(turns)]
        group = min(able[pattern], key=lambda one: (uses[one], uses[pattern, one]))
        chosen = _filling(able[pattern][group], pattern, group, uses, seed)
        uses.update([group, (pattern, group), (pattern, chosen)])
        uses.update(counted for one in chosen for counted in ((group, one), ("all", one)))
        taken = pools[group].take(pattern.labels(chosen, background))
        mixes.append(Mix(f"mix-{number + 1:06d}", pattern.name, chosen, taken))
    return Drawn(tuple(mixes), {pattern.name: frozenset(groups) for pattern, groups in able.items()})


def _filling(
    fillings: Sequence[tuple[str, ...]], pattern: Pattern, group: Group, uses: Counter[tuple[object, ...]], seed: int
) -> tuple[str, ...]:
    """Choose the emotions that the pattern has had least, of equals the speaker, and all."""

    def rank(filling: tuple[str, ...]) -> tuple[int, int, int, bytes]:
        of_group, of_all = (sum(uses[who, one] for one in filling) for who in (group, "all"))
        return uses[pattern, filling], of_group, of_all, key(seed, pattern.name, *group, *filling)

    return min(fillings, key=rank)


def key(seed: int, *names: str) -> bytes:
    """Return what decides between equals: a hash of the seed and of names."""
    return hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
