"""The loop that trains networks: AdamW as torch has it, in any number of sittings."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from sibboleth.errors import SibbolethError
from sibboleth.models import training
from sibboleth.models.training import Run, Schedule, Training

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = Schedule(
    steps=12,
    learning_rate=0.01,
    warm_up=0.25,
    weight_decay=0.1,
    betas=(0.9, 0.98),
    epsilon=1e-6,
    clip=1.0,
    accumulate=1,
    workers=0,
    save=0.0,
    bfloat16=False,
    seed=3,
)


@dataclass
class Numbers:
    values: Tensor
    seconds: float = 2.0

    def to(self, device: torch.device) -> "Numbers":
        return self


class Draws(Dataset[Numbers]):
    """Batch k is drawn by seed k."""

    def __getitem__(self, number: int) -> Numbers:
        return Numbers(torch.randn(8, 5, generator=torch.Generator().manual_seed(number)))


class Learner(nn.Module):
    """Predicts the sum of its inputs, some of which are dropped."""

    shape: training.Shape = "linear"
    looking = True

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(dropout), nn.Linear(7, 1))
        self.calls: list[tuple[str, int]] = []

    @property
    def network(self) -> nn.Module:
        return self

    def forward(self, batch: Numbers) -> dict[str, Tensor]:
        loss = (self.layers(batch.values)[:, 0] - batch.values.sum(1)).square().mean()
        return {"loss": loss, "twice": 2 * loss} if self.looking else {"loss": loss}

    def before_step(self, step: int, steps: int) -> None:
        self.calls.append(("before", step))

    def weight(self, batch: Numbers) -> float | None:
        return None

    def heard(self, loss: float) -> None:
        pass

    def after_step(self, step: int, steps: int) -> None:
        self.calls.append(("after", step))

    def factor(self, name: str) -> float:
        return 1.0

    def state(self) -> dict[str, Any]:
        return self.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        self.load_state_dict(state)


def run(
    folder: Path, schedule: Schedule = SCHEDULE, learner: Learner | None = None, stop: int | None = None, **more: Any
) -> tuple[Learner, Training]:
    folder.mkdir(exist_ok=True)
    learner = learner or Learner()

    def look(at: Training) -> None:
        if at.step == stop:
            signal.raise_signal(signal.SIGINT)

    fingerprint = more.get("fingerprint", {"speech": "a"})
    place = training.accelerator(bfloat16=False)
    going = Run(learner, Draws(), schedule, folder, more.get("look", look), fingerprint, place)
    for _ in going:
        pass
    return learner, going.at


def weights(learner: Learner) -> list[Tensor]:
    return [one.detach().clone() for one in learner.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("accumulate", [1, 3])
def test_stopped_by_ctrl_c_at_any_step_it_ends_with_the_same_weights(tmp_path: Path, accumulate: int) -> None:
    schedule = replace(SCHEDULE, accumulate=accumulate)
    whole, at = run(tmp_path / "whole", schedule)
    for stop in (1, 5, 11):
        folder = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            run(folder, schedule, stop=stop)
        resumed, again = run(folder, schedule)
        assert equal(weights(whole), weights(resumed))
        assert again.seconds == at.seconds and [row["step"] for row in again.rows] == [row["step"] for row in at.rows]
        assert again.rows[-1] == at.rows[-1]
    assert not equal(weights(whole), weights(run(tmp_path / "seed", replace(schedule, seed=4))[0]))


def test_it_is_adamw_with_clipping_and_decay_of_matrices(tmp_path: Path) -> None:
    learner, at = run(tmp_path / "ours", learner=Learner(dropout=0))
    theirs = Learner(dropout=0)
    matrices, vectors = ([one for one in theirs.parameters() if (one.ndim > 1) is many] for many in (True, False))
    decays = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(decays, betas=(0.9, 0.98), eps=1e-6)
    for step in range(12):
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * ((step + 1) / 3 if step < 3 else 1 - (step - 3) / 9)
        loss = theirs(Draws()[step])["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        assert at.rows[step]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(weights(learner), weights(theirs), strict=True):
        torch.testing.assert_close(a, b)


def test_accumulated_batches_are_one_larger_batch(tmp_path: Path) -> None:
    class Joined(Draws):
        def __getitem__(self, number: int) -> Numbers:
            some = [super(Joined, self).__getitem__(3 * number + k).values for k in range(3)]
            return Numbers(torch.cat(some), 6.0)

    parts, at = run(tmp_path / "parts", replace(SCHEDULE, accumulate=3), Learner(dropout=0))
    whole = Learner(dropout=0)
    (tmp_path / "whole").mkdir()
    place = training.accelerator(bfloat16=False)
    going = Run(whole, Joined(), SCHEDULE, tmp_path / "whole", lambda at: None, {}, place)
    list(going)
    for a, b in zip(weights(parts), weights(whole), strict=True):
        torch.testing.assert_close(a, b)
    assert at.seconds == going.at.seconds == 72.0


def test_learning_rates_rise_to_the_highest_and_fall() -> None:
    schedule = replace(SCHEDULE, steps=100, warm_up=0.1, learning_rate=1.0)
    for shape in ("linear", "cosine"):
        rates = [schedule.rate(step, shape) for step in range(100)]  # type: ignore[arg-type]
        assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)]) and max(rates) == rates[10] == 1.0
        assert all(a > b > 0 for a, b in zip(rates[10:], rates[11:], strict=False)) and rates[-1] < 0.02
    assert schedule.rate(55, "linear") == pytest.approx(0.5) and schedule.rate(55, "cosine") == pytest.approx(0.5)
    assert schedule.rate(32, "cosine") > schedule.rate(32, "linear")
    assert replace(schedule, warm_up=0.0).rate(0, "linear") == 1.0


@pytest.mark.parametrize("steps", [7, 501, 999])
def test_the_log_stays_short_and_ends_with_the_last_step(tmp_path: Path, steps: int) -> None:
    learner, at = run(tmp_path / "x", replace(SCHEDULE, steps=steps, save=1e9))
    assert len(at.rows) <= training.ROWS and at.rows[-1]["step"] == steps
    assert at.rows[-1]["audio seconds"] == 2.0 * steps and set(at.rows[0]) >= {"loss", "twice", "learning rate"}
    assert learner.calls[:2] == [("before", 0), ("after", 0)] and len(learner.calls) == 2 * steps


def test_a_finished_training_has_nothing_left_to_do(tmp_path: Path) -> None:
    first, at = run(tmp_path / "x")
    again, told = run(tmp_path / "x")
    assert equal(weights(first), weights(again)) and again.calls == [] and told.rows == at.rows


def test_another_trainings_state_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "x", fingerprint={"speech": "a", "[batches]": "b"})
    with pytest.raises(SibbolethError, match=r"belongs to another training \(other \[batches\], speech\); choose"):
        run(tmp_path / "x", fingerprint={"speech": "c", "[batches]": "d"})
    state = tmp_path / "x" / training.STATE
    state.write_bytes(state.read_bytes()[:300])
    with pytest.raises(SibbolethError, match=r"state\.pt: cannot be read .*delete it to begin again"):
        run(tmp_path / "x")


def test_a_loss_that_is_no_number_stops_with_the_last_good_state(tmp_path: Path) -> None:
    class Bad(Draws):
        def __getitem__(self, number: int) -> Numbers:
            return Numbers(super().__getitem__(number).values * (float("nan") if number == 6 else 1))

    tmp_path.joinpath("x").mkdir()
    place = training.accelerator(bfloat16=False)
    going = Run(Learner(), Bad(), SCHEDULE, tmp_path / "x", lambda at: None, {}, place)
    with pytest.raises(SibbolethError, match=r"no longer a number at step 7; lower training\.learning_rate"):
        list(going)
    state = training.saved(tmp_path / "x" / training.STATE, {})
    assert state is not None and state["training"]["step"] == 6
    assert all(torch.isfinite(one).all() for one in state["network"].values())
