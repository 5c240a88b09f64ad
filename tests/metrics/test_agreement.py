"""Agreement of raters equals the libraries' wherever they compute the same."""

import krippendorff
import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from sibboleth import stats
from sibboleth.metrics import agreement

EXACT = 1e-9


def drawn(seed: int, items: int = 30, raters: int = 6, categories: int = 4, missing: float = 0.0) -> np.ndarray:
    """Answers `[item, rater]` that lean to a common one."""
    rng = np.random.default_rng(seed)
    common = rng.integers(0, categories, (items, 1))
    own = rng.integers(0, categories, (items, raters))
    answers = np.where(rng.random((items, raters)) < 0.5, common, own)
    return np.where(rng.random((items, raters)) < missing, -1, answers)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.7])
def test_alpha_is_that_of_the_library(level: agreement.Level, missing: float) -> None:
    values = np.array([1.0, 2.0, 4.0, 7.5])
    for seed in range(5):
        answers = drawn(seed, missing=missing)
        data = np.where(answers < 0, np.nan, values[np.maximum(answers, 0)]).T
        expected = krippendorff.alpha(reliability_data=data, level_of_measurement=level)
        assert agreement.alpha(answers, values, level) == pytest.approx(expected, abs=EXACT)


def test_alpha_of_a_known_example() -> None:
    """The three coders of 15 units of Wikipedia's article on the coefficient: nominal 0.691, interval 0.811."""
    rows = [
        "* * * * * 3 4 1 2 1 1 3 3 * 3",
        "1 * 2 1 3 3 4 3 * * * * * * *",
        "* * 2 1 3 4 4 * 2 1 1 3 3 * 4",
    ]
    answers = np.array([[-1 if cell == "*" else int(cell) - 1 for cell in row.split()] for row in rows]).T
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert agreement.alpha(answers, values, "nominal") == pytest.approx(0.691, abs=5e-4)
    assert agreement.alpha(answers, values, "interval") == pytest.approx(0.811, abs=5e-4)


def test_fleiss_is_that_of_statsmodels() -> None:
    for seed in range(5):
        answers = drawn(seed)
        table, _ = aggregate_raters(answers)
        assert agreement.fleiss(answers, 4) == pytest.approx(fleiss_kappa(table), abs=EXACT)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_cohen_is_that_of_scikit_learn(missing: float) -> None:
    for seed in range(5):
        first, second = drawn(seed, items=80, raters=2, missing=missing).T
        both = (first >= 0) & (second >= 0)
        expected = oracle.cohen_kappa_score(first[both], second[both])
        assert agreement.cohen(first, second, 4) == pytest.approx(expected, abs=EXACT)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(6)), st.permutations(range(4)))
def test_names_and_order_change_nothing(seed: int, raters: list[int], labels: list[int]) -> None:
    answers, values = drawn(seed, missing=0.3), np.arange(4.0)
    rng = np.random.default_rng(seed)
    other = answers[rng.permutation(len(answers))][:, raters]
    other = np.where(other < 0, -1, np.array(labels)[other])
    assert agreement.alpha(other, values) == pytest.approx(agreement.alpha(answers, values), abs=EXACT)
    assert agreement.fleiss(other, 4) == pytest.approx(agreement.fleiss(answers, 4), abs=EXACT)
    kappas = [agreement.cohen(*answers[:, pair].T, 4) for pair in ([0, 1], [1, 0])]
    assert kappas[0] == pytest.approx(kappas[1], abs=EXACT)
    spaced = [agreement.alpha(answers, place, "interval") for place in (values, values * 10 + 3)]
    assert spaced[0] == pytest.approx(spaced[1], abs=EXACT)


def test_what_is_undefined_is_not_a_number() -> None:
    alone, alike = np.array([[0], [1], [2]]), np.zeros((5, 3), np.int64)
    for answers in (alone, alike, np.full((4, 3), -1), np.zeros((0, 2), np.int64)):
        for level in ("nominal", "ordinal", "interval"):
            assert np.isnan(agreement.alpha(answers, np.arange(3.0), level)), level
        assert np.isnan(agreement.fleiss(answers, 3))
    assert np.isnan(agreement.cohen(np.array([0, -1]), np.array([-1, 1]), 2))
    assert np.isnan(agreement.cohen(np.array([1, 1]), np.array([1, 1]), 2))


def test_an_answer_that_stands_alone_changes_nothing() -> None:
    answers = drawn(3, missing=0.2)
    lone = np.full((4, 6), -1)
    lone[:, 2] = 1
    more = np.concatenate([answers, lone])
    assert agreement.alpha(more, np.arange(4.0)) == pytest.approx(agreement.alpha(answers, np.arange(4.0)), abs=EXACT)
    assert agreement.fleiss(more, 4) == pytest.approx(agreement.fleiss(answers, 4), abs=EXACT)


def test_an_item_of_weight_two_is_two_items() -> None:
    answers, twice = drawn(1, missing=0.2), np.ones(30)
    twice[:10] = 2
    tally = agreement.Tally(answers, np.arange(4.0))
    found = tally.agreement(twice[None], np.ones((1, 6)), ("nominal", "ordinal", "interval"))[0]
    doubled = np.concatenate([answers[:10], answers])
    levels = [agreement.alpha(doubled, np.arange(4.0), level) for level in ("nominal", "ordinal", "interval")]
    np.testing.assert_allclose(found, [*levels, agreement.fleiss(doubled, 4)], atol=EXACT)


def test_a_rater_of_weight_zero_is_not_there_and_none_agrees_with_himself() -> None:
    answers = drawn(2)
    tally = agreement.Tally(answers, np.arange(4.0))
    without = tally.agreement(np.ones((1, 30)), np.array([[0.0, 1, 1, 1, 1, 1]]), ("nominal",))[0]
    expected = [agreement.alpha(answers[:, 1:], np.arange(4.0)), agreement.fleiss(answers[:, 1:], 4)]
    np.testing.assert_allclose(without, expected, atol=EXACT)
    alone = tally.agreement(np.ones((1, 30)), np.array([[3.0, 0, 0, 0, 0, 0]]), ("nominal",))[0]
    assert np.isnan(alone).all()


def test_intervals_hold_the_panels_agreement() -> None:
    """Fleiss' kappa of four equally likely labels, right with probability p, else any: p^2 on average over raters."""
    rng, held, studies = np.random.default_rng(0), 0, 60
    resampler = stats.Resampler(resamples=200)
    truth = 0.6**2
    for _ in range(studies):
        skill = rng.choice([0.4, 0.8], 12)  # of raters: mean 0.6, so that another two agree with 0.36
        label = rng.integers(0, 4, (60, 1))
        answers = np.where(rng.random((60, 12)) < skill, label, rng.integers(0, 4, (60, 12)))
        tally, speakers = agreement.Tally(answers, np.arange(4.0)), np.repeat(np.arange(12), 5)

        def fleiss(by: np.ndarray, who: np.ndarray, tally: object = tally, speakers: object = speakers) -> np.ndarray:
            return tally.agreement(by[:, speakers], who, ())  # type: ignore[attr-defined]

        _, low, high = stats.weighted(resampler, fleiss, np.full(12, 60.0), np.full(12, 60.0), agreement.BOUNDS)
        held += low[0] <= truth <= high[0]
    assert held >= 0.88 * studies


def test_few_raters_are_not_resampled_and_one_speaker_gives_no_interval() -> None:
    resampler = stats.Resampler(resamples=200)
    for raters, speakers, there in ((3, 10, True), (6, 10, True), (6, 1, False)):
        tally = agreement.Tally(drawn(0, raters=raters), np.arange(4.0))
        codes = np.arange(30) % speakers
        estimate, low, high = stats.weighted(
            resampler,
            lambda by, who, tally=tally, codes=codes: tally.agreement(by[:, codes], who, ("nominal",)),
            np.full(speakers, 30.0),
            np.full(raters, 30.0),
            agreement.BOUNDS,
        )
        assert np.isfinite(estimate).all()
        assert (np.isfinite(low) & np.isfinite(high)).all() == there
        assert not there or ((low < estimate) & (estimate < high)).all()
