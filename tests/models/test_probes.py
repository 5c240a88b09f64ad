"""Probes trained together equal probes trained alone, and both equal an independent implementation."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from sibboleth import splits
from sibboleth.models import convex, heads, training
from sibboleth.models.probes import Answer, Probing
from sibboleth.splits import Fit
from sibboleth.study import LinearProbe, MlpProbe

LABELS = 3


class Made:
    """Features of 3 layers of which the second knows the label best."""

    layers = 3

    def __init__(self, rows: int = 120, dim: int = 6, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.codes = rng.integers(0, LABELS, rows)
        signal = np.eye(dim, dtype=np.float32)[self.codes]
        noise = rng.normal(size=(3, rows, dim)).astype(np.float32)
        self.values = noise + signal * np.array([0.3, 2.0, 0.8], np.float32)[:, None, None]

    def matrix(self, layer: int, pooling: str) -> np.ndarray:
        return self.values[layer]

    @property
    def truth(self) -> np.ndarray:
        return np.eye(LABELS)[self.codes]


def fits() -> list[Fit]:
    """Two folds of one source; the second is also selected on another domain's dev rows."""
    rows = np.arange(120)
    within, zero_shot = splits.Test("within", "a", rows[65:80]), splits.Test("zero-shot", "b", rows[90:110])
    return [
        Fit("a", "0", rows[:50], rows[50:65], (within, zero_shot)),
        Fit("a", "1", rows[30:80], rows[:15], (splits.Test("within", "a", rows[15:30]),)),
        Fit("a", "1", rows[30:80], rows[110:120], (splits.Test("target-selected", "b", rows[90:110]),)),
    ]


def probing(probe: LinearProbe | MlpProbe, **changes: object) -> Probing:
    settings = dict(kind="classification", probe=probe, pooling="mean", trials=2, seed=7, layer_mix=True)
    return Probing(**{**settings, **changes})  # type: ignore[arg-type]


def by_key(answers: list[Answer]) -> dict[tuple[int, int | None, int], Answer]:
    return {(a.fit, a.layer, a.trial): a for a in answers}


def test_the_linear_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    made, one = Made(), fits()[0]
    penalty = 0.01
    mine = by_key(list(probing(LinearProbe(l2=(penalty,)), layer_mix=False).answers(made, made.truth, [one])))
    for layer in range(3):
        x = made.values[layer].astype(float)
        mean, deviation = x[one.train].mean(0), x[one.train].std(0)
        x = (x - mean) / deviation
        oracle = LogisticRegression(C=1 / (penalty * len(one.train)), tol=1e-9, max_iter=5000)
        oracle.fit(x[one.train], made.codes[one.train])
        for test, answer in zip(one.tests, mine[0, layer, 0].tests, strict=True):
            np.testing.assert_allclose(answer, oracle.predict_proba(x[test.rows]), atol=1e-4)


def test_the_linear_regression_probe_is_the_ridge_of_scikit_learn() -> None:
    made, one = Made(), fits()[0]
    truth = made.values[1] @ np.arange(6.0)[:, None] + 40
    penalty = 0.1
    settings = probing(LinearProbe(l2=(penalty,)), kind="regression", layer_mix=False)
    answer = by_key(list(settings.answers(made, truth, [one])))[0, 2, 0]
    x = made.values[2].astype(float)
    x = (x - x[one.train].mean(0)) / x[one.train].std(0)
    oracle = Ridge(alpha=penalty * len(one.train)).fit(x[one.train], truth[one.train])
    np.testing.assert_allclose(answer.tests[0][:, 0], oracle.predict(x[one.tests[0].rows]).ravel(), atol=1e-3)


def test_the_penalty_is_the_one_with_the_lowest_dev_loss() -> None:
    made, one = Made(), fits()[0]
    grid = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    chosen = by_key(list(probing(LinearProbe(l2=grid), layer_mix=False).answers(made, made.truth, [one])))
    losses = {}
    for penalty in grid:
        alone = by_key(list(probing(LinearProbe(l2=(penalty,)), layer_mix=False).answers(made, made.truth, [one])))
        losses[penalty] = -np.log((alone[0, 0, 0].dev * made.truth[one.dev]).sum(1)).mean()
    assert chosen[0, 0, 0].choice == min(losses, key=lambda penalty: losses[penalty])


@pytest.mark.parametrize("probe", [LinearProbe(), MlpProbe(hidden=(8,), learning_rate=1e-2, epochs=12, patience=2)])
def test_trained_together_equals_trained_alone(probe: LinearProbe | MlpProbe) -> None:
    made = Made()
    together = by_key(list(probing(probe).answers(made, made.truth, fits())))
    for index, fit in enumerate(fits()):
        alone = by_key(list(probing(probe).answers(made, made.truth, [fit])))
        for (_, layer, trial), answer in alone.items():
            other = together[index, layer, trial]
            assert other.choice == answer.choice
            for mine, theirs in zip(answer.tests, other.tests, strict=True):
                np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_the_training_loop_is_adamw_with_early_stopping() -> None:
    """The same head, order and stopping written down plainly with torch.optim.AdamW."""
    made, fit = Made(), fits()[0]
    settings = MlpProbe(hidden=(8, 4), learning_rate=3e-2, weight_decay=0.1, batch_size=16, epochs=40, patience=3)
    mine = by_key(list(probing(settings, layer_mix=False).answers(made, made.truth, [fit])))[0, 1, 1]

    x, y = torch.from_numpy(made.values[1]), torch.from_numpy(made.codes)
    drawn = heads.Mlp(6, (8, 4), LABELS).start([7001])
    linears = [torch.nn.Linear(a, b) for a, b in ((6, 8), (8, 4), (4, LABELS))]
    for index, linear in enumerate(linears):
        linear.weight.data, linear.bias.data = drawn[f"weight{index}"][0].T.clone(), drawn[f"bias{index}"][0].clone()
    model = torch.nn.Sequential(linears[0], torch.nn.ReLU(), linears[1], torch.nn.ReLU(), linears[2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2, weight_decay=0.1, eps=1e-8)
    best, waited, chosen, expected = np.inf, 0, 0, None
    train = torch.from_numpy(np.sort(fit.train))
    for epoch in range(1, 41):
        order = train[torch.randperm(len(train), generator=torch.Generator().manual_seed((7001 << 20) + epoch))]
        for batch in order.split(16):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            dev = float(torch.nn.functional.cross_entropy(model(x[fit.dev]), y[fit.dev]))
            waited += 1
            if dev < best:
                best, waited, chosen = dev, 0, epoch
                expected = torch.softmax(model(x[fit.tests[0].rows]), -1).numpy()
        if waited == 3:
            break
    assert chosen < 40, "the oracle should stop early, or this test shows nothing"
    assert mine.choice == chosen
    np.testing.assert_allclose(mine.tests[0], expected, atol=1e-4)


def test_the_mix_finds_the_layer_that_knows() -> None:
    made, fit = Made(rows=120), fits()[0]
    head = heads.Mlp(6, (), LABELS, mixed_layers=3)
    stack = torch.from_numpy(made.values)

    class Data:
        def features(self, problems: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return stack[:, rows].permute(1, 2, 0, 3)

        def truth(self, problems: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(made.truth).float()[rows]

    trained = training.train(
        head,
        head.start([0]),
        Data(),
        lambda output, truth: -(truth * torch.log_softmax(output, -1)).sum(-1),
        [torch.from_numpy(fit.train)],
        [0],
        [training.Watch(0, torch.from_numpy(fit.dev))],
        training.TrainingSettings(
            learning_rate=3e-2, weight_decay=0.0, epsilon=1e-8, batch_size=32, epochs=60, patience=60
        ),
    )
    assert trained.parameters["mix"][0].argmax() == 1


def test_a_shared_source_is_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits that differ only in who selects share one solution."""
    made, solved = Made(), []
    solve = convex.solve

    def counting(features: torch.Tensor, truth: torch.Tensor, rows: torch.Tensor, *rest: object) -> object:
        solved.append(len(rows))
        return solve(features, truth, rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(convex, "solve", counting)
    list(probing(LinearProbe(l2=(0.1, 1.0)), layer_mix=False).answers(made, made.truth, fits()))
    assert solved == [4, 4, 4]  # three layers, each two training sets by two penalties, for three fits


def test_a_constant_feature_gets_no_weight() -> None:
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 1e6
    truth = torch.eye(2)[(x[:, 0] > 0).long()]
    solved = convex.solve(x, truth, torch.ones(1, 40, dtype=torch.bool), torch.tensor([0.01]), "cross-entropy")
    assert solved.weight[0, 1].abs().max() == 0
    assert (solved.scores(x)[0].argmax(1) == truth.argmax(1)).float().mean() > 0.95


def test_soft_labels_pull_probabilities_towards_them() -> None:
    made, fit = Made(), fits()[0]
    blurred = 0.6 * made.truth + 0.4 / LABELS
    sharp = by_key(list(probing(LinearProbe(), layer_mix=False).answers(made, made.truth, [fit])))[0, 1, 0]
    soft = by_key(list(probing(LinearProbe(), layer_mix=False).answers(made, blurred, [fit])))[0, 1, 0]
    assert soft.tests[0].max(1).mean() < sharp.tests[0].max(1).mean()
