"""Adapters: what is trained inside an encoder beside its own weights, or in their place."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sibboleth.errors import SibbolethError
from sibboleth.methods import MethodSettings
from sibboleth.models.adapters import bottleneck, gate, lora
from sibboleth.models.adapters.lora import save_peft
from sibboleth.models.adapters.reach import reach
from sibboleth.models.encoders.stack import Stack

if TYPE_CHECKING:
    from peft import LoraConfig

__all__ = ["Adapted", "adapt", "adapter_state", "load_adapter_state", "reach", "save_peft"]


@dataclass(frozen=True)
class Adapted:
    """What a method trains in an encoder."""

    trained: Mapping[str, int]
    """Number of trained parameters of each part: `lora`, `bottleneck`, `gate`, `layers` or `encoder`."""
    lora: "LoraConfig | None"
    """What peft was asked for."""

    @property
    def parameters(self) -> int:
        """Return how many parameters are trained, head and layer mix aside."""
        return sum(self.trained.values())


def adapt(stack: Stack, method: MethodSettings, seed: int) -> Adapted:
    """Put the adapters of a method into a stack, once, and let nothing but them and what the method trains learn.

    What begins at random follows from the seed; the global random state is the same afterwards. Raises `InvalidInput`
    for a target of low-rank updates that the encoder does not have.
    """
    with _drawn(seed):
        if method.lora is not None:
            lora.put(stack, method.lora)
        if method.bottleneck is not None:
            bottleneck.put(stack, method.bottleneck)
        if method.gate is not None:
            gate.put(stack, method.gate)
    stack.to(stack.device)
    names = {name: _part(name) for name, _ in stack.named_parameters() if _part(name)}
    if method.train != "head":
        names |= dict.fromkeys(stack.weights(method.train), method.train)
    stack.trained = names
    counts: dict[str, int] = {}
    for name, one in stack.named_parameters():
        one.requires_grad_(name in names)
        if name in names:
            counts[names[name]] = counts.get(names[name], 0) + one.numel()
    stack.train(stack.training)
    return Adapted(counts, getattr(stack.model, "peft_config", {}).get(lora.NAME))


def adapter_state(stack: Stack) -> dict[str, Tensor]:
    """Return a copy of exactly what is trained, by name: adapters, and weights of the encoder that are trained."""
    own = dict(stack.named_parameters())
    return {name: own[name].detach().cpu().clone() for name in stack.trained}


def load_adapter_state(stack: Stack, state: Mapping[str, Tensor]) -> None:
    """Put back what `adapter_state` returned; raises `SibbolethError` for that of another method or encoder."""
    own = dict(stack.named_parameters())
    differ = sorted(set(state) ^ set(stack.trained))
    differ += [name for name in sorted(set(state) & set(stack.trained)) if state[name].shape != own[name].shape]
    if differ:
        raise SibbolethError(
            f"encoder {stack.encoder.name!r}: {len(differ)} of the saved weights are of another method or encoder "
            f"({', '.join(differ[:3])}, ...); load them with the method and encoder that they were trained with"
        )
    with torch.no_grad():
        for name, one in state.items():
            own[name].copy_(one)


def _part(name: str) -> str:
    """Return the adapter that a parameter belongs to, if it does."""
    if ".lora_" in name:
        return "lora"
    return {"bottlenecks": "bottleneck", "gates": "gate"}.get(name.partition(".")[0], "")


@contextmanager
def _drawn(seed: int) -> Iterator[None]:
    """Draw from a seed on the processor, and leave the global random state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
