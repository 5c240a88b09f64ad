"""Files: written whole or not at all, locks that end with their process, and where what can be made again is kept."""

import contextlib
import errno
import hashlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from sibboleth.errors import InvalidInput

if sys.platform != "win32":
    import fcntl

ENVIRONMENT = "SIBBOLETH_CACHE"
SCANS = "scans.sqlite"
LONGEST = 200
"""Bytes of a part of a path; file systems take 255, of which what a file is called while it is written has some."""
SHOWN = 80
"""Characters of a refused name that its error shows."""
PART = ".part-"
"""Names of files that are still being written begin so."""
STALE = 3600.0
"""Seconds after which a file that is still being written is what a killed process left, where locks cannot tell."""


_told: list[Callable[[Path], None]] = []


@contextlib.contextmanager
def atomic(path: Path, *, told: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; it replaces `path` if the block ends well and vanishes otherwise.

    Who wants to know of files that are written is told, unless not `told`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, guard = _begun(path)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        guard.release()
    for tell in _told if told else ():
        tell(path)


@contextlib.contextmanager
def telling(tell: Callable[[Path], None]) -> Iterator[None]:
    """Have every file told of that is written whole, by any thread, while the block runs."""
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file that is named as somebody else chose, such as an utterance.

    Raises `InvalidInput` where it would lead out of the folder, be hidden, or can be no name of a file.
    """
    parts = name.split("/")
    leads_out = "\0" in name or (sys.platform == "win32" and set("\\:") & set(name))
    if leads_out or any(part[:1] in ("", ".") or len(os.fsencode(part)) > LONGEST for part in parts):
        told = repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
        raise InvalidInput(f"{folder}: {told} is no name for a file in it; rename the utterance")
    return folder / name


def parquet(source: Path | bytes) -> pl.DataFrame:
    """Read a Parquet file, or its bytes; raises `ValueError` saying why where it is none or damaged, and `OSError`."""
    try:
        return pl.read_parquet(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"not a whole Parquet file: {told}") from None


def settle(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file, or see that the one that is there says the same; raises `InvalidInput` where it does not."""
    if not path.exists():
        write(path)
        return
    fresh = path.with_name(f".{path.stem}-fresh{path.suffix}")
    try:
        write(fresh)
        if fresh.read_bytes() == path.read_bytes():
            return
    finally:
        fresh.unlink(missing_ok=True)
    raise InvalidInput(f"{path}: is there already and says something else, perhaps by hand; move it away")


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; those of living ones stay."""
    for path in folder.glob(f"{PART}*"):
        with contextlib.suppress(OSError):
            guard = lock(path, wait=False, make=False)
            if guard is None:
                continue
            if guard.sure or time.time() - path.stat().st_mtime > STALE:
                path.unlink()
            guard.release()


class Lock:
    """A lock on a file. The system takes it away when the process ends, however it ends."""

    def __init__(self, path: Path, handle: int, sure: bool) -> None:
        """Hold it; not `sure` where the file system has no locks, so that everybody is given one."""
        self.path = path
        self.sure = sure
        self._handle = handle

    def release(self, *, remove: bool = False) -> None:
        """Let others have it; with `remove` its file goes, too."""
        handle, self._handle = self._handle, -1  # first of all, so that a stop in here never closes it twice
        if handle < 0:
            return
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(handle)

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def lock(path: Path, *, shared: bool = False, wait: bool = True, make: bool = True) -> Lock | None:
    """Lock a file, which is made where it is not there; None if another holds it and we do not wait.

    A shared lock can be held by many, an exclusive one by one alone. Raises `OSError` where the file cannot be made.
    """
    while True:
        handle = os.open(path, (os.O_RDWR | os.O_CREAT) if make else os.O_RDONLY, 0o666)
        try:
            sure = _flock(handle, shared, wait)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        held = Lock(path, handle, sure)
        if sys.platform == "win32" or _is(handle, path):
            return held
        held.release()  # its last holder removed it while we waited


def _flock(handle: int, shared: bool, wait: bool) -> bool:
    """Lock an open file; says whether the file system can. Raises `BlockingIOError` if another holds it."""
    if sys.platform == "win32":
        return False
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF):
            return False
        raise
    return True


def _is(handle: int, path: Path) -> bool:
    """Say whether a path still leads to an open file."""
    try:
        there = path.stat()
    except OSError:
        return False
    mine = os.fstat(handle)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _begun(path: Path) -> tuple[Path, Lock]:
    """Make an empty temporary file beside `path` and lock it, so that no sweep takes it."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PART}{path.stem[:40]}-", suffix=path.suffix)
        temporary = Path(name)
        if sys.platform == "win32":  # an open file cannot be replaced there
            os.close(handle)
            return temporary, Lock(temporary, -1, False)
        guard = Lock(temporary, handle, _flock(handle, shared=False, wait=True))
        if _is(handle, temporary):
            return temporary, guard
        guard.release()  # swept before it was locked


def folder() -> Path:
    """Return `$SIBBOLETH_CACHE`, or the platform's place for caches; of an object store, where its copy here is."""
    if address := mirrored():
        return _own() / "stores" / hashlib.sha256(address.encode()).hexdigest()[:16]
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen).expanduser() if chosen else _own()


def mirrored() -> str | None:
    """Return `$SIBBOLETH_CACHE` where it is the address of an object store (`s3://BUCKET/PATH`)."""
    chosen = os.environ.get(ENVIRONMENT, "")
    return chosen.rstrip("/") if "://" in chosen else None


def _own() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sibboleth"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sibboleth" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sibboleth"


def scans(inside: Path | None = None) -> Path:
    """Return the file in which `audio.scan` keeps what it measured."""
    return (inside or folder()) / SCANS
