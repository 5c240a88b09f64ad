"""The convex solver against scikit-learn, against itself alone, and where features are awkward."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from sibboleth.models import convex, spanned, streamed
from sibboleth.models.convex import LinearProbes

PENALTIES = torch.tensor([10.0, 0.1, 1e-3])
SHAPES = [(90, 12), (90, 150)]
"""Rows and dim: more rows than features, and fewer."""


def made(rows: int, dim: int, labels: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Make features of very different scales that depend on each other, and labels that they half tell."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, labels, rows)
    hidden = rng.normal(size=(rows, 8)) + 1.5 * np.eye(8)[codes]
    values = hidden @ rng.normal(size=(8, dim)) + 0.5 * rng.normal(size=(rows, dim))
    values = values * rng.lognormal(0, 1.5, dim) + 5 * rng.normal(size=dim)
    return torch.tensor(values, dtype=torch.float32), torch.tensor(np.eye(labels)[codes])


def three_sets(rows: int) -> list[Tensor]:
    return [torch.arange(rows)[:70], torch.arange(rows)[20:], torch.arange(rows)[::2]]


def solve(x: Tensor, y: Tensor, sets: list[Tensor], penalty: Tensor = PENALTIES, loss: str = "cross-entropy") -> Tensor:
    """Return scores `[set, penalty, row, out]` of all rows."""
    return torch.cat([some.scores(x.expand(1, 1, -1, -1)) for some in convex.solve([x], y, sets, penalty, loss)])


def close(mine: Tensor, other: object, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(torch.softmax(mine, -1), other, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_it_is_the_logistic_regression_of_scikit_learn(rows: int, dim: int) -> None:
    x, y = made(rows, dim)
    sets = three_sets(rows)
    scores = solve(x, y, sets)
    for index, some in enumerate(sets):
        values = x.double().numpy()
        values = (values - values[some].mean(0)) / values[some].std(0)
        for place, penalty in enumerate(PENALTIES.tolist()):
            oracle = LogisticRegression(C=1 / (penalty * len(some)), solver="newton-cholesky", tol=1e-9)
            oracle.fit(values[some], y[some].argmax(1))
            close(scores[index, place], oracle.predict_proba(values), 2e-6)


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_it_is_the_ridge_regression_of_scikit_learn(rows: int, dim: int) -> None:
    x, _ = made(rows, dim)
    y = (x.double() @ torch.linspace(-1, 1, dim, dtype=torch.float64))[:, None] + 30
    sets = three_sets(rows)
    scores = solve(x, y, sets, loss="squared")
    for index, some in enumerate(sets):
        values = x.double().numpy()
        values = (values - values[some].mean(0)) / values[some].std(0)
        for place, penalty in enumerate(PENALTIES.tolist()):
            oracle = Ridge(alpha=penalty * len(some), solver="svd").fit(values[some], y[some, 0])
            np.testing.assert_allclose(scores[index, place, :, 0], oracle.predict(values), atol=1e-6, rtol=1e-7)


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_together_equals_alone(rows: int, dim: int) -> None:
    x, y = made(rows, dim)
    sets = three_sets(rows)
    together = torch.softmax(solve(x, y, sets), -1)
    for index, some in enumerate(sets):
        for place in range(len(PENALTIES)):
            alone = solve(x, y, [some], PENALTIES[place : place + 1])
            close(alone[0, 0], together[index, place])


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_the_way_of_solving_changes_nothing(rows: int, dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the span of the rows or not, in small groups and blocks or all at once: one optimum."""
    x, y = made(rows, dim)
    sets = three_sets(rows)
    expected = torch.softmax(solve(x, y, sets), -1)
    monkeypatch.setattr(convex, "SPAN", 0.0 if rows < dim else 10.0)
    close(solve(x, y, sets), expected)
    monkeypatch.setattr(convex, "SPAN", 0.0)
    monkeypatch.setattr(convex, "SOLVER_BYTES", 1)
    monkeypatch.setattr(streamed, "BLOCK_BYTES", 8 * 7 * dim)
    monkeypatch.setattr(streamed, "AXES_ROWS", 60)
    close(solve(x, y, sets), expected)


@pytest.mark.parametrize("dim", [12, 150])
def test_soft_labels_are_learnt_to_the_optimum(dim: int) -> None:
    """The gradient, written down anew and differentiated by torch, is zero where the solver ends."""
    x, y = made(90, dim)
    y = 0.7 * y + 0.3 * torch.softmax(torch.randn(90, 3, generator=torch.Generator().manual_seed(1)), 1)
    rows = torch.arange(60)
    (found,) = convex.solve([x], y, [rows], torch.tensor([0.05]), "cross-entropy")
    values = x[rows].double()
    deviation = values.std(0, correction=0)
    weight = (found.weight[0, 0] * deviation[:, None]).requires_grad_()
    bias = (found.bias[0, 0] + values.mean(0) @ found.weight[0, 0]).requires_grad_()
    output = (values - values.mean(0)) / deviation @ weight + bias
    loss = torch.nn.functional.cross_entropy(output, y[rows]) + 0.5 * 0.05 * weight.square().sum()
    loss.backward()
    assert weight.grad is not None and bias.grad is not None
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-6


@pytest.mark.parametrize("rows", [40, 3])
def test_a_constant_feature_gets_no_weight(rows: int) -> None:
    x = torch.randn(rows, 5, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 1e6
    truth = torch.eye(2)[(x[:, 0] > x[:, 0].median()).long()]
    (solved,) = convex.solve([x], truth, [torch.arange(rows)], torch.tensor([0.01]), "cross-entropy")
    assert solved.weight[0, 0, 1].abs().max() == 0
    assert (scored(solved, x).argmax(1) == truth.argmax(1)).float().mean() > 0.9


def scored(probes: LinearProbes, x: Tensor) -> Tensor:
    return probes.scores(x.expand(1, 1, -1, -1))[0, 0]


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
@pytest.mark.parametrize("awkward", ["twins", "one label", "tiny", "huge", "two rows", "all constant", "far apart"])
def test_awkward_features_have_an_answer(rows: int, dim: int, awkward: str) -> None:
    x, y = made(rows, dim)
    sets = three_sets(rows)
    match awkward:
        case "twins":
            x[:, dim // 2 :] = x[:, : dim - dim // 2]
        case "one label":
            sets = [y.argmax(1).eq(1).nonzero()[:, 0]]
        case "tiny":
            x = x * 1e-12
        case "huge":
            x = x * 1e12
        case "two rows":
            sets = [torch.tensor([0, 5])]
        case "all constant":
            x = torch.ones_like(x)
        case "far apart":
            x[::2] += 1e3
    scores = solve(x, y, sets, torch.tensor([10.0, 1e-6]))
    assert scores.isfinite().all()
    if awkward in ("tiny", "huge"):
        plain, _ = made(rows, dim)
        close(scores, torch.softmax(solve(plain, y, sets, torch.tensor([10.0, 1e-6])), -1), 1e-3)
    if awkward == "all constant":
        close(scores[0, 0, 0], y[sets[0]].mean(0))


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_the_same_again_to_the_bit(rows: int, dim: int) -> None:
    x, y = made(rows, dim)
    assert torch.equal(solve(x, y, three_sets(rows)), solve(x, y, three_sets(rows)))


def test_few_rows_are_solved_in_their_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows of 3000 features are a problem of ten weights, not of 3000."""
    x, y = made(30, 3000)
    problems = spanned.Spanned([(x, torch.arange(10))], y, PENALTIES, "cross-entropy")
    assert problems.start.shape == (3, 3 * 11)
    monkeypatch.setattr(streamed, "Streamed", None)
    assert solve(x, y, [torch.arange(10)]).shape == (1, 3, 30, 3)
