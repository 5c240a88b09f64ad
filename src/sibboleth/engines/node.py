"""What a process on a node of a cluster does for a run: it encodes, or it fills a cell, from what all nodes see."""

import contextlib
import functools
import os
import pickle
import platform
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from sibboleth import memory, mirrors, storage
from sibboleth.engines.unit import Outcome, Unit, carried_out, failed
from sibboleth.errors import CannotWrite, SibbolethError
from sibboleth.experiment import record, tuned_inputs
from sibboleth.experiment.cells import Aligned, Cell
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedCell, TunedWork
from sibboleth.mirrors import Mirror
from sibboleth.runs import RunDirectory
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    import pyarrow
    import ray

    from sibboleth.models.cache import Store
    from sibboleth.models.encoders import Encoder

    Shelf = Path | ray.ObjectRef[Any]
    """Where a process finds the material: a file of the process that began it, or in Ray's store."""

RETRIES = 3
"""Times that work is begun again after its process or node was lost."""


@dataclass(frozen=True)
class Place:
    """Where a run works; every process finds it so, whatever node it is on."""

    work: Path
    """The folder that the command was given in: names of encoders may be relative to it."""
    cache: Path
    directory: Path
    """Of the run."""
    mark: str
    """Name of an empty file in both, so that a folder of the same name on a node's own disk is not taken for it."""
    threads: int
    """That a unit of work computes with: bits may depend on how many there are."""
    memory: str | None = None
    """The limit of memory of each process, as it was given; bits may depend on that, too."""
    cache_store: str | None = None
    """Address of the object store that holds the cache: every node has a copy of its own of what it needs."""
    run_store: str | None = None
    """The same of the run."""

    def unseen(self, also: Sequence[Path] = ()) -> list[str]:
        """List what this node does not see."""
        shared = ((self.cache, self.cache_store), (self.directory, self.run_store))
        unmarked = [address or str(folder) for folder, address in shared if not self._marked(folder, address)]
        return unmarked + [str(path) for path in also if not path.exists()]

    def _marked(self, folder: Path, address: str | None) -> bool:
        if address is None:
            return (folder / self.mark).exists()
        return Mirror(folder, address).read(self.mark) is not None

    def enter(self) -> None:
        """Make this process work there; raises `SibbolethError` where the node does not see it."""
        from sibboleth.models import threads

        if unseen := self.unseen():
            raise SibbolethError(f"{platform.node()}: does not see {unseen[0]}, which must be shared by all nodes")
        if self.work.is_dir():
            os.chdir(self.work)
        os.environ["SIBBOLETH_CACHE"] = self.cache_store or str(self.cache)
        if self.memory is not None:
            os.environ[memory.ENVIRONMENT] = self.memory
        threads.use(self.threads)

    @contextlib.contextmanager
    def filling(self, file: str) -> Iterator[None]:
        """Exchange a cell with the object store of the run, if any: what is known of it now, what is written at once.

        Others' cells stay where they are: what they remove meanwhile would come back.
        """
        if self.run_store is None:
            yield
            return
        mirror = Mirror(self.directory, self.run_store)
        mirrors.fetch(mirror, mirrors.CELLS, of=Path(file).with_suffix("").as_posix())
        with storage.telling(mirrors.followed(mirror)):
            yield


@contextlib.contextmanager
def shared(directory: RunDirectory, threads: int) -> Iterator[Place]:
    """Mark the folders that all processes of a run share while it works there."""
    cache, path = storage.folder().absolute(), directory.path.absolute()
    mark = f"{storage.PART}seen-{token_hex(8)}"
    limit, stores = os.environ.get(memory.ENVIRONMENT), (storage.mirrored(), directory.store)
    with contextlib.ExitStack() as stack:
        for folder in (cache, path):
            folder.mkdir(parents=True, exist_ok=True)
            held = storage.lock(folder / mark)
            assert held is not None
            stack.callback(held.release, remove=True)
        for folder, address in zip((cache, path), stores, strict=True):
            if address is not None:
                mirror = Mirror(folder, address)
                mirror.write(mark, b"")
                stack.callback(mirror.remove, [mark])
        yield Place(Path.cwd(), cache, path, mark, threads, limit, *stores)


def settings(encoder: "Encoder", material: Material) -> EncoderSettings:
    """Return how an encoder is loaded elsewhere, with the precision that was chosen here."""
    asked = next(one for one in material.study.encoders if one.name == encoder.name)
    return asked.model_copy(update={"precision": encoder.precision})


def needed(material: Material) -> Material:
    """Return what of the material a cell is filled from."""
    return replace(material, corpora=(), excluded=material.excluded.clear())


def look(place: Place, audio: Sequence[Path], versions: dict[str, str]) -> list[str]:
    """Say what keeps this node from working for a run."""
    who = f"node {platform.node()}"
    try:
        troubles = [f"{who} does not see {path}" for path in place.unseen(audio)]
    except SibbolethError as error:
        return [f"{who}: {error}"]
    for folder in (place.cache, place.directory):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            troubles.append(f"{who} may not write in {folder}")
    mine = record.versions()
    for name in sorted(versions.keys() | mine.keys()):
        if versions.get(name) != mine.get(name):
            troubles.append(f"{who} has {name} {mine.get(name)}, and the run has {versions.get(name)}")
    return troubles


@dataclass(frozen=True)
class Trouble:
    """Why an encoder cannot be encoded with."""

    reason: str
    fatal: bool
    """Whether it holds for all other encoders, too."""


@dataclass(frozen=True)
class Encoders:
    """The processes that encode with one encoder."""

    place: Place
    settings: EncoderSettings
    identity: str
    layers: tuple[int, ...]
    """Whose frames are kept."""
    count: int
    """How many there are at most."""
    cpus: int
    gpus: int
    """Of each."""


class Encoding:
    """Encodes blocks of recordings into the cache: an actor of Ray Data."""

    def __init__(self, asked: Encoders) -> None:
        """Do nothing yet, so that all trouble is told by `__call__`."""
        self.asked = asked

    def __call__(self, block: "pyarrow.Table") -> "pyarrow.Table":
        """Encode what nobody else has; returns a row with the reason where the encoder fails altogether.

        Recordings that it fails on are found again by the process that began the run, which says why.
        """
        import pyarrow

        reason, fatal = None, False
        try:
            self._encode(block)
        except Exception as error:
            reason = str(error) if isinstance(error, SibbolethError) else f"{type(error).__name__}: {error}"
            fatal = isinstance(error, CannotWrite)
        return pyarrow.table({"reason": pyarrow.array([reason], pyarrow.string()), "fatal": [fatal]})

    def _encode(self, block: "pyarrow.Table") -> None:
        from sibboleth.models.cache import Cache
        from sibboleth.models.encoding import Recording
        from sibboleth.models.filling import Filling

        self.asked.place.enter()
        encoder, store = self._opened
        filling = Filling(encoder, store, self.asked.layers, Cache().scans, share=1)  # a block is a share already
        deque(filling.fill([Recording(**row) for row in block.to_pylist()]), maxlen=0)

    @functools.cached_property
    def _opened(self) -> tuple["Encoder", "Store"]:
        from sibboleth.models.cache import Cache

        encoder = loaded(self.asked.settings, self.asked.identity)
        encoder.prepare()
        store = Cache().store(encoder)
        self._guard = store.use()
        return encoder, store


def stream(asked: Encoders, blocks: "Sequence[pyarrow.Table]") -> Trouble | None:
    """Stream blocks of recordings through the processes that encode; returns what stopped them, if anything."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    read = ray.data.from_arrow(list(blocks))
    encoded = read.map_batches(
        Encoding,
        fn_constructor_args=(asked,),
        batch_size=max(map(len, blocks)) if asked.gpus else None,  # which Ray wants to be told with an accelerator
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=asked.count),
        num_cpus=asked.cpus,
        num_gpus=asked.gpus,
        max_restarts=RETRIES,
        max_task_retries=RETRIES,
    )
    try:
        for row in encoded.iter_rows():
            if row["reason"] is not None:
                return Trouble(row["reason"], row["fatal"])
    except ray.exceptions.RayError as error:
        return Trouble(lost("processes that encode", error), False)
    return None


def fill(place: Place, cell: Cell | TunedCell, settings: EncoderSettings | None, shelf: "Sequence[Shelf]") -> Outcome:
    """Fill a cell; `shelf` has the study's material, and `settings` are of the encoder of a method."""
    place.enter()
    with place.filling(cell.file(_material(shelf[0]))):
        return _filled(place, cell, settings, shelf)


def _filled(
    place: Place, cell: Cell | TunedCell, settings: EncoderSettings | None, shelf: "Sequence[Shelf]"
) -> Outcome:
    material, directory = _material(shelf[0]), RunDirectory(place.directory)
    try:
        unit = _unit(place, cell, settings, shelf[0])
    except Exception as error:
        return failed(cell, error, material, directory)
    if unit.finished(material, directory):  # by a process that was lost before it could say so
        return Outcome.of(cell, cell.file(material))
    try:
        *_, outcome = _ends(carried_out(unit, material, directory))
    except CannotWrite as error:
        return Outcome(cell.file(material), cell.encoder, cell.method, cell.source, reason=str(error), fatal=True)
    assert outcome is not None
    return outcome


def lost(what: str, error: Exception) -> str:
    """Say that processes were lost."""
    kind = type(error).__name__
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    hint = ""
    if kind == "OutOfMemoryError":
        hint = "; a node works on fewer at once where OMP_NUM_THREADS is higher"
    return f"{what} were lost {RETRIES + 1} times ({kind}: {first.strip()}){hint}"


def loaded(settings: EncoderSettings, identity: str) -> "Encoder":
    """Load an encoder; raises `SibbolethError` where this node has another one under its name."""
    encoder = _encoder(settings)
    if encoder.identity != identity and hasattr(encoder, "unshortened"):
        encoder = encoder.unshortened()
    if encoder.identity != identity:
        raise SibbolethError(
            f"encoder {settings.name!r}: {platform.node()} has other weights, settings or code under this name than "
            f"the node that began the run ({encoder.identity[:12]} instead of {identity[:12]})"
        )
    return encoder


def _ends(steps: Iterator[Outcome | None]) -> Iterator[Outcome | None]:
    return iter(deque(steps, maxlen=1))


@functools.lru_cache(maxsize=2)
def _encoder(settings: EncoderSettings) -> "Encoder":
    from sibboleth.models import encoders

    return encoders.load(settings)


@functools.lru_cache(maxsize=1)
def _material(reference: "Shelf") -> Material:
    if isinstance(reference, Path):
        with reference.open("rb") as stream:
            material: Material = pickle.load(stream)
        return material
    import ray

    material = ray.get(reference)
    return material


@functools.lru_cache(maxsize=1)
def _aligned(place: Place, identity: str, reference: "Shelf") -> Aligned:
    """Read from the cache what was encoded; kept for the next cell of the encoder."""
    from sibboleth.models import features
    from sibboleth.models.cache import Cache

    material = _material(reference)
    found = features.cached(Cache().of(identity), material.table, material.scan)
    return Aligned(found, material.table["utterance"].to_list())


def _unit(place: Place, cell: Cell | TunedCell, settings: EncoderSettings | None, reference: "Shelf") -> Unit:
    """Read what a cell is filled from; raises `SibbolethError` where that is not what the run began with."""
    from sibboleth.models.cache import Cache

    if isinstance(cell, Cell):
        aligned = _aligned(place, cell.identity, reference)
        unit = Unit(cell, aligned)
        same = aligned.missing == cell.missing
    else:
        assert settings is not None
        work = TunedWork(loaded(settings, cell.identity), cell.tuning, (cell,))
        found = tuned_inputs.inputs(work, _material(reference), Cache())
        unit = Unit(cell, found.inputs, work)
        same = (found.missing, found.short) == (cell.missing, cell.short)
    if not same:
        raise SibbolethError(f"{place.cache}: has lost features while they were in use; run the same command again")
    return unit
