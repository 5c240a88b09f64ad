"""Measures of transferability against plain implementations and what they are to tell."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.linear_model import Ridge

from sibboleth.models import transferability
from sibboleth.models.transferability import (
    coral_distance,
    dealt_out,
    held_out,
    logme,
    mean_distance,
    proxy_a_distance,
    ranks,
    recalls,
)


def labelled(rows: int, dim: int, seed: int, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, dim))
    y = (strength * x[:, 0] + rng.normal(size=rows) > 0).astype(int)
    return x, np.eye(2)[y]


@pytest.mark.parametrize(("rows", "dim"), [(60, 5), (25, 40)])
def test_logme_is_the_marginal_likelihood_of_a_gaussian_maximised_directly(rows: int, dim: int) -> None:
    """The evidence is the density of y under N(0, I / beta + F F^T / alpha), with no linear algebra in common."""
    x, labels = labelled(rows, dim, 1, 2.0)
    found = []
    for y in labels.T:

        def lost(logs: np.ndarray, y: np.ndarray = y) -> float:
            alpha, beta = np.exp(logs)
            density = multivariate_normal(np.zeros(rows), np.eye(rows) / beta + x @ x.T / alpha)
            return -float(density.logpdf(y))

        tries = [minimize(lost, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000})
                 for start in ([0.0, 0.0], [3.0, 1.0])]  # fmt: skip
        found.append(-min(one.fun for one in tries) / rows)
    assert logme(x, labels) == pytest.approx(np.mean(found), abs=1e-5)


def test_logme_prefers_features_that_tell_the_label_and_knows_no_constant_one() -> None:
    x, labels = labelled(200, 6, 2, 3.0)
    shuffled = np.random.default_rng(0).permutation(x)
    assert logme(x, labels) > logme(shuffled, labels) + 0.05
    assert np.isnan(logme(x, np.ones((200, 1))))


def test_distances_are_zero_to_oneself_and_grow_with_what_they_measure() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(400, 4))
    assert coral_distance(a, a) == 0
    assert mean_distance(a, a + 1) == pytest.approx(1)
    assert mean_distance(a, a) == 0
    stretched = a @ np.diag([2.0, 1, 1, 1])
    assert coral_distance(a, stretched) == pytest.approx((3 * a[:, 0].var()) ** 2 / 64, rel=0.05)
    assert coral_distance(a, a + 5) == pytest.approx(0, abs=1e-12)


def test_proxy_a_distance_is_near_0_for_one_domain_and_2_for_two_that_lie_apart() -> None:
    rng = np.random.default_rng(4)
    speakers = np.repeat(np.arange(10), 40)
    a, b = rng.normal(size=(400, 5)), rng.normal(size=(400, 5))
    assert abs(proxy_a_distance(a, b, speakers, speakers)) < 0.3
    assert proxy_a_distance(a, b + 9, speakers, speakers) == pytest.approx(2)
    assert proxy_a_distance(a, b + 9, speakers * 0, speakers) == pytest.approx(2)
    voices = rng.normal(0, 9, (20, 5))
    own = voices[speakers], voices[speakers + 10]
    assert proxy_a_distance(a + own[0], b + own[1], speakers, speakers) < 1.5  # voices alone do not make a domain


def test_proxy_a_distance_is_not_fooled_by_sizes() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(900, 3)), rng.normal(size=(90, 3))
    assert abs(proxy_a_distance(a, b, np.arange(900), np.arange(90))) < 0.45


@pytest.mark.parametrize("dim", [4, 50])
def test_held_out_scores_are_those_of_scikit_learn(dim: int) -> None:
    x, labels = labelled(45, dim, 6)
    folds = np.arange(45) % 3
    found = held_out(x, labels, folds)
    for fold in range(3):
        known, held = folds != fold, folds == fold
        scaled = (x - x[known].mean(0)) / x[known].std(0)
        expected = Ridge(alpha=transferability.RIDGE * known.sum()).fit(scaled[known], labels[known])
        np.testing.assert_allclose(found[held], expected.predict(scaled[held]), atol=1e-9)


def test_a_constant_feature_changes_no_score() -> None:
    x, labels = labelled(60, 3, 7)
    folds = np.arange(60) % 3
    flat = np.column_stack([x, np.full(60, 2.0)])
    np.testing.assert_allclose(held_out(flat, labels, folds), held_out(x, labels, folds), atol=1e-12)


def test_groups_stay_whole_and_folds_are_about_as_large() -> None:
    groups = np.repeat(np.arange(7), [30, 5, 5, 20, 10, 10, 10])
    dealt = dealt_out(groups, 3)
    assert all(len(set(dealt[groups == group])) == 1 for group in range(7))
    assert np.ptp(np.bincount(dealt)) <= 10


def test_recalls_and_ranks() -> None:
    truth = np.eye(2)[[0, 0, 1]]
    assert recalls(truth, np.array([[2, 1], [0, 1], [0, 1]])).tolist() == [0.5, 1]
    assert ranks([0.5, 0.9, 0.5, float("nan")], True).tolist() == [2.5, 1, 2.5, 4]
    assert ranks([0.5, 0.9, float("nan")], False).tolist() == [1, 2, 3]
