"""Names and labels in a model card: as text, never as markup."""

import html
import json
from collections.abc import Sequence

_MARKED = str.maketrans({"|": r"\|", "[": r"\[", "]": r"\]"})


def text(said: str) -> str:
    """Escape what would be HTML, a link or the end of a table's cell, on one line."""
    return html.escape(" ".join(said.split()), quote=False).translate(_MARKED)


def listed(names: Sequence[str]) -> str:
    """Write a list for a card's metadata that every reader of YAML takes as one of texts: `no` is a language."""
    return "[" + ", ".join(map(quoted, names)) + "]"


def quoted(name: str) -> str:
    """Write a text for a card's metadata."""
    return json.dumps(name, ensure_ascii=False)
