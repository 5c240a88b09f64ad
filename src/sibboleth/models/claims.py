"""Claims: which recordings a process is encoding, so that processes that share a cache share the work.

A claim is a locked file beside the shards with the digests in it. The system takes the lock away when the process
ends, however it ends, so a claim without a lock is a dead one's. Where a file system has no locks everybody encodes
what they need: twice the work, the same files. An object store has no locks: a claim there is believed as long as it is
young, and who sees another for the same recordings, once the own is written, withdraws it and tries again.
"""

import contextlib
import json
import os
import platform
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from sibboleth import storage
from sibboleth.errors import SibbolethError
from sibboleth.mirrors import Mirror
from sibboleth.storage import Lock

PREFIX = ".claim-"
RENEWED = 60.0
"""Seconds after which a claim in an object store is written again."""
APART = 4.0
"""Machines that claimed the same come back within so many times as long as it takes to claim."""
PATIENCE = 600.0
"""Seconds without a finished recording, or window of a long one, after which a living process is taken to be stuck."""


@dataclass
class Claim:
    """Recordings that a process has said it is encoding."""

    digests: tuple[str, ...]
    guard: Lock
    mirror: Mirror | None = None
    """The object store that machines without a common disk see it in."""
    _seen: float = field(default=0.0, init=False)

    def told(self, mirror: Mirror | None) -> None:
        """Write it where others see it."""
        who = f"process {os.getpid()} on {platform.node() or 'this machine'}"
        text = json.dumps({"who": who, "digests": list(self.digests), "seen": time.time()})
        if mirror is None:
            self.guard.path.write_text(text, encoding="utf-8")
        else:
            mirror.write(self.guard.path.name, text.encode())
            self._seen = time.monotonic()

    def progress(self) -> None:
        """Show those who wait that it is not stuck."""
        with contextlib.suppress(OSError):
            os.utime(self.guard.path)
        if self.mirror is not None and time.monotonic() - self._seen > RENEWED:
            with contextlib.suppress(SibbolethError):
                self.told(self.mirror)

    def release(self) -> None:
        """Let others have what was not done."""
        self.guard.release(remove=True)
        if self.mirror is not None:
            with contextlib.suppress(SibbolethError):
                self.mirror.remove([self.guard.path.name])


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


def claim(folder: Path, digests: Sequence[str], mirror: Mirror | None = None) -> Claim | None:
    """Claim recordings; only inside `deciding`. None where a machine that we could not see claims them, too.

    Each writes its claim before it looks for others, so that of two who meet one withdraws at least, or both do, and
    come back after times of their own.
    """
    guard = storage.lock(folder / f"{PREFIX}{token_hex(8)}")
    assert guard is not None
    mine = Claim(tuple(digests), guard, mirror)
    mine.told(None)
    if mirror is not None:
        begun = time.monotonic()
        mine.told(mirror)
        if any(one.digests & set(digests) for one in _elsewhere(folder, mirror)):
            mine.release()
            time.sleep(random.uniform(0, APART * (time.monotonic() - begun)))
            return None
    return mine


def others(folder: Path, mirror: Mirror | None = None) -> list[Holder]:
    """List who else is encoding, and remove what dead processes claimed; only inside `deciding`."""
    found, dead = [], []
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            guard = storage.lock(path, wait=False, make=False)
            if guard is not None:
                guard.release(remove=True)
                dead.append(path.name)
            elif time.time() - path.stat().st_mtime < PATIENCE:
                found.append(_holder(path.read_bytes()))
    if mirror is not None:
        mirror.remove(dead)
        found += _elsewhere(folder, mirror)
    return found


def _elsewhere(folder: Path, mirror: Mirror) -> list[Holder]:
    """List who is encoding on machines that do not see our folder."""
    found = []
    for name in mirror.names():
        if name.startswith(PREFIX) and not (folder / name).exists():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                content = mirror.read(name) or b""
                if time.time() - json.loads(content)["seen"] < PATIENCE:
                    found.append(_holder(content))
    return found


def _holder(content: bytes) -> Holder:
    told = json.loads(content)
    return Holder(told["who"], frozenset(told["digests"]))
