"""Alignments against what they promise: known shifts undone, covariances of zero, shares found again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from sibboleth.models.alignment import Eraser, adjusted, coral, label_shares, one_hot, z_normalised


def made(rows: int, dim: int, values: int, seed: int, rank: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Features `[row, dim]` of uneven scales, with a concept in their means, and its codes."""
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(values), rng.integers(0, values, rows - values)])
    inner = rank or dim
    x = rng.normal(size=(rows, inner)) + 2 * rng.normal(size=(values, inner))[codes]
    mixed = x @ rng.normal(size=(inner, dim)) * 10 ** rng.uniform(-2, 2, dim) + rng.normal(0, 50, dim)
    return mixed, codes


def crossed(x: np.ndarray, codes: np.ndarray) -> float:
    """The largest correlation-like cross-covariance, in units of the features' deviations before."""
    z = one_hot(codes)
    return float(np.abs((x - x.mean(0)).T @ (z - z.mean(0)) / len(x)).max())


@settings(max_examples=30, deadline=None)
@given(
    st.integers(20, 120), st.integers(1, 12), st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([None, 1, 3])
)
def test_erased_features_do_not_covary_with_the_concept(
    rows: int, dim: int, values: int, seed: int, rank: int | None
) -> None:
    x, codes = made(rows, dim, values, seed, rank)
    erased = Eraser.fit(x, one_hot(codes))(x)
    scale = np.maximum(x.std(0), 1e-300)
    assert crossed(erased / scale, codes) < 1e-8
    np.testing.assert_allclose(erased.mean(0) / scale, x.mean(0) / scale, atol=1e-8)


def test_no_linear_probe_beats_always_answering_the_same() -> None:
    x, codes = made(300, 10, 4, 1)
    before = LogisticRegression(C=1e4, max_iter=5000).fit(x / x.std(0), codes).score(x / x.std(0), codes)
    erased = (Eraser.fit(x, one_hot(codes))(x) - x.mean(0)) / x.std(0)
    probe = LogisticRegression(C=1e4, max_iter=5000).fit(erased, codes)
    assert before > 0.9
    assert np.abs(probe.coef_).max() < 1e-4
    assert probe.score(erased, codes) == pytest.approx(np.bincount(codes).max() / len(codes))


def test_no_smaller_change_hides_the_concept() -> None:
    """Against the closed form of the paper, and against every other linear eraser that we can draw."""
    x, codes = made(400, 6, 3, 2)
    z = one_hot(codes)
    ours = Eraser.fit(x, z)(x)
    centred, values = x - x.mean(0), z - z.mean(0)
    covariance, cross = centred.T @ centred / len(x), centred.T @ values / len(x)
    eigen, vectors = np.linalg.eigh(covariance)
    whiten, unwhiten = (vectors * eigen**p @ vectors.T for p in (-0.5, 0.5))
    inside = whiten @ cross
    projection = unwhiten @ inside @ np.linalg.pinv(inside, rcond=1e-8) @ whiten
    np.testing.assert_allclose((ours - x) / x.std(0), -centred @ projection.T / x.std(0), atol=1e-7)
    rng = np.random.default_rng(3)
    span = np.linalg.svd(cross, full_matrices=False)[0][:, :2]
    for _ in range(50):  # an oblique projection along the same directions, with another kernel
        other = rng.normal(size=(2, 6))
        rival = x - centred @ (span @ np.linalg.solve(other @ span, other)).T
        assert crossed(rival / x.std(0), codes) < 1e-7
        assert ((rival - x) ** 2).sum() >= ((ours - x) ** 2).sum() * (1 - 1e-9)


def test_units_do_not_matter_to_erasure() -> None:
    x, codes = made(200, 5, 3, 4)
    units = np.array([1e-4, 1e4, 1.0, 7.0, 1e2])
    z = one_hot(codes)
    np.testing.assert_allclose(
        Eraser.fit(x * units, z)(x * units) / (units * x.std(0)), Eraser.fit(x, z)(x) / x.std(0), atol=1e-8
    )


def test_a_constant_concept_and_constant_features_are_left_as_they_are() -> None:
    x, codes = made(50, 4, 2, 5)
    assert np.array_equal(Eraser.fit(x, one_hot(np.zeros(50, dtype=np.int64)))(x), x)
    flat = np.column_stack([x, np.full(50, 3.0)])
    eraser = Eraser.fit(flat, one_hot(codes))
    assert eraser.rank == 1
    np.testing.assert_allclose(eraser(flat)[:, -1], 3.0)


def test_more_speakers_than_dimensions_erase_everything_and_say_so() -> None:
    x, codes = made(60, 4, 20, 6)
    eraser = Eraser.fit(x, one_hot(codes))
    assert eraser.rank == 4
    np.testing.assert_allclose(eraser(x).std(0) / x.std(0), 0, atol=1e-8)


def test_fewer_rows_than_dimensions_with_few_of_each_speaker() -> None:
    x, codes = made(30, 50, 6, 7)
    eraser = Eraser.fit(x, one_hot(codes))
    assert eraser.rank == 5
    assert crossed(eraser(x) / x.std(0), codes) < 1e-8


def test_z_normalisation_undoes_any_shift_and_scale_of_a_domain() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(80, 3))
    shifted = x * np.array([0.1, 5.0, 2.0]) + np.array([3.0, -40.0, 0.5])
    groups = np.repeat([0, 1], 80)
    made_alike = z_normalised(np.concatenate([x, shifted]), groups)
    np.testing.assert_allclose(made_alike[:80], made_alike[80:], atol=1e-12)
    np.testing.assert_allclose(made_alike[:80].std(0), 1)


def test_a_speaker_of_one_utterance_is_normalised_as_the_domain_and_a_constant_becomes_zero() -> None:
    rng = np.random.default_rng(9)
    x = np.column_stack([rng.normal(5, 2, 21), np.full(21, 4.0)])
    speakers = np.array([0] * 10 + [1] * 10 + [2])
    domain = np.zeros(21, dtype=np.int64)
    found = z_normalised(x, speakers, domain)
    assert found[20, 0] == pytest.approx((x[20, 0] - x[:, 0].mean()) / x[:, 0].std())
    np.testing.assert_allclose(found[:10, 0].mean(), 0, atol=1e-12)
    assert not found[:, 1].any()


def test_coral_gives_the_covariance_of_the_target_and_undoes_a_change_of_units() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(20_000, 4))
    half = rng.normal(size=(4, 4))
    target = rng.normal(size=(20_000, 4)) @ (half @ half.T + np.eye(4)) + 7
    moved = coral(x, target)
    units = target.std(0)
    np.testing.assert_allclose(np.cov((moved / units).T), np.cov((target / units).T), atol=0.01)
    np.testing.assert_allclose(moved.mean(0), target.mean(0))
    units = np.array([0.01, 30.0, 1.0, 2.0])
    np.testing.assert_allclose(coral(x, x * units + 5) / units, x + 5 / units, atol=0.05)


def test_coral_of_few_rows_and_of_constant_features_is_finite() -> None:
    rng = np.random.default_rng(11)
    source, target = rng.normal(size=(12, 40)), rng.normal(3, 2, size=(9, 40))
    source[:, 0], target[:, 1] = 5.0, 5.0
    assert np.isfinite(coral(source, target)).all()


def test_label_shares_are_found_again_and_answers_improve() -> None:
    rng = np.random.default_rng(12)
    prior, true = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    labels = rng.choice(2, 4000, p=true)
    heard = rng.normal(labels * 1.5, 1.0)
    odds = 1.5 * heard - 1.5**2 / 2
    answers = np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))])
    shares = label_shares(answers, prior)
    np.testing.assert_allclose(shares, true, atol=0.02)
    better = adjusted(answers, prior, shares)
    np.testing.assert_allclose(better.sum(1), 1)
    assert (better.argmax(1) == labels).mean() > (answers.argmax(1) == labels).mean() + 0.05


def test_a_label_that_never_trained_gets_no_share() -> None:
    answers = np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]])
    prior = np.array([0.5, 0.5, 0.0])
    shares = label_shares(answers, prior)
    assert np.isfinite(shares).all()
    found = adjusted(answers, prior, shares)
    assert np.isfinite(found).all()
    assert found[2].tolist() == [0.0, 0.0, 1.0]
