"""Boundaries are where one piece fades into the next, and nothing clicks there."""

from typing import NamedTuple

import numpy as np
import pytest

from sibboleth.corpora.mixes import joining
from sibboleth.corpora.mixes.drawing import Mix
from sibboleth.corpora.mixes.joining import FADE, LEVEL, join
from sibboleth.corpora.mixes.pieces import RATE, Piece, activity

LONG = 16_000


class Segment(NamedTuple):
    start: float
    end: float
    label: str


def segments(mix: Mix, background: str, pause: float) -> list[Segment]:
    return [Segment(*one) for one in joining.segments(mix, background, pause)]


def made(labels: tuple[str, ...], gains: tuple[float, ...]) -> tuple[Mix, list[np.ndarray]]:
    """Make pieces of one voice at several levels, with a little silence at both ends."""
    sounds, pieces = [], []
    for place, (label, gain) in enumerate(zip(labels, gains, strict=True)):
        random = np.random.default_rng(place)
        sound = gain * np.convolve(random.normal(size=LONG + 7), np.full(8, 8**-0.5), "valid")
        sound[:480] *= 0.001
        sound[-480:] *= 0.001
        sounds.append(sound.astype(np.float32))
        found = activity(sounds[-1])
        assert found is not None
        name = f"u{place}"
        pieces.append(Piece(name, label, ("s",), name, None, None, 0, LONG, found.level, found.floor, name))
    return Mix("mix-000001", "", (), tuple(pieces)), sounds


def test_every_sample_outside_the_fades_is_that_of_its_piece() -> None:
    mix, sounds = made(("neutral", "sad", "neutral"), (0.1, 0.01, 0.3))
    joined, told = join(mix, sounds, 0, 0), segments(mix, "neutral", 0)
    assert [one.label for one in told] == ["neutral", "sad", "neutral"]
    assert told[0].start == 0 and round(told[-1].end * RATE) == len(joined) == 3 * LONG - 2 * FADE
    for place, (segment, piece, sound) in enumerate(zip(told, mix.pieces, sounds, strict=True)):
        begin = place * (LONG - FADE)
        assert abs(segment.start * RATE - (begin + FADE / 2 if place else 0)) < 1e-6
        assert segment.end == told[place + 1].start if place < 2 else True
        inside = slice(begin + FADE, begin + LONG - FADE)
        expected = sound[FADE:-FADE] * 10 ** ((LEVEL - piece.level) / 20)
        assert np.abs(joined[inside] / 2**15 - expected).max() <= 0.5 / 2**15 + 1e-7


def test_speech_is_equally_loud_and_never_clips_and_nothing_clicks() -> None:
    mix, sounds = made(("neutral", "sad"), (0.3, 0.003))
    joined = join(mix, sounds, 0, 0) / 2**15
    levels = [10 * np.log10(np.mean(half**2)) for half in (joined[480:15000], joined[16500:-480])]
    assert levels == pytest.approx([LEVEL, LEVEL], abs=0.7)
    jumps = np.abs(np.diff(joined))
    assert jumps[LONG - FADE - 8 : LONG + 8].max() < jumps.max() / 3
    sounds[0][8000] = 0.9 * 30
    loud = join(mix, sounds, 0, 0)
    assert np.abs(loud).max() == pytest.approx(2**15 * 10 ** (-1 / 20), abs=1)
    assert loud[20000] / loud[5000] == pytest.approx(joined[20000] / joined[5000], rel=0.05)


def test_two_that_are_cut_in_the_middle_of_sound_do_not_click_either() -> None:
    time = np.arange(LONG) / RATE
    tone = (0.2 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)
    pieces = tuple(
        Piece(name, name, ("s",), name, None, None, 0, LONG, -17.0, -60.0, name) for name in ("neutral", "sad")
    )
    joined = join(Mix("mix", "", (), pieces), [tone, np.roll(tone, 30)], 0, 0).astype(float)
    jumps = np.abs(np.diff(joined))
    assert jumps[LONG - FADE - 8 : LONG + 8].max() < 1.5 * jumps[:8000].max()


def test_neighbours_of_one_label_are_one_segment_and_a_pause_is_the_backgrounds() -> None:
    mix, sounds = made(("sad", "sad", "angry"), (0.1, 0.1, 0.1))
    assert [one.label for one in segments(mix, "neutral", 0)] == ["sad", "angry"]
    joined, told = join(mix, sounds, 0.25, 0), segments(mix, "neutral", 0.25)
    assert [one.label for one in told] == ["sad", "neutral", "sad", "neutral", "angry"]
    assert round(told[-1].end * RATE) == len(joined)
    for pause in (told[1], told[3]):
        assert pause.end - pause.start == pytest.approx(0.25)
        quiet = joined[round(pause.start * RATE) + FADE : round(pause.end * RATE) - FADE]
        assert 0 < np.abs(quiet).max() < 300
    assert [one.end for one in told[:-1]] == [one.start for one in told[1:]]
    same = join(mix, sounds, 0.25, 0)
    assert (same == joined).all() and (join(mix, sounds, 0.25, 1) != joined).any()


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.02])
def test_the_length_is_told_without_the_sounds(pause: float) -> None:
    mix, sounds = made(("neutral", "sad", "neutral", "angry"), (0.1,) * 4)
    assert round(segments(mix, "neutral", pause)[-1].end * RATE) == len(join(mix, sounds, pause, 0))
