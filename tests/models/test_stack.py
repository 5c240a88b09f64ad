"""The layers that are trained give what the whole encoder gives, in any company, from any hidden state."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from torch import Tensor

from sibboleth.models.encoders import load
from sibboleth.models.encoders.stack import Stack, own_frames, prepared
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.study import EncoderSettings

Audio = npt.NDArray[np.float32]
CLOSE = 1e-5
LENGTHS = (300, 6000, 17_000, 9001)


def speech(samples: int, seed: int = 0) -> Audio:
    """Make noise with a slow envelope and an offset."""
    random = np.random.default_rng(seed)
    envelope = 0.02 + 0.2 * np.abs(np.sin(np.arange(samples) / 9000 + seed))
    return (envelope * random.standard_normal(samples) + 0.01).astype(np.float32)


def distance(found: Tensor, expected: npt.NDArray[np.float32]) -> float:
    exact = expected.astype(np.float64)
    assert tuple(found.shape) == exact.shape
    return float(np.linalg.norm(found.detach().numpy() - exact) / np.linalg.norm(exact))


def cached(states: Sequence[npt.NDArray[np.float32]], layer: int) -> Tensor:
    """Pad hidden states of several utterances with something that must not matter."""
    longest = max(one.shape[1] for one in states)
    frames = torch.full((len(states), longest, states[0].shape[2]), 3.0)
    for row, one in zip(frames, states, strict=True):
        row[: one.shape[1]] = torch.from_numpy(one[layer])
    return frames


@pytest.mark.parametrize(("lowest", "highest"), [(0, -1), (2, -1), (1, 2), (2, 2), (0, 0)])
@torch.no_grad()
def test_hidden_states_are_those_of_the_whole_encoder(family: Transformer, lowest: int, highest: int) -> None:
    highest %= family.layers
    audios = [speech(samples, seed) for seed, samples in enumerate(LENGTHS)]
    whole = [family.unshortened().hidden_states(audio) for audio in audios]
    stack = Stack(family, lowest, highest)
    rows = [prepared(family, audio) for audio in audios]
    entered, lengths = stack.enter(rows, LENGTHS)
    assert lengths.tolist() == [family.hidden_states(audio).shape[1] for audio in audios]
    together = stack(entered, lengths)
    from_cache = stack(cached(whole, lowest), lengths)
    alone = [stack(*stack.enter([row], [samples])) for row, samples in zip(rows, LENGTHS, strict=True)]
    assert len(together) == len(from_cache) == highest - lowest + 1
    for layer in range(highest - lowest + 1):
        for row, own in enumerate(lengths.tolist()):
            expected = whole[row][lowest + layer, :own]
            assert distance(together[layer][row, :own], expected) < CLOSE
            assert distance(from_cache[layer][row, :own], expected) < CLOSE
            assert distance(alone[row][layer][0, :own], expected) < CLOSE


def test_the_last_kept_layer_is_not_the_one_above_or_below_and_has_no_norm_behind_it(family: Transformer) -> None:
    audio = speech(8000)
    whole = family.hidden_states(audio)
    kept = family.layers - 2
    stack = Stack(family, 0, kept)
    assert len(stack.layers) == stack.model.config.num_hidden_layers == kept
    found = stack(*stack.enter([prepared(family, audio)], [8000]))[-1][0, : whole.shape[1]]
    assert distance(found, whole[kept]) < CLOSE
    for other in (kept - 1, kept + 1):
        assert distance(found, whole[other]) > 1e-3
    norm = stack.model.layer_norm if stack.family == "whisper" else getattr(stack.model.encoder, "layer_norm", None)
    if norm is not None:
        assert distance(norm(found), whole[kept]) > 1e-3 or not stack._norm_is_last


def test_own_frames_are_counted_as_encoded(family: Transformer) -> None:
    for samples in (1, 399, 400, 560, 719, 720, 880, 16_000, 16_001):
        assert own_frames(family, samples) == family.hidden_states(speech(samples)).shape[1]


def test_slopes_are_those_of_transformers(family: Transformer) -> None:
    samples = 7000
    audio = prepared(family, speech(samples))
    stack = Stack(family, 0, family.layers - 1)
    torch.manual_seed(0)
    model = family.build().eval()
    output = model(audio[None], output_hidden_states=True).hidden_states[-1][:, : own_frames(family, samples)]
    direction = torch.randn(output.shape)
    (output * direction).sum().backward()
    states = stack(*stack.enter([audio], [samples]))
    (states[-1][:, : output.shape[1]] * direction).sum().backward()
    theirs = dict(model.named_parameters())
    for name, weight in stack.weights("encoder").items():
        expected = theirs[name.removeprefix("model.")].grad
        assert weight.grad is not None and expected is not None, name
        # Slopes of the bias of keys are 0 but for rounding.
        assert (weight.grad - expected).norm() <= 1e-3 * expected.norm() + 1e-3, name
    unused = set(theirs) - {name.removeprefix("model.") for name in stack.weights("encoder")}
    assert all(theirs[name].grad is None for name in unused)


def test_no_layer_is_dropped_and_dropout_is_applied_where_something_is_trained(family: Transformer) -> None:
    names = ("hidden_dropout", "attention_dropout", "activation_dropout", "conformer_conv_dropout", "dropout")
    dropping = {"layerdrop": 0.99, "encoder_layerdrop": 0.99}

    def made(dropout: float) -> Stack:
        config = {**family.config, **dropping, **dict.fromkeys(names, dropout), "feat_proj_dropout": dropout}
        return Stack(dataclasses.replace(family, config=config), 1, family.layers - 1)

    audio = prepared(family, speech(8000))
    still, noisy = made(0.0), made(0.3)
    expected = still(*still.enter([audio], [8000]))
    still.train()
    for one, other in zip(still(*still.enter([audio], [8000])), expected, strict=True):
        torch.testing.assert_close(one, other)
    noisy.requires_grad_(False)
    noisy.train()
    frames, lengths = noisy.enter([audio], [8000])
    torch.testing.assert_close(frames, expected[0])
    assert not torch.allclose(noisy(frames, lengths)[-1], expected[-1], rtol=1e-2)
    noisy.requires_grad_(True)
    noisy.train()
    assert not torch.allclose(noisy.enter([audio], [8000])[0], expected[0], rtol=1e-2)


@torch.no_grad()
def test_bfloat16_products_are_near(family: Transformer) -> None:
    stack = Stack(family, 1, family.layers - 1)
    rows = [prepared(family, speech(samples)) for samples in (5000, 9000)]
    frames, lengths = stack.enter(rows, [5000, 9000])
    exact = stack(frames, lengths)[-1]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = stack(frames, lengths)[-1].float()
    own = int(lengths[0])
    assert 1e-5 < distance(rounded[0, :own], exact[0, :own].numpy()) < 0.1


def test_a_saved_stack_is_a_checkpoint_of_transformers_with_so_many_layers(family: Transformer, tmp_path: Path) -> None:
    kept = family.layers - 2
    stack = Stack(family, 1, kept)
    stack.save(tmp_path)
    audio = speech(6000)
    ours = stack(*stack.enter([prepared(family, audio)], [6000]))
    model = transformers.AutoModel.from_pretrained(tmp_path)
    whisper = stack.family == "whisper"
    inner = model.get_encoder() if whisper else model
    theirs = inner.eval()(prepared(family, audio)[None], output_hidden_states=True).hidden_states
    last = inner.layer_norm(ours[-1]) if whisper else ours[-1]
    torch.testing.assert_close(theirs[-1], last, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(theirs[1], ours[0], rtol=1e-4, atol=1e-5)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(dict(family.preprocessor)))
    assert load(EncoderSettings(name=str(tmp_path))).layers == kept + 1


def test_the_position_bias_of_wavlm_comes_from_its_first_layer_however_low_the_stack_begins() -> None:
    wavlm = load(EncoderSettings(name="untrained:tiny-wavlm"))
    assert isinstance(wavlm, Transformer)
    stack = Stack(wavlm, 2, 4)
    frames, lengths = stack.enter([prepared(wavlm, speech(9000))], [9000])
    before = stack(frames.detach(), lengths)[-1]
    stack.layers[0].attention.rel_attn_embed.weight.data.normal_()  # type: ignore[union-attr, operator]
    assert not torch.allclose(stack(frames.detach(), lengths)[-1], before, rtol=1e-2)


def test_all_frames_of_whisper_are_another_encoder(family: Transformer) -> None:
    whole = family.unshortened()
    if family.config["model_type"] != "whisper":
        assert whole is family
        return
    audio = speech(16_000)
    assert whole.identity != family.identity
    assert whole.unshortened() is whole
    states = whole.hidden_states(audio)
    assert states.shape[1] == whole.plainly(audio).shape[1] == 1500
    np.testing.assert_array_equal(states[:, :50], family.hidden_states(audio))
