"""Where what can be computed again is kept: what was measured of audio, and encoded speech."""

import os
import sys
from pathlib import Path


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
