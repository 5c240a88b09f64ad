"""Speakers crossed with raters: sparse sums give what whole tables give, in little memory, to the same bits again."""

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from sibboleth import stats
from sibboleth.scores.slices import Items
from sibboleth.stats.cells import speaker_order

RATERS = 1_000_000
Rate = Callable[[np.ndarray], np.ndarray]


def ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 1] == 0, np.nan, sums[..., 0] / sums[..., 1])


def ratio_of(sums: np.ndarray) -> np.ndarray:
    return ratio(sums)[..., None]


def heard(seed: int, speakers: int, raters: int, share: float) -> np.ndarray:
    """Parts `[speaker, rater, part]`, negative ones too; most raters heard few speakers, and some values are tied."""
    rng = np.random.default_rng(seed)
    there = rng.random((speakers, raters)) < share
    there[np.arange(speakers), rng.integers(0, raters, speakers)] = True
    there[rng.integers(0, speakers, raters), np.arange(raters)] = True
    said = np.where(there, rng.integers(-2, 6, there.shape) / 2, 0)
    return np.stack([said, there * rng.integers(1, 4, there.shape)], axis=-1).astype(float)


def canonical(sides: list[np.ndarray]) -> list[np.ndarray]:
    """Whole tables in the order that depends on neither names nor order."""
    orders = [np.lexsort(np.sort(side, axis=0).transpose(0, 2, 1).reshape(-1, side.shape[1])) for side in sides]
    sides = [side[:, order] for side, order in zip(sides, orders, strict=True)]
    place = np.lexsort(np.concatenate([side.reshape(len(side), -1) for side in sides], axis=1).T)
    return [side[place] for side in sides]


def drawn(resampler: stats.Resampler, side: np.ndarray, stream: int) -> np.ndarray:
    """Sums `[resample, part]` of a whole table."""
    speakers, people = side.shape[:2]
    by_speaker = np.concatenate(list(resampler.weights(speakers)))
    if people == 1:
        return by_speaker @ side[:, 0]
    by_rater = np.concatenate(list(resampler.weights(people, stream)))
    return np.einsum("bs,br,srp->bp", by_speaker, by_rater, side)


def dense(
    resampler: stats.Resampler, sides: list[np.ndarray], streams: list[int], rate: Rate
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate, resampled numbers and degrees of freedom from whole tables."""
    counts = [side[..., 1::2].sum(axis=-1) for side in sides]
    sides = canonical(sides)
    whole = [side.sum(axis=(0, 1)) for side in sides]
    estimate = rate(np.concatenate(whole))
    resampled = rate(np.concatenate([drawn(resampler, s, k) for s, k in zip(sides, streams, strict=True)], axis=1))
    speakers = np.concatenate([side.sum(axis=1) for side in sides], axis=1)
    alone = [resampler.resample(speakers, rate)]
    each = [min(stats.effective(count.sum(axis=1)) - 1 for count in counts)]
    for k, (side, stream) in enumerate(zip(sides, streams, strict=True)):
        if side.shape[1] > 1:

            def beside(sums: np.ndarray, k: int = k) -> np.ndarray:
                parts = [
                    sums if j == k else np.broadcast_to(w, (*sums.shape[:-1], len(w))) for j, w in enumerate(whole)
                ]
                return rate(np.concatenate(parts, axis=-1))

            alone.append(resampler.resample(side.sum(axis=0), beside, stream))
            each.append(stats.effective(counts[k].sum(axis=0)) - 1)
    variances = np.stack([stats.spread(numbers) ** 2 for numbers in alone])
    freedom = np.maximum(np.array(each), 1.0)[:, None]
    return estimate, resampled, stats.degrees(variances, freedom)


def cells_of(parts: np.ndarray) -> stats.Cells:
    return stats.Cells(parts, parts[..., 1])


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_sparse_sums_give_what_whole_tables_give(seed: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = heard(seed, 23, 17, share)
    resampler = stats.Resampler(300, seed=seed)
    estimate, resampled, freedom = dense(resampler, [parts], [RATERS], ratio_of)
    expected = estimate, *resampler.limits(resampled, estimate, freedom)
    found = stats.crossed(resampler, cells_of(parts), ratio_of)
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), rel=1e-12, abs=1e-12, nan_ok=True)
    monkeypatch.setattr(sys.modules["sibboleth.stats.crossed"], "_NUMBERS", 900)  # many small blocks
    found = stats.crossed(resampler, cells_of(parts), ratio_of)
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("raters", [1, 9])
def test_differences_are_those_of_whole_tables(seed: int, raters: int) -> None:
    a, b = heard(seed, 14, 11, 0.3), heard(10 + seed, 14, raters, 0.4 if raters > 1 else 1)
    a, b = (b, a) if tuple(b.sum(axis=(0, 1))) < tuple(a.sum(axis=(0, 1))) else (a, b)
    resampler = stats.Resampler(300, seed=seed)

    def subtract(sums: np.ndarray) -> np.ndarray:
        return (ratio(sums[..., :2]) - ratio(sums[..., 2:]))[..., None]

    estimate, resampled, freedom = dense(resampler, [a, b], [RATERS + 1, RATERS + 2], subtract)
    low, high = resampler.limits(resampled, estimate, freedom)
    found = stats.crossed_difference(resampler, cells_of(a), cells_of(b), ratio)
    assert found[:3] == pytest.approx((estimate[0], low[0], high[0]), rel=1e-12, abs=1e-12)


def test_the_same_people_are_those_of_whole_tables_though_they_heard_others() -> None:
    a, b = heard(0, 14, 11, 0.3), heard(1, 14, 11, 0.3)
    a, b = (b, a) if tuple(b.sum(axis=(0, 1))) < tuple(a.sum(axis=(0, 1))) else (a, b)
    resampler = stats.Resampler(300)

    def subtract(sums: np.ndarray) -> np.ndarray:
        return (ratio(sums[..., :2]) - ratio(sums[..., 2:]))[..., None]

    estimate, resampled, freedom = dense(resampler, [np.concatenate([a, b], axis=2)], [RATERS], subtract)
    low, high = resampler.limits(resampled, estimate, freedom)
    found = stats.crossed_difference(resampler, cells_of(a), cells_of(b), ratio, same_raters=True)
    assert found[:3] == pytest.approx((estimate[0], low[0], high[0]), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_sparse_tables_are_ordered_as_whole_ones(seed: int) -> None:
    sides = [heard(seed, 12, 9, 0.2), heard(100 + seed, 12, 4, 0.2)]
    for side in sides:
        order = np.lexsort(np.sort(side, axis=0).transpose(0, 2, 1).reshape(-1, side.shape[1]))
        assert cells_of(side).rater_order().tolist() == order.tolist()
    whole = np.concatenate([side.reshape(12, -1) for side in sides], axis=1)
    assert speaker_order([cells_of(side) for side in sides]).tolist() == np.lexsort(whole.T).tolist()


def test_order_and_names_change_no_bit_and_nor_does_another_run() -> None:
    parts = heard(5, 30, 12, 0.2)
    rng = np.random.default_rng(0)
    other = parts[rng.permutation(30)][:, rng.permutation(12)]
    one, two, three = (stats.crossed(stats.Resampler(200), cells_of(p), ratio_of) for p in (parts, other, parts))
    assert [n.tobytes() for n in one] == [n.tobytes() for n in two] == [n.tobytes() for n in three]


def test_many_people_who_heard_few_of_many_speakers_take_little_memory() -> None:
    rng = np.random.default_rng(0)
    answers, speakers, people, width = 4000, 2000, 400, 72
    clusters = np.concatenate([np.arange(speakers), rng.integers(0, speakers, answers - speakers)])
    items = Items(clusters, (), (), np.zeros((answers, 0), np.int64)).answered_by(
        rng.integers(0, people, answers), people
    )
    parts = np.zeros((answers, width))
    parts[np.arange(answers), rng.integers(0, width, answers)] = 1.0
    resampler = stats.Resampler(200)
    tracemalloc.start()
    try:
        stats.crossed(resampler, items.cells(parts), lambda sums: sums[..., :1] / sums.sum(axis=-1, keepdims=True))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < speakers * people * width * 8 / 4  # a whole table alone is 460 MB
