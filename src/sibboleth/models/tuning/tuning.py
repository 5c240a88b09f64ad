"""One way of fine-tuning one encoder: which network that is, and what it answers for every fit of a cell."""

import itertools
import math
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sibboleth.methods import MethodSettings, TuningSettings
from sibboleth.models import adapters
from sibboleth.models.adapters import counts
from sibboleth.models.encoders import Encoder, arithmetic
from sibboleth.models.encoders.stack import Stack
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.losses import Kind as LossKind
from sibboleth.models.probes import Answer, Pooling
from sibboleth.models.tuning import context, memory, parts, smoothing
from sibboleth.models.tuning import course as courses
from sibboleth.models.tuning.course import Course, Judged, Place, Score, Told
from sibboleth.models.tuning.inputs import FrameInputs, Inputs
from sibboleth.models.tuning.masking import Masking
from sibboleth.models.tuning.network import Head, Tuned, chosen
from sibboleth.models.tuning.parts import Part
from sibboleth.models.tuning.problems import Problem, problems
from sibboleth.models.tuning.segmenter import Segmenter
from sibboleth.models.tuning.transcriber import Transcriber
from sibboleth.splits import Fit, Rows, Stage
from sibboleth.targets import FRAMED, Kind

Array = npt.NDArray[np.float64]

LOSSES: dict[Kind, LossKind] = {
    "classification": "cross-entropy",
    "regression": "squared",
    "transcription": "ctc",
    "segmentation": "frames",
}


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
    curve: bool = False
    """Whether every hidden state from `lowest` on has a head of its own, all trained together."""
    decoders: tuple[str, ...] = ()
    """Ways to make segments of frames, among which dev chooses."""
    background: int | None = None
    """Index of the label of what no segment covers."""
    own: tuple[int, ...] = ()
    """Of a model as it is: which of its numbers each label is."""

    @property
    def mixed(self) -> int:
        """How many hidden states are mixed; 0 where the head hears the last one."""
        return self.states if self.method.mix else 0

    @property
    def states(self) -> int:
        """How many hidden states there are from the lowest on."""
        return self.layers - self.lowest + 1

    @property
    def voices(self) -> int:
        """How many heads answer."""
        return self.states if self.curve else 1

    @property
    def loss(self) -> LossKind:
        """What training makes small."""
        return LOSSES[self.kind]

    @property
    def layered(self) -> bool:
        """Whether an encoder's own layers are computed, trained or not, and not read from the cache."""
        return self.method.adapts or (self.kind in FRAMED and self.lowest < self.layers)

    @property
    def hears_audio(self) -> bool:
        """Whether nothing of the encoder can be computed beforehand."""
        return self.method.adapts and (self.method.train == "encoder" or self.training.augmentation.changes_audio)

    def network(self, encoder: Encoder, trial: int) -> tuple[Tuned, Mapping[str, int]]:
        """Build what is trained, as the seed of a trial draws it; returns it and how many parameters of each part."""
        seed = self.seed * 1000 + trial
        stack, sizes = None, {}
        if self.layered and isinstance(encoder, Transformer):
            stack = Stack(encoder, self.lowest, self.layers)
            sizes = dict(adapters.adapt(stack, self.method, seed).trained)
        network = self._network(stack, seed, None if encoder.stride is None else encoder.stride / encoder.rate)
        sizes |= {"mix": self.mixed} if self.mixed else {}
        return network, sizes | {"head": sum(one.numel() for one in network.head.parameters() if one.requires_grad)}

    def know_scale(self, network: Tuned, inputs: Inputs, train: Rows) -> None:
        """Let heads over the frames of a frozen encoder know the scale of what they hear, from the training rows.

        Or from all rows of each row's speaker, where the head hears each on a scale of its own.
        """
        frozen = not self.method.adapts and not self.method.as_is
        if not isinstance(network, Transcriber) or not isinstance(inputs, FrameInputs) or not frozen:
            return
        layers = range(self.layers - network.scale.shape[1] + 1, self.layers + 1)
        if self.method.head.per_speaker:
            inputs.know_speakers(layers)
        else:
            network.scale.copy_(torch.from_numpy(inputs.scale(train, layers)))

    def _network(self, stack: Stack | None, seed: int, stride: float | None) -> Tuned:
        told = self.training.augmentation
        hidden = (told.time_mask, told.feature_mask, told.feature_mask_length)
        masking = Masking(told.mask, told.mask_length, *hidden)
        around = self.method.head.context if self.kind == "segmentation" else ()
        dim = context.size(self.dim, around)
        heads: list[nn.Module] = [Head(dim, self.method.head, self.out, seed) for _ in range(self.voices)]
        if self.method.as_is:
            heads = [chosen(self.own, self.dim)]
        front = self.method.train == "encoder"
        if self.kind not in FRAMED:
            return Tuned(stack, heads[0], self.mixed, self.out, self.loss, front, masking)
        heard = self.states if self.curve or self.mixed else 1
        made = partial(Segmenter, stride=stride, context=around) if self.kind == "segmentation" else Transcriber
        return made(stack, heads, heard, self.dim, mixed=self.mixed, out=self.out, trains_front=front, masking=masking)


@dataclass
class Solving:
    """All trainings of one cell, each begun where a kill left it; answers are kept in a folder as they come."""

    tuning: Tuning
    encoder: Encoder
    inputs: Inputs
    fits: Sequence[Fit]
    score: Score
    folder: Path
    better: int = 1
    """1 where a higher score is better, else -1."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """One row per epoch and dev set."""
    _built: tuple[int, Tuned, Place, dict[str, Tensor]] | None = field(default=None, init=False)

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
        if self._built is None or self._built[0] != trial:
            torch.set_float32_matmul_precision("highest")
            network, _ = self.tuning.network(self.encoder, trial)
            self._built = trial, network, Place.of(network, self._bfloat16), network.trained()
        return self._built[1:]

    def _solved(self, problem: Problem, trial: int, name: str) -> Iterator[Answer | None]:
        """Train on the source, answer for its dev sets, then go on to each target."""
        if self.tuning.method.as_is:
            yield from self._untrained(problem, trial, name)
            return
        rates = self.tuning.training.rates
        names = [name if len(rates) == 1 else f"{name}-rate-{number}" for number in range(len(rates))]
        tried = []
        for rate, one in zip(rates, names, strict=True):
            weights = self._weights(one)
            part = parts.read(self.folder / f"{one}.npz")
            if part is None or (problem.stages and not parts.weights_are_there(weights)):
                part = yield from self._first(problem, trial, one, rate)
            tried.append(part)
        yield from parts.answers(tried)
        self.log += parts.logs(tried)
        for number, (dev, stage, members) in enumerate(problem.stages):
            place = self.folder / f"{name}-{number}.npz"
            found = parts.read(place)
            if found is None:
                at = parts.best(tried, dev)
                first = self._weights(names[at])
                found = yield from self._second(problem, dev, stage, members, trial, first, place, rates[at])
            yield from found.answers
            self.log += found.log

    def _untrained(self, problem: Problem, trial: int, name: str) -> Iterator[Answer]:
        """Answer with a model as it is; dev chooses nothing."""
        network, place, _ = self._at(trial)
        for dev, fits in enumerate(problem.single):
            if fits:
                going = self._course(network, problem.train, (), 0, place, self.tuning.training.rates[0])
                yield from self._answers(going, None, fits, trial, problem.devs[dev], problem.train)
                going.rows = [Told(0, None, math.nan, math.nan, math.nan, 0.0, None)]
                self.log += self._rows(going, problem, None, trial, name)

    def _weights(self, name: str) -> Path:
        """Say where the weights are kept that each dev set chose of a first training."""
        return self.folder / f"{name}.first.pt"

    def _first(self, problem: Problem, trial: int, name: str, rate: float) -> Generator[None, None, Part]:
        network, place, start = self._at(trial)
        network.take(start)
        self.tuning.know_scale(network, self.inputs, problem.train)
        seed = _seed(self.tuning.seed, trial, 0, problem.train)
        going = self._course(network, problem.train, problem.devs, seed, place, rate)
        yield from self._run(going, place, seed, name)
        answers, watches, voices = [], [], network.voices
        for dev, fits in enumerate(problem.single):
            if fits:
                answers += self._answers(going, dev, fits, trial, problem.devs[dev], problem.train)
                watches += [dev * voices + voice for voice in range(voices) for _ in fits]
        if problem.stages:
            parts.write_weights(self._weights(name), [going.kept[one.epoch] for one in going.watches])
        keys = [one.best or (-math.inf, -math.inf) for one in going.watches]
        part = Part(answers, self._rows(going, problem, None, trial, name), keys, watches)
        parts.write(self.folder / f"{name}.npz", part)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return part

    def _second(
        self,
        problem: Problem,
        dev: int,
        stage: Stage,
        members: Sequence[int],
        trial: int,
        first: Path,
        place: Path,
        rate: float,
    ) -> Generator[None, None, Part]:
        network, placed, _ = self._at(trial)
        network.take(parts.read_weights(first)[dev])
        self.tuning.know_scale(network, self.inputs, problem.train)
        seed = _seed(self.tuning.seed, trial, 1, stage.train)
        devs = (stage.dev,) if len(stage.dev) else ()
        going = self._course(network, stage.train, devs, seed, placed, rate, problem.train)
        yield from self._run(going, placed, seed, place.stem)
        watching = stage.dev if devs else problem.devs[dev]
        answers = self._answers(going, 0 if devs else None, members, trial, watching, stage.train)
        found = Part(answers, self._rows(going, problem, stage, trial, place.stem))
        parts.write(place, found)
        shutil.rmtree(place.with_suffix(""), ignore_errors=True)
        return found

    def _course(
        self,
        network: Tuned,
        train: Rows,
        devs: Sequence[Rows],
        seed: int,
        place: Place,
        rate: float,
        first: Rows | None = None,
    ) -> Course:
        return courses.course(
            network,
            self.inputs,
            train,
            devs,
            self.tuning.training.at(rate),
            self.score,
            seed,
            first=first,
            processes=place.accelerator.num_processes,
            better=self.better,
        )

    def _run(self, going: Course, place: Place, seed: int, name: str) -> Iterator[None]:
        memory.begin()
        fingerprint = {"tuning": repr(self.tuning), "encoder": self.encoder.identity, "name": name}
        before = 0
        for over in courses.run(going, place, self.folder / name, fingerprint, seed):
            yield from itertools.repeat(None, over - before)
            before = over

    def _answers(
        self, going: Course, dev: int | None, members: Sequence[int], trial: int, watching: Rows, train: Rows
    ) -> list[Answer]:
        """Answer with the weights that a dev set chose, or the last ones."""
        network, settings, voices = going.network, going.settings, going.network.voices
        epochs = [going.plan.steps] * voices
        if dev is not None:
            epochs = [one.epoch for one in going.watches[dev * voices : (dev + 1) * voices]]
            network.take(going.chosen(dev))
        smoothing.learn(going, train, watching, self.tuning.decoders, self.tuning.background)
        tests = [test for index in members for test in self.fits[index].tests]
        union = np.unique(np.concatenate([watching, *(test.rows for test in tests)]))
        (rate,) = settings.rates
        found = []
        for voice, said in enumerate(going.judged(union)):

            def about(rows: Rows, said: Judged = said) -> Array:
                return said.answers[np.searchsorted(union, rows)]

            found += [
                Answer(
                    index,
                    self.tuning.layers - voices + 1 + voice,
                    trial,
                    float(epochs[voice]),
                    rate,
                    settings.weight_decay,
                    about(watching),
                    tuple(about(test.rows) for test in self.fits[index].tests),
                    smoothing.name(network, voice),
                )
                for index in members
            ]
        smoothing.forget(network)
        return found

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
        (rate,) = going.settings.rates
        dev, voice = divmod(told.watch or 0, going.network.voices)
        return {
            "fold": problem.name(dev, stage),
            "watch": told.watch,
            "layer": self.tuning.layers - going.network.voices + 1 + voice,
            "learning_rate": rate,
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
