"""A Ray cluster: recordings are streamed through processes that encode, and every cell is a task of its own.

Whatever is lost with a process or node is begun again elsewhere; what it had finished lies in the cache or in the run
directory, which all nodes share. Each unit of work computes with as many threads as it would in this process, so that
the numbers are the same.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from sibboleth import mirrors
from sibboleth.engines import cluster, node
from sibboleth.engines.cluster import Cluster
from sibboleth.engines.unit import Outcome, Unit, failed
from sibboleth.errors import CannotWrite, SibbolethError
from sibboleth.experiment import states
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedCell
from sibboleth.mirrors import Mirror
from sibboleth.progress import console, track
from sibboleth.runs import RunDirectory

if TYPE_CHECKING:
    import pyarrow
    import ray

    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.encoding import Recording
    from sibboleth.models.features import Features

PERIOD = 1.0
"""Seconds after which what was done is looked at again."""
SHARE = 10.0
"""How many times as long as a look takes is waited before the next, at least."""
BLOCKS = 10_000
"""Blocks of recordings that are streamed, about at most."""


@contextlib.contextmanager
def opened(address: str | None, material: Material, directory: RunDirectory) -> Iterator["Ray"]:
    """Connect to a cluster, or start one of this machine alone that ends with the block.

    Raises `SibbolethError` where there is no such cluster or a node cannot work for the run, saying which and why.
    """
    with cluster.connected(address) as there, there.shared(material, directory) as place:
        console.print(there.told())
        yield Ray(there, place, material, directory)


@dataclass
class Ray:
    """Does the work of a run on a cluster."""

    cluster: Cluster
    place: node.Place
    material: Material
    directory: RunDirectory
    _shelf: list["ray.ObjectRef[Any]"] = field(default_factory=list, init=False)
    """The material, where the nodes fetch it from."""
    _waiting: dict["ray.ObjectRef[Any]", Unit] = field(default_factory=dict, init=False)
    _outcomes: dict[str, Outcome] = field(default_factory=dict, init=False)

    def extract(
        self, encoder: "Encoder", table: pl.DataFrame, scan: pl.DataFrame, cache: "Cache", frames: Sequence[int] = ()
    ) -> "Features":
        """Encode on the cluster what the cache has not; what fails there is tried here, and its reason is from here."""
        from sibboleth.models import features

        missing = features.missing(encoder, table, scan, cache, frames)
        if missing:
            self._encode(encoder, missing, cache, tuple(sorted(set(frames))))
        return features.extract(encoder, table, scan, cache, frames)

    def begin(self, title: str, units: Sequence[Unit]) -> None:
        """Hand the cells to the cluster, which begins each when a node has room for it."""
        import ray

        if not self._shelf:
            self._shelf.append(ray.put(node.needed(self.material)))
        for unit in units:
            file = unit.cell.file(self.material)
            if unit.finished(self.material, self.directory):
                self._outcomes[file] = Outcome.of(unit.cell, file)
                continue
            learns = isinstance(unit.cell, TunedCell) and self.cluster.gpus > 0
            task = ray.remote(node.fill).options(
                name=title,
                num_cpus=1 if unit.narrow else self.cluster.cpus,
                num_gpus=1 if learns else 0,
                max_retries=node.RETRIES,
            )
            settings = None if unit.work is None else node.settings(unit.work.encoder, self.material)
            reference = task.remote(self.place, unit.cell, settings, self._shelf)
            self._waiting[reference] = unit

    def outcomes(self) -> dict[str, Outcome]:
        """Wait for all cells; one whose process was lost too often has failed."""
        total = sum(unit.steps for unit in self._waiting.values())
        for _ in track(self._followed(), f"Filling {len(self._waiting)} cells", total, "steps"):
            pass
        return dict(self._outcomes)

    def _followed(self) -> Iterator[None]:
        """Yield every step of the cells that were begun, and settle those that end."""
        import ray

        shown, ended = 0, 0
        while self._waiting:
            ready, _ = ray.wait(list(self._waiting), num_returns=1, timeout=PERIOD)
            for reference in ready:
                unit = self._waiting.pop(reference)
                ended += unit.steps
                self._settle(reference, unit)
            files = [unit.cell.file(self.material) for unit in self._waiting.values()]
            for _ in range(ended + states.under_way(self.directory, files) - shown):
                shown += 1
                yield

    def _settle(self, reference: "ray.ObjectRef[Any]", unit: Unit) -> None:
        import ray

        try:
            outcome: Outcome = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            outcome = failed(unit.cell, _cause(error), self.material, self.directory)
        except ray.exceptions.RayError as error:
            told = SibbolethError(node.lost("processes that filled it", error))
            outcome = failed(unit.cell, told, self.material, self.directory)
        if outcome.fatal:
            raise CannotWrite(str(outcome.reason))
        if self.place.run_store is not None:
            mirror = Mirror(self.directory.path, self.place.run_store)
            for folder in (mirrors.CELLS, states.LOGS):
                mirrors.fetch(mirror, folder, begun=False)
        self._outcomes[outcome.file] = outcome

    def _encode(
        self, encoder: "Encoder", missing: "Sequence[Recording]", cache: "Cache", layers: tuple[int, ...]
    ) -> None:
        """Stream recordings through the processes that encode, and wait for them."""
        import ray

        from sibboleth.models.encoding import SORTED
        from sibboleth.models.filling import BATCH_UTTERANCES

        cpus, gpus, most = self.cluster.encoders(encoder)
        blocks = _blocks(missing, SORTED // BATCH_UTTERANCES if gpus else 1)
        count = min(most, len(blocks))
        asked = node.Encoders(
            self.place, node.settings(encoder, self.material), encoder.identity, layers, count, cpus, gpus
        )
        # The stream is a task, too: it lives on the cluster even where this process does not, and says nothing here.
        task = ray.remote(node.stream).options(
            name=f"Encoding with {encoder.name}", num_cpus=0, max_retries=node.RETRIES
        )
        reference = task.remote(asked, blocks)
        total = round(sum(recording.seconds for recording in missing))
        for _ in track(
            _grown(encoder, missing, cache, layers, reference), f"Encoding with {encoder.name}", total, "s of audio"
        ):
            pass
        try:
            trouble: node.Trouble | None = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except ray.exceptions.RayError as error:
            raise SibbolethError(node.lost("processes that encode", error)) from None
        if trouble is not None:
            raise (CannotWrite if trouble.fatal else SibbolethError)(trouble.reason)


def _blocks(recordings: "Sequence[Recording]", shards: int) -> "list[pyarrow.Table]":
    """Divide recordings into blocks, in order: each as much as some shards hold, or more where there are very many."""
    import pyarrow

    from sibboleth.models.filling import BATCH_SECONDS, BATCH_UTTERANCES

    larger = max(shards, len(recordings) // (BLOCKS * BATCH_UTTERANCES))
    schema = pyarrow.schema(
        {"digest": "string", "path": "string", "start": "float64", "end": "float64", "seconds": "float64"}
    )
    blocks, rows, seconds = [], [], 0.0
    for recording in recordings:
        rows.append(vars(recording))
        seconds += recording.seconds
        if len(rows) >= larger * BATCH_UTTERANCES or seconds >= larger * BATCH_SECONDS:
            blocks.append(pyarrow.Table.from_pylist(rows, schema))
            rows, seconds = [], 0.0
    return [*blocks, pyarrow.Table.from_pylist(rows, schema)] if rows else blocks


def _grown(
    encoder: "Encoder",
    missing: "Sequence[Recording]",
    cache: "Cache",
    layers: Sequence[int],
    reference: "ray.ObjectRef[Any]",
) -> Iterator[None]:
    """Yield every second of audio that appears in the cache, until the stream ends."""
    import ray

    store = cache.store(encoder)
    guard = store.use()
    left = {recording.digest: recording.seconds for recording in missing}
    done, shown, pause = 0.0, 0, PERIOD
    while not ray.wait([reference], timeout=pause)[0]:
        begun = time.monotonic()
        store.refresh(encoder.identity)
        done += sum(left.pop(digest) for digest in store.whole(left, layers))
        for _ in range(round(done) - shown):
            shown += 1
            yield
        pause = max(PERIOD, SHARE * (time.monotonic() - begun))
    if guard is not None:
        guard.release()


def _cause(error: "ray.exceptions.RayTaskError") -> Exception:
    """Return what a task raised."""
    cause = error.cause
    return cause if isinstance(cause, Exception) else error
