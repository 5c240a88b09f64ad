"""Transcripts that are there already: one file per recogniser, a line per recording, added as each is done."""

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sibboleth import storage
from sibboleth.errors import SibbolethError
from sibboleth.storage import Lock

FOLDER, SUFFIX = "transcripts", ".jsonl"


class Kept:
    """What one recogniser has transcribed, by digest of the audio.

    A line that a stop cut off, or whose checksum is wrong, is passed over, so what it told is transcribed again.
    """

    def __init__(self, identity: str, name: str) -> None:
        """Find the file in the cache; identity and name are the recogniser's."""
        self.name = name
        self.path: Path = storage.folder() / FOLDER / f"{identity}{SUFFIX}"

    def read(self) -> dict[str, str]:
        """Return the text of every digest, and note that it was used."""
        try:
            lines, _ = _read(self.path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from None
        with contextlib.suppress(OSError):  # a cache that we may only read stays as it is
            os.utime(self.path)
        return {one["digest"]: one["text"] for one in lines}

    @contextlib.contextmanager
    def adding(self) -> Iterator["Adding"]:
        """Open the file to add to; raises `SibbolethError` where it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            guard = storage.lock(self.path, shared=True)  # nobody removes it meanwhile
            assert guard is not None
            with guard, self.path.open("a", encoding="utf-8") as stream:
                yield Adding(stream, self.name)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> SibbolethError:
        return SibbolethError(
            f"{self.path}: transcripts cannot be kept ({error.strerror}); make room there or set SIBBOLETH_CACHE to "
            "another folder"
        )


class Adding:
    """A file of transcripts, open to add to."""

    def __init__(self, stream: TextIO, name: str) -> None:
        """Add to an open file what the recogniser of a name said."""
        self._stream, self._name = stream, name

    def add(self, digest: str, text: str) -> None:
        """Keep one transcript; once this returns, the end of the process loses nothing of it."""
        line = {"recogniser": self._name, "digest": digest, "text": text}
        # The line break before it ends whatever a stop has cut off.
        self._stream.write("\n" + _written(line) + "\n")
        self._stream.flush()


@dataclass(frozen=True)
class Transcripts:
    """What the cache holds of one recogniser; it goes as a whole."""

    path: Path
    names: tuple[str, ...]
    """What the recogniser was called."""
    digests: tuple[str, ...]
    bytes: int
    corrupt: int
    """Lines that tell nothing."""

    @classmethod
    def open(cls, path: Path) -> "Transcripts":
        """Look into a file; raises `SibbolethError` where it cannot be read."""
        try:
            lines, corrupt = _read(path)
            size = path.stat().st_size
        except OSError as error:
            raise SibbolethError(f"{path}: cannot be read ({error.strerror})") from None
        names = sorted({one["recogniser"] for one in lines})
        return cls(path, tuple(names), tuple(dict.fromkeys(one["digest"] for one in lines)), size, corrupt)

    @property
    def folder(self) -> Path:
        """Return what its identity is the name of."""
        return self.path.with_suffix("")

    @property
    def shards(self) -> Mapping[str, "Transcripts"]:
        """Return its only file by name, as of an encoder's store."""
        return {self.path.name: self}

    def emptying(self) -> Lock | None:
        """Keep others from adding to it as long as what is returned is held; None if somebody is adding."""
        try:
            return storage.lock(self.path, wait=False)
        except OSError as error:
            raise SibbolethError(f"{self.path}: cannot be written ({error.strerror})") from None

    def remove(self, names: Collection[str]) -> None:
        """Remove its file."""
        with contextlib.suppress(OSError):  # a cache that we may only read stays as it is
            self.path.unlink(missing_ok=True)

    def mend(self) -> "Transcripts":
        """Leave out the lines that tell nothing; a file that somebody is adding to stays as it is."""
        guard = self.emptying() if self.corrupt else None
        if guard is None:
            return self
        with guard:
            lines, _ = _read(self.path)
            with storage.atomic(self.path) as temporary:
                temporary.write_text("".join(_written(one) + "\n" for one in lines), encoding="utf-8")
        return Transcripts.open(self.path)


def held(cache: Path) -> Iterator[Transcripts]:
    """Open what a cache holds of every recogniser."""
    for path in sorted((cache / FOLDER).glob(f"*{SUFFIX}")):
        if not path.name.startswith(storage.PART):
            yield Transcripts.open(path)


def _read(path: Path) -> tuple[list[dict[str, str]], int]:
    """Return the lines of a file, and how many tell nothing."""
    found, corrupt = [], 0
    for line in path.read_bytes().splitlines():
        row = _line(line)
        if row is not None:
            found.append(row)
        elif line:
            corrupt += 1
    return found, corrupt


def _line(line: bytes) -> dict[str, str] | None:
    """Read one line; None where it was cut off or is not what was written."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        row = json.loads(line)
        checksum = row.pop("checksum")
        if checksum == _checksum(row):
            return {name: str(row[name]) for name in ("recogniser", "digest", "text")}
    return None


def _written(line: Mapping[str, str]) -> str:
    return json.dumps({**line, "checksum": _checksum(line)})


def _checksum(line: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()[:16]
