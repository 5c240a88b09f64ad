import numpy as np
import pytest
from scipy import stats as oracle

from sibboleth.metrics import regression
from sibboleth.metrics.regression import CCC, MAE, PEARSON, RMSE, Answers

EVERY = regression.METRICS


def numbers(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 1, count)
    return x, 0.7 * x + rng.normal(0.5, 0.6, count)


def lin(x: np.ndarray, y: np.ndarray) -> float:
    """Lin (1989), equation for the sample: variances over n."""
    return float(2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


@pytest.mark.parametrize("seed", range(5))
def test_equals_numpy_and_scipy(seed: int) -> None:
    x, y = numbers(seed)
    for answers in (Answers(x, y), Answers.centred(x, y)):
        assert CCC(answers) == pytest.approx(lin(x, y))
        assert PEARSON(answers) == pytest.approx(oracle.pearsonr(x, y).statistic)
        assert MAE(answers) == pytest.approx(np.abs(x - y).mean())
        assert RMSE(answers) == pytest.approx(np.sqrt(((x - y) ** 2).mean()))


def test_a_published_value() -> None:
    # Two raters' scores whose CCC is 2*1.25*... worked by hand: cov 2, variances 2 and 2, means 3 and 4.
    x, y = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 3, 4, 5, 6])
    assert CCC(Answers(x, y)) == pytest.approx(2 * 2 / (2 + 2 + 1))


@pytest.mark.parametrize("shift", [1e3, 1e6, 1e8])
def test_a_large_shift_changes_nothing(shift: float) -> None:
    x, y = numbers(0)
    moved = Answers.centred(x + shift, y + shift)
    for metric in EVERY:
        assert metric(moved) == pytest.approx(metric(Answers(x, y)), rel=1e-5), metric.name
    assert PEARSON(Answers.centred(x, y + shift)) == pytest.approx(PEARSON(Answers(x, y)), rel=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 1e6 + 0.1])
def test_constant_answers_have_no_correlation(constant: float) -> None:
    x, _ = numbers(1)
    flat = np.full_like(x, constant)
    answers = Answers.centred(x, flat)
    assert np.isnan(PEARSON(answers))
    assert CCC(answers) == 0  # the formula is defined: no covariance over some variance
    both = Answers.centred(flat, flat)
    assert np.isnan(PEARSON(both)) and np.isnan(CCC(both))
    assert MAE(both) == 0


def test_a_constant_part_of_varied_answers_has_no_correlation() -> None:
    x = np.r_[numbers(2)[0], 1.0, 2.0, 3.0]
    y = np.r_[numbers(2)[1], 7.1, 7.1, 7.1]
    assert np.isnan(PEARSON(Answers.centred(x, y).take(slice(60, None))))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_answers_are_undefined(count: int) -> None:
    answers = Answers.centred(np.arange(count, dtype=float), np.ones(count))
    assert np.isnan([CCC(answers), PEARSON(answers)]).all()
    assert np.isnan(MAE(answers)) == (count == 0)


def test_order_duplication_and_pooling() -> None:
    answers = Answers.centred(*numbers(3))
    order = np.random.default_rng(0).permutation(60)
    for metric in EVERY:
        assert metric(answers.take(order)) == pytest.approx(metric(answers))
        assert metric(answers.take(np.tile(order, 4))) == pytest.approx(metric(answers))
        halves = metric.parts(answers.take(slice(0, 20))).sum(axis=0) + metric.parts(answers.take(slice(20, 60))).sum(0)
        assert metric.rate(halves) == pytest.approx(metric(answers))


def test_mirrored_answers_agree_negatively() -> None:
    x = np.arange(9.0)
    assert CCC(Answers.centred(x, 8 - x)) == pytest.approx(-1)
    assert PEARSON(Answers.centred(x, 8 - x)) == pytest.approx(-1)
