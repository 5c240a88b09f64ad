"""Claims: which recordings a process is encoding, so that processes that share a cache share the work.

A claim is a locked file beside the shards with the digests in it. The system takes the lock away when the process
ends, however it ends, so a claim without a lock is a dead one's. Where a file system has no locks everybody encodes
what they need: twice the work, the same files.
"""

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from sibboleth import storage
from sibboleth.storage import Lock

PREFIX = ".claim-"
PATIENCE = 600.0
"""Seconds without a finished recording, or window of a long one, after which a living process is taken to be stuck."""


@dataclass(frozen=True)
class Claim:
    """Recordings that a process has said it is encoding."""

    digests: tuple[str, ...]
    guard: Lock

    def progress(self) -> None:
        """Show those who wait that it is not stuck."""
        with contextlib.suppress(OSError):
            os.utime(self.guard.path)

    def release(self) -> None:
        """Let others have what was not done."""
        self.guard.release(remove=True)


@dataclass(frozen=True)
class Holder:
    """Another process that is encoding."""

    who: str
    digests: frozenset[str]


@contextlib.contextmanager
def deciding(folder: Path) -> Iterator[None]:
    """Keep others from claiming while we look and claim. Raises `OSError` where the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with storage.lock(folder / ".deciding") or contextlib.nullcontext():
        yield


def claim(folder: Path, digests: Sequence[str]) -> Claim:
    """Claim recordings; only inside `deciding`."""
    path = folder / f"{PREFIX}{token_hex(8)}"
    guard = storage.lock(path)
    assert guard is not None
    told = {"who": f"process {os.getpid()} on {platform.node() or 'this machine'}", "digests": list(digests)}
    path.write_text(json.dumps(told), encoding="utf-8")
    return Claim(tuple(digests), guard)


def others(folder: Path) -> list[Holder]:
    """List who else is encoding, and remove what dead processes claimed; only inside `deciding`."""
    found = []
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            guard = storage.lock(path, wait=False, make=False)
            if guard is not None:
                guard.release(remove=True)
            elif time.time() - path.stat().st_mtime < PATIENCE:
                told = json.loads(path.read_text(encoding="utf-8"))
                found.append(Holder(told["who"], frozenset(told["digests"])))
    return found
