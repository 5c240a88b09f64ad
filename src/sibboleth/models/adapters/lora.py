"""Low-rank updates of linear layers, through peft (Hu et al. 2022, arXiv 2106.09685)."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.methods import LoraSettings
from sibboleth.models.encoders.stack import Stack

if TYPE_CHECKING:
    from peft import LoraConfig

GROUPS = {
    "attention": ("q_proj", "k_proj", "v_proj", "out_proj", "linear_q", "linear_k", "linear_v", "linear_out"),
    "feed-forward": ("intermediate_dense", "output_dense", "fc1", "fc2"),
}
"""What targets stand for, in the words of all families."""
NAME = "default"
"""Of the adapter, as peft calls an only one."""


def put(stack: Stack, settings: LoraSettings) -> None:
    """Put updates into the targets of every layer above `lowest`; raises `InvalidInput` for a target that is not there.

    They begin without effect. No other weight is trained afterwards.
    """
    from peft import LoraConfig, inject_adapter_in_model

    name = stack.encoder.name.partition("@")
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type] # it is only divided by the rank
        lora_dropout=settings.dropout,
        target_modules=targets(stack, settings.targets),
        base_model_name_or_path=name[0],
        revision=name[2] or None,
    )
    inject_adapter_in_model(config, stack.model, NAME)


def targets(stack: Stack, wanted: Sequence[str]) -> list[str]:
    """Return the full names of the linear layers that targets stand for, above `lowest`.

    Raises `InvalidInput` for one that stands for none.
    """
    above = {id(module) for _, layer in stack.above() for module in layer.modules()}
    every = [name for name, one in stack.model.named_modules() if isinstance(one, nn.Linear) and id(one) in above]
    found: set[str] = set()
    for target in wanted:
        endings = tuple(f".{one}" for one in GROUPS.get(target, (target,)))
        meant = {name for name in every if name.endswith(endings)}
        if not meant:
            there = ", ".join([*GROUPS, *sorted({name.rpartition(".")[2] for name in every})])
            raise InvalidInput(f"lora.targets: encoder {stack.encoder.name!r} has no {target!r}; it has {there}")
        found |= meant
    return sorted(found)


def save_peft(stack: Stack, folder: Path) -> None:
    """Write the low-rank updates alone, for `PeftModel.from_pretrained(AutoModel.from_pretrained(ENCODER), folder)`.

    What else a method trains is not in the folder. transformers' own WavLM heeds updates of its attention only once
    they are merged into the weights (`merge_and_unload`). Raises `SibbolethError` where there are none.
    """
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save_file

    config = _config(stack)
    # AutoModel makes a whole Whisper, and ours is its encoder.
    inside = "encoder." if stack.family == "whisper" else ""
    state = get_peft_model_state_dict(stack.model, adapter_name=NAME, save_embedding_layers=False)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {f"base_model.model.{inside}{name}": one.detach().cpu().contiguous() for name, one in state.items()},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    written = copy.copy(config)
    written.inference_mode = True
    # peft shortens the names as far as our model allows, and this may be loaded into one with more layers.
    written.target_modules = sorted({f"{inside}{name.partition('.lora_')[0]}" for name in state})
    written.save_pretrained(str(folder))


def _config(stack: Stack) -> "LoraConfig":
    known: dict[str, LoraConfig] = getattr(stack.model, "peft_config", {})
    if NAME not in known:
        raise SibbolethError(f"encoder {stack.encoder.name!r}: this method has no low-rank updates to save for peft")
    return known[NAME]
