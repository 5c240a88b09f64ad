import warnings

import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from sibboleth import metrics
from sibboleth.metrics import classification
from sibboleth.metrics.classification import Answers
from sibboleth.targets import Target

LABELS = ("angry", "happy", "neutral", "sad")
BY_NAME = {metric.name: metric for metric in classification.METRICS}


def posteriors(rng: np.random.Generator, answers: int, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    true = rng.integers(0, labels, answers)
    logits = rng.normal(size=(answers, labels))
    logits[np.arange(answers), true] += 1
    return true, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def hard(true: np.ndarray, weights: np.ndarray, outside: np.ndarray | None = None) -> Answers:
    labels = LABELS[: weights.shape[1]]
    return Answers(labels, np.eye(len(labels))[true], weights, outside)


def soft(rng: np.random.Generator, answers: int) -> Answers:
    return Answers(LABELS, rng.dirichlet([0.5] * 4, answers), rng.dirichlet([0.5] * 4, answers))


def per_class(answers: Answers, name: str) -> dict[str, float]:
    found = next(b for b in classification.breakdowns(answers.labels) if b.name == name)
    return dict(zip(found.slices, found.rate(found.parts(answers).sum(axis=0)).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed: int) -> None:
    true, weights = posteriors(np.random.default_rng(seed), 80)
    answers, said = hard(true, weights), weights.argmax(axis=1)
    expected = {
        "uar": oracle.balanced_accuracy_score(true, said),
        "accuracy": oracle.accuracy_score(true, said),
        "macro_f1": oracle.f1_score(true, said, average="macro"),
        "cross_entropy": oracle.log_loss(true, weights),
        "brier": oracle.brier_score_loss(true, weights, scale_by_half=False),
    }
    assert {name: BY_NAME[name](answers) for name in expected} == pytest.approx(expected)
    precision, recall, f1, _ = oracle.precision_recall_fscore_support(true, said)
    for name, numbers in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert list(per_class(answers, name).values()) == pytest.approx(numbers.tolist())
    matrix = oracle.confusion_matrix(true, said, normalize="true")
    cells = per_class(answers, "confusion")
    for row, label in zip(matrix, LABELS, strict=True):
        assert [cells[f"label={label},answer={other}"] for other in LABELS] == pytest.approx(row.tolist())
        assert cells[f"label={label},answer=(other)"] == 0


def test_absent_labels_as_scikit_learn() -> None:
    true, said = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])  # label 2 is answered only, 3 not at all
    answers = hard(true, np.eye(4)[said])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of labels that are answered only
        assert BY_NAME["uar"](answers) == pytest.approx(oracle.balanced_accuracy_score(true, said))
        assert BY_NAME["macro_f1"](answers) == pytest.approx(oracle.f1_score(true, said, average="macro"))
    recall, precision = per_class(answers, "recall"), per_class(answers, "precision")
    assert np.isnan([recall["label=neutral"], recall["label=sad"], precision["label=sad"]]).all()
    assert precision["label=neutral"] == 0
    assert np.isnan(per_class(answers, "f1")["label=sad"])
    assert np.isnan(per_class(answers, "confusion")["label=sad,answer=sad"])


def test_nothing_answered_is_undefined_not_zero() -> None:
    nothing = hard(np.zeros(0, int), np.zeros((0, 4)))
    assert np.isnan([metric(nothing) for metric in classification.METRICS]).all()


def test_answers_outside_the_label_set_are_wrong() -> None:
    answers = hard(np.array([0, 0, 1]), np.eye(4)[[0, 0, 1]] * [[1], [0], [1]], np.array([0.0, 1, 0]))
    assert answers.decided.tolist() == [0, 4, 1]
    assert BY_NAME["uar"](answers) == pytest.approx(0.75)
    assert per_class(answers, "confusion")["label=angry,answer=(other)"] == 0.5
    assert per_class(answers, "precision")["label=angry"] == 1
    assert BY_NAME["brier"](answers) == pytest.approx(2 / 3)
    assert BY_NAME["total_variation"](answers) == pytest.approx(1 / 3)


def test_the_heaviest_label_counts_even_if_it_is_outside() -> None:
    weights = np.array([[0.3, 0.1, 0.0, 0.0], [0.3, 0.1, 0.0, 0.0]])
    answers = hard(np.array([0, 0]), weights, np.array([0.2, 0.4]))  # the rest is spread over several others
    assert answers.decided.tolist() == [0, 4]


def test_no_weight_at_all_is_no_answer() -> None:
    assert hard(np.array([0]), np.zeros((1, 4))).decided.tolist() == [4]


def test_ties_go_to_the_alphabetically_first_whatever_the_order_of_labels() -> None:
    weights = np.array([[0.5, 0.5]])
    one = Answers(("sad", "angry"), np.array([[1.0, 0.0]]), weights)
    two = Answers(("angry", "sad"), np.array([[0.0, 1.0]]), weights)
    assert one.labels[one.decided[0]] == two.labels[two.decided[0]] == "angry"


def test_soft_reference_counts_by_its_weights() -> None:
    answers = Answers(("a", "b"), np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert per_class(answers, "recall") == pytest.approx({"label=a": 0.75 / 1.25, "label=b": 0.5 / 0.75})
    assert BY_NAME["uar"](answers) == pytest.approx((0.6 + 2 / 3) / 2)
    assert BY_NAME["accuracy"](answers) == pytest.approx((0.75 + 0.5) / 2)


def test_soft_reference_equals_votes_counted_one_by_one() -> None:
    rng = np.random.default_rng(3)
    votes = rng.multinomial(10, [0.4, 0.3, 0.2, 0.1], 50)
    _, weights = posteriors(rng, 50)
    pooled = Answers(LABELS, votes / 10, weights)
    rows = np.repeat(np.arange(50), 10)
    ballots = np.concatenate([np.repeat(np.arange(4), v) for v in votes])
    single = hard(ballots, weights[rows])
    for name in ("uar", "accuracy", "macro_f1", "cross_entropy"):
        assert BY_NAME[name](pooled) == pytest.approx(BY_NAME[name](single)), name
    said = weights.argmax(axis=1)
    assert BY_NAME["uar"](pooled) == pytest.approx(oracle.balanced_accuracy_score(ballots, said[rows]))


def test_distances_of_distributions() -> None:
    answers = soft(np.random.default_rng(0), 40)
    pairs = list(zip(answers.reference, answers.weights, strict=True))
    assert BY_NAME["total_variation"](answers) == pytest.approx(np.mean([np.abs(p - q).sum() / 2 for p, q in pairs]))
    assert BY_NAME["jensen_shannon"](answers) == pytest.approx(
        np.mean([jensenshannon(p, q, base=2) ** 2 for p, q in pairs])
    )
    assert BY_NAME["cross_entropy"](answers) == pytest.approx(np.mean([-(p * np.log(q)).sum() for p, q in pairs]))
    same = Answers(LABELS, answers.reference, answers.reference)
    assert [BY_NAME[n](same) for n in ("total_variation", "jensen_shannon", "brier")] == pytest.approx([0, 0, 0])
    apart = Answers(("a", "b"), np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert [BY_NAME[n](apart) for n in ("total_variation", "jensen_shannon", "brier")] == [1, 1, 2]


def test_calibration_error_equals_a_loop_over_bins() -> None:
    true, weights = posteriors(np.random.default_rng(1), 500)
    confidence, right = weights.max(axis=1), weights.argmax(axis=1) == true
    expected = 0.0
    for k in range(15):
        here = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if here.any():
            expected += here.mean() * abs(confidence[here].mean() - right[here].mean())
    assert BY_NAME["ece"](hard(true, weights)) == pytest.approx(expected)


def test_calibration_of_the_calibrated_and_of_the_overconfident() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([1] * 4, 20_000)
    drawn = (rng.random((20_000, 1)) > weights.cumsum(axis=1)).sum(axis=1)
    assert BY_NAME["ece"](hard(drawn, weights)) < 0.02
    sure = np.eye(4)[rng.integers(0, 4, 2000)]
    assert BY_NAME["ece"](hard(rng.integers(0, 4, 2000), sure)) == pytest.approx(0.75, abs=0.04)


def test_forced_choices_are_told_from_posteriors() -> None:
    true, weights = posteriors(np.random.default_rng(0), 10)
    assert hard(true, np.eye(4)[true]).forced
    assert not hard(true, weights).forced
    assert hard(true[:1], np.zeros((1, 4)), np.ones(1)).forced
    needing = {metric.name for metric in classification.METRICS if metric.needs_posterior}
    assert needing == {"ece", "brier", "cross_entropy", "total_variation", "jensen_shannon"}


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), answers=st.integers(2, 30), labels=st.integers(1, 4))
def test_properties(seed: int, answers: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    all_ = Answers(LABELS[:labels], rng.dirichlet([0.3] * labels, answers), rng.dirichlet([0.3] * labels, answers))
    order = rng.permutation(answers)
    half = answers // 2
    renamed = rng.permutation(labels)
    for metric in classification.METRICS:
        parts = metric.parts(all_)
        number = metric(all_)
        low, high = metric.bounds
        assert low - 1e-9 <= number <= high + 1e-9, metric.name
        assert metric(all_.take(order)) == pytest.approx(number), f"order: {metric.name}"
        assert metric(all_.take(np.repeat(order, 3))) == pytest.approx(number), f"duplication: {metric.name}"
        split = metric.parts(all_.take(slice(0, half))).sum(axis=0) + metric.parts(all_.take(slice(half, None))).sum(0)
        assert split == pytest.approx(parts.sum(axis=0)), f"pooling: {metric.name}"
        other = Answers(all_.labels, all_.reference[:, renamed], all_.weights[:, renamed])
        assert metric(other) == pytest.approx(number), f"order of labels: {metric.name}"
        stacked = np.stack([parts.sum(axis=0), parts[0]])
        assert metric.rate(stacked)[0] == pytest.approx(number), f"many sums at once: {metric.name}"


def test_main_metric_comes_first() -> None:
    assert [
        metrics.of(Target(name="x", kind=k))[0].name for k in ("classification", "regression", "transcription")
    ] == [
        "uar",
        "ccc",
        "wer",
    ]
    assert metrics.breakdowns(Target(name="x", kind="regression")) == ()
    assert len(metrics.breakdowns(Target(name="x", labels=("a", "b")))) == 4
