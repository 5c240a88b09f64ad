"""Export: features in files that any other tool reads, written row by row in bounded memory."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sibboleth.errors import SibbolethError
from sibboleth.models.encoding import Statistics
from sibboleth.models.features import Features

ROWS = 256
"""Utterances that are in memory at once."""
FORMATS = (".npz", ".parquet")


def require_format(output: Path) -> None:
    """Raise `SibbolethError` for a file that features are not written as."""
    if output.suffix not in FORMATS:
        raise SibbolethError(f"{output}: features are written as {' or '.join(FORMATS)}; give a file that ends so")


def write(features: Features, output: Path, layers: Sequence[int], temporary: Path) -> None:
    """Write utterance ids and statistics over time of some layers to a temporary path, in the format of `output`.

    `.npz` holds `utterance`, `layer`, and `mean` and `std`, `[utterance, layer, dim]`. `.parquet` has a row per
    utterance and layer: `utterance, layer, mean, std`, the last two lists of dim numbers; where frames were asked
    for, a row per frame: `utterance, layer, frame, seconds, values`.
    """
    if output.suffix == ".npz":
        _write_npz(features, layers, temporary)
    elif features.framed:
        _write_frames(features, layers, temporary)
    else:
        _write_parquet(features, layers, temporary)


def _blocks(features: Features, layers: Sequence[int]) -> Iterator[tuple[range, Statistics]]:
    """Yield rows and their statistics `[utterance, layer, 2, dim]`."""
    for first in range(0, len(features.utterances), ROWS):
        rows = range(first, min(first + ROWS, len(features.utterances)))
        yield rows, features.statistics(rows, layers)


def _write_npz(features: Features, layers: Sequence[int], path: Path) -> None:
    shape = (len(features.utterances), len(layers), features.dim)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in (("utterance", np.array(features.utterances, np.str_)), ("layer", np.array(layers))):
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
        for statistic, name in enumerate(("mean", "std")):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                described = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, described)
                for _, block in _blocks(features, layers):
                    stream.write(np.ascontiguousarray(block[:, :, statistic]).tobytes())


def _write_parquet(features: Features, layers: Sequence[int], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    vector = pa.list_(pa.float32(), features.dim)
    schema = pa.schema({"utterance": pa.string(), "layer": pa.int32(), "mean": vector, "std": vector})
    with parquet.ParquetWriter(path, schema) as writer:
        for rows, block in _blocks(features, layers):
            names = np.repeat([features.utterances[row] for row in rows], len(layers))
            numbers = [_vectors(block[:, :, statistic]) for statistic in range(2)]
            layer = np.tile(np.array(layers, np.int32), len(rows))
            writer.write_table(pa.table([pa.array(names), pa.array(layer), *numbers], schema=schema))


def _write_frames(features: Features, layers: Sequence[int], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        {
            "utterance": pa.string(),
            "layer": pa.int32(),
            "frame": pa.int32(),
            "seconds": pa.float64(),
            "values": pa.list_(pa.float32(), features.dim),
        }
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for row, name in enumerate(features.utterances):
            for layer in layers:
                frames = features.frames(row, layer)
                count = len(frames)
                columns = [
                    pa.array([name] * count),
                    pa.array(np.full(count, layer, np.int32)),
                    pa.array(np.arange(count, dtype=np.int32)),
                    pa.array(features.times(row, count)),
                    _vectors(frames),
                ]
                writer.write_table(pa.table(columns, schema=schema))


def _vectors(numbers: npt.NDArray[np.float32]) -> object:
    """Turn `[..., dim]` into a column of lists of dim numbers."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), numbers.shape[-1])
