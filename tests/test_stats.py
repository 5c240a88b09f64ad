import itertools

import numpy as np
import pytest

from sibboleth import stats


def ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 1] == 0, np.nan, sums[..., 0] / sums[..., 1])


def counts(rng: np.random.Generator, answers: int, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong answers of speakers who differ in how well they are understood."""
    speaker = rng.integers(0, clusters, answers)
    skill = rng.normal(0, 1, clusters)
    right = rng.random(answers) < 1 / (1 + np.exp(-skill[speaker]))
    return np.column_stack([right, np.ones(answers)]).astype(float), speaker


def test_interval_equals_a_naive_loop_with_the_same_draws() -> None:
    parts, speaker = counts(np.random.default_rng(1), 90, 9)
    found = stats.bootstrap(parts, speaker, ratio, resamples=300, confidence=0.9, seed=5)

    resampler = stats.Resampler(300, 0.9, 5)
    (weights,) = resampler._weights(9, 0)
    assert weights.sum(axis=1).tolist() == [9] * 300
    sums = np.array(sorted([tuple(parts[speaker == s].sum(axis=0)) for s in range(9)], key=lambda t: t[::-1]))
    naive = []
    for row in weights:
        drawn = [s for k, s in enumerate(sums) for _ in range(int(row[k]))]
        naive.append(sum(right for right, _ in drawn) / sum(size for _, size in drawn))
    assert found.estimate == pytest.approx(parts[:, 0].mean())
    assert [found.low, found.high] == pytest.approx(np.quantile(naive, [0.05, 0.95]))
    assert (found.n, found.clusters) == (90, 9)


def test_draws_are_those_of_a_multinomial() -> None:
    (weights,) = stats.Resampler(20_000, seed=3)._weights(5, 0)
    assert weights.mean(axis=0) == pytest.approx([1] * 5, abs=0.03)
    assert weights.var(axis=0) == pytest.approx([4 / 5] * 5, abs=0.04)
    assert np.corrcoef(weights.T)[0, 1] == pytest.approx(-1 / 4, abs=0.03)


def test_order_and_names_of_clusters_change_nothing_to_the_bit() -> None:
    rng = np.random.default_rng(2)
    parts, speaker = counts(rng, 200, 12)
    parts[:, 0] += rng.normal(size=200)  # not only whole numbers
    other = parts + rng.normal(size=parts.shape)
    order = rng.permutation(200)
    names = np.array([f"s{(7 * k + 3) % 12}" for k in range(12)])
    renamed = names[speaker[order]]
    assert stats.bootstrap(parts, speaker, ratio) == stats.bootstrap(parts[order], renamed, ratio)
    assert stats.paired(parts, other, speaker, ratio) == stats.paired(parts[order], other[order], renamed, ratio)


def test_seeds_differ_and_repeat_and_leave_the_global_generator_alone() -> None:
    parts, speaker = counts(np.random.default_rng(1), 90, 9)
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = stats.bootstrap(parts, speaker, ratio, seed=1)
    assert first == stats.bootstrap(parts, speaker, ratio, seed=1)
    assert first != stats.bootstrap(parts, speaker, ratio, seed=2)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize("answers", [0, 5])
def test_one_cluster_has_no_interval_rather_than_one_of_no_width(answers: int) -> None:
    parts = np.ones((answers, 2))
    found = stats.bootstrap(parts, ["anna"] * answers, ratio)
    difference = stats.paired(parts, parts * [0, 1], ["anna"] * answers, ratio)
    assert np.isnan([found.low, found.high, difference.low, difference.high, difference.p]).all()
    assert np.isnan(found.estimate) == (answers == 0)
    assert found.clusters == (answers > 0)


def test_resamples_without_a_rate_are_left_out_and_too_many_undo_the_interval() -> None:
    def rare(clusters: int) -> stats.Interval:
        parts = np.zeros((20, 2))
        parts[:clusters] = [1, 1]
        return stats.bootstrap(parts, np.arange(20), ratio)

    assert np.isnan(rare(1).low)  # absent from about 36% of the resamples
    assert (rare(6).low, rare(6).high) == (1, 1)


def test_interval_of_clustered_data_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered, naive = [], []
    for _ in range(200):
        speakers = rng.normal(0, 1, 30)
        values = np.repeat(speakers, 10) + rng.normal(0, 0.5, 300)
        parts = np.column_stack([values, np.ones(300)])
        found = stats.bootstrap(parts, np.repeat(np.arange(30), 10), ratio, resamples=400)
        alone = stats.bootstrap(parts, np.arange(300), ratio, resamples=100)
        covered.append(found.low <= 0 <= found.high)
        naive.append(alone.low <= 0 <= alone.high)
    assert 0.88 <= np.mean(covered) <= 0.99
    assert np.mean(naive) < 0.7  # what ignoring speakers would have claimed


def test_memory_is_bounded_and_blocks_change_nothing_but_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).random((40, 50))
    seen = []

    def rate(summed: np.ndarray) -> np.ndarray:
        seen.append(summed.size)
        return summed[..., :1] / summed[..., 1:2]

    whole = stats.Resampler(500).rates(sums, rate)
    monkeypatch.setattr(stats, "_BLOCK", 2000)
    seen.clear()
    pieces = stats.Resampler(500).rates(sums, rate)
    assert max(seen) <= 2000
    assert pieces.shape == whole.shape == (500, 1)
    assert np.quantile(pieces, 0.5) == pytest.approx(np.quantile(whole, 0.5), rel=0.05)


def test_cached_draws_stay_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "_CACHE", 100 * 30)
    resampler = stats.Resampler(100)
    for clusters in range(2, 20):
        resampler.rates(np.ones((clusters, 2)), lambda s: s)
    assert sum(kept.size for kept in resampler._drawn.values()) <= 100 * 30
    fresh = stats.Resampler(100)
    sums = np.random.default_rng(0).random((19, 2))
    assert (resampler.rates(sums, lambda s: s) == fresh.rates(sums, lambda s: s)).all()


def test_sum_by_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    parts, codes = rng.random((50, 3)), rng.integers(0, 7, 50)
    expected = [parts[codes == k].sum(axis=0) for k in range(8)]
    assert stats.sum_by(parts, codes, 8) == pytest.approx(np.array(expected))


def test_exact_sign_flip_equals_all_swaps_by_hand() -> None:
    rng = np.random.default_rng(4)
    a, speaker = counts(rng, 60, 6)
    b, _ = counts(rng, 60, 6)
    found = stats.paired(a, b, speaker, ratio, resamples=100)

    sums_a = np.array([a[speaker == s].sum(axis=0) for s in range(6)])
    sums_b = np.array([b[speaker == s].sum(axis=0) for s in range(6)])
    differences = []
    for swap in itertools.product([False, True], repeat=6):
        swapped = np.array(swap)[:, None]
        left, right = np.where(swapped, sums_b, sums_a).sum(axis=0), np.where(swapped, sums_a, sums_b).sum(axis=0)
        differences.append(left[0] / left[1] - right[0] / right[1])
    assert found.difference == pytest.approx(differences[0])
    assert found.p == np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)


def test_random_swaps_come_close_to_all_swaps() -> None:
    rng = np.random.default_rng(5)
    a, speaker = counts(rng, 120, 11)
    b, _ = counts(rng, 120, 11)
    exact = stats.paired(a, b, speaker, ratio, resamples=2048)
    drawn = stats.paired(a, b, speaker, ratio, resamples=2047)
    assert drawn.p == pytest.approx(exact.p, abs=0.04)
    assert drawn.p != exact.p


def test_more_flips_find_smaller_p_and_those_of_no_use_are_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    a, b = rng.random((30, 2)) + [4, 9], rng.random((30, 2)) + [1, 9]
    few, many = stats.Resampler(99), stats.Resampler(99)
    assert few.difference(a, b, ratio)[3] == 1 / 100
    seen = []

    def counted(sums: np.ndarray) -> np.ndarray:
        seen.append(len(np.atleast_2d(sums)))
        return ratio(sums)

    assert many.difference(a, b, counted, flips=20_000)[3] == 1 / 20_001
    assert max(seen) * 30 <= stats._FLIPPED  # bounded memory
    alike = a[::-1]
    seen.clear()
    assert many.difference(a, alike, counted, flips=20_000)[3] == few.difference(a, alike, ratio)[3] > 0.1
    assert sum(seen) < 1000
    # Exact as soon as all swaps are no more than the flips, in blocks or not.
    exact = many.difference(a[:10], b[:10], ratio, flips=1024)[3]
    assert exact == 2 / 1024
    assert many.difference(a[:10], b[:10], ratio, flips=1000)[3] != exact
    monkeypatch.setattr(stats, "_FLIPPED", 70)
    assert many.difference(a[:10], b[:10], ratio, flips=1024)[3] == exact


def test_b_minus_a_mirrors_a_minus_b() -> None:
    rng = np.random.default_rng(6)
    a, speaker = counts(rng, 100, 14)
    b, _ = counts(rng, 100, 14)
    one, two = stats.paired(a, b, speaker, ratio), stats.paired(b, a, speaker, ratio)
    assert (one.difference, one.low, one.high, one.p) == (-two.difference, -two.high, -two.low, two.p)
    same = stats.paired(a, a, speaker, ratio)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_p_is_uniform_under_the_null_and_small_under_an_effect() -> None:
    rng = np.random.default_rng(7)
    null, effect = [], []
    for _ in range(300):
        speaker = np.repeat(np.arange(12), 5)
        shared = np.repeat(rng.normal(0, 1, 12), 5)
        a, b = (shared + np.repeat(rng.normal(0, 0.5, 12), 5) + rng.normal(0, 1, 60) for _ in range(2))
        ones = np.ones(60)
        null.append(stats.paired(np.c_[a, ones], np.c_[b, ones], speaker, ratio, resamples=199).p)
        effect.append(stats.paired(np.c_[a + 1.5, ones], np.c_[b, ones], speaker, ratio, resamples=199).p)
    for level in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(np.array(null) <= level) == pytest.approx(level, abs=0.07)
    assert np.mean(np.array(effect) <= 0.05) > 0.95


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(8)
    speaker = np.repeat(np.arange(20), 10)
    hard = np.repeat(rng.random(20), 10)
    a = np.c_[hard + rng.normal(0, 0.05, 200), np.ones(200)]
    b = np.c_[hard + 0.1 + rng.normal(0, 0.05, 200), np.ones(200)]
    found = stats.paired(a, b, speaker, ratio)
    alone = stats.bootstrap(a, speaker, ratio)
    assert found.high - found.low < 0.2 * (alone.high - alone.low)
    assert found.low < -0.1 < found.high


def test_holm_known_values() -> None:
    # The worked example of Holm's procedure with m = 4.
    assert stats.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.6, 0.7]).tolist() == [1, 1]
    assert stats.holm([]).tolist() == []


def test_holm_passes_over_what_is_undefined() -> None:
    corrected = stats.holm([0.02, np.nan, 0.01])
    assert corrected[[0, 2]].tolist() == pytest.approx([0.02, 0.02])
    assert np.isnan(corrected[1])


def test_holm_never_lowers_p_and_keeps_its_order() -> None:
    p = np.random.default_rng(0).random(50) ** 3
    corrected = stats.holm(p)
    assert (corrected >= p).all() and (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
    order = np.random.default_rng(1).permutation(50)
    assert (stats.holm(p[order]) == corrected[order]).all()
