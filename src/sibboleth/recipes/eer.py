"""Verification: do utterances of one speaker lie closer together than those of two, layer by layer?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import audio, corpus
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.metrics import trials as verification
from sibboleth.metrics.trials import Codes, Trials
from sibboleth.progress import track
from sibboleth.settings import checked
from sibboleth.stats import Interval, Resampler
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    from sibboleth.models.features import Features

SCORINGS = ("centred", "raw")


@dataclass(frozen=True)
class EqualErrorRates:
    """How well cosines between utterances tell who is who, layer by layer."""

    encoder: str
    identity: str
    column: str
    rates: pl.DataFrame
    """`layer, scoring (centred, raw), eer, low, high`; shares from 0 to 1."""
    genuine: int
    """Trials of two utterances of the same."""
    impostor: int
    """Trials of two utterances of different ones."""
    utterances: int
    speakers: int
    notes: tuple[str, ...]
    excluded: pl.DataFrame
    """Utterance, audio, reason."""

    @property
    def best(self) -> tuple[int, float]:
        """The layer with the lowest equal error rate of centred embeddings (the lower of equals), and the rate."""
        rows = self.rates.filter(scoring="centred").sort("eer", "layer", nulls_last=True)
        return int(rows["layer"][0]), float(rows["eer"][0])

    def __rich__(self) -> RenderableType:
        """Show a line for each layer."""
        title = (
            f"equal error rate of {self.column} by cosine, {self.encoder}: {self.genuine:,} genuine and "
            f"{self.impostor:,} impostor trials of {self.utterances:,} utterances by {self.speakers:,} speakers"
        )
        table = Table()
        for heading in ("layer", "centred", "95 % interval", "raw", "95 % interval"):
            table.add_column(heading, justify="right", no_wrap=True)
        for (layer,), rows in self.rates.group_by("layer", maintain_order=True):
            cells = [cell for row in rows.to_dicts() for cell in _cells(row)]
            table.add_row(str(layer), *cells, style="bold" if layer == self.best[0] else "")
        left_out = self.excluded.head(20).to_dicts()
        notes = [*self.notes, *(f"left out: {row['utterance']}: {row['reason']}" for row in left_out)]
        if len(self.excluded) > 20:
            notes.append(f"... and {len(self.excluded) - 20} more were left out")
        return Group(Text(title), table, Text("\n".join([*notes, EXPLANATION]), style="dim"))


EXPLANATION = (
    "centred: the mean embedding of these utterances is taken off first (bold: the lowest layer); raw: as the encoder "
    "gives it. 50 % is chance. Intervals resample speakers."
)


def _cells(row: dict[str, float]) -> tuple[str, str]:
    known = np.isfinite(row["low"])
    return f"{row['eer']:.2%}", f"{row['low']:.2%} to {row['high']:.2%}" if known else "none"


def eer(
    encoder: str,
    manifest: Path,
    *,
    column: str = "speaker",
    trials: int = 20_000_000,
    columns: dict[str, str] | None = None,
    seed: int = 0,
    precision: Literal["float32", "bfloat16", "auto"] = "float32",
    folder: Path | None = None,
) -> EqualErrorRates:
    """Verify by cosine: the equal error rate of all pairs of utterances, for every layer, without any training.

    Args:
        encoder: As in `sibboleth encode`; an utterance encoder has one layer.
        manifest: CSV, TSV, JSONL or Parquet file.
        column: What is verified. Of anything but `speaker`, only pairs of different speakers are trials.
        trials: Pairs at most; with more, utterances are drawn, as many of each speaker.
        columns: Our column name to the manifest's, where they differ.
        seed: Seed of draws, and of the random weights of an untrained encoder.
        precision: Of a transformer's arithmetic.
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.

    Returns:
        The rates with intervals that resample speakers. Raises `InvalidInput` for a manifest without trials of both
        kinds and `SibbolethError` for an encoder that cannot be used.
    """
    if trials < 10:
        raise SibbolethError(f"trials is {trials}: give 10 or more")
    from sibboleth.models import features
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import load

    chosen = load(checked(EncoderSettings, name=encoder, seed=seed, precision=precision))
    table = corpus.read(manifest, columns=columns).table
    asked = _known(table, manifest, column)
    cache = Cache(folder)
    cache.require_folder()
    found = features.extract(chosen, asked, audio.scan(asked, store=cache.scans), cache)
    rows, paired, notes = _trials(found, asked, column, trials, seed)
    genuine, impostor = paired.counts
    if not genuine or not impostor:
        raise InvalidInput(_none(manifest, column, genuine, paired))
    if missing := len(table) - len(asked):
        notes = (f"{missing} utterances whose {column} is unknown were not used", *notes)
    return EqualErrorRates(
        encoder=chosen.name,
        identity=chosen.identity,
        column=column,
        rates=_rates(found, rows, paired, Resampler(seed=seed)),
        genuine=genuine,
        impostor=impostor,
        utterances=len(rows),
        speakers=paired.speakers,
        notes=(*chosen.notes, *notes),
        excluded=found.excluded,
    )


def _known(table: pl.DataFrame, manifest: Path, column: str) -> pl.DataFrame:
    """Keep the rows that say what is verified."""
    if column not in table.columns:
        raise InvalidInput(f"{manifest}: no column {column!r} to verify; there are {', '.join(table.columns)}")
    known = table.filter(pl.col(column).is_not_null())
    different = known[column].n_unique()
    if different < 2:
        raise InvalidInput(
            f"{manifest}: {different} different values of {column!r}; verification needs two at least, to tell apart"
        )
    return known


def _trials(
    found: "Features", table: pl.DataFrame, column: str, most: int, seed: int
) -> tuple[Codes, Trials, tuple[str, ...]]:
    """Choose rows of the features, in an order that names have no part in, and what they are trials of."""
    rows = pl.DataFrame(
        {"utterance": found.utterances, "digest": [one.digest for one in found.recordings]}
    ).with_row_index("row")
    rows = rows.join(table.select("utterance", "speaker", identity=pl.col(column).cast(pl.String)), on="utterance")
    single = rows.unique(["digest", "speaker", "identity"], keep="first")
    single = single.with_columns(first=pl.col("digest").min().over("speaker")).sort("first", "speaker", "digest", "row")
    speaker, identity = (_codes(single[name].to_list()) for name in ("speaker", "identity"))
    kept = verification.drawn(speaker, most, seed)
    notes = []
    if len(single) < len(rows):
        notes.append(f"{len(rows) - len(single)} utterances with the same audio as another were not used")
    if len(kept) < len(single):
        notes.append(f"{len(kept):,} of {len(single):,} utterances were drawn, to keep to {most:,} trials")
    speaker = _codes(speaker[kept].tolist())
    alone = int((np.bincount(speaker) == 1).sum())
    if alone and column == "speaker":
        notes.append(f"{alone} speakers have one utterance, and so no genuine trials")
    chosen = Trials(speaker, None if column == "speaker" else identity[kept])
    return single["row"].to_numpy().astype(np.int64)[kept], chosen, tuple(notes)


def _codes(names: Sequence[object]) -> Codes:
    """Number names in the order in which they come."""
    places: dict[object, int] = {}
    return np.array([places.setdefault(name, len(places)) for name in names], dtype=np.int64)


def _none(manifest: Path, column: str, genuine: int, paired: Trials) -> str:
    if column == "speaker" and paired.speakers > 1:
        return f"{manifest}: no speaker has two different utterances that can be used; verification compares such pairs"
    if paired.speakers < 2:
        return f"{manifest}: one speaker only has utterances that can be used; verification needs two at least"
    kind = "the same" if not genuine else "different"
    return f"{manifest}: no two speakers have {kind} {column!r}; verification compares utterances of different speakers"


def _rates(found: "Features", rows: Codes, paired: Trials, resampler: Resampler) -> pl.DataFrame:
    written = []
    for layer in track(range(found.layers), f"Scoring pairs, {found.encoder}", found.layers, "layers"):
        embeddings = found.matrix(layer)[rows]
        centred = embeddings - embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
        for scoring, some in zip(SCORINGS, (centred, embeddings), strict=True):
            rate: Interval = verification.equal_error_rate(some, paired, resampler)
            written.append((layer, scoring, rate.estimate, rate.low, rate.high))
    schema = {"layer": pl.Int64, "scoring": pl.String, "eer": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(written, schema=schema, orient="row")
