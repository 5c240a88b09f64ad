"""What an engine is: it encodes recordings into the cache and fills cells, here or elsewhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import polars as pl

from sibboleth.engines.unit import Outcome, Unit

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.features import Features


class Engine(Protocol):
    """Carries out the work of one run. What comes out does not depend on where, or in what order, it was done."""

    def extract(
        self, encoder: "Encoder", table: pl.DataFrame, scan: pl.DataFrame, cache: "Cache", frames: Sequence[int] = ()
    ) -> "Features":
        """Encode what the cache has not, and return the features of all, as `models.features.extract`."""

    def begin(self, title: str, units: Sequence[Unit]) -> None:
        """Begin to fill the cells of one encoder, or of one encoder and method, that are not filled yet.

        It may return before they are. Raises `CannotWrite` where nothing can be written.
        """

    def outcomes(self) -> dict[str, Outcome]:
        """Wait for all that was begun; returns what became of it by the cells' files.

        Raises `CannotWrite` where nothing can be written.
        """
