"""Which encoder, layer and fine-tuning for this language, dialect or accent? For models and listeners alike.

The verbs of the command line are functions here: `sibboleth.run("study.toml")`. They load when first asked for.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sibboleth.recipes.check import check
    from sibboleth.recipes.corpus import describe, prepare
    from sibboleth.recipes.curves import curves
    from sibboleth.recipes.demo import demo
    from sibboleth.recipes.eer import eer
    from sibboleth.recipes.encode import encode
    from sibboleth.recipes.plan import plan
    from sibboleth.recipes.plan_power import plan_power
    from sibboleth.recipes.predict import predict
    from sibboleth.recipes.pretrain import pretrain
    from sibboleth.recipes.recommend import recommend
    from sibboleth.recipes.run import run
    from sibboleth.recipes.score import score
    from sibboleth.recipes.status import status
    from sibboleth.recipes.train import train
    from sibboleth.recipes.transcribe import transcribe

__version__ = "0.1.0"

__all__ = [
    "check",
    "curves",
    "demo",
    "describe",
    "eer",
    "encode",
    "plan",
    "plan_power",
    "predict",
    "prepare",
    "pretrain",
    "recommend",
    "run",
    "score",
    "status",
    "train",
    "transcribe",
]

_MODULES = {"describe": "corpus", "prepare": "corpus"}


def __getattr__(name: str) -> object:
    """Load a verb."""
    if name not in __all__:
        raise AttributeError(f"module 'sibboleth' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sibboleth.recipes.{_MODULES.get(name, name)}"), name)
