"""Equal error rates: of scores, and of all pairs of embeddings in blocks."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from sibboleth.metrics import trials, verification
from sibboleth.metrics.trials import Trials
from sibboleth.stats import Resampler


def by_curve(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Where scikit-learn's curve meets the line of equal errors."""
    truth = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    false, true, _ = roc_curve(truth, np.r_[genuine, impostor], drop_intermediate=False)
    return float(brentq(lambda x: 1 - x - interp1d(false, true)(x), 0, 1, xtol=1e-14))


@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("apart", [-1.0, 0.0, 1.3, 9.0])
def test_rate_is_where_the_curve_meets_the_line_of_equal_errors(apart: float, decimals: int) -> None:
    rng = np.random.default_rng(int(10 * apart) + decimals + 100)
    genuine, impostor = rng.normal(apart, 1, 37).round(decimals), rng.normal(0, 1, 211).round(decimals)
    found = verification.equal_error_rate(genuine, impostor)
    # On a vertical or horizontal piece interp1d is not a function; there the errors of a step decide.
    assert found == pytest.approx(by_curve(genuine, impostor), abs=1e-6 if decimals else 1e-9)
    assert verification.equal_error_rate(3 * genuine - 5, 3 * impostor - 5) == pytest.approx(found, abs=1e-12)
    assert verification.equal_error_rate(-impostor, -genuine) == pytest.approx(found, abs=1e-12)
    rng.shuffle(genuine)
    assert verification.equal_error_rate(genuine, impostor) == found


def test_known_rates() -> None:
    rate = verification.equal_error_rate
    assert rate(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0.0
    assert rate(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1.0
    assert rate(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert rate(np.array([1.0, 3.0]), np.array([0.0, 2.0])) == 0.5
    assert np.isnan(rate(np.array([]), np.array([1.0]))) and np.isnan(rate(np.array([1.0]), np.array([])))
    with pytest.raises(ValueError, match="not a number"):
        rate(np.array([np.nan]), np.array([1.0]))


def speech(speakers: int, each: int, seed: int = 0, dim: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(speakers), each)
    return (rng.normal(0, 0.8, (speakers, dim))[who] + rng.normal(0, 1, (len(who), dim))).astype(np.float32), who


def pairs(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    return first, second, (unit @ unit.T)[first, second]


@pytest.mark.parametrize("block", [50, 2_000_000])
def test_all_pairs_in_blocks_give_what_all_pairs_at_once_give(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "BLOCK", block)
    embeddings, who = speech(9, 7)
    first, second, scores = pairs(embeddings)
    same = who[first] == who[second]
    chosen = Trials(who)
    found = trials.equal_error_rate(embeddings, chosen, Resampler(100))
    assert found.estimate == pytest.approx(by_curve(scores[same], scores[~same]), abs=1e-7)
    assert chosen.counts == (same.sum(), (~same).sum()) and found.n == len(scores)
    assert 0 < found.low < found.estimate < found.high < 1


def test_pairs_of_one_speaker_are_no_trials_where_something_else_is_verified() -> None:
    embeddings, who = speech(8, 6)
    accent = np.random.default_rng(1).integers(0, 3, len(who))
    first, second, scores = pairs(embeddings)
    other, same = who[first] != who[second], accent[first] == accent[second]
    chosen = Trials(who, accent)
    found = trials.equal_error_rate(embeddings, chosen, Resampler(100))
    assert found.estimate == pytest.approx(by_curve(scores[other & same], scores[other & ~same]), abs=1e-7)
    assert chosen.counts == ((other & same).sum(), (other & ~same).sum())


def test_resamples_count_trials_as_often_as_their_speakers_are_drawn() -> None:
    embeddings, who = speech(8, 6)
    first, second, scores = pairs(embeddings)
    same = who[first] == who[second]
    weights = next(Resampler(60).weights(8))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    chosen = Trials(who)
    _, drawn = trials._counted(unit, chosen, trials._edges(unit, chosen, 0), weights)
    for weight, found in zip(weights, verification.rate(*drawn), strict=True):
        count = np.where(same, weight[who[first]], weight[who[first]] * weight[who[second]]).astype(int)
        repeated = np.repeat(scores, count), np.repeat(same, count)
        expected = verification.equal_error_rate(repeated[0][repeated[1]], repeated[0][~repeated[1]])
        assert found == pytest.approx(expected, abs=0.006)


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    many, who = speech(400, 8, seed=5)
    truth = trials.equal_error_rate(many, Trials(who), Resampler(2)).estimate
    held = []
    for seed in range(60):
        some, who = speech(20, 6, seed=100 + seed)
        found = trials.equal_error_rate(some, Trials(who), Resampler(200))
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.86


def test_embeddings_that_say_nothing_are_at_chance_and_perfect_ones_make_no_error() -> None:
    rng = np.random.default_rng(3)
    who = np.repeat(np.arange(30), 10)
    noise = trials.equal_error_rate(rng.normal(size=(300, 8)).astype(np.float32), Trials(who), Resampler(200))
    assert noise.low < 0.5 < noise.high and noise.high - noise.low < 0.1
    perfect = trials.equal_error_rate(np.eye(30, dtype=np.float32)[who], Trials(who), Resampler(200))
    assert (perfect.estimate, perfect.low, perfect.high) == (0.0, 0.0, 0.0)
    alike = trials.equal_error_rate(np.zeros((300, 8), np.float32), Trials(who), Resampler(200))
    assert alike.estimate == 0.5


def test_two_speakers_have_a_rate_and_no_interval() -> None:
    embeddings, who = speech(2, 5)
    found = trials.equal_error_rate(embeddings, Trials(who), Resampler(100))
    assert 0 <= found.estimate <= 1 and np.isnan(found.low) and np.isnan(found.high)


def test_draws_keep_to_the_number_and_treat_speakers_alike() -> None:
    size = np.array([500, 3, 40, 40, 1])
    who = np.repeat(np.arange(5), size)
    kept = trials.drawn(who, 800, seed=1)
    each = np.bincount(who[kept], minlength=5)
    assert len(kept) * (len(kept) - 1) // 2 <= 800 and each.tolist() == [12, 3, 12, 12, 1]
    assert (trials.drawn(who, 800, seed=1) == kept).all() and (trials.drawn(who, 800, seed=2) != kept).any()
    assert (trials.drawn(who, 10**9, seed=1) == np.arange(len(who))).all()
    many = np.repeat(np.arange(1000), 3)
    assert (
        np.bincount(many[trials.drawn(many, 5000, seed=1)])[np.unique(many[trials.drawn(many, 5000, 1)])] == 2
    ).all()
