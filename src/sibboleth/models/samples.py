"""Samples that somebody has at hand, as a model takes them."""

import numpy as np
import numpy.typing as npt
import soxr

from sibboleth.errors import InvalidInput
from sibboleth.models.encoders import Audio

SHORTEST = 0.1
"""Seconds that audio must have, as everywhere else."""


def mono(audio: npt.ArrayLike, rate: int, wanted: int) -> Audio:
    """Return audio `[sample]` or `[sample, channel]` of a rate in Hz as mono samples at the rate wanted.

    Raises `InvalidInput` for audio that is shorter than 0.1 s, not finite, or of another shape.
    """
    samples = np.asarray(audio)
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        told = f"{samples.dtype} {list(samples.shape)}"
        raise InvalidInput(f"audio must be floating-point samples [sample] or [sample, channel], not {told}")
    if rate < 1:
        raise InvalidInput(f"rate must be a number of Hz, not {rate}")
    mixed = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float64)
    heard = mixed.astype(np.float32)
    if len(heard) < SHORTEST * rate:
        raise InvalidInput(f"audio of {len(heard) / rate:.3f} s is too short; give {SHORTEST:g} s or more")
    if not np.isfinite(heard).all():
        raise InvalidInput("audio has samples that are not finite (NaN or infinity)")
    if rate == wanted:
        return heard
    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")  # as files are read
    return np.asarray(stream.resample_chunk(heard, last=True), dtype=np.float32)
