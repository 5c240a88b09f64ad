"""The sounds of a test, which are all that is served of its audio, whole or in ranges."""

import re
from collections import OrderedDict
from pathlib import Path

import soundfile
from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sibboleth import storage
from sibboleth.errors import InvalidInput
from sibboleth.listeners import test

HELD = 128 * 2**20
"""Bytes kept in memory; starlette's own way with files takes a thread and ten times the time for each request."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Sounds:
    """Sounds by the names that the drawn test gave them; any other name is unknown, whatever it spells."""

    def __init__(self, folder: Path, names: set[str]) -> None:
        """Find them; raises `InvalidInput` where one is missing."""
        self._paths = {name: find(folder, name) for name in names}
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    async def response(self, name: str, asked: str | None) -> Response:
        """Send a sound, or the range of it that a `Range` header asks for; raises 404 and 416."""
        if name not in self._paths:
            raise HTTPException(404, "no such sound")
        content = self._held.get(name)
        if content is None:
            content = await to_thread.run_sync(self._paths[name].read_bytes)
            self._keep(name, content)
        else:
            self._held.move_to_end(name)
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=86400"}
        found = _RANGE.fullmatch(asked or "")
        if found is None or not (found[1] or found[2]):  # several ranges at once may be answered with all of it
            return Response(content, media_type="audio/wav", headers=headers)
        start, end = _span(found[1], found[2], len(content))
        if start >= end:
            raise HTTPException(416, "no such range", {"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        return Response(content[start:end], 206, media_type="audio/wav", headers=headers)

    def _keep(self, name: str, content: bytes) -> None:
        if name in self._held:  # another request was quicker
            return
        self._held[name] = content
        self._size += len(content)
        while self._size > HELD:
            _, gone = self._held.popitem(last=False)
            self._size -= len(gone)


def names(drawn: test.Test) -> set[str]:
    """Return the names of all sounds of a test."""
    tones = {name for trial in drawn.tones for name in trial.audio}
    return {item.audio for item in drawn.items} | tones | ({drawn.loudness} if drawn.loudness else set())


def find(folder: Path, name: str) -> Path:
    """Return the file of a sound; raises `InvalidInput` where the folder's own audio has none, or no whole one."""
    place = (folder / test.AUDIO).resolve()
    path = storage.inside(place, f"{name}.wav").resolve()
    if path.parent != place or not path.is_file():
        raise InvalidInput(f"{folder}: {test.AUDIO}/{name}.wav is missing; copy the whole folder that was drawn")
    try:
        soundfile.info(path)
    except soundfile.LibsndfileError:
        raise InvalidInput(f"{path}: cannot be read as sound; copy the whole folder that was drawn") from None
    return path


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """Return begin and end; `-N` is the last N bytes."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)
