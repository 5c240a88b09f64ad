import csv
import importlib.util
import itertools
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.stats as oracle
from scipy.special import expit, logit

from sibboleth import stats
from sibboleth.stats import permutation, resampling


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """The script that measures coverage, as anybody would run it."""
    path = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_simulation", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    found = stats.bootstrap(parts, speaker, ratio, bounds=(0, 1), resamples=300, confidence=0.9, seed=5)

    (weights,) = stats.Resampler(300, 0.9, 5).weights(9)
    assert weights.sum(axis=1).tolist() == [8] * 300
    sums = np.array(sorted([tuple(parts[speaker == s].sum(axis=0)) for s in range(9)], key=lambda t: t[::-1]))
    naive = []
    for row in weights:
        drawn = [s for k, s in enumerate(sums) for _ in range(int(row[k]))]
        naive.append(sum(right for right, _ in drawn) / sum(size for _, size in drawn))
    mean = parts[:, 0].mean()
    sizes = np.bincount(speaker)
    t = oracle.t.ppf(0.95, sizes.sum() ** 2 / (sizes**2).sum() - 1)
    step = t * np.std(naive) / (mean * (1 - mean))
    assert found.estimate == pytest.approx(mean)
    assert [found.low, found.high] == pytest.approx([expit(logit(mean) - step), expit(logit(mean) + step)])
    assert (found.n, found.clusters) == (90, 9)


@pytest.mark.parametrize("clusters", [2, 5, 30])
def test_interval_of_a_mean_of_equal_clusters_is_students(clusters: int) -> None:
    values = np.random.default_rng(clusters).normal(3, 2, clusters)
    parts = np.column_stack([values, np.ones(clusters)])
    found = stats.bootstrap(parts, np.arange(clusters), ratio, resamples=40_000)
    expected = oracle.ttest_1samp(values, 0).confidence_interval(0.95)
    width = expected.high - expected.low
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=0.01 * width)


def test_draws_are_those_of_a_multinomial_one_short() -> None:
    (weights,) = stats.Resampler(20_000, seed=3).weights(5)
    assert weights.mean(axis=0) == pytest.approx([4 / 5] * 5, abs=0.03)
    assert weights.var(axis=0) == pytest.approx([4 * 4 / 25] * 5, abs=0.04)
    assert np.corrcoef(weights.T)[0, 1] == pytest.approx(-1 / 4, abs=0.03)


@pytest.mark.parametrize("bounds", [(0, 1), (0, math.inf), (-1, 1), (0, 2), (-math.inf, math.inf)])
def test_limits_stay_in_their_range_around_the_estimate_and_grow_with_the_error(bounds: tuple[float, float]) -> None:
    estimate = np.array([0.001, 0.2, 0.5, 0.97, bounds[0] if math.isfinite(bounds[0]) else 0.0])
    freedom = np.full(5, 3.0)
    nothing = stats.limits(estimate, np.zeros(5), freedom, 0.95, bounds)
    assert (nothing[0] == estimate).all() and (nothing[1] == estimate).all()
    before = nothing
    for error in (0.01, 0.1, 1.0, 100.0):
        low, high = stats.limits(estimate, np.full(5, error), freedom, 0.95, bounds)
        assert (low >= bounds[0]).all() and (high <= bounds[1]).all() and np.isfinite([low, high]).all()
        assert (low <= before[0]).all() and (high >= before[1]).all()
        before = low, high
    # A small error is that of the plain t interval, whatever the scale.
    low, high = stats.limits(np.array([0.5]), np.array([1e-4]), np.array([7.0]), 0.9, bounds)
    step = oracle.t.ppf(0.95, 7) * 1e-4
    assert [low[0], high[0]] == pytest.approx([0.5 - step, 0.5 + step], abs=1e-6)
    unknown = stats.limits(np.array([np.nan, 0.5]), np.array([0.1, np.nan]), np.ones(2), 0.9, bounds)
    assert np.isnan(unknown).all()


def test_unequal_clusters_count_as_fewer() -> None:
    assert stats.effective(np.full(7, 3.0)) == pytest.approx(7)
    assert stats.effective(np.array([100.0, 1, 1])) == pytest.approx(1.04, abs=0.01)
    assert stats.effective(np.array([[1.0, 5], [1, 5], [1, 0]])).tolist() == pytest.approx([3, 2])
    assert np.isnan(stats.effective(np.zeros(3)))


def test_degrees_of_freedom_of_two_groups_are_welchs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 6), rng.normal(0, 4, 11)
    variances = np.array([[a.var(ddof=1) / 6], [b.var(ddof=1) / 11]])
    found = stats.degrees(variances, np.array([[5.0], [10.0]]))
    assert found[0] == pytest.approx(oracle.ttest_ind(a, b, equal_var=False).df)
    assert stats.degrees(np.zeros((2, 1)), np.array([[5.0], [10.0]]))[0] == 5


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


def test_intervals_cover_the_truth_at_thirty_clusters(simulation: ModuleType) -> None:
    rows = list(csv.DictReader(Path(stats.__file__).with_name("coverage.csv").read_text().splitlines()))
    kept = {(r["data"], int(r["clusters"]), float(r["confidence"])): float(r["held"]) for r in rows}
    sets = 750
    error = math.sqrt(0.95 * 0.05 / sets)
    for scenario in simulation.SCENARIOS:
        held = simulation.covered(scenario, 30, sets, seed=100)[0.95]
        assert abs(held - 0.95) <= 0.02 + 2.5 * error, scenario.name
        assert held == pytest.approx(kept[scenario.name, 30, 0.95], abs=3.5 * error), scenario.name
        for clusters in (30, 50, 100):  # measured with many more data sets
            assert kept[scenario.name, clusters, 0.95] == pytest.approx(0.95, abs=0.02), (scenario.name, clusters)


def test_what_ignores_speakers_or_takes_percentiles_is_seen_to_fail(simulation: ModuleType) -> None:
    easy = next(s for s in simulation.SCENARIOS if s.name == "accuracy .90")
    rng = np.random.default_rng(0)
    parts, answers = easy.draw(rng, 600, 10)
    percentile, naive, ours = 0, 0, 0
    for k in range(600):
        sums, sizes = parts[:, k], answers[:, k]
        resampled = stats.Resampler(500, seed=k).rates(sums, lambda s: easy.rate(s)[..., None])
        low, high = np.quantile(resampled, [0.025, 0.975])
        percentile += low <= easy.truth <= high
        share, n = sums[:, 0].sum() / sizes.sum(), sizes.sum()
        naive += abs(share - easy.truth) <= 1.96 * math.sqrt(share * (1 - share) / n)
        _, limit_low, limit_high = stats.Resampler(500, seed=k).intervals(
            sums, lambda s: easy.rate(s)[..., None], sizes, (0, 1)
        )
        ours += limit_low[0] <= easy.truth <= limit_high[0]
    assert naive / 600 < 0.75 < percentile / 600 < 0.9 < ours / 600


@pytest.mark.soak
@pytest.mark.parametrize("clusters", [2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100])
def test_the_kept_table_is_what_is_measured(simulation: ModuleType, clusters: int) -> None:
    for scenario in simulation.SCENARIOS:
        for level, held in simulation.covered(scenario, clusters, 4000, seed=1000).items():
            rows = csv.DictReader(Path(stats.__file__).with_name("coverage.csv").read_text().splitlines())
            (kept,) = [
                float(r["held"])
                for r in rows
                if (r["data"], r["clusters"], float(r["confidence"])) == (scenario.name, str(clusters), level)
            ]
            assert held == pytest.approx(kept, abs=4 * math.sqrt(kept * (1 - kept) / 4000) + 0.001)


def test_measured_coverage_is_told() -> None:
    four = stats.coverage(4)
    assert four is not None and four.clusters == 4 and four.confidence == 0.95
    assert 0.85 < four.lowest <= four.highest <= 1
    assert str(four) == (
        f"an interval meant to hold 95 % held {four.lowest * 100:.0f} to {four.highest * 100:.0f} % in simulation of"
        " ordinary data, and may hold less where a few speakers are very hard"
    )
    assert stats.coverage(1) is None
    assert stats.coverage(7) == stats.coverage(6)  # the next fewer that were simulated
    assert stats.coverage(10**6).clusters == 100  # type: ignore[union-attr]
    assert stats.coverage(30, 0.9).confidence == stats.coverage(30, 0.91).confidence == 0.9  # type: ignore[union-attr]


def test_memory_is_bounded_and_blocks_change_nothing_but_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).random((40, 50))
    seen = []

    def rate(summed: np.ndarray) -> np.ndarray:
        seen.append(summed.size)
        return summed[..., :1] / summed[..., 1:2]

    whole = stats.Resampler(500).rates(sums, rate)
    monkeypatch.setattr(resampling, "_BLOCK", 2000)
    seen.clear()
    pieces = stats.Resampler(500).rates(sums, rate)
    assert max(seen) <= 2000
    assert pieces.shape == whole.shape == (500, 1)
    assert np.quantile(pieces, 0.5) == pytest.approx(np.quantile(whole, 0.5), rel=0.05)


def test_cached_draws_stay_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "_CACHE", 100 * 30)
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


def test_exact_sign_flip_equals_scipys_permutation_test() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        a, b = rng.normal(0.4, 1, 9), rng.normal(0, 1, 9)
        both = np.column_stack([a, np.ones(9), b, np.ones(9)])
        expected = oracle.permutation_test(
            (a, b), lambda x, y: x.mean() - y.mean(), permutation_type="samples", n_resamples=np.inf
        )
        assert stats.sign_flip(both, ratio, flips=512, first=512, seed=0) == pytest.approx(expected.pvalue)


def test_random_sign_flips_estimate_scipys_p() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.5, 1, 25), rng.normal(0, 1, 25)
    both = np.column_stack([a, np.ones(25), b, np.ones(25)])
    expected = oracle.permutation_test(
        (a, b), lambda x, y: x.mean() - y.mean(), permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert stats.sign_flip(both, ratio, flips=20_000, first=20_000, seed=0) == pytest.approx(expected, abs=0.01)


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
    assert max(seen) * 30 <= permutation._FLIPPED  # bounded memory
    alike = a[::-1]
    seen.clear()
    assert many.difference(a, alike, counted, flips=20_000)[3] == few.difference(a, alike, ratio)[3] > 0.1
    assert sum(seen) < 1000
    # Exact as soon as all swaps are no more than the flips, in blocks or not.
    exact = many.difference(a[:10], b[:10], ratio, flips=1024)[3]
    assert exact == 2 / 1024
    assert many.difference(a[:10], b[:10], ratio, flips=1000)[3] != exact
    monkeypatch.setattr(permutation, "_FLIPPED", 70)
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


def test_holm_is_the_smallest_level_at_which_the_closed_test_rejects() -> None:
    p = [0.011, 0.02, 0.04, 0.2]

    def rejected(k: int, alpha: float) -> bool:
        """Every intersection hypothesis with k in it is rejected by Bonferroni's test."""
        subsets = (s for n in range(1, 5) for s in itertools.combinations(range(4), n) if k in s)
        return all(min(p[j] for j in s) <= alpha / len(s) + 1e-12 for s in subsets)

    for k, corrected in enumerate(stats.holm(p)):
        assert rejected(k, corrected) and not rejected(k, corrected - 1e-6)


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


def ratings(seed: int, speakers: int, raters: int, rater_spread: float = 1.0, mean: float = 0.0) -> np.ndarray:
    """Ratings `[speaker, rater, part]` of speakers who differ by raters who differ, ten each."""
    rng = np.random.default_rng(seed)
    values = mean + rng.normal(0, 1, (speakers, 1)) + rng.normal(0, rater_spread, (1, raters))
    values = values + rng.normal(0, 0.3, (speakers, raters))
    return np.stack([10 * values, np.full(values.shape, 10.0)], axis=-1)


def group(seed: int, speakers: int, raters: int, rater_spread: float = 1.0, mean: float = 0.0) -> stats.Cells:
    return celled(ratings(seed, speakers, raters, rater_spread, mean))


def celled(parts: np.ndarray) -> stats.Cells:
    return stats.Cells(parts, parts[..., 1])


def mean_of(sums: np.ndarray) -> np.ndarray:
    return ratio(sums)[..., None]


def test_a_group_of_one_is_that_rater_to_the_bit() -> None:
    cells = group(0, 8, 1)
    resampler = stats.Resampler(500)
    alone = resampler.intervals(cells.by_speaker(), mean_of, cells.speaker_answers()[:, 0])
    assert stats.crossed(resampler, cells, mean_of) == alone
    assert (stats.crossed_rates(resampler, cells, mean_of, 3) == resampler.rates(cells.by_speaker(), mean_of, 3)).all()


def test_order_and_names_of_raters_and_speakers_change_nothing_to_the_bit() -> None:
    a, b = group(1, 9, 6), group(2, 9, 4)
    rng = np.random.default_rng(0)
    speakers = rng.permutation(9)
    one, other = (cells.take(speakers, rng.permutation(cells.raters)) for cells in (a, b))
    resampler = stats.Resampler(300)
    assert stats.crossed(resampler, a, mean_of) == stats.crossed(resampler, one, mean_of)
    assert stats.crossed_difference(resampler, a, b, ratio) == stats.crossed_difference(resampler, one, other, ratio)


def test_error_of_a_group_is_that_of_two_way_analysis_of_variance() -> None:
    parts = ratings(3, 12, 7)
    cells, means = celled(parts), parts[..., 0] / 10
    by_speaker, by_rater = means.mean(axis=1).var(ddof=1) / 12, means.mean(axis=0).var(ddof=1) / 7
    expected = math.sqrt(by_speaker + by_rater)
    freedom = (by_speaker + by_rater) ** 2 / (by_speaker**2 / 11 + by_rater**2 / 6)
    estimate, low, high = stats.crossed(stats.Resampler(20_000), cells, mean_of)
    assert estimate[0] == pytest.approx(means.mean())
    half = (high[0] - low[0]) / 2
    assert half == pytest.approx(oracle.t.ppf(0.975, freedom) * expected, rel=0.03)
    # Owen's pigeonhole bootstrap is never too narrow on average.
    assert half > 0.98 * oracle.t.ppf(0.975, freedom) * expected


def test_raters_who_are_ignored_are_uncertainty_that_is_ignored() -> None:
    covered, ignored = 0, 0
    for seed in range(400):
        cells = group(seed, 20, 6)
        resampler = stats.Resampler(300, seed=seed)
        _, low, high = stats.crossed(resampler, cells, mean_of)
        covered += low[0] <= 0 <= high[0]
        _, low, high = resampler.intervals(cells.by_speaker(), mean_of)
        ignored += low[0] <= 0 <= high[0]
    assert covered / 400 > 0.92
    assert ignored / 400 < 0.8


def test_a_group_against_a_model() -> None:
    parts = ratings(4, 10, 8, mean=1.0)
    people, model = celled(parts), celled(parts.mean(axis=1, keepdims=True) - [5.0, 0.0])
    resampler = stats.Resampler(1000)
    difference, low, high, p = stats.crossed_difference(resampler, people, model, ratio)
    assert difference == pytest.approx(0.5)
    # The model is as right about the same speakers, so that what is left is how people differ from each other.
    people_alone = parts[..., 0].mean(axis=0) / 10
    assert (high - low) / 2 == pytest.approx(oracle.t.ppf(0.975, 7) * people_alone.std(ddof=1) / math.sqrt(8), rel=0.15)
    assert (p < 0.05) == (low > 0)
    back = stats.crossed_difference(resampler, model, people, ratio)
    assert back == (-difference, -high, -low, p)


def test_the_same_people_in_two_conditions_are_paired() -> None:
    parts = ratings(5, 10, 8)
    shift = np.random.default_rng(0).normal(2, 0.5, parts.shape[:2])
    before, after = celled(parts), celled(parts + np.stack([shift, np.zeros_like(shift)], axis=-1))
    resampler = stats.Resampler(500)
    paired = stats.crossed_difference(resampler, after, before, ratio, same_raters=True)
    apart = stats.crossed_difference(resampler, after, before, ratio)
    assert paired[0] == pytest.approx(apart[0])
    assert paired[2] - paired[1] < 0.3 * (apart[2] - apart[1])
    assert paired[3] < 0.001 < 0.05 < apart[3]
    same = stats.crossed_difference(resampler, before, before, ratio, same_raters=True)
    assert same == (0, 0, 0, 1)


def test_a_group_needs_two_speakers() -> None:
    one = group(6, 1, 5)
    estimate, low, high = stats.crossed(stats.Resampler(100), one, mean_of)
    assert np.isfinite(estimate[0]) and np.isnan([low[0], high[0]]).all()
    assert np.isnan(stats.crossed_difference(stats.Resampler(100), one, group(7, 1, 3), ratio)[1:]).all()


def test_p_of_groups_is_uniform_under_the_null() -> None:
    p = [
        stats.crossed_difference(stats.Resampler(200, seed=k), group(k, 12, 6), group(1000 + k, 12, 8), ratio)[3]
        for k in range(150)
    ]
    # Speakers' effects are drawn apart for the two groups here, which only adds noise that both sides resample.
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert 0.3 < np.mean(np.array(p) <= 0.5) < 0.7
