"""Shards: the files of the cache. Each is written once and whole.

A line of magic, the length of a JSON header, the header, and float32 numbers. A shard of statistics holds
`[layer, statistic, utterance, dim]`, so that one layer is read without the others; a shard of frames holds one layer,
`[frame, dim]` of utterance after utterance. What a reader does not know (a newer format) it leaves alone.
"""

import hashlib
import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sibboleth import storage
from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import Encoder
from sibboleth.models.encoding import Statistics

Frames = npt.NDArray[np.float32]
"""One layer of one utterance, `[frame, dim]`."""

ALIGNMENT = 64
DTYPE = np.dtype("<f4")


class CorruptShard(Exception):
    """A file of the cache that does not hold what it should."""


class NewerShard(Exception):
    """A file of the cache in a format that this code does not know."""


@dataclass(frozen=True)
class Shard:
    """One file of the cache."""

    MAGIC: ClassVar[bytes]
    SUFFIX: ClassVar[str]

    path: Path
    header: Mapping[str, Any]
    offset: int
    """Where the numbers begin."""

    @property
    def digests(self) -> list[str]:
        """Audio digests of the utterances in it."""
        digests: list[str] = self.header["digests"]
        return digests

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.offset + self.numbers * DTYPE.itemsize

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        raise NotImplementedError

    def verify(self) -> None:
        """Raise `CorruptShard` unless every checksum is right, and `OSError` where that cannot be told."""
        raise NotImplementedError

    def read(self, first: int, count: int) -> npt.NDArray[np.float32]:
        """Return so many numbers of it; raises `SibbolethError` where the file is gone, cut or cannot be read."""
        try:
            return self._read(first, count)
        except (OSError, CorruptShard) as error:
            raise unreadable(self.path, error) from None

    def _read(self, first: int, count: int) -> npt.NDArray[np.float32]:
        with self.path.open("rb", buffering=0) as stream:
            found = np.fromfile(stream, DTYPE, count, offset=self.offset + first * DTYPE.itemsize)
        if len(found) < count:
            raise CorruptShard("it has been cut")
        return found


@dataclass(frozen=True)
class StatisticsShard(Shard):
    """Mean and standard deviation over frames of all layers of some utterances."""

    MAGIC = b"sibboleth features 1\n"
    SUFFIX = ".features"

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return 2 * math.prod((self.header["layers"], len(self.digests), self.header["dim"]))

    def matrix(self, layer: int, statistic: int, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return one statistic of one layer, `[position, dim]`, without reading the others."""
        utterances, dim = len(self.digests), self.header["dim"]
        size = utterances * dim
        return self.read((2 * layer + statistic) * size, size).reshape(utterances, dim)[positions]

    def statistics(self, position: int) -> Statistics:
        """Return all layers of one utterance, `[layer, 2, dim]`."""
        layers, dim = self.header["layers"], self.header["dim"]
        return self.read(0, self.numbers).reshape(layers, 2, -1, dim)[:, :, position]

    def verify(self) -> None:
        """Raise `CorruptShard` unless the checksum of header and numbers is right."""
        checksum = _checksum(self.header)
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            while piece := stream.read(1 << 22):
                checksum = zlib.crc32(piece, checksum)
        if checksum != self.header["crc32"]:
            raise CorruptShard("its checksum is wrong")


@dataclass(frozen=True)
class FramesShard(Shard):
    """All frames of one layer of some utterances, each with a checksum of its own."""

    MAGIC = b"sibboleth frames 1\n"
    SUFFIX = ".frames"

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        counts, dim = self.header["frames"], self.header["dim"]
        return int(sum(counts) * dim)

    def frames(self, position: int) -> Frames:
        """Return one utterance, `[frame, dim]`, reading nothing else; raises `CorruptShard` for a wrong checksum."""
        try:
            return self._frames(position)
        except OSError as error:
            raise unreadable(self.path, error) from None

    def _frames(self, position: int) -> Frames:
        counts, dim = self.header["frames"], self.header["dim"]
        found = self._read(sum(counts[:position]) * dim, counts[position] * dim)
        if zlib.crc32(found.tobytes()) != self.header["checksums"][position]:
            raise CorruptShard("its checksum is wrong")
        return found.reshape(-1, dim)

    def verify(self) -> None:
        """Raise `CorruptShard` unless the checksums of header and every utterance are right."""
        if _checksum(self.header) != self.header["crc32"]:
            raise CorruptShard("the checksum of its header is wrong")
        for position in range(len(self.digests)):
            self._frames(position)


def write_statistics(folder: Path, encoder: Encoder, batch: Mapping[str, Statistics]) -> StatisticsShard:
    """Write a batch, digest to statistics, as one shard: whole or not at all. Raises `OSError` where it cannot."""
    content = np.stack(list(batch.values()), axis=2).astype(DTYPE).tobytes()
    header = {**described(encoder), "statistics": ["mean", "std"], "digests": list(batch)}
    header["crc32"] = zlib.crc32(content, _checksum(header))
    name = _name(StatisticsShard.MAGIC, *batch) + StatisticsShard.SUFFIX
    return StatisticsShard(folder / name, header, _write(folder / name, StatisticsShard.MAGIC, header, [content]))


def write_frames(folder: Path, encoder: Encoder, layer: int, batch: Mapping[str, Frames]) -> FramesShard:
    """Write frames of one layer, digest to `[frame, dim]`, as one shard: whole or not at all."""
    contents = [np.ascontiguousarray(frames, DTYPE).tobytes() for frames in batch.values()]
    header: dict[str, Any] = {
        **described(encoder),
        "layer": layer,
        "digests": list(batch),
        "frames": [len(frames) for frames in batch.values()],
        "checksums": [zlib.crc32(content) for content in contents],
    }
    header["crc32"] = _checksum(header)
    name = _name(FramesShard.MAGIC, str(layer), *batch) + FramesShard.SUFFIX
    return FramesShard(folder / name, header, _write(folder / name, FramesShard.MAGIC, header, contents))


def unreadable(path: Path, error: OSError | CorruptShard) -> SibbolethError:
    """Say why a shard could not be read, and what to do."""
    if isinstance(error, FileNotFoundError | CorruptShard):
        why = error.strerror if isinstance(error, OSError) else error
        return SibbolethError(
            f"{path}: has vanished from the cache while it was in use ({why}); run the same command again"
        )
    return SibbolethError(
        f"{path}: cannot be read ({error.strerror or error}), so that nobody knows whether it is sound; it was left as "
        "it is. See to that and run the same command again"
    )


def opened(path: Path) -> Shard:
    """Read a shard's header.

    Raises `CorruptShard` where the file is not a whole shard and `NewerShard` where its format is not known.
    """
    kind = StatisticsShard if path.suffix == StatisticsShard.SUFFIX else FramesShard
    with path.open("rb") as stream:
        start = stream.read(len(kind.MAGIC) + 8)
        if not start.startswith(kind.MAGIC) or len(start) < len(kind.MAGIC) + 8:
            _refuse_newer(start, kind.MAGIC)
            raise CorruptShard("it does not begin as a shard does")
        length = int.from_bytes(start[len(kind.MAGIC) :], "little")
        held = os.fstat(stream.fileno()).st_size
        text = stream.read(length) if length <= held else b""
    try:
        shard: Shard = kind(path, json.loads(text), len(start) + length)
        expected = shard.bytes
        (*_, dtype) = (shard.header["identity"], shard.header["encoder"], shard.header["crc32"], shard.header["dtype"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorruptShard("its header cannot be read") from None
    if held != expected or dtype != DTYPE.str:
        raise CorruptShard(f"it has {held} bytes instead of {expected}")
    return shard


def _refuse_newer(start: bytes, magic: bytes) -> None:
    """Raise `NewerShard` where a file begins with the same words and a higher number."""
    words, line = magic.split()[:-1], start.split(b"\n")[0].split()
    if line[:-1] == words and line[-1].isdigit() and int(line[-1]) > int(magic.split()[-1]):
        raise NewerShard(f"format {line[-1].decode()}")


def described(encoder: Encoder) -> dict[str, Any]:
    """Return what a shard says about the encoder that filled it; `stride` is in seconds, null where it has none."""
    return {
        "encoder": encoder.name,
        "identity": encoder.identity,
        "kind": encoder.kind,
        "layers": encoder.layers,
        "dim": encoder.dim,
        "stride": encoder.stride / encoder.rate if encoder.stride else None,
        "dtype": DTYPE.str,
    }


def _name(magic: bytes, *parts: str) -> str:
    """Name what is in a shard, and its format: shards of two formats never meet."""
    return hashlib.sha256(magic + "\n".join(parts).encode()).hexdigest()[:32]


def _write(path: Path, magic: bytes, header: Mapping[str, Any], contents: list[bytes]) -> int:
    """Write a file and make sure that it is on the disk; returns where the numbers begin."""
    text = json.dumps(header).encode()
    # Blanks behind the header align the numbers.
    blanks = -(len(magic) + 8 + len(text)) % ALIGNMENT
    head = magic + (len(text) + blanks).to_bytes(8, "little") + text + b" " * blanks
    with storage.atomic(path) as temporary, temporary.open("wb") as stream:
        stream.write(head)
        stream.writelines(contents)
        stream.flush()
        os.fsync(stream.fileno())
    return len(head)


def _checksum(header: Mapping[str, Any]) -> int:
    """Return the CRC-32 of all of the header but the checksum in it; that of the numbers goes on from it."""
    told = {key: value for key, value in header.items() if key != "crc32"}
    return zlib.crc32(json.dumps(told, sort_keys=True).encode())
