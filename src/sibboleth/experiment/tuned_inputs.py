"""What fine-tuning is given: inputs of every row, the rows that are left out, and those that cannot train."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.experiment import cells, tuned, windows
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedWork
from sibboleth.experiment.windows import Windows
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.encoders.transformer import Transformer
    from sibboleth.models.features import Features
    from sibboleth.models.tuning.inputs import FrameInputs, Inputs

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Given:
    """What the networks of one encoder and method are given."""

    inputs: "Inputs"
    excluded: pl.DataFrame
    """Utterances left out, or only tested: utterance, audio, reason."""
    missing: tuple[int, ...]
    """Rows that are left out."""
    short: tuple[int, ...] = ()
    """Rows with fewer frames than CTC needs for their text; they neither train nor select, and are tested."""


class Extract(Protocol):
    """Encodes what the cache has not, and returns the features of all, as `models.features.extract`."""

    def __call__(
        self, encoder: "Encoder", table: pl.DataFrame, scan: pl.DataFrame, cache: "Cache", frames: Sequence[int] = ()
    ) -> "Features":
        """Do so."""


def inputs(work: TunedWork, material: Material, cache: "Cache", extract: Extract | None = None) -> Given:
    """Read what the networks are given, encoding what is not in the cache, and find the rows that are left out.

    These are the rows that the encoder fails on and, where its layers are computed, those longer than a window; of
    segments such rows are given window by window (`windows`), behind those of the table.
    `extract` encodes elsewhere than in this process.
    """
    from sibboleth.models import features as encoded
    from sibboleth.models.encoding import Recording
    from sibboleth.models.tuning.inputs import AudioInputs, PooledInputs

    extract = extract or encoded.extract
    cut = windows.of(material)
    material = windows.behind(material, cut)
    tuning, table, scan, truth = work.tuning, material.table, material.scan, material.truth()
    seconds = scan["seconds"].fill_null(0.0).to_numpy()
    if not tuning.method.adapts and tuning.kind not in FRAMED:
        pooled = extract(work.encoder, table, scan, cache)
        aligned = cells.Aligned(pooled, table["utterance"].to_list())
        layers = range(tuning.lowest, tuning.layers + 1)
        matrices = [aligned.matrix(layer, tuning.pooling) for layer in layers]
        return Given(PooledInputs(matrices, truth, seconds), pooled.excluded, aligned.missing)
    long = _unusable(material, work.encoder, cut)
    rows = (*long["row"].to_list(), *cut.of)
    if tuning.hears_audio:
        columns = (scan["digest"], table["audio"], table["start"], table["end"], scan["seconds"])
        recordings = [Recording(*row) for row in zip(*columns, strict=True)]
        encoder = tuned.transformer(work.encoder)
        heard = AudioInputs(encoder, recordings, tuning.training.augmentation, truth, seconds)
        own = _own(encoder, seconds)
        return _sufficient(Given(heard, long.drop("row"), cut.lost(rows)), own, work, material)
    some = table.with_row_index("row").filter(~pl.col("row").is_in(rows)).drop("row")
    found, missing = _framed(work, material, some, cache, extract)
    left_out = pl.concat([found.features.excluded, long.drop("row")])
    return _sufficient(Given(found, left_out, cut.lost(missing)), found.own, work, material)


def _framed(
    work: TunedWork, material: Material, some: pl.DataFrame, cache: "Cache", extract: Extract
) -> tuple["FrameInputs", tuple[int, ...]]:
    """Read the frames of the lowest hidden state, or of all where an encoder's own layers are not known."""
    from sibboleth.models.encoders.transformer import Transformer
    from sibboleth.models.tuning.inputs import FrameInputs, StateInputs

    tuning, encoder, scan = work.tuning, work.encoder, material.scan
    seconds, truth = scan["seconds"].fill_null(0.0).to_numpy(), material.truth()
    utterances = material.table["utterance"].to_list()
    voices = material.table.select(pl.coalesce("speaker", "utterance").rank("dense") - 1).to_series()
    speakers = voices.cast(pl.Int64).to_numpy()
    if isinstance(encoder, Transformer) and (tuning.layered or tuning.method.adapts):
        found = extract(encoder.unshortened(), some, scan, cache, frames=(tuning.lowest,))
        aligned = cells.Aligned(found, utterances)
        own = _own(encoder, seconds)
        return FrameInputs(found, tuning.lowest, aligned.rows, own, truth, seconds, speakers), aligned.missing
    layers = tuple(range(tuning.lowest, tuning.layers + 1))
    found = extract(encoder, some, scan, cache, frames=layers)
    aligned = cells.Aligned(found, utterances)
    own = np.array([len(found.frames(row, layers[0])) if row >= 0 else 0 for row in aligned.rows.tolist()])
    if isinstance(encoder, Transformer):
        own = np.minimum(own, _own(encoder, seconds))
    return StateInputs(found, layers[-1], aligned.rows, own, truth, seconds, speakers), aligned.missing


def _own(encoder: "Transformer", seconds: Array) -> Counts:
    """Count the frames of each row that are its own, not of silence behind it."""
    from sibboleth.models.encoders import stack

    return np.array([stack.own_frames(encoder, round(one * encoder.rate)) for one in seconds], dtype=np.int64)


def _sufficient(given: Given, own: Counts, work: TunedWork, material: Material) -> Given:
    """Find the rows of a transcription that have too few frames for their text."""
    from sibboleth.models.tuning import ctc

    if work.tuning.kind != "transcription":
        return given
    needed = ctc.needed(given.inputs.truth)
    short = np.setdiff1d(np.flatnonzero(own < needed), given.missing)
    reasons = [
        f"{own[row]} frames of {work.encoder.name} for a text that needs {needed[row]}: tested, but not trained on"
        for row in short
    ]
    told = material.table.select("utterance", "audio")[short].with_columns(pl.Series("reason", reasons, pl.String))
    excluded = pl.concat([given.excluded, told])
    return replace(given, excluded=excluded, short=tuple(short.tolist()))


def _unusable(material: Material, encoder: "Encoder", cut: Windows) -> pl.DataFrame:
    """List rows longer than a window that are not cut, and windows without usable audio: `row, utterance, ...`."""
    from sibboleth.models.encoders import WINDOW

    reason = f"longer than {WINDOW:g} s, which {encoder.name} is not fine-tuned on; cut it into utterances (start, end)"
    long = (pl.col("seconds") > WINDOW) & ~pl.col("row").is_in(list(cut.of))
    return (
        material.table.select("utterance", "audio")
        .with_columns(material.scan["seconds", "status", "reason"])
        .with_row_index("row")
        .filter(long | (pl.col("status") != "ok"))
        .select("row", "utterance", "audio", pl.when(long).then(pl.lit(reason)).otherwise("reason").alias("reason"))
    )
