"""Arithmetic: which precision pays on this machine, and weights laid out for its processor."""

import torch
from torch import nn

from sibboleth.models.encoders.contract import Precision
from sibboleth.study import EncoderSettings


def device() -> torch.device:
    """Return the accelerator if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bfloat16_pays() -> bool:
    """Tell whether matrix products in bfloat16 are faster here; where not, they are many times slower."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def precision(settings: EncoderSettings) -> Precision:
    """Return the precision that the settings ask for; `auto` is bfloat16 where that pays."""
    if settings.precision == "auto":
        return "bfloat16" if bfloat16_pays() else "float32"
    return settings.precision


def remark(chosen: Precision) -> tuple[str, ...]:
    """Say what a reader should know of a precision."""
    if chosen == "float32":
        return ()
    slow = "" if bfloat16_pays() else " and this machine has no fast arithmetic for it"
    return (f"encoded in bfloat16{slow}; `sibboleth encode --verify` measures what that changes, layer by layer",)


class Packed(nn.Module):
    """A linear layer whose weights are laid out once as the processor multiplies them."""

    def __init__(self, linear: nn.Linear) -> None:
        """Pack the weights."""
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Multiply as the layer would."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "none", [], "")
        return product


def packing_pays() -> bool:
    """Tell whether packed weights are faster here: measured so with AVX-512, and alike with AVX2."""
    there = hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return there and not torch.cuda.is_available() and bool(torch.cpu._is_avx512_supported())


def pack(model: nn.Module) -> None:
    """Pack every linear layer that is called as a module.

    WavLM's attention takes the weights out of its layers and multiplies by itself; those stay as they are.
    """
    for module in list(model.modules()):
        if hasattr(module, "gru_rel_pos_linear"):
            continue
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, Packed(child))
