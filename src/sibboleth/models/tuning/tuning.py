"""One way of fine-tuning one encoder: which network that is, and what it answers for every fit of a cell."""

import itertools
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sibboleth.methods import MethodSettings, TuningSettings
from sibboleth.models import adapters
from sibboleth.models.adapters import counts
from sibboleth.models.encoders import Encoder, arithmetic
from sibboleth.models.encoders.stack import Stack
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.losses import Kind as LossKind
from sibboleth.models.probes import Answer, Kind, Pooling
from sibboleth.models.tuning import course as courses
from sibboleth.models.tuning import memory, parts
from sibboleth.models.tuning.course import Course, Place, Score, Told
from sibboleth.models.tuning.inputs import Inputs
from sibboleth.models.tuning.network import Head, Masking, Tuned
from sibboleth.models.tuning.parts import Part
from sibboleth.models.tuning.problems import Problem, problems
from sibboleth.splits import Fit, Rows, Stage

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How all fits of one encoder and one source are fine-tuned."""

    kind: Kind
    method: MethodSettings
    """Its sizes already matched to another method's, where it asks for that."""
    training: TuningSettings
    lowest: int
    """Hidden state above which the encoder is trained, or from which on layers are mixed."""
    layers: int
    """Transformer layers of the encoder that are kept: the head hears that hidden state."""
    pooling: Pooling
    """Statistics over time that the head hears; more than the mean only where nothing but the head is trained."""
    dim: int
    """Size of what it hears."""
    out: int
    trials: int
    seed: int

    @property
    def mixed(self) -> int:
        """How many hidden states are mixed; 0 where the head hears the last one."""
        return self.layers - self.lowest + 1 if self.method.mix else 0

    @property
    def loss(self) -> LossKind:
        """What training makes small."""
        return "cross-entropy" if self.kind == "classification" else "squared"

    @property
    def hears_audio(self) -> bool:
        """Whether nothing of the encoder can be computed beforehand."""
        return self.method.adapts and (self.method.train == "encoder" or self.training.augmentation.changes_audio)

    def network(self, encoder: Encoder, trial: int) -> tuple[Tuned, Mapping[str, int]]:
        """Build what is trained, as the seed of a trial draws it; returns it and how many parameters of each part."""
        seed = self.seed * 1000 + trial
        stack, sizes = None, {}
        if self.method.adapts:
            assert isinstance(encoder, Transformer)
            stack = Stack(encoder, self.lowest, self.layers)
            sizes = dict(adapters.adapt(stack, self.method, seed).trained)
        augmentation = self.training.augmentation
        network = Tuned(
            stack,
            Head(self.dim, self.method.head, self.out, seed),
            self.mixed,
            self.out,
            self.loss,
            self.method.train == "encoder",
            Masking(augmentation.mask, augmentation.mask_length),
        )
        sizes |= {"mix": self.mixed} if self.mixed else {}
        return network, sizes | {"head": sum(one.numel() for one in network.head.parameters())}


@dataclass
class Solving:
    """All trainings of one cell, each begun where a kill left it; answers are kept in a folder as they come."""

    tuning: Tuning
    encoder: Encoder
    inputs: Inputs
    fits: Sequence[Fit]
    score: Score
    folder: Path
    log: list[dict[str, Any]] = field(default_factory=list)
    """One row per epoch and dev set."""

    def __iter__(self) -> Iterator[Answer | None]:
        """Yield an answer for every fit and trial, and nothing now and then while there is work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for trial in range(self.tuning.trials):
            for number, problem in enumerate(problems(self.fits, trial)):
                yield from self._solved(problem, trial, f"{trial}-{number}")

    def facts(self) -> dict[str, Any]:
        """Say how many parameters of which part are trained, and on what."""
        network, sizes = self.tuning.network(self.encoder, 0)
        total = sum(one.numel() for one in network.parameters())
        if network.stack is None and isinstance(self.encoder, Transformer):
            total += counts.size(self.encoder, self.tuning.layers)
        return {
            "parts": dict(sizes),
            "total": total,
            "device": str(arithmetic.device()),
            "bits": "bfloat16" if self._bfloat16 else "float32",
        }

    def remove(self) -> None:
        """Remove what was kept, once the cell stands for it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @cached_property
    def _bfloat16(self) -> bool:
        return courses.bfloat16(self.tuning.training)

    def _at(self, trial: int) -> tuple[Tuned, Place, dict[str, Tensor]]:
        """Build the network of a trial once, with its first weights."""
        if getattr(self, "_built", (None,))[0] != trial:
            torch.set_float32_matmul_precision("highest")
            network, _ = self.tuning.network(self.encoder, trial)
            self._built = trial, network, Place.of(network, self._bfloat16), network.trained()
        return self._built[1:]

    def _solved(self, problem: Problem, trial: int, name: str) -> Iterator[Answer | None]:
        """Train on the source, answer for its dev sets, then go on to each target."""
        first = self.folder / f"{name}.first.pt"
        found = parts.read(self.folder / f"{name}.npz")
        if found is None or (problem.stages and not parts.weights_are_there(first)):
            found = yield from self._first(problem, trial, name, first)
        yield from found.answers
        self.log += found.log
        for number, (watch, stage, members) in enumerate(problem.stages):
            place = self.folder / f"{name}-{number}.npz"
            found = parts.read(place)
            if found is None:
                found = yield from self._second(problem, watch, stage, members, trial, first, place)
            yield from found.answers
            self.log += found.log

    def _first(self, problem: Problem, trial: int, name: str, weights: Path) -> Generator[None, None, Part]:
        network, place, start = self._at(trial)
        network.take(start)
        seed = _seed(self.tuning.seed, trial, 0, problem.train)
        going = self._course(network, problem.train, problem.devs, seed, place, first=True)
        yield from self._run(going, place, seed, name)
        answers = []
        for watch, fits in enumerate(problem.single):
            if fits:
                answers += self._answers(going, watch, fits, trial, problem.devs[watch])
        if problem.stages:
            parts.write_weights(weights, [going.kept[one.epoch] for one in going.watches])
        found = Part(answers, self._rows(going, problem, None, trial, name))
        parts.write(self.folder / f"{name}.npz", found)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return found

    def _second(
        self, problem: Problem, watch: int, stage: Stage, members: Sequence[int], trial: int, first: Path, place: Path
    ) -> Generator[None, None, Part]:
        network, placed, _ = self._at(trial)
        network.take(parts.read_weights(first)[watch])
        seed = _seed(self.tuning.seed, trial, 1, stage.train)
        devs = (stage.dev,) if len(stage.dev) else ()
        going = self._course(network, stage.train, devs, seed, placed, first=False)
        yield from self._run(going, placed, seed, place.stem)
        dev = stage.dev if devs else problem.devs[watch]
        answers = self._answers(going, 0 if devs else None, members, trial, dev)
        found = Part(answers, self._rows(going, problem, stage, trial, place.stem))
        parts.write(place, found)
        shutil.rmtree(place.with_suffix(""), ignore_errors=True)
        return found

    def _course(
        self, network: Tuned, train: Rows, devs: Sequence[Rows], seed: int, place: Place, *, first: bool
    ) -> Course:
        settings, many = self.tuning.training, place.accelerator.num_processes
        return courses.course(
            network, self.inputs, train, devs, settings, self.score, seed, first=first, processes=many
        )

    def _run(self, going: Course, place: Place, seed: int, name: str) -> Iterator[None]:
        memory.begin()
        fingerprint = {"tuning": repr(self.tuning), "encoder": self.encoder.identity, "name": name}
        before = 0
        for over in courses.run(going, place, self.folder / name, fingerprint, seed):
            yield from itertools.repeat(None, over - before)
            before = over

    def _answers(self, going: Course, watch: int | None, members: Sequence[int], trial: int, dev: Rows) -> list[Answer]:
        """Answer with the weights that a dev set chose, or the last ones."""
        network, settings = going.network, self.tuning.training
        epoch = going.plan.steps if watch is None else going.watches[watch].epoch
        if watch is not None:
            network.take(going.kept[epoch])
        tests = [test for index in members for test in self.fits[index].tests]
        union = np.unique(np.concatenate([dev, *(test.rows for test in tests)]))
        outputs = going.outputs(union)

        def about(rows: Rows) -> Array:
            return network.answered(outputs[np.searchsorted(union, rows)])

        return [
            Answer(
                index,
                self.tuning.layers,
                trial,
                float(epoch),
                settings.learning_rate,
                settings.weight_decay,
                about(dev),
                tuple(about(test.rows) for test in self.fits[index].tests),
            )
            for index in members
        ]

    def _rows(
        self, going: Course, problem: Problem, stage: Stage | None, trial: int, name: str
    ) -> list[dict[str, Any]]:
        """Say what each epoch came to."""
        about = {
            "source": problem.source,
            "then": None if stage is None else stage.domain,
            "shots": None if stage is None else stage.shots,
            "training": name,
            "trial": trial,
            "stage": 1 if stage is None else 2,
        }
        return [about | self._row(one, going, problem, stage) for one in going.rows]

    def _row(self, told: Told, going: Course, problem: Problem, stage: Stage | None) -> dict[str, Any]:
        chosen = told.watch is not None and told.epoch == going.watches[told.watch].epoch
        return {
            "fold": problem.name(told.watch or 0, stage),
            "epoch": told.epoch,
            "loss": told.loss,
            "dev_loss": told.dev_loss,
            "dev": told.dev,
            "selected": chosen,
            "seconds": told.seconds,
            "memory": told.memory,
        }


def _seed(seed: int, trial: int, stage: int, rows: Rows) -> int:
    """Return a training's seed, which other trainings of a cell do not change."""
    random = np.random.default_rng([seed, trial, stage, len(rows), *rows[:8].tolist()])
    return int(random.integers(2**31))
