"""Transcripts that are there already: one file per recogniser, a line per recording, added as each is done."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sibboleth import storage
from sibboleth.errors import SibbolethError


class Kept:
    """What one recogniser has transcribed, by digest of the audio.

    A line that a stop cut off is passed over, so what it told is transcribed again.
    """

    def __init__(self, identity: str) -> None:
        """Find the file in the cache; `identity` is the recogniser's."""
        self.path: Path = storage.folder() / "transcripts" / f"{identity}.jsonl"

    def read(self) -> dict[str, str]:
        """Return the text of every digest."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from None
        found = {}
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                found[str(row["digest"])] = str(row["text"])
        return found

    @contextlib.contextmanager
    def adding(self) -> Iterator["Adding"]:
        """Open the file to add to; raises `SibbolethError` where it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                yield Adding(stream)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> SibbolethError:
        return SibbolethError(
            f"{self.path}: transcripts cannot be kept ({error.strerror}); make room there or set SIBBOLETH_CACHE to "
            "another folder"
        )


class Adding:
    """A file of transcripts, open to add to."""

    def __init__(self, stream: TextIO) -> None:
        """Add to an open file."""
        self._stream = stream

    def add(self, digest: str, text: str) -> None:
        """Keep one transcript; once this returns, the end of the process loses nothing of it."""
        # The line break before it ends whatever a stop has cut off.
        self._stream.write("\n" + json.dumps({"digest": digest, "text": text}) + "\n")
        self._stream.flush()
