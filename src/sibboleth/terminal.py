"""What is shown on the terminal: names, labels and texts as they are, whoever wrote them."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Terminal(Console):
    """A console to which text is only text: square brackets are no markup, colons no emoji.

    Control characters, with which a name could move the cursor or rename the window, are left out.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of a console."""
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render without control characters but those of the console itself."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROL.search(segment.text):
                yield segment
            else:
                yield Segment(_CONTROL.sub("", segment.text), segment.style)
