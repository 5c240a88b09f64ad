"""HuBERT's targets: clusters of frames, of cepstra first and of an earlier encoder's layer then.

The features are brought to mean 0 and variance 1 in each dimension, over the speech that the clusters are learnt from;
then MiniBatchKMeans of scikit-learn finds the clusters. One file per clustering holds all labels, two bytes a frame.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import MiniBatchKMeans

from sibboleth import audio
from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import load
from sibboleth.models.pretraining.mfcc import mfcc
from sibboleth.models.pretraining.pieces import Pieces
from sibboleth.pretraining import TargetFeatures
from sibboleth.progress import track
from sibboleth.runs import write_text
from sibboleth.storage import atomic
from sibboleth.study import EncoderSettings

Audio = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float32]
BATCH = 10_000
"""Frames in a step of MiniBatchKMeans."""
STANDARDISED = 100_000
"""Frames, about, from which mean and variance are taken."""
INITIAL = 20
"""Random starts of k-means, of which the best is taken."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where the frames of an encoder lie: frame k sees samples k * hop to k * hop + field."""

    rate: int
    hop: int
    field: int

    def count(self, samples: int) -> int:
        """Count the frames of so many samples."""
        return max(0, (samples - self.field) // self.hop + 1)


@dataclass(frozen=True)
class Labels:
    """The cluster of every frame of every piece."""

    every: npt.NDArray[np.uint16]
    """`[frame]`, piece after piece; a view of a file."""
    firsts: npt.NDArray[np.int64]
    """Place of each piece's first frame, and the end."""
    frame: Frame
    clusters: int

    def of(self, rows: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        """Return the labels `[row, frame]` of cuts of pieces, in samples."""
        count = self.frame.count(length)
        places = self.firsts[rows] + begins // self.frame.hop
        found: npt.NDArray[np.int64] = self.every[places[:, None] + np.arange(count)].astype(np.int64)
        return found


def labels(
    target: TargetFeatures, pieces: Pieces, frame: Frame, hours: float, seed: int, folder: Path
) -> tuple[Labels, dict[str, Any]]:
    """Cluster the frames of all pieces, or read what was clustered in the folder; also returns facts for the record.

    Raises `SibbolethError` for features that there are not, and where there are fewer frames than clusters.
    """
    wanted = asked(target, pieces, frame, hours, seed)
    counts = np.array([frame.count(int(seconds * frame.rate)) for seconds in pieces.seconds])
    firsts = np.concatenate([[0], np.cumsum(counts)])
    facts = folder / "clusters.json"
    known = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
    if known.get("asked") != wanted:
        features, _ = _features(target, frame)
        known = {"asked": wanted, **_learnt(target, pieces, frame, features, counts, firsts, hours, seed, folder)}
        write_text(facts, json.dumps(known, indent=2) + "\n")
    every = np.load(folder / "labels.npy", mmap_mode="r")
    return Labels(every, firsts, frame, target.clusters), known


def asked(target: TargetFeatures, pieces: Pieces, frame: Frame, hours: float, seed: int) -> dict[str, Any]:
    """Return all that a clustering depends on; raises `SibbolethError` for features that there are not."""
    return {
        "features": _features(target, frame)[1],
        "clusters": target.clusters,
        "pieces": pieces.digest,
        "frame": [frame.rate, frame.hop, frame.field],
        "hours": hours,
        "seed": seed,
    }


def _learnt(
    target: TargetFeatures,
    pieces: Pieces,
    frame: Frame,
    features: "Features",
    counts: npt.NDArray[np.int64],
    firsts: npt.NDArray[np.int64],
    hours: float,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    order = np.random.default_rng([seed, 2]).permutation(len(counts))
    some = order[: max(1, int(np.searchsorted(np.cumsum(pieces.seconds[order]), 3600 * hours)))]
    mean, scale, model = _clustering(target, _read(some, pieces, frame, features, counts, "Clustering"), seed)
    used = np.zeros(target.clusters, np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / "labels.npy") as temporary:
        every = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint16, shape=(int(firsts[-1]),))
        for piece, frames in _read(np.arange(len(counts)), pieces, frame, features, counts, "Labelling"):
            found = model.predict((frames - mean) * scale) if len(frames) else np.zeros(0, np.int64)
            every[firsts[piece] : firsts[piece + 1]] = found
            used += np.bincount(found, minlength=target.clusters)
        every.flush()
    share = used[used > 0] / used.sum()
    return {
        "frames": int(used.sum()),
        "used": int((used > 0).sum()),
        "perplexity": float(np.exp(-(share @ np.log(share)))),
    }


def _clustering(
    target: TargetFeatures, frames: Iterator[tuple[int, Frames]], seed: int
) -> tuple[Frames, Frames, MiniBatchKMeans]:
    """Return mean and 1 / deviation of the features and the clusters of the standardised frames."""
    mean = scale = None
    model = MiniBatchKMeans(target.clusters, random_state=seed, batch_size=BATCH, n_init=INITIAL, init="k-means++")
    held: list[Frames] = []
    size, seen = max(BATCH, target.clusters), 0  # the first step needs a frame for each cluster

    def learn() -> None:
        nonlocal mean, scale, held
        together = np.concatenate(held)
        if mean is None:
            mean, deviation = together.mean(0), together.std(0)
            scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0).astype(np.float32)
        together = (together - mean) * scale
        together = together[np.random.default_rng([seed, seen]).permutation(len(together))]
        for begin in range(0, len(together), size):
            if len(together) - begin >= min(size, len(together)):
                model.partial_fit(together[begin : begin + size])
        held = []

    for _, one in frames:
        held.append(one)
        seen += len(one)
        if sum(map(len, held)) >= STANDARDISED:
            learn()
    if mean is None and seen < target.clusters:
        raise SibbolethError(f"{seen} frames are too few for {target.clusters} clusters; give more speech or fewer")
    if mean is None or sum(map(len, held)) >= size:
        learn()
    assert mean is not None and scale is not None
    return mean, scale, model


Features = Callable[[Audio, int], Frames]
"""Audio and a number of frames to features `[frame, dim]`."""


def _read(
    which: npt.NDArray[np.int64],
    pieces: Pieces,
    frame: Frame,
    features: Features,
    counts: npt.NDArray[np.int64],
    title: str,
) -> Iterator[tuple[int, Frames]]:
    paths, starts = pieces.table["audio"].to_list(), pieces.table["start"].to_list()
    for piece in track(which.tolist(), title, len(which), "pieces"):
        start = starts[piece]
        heard, _ = audio.read(paths[piece], frame.rate, start, start + float(pieces.seconds[piece]))
        yield piece, features(heard, int(counts[piece]))


def _features(target: TargetFeatures, frame: Frame) -> tuple[Features, str]:
    """Return what computes the features, and what identifies them."""
    if target.features == "mfcc":
        if target.layer not in (None, 0):
            raise SibbolethError(f"objective.targets: mfcc has no layer {target.layer}; leave `layer` out")
        return lambda heard, count: mfcc(heard, frame.rate, frame.hop, frame.field, count), "mfcc"
    encoder = load(EncoderSettings(name=target.features))
    if encoder.rate != frame.rate:
        raise SibbolethError(f"objective.targets: {target.features!r} hears {encoder.rate} Hz, not {frame.rate} Hz")
    if not encoder.frames:
        raise SibbolethError(f"objective.targets: {target.features!r} has no frames, only embeddings of utterances")
    layer = encoder.layers - 1 if target.layer is None else target.layer
    if layer >= encoder.layers:
        raise SibbolethError(
            f"objective.targets: {target.features!r} has the layers 0 to {encoder.layers - 1}, not {layer}"
        )

    def states(heard: Audio, count: int) -> Frames:
        encoder.prepare()
        found = encoder.hidden_states(heard)[layer]
        return nearest(found, len(heard), frame, count)

    return states, f"{encoder.identity}:{layer}"


def nearest(found: Frames, samples: int, frame: Frame, count: int) -> Frames:
    """Take, for each of `count` frames, that one of evenly spaced others which lies nearest in time."""
    centres = np.arange(count) * frame.hop + frame.field / 2
    places = np.floor(centres / samples * len(found)).astype(np.int64)
    return found[np.clip(places, 0, len(found) - 1)]
