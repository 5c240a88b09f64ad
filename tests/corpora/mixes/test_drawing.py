"""What is drawn is balanced, follows from names alone, and uses nothing more often than it must."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth.corpora.mixes.drawing import Mix, draw
from sibboleth.corpora.mixes.patterns import PATTERNS, Pattern
from sibboleth.corpora.mixes.pieces import Piece

EMOTIONS = ("angry", "happy", "sad")
ALL = [Pattern.parse(name) for name in PATTERNS]


def piece(speaker: str, label: str, take: int, session: str = "") -> Piece:
    name = f"{speaker}{session}-{label}-{take}"
    return Piece(name, label, (speaker, session, "de"), f"{name}.wav", None, None, 0, 16000, -20.0, -60.0, name)


def pool(speakers: int = 6, takes: int = 4) -> list[Piece]:
    return [
        piece(f"s{speaker}", label, take)
        for speaker in range(speakers)
        for label in (*EMOTIONS, "neutral")
        for take in range(takes)
    ]


def spread(counts: Counter[object]) -> int:
    return max(counts.values()) - min(counts.values())


def drawn(pieces: list[Piece], count: int, seed: int = 0, patterns: list[Pattern] = ALL) -> tuple[Mix, ...]:
    return draw(pieces, patterns, EMOTIONS, "neutral", count, seed).mixes


@pytest.mark.parametrize("name", ["", "n-", "x", "e0", "E", "n e", "e10"])
def test_what_is_no_pattern_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no pattern"):
        Pattern.parse(name)


def test_a_pattern_is_filled_with_different_emotions() -> None:
    pattern = Pattern.parse("n-e1-n-e2-e1")
    assert pattern.labels(("sad", "angry"), "neutral") == ("neutral", "sad", "neutral", "angry", "sad")
    assert len(pattern.fillings(EMOTIONS)) == 6
    assert Pattern.parse("n").fillings(EMOTIONS) == [()]


def test_patterns_speakers_emotions_and_utterances_are_in_balance() -> None:
    mixes = drawn(pool(), 144)
    assert spread(Counter(mix.pattern for mix in mixes)) == 0
    assert spread(Counter(mix.pieces[0].group for mix in mixes)) == 0
    assert spread(Counter((mix.pattern, mix.pieces[0].group) for mix in mixes)) <= 1
    assert max(spread(Counter(mix.emotions for mix in mixes if mix.pattern == name)) for name in PATTERNS) <= 1
    assert spread(Counter((mix.pieces[0].group, one) for mix in mixes for one in mix.emotions)) <= 3
    uses = Counter(used.utterance for mix in mixes for used in mix.pieces)
    for speaker in range(6):
        for label in (*EMOTIONS, "neutral"):
            assert spread(Counter({name: n for name, n in uses.items() if name.startswith(f"s{speaker}-{label}")})) <= 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), keep=st.lists(st.booleans(), min_size=48, max_size=48), count=st.integers(1, 40))
def test_a_mix_is_of_one_speaker_as_its_pattern_says_whatever_is_missing(
    seed: int, keep: list[bool], count: int
) -> None:
    pieces = [one for one, kept in zip(pool(3, 4), keep, strict=True) if kept]
    found = draw(pieces, ALL, EMOTIONS, "neutral", count, seed)
    possible = any(found.able.values())
    assert len(found.mixes) == (count if possible else 0)
    for mix in found.mixes:
        assert len({used.group for used in mix.pieces}) == 1
        assert len(set(mix.pieces)) == len(mix.pieces)
        pattern = Pattern.parse(mix.pattern)
        assert tuple(used.label for used in mix.pieces) == pattern.labels(mix.emotions, "neutral")


def test_order_changes_nothing_fewer_are_the_beginning_of_more_and_another_seed_is_another_draw() -> None:
    pieces = pool()
    shuffled = [pieces[at] for at in np.random.default_rng(0).permutation(len(pieces))]
    assert drawn(shuffled, 60) == drawn(pieces, 60)
    assert drawn(pieces, 20) == drawn(pieces, 60)[:20]
    assert drawn(pieces, 60, seed=1) != drawn(pieces, 60)


def test_sessions_are_not_put_together() -> None:
    pieces = [piece("s", "neutral", 0, "one"), piece("s", "sad", 0, "two")]
    found = draw(pieces, [Pattern.parse("n-e"), Pattern.parse("e")], EMOTIONS, "neutral", 4, 0)
    assert {mix.pattern for mix in found.mixes} == {"e"} and not found.able["n-e"]
    together = [replace(one, group=("s", "one", "de")) for one in pieces]
    assert draw(together, [Pattern.parse("n-e")], EMOTIONS, "neutral", 4, 0).mixes
