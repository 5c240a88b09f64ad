"""Which encoder, layer and fine-tuning for this language, dialect or accent? For models and listeners alike.

Every verb of the command line is a function here: `sibboleth.run("study.toml")`. They load when
first asked for.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sibboleth.recipes.check import check
    from sibboleth.recipes.corpus import describe, prepare
    from sibboleth.recipes.demo import demo
    from sibboleth.recipes.encode import encode
    from sibboleth.recipes.run import run
    from sibboleth.recipes.score import score

__version__ = "0.1.0"

__all__ = ["check", "demo", "describe", "encode", "prepare", "run", "score"]

_MODULES = {"describe": "corpus", "prepare": "corpus"}


def __getattr__(name: str) -> object:
    """Load a verb."""
    if name not in __all__:
        raise AttributeError(f"module 'sibboleth' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sibboleth.recipes.{_MODULES.get(name, name)}"), name)
