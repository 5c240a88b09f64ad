"""Which speech without labels there is: parts of recordings of a bounded length."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import audio, corpus, storage
from sibboleth.errors import InvalidInput
from sibboleth.pretraining import Pretraining, SpeechSettings

LONGEST = 30.0
"""Seconds of a piece; a longer utterance is several."""

_SCHEMA = {
    "piece": pl.String,
    "audio": pl.String,
    "start": pl.Float64,
    "seconds": pl.Float64,
    "language": pl.String,
    "digest": pl.String,
}


@dataclass(frozen=True)
class Pieces:
    """Parts of utterances of at most `LONGEST` seconds, in a fixed order."""

    table: pl.DataFrame
    """`piece, audio, start, seconds, language, digest` (of the samples of the utterance)."""
    left_out: pl.DataFrame
    """`utterance, audio, reason`."""

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Return the length of each."""
        return self.table["seconds"].to_numpy()

    @property
    def hours(self) -> float:
        """Return the length of all."""
        return float(self.table["seconds"].sum()) / 3600

    @property
    def digest(self) -> str:
        """Hash which they are and what is heard in them; where their files lie does not matter."""
        hashed = hashlib.sha256()
        for row in self.table.select("piece", "start", "seconds", "digest").iter_rows():
            hashed.update(repr(row).encode())
        return hashed.hexdigest()


def gather(settings: Pretraining) -> Pieces:
    """Read the manifests and scan their audio; raises `InvalidInput` where no speech is left."""
    found = [_of_corpus(one, settings) for one in settings.corpora]
    table, left_out = (pl.concat([part[index] for part in found]) for index in (0, 1))
    if table.is_empty():
        told = "; ".join(f"{row['utterance']}: {row['reason']}" for row in left_out.head(5).to_dicts())
        raise InvalidInput(f"no speech is left to pre-train on. {told}")
    return Pieces(table, left_out)


def _of_corpus(wanted: SpeechSettings, settings: Pretraining) -> tuple[pl.DataFrame, pl.DataFrame]:
    read = corpus.read(wanted.manifest, name=wanted.name, columns=wanted.columns, language=wanted.language)
    rows = read.table
    for column, values in wanted.keep.items():
        if column not in rows.columns:
            raise InvalidInput(f"{wanted.manifest}: no column {column!r}, asked for by keep")
        rows = rows.filter(pl.col(column).cast(pl.String).is_in(list(values)))
    scan = audio.scan(rows, store=storage.scans())
    short = pl.col("seconds") < settings.batches.shortest
    judged = rows.select("utterance", "audio", "start", "language").with_columns(
        scan.select("seconds", "digest", pl.coalesce("reason", pl.when(short).then(pl.lit(_short(settings)))))
    )
    usable = judged.filter(pl.col("reason").is_null()).select("utterance", "audio", "start", "seconds")
    heard = judged.filter(pl.col("reason").is_null()).select("language", "digest")
    kept = [
        (*part, *about)
        for (utterance, path, start, seconds), about in zip(usable.iter_rows(), heard.iter_rows(), strict=True)
        for part in _cut(f"{wanted.name}/{utterance}", path, start or 0.0, seconds)
    ]
    left_out = judged.filter(pl.col("reason").is_not_null()).select("utterance", "audio", "reason")
    return _drawn(pl.DataFrame(kept, schema=_SCHEMA, orient="row"), wanted, settings.seed), left_out


def _short(settings: Pretraining) -> str:
    return f"shorter than batches.shortest, {settings.batches.shortest:g} s"


def _cut(name: str, path: str, begin: float, seconds: float) -> Iterator[tuple[str, str, float, float]]:
    """Cut into equal parts of at most `LONGEST`."""
    count = max(1, int(np.ceil(seconds / LONGEST)))
    size = seconds / count
    for part in range(count):
        yield f"{name}#{part}" if count > 1 else name, path, begin + part * size, size


def _drawn(table: pl.DataFrame, wanted: SpeechSettings, seed: int) -> pl.DataFrame:
    """Draw so many hours: pieces in the order of a hash of their names, so that less is always a part of more."""
    if wanted.hours is None or table.is_empty():
        return table
    if table["seconds"].sum() < 3600 * wanted.hours:
        raise InvalidInput(
            f"{wanted.manifest}: has {table['seconds'].sum() / 3600:.2f} hours that can be used, not the "
            f"{wanted.hours:g} asked for; give fewer, or leave `hours` out for all"
        )
    order = [hashlib.sha256(f"{seed}/{name}".encode()).hexdigest() for name in table["piece"]]
    ranked = table.with_columns(place=pl.int_range(pl.len()), order=pl.Series(order)).sort("order")
    before = pl.col("seconds").cum_sum() - pl.col("seconds")
    return ranked.filter(before < 3600 * wanted.hours).sort("place").drop("place", "order")
