"""How many parameters a method trains, before any weight is loaded, and methods made equally large."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import torch

from sibboleth.methods import MethodSettings
from sibboleth.models.adapters import Adapted, adapt, reach
from sibboleth.models.encoders.stack import Stack
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.encoders.untrained import drawn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class _Outline(Transformer):
    """An encoder without numbers: weights have sizes only."""

    @classmethod
    def of(cls, encoder: Transformer) -> Self:
        """Outline an encoder."""
        return cls(**{one.name: getattr(encoder, one.name) for one in fields(Transformer)})

    def build(self) -> "PreTrainedModel":
        """Make the model without weights."""
        return drawn(self.config)


def counted(method: MethodSettings, encoder: Transformer) -> Adapted:
    """Say what a method would train in an encoder, without loading it; raises as `reach` and `adapt` do."""
    lowest, highest = reach(method, encoder)
    with torch.device("meta"):
        return adapt(Stack(_Outline.of(encoder), lowest, highest), method, 0)


def size(encoder: Transformer, layers: int) -> int:
    """Return how many parameters an encoder has whose first so many layers are kept."""
    with torch.device("meta"):
        return sum(one.numel() for one in Stack(_Outline.of(encoder), layers, layers).parameters())


def matched(method: MethodSettings, other: MethodSettings, encoder: Transformer) -> MethodSettings:
    """Return a method whose size is chosen so that it trains as nearly as possible as many parameters as another.

    Counted is what is trained in the encoder; heads and layer mixes are left out. Where the method has low-rank updates
    their rank is chosen, with alpha in proportion, so that the update is scaled as before; else the inner size of the
    bottleneck. Neither is ever below 1 or above the encoder's dim.
    """
    wanted = counted(other, encoder).parameters
    one, two = (counted(_sized(method, size, encoder.dim), encoder).parameters for size in (1, 2))
    # The count rises by the same number from each size to the next.
    best = 1 + round((wanted - one) / (two - one))
    return _sized(method, min(max(1, best), encoder.dim), encoder.dim)


def _sized(method: MethodSettings, size: int, dim: int) -> MethodSettings:
    """Return a method with another rank or inner size."""
    lora, bottleneck = method.lora, method.bottleneck
    if lora is not None:
        changed = lora.model_copy(update={"rank": size, "alpha": lora.alpha * size / lora.rank})
        return method.model_copy(update={"lora": changed})
    assert bottleneck is not None
    changed_too = bottleneck.model_copy(update={"reduction": dim / size})
    return method.model_copy(update={"bottleneck": changed_too})
