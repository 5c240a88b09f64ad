"""One training: what dev chooses, when it stops, what is trained when, and what a stop in the middle changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sibboleth.methods import HeadSettings, MethodSettings, TuningSettings
from sibboleth.models import training
from sibboleth.models.encoders import load
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.tuning import course as courses
from sibboleth.models.tuning.course import Course, Place
from sibboleth.models.tuning.inputs import PooledInputs
from sibboleth.models.tuning.masking import Masking
from sibboleth.models.tuning.network import Head, Tuned, TuningBatch
from sibboleth.models.tuning.tuning import Tuning
from sibboleth.study import EncoderSettings

pytestmark = pytest.mark.usefixtures("one_thread")

RANDOM = np.random.default_rng(0)
LABELS = np.arange(90) % 3
TRUTH = np.eye(3)[LABELS]
FEATURES = (RANDOM.normal(0, 0.7, (90, 8)) + 2 * np.eye(8)[LABELS]).astype(np.float32)
SECONDS = np.full(90, 2.0)
TRAIN, DEV = np.arange(60), np.arange(60, 90)


def head(dim: int = 8, out: int = 3, mixed: int = 0, **settings: Any) -> Tuned:
    loss = "cross-entropy" if out > 1 else "squared"
    return Tuned(None, Head(dim, HeadSettings(**settings), out, 0), mixed, out, loss, False, Masking(0, 1))


def accuracy(truth: np.ndarray, answers: np.ndarray) -> float:
    return float((truth.argmax(1) == answers.argmax(1)).mean())


def going(network: Tuned, devs: tuple[np.ndarray, ...] = (DEV,), truth: np.ndarray = TRUTH, **more: Any) -> Course:
    settings = TuningSettings.model_validate({"epochs": 8, "learning_rate": 0.05, "batch_seconds": 20} | more)
    inputs = PooledInputs([FEATURES] * max(1, 0 if network.mix is None else len(network.mix)), truth, SECONDS)
    return courses.course(network, inputs, TRAIN, devs, settings, accuracy, 0)


def train(course: Course, folder: Path, stop: int | None = None) -> Course:
    place = Place.of(course.network, False)
    for steps, _ in enumerate(courses.run(course, place, folder, {}, 0), 1):
        if steps == stop:
            break
    return course


def test_it_learns_and_dev_keeps_its_best_epoch(tmp_path: Path) -> None:
    course = train(going(head()), tmp_path)
    losses = [one.dev_loss for one in course.rows]
    assert losses[-1] < losses[0] and course.rows[-1].dev > 0.85
    best = int(np.argmin(losses))
    assert course.watches[0].epoch == best + 1
    course.network.take(course.kept[best + 1])
    (said,) = course.judged(DEV)
    chosen = torch.from_numpy(said.answers).log()
    by_torch = float(nn.functional.nll_loss(chosen, torch.tensor(LABELS[DEV])))
    assert by_torch == pytest.approx(losses[best], rel=1e-5) == float(said.losses.mean())


def test_training_stops_when_dev_has_waited_long_enough(tmp_path: Path) -> None:
    # Dev labels that training contradicts: the first epoch is the best one.
    truth = TRUTH.copy()
    truth[DEV] = np.roll(truth[DEV], 1, axis=1)
    course = train(going(head(), truth=truth, epochs=50, patience=4), tmp_path)
    assert [one.epoch for one in course.rows] == [1, 2, 3, 4, 5] and course.watches[0].epoch == 1


def test_dev_sets_that_watch_together_choose_as_each_alone(tmp_path: Path) -> None:
    truth = TRUTH.copy()
    truth[75:90] = np.roll(truth[75:90], 1, axis=1)
    one, other = np.arange(60, 75), np.arange(75, 90)
    both = train(going(head(), (one, other), truth, patience=3), tmp_path / "both")
    for index, dev in enumerate((one, other)):
        alone = train(going(head(), (dev,), truth, patience=3), tmp_path / str(index))
        assert both.watches[index].epoch == alone.watches[0].epoch
        chosen, same = both.kept[both.watches[index].epoch], alone.kept[alone.watches[0].epoch]
        assert all(torch.equal(chosen[name], same[name]) for name in same)


@pytest.mark.parametrize("stop", [1, 5, 13])
def test_a_stopped_training_goes_on_to_the_same_weights(stop: int, tmp_path: Path) -> None:
    more = {"save": 1e-9, "accumulate": 2}
    whole = train(going(head(hidden=(16,), dropout=0.3), **more), tmp_path / "whole")
    train(going(head(hidden=(16,), dropout=0.3), **more), tmp_path / "cut", stop)
    again = train(going(head(hidden=(16,), dropout=0.3), **more), tmp_path / "cut")
    for name, weight in whole.network.trained().items():
        assert torch.equal(again.network.trained()[name], weight), name
    assert [(one.epoch, one.loss, one.dev_loss) for one in again.rows] == [
        (one.epoch, one.loss, one.dev_loss) for one in whole.rows
    ]


def test_a_few_shots_take_a_fixed_number_of_steps(tmp_path: Path) -> None:
    network = head()
    before = network.trained()
    course = train(going(network, (), shot_steps=17), tmp_path)
    assert course.plan.steps == 17 and not course.kept
    assert all(not torch.equal(before[name], one) for name, one in network.trained().items())


def test_class_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    truth = np.eye(3)[np.r_[np.zeros(50, int), np.ones(8, int), np.full(2, 2), LABELS[60:]]]
    network = head()
    going(network, truth=truth, class_weights=True)
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=truth[TRAIN].argmax(1))
    np.testing.assert_allclose(network.label_weights.numpy(), wanted, rtol=1e-6)
    batch = TuningBatch(
        torch.from_numpy(FEATURES[TRAIN])[:, None], torch.ones(60), torch.from_numpy(truth[TRAIN]).float(), 1
    )
    output = network.outputs(batch)
    by_torch = nn.functional.cross_entropy(
        output, torch.from_numpy(truth[TRAIN].argmax(1)), torch.tensor(wanted, dtype=torch.float32)
    )
    assert float(network(batch)["loss"].detach()) == pytest.approx(float(by_torch.detach()), rel=1e-5)


def test_numbers_are_learnt_on_their_own_scale(tmp_path: Path) -> None:
    truth = 1000 + 50 * FEATURES[:, :1].astype(np.float64)
    network = head(out=1)
    course = train(going(network, truth=truth, epochs=40, patience=40), tmp_path)
    answers = course.judged(DEV)[0].answers
    assert np.corrcoef(answers[:, 0], truth[DEV, 0])[0, 1] > 0.99
    assert abs(answers.mean() - truth[DEV].mean()) < 10


def test_a_second_stage_keeps_the_scale_of_the_first_whose_head_it_goes_on_with() -> None:
    truth = np.where(np.arange(90) < 60, 1000.0, 5.0)[:, None] + 50 * FEATURES[:, :1].astype(np.float64)
    network = head(out=1)
    first = going(network, truth=truth)
    before = network.answered(torch.tensor([[0.5]]))
    courses.course(network, first.inputs, DEV[:2], (), first.settings, accuracy, 0, first=TRAIN)
    assert network.answered(torch.tensor([[0.5]])) == before
    assert float(network.centre) == pytest.approx(truth[TRAIN].mean(), rel=1e-5)


def test_the_layer_mix_finds_the_layer_that_knows(tmp_path: Path) -> None:
    noise = RANDOM.normal(0, 1, FEATURES.shape).astype(np.float32)
    network = head(mixed=3)
    settings = TuningSettings(epochs=30, learning_rate=0.1, batch_seconds=20, patience=30)
    inputs = PooledInputs([noise, FEATURES, noise], TRUTH, SECONDS)
    course = courses.course(network, inputs, TRAIN, (DEV,), settings, accuracy, 0)
    train(course, tmp_path)
    assert network.mix is not None and int(network.mix.argmax()) == 1


def tuned(method: dict[str, Any], seed: int = 0) -> Tuned:
    encoder = load(EncoderSettings(name="untrained:tiny-wav2vec2"))
    assert isinstance(encoder, Transformer)
    tuning = Tuning(
        kind="classification",
        method=MethodSettings.model_validate({"name": "m", **method}),
        training=TuningSettings(),
        lowest=method.get("lowest", 0),
        layers=4,
        pooling="mean",
        dim=64,
        out=3,
        trials=1,
        seed=seed,
    )
    return tuning.network(encoder, 0)[0]


class Framed(PooledInputs):
    """Random frames of hidden state 0."""

    def load(self, rows: np.ndarray, random: Any) -> tuple[torch.Tensor, torch.Tensor]:
        frames = torch.randn(90, 12, 64, generator=torch.Generator().manual_seed(1))[rows]
        return frames, torch.full((len(rows),), 12)


def test_the_head_goes_first_and_then_everything_joins(tmp_path: Path) -> None:
    network = tuned({"lora": {"rank": 2}})
    settings = TuningSettings(epochs=3, head_first=1, batch_seconds=60, learning_rate=0.01)
    course = courses.course(network, Framed([FEATURES], TRUTH, SECONDS), TRAIN, (DEV,), settings, accuracy, 0)
    start, seen = network.trained(), []
    for over in courses.run(course, Place.of(network, False), tmp_path, {}, 0):
        moved = {name for name, one in network.trained().items() if not torch.equal(one, start[name])}
        seen.append((over, any(name.startswith("head") for name in moved), any("lora" in name for name in moved)))
    assert all(not lora for over, _, lora in seen[: course.plan.ends[0]]) and seen[0][1]
    assert seen[-1][2]


def test_head_and_encoder_have_rates_of_their_own() -> None:
    network = tuned({"lora": {"rank": 2}})
    settings = TuningSettings(learning_rate=1e-4, head_rate=1e-2)
    course = courses.course(network, Framed([FEATURES], TRUTH, SECONDS), TRAIN, (DEV,), settings, accuracy, 0)
    names = [name for name, one in network.named_parameters() if one.requires_grad]
    assert {course.factor(name) for name in names if name.startswith("head")} == {100.0}
    assert {course.factor(name) for name in names if "lora" in name} == {1.0}


def test_masking_hides_its_share_while_training_only() -> None:
    network = tuned({"lora": {"rank": 2}})
    network.masking = Masking(0.3, 5)
    frames = torch.ones(200, 100, 4)
    torch.manual_seed(0)
    lengths = torch.full((200,), 100)
    hidden = network.train()._hidden(frames, lengths)
    assert float((hidden == 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(network.eval()._hidden(frames, lengths), frames)
    spans = (hidden[:, :, 0] == 0).int().diff(dim=1).eq(1).sum()
    assert 5 <= float((hidden[:, 5:, 0] == 0).sum() / spans) < 9


def oracle(kind: str) -> Callable[[list[nn.Parameter]], torch.optim.Optimizer]:
    if kind == "sgd":
        return lambda some: torch.optim.SGD(some, lr=0.05, momentum=0.9)
    return lambda some: torch.optim.AdamW(some, lr=0.05, weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_it_equals_a_loop_written_out(kind: str, tmp_path: Path) -> None:
    more = {"optimiser": kind, "decay": "constant", "warm_up": 0, "weight_decay": 0, "clip": float("inf"), "epochs": 2}
    course = going(head(), **more)
    plain = Head(8, HeadSettings(), 3, 0)
    optimiser = oracle(kind)(list(plain.parameters()))
    for rows in course.plan.batches:
        loss = nn.functional.cross_entropy(plain(torch.from_numpy(FEATURES[rows])), torch.tensor(LABELS[rows]))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    train(course, tmp_path)
    for name, one in plain.named_parameters():
        torch.testing.assert_close(course.network.trained()[f"head.{name}"], one.detach(), rtol=1e-5, atol=1e-6)


def test_the_rate_rises_is_held_and_falls() -> None:
    base = {"steps": 100, "learning_rate": 1.0, "warm_up": 0.1, "weight_decay": 0, "betas": (0.9, 0.9), "epsilon": 1e-8}
    rest = {"clip": 1.0, "accumulate": 1, "workers": 0, "save": 1.0, "bfloat16": False, "seed": 0}
    schedule = training.Schedule(**base, **rest, hold=0.4, floor=0.05)
    assert schedule.rate(0, "tri-stage") == pytest.approx(0.1) and schedule.rate(9, "tri-stage") == 1
    assert {schedule.rate(step, "tri-stage") for step in range(10, 51)} == {1.0}
    assert schedule.rate(75, "tri-stage") == pytest.approx(0.05**0.5)
    assert [schedule.rate(99, "constant"), schedule.rate(55, "linear")] == pytest.approx([1, 0.5])
    assert schedule.rate(55, "cosine") == pytest.approx(0.5)
