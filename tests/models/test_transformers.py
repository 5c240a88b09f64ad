"""Every family against transformers called by hand, on tiny models saved in the real format."""

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import EncodingError, check, load
from sibboleth.models.encoders.untrained import architectures
from sibboleth.study import EncoderSettings

TINY = [name for name in architectures() if name.startswith("tiny-")]
HEADS = {
    "tiny-wav2vec2": "Wav2Vec2ForCTC",
    "tiny-xls-r": "Wav2Vec2ForPreTraining",
    "tiny-hubert": "HubertForSequenceClassification",
    "tiny-wavlm": "WavLMForXVector",
    "tiny-data2vec": "Data2VecAudioForCTC",
    "tiny-unispeech-sat": "UniSpeechSatForPreTraining",
    "tiny-wav2vec2-bert": "Wav2Vec2BertForCTC",
    "tiny-whisper": "WhisperForConditionalGeneration",
}
Audio = npt.NDArray[np.float32]


def speech(samples: int, seed: int = 0) -> Audio:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def settings(name: str, seed: int = 0) -> EncoderSettings:
    return EncoderSettings(name=name, seed=seed)


def configuration(name: str) -> transformers.PretrainedConfig:
    options = dict(architectures()[name]["config"])
    if options["model_type"] == "whisper":
        ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
        options |= {"decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 64, "vocab_size": 20, **ids}
    elif HEADS[name].endswith("CTC"):
        options |= {"vocab_size": 20}
    if HEADS[name] == "WavLMForXVector":
        options |= {"tdnn_dim": [16] * 5, "xvector_output_dim": 16}
    return transformers.AutoConfig.for_model(options.pop("model_type"), **options)


def extractor(name: str) -> transformers.FeatureExtractionMixin:
    preprocessor = architectures()[name]["preprocessor"]
    if "whisper" in name:
        return transformers.WhisperFeatureExtractor(**preprocessor)
    if "wav2vec2-bert" in name:
        return transformers.SeamlessM4TFeatureExtractor(**preprocessor)
    return transformers.Wav2Vec2FeatureExtractor(**preprocessor)


def save(name: str, folder: Path, seed: int = 0) -> transformers.PreTrainedModel:
    """Save a model with a head on it, as it is published, and its preprocessor."""
    torch.manual_seed(seed)
    model = getattr(transformers, HEADS[name])(configuration(name)).eval()
    model.save_pretrained(folder)
    extractor(name).save_pretrained(folder)
    return model


def by_hand(name: str, model: transformers.PreTrainedModel, audio: Audio) -> npt.NDArray[np.float32]:
    """Call transformers as its documentation does."""
    inputs = extractor(name)(audio, sampling_rate=16_000, return_tensors="pt", return_attention_mask=False)
    inner = model.get_encoder() if "whisper" in name else model.base_model
    with torch.no_grad():
        states = inner(
            inputs["input_features" if "input_features" in inputs else "input_values"], output_hidden_states=True
        )
    return torch.cat(states.hidden_states).numpy()


@pytest.mark.parametrize("name", TINY)
def test_a_saved_checkpoint_gives_what_transformers_gives(name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path)
    encoder = load(settings(str(tmp_path)))
    # 60 filterbank frames for wav2vec2-BERT: an even number, where padding to pairs pads nothing.
    audio = speech(400 + 59 * 160)
    expected = by_hand(name, model, audio)
    states = encoder.hidden_states(audio)
    frames = -(-len(audio) // 320) if "whisper" in name else expected.shape[1]
    assert states.dtype == np.float32
    assert states.shape == (encoder.layers, frames, encoder.dim)
    np.testing.assert_allclose(states, expected[:, :frames], rtol=1e-4, atol=1e-5)
    assert encoder.kind == "checkpoint"
    assert encoder.fine_tuned == ("PreTraining" not in HEADS[name])


def test_layers_are_the_inputs_and_outputs_of_the_transformer_layers() -> None:
    encoder = load(settings("untrained:tiny-xls-r"))
    model = encoder._model  # type: ignore[attr-defined]
    seen: list[torch.Tensor] = []
    model.encoder.layers[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for layer in model.encoder.layers:
        layer.register_forward_hook(
            lambda _, __, output: seen.append(output[0] if isinstance(output, tuple) else output)
        )
    states = encoder.hidden_states(speech(8000))
    assert len(seen) == encoder.layers == 5
    for state, hooked in zip(states, seen, strict=True):
        np.testing.assert_array_equal(state, hooked.numpy()[0])


@pytest.mark.parametrize("name", TINY)
def test_company_order_and_repetition_change_nothing(name: str) -> None:
    encoder = load(settings(f"untrained:{name}"))
    utterances = [speech(samples, seed) for seed, samples in enumerate((5000, 16_000, 9001))]
    alone = [encoder.hidden_states(audio) for audio in utterances]
    backwards = [encoder.hidden_states(audio) for audio in reversed(utterances)]
    for one, again in zip(alone, reversed(backwards), strict=True):
        np.testing.assert_array_equal(one, again)
    assert check(encoder) == []


@pytest.mark.parametrize("name", TINY)
def test_audio_below_one_frame_is_padded_to_one(name: str) -> None:
    encoder = load(settings(f"untrained:{name}"))
    for samples in (1, 399):
        states = encoder.hidden_states(speech(samples))
        assert states.shape[1] >= 1
        assert np.isfinite(states).all()


def test_whisper_keeps_the_frames_of_the_utterance_and_refuses_more_than_its_window() -> None:
    encoder = load(settings("untrained:tiny-whisper"))
    for samples, frames in ((320, 1), (321, 2), (16_000, 50), (480_000, 1500)):
        assert encoder.hidden_states(speech(samples)).shape[1] == frames
    with pytest.raises(EncodingError, match="longer than the window"):
        encoder.hidden_states(speech(480_001))


def test_the_preprocessors_normalisation_is_honoured(tmp_path: Path) -> None:
    save("tiny-wavlm", tmp_path)
    plain = load(settings(str(tmp_path)))
    audio = speech(8000)
    assert not np.allclose(plain.hidden_states(audio), plain.hidden_states(audio * 20), rtol=1e-2)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_normalize": True}))
    normalising = load(settings(str(tmp_path)))
    np.testing.assert_allclose(
        normalising.hidden_states(audio), normalising.hidden_states(audio * 20), rtol=1e-3, atol=1e-4
    )
    assert normalising.identity != plain.identity
    inside = {"feature_extractor": json.loads(file.read_text()), "processor_class": "Wav2Vec2Processor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(inside))
    file.unlink()
    together = load(settings(str(tmp_path)))
    assert together.identity == normalising.identity

    (tmp_path / "processor_config.json").unlink()
    assert any("defaults" in note for note in load(settings(str(tmp_path))).notes)


def test_identity_follows_content_and_not_the_name(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    save("tiny-hubert", here)
    shutil.copytree(here, there)
    first = load(settings(str(here))).identity
    assert load(settings(str(there))).identity == first
    save("tiny-hubert", here, seed=1)
    assert load(settings(str(here))).identity != first


def test_untrained_weights_follow_the_seed_and_leave_the_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    audio = speech(4000)
    one, again, other = (load(settings("untrained:tiny-wav2vec2", seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.hidden_states(audio), again.hidden_states(audio))
    assert not np.allclose(one.hidden_states(audio), other.hidden_states(audio))
    torch.testing.assert_close(torch.rand(3), expected)
    assert one.identity == again.identity != other.identity
    assert one.kind == "control"
    assert one.default_pooling == "mean"


def test_bundled_architectures_say_their_size() -> None:
    for name, one in architectures().items():
        encoder = load(settings(f"untrained:{name}"))
        options = dict(one["config"])
        config = transformers.AutoConfig.for_model(options.pop("model_type"), **options)
        assert encoder.layers == config.num_hidden_layers + 1, name
        assert encoder.dim == config.hidden_size, name
    with pytest.raises(SibbolethError, match="tiny-wavlm"):
        load(settings("untrained:nothing"))
