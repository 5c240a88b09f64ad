"""Files: written whole or not at all, and where what can be computed again is kept."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it replaces `path` if the block ends well and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def folder() -> Path:
    """Return `$SIBBOLETH_CACHE`, or the platform's place for caches."""
    if chosen := os.environ.get("SIBBOLETH_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sibboleth"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sibboleth" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sibboleth"


def scans(inside: Path | None = None) -> Path:
    """Return the file in which `audio.scan` keeps what it measured."""
    return (inside or folder()) / "scans.sqlite"
