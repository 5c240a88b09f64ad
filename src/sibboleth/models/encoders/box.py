"""Encoders in the box: small, pre-trained on synthetic speech alone, and there without any download."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "boxed"
"""A folder of weights, configuration and model card for each; `make encoders` makes them."""


def names() -> tuple[str, ...]:
    """Return the names that a study can give."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/config.json")))


@cache
def language(name: str) -> str:
    """Return the language that one was pre-trained on, `multi` for several, from its model card."""
    text = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    _, head, _ = text.split("---\n", 2)
    spoken = next(line for line in head.splitlines() if line.startswith("language:"))
    several = [part.strip() for part in spoken.removeprefix("language:").strip(" []").split(",")]
    return several[0] if len(several) == 1 else "multi"
