"""Every kind of adapter in every family: where it begins, that it learns, and that it can be taken elsewhere."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from peft import PeftModel
from torch import Tensor

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.methods import MethodSettings
from sibboleth.models.adapters import adapt, adapter_state, load_adapter_state, reach, save_peft
from sibboleth.models.adapters.counts import counted, matched
from sibboleth.models.encoders import load
from sibboleth.models.encoders.stack import Stack, prepared
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.study import EncoderSettings

LORA: dict[str, Any] = {"lora": {"rank": 2}}
METHODS: dict[str, dict[str, Any]] = {
    "lora": LORA,
    # Of four units, as a reduction by 16 leaves here, often none is above zero.
    "bottleneck": {"bottleneck": {"reduction": 2}},
    "parallel": {"bottleneck": {"reduction": 2, "placement": "parallel"}},
    "gate": {"gate": {}},
    "all": {**LORA, "bottleneck": {"reduction": 2}, "gate": {}},
    "layers": {"train": "layers"},
    "layers+lora": {"train": "layers", **LORA},
    "encoder": {"train": "encoder", "lowest": 0},
}
LENGTHS = (4000, 9000)


def method(kind: str = "", **more: Any) -> MethodSettings:
    return MethodSettings.model_validate({"name": kind or "m", "lowest": 1, **METHODS.get(kind, {}), **more})


def made(encoder: Transformer, settings: MethodSettings, seed: int = 0) -> Stack:
    stack = Stack(encoder, *reach(settings, encoder))
    adapt(stack, settings, seed)
    return stack


def encoder(name: str) -> Transformer:
    found = load(EncoderSettings(name=f"untrained:{name}"))
    assert isinstance(found, Transformer)
    return found


def speech(samples: int) -> npt.NDArray[np.float32]:
    return (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)


@torch.no_grad()
def last(stack: Stack, lengths: tuple[int, ...] = LENGTHS) -> list[Tensor]:
    """Return the own frames of the last hidden state of each utterance."""
    return learning(stack, lengths)


def learning(stack: Stack, lengths: tuple[int, ...] = LENGTHS) -> list[Tensor]:
    """Return the same with slopes, for which torch computes attention in another order."""
    frames, own = stack.enter([prepared(stack.encoder, speech(one)) for one in lengths], lengths)
    states = stack(frames, own)[-1]
    return [row[:count] for row, count in zip(states, own.tolist(), strict=True)]


def step(stack: Stack) -> dict[str, Tensor]:
    """Take a step in some direction and return the slopes."""
    stack.zero_grad()
    optimiser = torch.optim.SGD([one for one in stack.parameters() if one.requires_grad], lr=0.5)
    found = torch.cat(learning(stack))
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (found * direction).mean().backward()
    slopes = {name: one.grad.clone() for name, one in stack.named_parameters() if one.grad is not None}
    optimiser.step()
    return slopes


@pytest.mark.parametrize("kind", METHODS)
def test_methods_begin_as_the_encoder_learn_and_come_back(kind: str, family: Transformer) -> None:
    settings = method(kind)
    plain = Stack(family, settings.lowest, family.layers - 1)
    stack = made(family, settings)
    before = last(plain)
    for one, other in zip(last(stack), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    step(stack)
    slopes = step(stack)
    # A constant added to all keys changes no attention, so its slope is nothing but rounding.
    keys = ("k_proj.bias", "linear_k.bias", "k_proj.base_layer.bias", "linear_k.base_layer.bias")
    for name in stack.trained:
        assert slopes[name].abs().max() > 0 or name.endswith(keys), name
    assert set(slopes) == set(stack.trained)
    learnt = last(stack)
    assert all(not torch.allclose(one, other, rtol=1e-3) for one, other in zip(learnt, before, strict=True))
    frozen = {name: one for name, one in stack.named_parameters() if name not in stack.trained}
    begun = dict(plain.named_parameters())
    for name, one in frozen.items():
        torch.testing.assert_close(one, begun[name.replace(".base_layer.", ".")], rtol=0, atol=0)

    again = made(family, settings, seed=5)
    load_adapter_state(again, adapter_state(stack))
    for one, other in zip(last(again), learnt, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_company_changes_nothing_of_an_adapted_encoder(family: Transformer) -> None:
    settings = method("all", gate={"start": "anchor"}, bottleneck={"start": "random", "placement": "parallel"})
    stack = made(family, settings)
    step(stack)
    for together, length in zip(last(stack), LENGTHS, strict=True):
        (alone,) = last(stack, (length,))
        assert (together - alone).norm() < 1e-5 * alone.norm()


def test_what_is_counted_before_is_what_is_trained(family: Transformer) -> None:
    for kind in ("all", "layers+lora", "encoder"):
        settings = method(kind)
        stack = Stack(family, *reach(settings, family))
        adapted = adapt(stack, settings, 0)
        assert adapted.trained == counted(settings, family).trained
        assert adapted.parameters == sum(one.numel() for one in stack.parameters() if one.requires_grad)
        assert adapted.parameters == sum(one.numel() for one in adapter_state(stack).values())


def test_peft_loads_low_rank_updates_into_the_whole_encoder_and_computes_the_same(
    family: Transformer, tmp_path: Path
) -> None:
    Stack(family, 0, family.layers - 1).save(tmp_path / "encoder")
    kept = family.layers - 2
    stack = made(family, method("lora", layers=kept))
    step(stack), step(stack)
    save_peft(stack, tmp_path / "lora")
    written = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == family.name

    base = transformers.AutoModel.from_pretrained(tmp_path / "encoder").eval()
    model = PeftModel.from_pretrained(base, str(tmp_path / "lora"))
    (ours,) = last(stack, (4000,))

    def theirs(whole: Any) -> Tensor:
        inner = whole.get_encoder() if stack.family == "whisper" else whole
        audio = prepared(family, speech(4000))[None]
        with torch.no_grad():
            states = inner(audio, output_hidden_states=True).hidden_states
        return states[kept][0, : len(ours)]  # type: ignore[no-any-return]

    heard = theirs(model.base_model.model)
    if stack.family == "wavlm":
        # transformers takes the weights out of the projections, past the updates in them, until these are merged.
        assert (heard - ours).norm() > 1e-3 * ours.norm()
        heard = theirs(model.merge_and_unload())
    assert (heard - ours).norm() < 1e-5 * ours.norm()


def test_trained_layers_are_saved_without_the_adapters_in_them(family: Transformer, tmp_path: Path) -> None:
    stack = made(family, method("layers+lora"))
    step(stack)
    stack.save(tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path)
    theirs = (model.get_encoder() if stack.family == "whisper" else model).state_dict()
    ours = {name.replace(".base_layer.", "."): one for name, one in stack.model.state_dict().items()}
    assert {name for name in ours if ".lora_" not in name} == set(theirs)
    assert all(torch.equal(one, ours[name]) for name, one in theirs.items())


def test_updates_of_every_attention_and_feed_forward_count_by_themselves(family: Transformer) -> None:
    """A layer whose weights are taken past its updates would show here: no slope, no effect."""
    for target in ("attention", "feed-forward"):
        stack = made(family, method("lora", lora={"rank": 2, "targets": [target]}))
        before = last(stack)
        slopes = step(stack)
        assert all(slopes[name].abs().max() > 0 for name in stack.trained if ".lora_B." in name)
        assert not torch.allclose(last(stack)[0], before[0], rtol=1e-4)
        assert not any(".layers.0." in name for name in stack.trained)


def test_targets_can_be_named_as_the_family_names_them_and_unknown_ones_are_told() -> None:
    wavlm = encoder("tiny-wavlm")
    stack = made(wavlm, method(lora={"targets": ["q_proj", "feed_forward.output_dense"]}))
    ends = {name.partition(".lora_")[0].rpartition(".")[2] for name in stack.trained}
    assert ends == {"q_proj", "output_dense"}
    with pytest.raises(InvalidInput, match=r"'query'.*attention, feed-forward.*q_proj"):
        made(wavlm, method(lora={"targets": ["q_proj", "query"]}))


def test_the_starts_of_the_anchor_study() -> None:
    wav2vec2 = encoder("tiny-wav2vec2")
    plain = Stack(wav2vec2, 1, 2)
    gated = made(wav2vec2, method(gate={"start": "anchor"}, layers=2))
    frames = torch.randn(1, 5, 64)
    own = torch.tensor([5])
    scaled = plain(frames * torch.sigmoid(torch.ones(())), own)[-1]
    torch.testing.assert_close(gated(frames, own)[-1], scaled)

    random = made(wav2vec2, method(bottleneck={"start": "random", "reduction": 16}, layers=2))
    ours: Any = random.bottlenecks["2"]
    assert tuple(ours.down.weight.shape) == (4, 64)
    heard: list[Tensor] = []
    block: Any = plain.layers[1].feed_forward
    block.register_forward_hook(
        lambda _, __, out: heard.append(out) or out + ours.up(torch.relu(ours.down(out)))  # type: ignore[func-returns-value]
    )
    torch.testing.assert_close(plain(frames, own)[-1], random(frames, own)[-1])
    assert len(heard) == 1


def test_a_parallel_bottleneck_hears_what_the_block_hears() -> None:
    for name, block in (("tiny-xls-r", "feed_forward"), ("tiny-wav2vec2-bert", "ffn2"), ("tiny-whisper", "fc1")):
        found = encoder(name)
        stack = made(found, method(bottleneck={"start": "random", "placement": "parallel"}))
        heard: list[Tensor] = []
        adapter: Any = stack.bottlenecks["2"]
        adapter.register_forward_pre_hook(lambda _, inputs, heard=heard: heard.append(inputs[0]))
        getattr(stack.layers[1], block).register_forward_pre_hook(
            lambda _, inputs, heard=heard: heard.append(inputs[0])
        )
        last(stack)
        assert heard[0] is heard[1]


def test_random_starts_follow_the_seed_alone() -> None:
    hubert = encoder("tiny-hubert")
    settings = method("all", bottleneck={"start": "random"})
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again, other = (adapter_state(made(hubert, settings, seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)
    assert all(torch.equal(one, again[name]) for name, one in first.items())
    drawn = [name for name in first if "lora_A" in name or name.endswith("down.weight")]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_weights_of_another_method_are_refused() -> None:
    hubert = encoder("tiny-hubert")
    state = adapter_state(made(hubert, method("lora")))
    with pytest.raises(SibbolethError, match="another method or encoder"):
        load_adapter_state(made(hubert, method("gate")), state)
    with pytest.raises(SibbolethError, match="another method or encoder"):
        load_adapter_state(made(hubert, method(lora={"rank": 3})), state)
    with pytest.raises(SibbolethError, match="no low-rank updates"):
        save_peft(made(hubert, method("gate")), Path("nowhere"))


@pytest.mark.parametrize("name", ["wav2vec2-base", "wavlm-base", "data2vec-audio-base", "whisper-small"])
def test_counts_of_base_sizes_are_those_of_the_anchor_study(name: str) -> None:
    base = encoder(name)
    settings = method(lora={}, bottleneck={}, gate={}, layers=6, lowest=0)
    # 4 (768 + 768) 8 + 2 (768 + 3072) 8; 768 to 48 and back with biases.
    assert counted(settings, base).trained == {"lora": 6 * 110_592, "bottleneck": 6 * 74_544, "gate": 6 * 768}
    assert counted(method(layers=6), base).parameters == 0


@pytest.mark.parametrize("name", ["tiny-wavlm", "tiny-wav2vec2-bert", "tiny-whisper"])
def test_methods_are_matched_as_nearly_as_their_sizes_allow(name: str) -> None:
    family = encoder(name)
    lora, bottleneck, gate = (method(kind) for kind in ("lora", "bottleneck", "gate"))
    for one, other in ((lora, bottleneck), (bottleneck, lora), (lora, gate), (method("all"), method("layers"))):
        fitted = matched(one, other, family)
        wanted = counted(other, family).parameters
        missed = abs(counted(fitted, family).parameters - wanted)
        assert fitted.lora is None or one.lora is None or fitted.lora.alpha / fitted.lora.rank == pytest.approx(8)
        for change in (-1, 1):
            if fitted.lora is not None:
                size = fitted.lora.rank + change
                near = fitted.model_copy(update={"lora": fitted.lora.model_copy(update={"rank": size})})
            else:
                assert fitted.bottleneck is not None
                size = round(family.dim / fitted.bottleneck.reduction) + change
                reduction = {"reduction": family.dim / max(size, 1)}
                near = fitted.model_copy(update={"bottleneck": fitted.bottleneck.model_copy(update=reduction)})
            if 1 <= size <= family.dim:
                assert abs(counted(near, family).parameters - wanted) >= missed


def test_layers_that_are_not_there_and_encoders_that_cannot_be_adapted_are_told(tmp_path: Path) -> None:
    hubert = encoder("tiny-hubert")
    assert reach(method("lora"), hubert) == (1, 4)
    assert reach(method("lora", layers={"untrained:tiny-hubert": 3, "other": 9}), hubert) == (1, 3)
    assert reach(method(lowest=2), hubert) == (4, 4)
    assert reach(method(lowest=2, mix=True, layers=3), hubert) == (2, 3)
    with pytest.raises(InvalidInput, match=r"layers = 5.*has 4"):
        reach(method("lora", layers=5), hubert)
    with pytest.raises(InvalidInput, match="lowest = 3 leaves nothing"):
        reach(method("lora", lowest=3, layers=3), hubert)
    with pytest.raises(InvalidInput, match="nothing is left to mix"):
        reach(method(mix=True, lowest=4, layers=3), hubert)
    file = tmp_path / "own.py"
    file.write_text("def encode(audio, rate):\n    return audio[None, ::400, None].repeat(3, 0)\n")
    for name in ("logmel", f"python:{file}:encode"):
        found = load(EncoderSettings(name=name))
        with pytest.raises(SibbolethError, match=r"no transformer layers.*can train nothing.*another encoder"):
            reach(method("gate", lowest=0), found)
        assert reach(method(lowest=0), found)[0] == found.layers - 1
    with pytest.raises(SibbolethError, match="one embedding per utterance"):
        reach(method("gate"), dataclasses.replace(hubert, frames=False))
