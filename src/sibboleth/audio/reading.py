"""Reading: a file or a segment of it, whole or in blocks, without decoding the rest."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from sibboleth.errors import SibbolethError

Samples = npt.NDArray[np.float32]

RATES = (1_000, 1_000_000)
"""Hz below and above which a header cannot be meant: a minute of samples said to be at 1 Hz would last two weeks."""
TOLERANCE = 0.010
"""Seconds that a segment may reach beyond the file's end, and a file fall short of its header."""
PIECE = 1 << 18
"""Samples decoded at once, over all channels."""
_PROMISED = re.compile(r"(?:data|SSND)\s*:\s*(\d+)\s*\(should be (\d+)\)")
_PLACEHOLDER = 0x7FFFF000
"""Sizes from here on are written by programs that stream and do not know the length yet."""


class UnreadableAudio(SibbolethError):
    """Audio that cannot be used; `reason` is a sentence that says why and what to do."""

    def __init__(self, path: Path | str, reason: str, *, lasting: bool = True) -> None:
        """Say what is wrong; `lasting` if it stays wrong as long as the file does not change."""
        super().__init__(f"{path}: {reason}")
        self.reason = reason
        self.lasting = lasting


Hearing = Callable[[Samples, int], None]
"""Is given every piece as it was decoded, `[frame, channel]`, and its rate."""


def read(
    path: Path | str,
    rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
    hear: Hearing | None = None,
) -> tuple[Samples, int]:
    """Read audio as mono `[sample]` and its rate in Hz.

    Args:
        path: any file that libsndfile reads.
        rate: resample to this rate; the file's own if not given.
        start: seconds at which to begin.
        end: seconds at which to stop.
        hear: is given what is decoded, before it is mixed and resampled.

    Raises `UnreadableAudio` when the file or the segment cannot be used.
    """
    with opened(path) as file:
        wanted = rate or file.samplerate
        return np.concatenate(list(_mono(file, path, wanted, start, end, hear))), wanted


def blocks(
    path: Path | str,
    rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
    seconds: float = 30.0,
    hear: Hearing | None = None,
) -> Iterator[Samples]:
    """Yield audio as mono blocks `[sample]` of so many seconds, the last one shorter, in bounded memory.

    Their concatenation equals what `read` returns, to the bit. Raises `UnreadableAudio` as `read` does, possibly
    after some blocks.
    """
    with opened(path) as file:
        wanted = rate or file.samplerate
        size = max(1, round(seconds * wanted))
        kept = np.empty(0, np.float32)
        for piece in _mono(file, path, wanted, start, end, hear):
            kept = np.concatenate([kept, piece])
            full = len(kept) // size * size
            yield from np.split(kept[:full], range(size, full, size)) if full else ()
            kept = kept[full:]
        if len(kept):
            yield kept


@contextlib.contextmanager
def opened(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """Open a sound file; raises `UnreadableAudio` saying why it cannot be opened."""
    try:
        with Path(path).open("rb") as bytes_of_it:  # libsndfile would not say what the system objects to
            empty = not bytes_of_it.read(1)
    except OSError as error:
        raise UnreadableAudio(path, f"cannot be opened ({error.strerror}); check the disk", lasting=False) from None
    if empty:
        raise UnreadableAudio(path, "the file is empty; copy or download it again")
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        told = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(".")
        advice = "it is corrupt, or a format that libsndfile does not read: convert it to WAV or FLAC"
        raise UnreadableAudio(path, f"cannot be read as audio ({told}); {advice}") from None
    with file:
        if not RATES[0] <= file.samplerate <= RATES[1]:
            rate = f"its header says that it was sampled at {file.samplerate:,} Hz"
            raise UnreadableAudio(path, f"{rate}, as no speech is; it is corrupt: copy or download it again")
        yield file


def span(file: soundfile.SoundFile, path: Path | str, start: float | None, end: float | None) -> tuple[int, int]:
    """Return the first frame of a segment and how many there are.

    Raises `UnreadableAudio` for a file without samples, a segment outside it, and a whole file that is truncated.
    """
    rate, frames = file.samplerate, file.frames
    if frames <= 0:
        raise UnreadableAudio(path, "it has no samples; record or download it again")
    held = frames / rate
    cut = _cut_off(file)
    if end is None and cut:
        raise UnreadableAudio(path, cut)
    if start is not None and start >= held:
        raise UnreadableAudio(path, _beyond("start", start, held, rate))
    if end is not None and end > held + TOLERANCE:
        raise UnreadableAudio(path, cut or _beyond("end", end, held, rate))
    first = 0 if start is None else round(start * rate)
    last = frames if end is None else min(round(end * rate), frames)
    if last <= first:
        raise UnreadableAudio(path, f"the segment from {start or 0:g} s has no samples; mend the manifest")
    return first, last - first


def pieces(file: soundfile.SoundFile, path: Path | str, first: int, count: int) -> Iterator[Samples]:
    """Yield frames `[frame, channel]`; raises `UnreadableAudio` where decoding fails or the file ends too early."""
    rate = file.samplerate
    most = max(1, PIECE // file.channels)
    got = 0
    try:
        file.seek(first)
        while got < count:
            piece = file.read(min(most, count - got), dtype="float32", always_2d=True)
            if not len(piece):
                break
            got += len(piece)
            yield piece
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        told = str(error).removeprefix("Error : ").rstrip(".")
        place = f"{(first + got) / rate:.1f} s"
        advice = "it is truncated or corrupt: copy or download it again"
        raise UnreadableAudio(path, f"cannot be decoded after {place} ({told}); {advice}") from None
    if got < count - TOLERANCE * rate:
        raise UnreadableAudio(path, _truncated((first + count) / rate, (first + got) / rate))


def _mono(
    file: soundfile.SoundFile,
    path: Path | str,
    rate: int,
    start: float | None,
    end: float | None,
    hear: Hearing | None,
) -> Iterator[Samples]:
    decoded = pieces(file, path, *span(file, path, start, end))
    mixed = (mono(piece) for piece in (decoded if hear is None else _heard(decoded, file.samplerate, hear)))
    if rate == file.samplerate:
        yield from mixed
        return
    stream = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
    for piece in mixed:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _heard(decoded: Iterator[Samples], rate: int, hear: Hearing) -> Iterator[Samples]:
    for piece in decoded:
        hear(piece, rate)
        yield piece


def mono(piece: Samples) -> Samples:
    """Average the channels of `[frame, channel]`."""
    if piece.shape[1] == 1:
        return piece[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):  # of a broken file, whose samples are no numbers
        return np.asarray(piece.mean(axis=1, dtype=np.float64).astype(np.float32))


def _cut_off(file: soundfile.SoundFile) -> str | None:
    """Say that a WAV or AIFF file is shorter than its header promises; libsndfile mentions it only in its log."""
    found = _PROMISED.search(file.extra_info)
    if found is None:
        return None
    promised, there = int(found[1]), int(found[2])
    if not there < promised < _PLACEHOLDER:
        return None
    held = file.frames / file.samplerate
    whole = held * promised / there
    return _truncated(whole, held) if whole - held > TOLERANCE else None


def _beyond(what: str, seconds: float, held: float, rate: int) -> str:
    """Say that a segment is not in its file, and that it would be if it counted milliseconds or samples."""
    told = f"{what} {seconds:g} s is beyond its end at {held:.3f} s"
    whole = float(seconds).is_integer() and 2 * held < seconds <= held * max(rate, 1000)
    unit = "; these may be milliseconds or samples, and seconds are needed" if whole else ""
    return f"{told}{unit}; mend the manifest"


def _truncated(promised: float, held: float) -> str:
    return (
        f"truncated: its header promises {promised:.1f} s, it holds {held:.1f} s; copy or download it again, "
        "or give start and end of the part that is sound"
    )
