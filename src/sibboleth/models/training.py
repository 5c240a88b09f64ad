"""The one loop that trains networks: steps of an optimiser, whose batches and chance depend on the step's number alone.

So a stopped training that goes on from its last state ends with the same weights as one that never stopped (on the
same machine, threads and processes). It runs in one process or, started by `accelerate launch`, in several; each then
takes every so-manieth batch, and gradients are averaged.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sibboleth.errors import SibbolethError
from sibboleth.models import halving
from sibboleth.storage import atomic

if TYPE_CHECKING:
    from accelerate import Accelerator

Shape = Literal["constant", "linear", "cosine", "tri-stage"]
STATE = "state.pt"
ROWS = 500
"""Rows of a training's log, at most."""


class Batch(Protocol):
    """What a network is given at once."""

    seconds: float
    """Of audio."""

    @property
    def rows(self) -> int:
        """How many utterances it has."""

    def part(self, begin: int, end: int) -> "Batch":
        """Return some of its rows."""

    def to(self, device: torch.device) -> "Batch":
        """Return it on a device."""


class Learner(Protocol):
    """A network and what it is to learn."""

    shape: Shape
    """How the learning rate falls."""
    looking: bool
    """Set before each step: whether its numbers go into the log."""

    @property
    def network(self) -> nn.Module:
        """Return what, called with a batch, gives `loss` and, under other names, single numbers about its health."""

    def before_step(self, step: int, steps: int) -> None:
        """Do what has to be done before a step counted from 0."""

    def weight(self, batch: Any) -> float | None:
        """Return what a batch's loss weighs beside those of other parts; none where it is no mean over its rows."""

    def heard(self, loss: float) -> None:
        """Take in the loss of a batch."""

    def after_step(self, step: int, steps: int) -> None:
        """Do what has to be done after it."""

    def factor(self, name: str) -> float:
        """Return by what a parameter's learning rate is multiplied."""

    def state(self) -> dict[str, Any]:
        """Return all that a stopped training needs to go on: tensors, numbers and text, in dicts and lists."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it back."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast; the settings that users see say what each means."""

    steps: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    betas: tuple[float, float]
    epsilon: float
    clip: float
    accumulate: int
    workers: int
    save: float
    bfloat16: bool
    seed: int
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.0
    hold: float = 0.0
    """Share of the steps for which tri-stage holds the learning rate."""
    floor: float = 0.0
    """Share of the learning rate at which tri-stage ends."""

    def rate(self, step: int, shape: Shape) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = round(self.warm_up * self.steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        holding = round(self.hold * self.steps) if shape == "tri-stage" else 0
        left = min(1.0, 1 - (step - rising - holding) / max(1, self.steps - rising - holding))
        match shape:
            case "constant":
                return self.learning_rate
            case "linear":
                return self.learning_rate * left
            case "cosine":
                return self.learning_rate * 0.5 * (1 - math.cos(math.pi * left))
            case "tri-stage":  # Park et al. 2019 (arXiv 1904.08779): risen, held, then falling exponentially
                return float(self.learning_rate * self.floor ** (1 - left))


@dataclass
class Training:
    """Where a training stands."""

    step: int = 0
    """Steps taken."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """The log: `step`, `loss`, `learning rate`, `audio seconds` so far and the network's numbers, averaged since the
    row before."""
    seconds: float = 0.0
    """Of audio, in all processes."""


Look = Callable[[Training], None]
"""Is shown the training after each row of the log, in the first process; what it raises stops the training."""


def accelerator(bfloat16: bool) -> "Accelerator":
    """Return what places networks on the accelerators there are."""
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    kinds = [DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=True)]
    return Accelerator(mixed_precision="bf16" if bfloat16 else "no", kwargs_handlers=kinds)


class Run:
    """A training, at the state in its folder if there is one; going through it takes the steps that are left."""

    def __init__(
        self,
        learner: Learner,
        batches: "Dataset[Any]",
        schedule: Schedule,
        folder: Path,
        look: Look,
        fingerprint: Mapping[str, object],
        place: "Accelerator",
        placed: nn.Module | None = None,
    ) -> None:
        """Place the network, unless it was `placed` before, and restore what was saved.

        Raises `SibbolethError` where the state belongs to another training: one with another fingerprint.
        """
        self.learner, self.batches, self.schedule = learner, batches, schedule
        self.folder, self.look, self.fingerprint, self.place = folder, look, fingerprint, place
        self.network = place.prepare_model(learner.network) if placed is None else placed
        self.optimiser = _optimiser(learner, schedule)
        self.pieces = 1
        """Into how many a batch is divided, so that each fits into memory."""
        self.at = _restored(folder / STATE, learner, self.optimiser, fingerprint)

    def __len__(self) -> int:
        """Count the steps that are left."""
        return self.schedule.steps - self.at.step

    def __iter__(self) -> Iterator[Training]:
        """Train; yields after every step.

        Raises `SibbolethError` where the loss is no longer a number.
        """
        saved, gathered, every = time.monotonic(), _Gathered(), math.ceil(self.schedule.steps / ROWS)
        loader = iter(_loader(self.batches, self.schedule, self.at.step, self.place)) if len(self) else iter(())
        while self.at.step < self.schedule.steps:
            self.learner.looking = (self.at.step + 1) % every == 0 or self.at.step + 1 == self.schedule.steps
            rate = self._step(loader, gathered)
            done = self.at.step == self.schedule.steps
            if self.learner.looking:
                told = {"learning rate": rate, "audio seconds": self.at.seconds}
                self.at.rows.append({"step": self.at.step, **gathered.mean(), **told})
                if self.place.is_main_process:
                    self.look(self.at)
            if self.place.is_main_process and (done or time.monotonic() - saved > self.schedule.save):
                _save(self.folder / STATE, self.learner, self.optimiser, self.at, self.fingerprint)
                saved = time.monotonic()
            yield self.at

    def _step(self, loader: Iterator[Any], gathered: "_Gathered") -> float:
        """Take a step and return its learning rate."""
        at, schedule, place = self.at, self.schedule, self.place
        self.learner.before_step(at.step, schedule.steps)
        rate = schedule.rate(at.step, self.learner.shape)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        batches = [next(loader) for _ in range(schedule.accumulate)]
        while (told := self._gradients(batches)) is None:
            self._halve(batches)
        for one, batch in zip(told, batches, strict=True):
            gathered.add(one)
            self.learner.heard(one["loss"])
            at.seconds += batch.seconds * place.num_processes
        norm = place.clip_grad_norm_(self.learner.network.parameters(), schedule.clip)
        if not math.isfinite(float(norm)):
            raise SibbolethError(
                f"the loss or its slope is no longer a number at step {at.step + 1}; lower training.learning_rate "
                f"or raise training.warm_up. The last good state is in {self.folder}"
            )
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.learner.after_step(at.step, schedule.steps)
        at.step += 1
        return rate

    def _gradients(self, batches: Sequence[Batch]) -> list[dict[str, float]] | None:
        """Add up the gradients of a step; returns what each batch told, or none where memory did not suffice."""
        try:
            return [self._learnt(number, batch, len(batches)) for number, batch in enumerate(batches)]
        except Exception as error:
            if not halving.exhausted(error):
                raise
        return None

    def _learnt(self, number: int, batch: Batch, many: int) -> dict[str, float]:
        """Add the gradients of one of `many` batches, piece after piece, as if it were one; returns what it told."""
        at, place = self.at, self.place
        pieces = _pieces(batch, self.pieces)
        weights = [self.learner.weight(piece) or 0.0 for piece in pieces] if len(pieces) > 1 else [1.0]
        some = [(piece, weight) for piece, weight in zip(pieces, weights, strict=True) if weight] or [(batch, 1.0)]
        told: dict[str, float] = {}
        for k, (piece, weight) in enumerate(some):
            share = weight / sum(weight for _, weight in some)
            own = number * place.num_processes + place.process_index
            torch.manual_seed(_seed(self.schedule.seed, at.step, own, k))
            last = number == many - 1 and k == len(some) - 1
            with contextlib.nullcontext() if last else place.no_sync(self.network), place.autocast():
                said = self.network(piece.to(place.device))
                place.backward(said["loss"] / many * share)
            told |= {name: told.get(name, 0.0) + share * float(one.detach()) for name, one in said.items()}
        return told

    def _halve(self, batches: Sequence[Batch]) -> None:
        """Divide batches into twice as many pieces; raises `SibbolethError` where that cannot be."""
        self.optimiser.zero_grad()
        if self.place.num_processes > 1:
            raise _no_room("in one of several processes")
        if self.learner.weight(batches[0]) is None:
            raise _no_room("with an objective that takes a batch as a whole")
        if self.pieces >= max(batch.rows for batch in batches):
            raise _no_room("with one utterance at a time")
        self.pieces *= 2
        halving.again("while training", f"each batch is learnt from in {self.pieces} parts, whose gradients are added")


def _no_room(how: str) -> SibbolethError:
    return SibbolethError(
        f"out of memory while training {how}, where batches cannot be halved; ask for less audio per batch and raise "
        "accumulate by as much, cut long recordings, or take another machine"
    )


def _pieces(batch: Batch, count: int) -> list[Batch]:
    """Divide a batch into so many pieces of about as many rows, or fewer where it has fewer."""
    if count == 1:
        return [batch]
    edges = [batch.rows * k // count for k in range(count + 1)]
    return [batch.part(begin, end) for begin, end in pairwise(edges) if end > begin]


def _optimiser(learner: Learner, schedule: Schedule) -> torch.optim.Optimizer:
    """Decay matrices only: biases, norms and single vectors have no weight decay."""
    by_kind: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, one in learner.network.named_parameters():
        if one.requires_grad:
            kind = (schedule.weight_decay if one.ndim > 1 else 0.0, learner.factor(name))
            by_kind.setdefault(kind, []).append(one)
    groups = [{"params": some, "weight_decay": decay, "factor": by} for (decay, by), some in sorted(by_kind.items())]
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=schedule.momentum)
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=schedule.betas, eps=schedule.epsilon, fused=True)


def _loader(batches: "Dataset[Any]", schedule: Schedule, step: int, place: "Accelerator") -> "DataLoader[Any]":
    """Read the batches of this process from a step on, ahead of their use if there are workers."""
    first, last = step * schedule.accumulate, schedule.steps * schedule.accumulate
    mine = [place.process_index + number * place.num_processes for number in range(first, last)]
    return DataLoader(
        batches,
        batch_size=None,
        sampler=mine,
        num_workers=schedule.workers,
        pin_memory=place.device.type == "cuda",
        persistent_workers=False,
    )


def _seed(seed: int, step: int, batch: int, piece: int) -> int:
    """Return the seed of all chance in a piece of one of a step's batches, whichever process has it."""
    return hash((seed, step, batch, piece)) & 0x7FFF_FFFF_FFFF_FFFF


class _Gathered:
    """What the network told since the last row of the log."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[float]] = {}

    def add(self, told: Mapping[str, float]) -> None:
        for name, number in told.items():
            self.numbers.setdefault(name, []).append(number)

    def mean(self) -> dict[str, float]:
        means = {name: sum(values) / len(values) for name, values in self.numbers.items()}
        self.numbers = {}
        return means


def _save(
    path: Path, learner: Learner, optimiser: torch.optim.Optimizer, at: Training, fingerprint: Mapping[str, object]
) -> None:
    with atomic(path) as temporary:
        torch.save(
            {
                "fingerprint": dict(fingerprint),
                "network": learner.state(),
                "optimiser": optimiser.state_dict(),
                "training": {"step": at.step, "rows": at.rows, "seconds": at.seconds},
            },
            temporary,
        )


def _restored(
    path: Path, learner: Learner, optimiser: torch.optim.Optimizer, fingerprint: Mapping[str, object]
) -> Training:
    state = saved(path, fingerprint)
    if state is None:
        return Training()
    learner.restore(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return Training(**state["training"])


def saved(path: Path, fingerprint: Mapping[str, object]) -> dict[str, Any] | None:
    """Read a state, if there is one; raises `SibbolethError` for that of a training with another fingerprint."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        differ = sorted(name for name in fingerprint if state["fingerprint"].get(name) != fingerprint[name])
    except Exception as error:  # torch raises whatever its parser raises
        told = " ".join(str(error).split())[:120]
        raise SibbolethError(f"{path}: cannot be read ({told}); delete it to begin again") from None
    if differ:
        raise SibbolethError(
            f"{path}: belongs to another training (other {', '.join(differ)}); choose another --output, or delete the "
            "folder to begin again"
        )
    return state
