"""Which speech without labels there is: parts of recordings of a bounded length."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import soundfile

from sibboleth import corpus
from sibboleth.errors import InvalidInput
from sibboleth.pretraining import Pretraining, SpeechSettings
from sibboleth.progress import track

LONGEST = 30.0
"""Seconds of a piece; a longer utterance is several."""

_SCHEMA = {"piece": pl.String, "audio": pl.String, "start": pl.Float64, "seconds": pl.Float64, "language": pl.String}
_LEFT_OUT = {"utterance": pl.String, "audio": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class Pieces:
    """Parts of utterances of at most `LONGEST` seconds, in a fixed order."""

    table: pl.DataFrame
    """`piece, audio, start, seconds, language`."""
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
        """Hash which they are; where their files lie does not matter."""
        hashed = hashlib.sha256()
        for row in self.table.select("piece", "start", "seconds").iter_rows():
            hashed.update(repr(row).encode())
        return hashed.hexdigest()


def gather(settings: Pretraining) -> Pieces:
    """Read the manifests and the heads of their audio files; raises `InvalidInput` where no speech is left."""
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
    kept: list[tuple[str, str, float, float, str | None]] = []
    left_out: list[tuple[str, str, str]] = []
    asked = rows.select("utterance", "audio", "start", "end", "language")
    for utterance, path, start, end, language in track(
        asked.iter_rows(), f"Measuring {wanted.name}", len(asked), "utterances"
    ):
        try:
            begin, stop = _span(path, start, end)
            if stop - begin < settings.batches.shortest:
                raise ValueError(f"shorter than batches.shortest, {settings.batches.shortest:g} s")
        except (OSError, soundfile.SoundFileError, ValueError) as error:
            left_out.append((utterance, path, " ".join(str(error).split())))
            continue
        name = f"{wanted.name}/{utterance}"
        kept.extend((*part, language) for part in _cut(name, path, begin, stop))
    table = pl.DataFrame(kept, schema=_SCHEMA, orient="row")
    return _drawn(table, wanted, settings.seed), pl.DataFrame(left_out, schema=_LEFT_OUT, orient="row")


def _span(path: str, start: float | None, end: float | None) -> tuple[float, float]:
    begin = start or 0.0
    if end is None:
        head = soundfile.info(path)
        end = head.frames / head.samplerate
    if end <= begin:
        raise ValueError(f"ends at {end:g} s, but begins at {begin:g} s")
    return begin, end


def _cut(name: str, path: str, begin: float, stop: float) -> Iterator[tuple[str, str, float, float]]:
    """Cut into equal parts of at most `LONGEST`."""
    count = max(1, int(np.ceil((stop - begin) / LONGEST)))
    size = (stop - begin) / count
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
