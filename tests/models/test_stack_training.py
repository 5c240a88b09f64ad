"""The training loop against each problem trained alone with torch.optim.AdamW, written down plainly."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sibboleth.models import heads, losses, stack_training, stacks
from sibboleth.models.stack_training import TrainingSettings, Watch
from sibboleth.models.stacks import HeadStack, Scaling

LAYERS, ROWS, DIM, LABELS = 3, 120, 6, 3


def made() -> tuple[Tensor, Tensor]:
    """Make features `[row, layer, dim]`, of which layer 1 knows the label best, and the labels."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, LABELS, ROWS)
    knows = np.array([0.3, 2.0, 0.8])[:, None] * np.eye(DIM)[codes][:, None]
    values = (rng.normal(size=(ROWS, LAYERS, DIM)) + knows) * rng.lognormal(0, 1, (LAYERS, DIM)) + 0.5
    return torch.tensor(values, dtype=torch.float32), torch.tensor(np.eye(LABELS)[codes], dtype=torch.float32)


class Plain(torch.nn.Module):
    """A head for one problem, on one layer or on a mix."""

    def __init__(self, drawn: heads.Parameters, hidden: int) -> None:
        super().__init__()
        self.mix = torch.nn.Parameter(drawn["mix"][0].clone()) if "mix" in drawn else None
        self.linears = torch.nn.ModuleList()
        for index in range(hidden + 1):
            weight = drawn[f"weight{index}"][0]
            linear = torch.nn.Linear(*weight.shape)
            linear.weight.data, linear.bias.data = weight.T.clone(), drawn[f"bias{index}"][0].clone()
            self.linears.append(linear)

    def forward(self, x: Tensor) -> Tensor:
        if self.mix is not None:
            x = (torch.softmax(self.mix, 0)[:, None] * x).sum(1)
        for index, linear in enumerate(self.linears):
            x = linear(x if index == 0 else torch.relu(x))
        return x


def alone(
    model: Plain, x: Tensor, y: Tensor, rows: Tensor, dev: Tensor, seed: int, rate: float, decay: float, patience: int
) -> tuple[int, int, Tensor]:
    """Return the best epoch, the last epoch and all outputs at the best one."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, eps=1e-8)
    best, waited, chosen, kept = np.inf, 0, 0, torch.zeros(0)
    for epoch in range(1, 41):
        order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed((seed << 20) + epoch))]
        for batch in order.split(16):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(torch.nn.functional.cross_entropy(model(x[dev]), y[dev]))
            waited += 1
            if loss < best:
                best, waited, chosen, kept = loss, 0, epoch, model(x)
        if waited == patience:
            break
    return chosen, epoch, kept


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(("hidden", "mixed"), [((8, 4), False), ((), False), ((8,), True), ((), True)])
def test_every_problem_is_trained_as_alone(hidden: tuple[int, ...], mixed: bool, standardise: bool) -> None:
    """Training sets of different sizes, two seeds, two candidates, all in one stack: the same epochs and outputs."""
    x, y = made()
    rows = [torch.arange(50), torch.arange(30, 97)]
    dev = torch.arange(100, 120)
    problems = [
        (0 if mixed else layer, own, seed, *candidate)
        for layer in ([0] if mixed else [0, 1])
        for own in (0, 1)
        for seed in (7, 8)
        for candidate in ((3e-2, 0.1), (1e-2, 0.0))
    ]
    head = heads.Mlp(DIM, hidden, LABELS, LAYERS if mixed else 0)
    scaling = Scaling.of(x, y, rows, standardise, numbers=False)
    layer, owner, seeds, rate, decay = zip(*problems, strict=True)
    stack = HeadStack(head, x, y, scaling, torch.tensor(layer), torch.tensor(owner))
    trained = stack_training.train(
        stack,
        head.start(seeds),
        losses.cross_entropy,
        [rows[own] for own in owner],
        seeds,
        [Watch(number, dev) for number in range(len(problems))],
        TrainingSettings(learning_rate=rate, weight_decay=decay, epsilon=1e-8, batch_size=16, epochs=40, patience=3),
    )
    stopped = []
    for number, (at, own, seed, *candidate) in enumerate(problems):
        mine = x if mixed else x[:, at]
        if standardise:
            mine = (mine - mine[rows[own]].mean(0)) / mine[rows[own]].std(0, correction=0)
        plain = Plain(head.start([seed]), len(hidden))
        chosen, last, outputs = alone(plain, mine, y, rows[own], dev, seed, *candidate, patience=3)
        stopped.append(last)
        assert int(trained.epoch[number]) == chosen
        parameters = {name: tensor[number : number + 1] for name, tensor in trained.parameters.items()}
        answered = stack.answer(parameters, number, torch.arange(ROWS))
        np.testing.assert_allclose(answered, outputs, atol=2e-4, rtol=1e-3)
    assert len(set(stopped)) > 1, "all stop together: this shows nothing"


def test_what_has_stopped_is_dropped() -> None:
    """Work goes on for the problems that still learn, and for no others."""
    x, y = made()
    seen: list[tuple[int, ...]] = []

    class Counting(HeadStack):
        def output(self, parameters: heads.Parameters, problems: Tensor, rows: Tensor) -> Tensor:
            assert all(len(tensor) == len(problems) for tensor in parameters.values())
            seen.append(tuple(sorted(problems.tolist())))
            return super().output(parameters, problems, rows)

    rows = [torch.arange(50), torch.arange(30, 97)]
    head = heads.Mlp(DIM, (4,), LABELS)
    scaling = Scaling.of(x, y, rows, True, numbers=False)
    stack = Counting(head, x, y, scaling, torch.tensor([1, 1]), torch.tensor([0, 1]))
    trained = stack_training.train(
        stack,
        head.start([0, 0]),
        losses.cross_entropy,
        rows,
        [0, 0],
        [Watch(0, torch.arange(100, 110)), Watch(1, torch.arange(100, 110)), Watch(1, torch.arange(110, 120))],
        TrainingSettings(
            learning_rate=[1.0, 1e-3], weight_decay=[0, 0], epsilon=1e-8, batch_size=64, epochs=30, patience=2
        ),
    )
    assert trained.epoch[0] < trained.epoch[1]
    assert seen[0] == (0, 1) and seen[-2] == (1,)
    last = max(index for index, some in enumerate(seen) if 0 in some)
    assert sum(0 in some for some in seen[: last + 1]) >= int(trained.epoch[0]) + 2
    assert all(0 not in some for some in seen[last + 1 :])


def test_the_mix_finds_the_layer_that_knows() -> None:
    x, y = made()
    rows = [torch.arange(100)]
    head = heads.Mlp(DIM, (), LABELS, LAYERS)
    stack = HeadStack(head, x, y, Scaling.of(x, y, rows, True, False), torch.tensor([0]), torch.tensor([0]))
    settings = TrainingSettings(
        learning_rate=[3e-2], weight_decay=[0.0], epsilon=1e-8, batch_size=32, epochs=60, patience=60
    )
    dev = [Watch(0, torch.arange(100, 120))]
    trained = stack_training.train(stack, head.start([0]), losses.cross_entropy, rows, [0], dev, settings)
    assert trained.parameters["mix"][0].argmax() == 1


def test_dev_rows_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = made()
    rows = [torch.arange(50)]
    head = heads.Mlp(DIM, (4,), LABELS)
    stack = HeadStack(head, x, y, Scaling.of(x, y, rows, False, False), torch.tensor([1, 1]), torch.tensor([0, 0]))
    settings = TrainingSettings(
        learning_rate=[1e-2] * 2, weight_decay=[0.0] * 2, epsilon=1e-8, batch_size=16, epochs=4, patience=4
    )
    watches = [Watch(problem, torch.arange(begin, 120)) for problem in (0, 1) for begin in (50, 90)]

    def dev_loss() -> Tensor:
        return stack_training.train(
            stack, head.start([0, 1]), losses.cross_entropy, rows * 2, [0, 1], watches, settings
        ).dev_loss

    whole = dev_loss()
    monkeypatch.setattr(stack_training, "DEV_FLOATS", 1)
    monkeypatch.setattr(stacks, "OUTPUT_FLOATS", 1)
    np.testing.assert_allclose(dev_loss(), whole, atol=1e-6)
