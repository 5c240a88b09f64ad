"""Witnessing: recordings that are heard again as they are decoded, so that nothing is filed under another's digest."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sibboleth import audio
from sibboleth.audio import rechecking
from sibboleth.audio.rechecking import Digest
from sibboleth.models.encoders import WINDOW, Audio
from sibboleth.models.encoding import Recording

CHANGED = "it is no longer what was scanned: the file was changed meanwhile; run the same command again"


def _nothing() -> None:
    """Tell nobody of progress."""


@dataclass(frozen=True)
class Witnessed(Recording):
    """A recording that is only used if what is decoded has its digest: nothing is ever filed under another.

    Every piece that an encoder asks for shows that it has done the one before, so `progress` is called with each.
    """

    progress: Callable[[], None] = field(default=_nothing, kw_only=True, compare=False)
    heard: dict[str, bool] = field(default_factory=dict, compare=False)

    def read(self, rate: int) -> Audio:
        """Read all of it at a rate."""
        self.progress()
        digest = Digest()
        samples, _ = audio.read(self.path, rate, self.start, self.end, hear=digest)
        self._compare(digest.hexdigest())
        return samples

    def blocks(self, rate: int) -> Iterator[Audio]:
        """Read it in blocks of bounded size."""
        digest = Digest()
        for block in audio.blocks(self.path, rate, self.start, self.end, seconds=WINDOW, hear=digest):
            self.progress()
            yield block
        self._compare(digest.hexdigest())

    def is_what_it_was(self) -> bool:
        """Say whether all that was decoded was what was scanned."""
        if self.digest not in self.heard:  # it was never read to its end
            self._compare(rechecking.digest(self.path, self.start, self.end))
        return self.heard[self.digest]

    def left_out(self, failure: str | None) -> str | None:
        """Say why nothing of it may be kept, if so; `failure` is why there is nothing."""
        if self.heard.get(self.digest) is False:
            return CHANGED
        if failure is not None:
            return failure
        with contextlib.suppress(audio.UnreadableAudio):
            if self.is_what_it_was():
                return None
        return CHANGED

    def _compare(self, digest: str) -> None:
        self.heard[self.digest] = self.heard.get(self.digest, True) and digest == self.digest
        if digest != self.digest:
            raise audio.UnreadableAudio(self.path, CHANGED, lasting=False)
