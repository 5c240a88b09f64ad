"""Decoders against plain loops, and timelines there and back."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth.models.decoding import choosing
from sibboleth.models.decoding.choosing import Choosing
from sibboleth.models.decoding.decoders import (
    Argmax,
    Decoder,
    Hysteresis,
    Median,
    Minimum,
    Nothing,
    Viterbi,
    Weighed,
)
from sibboleth.models.decoding.timelines import Timeline, packed, runs, unpacked

Posteriors = npt.NDArray[np.float64]
STRIDE = 0.02


def drawn(seed: int, frames: int, labels: int = 3, rough: bool = False) -> Posteriors:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(frames, labels))
    if not rough:  # neighbours alike, as in speech
        logits = np.cumsum(logits, axis=0) / 3
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


frames = st.integers(1, 60)
seeds = st.integers(0, 10**6)


@given(seeds, frames, st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_median_is_that_of_the_frames_around(seed: int, count: int, rough: bool) -> None:
    posteriors = drawn(seed, count, rough=rough)
    half = 5  # 0.2 s are 10 frames, 11 with the one in the middle
    expected = []
    for frame in range(count):
        window = [posteriors[min(max(frame + k, 0), count - 1)] for k in range(-half, half + 1)]
        expected.append(int(np.median(window, axis=0).argmax()))
    assert Median(seconds=0.2)(posteriors, STRIDE).tolist() == expected


def shortened(posteriors: Posteriors, least: int) -> list[int]:
    codes = posteriors.argmax(axis=1).tolist()
    while True:
        parts = [(label, len(list(group))) for label, group in itertools.groupby(codes)]
        lengths = [length for _, length in parts]
        if len(parts) == 1 or min(lengths) >= least:
            return codes
        at = lengths.index(min(lengths))
        begin = sum(lengths[:at])
        own = posteriors[begin : begin + lengths[at]].sum(axis=0)
        labels = [parts[side][0] for side in (at - 1, at + 1) if 0 <= side < len(parts)]
        codes[begin : begin + lengths[at]] = [max(labels, key=lambda label: own[label])] * lengths[at]


@given(seeds, frames, st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_segment_is_shorter_than_the_minimum(seed: int, count: int, rough: bool) -> None:
    posteriors = drawn(seed, count, rough=rough)
    found = Minimum(seconds=0.1)(posteriors, STRIDE)
    assert found.tolist() == shortened(posteriors, 5)
    begins, _ = runs(found)
    assert len(begins) == 1 or np.diff([*begins, count]).min() >= 5


def doubly(posteriors: Posteriors, on: float, off: float, background: int | None) -> list[int]:
    count, labels = posteriors.shape
    kept = np.zeros(posteriors.shape)
    for label in range(labels):
        frame = 0
        while frame < count:
            end = frame
            while end < count and posteriors[end, label] >= off:
                end += 1
            if end > frame and label != background and posteriors[frame:end, label].max() >= on:
                kept[frame:end, label] = posteriors[frame:end, label]
            frame = max(end, frame + 1)
    nothing = posteriors.argmax(axis=1).tolist()
    return [
        int(kept[frame].argmax()) if kept[frame].any() else (nothing[frame] if background is None else background)
        for frame in range(count)
    ]


@given(seeds, frames, st.sampled_from([None, 0, 2]))
@settings(max_examples=60, deadline=None)
def test_hysteresis_holds_on_until_the_lower_threshold(seed: int, count: int, background: int | None) -> None:
    posteriors = drawn(seed, count)
    found = Hysteresis(on=0.7, off=0.4, background=background)(posteriors, STRIDE)
    assert found.tolist() == doubly(posteriors, 0.7, 0.4, background)


def best_path(posteriors: Posteriors, start: Posteriors, moves: Posteriors, scale: float) -> float:
    """The score of the best of all paths."""
    said = scale * np.log(posteriors)
    return max(
        start[path[0]]
        + said[0, path[0]]
        + sum(moves[a, b] + said[k, b] for k, (a, b) in enumerate(itertools.pairwise(path), start=1))
        for path in itertools.product(range(posteriors.shape[1]), repeat=len(posteriors))
    )


@given(seeds, st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_viterbi_finds_the_best_of_all_paths(seed: int, count: int) -> None:
    posteriors, random = drawn(seed, count, rough=True), np.random.default_rng(seed)
    moves = np.log(random.dirichlet(np.ones(3), size=3))
    start = np.log(random.dirichlet(np.ones(3)))
    decoder = Viterbi(scale=0.5, start=tuple(start), transitions=tuple(map(tuple, moves)))
    path = decoder(posteriors, STRIDE).tolist()
    said = 0.5 * np.log(posteriors)
    score = start[path[0]] + said[0, path[0]]
    score += sum(moves[a, b] + said[k, b] for k, (a, b) in enumerate(itertools.pairwise(path), start=1))
    assert score == pytest.approx(best_path(posteriors, start, moves, 0.5))


def test_transitions_are_shares_of_frames_with_one_more_each() -> None:
    one = Timeline(0.2, np.array([0.0, 0.1]), np.array([0.1, 0.2]), np.array([0, 1]))
    start, moves = choosing.transitions([one], 2, STRIDE)  # 5 frames of each label
    assert np.exp(start) == pytest.approx([2 / 3, 1 / 3])
    assert np.exp(moves).round(9).tolist() == [[5 / 7, 2 / 7], [1 / 6, 5 / 6]] or np.exp(moves) == pytest.approx(
        np.array([[5 / 7, 2 / 7], [1 / 6, 5 / 6]])
    )


@pytest.mark.parametrize(
    "decoder",
    [
        Argmax(),
        Median(seconds=0.4),
        Minimum(seconds=0.2),
        Hysteresis(on=0.5, off=0.3, background=0),
        Viterbi(scale=1, start=(-1.0, -1.0), transitions=((-0.1, -2.0), (-2.0, -0.1))),
        Weighed(background=0, factor=4, then=Minimum(seconds=0.2)),
    ],
)
def test_certain_frames_stay_as_they_are(decoder: Decoder) -> None:
    truth = np.repeat([0, 1, 0], [40, 60, 50])
    posteriors = np.where(np.arange(2) == truth[:, None], 0.95, 0.05)
    assert decoder(posteriors, STRIDE).tolist() == truth.tolist()


timelines = st.lists(st.tuples(st.floats(0.02, 1.0), st.integers(0, 3)), min_size=1, max_size=6)


@given(timelines)
@settings(max_examples=60, deadline=None)
def test_segments_of_frames_are_within_half_a_frame(parts: Sequence[tuple[float, int]]) -> None:
    merged = [
        (sum(d for d, _ in group), label)
        for label, group in itertools.groupby(parts, key=lambda one: one[1])
        for group in [list(group)]
    ]
    edges = np.cumsum([0.0, *(duration for duration, _ in merged)])
    one = Timeline(float(edges[-1]), edges[:-1], edges[1:], np.array([label for _, label in merged]))
    again = Timeline.of_frames(one.frames(max(1, int(one.seconds / STRIDE)), STRIDE), STRIDE, one.seconds)
    if len(again.labels) == len(one.labels):
        assert np.abs(again.starts - one.starts).max() <= STRIDE / 2 + 1e-9
        assert again.labels.tolist() == one.labels.tolist()
    assert again.covered(4).sum() == pytest.approx(one.seconds)


def test_rows_of_numbers_are_read_back() -> None:
    several = [
        Timeline(2.0, np.array([0.0, 1.25]), np.array([1.25, 2.0]), np.array([1, 0])),
        Timeline(0.5, np.empty(0), np.empty(0), np.empty(0, np.int64)),
    ]
    for one, again in zip(several, unpacked(packed(several)), strict=True):
        assert again.seconds == one.seconds
        for name in ("starts", "ends", "labels"):
            assert getattr(again, name).tolist() == getattr(one, name).tolist()


def test_frames_of_overlapping_segments_have_the_label_that_began_last() -> None:
    one = Timeline(1.0, np.array([0.0, 0.4]), np.array([0.8, 0.6]), np.array([0, 1]))
    codes = one.frames(10, 0.1).tolist()
    assert codes == [0, 0, 0, 0, 1, 1, 0, 0, -1, -1]


def test_dev_chooses_the_decoder_that_scores_best_and_the_first_of_equals() -> None:
    truth = packed([Timeline(1.0, np.array([0.0]), np.array([1.0]), np.array([1]))])
    noisy = np.tile([[0.1, 0.9]], (50, 1))
    noisy[20:23] = [0.8, 0.2]

    def right(true: npt.NDArray[np.float64], answers: npt.NDArray[np.float64]) -> float:
        return next(unpacked(answers)).covered(2)[1]

    plain, smooth, wide = Argmax(), Median(seconds=0.2), Median(seconds=0.4)
    assert Choosing([noisy], truth, right, 1, STRIDE).best([plain, smooth, wide]) == smooth
    assert Choosing([noisy], truth, right, -1, STRIDE).best([plain, smooth, wide]) == plain


def wrong(true: npt.NDArray[np.float64], answers: npt.NDArray[np.float64]) -> float:
    """The share of half-frames that are wrong."""
    codes = [[one.frames(100, STRIDE / 2) for one in unpacked(rows)] for rows in (true, answers)]
    return float(np.mean([a != b for a, b in zip(*codes, strict=True)]))


def leaning(truth: npt.NDArray[np.int64], lean: float, seed: int) -> Posteriors:
    """Logits of two labels that tell the truth in noise, and lean to label 1."""
    logit = 2.0 * (2 * truth - 1) + lean + np.random.default_rng(seed).normal(size=len(truth))
    return np.column_stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))])


@pytest.mark.parametrize(("lean", "factor"), [(1.4, 4.0), (-0.7, 0.5), (0.0, None)])
def test_dev_makes_up_for_a_head_that_leans_to_labels(lean: float, factor: float | None) -> None:
    codes = np.repeat([0, 1, 0], [15, 20, 15])
    truth = packed([Timeline.of_frames(codes, STRIDE, 1.0)] * 20)
    said = [leaning(codes, lean, seed) for seed in range(20)]
    found = Choosing(said, truth, wrong, -1, STRIDE).weighed([Argmax()], 0)
    assert found == (Argmax() if factor is None else Weighed(background=0, factor=factor, then=Argmax()))


def test_a_head_that_knows_nothing_says_nothing() -> None:
    truth = packed([Timeline.of_frames(np.repeat([0, 1, 0], [15, 20, 15]), STRIDE, 1.0)] * 20)
    said = [leaning(np.zeros(50, np.int64), 2.0, seed) for seed in range(20)]
    found = Choosing(said, truth, wrong, -1, STRIDE).weighed([Argmax(), Median(seconds=0.2)], 0)
    assert found == Nothing(background=0)
    assert found(said[0], STRIDE).tolist() == [0] * 50


@given(seeds, frames)
@settings(max_examples=30, deadline=None)
def test_weighing_is_that_of_odds(seed: int, count: int) -> None:
    posteriors = drawn(seed, count, rough=True)
    odds = posteriors * np.array([3.0, 1.0, 1.0])
    before = posteriors.copy()
    assert Weighed(background=0, factor=3.0, then=Argmax())(posteriors, STRIDE).tolist() == odds.argmax(1).tolist()
    assert np.array_equal(before, posteriors)
