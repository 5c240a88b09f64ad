"""Alignments in a study: the fits that each is tried on, and features and answers as it makes them.

All statistics are of audio: of every utterance of a domain, those that are tested included, and never of its labels.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import alignment as alignments
from sibboleth.errors import InvalidInput
from sibboleth.experiment.material import Material
from sibboleth.scores import Quartet
from sibboleth.splits import Fit

if TYPE_CHECKING:
    from sibboleth.models.probes import Answer, Features, Pooling

VERSION = 1
"""Raised when the numbers that an alignment makes change."""

Array = npt.NDArray[np.float64]
Change = Callable[[Array], Array]
"""Features `[row, dim]` of the material's table to aligned ones."""


def tried(alignment: str, fits: Sequence[Fit]) -> Iterator[tuple[Fit, ...]]:
    """Yield the fits of one source that an alignment is tried on, trained together.

    Those of zero-shot, and of within where the alignment makes other features of a domain alone. CORAL moves the source
    to each target in another way, so its fits are of one target.
    """
    regimes = ("zero-shot", "within") if alignments.changes_home(alignment) else ("zero-shot",)
    kept = [
        replace(fit, tests=tuple(test for test in fit.tests if test.regime in regimes)) for fit in fits if not fit.then
    ]
    if alignment != alignments.CORAL:
        yield from filter(None, [tuple(fit for fit in kept if fit.tests)])
        return
    for domain in sorted({test.domain for fit in kept for test in fit.tests}):
        single = [replace(fit, tests=tuple(test for test in fit.tests if test.domain == domain)) for fit in kept]
        yield tuple(fit for fit in single if fit.tests)


def require(material: Material) -> None:
    """Raise `InvalidInput` for a column that cannot be erased: absent, the same everywhere, or one with the target."""
    table, target = material.table, material.target
    for column in filter(None, map(alignments.erased, material.study.alignment)):
        if column not in table.columns:
            raise InvalidInput(f"alignment: no column {column!r} to erase; there are {', '.join(table.columns)}")
        known = table.filter(pl.col(column).is_not_null())
        if known[column].n_unique() < 2:
            raise InvalidInput(
                f"alignment: {column!r} is the same in all utterances, so that there is nothing to erase"
            )
        labels = known.group_by(column).agg(pl.col(target.name).n_unique())[target.name]
        if target.kind == "classification" and labels.max() == 1:
            raise InvalidInput(
                f"alignment: each value of {column!r} goes with one {target.name}, so that erasing it would take the "
                "target's labels; erase another column"
            )


def known(alignment: str, material: Material) -> str:
    """Return a digest of the columns that an alignment depends on beside the audio."""
    digest = hashlib.sha256(repr((VERSION, alignment)).encode())
    for name in filter(None, (material.study.domain, "speaker", alignments.erased(alignment))):
        digest.update(repr(material.table[name].to_list()).encode())
    return digest.hexdigest()


class Transformed:
    """Features of another place, changed; of the last layer that was asked for they are kept."""

    def __init__(self, features: "Features", change: Change) -> None:
        """Remember how to change them."""
        self.features, self.change = features, change
        self.layers = features.layers
        self._last: tuple[int, npt.NDArray[np.float32]] | None = None

    def matrix(self, layer: int, pooling: "Pooling") -> npt.NDArray[np.float32]:
        """Return one layer's statistics over time, `[utterance, dim]`."""
        if self._last is None or self._last[0] != layer:
            self._last = layer, self.change(self.features.matrix(layer, pooling).astype(np.float64)).astype(np.float32)
        return self._last[1]


def transformed(
    alignment: str, features: "Features", fits: Sequence[Fit], missing: Sequence[int], material: Material
) -> "Features":
    """Return features with one row per row of the material's table as an alignment makes them for some fits."""
    if alignment == alignments.LOGIT_ADJUSTMENT:
        return features
    return Transformed(features, _change(alignment, fits, missing, material))


def _change(alignment: str, fits: Sequence[Fit], missing: Sequence[int], material: Material) -> Change:
    from sibboleth.models import alignment as aligning

    there = np.setdiff1d(np.arange(material.table.height), missing)
    if alignment == alignments.CORAL:
        source = np.unique(np.concatenate([rows for fit in fits for rows in (fit.train, fit.dev)]))
        target = np.unique(np.concatenate([test.rows for fit in fits for test in fit.tests]))
        return lambda x: _put(x, source, aligning.coral(x[source], x[target]))
    if (column := alignments.erased(alignment)) is not None:
        rows = np.intersect1d(there, np.flatnonzero(material.table[column].is_not_null().to_numpy()))
        concept = aligning.one_hot(codes(material.table[rows], column))
        return lambda x: _put(x, there, aligning.Eraser.fit(x[rows], concept)(x[there]))
    domain = codes(material.table[there], material.study.domain)
    if alignment == alignments.Z_NORM:
        return lambda x: _put(x, there, aligning.z_normalised(x[there], domain))
    alone = material.table[there].with_columns(pl.coalesce("speaker", "utterance").alias("speaker"))
    speaker = codes(alone, material.study.domain, "speaker")
    return lambda x: _put(x, there, aligning.z_normalised(x[there], speaker, domain))


def _put(x: Array, rows: npt.NDArray[np.int64], values: Array) -> Array:
    made = x.copy()
    made[rows] = values
    return made


def codes(table: pl.DataFrame, *columns: str) -> npt.NDArray[np.int64]:
    """Number the different values of some columns `[row]`, from 0."""
    values = table.select(pl.struct(pl.col(name).cast(pl.String) for name in columns).rank("dense") - 1)
    return values.to_series().to_numpy().astype(np.int64)


def answered(alignment: str | None, answer: "Answer", fit: Fit, truth: Array) -> "Answer":
    """Return what a probe answers under an alignment, given its training's label weights `[row, label]`.

    Logit adjustment estimates the target's shares of labels from the answers to what is tested together, a fold.
    """
    if alignment != alignments.LOGIT_ADJUSTMENT:
        return answer
    from sibboleth.models import alignment as aligning

    prior = truth[fit.train].mean(axis=0)
    tests = [aligning.adjusted(one, prior, aligning.label_shares(one, prior)) for one in answer.tests]
    return replace(answer, tests=tuple(tests))


def quartets(runs: pl.DataFrame) -> list[Quartet]:
    """List, of the rows of cells.parquet, each aligned zero-shot run beside the plain one, and within of both."""
    key = ("encoder", "method", "regime", "source", "domain")
    known = {tuple(row[name] for name in key): row["run"] for row in runs.to_dicts()}
    made = []
    for row in (
        runs.filter((pl.col("regime") == "zero-shot") & pl.col("alignment").is_not_null()).sort("run").to_dicts()
    ):
        encoder, method, _, source, domain = (row[name] for name in key)
        plain = method.removesuffix(f"+{row['alignment']}")
        home = known.get((encoder, plain, "within", domain, domain))
        after = known.get((encoder, method, "within", domain, domain), home)
        made.append(Quartet(row["run"], known[encoder, plain, "zero-shot", source, domain], home, after))
    return made
