"""Encoding: recordings through an encoder, each once, pooled over all its frames.

What comes out of a recording does not depend on which others are encoded, in what order, or by which thread. On a
processor every thread takes a recording of its own; on an accelerator batches of one shape are filled by length, so
that company changes nothing but the last bits there. A recording above `WINDOW` goes through in overlapping windows.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sibboleth import audio, memory
from sibboleth.errors import SibbolethError
from sibboleth.models import halving
from sibboleth.models.encoders import WINDOW, Audio, Encoder, HiddenStates
from sibboleth.models.encoders.contract import FRAMES_PER_SECOND

Statistics = npt.NDArray[np.float32]
"""Mean and standard deviation over frames, `[layer, 2, dim]`."""

Item = TypeVar("Item")
Result = TypeVar("Result")

CONTEXT = 2.5
"""Seconds at each edge of a window whose frames are taken from the neighbouring window, which sees further there."""
LONGEST_ROUNDING = 16
"""Samples by which resampled audio may be longer than expected."""
LENGTHS = 1.25
"""Ratio between the lengths to which batches are padded."""
SHORTEST_BATCH = 1.0
"""Seconds of the shortest of them."""
FRAMES_BYTES = 1 << 30
"""Bytes of frames above which a recording is refused; those of one recording are in memory together."""
QUEUE_SHARE, FRAMES_SHARE = 2, 16
"""Parts of a limit of memory that recordings under way, and the frames of one, may take: one of so many."""
UNLIMITED = 1 << 62
"""More bytes than there are."""
SORTED = 512
"""Recordings read ahead and sorted by length for batches."""


@dataclass(frozen=True)
class Recording:
    """Audio to encode: a file or a part of it."""

    digest: str
    path: str
    start: float | None
    end: float | None
    seconds: float

    def read(self, rate: int) -> Audio:
        """Read all of it at a rate."""
        return audio.read(self.path, rate, self.start, self.end)[0]

    def blocks(self, rate: int) -> Iterator[Audio]:
        """Read it in blocks of bounded size."""
        return audio.blocks(self.path, rate, self.start, self.end, seconds=WINDOW)


@dataclass(frozen=True)
class Encoded:
    """What came out of one recording."""

    recording: Recording
    statistics: Statistics | None = None
    frames: Mapping[int, HiddenStates] = field(default_factory=dict)
    """Layer to `[frame, dim]`, for the layers asked for."""
    failure: str | None = None
    """Why there is nothing."""


def encode(encoder: Encoder, recordings: Sequence[Recording], frames: Sequence[int] = ()) -> Iterator[Encoded]:
    """Encode recordings in the order given; `frames` are layers whose frames are kept too.

    A recording that cannot be read or encoded has a failure, and the others go on; so has one whose frames of these
    layers are above `FRAMES_BYTES`. A recording is read by the thread that encodes it, so that nothing that was decoded
    waits, and up to twice as many recordings as threads are under way; fewer where memory is limited. Raises
    `SibbolethError` where the encoder cannot be loaded or has no room.
    """
    encoder.prepare()
    _require_room(encoder, recordings)

    def alone(recording: Recording) -> Encoded:
        return _guarded(encoder, recording, lambda: _encoded(encoder, recording, _windows(encoder, recording), frames))

    if encoder.batch_seconds:
        yield from _batched(encoder, recordings, frames, alone)
        return
    yield from side_by_side(encoder, alone, recordings, lambda recording: _weight(encoder, recording, frames))


def windows(encoder: Encoder, blocks: Callable[[], Iterator[Audio]], samples: int) -> Iterator[HiddenStates]:
    """Encode a long recording in overlapping windows; yields the frames `[layer, frame, dim]` that each contributes.

    Together these are as many frames as one pass would give, where frames are a whole number of samples apart. Windows
    are `WINDOW` long, begin where a frame does, and overlap by 2 * `CONTEXT` or more; the frames of an overlap come
    from the window that sees further there.

    Args:
        encoder: The encoder.
        blocks: Starts reading the recording from its beginning.
        samples: Its length at the encoder's rate, to `LONGEST_ROUNDING`.
    """
    knowing = encoder.for_recording(blocks())
    size = int(WINDOW * encoder.rate)
    opening = next(cut(blocks(), size, 0, 1))
    states = knowing.hidden_states(opening)
    # An encoder that does not say how far apart its frames are shows it in a whole window.
    stride = encoder.stride or max(1, round(len(opening) / states.shape[1]))
    size = size // stride * stride if encoder.stride else size
    least = 2 * int(CONTEXT * encoder.rate)
    beyond = max(0, samples + LONGEST_ROUNDING - size)
    count = 1 + math.ceil(beyond / (size - least))
    step = 0 if count == 1 else math.ceil(beyond / (count - 1) / stride) * stride
    overlap = (size - step) // 2 // stride
    for index, window in enumerate(cut(blocks(), size, step, count)):
        if index or len(window) != len(opening):
            states = knowing.hidden_states(window)
        last = None if index == count - 1 else step // stride + overlap
        yield states[:, overlap if index else 0 : last]


def averaged(encoder: Encoder, blocks: Callable[[], Iterator[Audio]], samples: int) -> HiddenStates:
    """Encode a long recording with an encoder that has no frames: the mean of its windows' embeddings, `[1, 1, dim]`.

    The windows lie side by side and are equally long, as few as `WINDOW` allows; so each counts the same.
    """
    knowing = encoder.for_recording(blocks())
    most = samples + LONGEST_ROUNDING
    count = math.ceil(most / int(WINDOW * encoder.rate))
    size = math.ceil(most / count)
    found = [knowing.hidden_states(window) for window in cut(blocks(), size, size, count)]
    return np.asarray(np.mean(found, axis=0, dtype=np.float64), dtype=np.float32)


def cut(blocks: Iterator[Audio], size: int, step: int, count: int) -> Iterator[Audio]:
    """Cut a stream into windows of a size that begin every `step` samples; the last lasts to the end."""
    held = np.empty(0, np.float32)
    for index in range(count):
        while len(held) < size and (block := next(blocks, None)) is not None:
            held = np.concatenate([held, block])
        yield held[:size]
        held = held[step:] if index < count - 1 else held


def _windows(encoder: Encoder, recording: Recording) -> Iterator[HiddenStates]:
    """Encode a recording in one pass, or in windows where it is too long for one."""
    if recording.seconds <= WINDOW:
        yield encoder.hidden_states(recording.read(encoder.rate)[: int(WINDOW * encoder.rate)])
    else:
        samples = round(recording.seconds * encoder.rate)
        if encoder.frames:
            yield from windows(encoder, lambda: recording.blocks(encoder.rate), samples)
        else:
            yield averaged(encoder, lambda: recording.blocks(encoder.rate), samples)


def _encoded(encoder: Encoder, recording: Recording, parts: Iterator[HiddenStates], frames: Sequence[int]) -> Encoded:
    kept: dict[int, list[HiddenStates]] = {layer: [] for layer in frames}
    per_frame = len(frames) * encoder.dim * 4

    def passing() -> Iterator[HiddenStates]:
        count = 0
        for states in parts:
            count += states.shape[1]
            _require_memory(count * per_frame)  # an encoder without a stride does not say before how many there are
            for layer in frames:
                kept[layer].append(states[layer].copy())  # a view would keep all other layers, too
            yield states

    if encoder.stride:
        _require_memory(int(recording.seconds * encoder.rate / encoder.stride) * per_frame)

    statistics = pooled(passing())
    return Encoded(recording, statistics, {layer: np.concatenate(pieces) for layer, pieces in kept.items()})


def _require_room(encoder: Encoder, recordings: Sequence[Recording]) -> None:
    """Raise `SibbolethError` where memory is so limited that the longest recording has no room."""
    seconds = min(WINDOW, max((recording.seconds for recording in recordings), default=0.0))
    batch = encoder.batch_seconds or seconds
    what = f"encoding {batch:.0f} s of audio with {encoder.name!r}"
    memory.require(encoder.working_bytes(batch), QUEUE_SHARE, what)


def working_bytes(encoder: Encoder, seconds: float) -> int:
    """Estimate what recordings of at most so many seconds take while they are encoded, as many as go side by side."""
    if encoder.batch_seconds:
        return encoder.working_bytes(encoder.batch_seconds)
    with encoder.side_by_side() as threads:
        several = threads * encoder.working_bytes(min(seconds, WINDOW))
    return min(several, memory.at_most(UNLIMITED, QUEUE_SHARE))


def _weight(encoder: Encoder, recording: Recording, frames: Sequence[int]) -> int:
    """Estimate the bytes that a recording takes while it is under way, with the frames of it that are kept."""
    per_second = encoder.rate / encoder.stride if encoder.stride else FRAMES_PER_SECOND
    kept = int(recording.seconds * per_second) * len(frames) * encoder.dim * 4
    return encoder.working_bytes(min(recording.seconds, WINDOW)) + 2 * kept


def _require_memory(size: int) -> None:
    most = memory.at_most(FRAMES_BYTES, FRAMES_SHARE)
    if size > most:
        raise SibbolethError(
            f"its frames take {size / 1e6:,.0f} MB or more, and at most {most / 1e6:,.0f} MB per recording are "
            "kept; keep the frames of fewer layers, or give its parts (`start`, `end`) as utterances of their own"
        )


def pooled(parts: Iterator[HiddenStates]) -> Statistics:
    """Pool every layer over all frames of all parts, `[layer, 2, dim]`; float64 inside.

    Raises `SibbolethError` where a number is not finite.
    """
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for states in parts:
        frames = states.shape[1]
        if not frames:
            continue
        part_mean = states.mean(axis=1, dtype=np.float64)
        centred = states - part_mean[:, None].astype(np.float32)
        # The sum of squares about a mean that float32 cannot hold, corrected for what it is off.
        off = (part_mean.astype(np.float32) - part_mean) ** 2
        part_squares = np.einsum("lfd,lfd->ld", centred, centred, dtype=np.float64) - frames * off
        apart = part_mean - mean
        total = count + frames
        # Chan, Golub and LeVeque (1979): moments of parts to moments of the whole, without cancellation.
        mean = mean + apart * (frames / total)
        squares = squares + np.maximum(part_squares, 0.0) + apart**2 * (count * frames / total)
        count = total
    if not count:
        raise SibbolethError("it gives no frames")
    statistics = np.stack([mean, np.sqrt(squares / count)], axis=1).astype(np.float32)
    if not np.isfinite(statistics).all():
        raise SibbolethError("its output is not finite (NaN or infinity)")
    return statistics


def _guarded(encoder: Encoder, recording: Recording, work: Callable[[], Encoded]) -> Encoded:
    try:
        return work()
    except Exception as error:  # whatever one utterance does to an encoder must not lose the others
        text = str(error) if isinstance(error, SibbolethError) else f"{type(error).__name__}: {error}"
        return Encoded(recording, failure=f"encoder {encoder.name!r} fails on it: {text}")


def side_by_side(
    encoder: Encoder,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    weigh: Callable[[Item], int] = lambda _: 0,
) -> Iterator[Result]:
    """Work on as many items at once as the encoder gains from, yielding in order.

    No more than twice as many as threads are under way, begun or waiting to be taken; where memory is limited, only as
    many as have room by what each weighs, in bytes, or one.
    """
    room = memory.at_most(UNLIMITED, QUEUE_SHARE)
    with encoder.side_by_side() as threads:
        if threads == 1:
            yield from map(work, items)
            return
        pool = ThreadPoolExecutor(threads, initializer=encoder.enter_thread)
        under_way: deque[tuple[Future[Result], int]] = deque()
        held = 0
        try:
            for item in items:
                weight = weigh(item)
                while under_way and (len(under_way) >= 2 * threads or held + weight > room):
                    first, its = under_way.popleft()
                    yield first.result()
                    held -= its
                under_way.append((pool.submit(work, item), weight))
                held += weight
            while under_way:
                yield under_way.popleft()[0].result()
        finally:
            pool.shutdown(cancel_futures=True)


def _batched(
    encoder: Encoder, recordings: Sequence[Recording], frames: Sequence[int], alone: Callable[[Recording], Encoded]
) -> Iterator[Encoded]:
    """Fill batches of one shape by length, of half as much where memory does not suffice; long recordings go alone."""
    size = _sorted(encoder, frames)
    room = min(encoder.batch_seconds, halving.fitting.get(encoder.identity, encoder.batch_seconds))
    for first in range(0, len(recordings), size):
        some = recordings[first : first + size]
        done: dict[str, Encoded] = {}
        by_length: dict[float, list[Recording]] = {}
        for recording in some:
            if recording.seconds > WINDOW:
                done[recording.digest] = alone(recording)
            else:
                by_length.setdefault(_padded(recording.seconds), []).append(recording)
        for seconds, alike in by_length.items():
            rows, begin = max(1, int(room / seconds)), 0
            while begin < len(alike):
                batch = _Batch(encoder, alike[begin : begin + rows], rows, int(seconds * encoder.rate))
                found = batch.encoded(frames, alone)
                if found is None:
                    rows //= 2
                    room = halving.fitting[encoder.identity] = rows * seconds
                    halving.again(f"encoding with {encoder.name}", f"batches of {room:.0f} s from here on")
                    continue
                done |= {one.recording.digest: one for one in found}
                begin += rows
        yield from (done[recording.digest] for recording in some)


def _sorted(encoder: Encoder, frames: Sequence[int]) -> int:
    """Say how many recordings are sorted together: fewer where memory is limited and their frames are kept."""
    whole = int(WINDOW * (encoder.rate / encoder.stride if encoder.stride else FRAMES_PER_SECOND))
    kept = max(1, whole * len(frames) * encoder.dim * 4)
    return max(1, min(SORTED, memory.at_most(UNLIMITED, FRAMES_SHARE) // kept))


def _padded(seconds: float) -> float:
    """Return the length to which a recording is padded: the next of a few, at most `LENGTHS` times its own."""
    steps = math.ceil(math.log(max(seconds, SHORTEST_BATCH) / SHORTEST_BATCH, LENGTHS) - 1e-9)
    return min(SHORTEST_BATCH * LENGTHS**steps, WINDOW)


@dataclass(frozen=True)
class _Batch:
    """Recordings of about one length, in a batch of a fixed shape."""

    encoder: Encoder
    recordings: Sequence[Recording]
    rows: int
    samples: int

    def encoded(self, frames: Sequence[int], alone: Callable[[Recording], Encoded]) -> Sequence[Encoded] | None:
        """Encode all of them; one by one where that fails, so that the one at fault is found.

        None where memory does not suffice for more than one.
        """
        try:
            with ThreadPoolExecutor() as pool:
                read = list(pool.map(lambda recording: recording.read(self.encoder.rate), self.recordings))
            longest = int(WINDOW * self.encoder.rate)
            heard = [samples[:longest] for samples in read]
            # Rows without a recording repeat the first one: the shape decides how the accelerator adds up.
            filled = heard + [heard[0]] * (self.rows - len(heard))
            states = self.encoder.batch(filled, max([self.samples, *map(len, heard)]))
            return [
                _encoded(self.encoder, one, iter([own]), frames)
                for one, own in zip(self.recordings, states, strict=False)
            ]
        except Exception as error:  # whatever one recording does must not lose the others
            if self.rows > 1 and halving.exhausted(error):
                return None
        return [alone(recording) for recording in self.recordings]
