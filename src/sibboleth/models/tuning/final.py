"""The training of one network on whole domains, stage after stage; a killed one goes on inside the epoch.

In several processes each takes its share of the batches; all look at dev, and what the first one sees decides.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import Encoder
from sibboleth.models.tuning import course as courses
from sibboleth.models.tuning import parts, smoothing
from sibboleth.models.tuning.course import Course, Place, Score, Told, Watch
from sibboleth.models.tuning.inputs import Inputs
from sibboleth.models.tuning.network import Tuned
from sibboleth.models.tuning.tuning import Tuning
from sibboleth.splits import Stage
from sibboleth.storage import atomic

if TYPE_CHECKING:
    from accelerate import Accelerator

ABOUT = "training.json"
"""Says whose state a folder holds."""


@dataclass(frozen=True)
class Tried:
    """One training of a stage, with one of the candidates for the learning rate."""

    rate: float
    epoch: int
    """Which one dev chose."""
    best: tuple[float, float]
    """What it chose by; higher is better."""
    log: tuple[Told, ...]


@dataclass
class Final:
    """A training that ends with the weights that the last stage's dev chose; going through it trains."""

    tuning: Tuning
    encoder: Encoder
    inputs: Inputs
    stages: Sequence[Stage]
    score: Score
    folder: Path
    """Of its state."""
    fingerprint: str
    """What must be the same for a training to go on."""
    accelerator: "Accelerator"
    better: int = 1
    """1 where a higher score is better, else -1."""
    network: Tuned = field(init=False)
    parts: dict[str, int] = field(init=False)
    """Number of trained parameters of each part."""
    tried: list[list[Tried]] = field(default_factory=list)
    """Trainings of every stage: of the first as many as there are candidates for the learning rate."""

    @property
    def chosen(self) -> list[Tried]:
        """Return the training of every stage that dev likes best, the first of equals."""
        return [max(several, key=lambda one: one.best) for several in self.tried]

    def __len__(self) -> int:
        """Count the epochs that it takes at most."""
        trainings = len(self.tuning.training.rates) + len(self.stages) - 1
        return trainings * self.tuning.training.epochs

    def __iter__(self) -> Iterator[None]:
        """Train; yields for every epoch, and for those that were not needed.

        Raises `SibbolethError` where the folder holds the state of another training.
        """
        self._claim()
        self.network, counts = self.tuning.network(self.encoder, 0)
        self.parts = dict(counts)
        begun = self.stages[0].train
        # Also where every stage is done already and none is planned: numbers are answered on this scale.
        self.network.learn(begun, begun, self.inputs.truth, self.tuning.training.class_weights)
        self.tuning.know_scale(self.network, self.inputs, begun)
        place = Place(self.accelerator, self.accelerator.prepare_model(self.network))
        for number, stage in enumerate(self.stages, start=1):
            rates = (self.chosen[0].rate,) if self.tried else self.tuning.training.rates
            start, files = self.network.trained(), []
            self.tried.append([])
            for candidate, rate in enumerate(rates):
                name = f"stage-{number}" if len(rates) == 1 else f"stage-{number}-rate-{candidate}"
                files.append(self.folder / f"{name}.pt")
                if parts.weights_are_there(files[-1]):
                    yield from itertools.repeat(None, self.tuning.training.epochs)
                else:
                    self.network.take(start)
                    yield from self._train(number, stage, place, files[-1], rate)
                self.tried[-1].append(_tried(files[-1].with_suffix(".json"), rate))
            best = self.tried[-1].index(self.chosen[-1])
            self.network.take(parts.read_weights(files[best])[0])
        self._smooth()

    def _smooth(self) -> None:
        """Let a network that makes segments choose how, by the last stage's dev."""
        last, settings = self.stages[-1], self.tuning.training.at(self.chosen[-1].rate)
        going = courses.course(
            self.network, self.inputs, last.train, (last.dev,), settings, self.score, 0, better=self.better
        )
        smoothing.learn(going, last.train, last.dev, self.tuning.decoders, self.tuning.background)

    def _claim(self) -> None:
        """Write whose state this is, or see that it is ours."""
        file, many = self.folder / ABOUT, self.accelerator.num_processes
        about = {"fingerprint": self.fingerprint, "processes": many}
        if self.accelerator.is_main_process:
            there = json.loads(file.read_text(encoding="utf-8")) if file.exists() else about
            if there["fingerprint"] != self.fingerprint:
                raise SibbolethError(
                    f"{self.folder.parent}: a training of other settings, speech or encoder is under way in it; choose "
                    "another --output, or delete the folder to begin again"
                )
            if there["processes"] != many:
                raise SibbolethError(
                    f"{self.folder.parent}: its training began in {there['processes']} processes and cannot go on in "
                    f"{many}; start as many, or delete the folder to begin again"
                )
            _write(file, about)
        self.accelerator.wait_for_everyone()

    def _train(self, number: int, stage: Stage, place: Place, done: Path, rate: float) -> Iterator[None]:
        many, settings = self.accelerator.num_processes, self.tuning.training.at(rate)
        seed = int(np.random.default_rng([self.tuning.seed, number]).integers(2**31))
        going = courses.course(
            self.network,
            self.inputs,
            stage.train,
            (stage.dev,),
            settings,
            self.score,
            seed,
            first=None if number == 1 else self.stages[0].train,
            processes=many,
            better=self.better,
        )
        about = {"training": self.fingerprint, "processes": many}
        before = 0
        for over in courses.run(going, place, done.with_suffix(""), about, seed):
            if over > before and many > 1:
                _agree(going)
            yield from itertools.repeat(None, over - before)
            before = over
        if self.accelerator.is_main_process:
            (watch,) = going.watches
            told = {"epoch": watch.epoch, "best": watch.best, "log": [asdict(one) for one in going.rows]}
            _write(done.with_suffix(".json"), told)
            parts.write_weights(done, [going.kept[watch.epoch]])
        self.accelerator.wait_for_everyone()
        yield from itertools.repeat(None, settings.epochs - before)


def _agree(going: Course) -> None:
    """Let the first process decide what dev chose, so that all stop at the same epoch whatever their last bits are."""
    from accelerate.utils import broadcast_object_list

    told = [[(one.best, one.epoch, one.waited) for one in going.watches]]
    broadcast_object_list(told)
    going.watches = [Watch(*one) for one in told[0]]


def _tried(file: Path, rate: float) -> Tried:
    told = json.loads(file.read_text(encoding="utf-8"))
    first, second = told["best"]
    return Tried(rate, told["epoch"], (first, second), tuple(Told(**one) for one in told["log"]))


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
