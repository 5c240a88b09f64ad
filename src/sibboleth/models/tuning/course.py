"""One training of a network: its epochs, the dev sets that watch it, and the weights that each of them chose."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sibboleth.methods import TuningSettings
from sibboleth.models import halving, training
from sibboleth.models.encoders import arithmetic
from sibboleth.models.training import Schedule, Shape
from sibboleth.models.tuning import memory
from sibboleth.models.tuning.ctc import END
from sibboleth.models.tuning.epochs import Epochs, Rows, by_length, epochs
from sibboleth.models.tuning.inputs import EpochBatches, Inputs
from sibboleth.models.tuning.network import HEAD, Tuned, TuningBatch

if TYPE_CHECKING:
    from accelerate import Accelerator

Array = npt.NDArray[np.float64]
Score = Callable[[Array, Array], float]
"""Truth and answers `[row, out]` to the main metric."""


@dataclass(frozen=True)
class Judged:
    """What one voice of a network says about some rows."""

    losses: Array
    """`[row]`, no label weighed."""
    answers: Array
    """Probabilities or numbers `[row, out]`, or tokens `[row, token]`, -1 behind."""

    def take(self, places: npt.NDArray[np.int64]) -> "Judged":
        """Return what it says about some of them."""
        return Judged(self.losses[places], self.answers[places])


@dataclass
class Told:
    """What one epoch came to, for one watch (or for none)."""

    epoch: int
    watch: int | None
    loss: float
    dev_loss: float
    dev: float
    seconds: float
    """Of training and watching, since the epoch before."""
    memory: int | None


@dataclass
class Watch:
    """What a dev set has chosen so far of one voice."""

    best: tuple[float, float] | None = None
    """Selection key of the best epoch; higher is better."""
    epoch: int = 0
    waited: int = 0
    """Epochs since then."""


@dataclass(frozen=True)
class Place:
    """Where training happens, and in which numbers."""

    accelerator: "Accelerator"
    placed: nn.Module
    """The network as the accelerator wants it called."""

    @classmethod
    def of(cls, network: Tuned, bfloat16: bool) -> "Place":
        """Put a network on the accelerators there are."""
        accelerator = training.accelerator(bfloat16)
        return cls(accelerator, accelerator.prepare_model(network))


def bfloat16(settings: TuningSettings) -> bool:
    """Tell whether matrix products are to be in bfloat16."""
    return arithmetic.bfloat16_pays() if settings.precision == "auto" else settings.precision == "bfloat16"


@dataclass
class Course:
    """A learner for `training.Run` that looks at dev after every epoch; made by `course`."""

    network: Tuned
    inputs: Inputs
    plan: Epochs
    settings: TuningSettings
    score: Score
    devs: tuple[Rows, ...]
    """Dev sets that watch it, each of them every voice; none where a fixed number of steps is taken."""
    head_first: int
    """Steps in which the head alone is trained."""
    shape: Shape
    """How the learning rate falls."""
    better: int = 1
    """1 where a higher score is better, else -1."""
    looking: bool = True
    watches: list[Watch] = field(default_factory=list)
    kept: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    """Weights of the epochs that a dev set holds to be the best."""
    rows: list[Told] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether every dev set has lost its patience."""
        return bool(self.watches) and all(one.waited >= self.settings.patience for one in self.watches)

    def factor(self, name: str) -> float:
        """Train the head at its own rate."""
        own, (rate,) = self.settings.head_rate, self.settings.rates
        return own / rate if own is not None and name.startswith(HEAD) else 1.0

    def before_step(self, step: int, steps: int) -> None:
        """Train the head alone as long as it goes first."""
        alone = step < self.head_first
        for name, one in self._learnt:
            one.requires_grad_(not alone or name.startswith(HEAD))

    def weight(self, batch: TuningBatch) -> float:
        """Return what a batch's loss weighs."""
        return self.network.weight(batch)

    def heard(self, loss: float) -> None:
        """Keep the loss of a batch for the epoch's."""
        self.network.told.append(loss / self.network.voices)

    def after_step(self, step: int, steps: int) -> None:
        """Look at dev where an epoch is over."""
        if step + 1 in self.plan.ends:
            self._look(self.plan.ends.index(step + 1) + 1)

    def __post_init__(self) -> None:
        """Know what is learnt at all, whatever is frozen for a while."""
        self.watches = self.watches or [Watch() for _ in self.devs for _ in range(self.network.voices)]
        self._learnt = [(name, one) for name, one in self.network.named_parameters() if one.requires_grad]

    def _look(self, epoch: int) -> None:
        loss = float(np.mean(self.network.told)) if self.network.told else float("nan")
        self.network.told = []
        judged = [(index, *self._noted(index, epoch, said)) for index, said in self._asked()]
        seconds, used = time.monotonic() - self.begun, memory.peak()
        for index, dev_loss, dev in judged:
            self.rows.append(Told(epoch, index, loss, dev_loss, dev, seconds, used))
        if not judged:
            self.rows.append(Told(epoch, None, loss, float("nan"), float("nan"), seconds, used))
        wanted = {one.epoch for one in self.watches}
        if epoch in wanted:
            self.kept[epoch] = self.network.trained()
        self.kept = {number: state for number, state in self.kept.items() if number in wanted}
        self.begun = time.monotonic()

    def dev(self, watch: int) -> Rows:
        """Return the dev set of a watch."""
        return self.devs[watch // self.network.voices]

    def chosen(self, dev: int) -> dict[str, Tensor]:
        """Return the weights that a dev set chose: where there are several voices, each one's own."""
        voices = self.network.voices
        mine = self.watches[dev * voices : (dev + 1) * voices]
        if voices == 1:
            return self.kept[mine[0].epoch]
        state: dict[str, Tensor] = {}
        for voice, watch in enumerate(mine):
            own = f"{HEAD[0]}{voice}."
            state |= {name: one for name, one in self.kept[watch.epoch].items() if name.startswith(own)}
        return state

    def _asked(self) -> Iterator[tuple[int, Judged]]:
        """Answer about the rows of all dev sets that still have patience, each row once."""
        waiting = [index for index, one in enumerate(self.watches) if one.waited < self.settings.patience]
        if not waiting:
            return
        union = np.unique(np.concatenate([self.dev(index) for index in waiting]))
        said = self.judged(union)
        for index in waiting:
            yield index, said[index % self.network.voices].take(np.searchsorted(union, self.dev(index)))

    def _noted(self, index: int, epoch: int, said: Judged) -> tuple[float, float]:
        """Return a watch's loss and score, and note whether it is its best epoch."""
        watch = self.watches[index]
        dev_loss = float(np.mean(said.losses))
        dev = self.score(self.inputs.truth[self.dev(index)], said.answers)
        by_metric = float(np.nan_to_num(self.better * dev, nan=-np.inf)), -dev_loss
        key = by_metric if self.settings.select == "metric" else (-dev_loss, by_metric[0])
        if watch.best is None or key > watch.best:
            watch.best, watch.epoch, watch.waited = key, epoch, 0
        else:
            watch.waited += 1
        return dev_loss, dev

    @torch.no_grad()
    def judged(self, rows: Rows) -> list[Judged]:
        """Return what each voice says of rows in their order, without dropout, in batches of like lengths."""
        network = self.network
        device = next(network.parameters()).device
        before = network.training
        network.eval()
        waiting = deque(by_length(rows, self.inputs.seconds, self.settings.batch_seconds))
        batches, found = [], []
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16(self.settings)):
            while waiting:
                some = waiting.popleft()
                said = self._said(some, device)
                if said is None:
                    halving.again("while answering", "batches that do not fit are answered in halves")
                    waiting.extendleft((some[len(some) // 2 :], some[: len(some) // 2]))
                    continue
                batches.append(some)
                found.append(said)
        network.train(before)
        place = {int(row): index for index, row in enumerate(rows)}
        places = [[place[int(row)] for row in some] for some in batches]
        return [_joined(places, [one[voice] for one in found], len(rows)) for voice in range(network.voices)]

    def _said(self, rows: Rows, device: torch.device) -> list[tuple[Tensor, Tensor]] | None:
        """Return losses and answers of a batch by each voice; none where memory suffices for less of it only."""
        try:
            return self.network.judged(self.inputs.batch(rows).to(device))
        except Exception as error:
            if len(rows) < 2 or not halving.exhausted(error):
                raise
        return None

    def state(self) -> dict[str, Any]:
        """Return weights, what dev chose, and the log."""
        return {
            "weights": self.network.trained(),
            "watches": [[list(one.best) if one.best else None, one.epoch, one.waited] for one in self.watches],
            "kept": self.kept,
            "rows": [asdict(one) for one in self.rows],
            "told": list(self.network.told),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.network.take(state["weights"])
        self.network.told = list(state["told"])
        self.watches = [
            Watch(None if best is None else (best[0], best[1]), epoch, waited)
            for best, epoch, waited in state["watches"]
        ]
        self.kept = dict(state["kept"])
        self.rows = [Told(**one) for one in state["rows"]]


def course(
    network: Tuned,
    inputs: Inputs,
    train: Rows,
    devs: Sequence[Rows],
    settings: TuningSettings,
    score: Score,
    seed: int,
    *,
    first: Rows | None = None,
    processes: int = 1,
    better: int = 1,
) -> Course:
    """Plan a training: with dev sets by epochs, without for `shot_steps` steps.

    `first` are the training rows of the first stage, where this is the second: the head has gone first there, and
    knows the scale of numbers from them.
    """
    labels = inputs.truth.argmax(1) if network.loss == "cross-entropy" else None
    plan = epochs(train, inputs.seconds, labels, settings, seed, settings.epochs, processes)
    if not devs:
        plan = _of_steps(train, inputs, labels, settings, seed, processes)
    network.learn(train, train if first is None else first, inputs.truth, settings.class_weights)
    network.told = []
    alone = plan.ends[settings.head_first - 1] if first is None and settings.head_first else 0
    return Course(network, inputs, plan, settings, score, tuple(devs), alone, settings.decay, better)


def _joined(places: Sequence[Sequence[int]], batches: Sequence[tuple[Tensor, Tensor]], count: int) -> Judged:
    """Put what was said of each batch where its rows are."""
    losses = np.empty(count)
    answers = np.full((count, max((said.shape[1] for _, said in batches), default=0)), float(END))
    for mine, (loss, said) in zip(places, batches, strict=True):
        losses[mine] = loss.numpy()
        answers[mine, : said.shape[1]] = said.numpy()
    return Judged(losses, answers)


def _of_steps(
    train: Rows, inputs: Inputs, labels: npt.NDArray[np.int64] | None, settings: TuningSettings, seed: int, many: int
) -> Epochs:
    """Plan so many steps, over as many epochs as that takes, as one."""
    steps, count = settings.shot_steps, 1
    plan = epochs(train, inputs.seconds, labels, settings, seed, count, many)
    while plan.steps < steps:
        count = -(-count * steps // max(1, plan.steps)) if plan.steps else count * 2
        plan = epochs(train, inputs.seconds, labels, settings, seed, count, many)
    return Epochs(plan.batches[: steps * settings.accumulate * many], (steps,))


def run(course: Course, place: Place, folder: Path, fingerprint: Mapping[str, object], seed: int) -> Iterator[int]:
    """Train, from the state in a folder if there is one; yields how many epochs are over after every step."""
    settings, plan = course.settings, course.plan
    (rate,) = settings.rates
    schedule = Schedule(
        steps=plan.steps,
        learning_rate=rate,
        warm_up=settings.warm_up,
        weight_decay=settings.weight_decay,
        betas=settings.betas,
        epsilon=settings.epsilon,
        clip=settings.clip,
        accumulate=settings.accumulate,
        workers=0,
        save=settings.save,
        bfloat16=bfloat16(settings),
        seed=seed,
        optimiser=settings.optimiser,
        momentum=settings.momentum,
        hold=settings.hold,
        floor=settings.floor,
    )
    course.network.train()
    going = training.Run(
        course,
        EpochBatches(course.inputs, plan, seed),
        schedule,
        folder,
        lambda _: None,
        {"training": _digest(fingerprint, schedule)},
        place.accelerator,
        place.placed,
    )
    course.begun = time.monotonic()
    if not course.over:
        for at in going:
            yield sum(end <= at.step for end in plan.ends)
            if course.over:
                break
    for _, one in course._learnt:
        one.requires_grad_(True)


def _digest(fingerprint: Mapping[str, object], schedule: Schedule) -> str:
    return hashlib.sha256(repr((sorted(fingerprint.items()), schedule)).encode()).hexdigest()
