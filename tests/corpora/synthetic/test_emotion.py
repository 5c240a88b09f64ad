"""The class distributions overlap, and the best possible score is the Bayes rule's."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.metrics import recall_score

from sibboleth.corpora.synthetic import emotion
from sibboleth.corpora.synthetic.emotion import EMOTIONS, Coding


def draw(means: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(len(means)), count)
    noise = np.random.default_rng(seed).standard_normal((len(labels), means.shape[1]))
    return means[labels] + noise, labels


@pytest.mark.parametrize("coding", ["alike", "unrelated", "permuted"])
def test_the_best_score_leaves_room_and_is_out_of_reach_of_what_was_learned(coding: Coding) -> None:
    means = emotion.class_means(EMOTIONS, coding)
    best = emotion.best_score(means)
    assert 0.85 < best.uar < 0.9
    assert 0 < best.standard_error < 0.002
    train, labels = draw(means, 5000, seed=1)
    test, answers = draw(means, 20_000, seed=2)
    carried = means.any(axis=0)
    for model in (LinearDiscriminantAnalysis(), QuadraticDiscriminantAnalysis()):
        learned = model.fit(train[:, carried], labels).predict(test[:, carried])
        uar = recall_score(answers, learned, average="macro")
        assert best.uar - 0.01 < uar < best.uar + 0.005


def test_two_classes_agree_with_the_closed_form() -> None:
    from scipy.stats import norm

    means = emotion.class_means(("happy", "sad"), "alike")
    exact = norm.cdf(np.linalg.norm(means[0] - means[1]) / 2)
    best = emotion.best_score(means)
    assert abs(best.uar - exact) < 4 * best.standard_error + 1e-9


def test_the_same_seed_gives_the_same_score_and_another_an_agreeing_one() -> None:
    means = emotion.class_means(EMOTIONS, "alike")
    one, again, other = (emotion.best_score(means, seed) for seed in (0, 0, 1))
    assert one == again != other
    assert abs(one.uar - other.uar) < 4 * np.hypot(one.standard_error, other.standard_error)


def test_permuted_codes_are_those_of_the_next_emotion_and_unrelated_ones_share_no_cue() -> None:
    alike, permuted, unrelated = (
        emotion.class_means(EMOTIONS, coding) for coding in ("alike", "permuted", "unrelated")
    )
    assert np.array_equal(permuted[0], alike[1])
    assert np.array_equal(permuted[-1], alike[0])
    assert not np.any((alike != 0) & (unrelated != 0))


def test_a_cue_that_means_nothing_varies_as_much_as_where_it_means_the_emotion() -> None:
    for coding, other in (("alike", "unrelated"), ("unrelated", "alike")):
        decoys = emotion.decoy_means(EMOTIONS, coding)
        assert np.array_equal(decoys, emotion.class_means(EMOTIONS, other))
