"""Fine-tuned cells: all fits of one encoder, one method and one source domain, trained one after another."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.experiment import cells, timelines, windows
from sibboleth.experiment.cells import Score
from sibboleth.experiment.material import Material
from sibboleth.experiment.windows import Windows
from sibboleth.methods import HeadSettings, MethodSettings
from sibboleth.probes import CtcProbe, FramesProbe
from sibboleth.runs import RunDirectory, write_table, write_text
from sibboleth.splits import Fit, Fits, single
from sibboleth.splits import Rows as TableRows
from sibboleth.study import EncoderSettings, Study
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.encoders.transformer import Transformer
    from sibboleth.models.probes import Answer
    from sibboleth.models.tuning.inputs import Inputs
    from sibboleth.models.tuning.tuning import Tuning

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TunedCell:
    """One encoder, one method and one source domain, with all their fits."""

    encoder: str
    """Its name in the study."""
    identity: str
    """Its content hash."""
    source: str
    fits: tuple[Fit, ...]
    """Rows index the material's table."""
    tuning: "Tuning"
    missing: tuple[int, ...] = ()
    """Rows that the encoder could not encode."""
    short: tuple[int, ...] = ()
    """Rows with fewer frames than CTC needs for their text; they neither train nor select."""
    alignment: None = None
    """Domains are aligned for probes only."""

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.tuning.method.name

    def file(self, material: Material) -> str:
        """Name its file; the name changes with everything that changes a number in it."""
        settings = (self.identity, self.tuning, self.short)
        return cells.file_name(
            f"{self.encoder}--{self.method}--{self.source}", settings, self.fits, self.missing, material
        )


@dataclass(frozen=True)
class TunedWork:
    """One encoder with one method, and the cells it is to fill."""

    encoder: "Encoder"
    tuning: "Tuning"
    cells: tuple[TunedCell, ...]

    @property
    def of_probe(self) -> bool:
        """Whether it stands for the probe of transcripts or segmentations, and not for a method."""
        return self.tuning.curve

    @property
    def name(self) -> str:
        """Encoder and method."""
        return f"{self.encoder.name} + {self.tuning.method.name}"


def works(
    study: Study,
    settings: EncoderSettings,
    encoder: "Encoder",
    fits: Sequence[Fit],
    out: int,
    background: int | None = None,
) -> list[TunedWork]:
    """List an encoder's cells, method by method, for the methods that it can be trained with.

    Raises `InvalidInput` for a method that asks for layers or modules that the encoder does not have.
    """
    from sibboleth.models.adapters import counts, reach
    from sibboleth.models.tuning.tuning import Tuning

    found = []
    named = {one.name: one for one in study.methods}
    methods = [*((curve(study.probe),) if isinstance(study.probe, CtcProbe | FramesProbe) else ()), *study.methods]
    for number, method in enumerate(methods):
        of_probe = number == 0 and study.target.kind in FRAMED
        if study.target.kind in FRAMED and not encoder.frames:
            verb = "transcribe" if study.target.kind == "transcription" else "segment"
            raise InvalidInput(
                f"encoder {settings.name!r} gives one embedding per utterance, no frames to {verb}; leave it out"
            )
        if not takes(encoder, method):
            continue
        own = _own(study, encoder) if method.as_is else ()
        if method.match_parameters is not None:
            method = counts.matched(method, named[method.match_parameters], transformer(encoder))
        lowest, kept = (0, encoder.layers - 1) if of_probe else reach(method, encoder)
        if method.adapts:
            counts.counted(method, transformer(encoder))  # so that what it has no module for is said before any work
        training = method.training or study.training
        if of_probe:
            training = training.model_copy(update={"clip": float("inf")})
        framed = method.adapts or study.target.kind in FRAMED
        pooling = "mean" if framed else settings.pooling or encoder.default_pooling
        tuning = Tuning(
            kind=study.target.kind,
            method=method,
            training=training,
            lowest=lowest,
            layers=kept,
            pooling=pooling,
            dim=encoder.dim * (2 if pooling == "mean+std" else 1),
            out=out,
            trials=study.seeds,
            seed=study.seed,
            curve=of_probe,
            decoders=_decoders(study, method),
            own=own,
            background=background,
        )
        some_fits = single(Fits(fits)) if of_probe else _within(fits) if method.as_is else fits
        mine = tuple(
            TunedCell(settings.name, encoder.identity, source, some, tuning)
            for source, some in cells.of_sources(some_fits).items()
        )
        found.append(TunedWork(encoder, tuning, mine))
    return found


def curve(probe: CtcProbe | FramesProbe) -> MethodSettings:
    """Write the probe of transcripts or segmentations as a method: a linear head on each hidden state."""
    head = HeadSettings()
    if isinstance(probe, FramesProbe):
        head = HeadSettings(context=probe.context, per_speaker=probe.per_speaker)
    return MethodSettings(name=probe.kind, head=head, training=probe.training)


def takes(encoder: "Encoder", method: MethodSettings) -> bool:
    """Say whether a method can be tried with an encoder: what has no known layers is only ever given a head."""
    from sibboleth.models.encoders.transformer import Transformer

    if method.as_is:
        return bool(encoder.labels)
    return not method.adapts or (isinstance(encoder, Transformer) and encoder.frames)


def _decoders(study: Study, method: MethodSettings) -> tuple[str, ...]:
    """Say among which ways to make segments of frames dev chooses; a model that is as it is has one."""
    if study.target.kind != "segmentation":
        return ()
    return ("argmax",) if method.as_is else study.target.decoders


def _own(study: Study, encoder: "Encoder") -> tuple[int, ...]:
    """Find the numbers of a model as it is that stand for the study's labels; raises `InvalidInput` for others."""
    asked = study.target
    wanted = timelines.outputs(asked.target(asked.labels, timelines.quiets(asked)))
    if sorted(wanted) != sorted(encoder.labels):
        raise InvalidInput(
            f"encoder {encoder.name!r} as it is answers {', '.join(encoder.labels)}; name just these as target.labels "
            f"and target.background (there: {', '.join(wanted) or 'none'}), or score its RTTM"
        )
    return tuple(encoder.labels.index(one) for one in wanted)


def _within(fits: Sequence[Fit]) -> Sequence[Fit]:
    """Keep the tests within a domain: what is never trained answers the same in every regime."""
    kept = [replace(fit, tests=tuple(test for test in fit.tests if test.regime == "within")) for fit in fits]
    return [fit for fit in kept if fit.tests and fit.then is None] or fits


def transformer(encoder: "Encoder") -> "Transformer":
    """Know that an encoder has layers that can be computed."""
    from sibboleth.models.encoders.transformer import Transformer

    assert isinstance(encoder, Transformer)  # `takes` has let no other through
    return encoder


def finished(cell: TunedCell, material: Material, directory: RunDirectory) -> bool:
    """Say whether the cell's files are there and can be read; they are written whole, after all its work."""
    path = directory / cell.file(material)
    try:
        pl.read_parquet_schema(path.with_suffix(".selection.parquet"))
        pl.read_parquet_schema(path.with_suffix(".learning.parquet"))
        json.loads(path.with_suffix(".facts.json").read_text(encoding="utf-8"))
        pl.read_parquet_schema(path)
    except (OSError, ValueError, pl.exceptions.PolarsError):
        return False
    return True


def epochs(cell: TunedCell) -> int:
    """Count the epochs that `solve` takes at most, and one for every answer."""
    from sibboleth.models.tuning.problems import problems

    count, tried = 0, len(cell.tuning.training.rates)
    for trial in range(cell.tuning.trials):
        for problem in problems(cell.fits, trial):
            count += cell.tuning.training.epochs * tried + sum(map(len, problem.single)) * cell.tuning.voices
            for _, stage, members in problem.stages:
                count += (cell.tuning.training.epochs if len(stage.dev) else 1) + len(members)
    return count


def solve(
    cell: TunedCell, work: TunedWork, given: "Inputs", material: Material, directory: RunDirectory
) -> Iterator[None]:
    """Train for every fit of the cell and write what was answered, what dev chose and how it went.

    Yields for every epoch, and those that were not needed. What was killed goes on inside the epoch.
    """
    from sibboleth.models.tuning.tuning import Solving

    path = directory / cell.file(material)
    total = epochs(cell)
    fits = cells.untrained(cells.without(cell.fits, cell.missing, cell.encoder), cell.short, cell.encoder)
    score = Score(material)
    cut = windows.of(material)
    parted = [cut.fit(fit) for fit in fits]
    solving = Solving(cell.tuning, work.encoder, given, parted, score, path.with_suffix(".parts"), score.better)
    answers = []
    for count, answer in enumerate(solving, 1):  # noqa: B007 - how many there were is asked below
        yield
        answers += [] if answer is None else [answer]
    yield from (None for _ in range(total - count))
    write_text(path.with_suffix(".facts.json"), json.dumps(solving.facts()) + "\n")
    told = pl.DataFrame(solving.log, schema=LOG, orient="row")
    known = (pl.lit(cell.encoder).alias("encoder"), pl.lit(cell.method).alias("method"))
    write_table(path.with_suffix(".learning.parquet"), told.select(*known, pl.all()))
    scores = [score(given.truth[_dev(parted[one.fit])], one.dev) for one in answers]
    written, selection = _written(answers, scores, replace(cell, fits=fits), material, cut)
    schema = cells.SELECTION | ({"decoder": pl.String} if material.target.kind == "segmentation" else {})
    write_table(path.with_suffix(".selection.parquet"), pl.DataFrame(selection, schema=schema, orient="row"))
    write_table(path, written.table())
    solving.remove()


LOG = {
    "source": pl.String,
    "then": pl.String,
    "shots": pl.Int32,
    "training": pl.String,
    "fold": pl.String,
    "trial": pl.Int32,
    "stage": pl.Int32,
    "layer": pl.Int32,
    "learning_rate": pl.Float64,
    "epoch": pl.Int32,
    "loss": pl.Float64,
    "dev_loss": pl.Float64,
    "dev": pl.Float64,
    "selected": pl.Boolean,
    "seconds": pl.Float64,
    "memory": pl.Int64,
}


def _written(
    answers: Sequence["Answer"], scores: Sequence[float], cell: TunedCell, material: Material, cut: Windows
) -> tuple[cells.Rows, list[tuple[object, ...]]]:
    """Collect what was answered and what dev chose: a method's one layer, or a curve's layers and the best of them.

    `scores` are those of dev, which chooses; what was answered window by window is put together.
    """
    chosen = cells.choose(answers, scores, material)
    written = cells.Rows(material)
    selection: list[tuple[object, ...]] = []
    for answer, dev in zip(answers, scores, strict=True):
        fit, best = cell.fits[answer.fit], answer.layer == chosen[answer.fit]
        names = ["selected"] if best else []
        names += [cells.rater(answer.layer)] if cell.tuning.curve else []
        runs = [cells.run_name(cell.encoder, cell.method, test, cell.source) for test in fit.tests]
        for run, test, output in zip(runs, fit.tests, answer.tests, strict=True):
            whole = cut.joined(test.rows, output)
            for name in names:
                written.add(run, name, answer.trial, answer.layer, fit.fold, test.rows, whole)
        chose = answer.trial, answer.layer, answer.choice, answer.learning_rate, answer.weight_decay
        how = (answer.decoder,) if answer.decoder else ()
        selection += [(run, names[-1], fit.fold, *chose, dev, best, *how) for run in sorted(set(runs))]
    return written, selection


def _dev(fit: Fit) -> TableRows:
    return fit.dev if fit.then is None or not len(fit.then.dev) else fit.then.dev
