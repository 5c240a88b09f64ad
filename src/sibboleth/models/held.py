"""Features that are held to be read in any order: in memory, or in a file without a name."""

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sibboleth import memory, storage
from sibboleth.errors import SibbolethError

MEMORY_BYTES, MEMORY_SHARE = 512 * 2**20, 4
"""Features that are held in memory, or one of so many parts of a limit; above, they lie in a file."""


class Rows(Protocol):
    """Features `[row, ...]` of which rows are taken; a tensor, or a file."""

    @property
    def shape(self) -> torch.Size:
        """Of all of them."""

    def __getitem__(self, index: tuple[Tensor, Tensor | int]) -> Tensor:
        """Take rows of layers."""

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Take rows of all layers; `dim` is 0."""


class Filed:
    """Features in a file, read piece by piece: pages that are mapped would count as memory of the process."""

    def __init__(self, file: io.FileIO, shape: Sequence[int]) -> None:
        """Take an open file that is as long as they are."""
        self._file = file
        self.shape = torch.Size(shape)

    def __getitem__(self, index: tuple[Tensor, Tensor | int]) -> Tensor:
        """Take rows of layers."""
        rows, layers = torch.broadcast_tensors(index[0], torch.as_tensor(index[1]))  # type: ignore[no-untyped-call]
        return self._read(rows.flatten() * self.shape[1] + layers.flatten(), 1).view(*rows.shape, self.shape[2])

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Take rows of all layers."""
        return self._read(index * self.shape[1], self.shape[1])

    def __setitem__(self, index: tuple[slice, int], layer: Tensor) -> None:
        """Write one layer of all rows, `[row, dim]`."""
        numbers = layer.numpy()
        for row in range(len(numbers)):
            self._file.seek((row * self.shape[1] + index[1]) * self.shape[2] * 4)
            self._file.write(numbers[row])

    def _read(self, pieces: Tensor, count: int) -> Tensor:
        """Read so many layers in a row from each piece on, `[piece, layer, dim]`."""
        found = np.empty((len(pieces), count, self.shape[2]), np.float32)
        for place, piece in enumerate(pieces.tolist()):
            self._file.seek(piece * self.shape[2] * 4)
            self._file.readinto(found[place])
        return torch.from_numpy(found)


@contextlib.contextmanager
def room(rows: int, layers: int, dim: int) -> Iterator[Tensor | Filed]:
    """Give features `[row, layer, dim]` to fill: in memory, or in a file without a name where they are too large.

    Raises `SibbolethError` where the cache's folder has no room for the file.
    """
    size = 4 * rows * layers * dim
    if size <= memory.at_most(MEMORY_BYTES, MEMORY_SHARE):
        yield torch.empty(rows, layers, dim)
        return
    folder, unlimited = storage.folder(), memory.limit() is None
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        try:
            # Written, not only made long: a full disk is then an error here, and no crash when the file is filled.
            for begin in range(0, size, 2**24):
                file.write(bytes(min(2**24, size - begin)))
        except OSError as error:
            why = error.strerror or str(error)
            raise SibbolethError(
                f"{folder}: no room for the features of all layers, {size / 1e9:.1f} GB while their mix is trained "
                f"({why}); make room there, or set layer_mix = false"
            ) from None
        shape = rows, layers, dim
        yield torch.from_numpy(np.memmap(file, np.float32, "r+", shape=shape)) if unlimited else Filed(file, shape)
