"""Fine-tuned cells: all fits of one encoder, one method and one source domain, trained one after another."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import metrics
from sibboleth.errors import SibbolethError
from sibboleth.experiment import cells
from sibboleth.experiment.material import Material
from sibboleth.methods import MethodSettings
from sibboleth.metrics import classification, regression
from sibboleth.runs import RunDirectory, write_table, write_text
from sibboleth.splits import Fit
from sibboleth.study import EncoderSettings, Study

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
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
    alignment: None = None
    """Domains are aligned for probes only."""

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.tuning.method.name

    def file(self, material: Material) -> str:
        """Name its file; the name changes with everything that changes a number in it."""
        settings = (self.identity, self.tuning)
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
    def name(self) -> str:
        """Encoder and method."""
        return f"{self.encoder.name} + {self.tuning.method.name}"


def works(
    study: Study, settings: EncoderSettings, encoder: "Encoder", fits: Sequence[Fit], out: int
) -> list[TunedWork]:
    """List an encoder's cells, method by method, for the methods that it can be trained with.

    Raises `InvalidInput` for a method that asks for layers or modules that the encoder does not have.
    """
    from sibboleth.models.adapters import counts, reach
    from sibboleth.models.tuning.tuning import Tuning

    found = []
    named = {one.name: one for one in study.methods}
    for method in study.methods:
        if not takes(encoder, method):
            continue
        if method.match_parameters is not None:
            method = counts.matched(method, named[method.match_parameters], _transformer(encoder))
        lowest, kept = reach(method, encoder)
        if method.adapts:
            counts.counted(method, _transformer(encoder))  # so that what it has no module for is said before any work
        pooling = "mean" if method.adapts else settings.pooling or encoder.default_pooling
        tuning = Tuning(
            kind=study.target.kind,
            method=method,
            training=method.training or study.training,
            lowest=lowest,
            layers=kept,
            pooling=pooling,
            dim=encoder.dim * (2 if pooling == "mean+std" else 1),
            out=out,
            trials=study.seeds,
            seed=study.seed,
        )
        mine = tuple(
            TunedCell(settings.name, encoder.identity, source, some, tuning)
            for source, some in cells.of_sources(fits).items()
        )
        found.append(TunedWork(encoder, tuning, mine))
    return found


def takes(encoder: "Encoder", method: MethodSettings) -> bool:
    """Say whether a method can be tried with an encoder: what has no known layers is only ever given a head."""
    from sibboleth.models.encoders.transformer import Transformer

    return not method.adapts or (isinstance(encoder, Transformer) and encoder.frames)


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

    count = 0
    for trial in range(cell.tuning.trials):
        for problem in problems(cell.fits, trial):
            count += cell.tuning.training.epochs + sum(map(len, problem.single))
            for _, stage, members in problem.stages:
                count += (cell.tuning.training.epochs if len(stage.dev) else 1) + len(members)
    return count


def inputs(work: TunedWork, material: Material, cache: "Cache") -> tuple["Inputs", pl.DataFrame, tuple[int, ...]]:
    """Read what the networks are given, encoding what is not in the cache; returns also which rows are left out.

    These are the rows that the encoder fails on and, where it is trained itself, those longer than a window.
    """
    from sibboleth.models import features as encoded
    from sibboleth.models.encoders import stack
    from sibboleth.models.encoding import Recording
    from sibboleth.models.tuning.inputs import AudioInputs, FrameInputs, PooledInputs

    tuning, table, scan, truth = work.tuning, material.table, material.scan, material.truth()
    seconds = scan["seconds"].fill_null(0.0).to_numpy()
    if not tuning.method.adapts:
        pooled = encoded.extract(work.encoder, table, scan, cache)
        aligned = cells.Aligned(pooled, table["utterance"].to_list())
        layers = range(tuning.lowest, tuning.layers + 1)
        matrices = [aligned.matrix(layer, tuning.pooling) for layer in layers]
        return PooledInputs(matrices, truth, seconds), pooled.excluded, aligned.missing
    encoder, lowest = _transformer(work.encoder), tuning.lowest
    long = _too_long(material, encoder)
    rows = tuple(long["row"].to_list())
    if tuning.hears_audio:
        columns = (scan["digest"], table["audio"], table["start"], table["end"], scan["seconds"])
        recordings = [Recording(*row) for row in zip(*columns, strict=True)]
        heard = AudioInputs(encoder, recordings, tuning.training.augmentation, truth, seconds)
        return heard, long.drop("row"), rows
    some = table.with_row_index("row").filter(~pl.col("row").is_in(rows)).drop("row")
    framed = encoded.extract(encoder.unshortened(), some, scan, cache, frames=(lowest,))
    aligned = cells.Aligned(framed, table["utterance"].to_list())
    own = np.array([stack.own_frames(encoder, round(one * encoder.rate)) for one in seconds], dtype=np.int64)
    left_out = pl.concat([framed.excluded, long.drop("row")])
    return FrameInputs(framed, lowest, aligned.rows, own, truth, seconds), left_out, aligned.missing


def _too_long(material: Material, encoder: "Transformer") -> pl.DataFrame:
    """List the rows whose audio does not fit into a window: `row, utterance, audio, reason`."""
    from sibboleth.models.encoders import WINDOW

    reason = f"longer than {WINDOW:g} s, which {encoder.name} is not fine-tuned on; cut it into utterances (start, end)"
    return (
        material.table.select("utterance", "audio")
        .with_columns(material.scan["seconds"], pl.lit(reason).alias("reason"))
        .with_row_index("row")
        .filter(pl.col("seconds") > WINDOW)
        .drop("seconds")
    )


def _transformer(encoder: "Encoder") -> "Transformer":
    from sibboleth.models.encoders.transformer import Transformer

    assert isinstance(encoder, Transformer)  # `takes` has let no other through
    return encoder


def solve(
    cell: TunedCell, work: TunedWork, given: "Inputs", material: Material, directory: RunDirectory
) -> Iterator[None]:
    """Train for every fit of the cell and write what was answered, what dev chose and how it went.

    Yields for every epoch, and those that were not needed. What was killed goes on inside the epoch.
    """
    from sibboleth.models.tuning.tuning import Solving

    path = directory / cell.file(material)
    count, total = 0, epochs(cell)
    cell = replace(cell, fits=cells.without(cell.fits, cell.missing, cell.encoder))
    score = _score(material)
    solving = Solving(cell.tuning, work.encoder, given, cell.fits, score, path.with_suffix(".parts"))
    written = cells.Rows(material)
    selection: list[tuple[object, ...]] = []
    for answer in solving:
        count += 1
        yield
        if answer is not None:
            _write(answer, cell, written, selection, given.truth, score)
    yield from (None for _ in range(total - count))
    write_text(path.with_suffix(".facts.json"), json.dumps(solving.facts()) + "\n")
    told = pl.DataFrame(solving.log, schema=LOG, orient="row")
    known = (pl.lit(cell.encoder).alias("encoder"), pl.lit(cell.method).alias("method"))
    write_table(path.with_suffix(".learning.parquet"), told.select(*known, pl.all()))
    write_table(path.with_suffix(".selection.parquet"), pl.DataFrame(selection, schema=cells.SELECTION, orient="row"))
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
    "epoch": pl.Int32,
    "loss": pl.Float64,
    "dev_loss": pl.Float64,
    "dev": pl.Float64,
    "selected": pl.Boolean,
    "seconds": pl.Float64,
    "memory": pl.Int64,
}


def _write(
    answer: "Answer",
    cell: TunedCell,
    written: cells.Rows,
    selection: list[tuple[object, ...]],
    truth: Array,
    score: "Score",
) -> None:
    fit = cell.fits[answer.fit]
    runs = [cells.run_name(cell.encoder, cell.method, test, cell.source) for test in fit.tests]
    for run, test, output in zip(runs, fit.tests, answer.tests, strict=True):
        written.add(run, "selected", answer.trial, answer.layer, fit.fold, test.rows, output)
    dev = fit.dev if fit.then is None or not len(fit.then.dev) else fit.then.dev
    row = ("selected", fit.fold, answer.trial, answer.layer, answer.choice, answer.learning_rate, answer.weight_decay)
    selection += [(run, *row, score(truth[dev], answer.dev), True) for run in sorted(set(runs))]


class Score:
    """The target's main metric of answers `[row, out]`, turned so that higher is better where `turned`."""

    def __init__(self, material: Material) -> None:
        """Know the target."""
        self.target = material.target
        self.metric = metrics.of(material.target)[0]

    def __call__(self, truth: Array, answers: Array) -> float:
        """Score them."""
        if self.target.kind == "classification":
            return self.metric(classification.Answers(self.target.labels, truth, answers))
        return self.metric(regression.Answers.centred(truth[:, 0], answers[:, 0]))


def _score(material: Material) -> Score:
    if not metrics.of(material.target)[0].higher_is_better:
        raise SibbolethError(f"methods: {metrics.of(material.target)[0].name} cannot select yet")
    return Score(material)
