"""Memory: how much of speech, hidden states and features a process may hold at once, where that is limited."""

import contextlib
import functools
import os
import sys
from pathlib import Path

from pydantic import ByteSize, TypeAdapter, ValidationError

from sibboleth.errors import SibbolethError

if sys.platform != "win32":
    import resource

ENVIRONMENT = "SIBBOLETH_MEMORY"
LEAST = 64 * 2**20
"""Bytes below which nothing can be encoded or solved."""


def limit() -> int | None:
    """Return `$SIBBOLETH_MEMORY` in bytes (`4GB`, `512MiB`), none where it is not set.

    It bounds what is held beside the program itself and the weights of an encoder. Raises `SibbolethError` where it is
    no amount, or too small for any work.
    """
    text = os.environ.get(ENVIRONMENT)
    return _parsed(text) if text else None


def at_most(usual: int, share: int) -> int:
    """Return the bytes that a kind of work may hold: as usual, or one of `share` parts of the limit if that is less."""
    limited = limit()
    return usual if limited is None else max(1, min(usual, limited // share))


def require(size: int, share: int, what: str) -> None:
    """Raise `SibbolethError` where something that cannot be divided takes more than its part of the limit."""
    limited = limit()
    if limited is not None and size > limited // share:
        raise SibbolethError(
            f"{ENVIRONMENT}={os.environ[ENVIRONMENT]}: {what} takes {told(size)} at once, and may take one of {share} "
            f"parts of it; give {told(size * share)} or more"
        )


def told(size: int) -> str:
    """Write bytes as one gives them."""
    return f"{-(-size // 10**6):,} MB" if size < 10**9 else f"{-(-size // 10**8) / 10:,.1f} GB"


def available() -> int | None:
    """Return the bytes that new processes may take without others being pushed out; None where nobody says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:")))
    return None


def peak() -> int:
    """Return the most bytes that this process has taken so far."""
    if sys.platform == "win32":
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> int:
    try:
        size = int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise SibbolethError(f"{ENVIRONMENT}={text}: is no amount of memory; give one such as 4GB or 512MiB") from None
    if size < LEAST:
        raise SibbolethError(f"{ENVIRONMENT}={text}: nothing can be done in less than {told(LEAST)}; give more")
    return size
