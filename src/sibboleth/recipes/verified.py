"""How a verification of an encoder is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sibboleth.models.verification import Verification, Way


@dataclass(frozen=True)
class Verified:
    """What was measured about an encoder, layer by layer."""

    measured: "Verification"

    @property
    def exact(self) -> bool:
        """Whether every way that must give the same features does."""
        return all(way.holds for way in self.measured.ways)

    def __rich__(self) -> RenderableType:
        """Show distances and speeds of every way, and the layers of those that are not exact."""
        from sibboleth.models.verification import EXACT

        measured = self.measured
        title = (
            f"{measured.encoder}, {measured.utterances} utterances ({measured.seconds:.0f} s), against "
            f"{measured.plainest} ({measured.plain_speed:.3g} times real time)"
        )
        table = Table(title=title, title_justify="left")
        for heading in ("way of encoding", "differ by", "of spread", "layer", "x real time", ""):
            worded = heading in ("way of encoding", "")
            table.add_column(heading, justify="left" if worded else "right", no_wrap=heading != "")
        for way in measured.ways:
            worst = int(way.spread.argmax())
            missed = Text(f"not within {EXACT:g}", style="bold red")
            verdict = "" if not way.exact else "exact" if way.holds else missed
            numbers = (f"{way.distance.max():.2g}", f"{way.spread.max():.2g}", str(worst), f"{way.speed:.3g}")
            table.add_row(way.name, *numbers, verdict)
        inexact = [way for way in measured.ways if not way.exact]
        layers = [_layers(inexact)] if inexact else []
        return Group(table, *layers, Text(EXPLANATION, style="dim"))


EXPLANATION = (
    "differ by: norm of the difference of all frames of a layer, by their norm, in the worst utterance and "
    "layer. of spread: how far an utterance's mean over time moves, as a share of how far utterances lie from "
    "each other, which is what a probe sees. Speeds include nothing but the encoder."
)


def _layers(ways: Sequence["Way"]) -> Table:
    """Show the layers of ways that are not exact."""
    table = Table(title="layer by layer", title_justify="left")
    table.add_column("layer", justify="right")
    for way in ways:
        table.add_column(f"{way.name}: differ by", justify="right")
        table.add_column("of spread", justify="right")
    for layer in range(len(ways[0].distance)):
        cells = [cell for way in ways for cell in (f"{way.distance[layer]:.2g}", f"{way.spread[layer]:.2g}")]
        table.add_row(str(layer), *cells)
    return table
