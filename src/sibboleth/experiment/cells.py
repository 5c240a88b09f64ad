"""Cells: all fits of one encoder and one source domain, trained together, written together, never done twice."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import metrics, predictions
from sibboleth.errors import SibbolethError
from sibboleth.experiment import aligning, parts, timelines
from sibboleth.experiment.material import Material
from sibboleth.metrics import classification, regression, transcription
from sibboleth.runs import RunDirectory, write_table
from sibboleth.splits import Fit, Test
from sibboleth.splits import Rows as TableRows

if TYPE_CHECKING:
    from sibboleth.models.features import Features as Encoded
    from sibboleth.models.probes import Answer, Features, Pooling, Probing

VERSION = 3
"""Raised when the numbers that a cell produces change."""

Array = npt.NDArray[np.float64]


def rater(layer: int | None) -> str:
    """Name the rater of one layer, or of the mix of all."""
    return "mix" if layer is None else f"layer-{layer:02d}"


def run_name(encoder: str, method: str, test: Test, source: str) -> str:
    """Name what answered: ENCODER/METHOD/REGIME/SOURCE>DOMAIN."""
    return f"{encoder}/{method}/{test.regime}/{source}>{test.domain}"


@dataclass(frozen=True)
class Cell:
    """One encoder and one source domain, with all their fits."""

    encoder: str
    """Its name in the study."""
    identity: str
    """Its content hash."""
    source: str
    fits: tuple[Fit, ...]
    """Rows index the material's table."""
    probing: "Probing"
    missing: tuple[int, ...] = ()
    """Rows that the encoder could not encode."""
    alignment: str | None = None
    """How domains are aligned; none for the plain probe."""

    @property
    def method(self) -> str:
        """Kind of the probe, and its alignment."""
        kind = self.probing.probe.kind
        return kind if self.alignment is None else f"{kind}+{self.alignment}"

    def file(self, material: Material) -> str:
        """Name its file; the name changes with everything that changes a number in it."""
        settings: tuple[object, ...] = (self.identity, self.probing)
        title = f"{self.encoder}--{self.source}"
        if self.alignment is not None:
            settings = (*settings, aligning.known(self.alignment, material))
            title = f"{self.encoder}--{self.alignment}--{self.source}"
        return file_name(title, settings, self.fits, self.missing, material)


def file_name(title: str, settings: object, fits: Sequence[Fit], missing: Sequence[int], material: Material) -> str:
    """Name a cell's file; the name changes with the settings and with all of the material that it depends on."""
    digest = hashlib.sha256()
    digest.update(repr((VERSION, settings, material.target, material.study.domain)).encode())
    digest.update("\n".join(material.table["utterance"]).encode())
    digest.update("\n".join(material.scan["digest"]).encode())
    digest.update(np.ascontiguousarray(material.truth()).tobytes())
    digest.update(repr(missing).encode() if missing else b"")
    for fit in fits:
        digest.update(repr((fit.source, fit.fold, [(t.regime, t.domain) for t in fit.tests])).encode())
        then = () if fit.then is None else (fit.then.train, fit.then.dev)
        if fit.then is not None:
            digest.update(repr((fit.then.domain, fit.then.shots, fit.then.draw)).encode())
        for rows in (fit.train, fit.dev, *then, *(test.rows for test in fit.tests)):
            digest.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes() + b"|")
    words = re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-")
    return f"cells/{words[-80:]}-{digest.hexdigest()[:12]}.parquet"


def finished(cell: Cell, material: Material, directory: RunDirectory) -> bool:
    """Say whether the cell's files are there and can be read; they are written whole, after all its work.

    Of a finished cell no parts are left, even if it was killed when it was about to remove them.
    """
    path = directory / cell.file(material)
    try:
        pl.read_parquet_schema(path.with_suffix(".selection.parquet"))
        pl.read_parquet_schema(path)
    except (OSError, pl.exceptions.PolarsError):
        return False
    parts.remove(path)
    return True


def steps(cell: Cell, layers: int) -> int:
    """Count the answers that `solve` waits for: one per fit, layer and trial."""
    trials = 1 if cell.probing.probe.kind == "linear" else cell.probing.trials
    mixes = cell.probing.trials if cell.probing.layer_mix and layers > 1 else 0
    return len(cell.fits) * (layers * trials + mixes)


def solve(cell: Cell, aligned: "Aligned", material: Material, directory: RunDirectory) -> Iterator[None]:
    """Train every probe of the cell and write what they answered, and what dev chose; yields at each answer.

    What was killed goes on: the answers of each unit of layers are kept as they come, until the cell is written.
    """
    path = directory / cell.file(material)
    truth = material.truth()
    cell = replace(cell, fits=without(cell.fits, cell.missing, cell.encoder))
    features: Features = aligned
    if cell.alignment is not None:
        features = aligning.transformed(cell.alignment, aligned, cell.fits, cell.missing, material)
    answers: list[Answer] = []
    for unit in cell.probing.units(features, truth.shape[1], cell.fits):
        kept = parts.read(parts.place(path, unit))
        if kept is None:
            kept = []
            for answer in cell.probing.answers_of(unit, features, truth, cell.fits):
                kept.append(answer)
                yield
            parts.write(parts.place(path, unit), kept)
        else:
            yield from (None for _ in kept)
        answers += [aligning.answered(cell.alignment, answer, cell.fits[answer.fit], truth) for answer in kept]
    scores = [_dev_score(answer, cell.fits[answer.fit], truth, material) for answer in answers]
    chosen = choose(answers, scores, material)
    written = Rows(material)
    selection = []
    for answer, score in zip(answers, scores, strict=True):
        fit = cell.fits[answer.fit]
        best = answer.layer is not None and answer.layer == chosen[answer.fit]
        for test, output in zip(fit.tests, answer.tests, strict=True):
            run = run_name(cell.encoder, cell.method, test, cell.source)
            for name in (rater(answer.layer), "selected") if best else (rater(answer.layer),):
                written.add(run, name, answer.trial, answer.layer, fit.fold, test.rows, output)
        selection += _selection(cell, answer, best, score)
    write_table(path.with_suffix(".selection.parquet"), pl.DataFrame(selection, schema=SELECTION, orient="row"))
    write_table(path, written.table())
    parts.remove(path)


SELECTION = {
    "run": pl.String,
    "rater": pl.String,
    "fold": pl.String,
    "trial": pl.Int32,
    "layer": pl.Int32,
    "choice": pl.Float64,
    "learning_rate": pl.Float64,
    "weight_decay": pl.Float64,
    "dev": pl.Float64,
    "selected": pl.Boolean,
}


def _selection(cell: Cell, answer: "Answer", best: bool, score: float) -> list[tuple[object, ...]]:
    fit = cell.fits[answer.fit]
    names = {run_name(cell.encoder, cell.method, test, cell.source) for test in fit.tests}
    chosen = answer.choice, answer.learning_rate, answer.weight_decay
    row = (rater(answer.layer), fit.fold, answer.trial, answer.layer, *chosen, score, best)
    return [(name, *row) for name in sorted(names)]


def choose(answers: Sequence["Answer"], scores: Sequence[float], material: Material) -> dict[int, int]:
    """Return each fit's layer with the best mean dev score over trials; ties go to the lower layer."""
    every: dict[int, dict[int, list[float]]] = {}
    for answer, score in zip(answers, scores, strict=True):
        if answer.layer is not None:
            every.setdefault(answer.fit, {}).setdefault(answer.layer, []).append(score)
    sign = 1 if metrics.of(material.target)[0].higher_is_better else -1
    chosen = {}
    for fit, layers in every.items():
        means = {layer: float(np.nan_to_num(sign * np.mean(values), nan=-np.inf)) for layer, values in layers.items()}
        chosen[fit] = max(sorted(means), key=means.__getitem__)
    return chosen


def _dev_score(answer: "Answer", fit: Fit, truth: Array, material: Material) -> float:
    return Score(material)(truth[fit.dev], answer.dev)


class Score:
    """The target's main metric of answers `[row, out]`, of tokens `[row, token]` or of timelines `[row, number]`."""

    def __init__(self, material: Material) -> None:
        """Know the target."""
        self.target, self.alphabet = material.target, material.alphabet
        self.metric = metrics.of(material.target)[0]

    @property
    def better(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.metric.higher_is_better else -1

    def __call__(self, truth: Array, answers: Array) -> float:
        """Score them."""
        if self.target.kind == "segmentation":
            return self.metric(timelines.Compared(self.target)(truth, answers))
        if self.alphabet is not None:
            return self.metric(transcription.Answers(self.alphabet.texts(truth), self.alphabet.texts(answers)))
        if self.target.kind == "classification":
            return self.metric(classification.Answers(self.target.labels, truth, answers))
        return self.metric(regression.Answers.centred(truth[:, 0], answers[:, 0]))


class Rows:
    """Prediction rows of one cell, collected as columns."""

    def __init__(self, material: Material) -> None:
        """Begin with none."""
        self.target, self.alphabet = material.target, material.alphabet
        self.utterances = material.table["utterance"]
        self.frames: list[pl.DataFrame] = []

    def add(
        self, run: str, rater: str, trial: int, layer: int | None, fold: str, rows: TableRows, output: Array
    ) -> None:
        """Add one row per utterance, which are rows of the material's table, and label (or number, or transcript).

        Of a segmentation it is one per segment, and one without label that says how long the utterance is.
        """
        if self.target.kind == "segmentation":
            frame = timelines.answered(self.utterances.gather(rows), output, self.target)
            self._named(frame.with_columns(value=pl.lit(1.0)), run, rater, trial, layer, fold)
            return
        labels: Sequence[str | None] = self.target.labels or (None,)
        count, width = output.shape
        if self.alphabet is not None:
            labels, width, output = self.alphabet.texts(output), 1, np.ones(count)
        each = np.arange(count) if self.alphabet is not None else np.tile(np.arange(width), count)
        frame = pl.DataFrame(
            {
                "utterance": self.utterances.gather(np.repeat(rows, width)),
                "label": pl.Series(labels, dtype=pl.String).gather(each),
                "value": output.ravel(),
            }
        ).with_columns(start=pl.lit(None, pl.Float64), end=pl.lit(None, pl.Float64))
        self._named(frame, run, rater, trial, layer, fold)

    def _named(self, frame: pl.DataFrame, run: str, rater: str, trial: int, layer: int | None, fold: str) -> None:
        self.frames.append(
            frame.with_columns(
                run=pl.lit(run),
                source=pl.lit("model"),
                rater=pl.lit(rater),
                target=pl.lit(self.target.name),
                trial=pl.lit(trial),
                layer=pl.lit(layer, pl.Int32),
                fold=pl.lit(fold),
            )
        )

    def table(self) -> pl.DataFrame:
        """Return the rows in the order of the key."""
        schema = {name: kind for name, kind in predictions.SCHEMA.items()}
        return (
            pl.concat(self.frames)
            .select(*(pl.col(name).cast(kind) for name, kind in schema.items()), "fold")
            .sort(predictions.KEY)
        )


def of_sources(fits: Sequence[Fit]) -> dict[str, tuple[Fit, ...]]:
    """Group fits by the domain that trains, in the order they come."""
    sources: dict[str, list[Fit]] = {}
    for fit in fits:
        sources.setdefault(fit.source, []).append(fit)
    return {source: tuple(some) for source, some in sources.items()}


class Aligned:
    """Features with one row per row of the material's table; rows that could not be encoded are zero."""

    def __init__(self, features: "Encoded", utterances: Sequence[str]) -> None:
        """Find the rows."""
        self.features = features
        self.layers = features.layers
        there = {utterance: row for row, utterance in enumerate(features.utterances)}
        self.rows = np.array([there.get(utterance, -1) for utterance in utterances])
        self.whole = tuple(utterances) == features.utterances

    def matrix(self, layer: int, pooling: "Pooling") -> npt.NDArray[np.float32]:
        """Return one layer's statistics over time, `[utterance, dim]`."""
        matrix: npt.NDArray[np.float32] = self.features.matrix(layer, pooling)
        if self.whole:
            return matrix
        matrix = matrix[self.rows]
        matrix[self.rows < 0] = 0
        return matrix

    @property
    def missing(self) -> tuple[int, ...]:
        """Rows that could not be encoded."""
        return tuple(np.flatnonzero(self.rows < 0).tolist())


def without(fits: Sequence[Fit], missing: Sequence[int], encoder: str) -> tuple[Fit, ...]:
    """Take rows that could not be encoded out of all fits; what has nothing left to answer is left out.

    Raises `SibbolethError` where a fit has nothing left to learn from, or no fit is left.
    """
    if not missing:
        return tuple(fits)
    kept = []
    for fit in fits:
        tests = tuple(one for test in fit.tests if len((one := replace(test, rows=_left(test.rows, missing))).rows))
        if tests:
            kept.append(replace(_learning(fit, missing, encoder), tests=tests))
    if not kept:
        raise SibbolethError(
            f"encoder {encoder!r} fails on everything that {fits[0].source} is tested on; see the reasons in run.json "
            "under excluded"
        )
    return tuple(kept)


def untrained(fits: Sequence[Fit], rows: Sequence[int], encoder: str) -> tuple[Fit, ...]:
    """Take rows out of what trains and selects, and leave them in tests; raises `SibbolethError` as `without` does."""
    return tuple(_learning(fit, rows, encoder) for fit in fits) if len(rows) else tuple(fits)


def _learning(fit: Fit, missing: Sequence[int], encoder: str) -> Fit:
    """Take rows out of what a fit trains on and selects with."""
    then = fit.then and replace(fit.then, train=_left(fit.then.train, missing), dev=_left(fit.then.dev, missing))
    less = replace(fit, train=_left(fit.train, missing), dev=_left(fit.dev, missing), then=then)
    if not len(less.train) or not len(less.dev):
        raise SibbolethError(
            f"encoder {encoder!r} fails on so many utterances that {fit.source} {fit.fold} has nothing left to "
            "train on or to select with; see the reasons in run.json under excluded"
        )
    return less


def _left(rows: TableRows, missing: Sequence[int]) -> TableRows:
    return rows[~np.isin(rows, missing)]
