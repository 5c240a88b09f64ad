"""Small recognisers with random weights, saved in the real format: CTC of every family, and a Whisper."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from sibboleth.models.encoders.untrained import architectures

CHARACTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
RATE = 16_000
LANGUAGES = ("en", "nl", "de")

Save = Callable[..., Path]


@pytest.fixture(scope="session")
def speech() -> list[Any]:
    """Utterances of several lengths, from shorter than two frames to 4 s, that change in pitch and loudness."""
    found = []
    for index, seconds in enumerate((0.6, 4.0, 1.3, 0.1, 2.1)):
        time = np.arange(int(seconds * RATE)) / RATE
        noise = np.random.default_rng(index).standard_normal(len(time))
        wave = np.sin(2 * np.pi * time * (200 + 900 * np.sin(5 * time + index))) * (0.6 + 0.4 * np.sin(17 * time))
        found.append((0.3 * wave + 0.05 * noise).astype(np.float32))
    return found


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Let several utterances be transcribed at once, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def vocabulary(folder: Path, words: dict[str, Any]) -> None:
    (folder / "vocab.json").write_text(json.dumps(words))


@pytest.fixture(scope="session")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> Save:
    """Return what saves a CTC checkpoint of a family; `changes` are of its configuration."""

    def save(architecture: str, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp(architecture)
        options = {**architectures()[architecture]["config"], "vocab_size": len(CHARACTERS), "pad_token_id": 0}
        options |= {"bos_token_id": 1, "eos_token_id": 2} | changes
        config = transformers.AutoConfig.for_model(options.pop("model_type"), **options)
        torch.manual_seed(3)
        model = transformers.AutoModelForCTC.from_config(config)
        with torch.no_grad():
            for name, one in model.named_parameters():
                # Weights of the usual size make every frame alike, and a text of one letter.
                if one.dim() > 1 and "conv" not in name:
                    one.mul_(4.0)
        model.save_pretrained(folder)
        family = config.model_type
        made: Any = (
            transformers.SeamlessM4TFeatureExtractor() if family == "wav2vec2-bert" else None
        ) or transformers.Wav2Vec2FeatureExtractor(do_normalize=bool(changes.get("do_stable_layer_norm")))
        made.save_pretrained(folder)
        vocabulary(folder, {character: index for index, character in enumerate(CHARACTERS)})
        transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small Whisper whose tokenizer has letters, three languages and timestamps."""
    folder = tmp_path_factory.mktemp("whisper")
    letters = [*"abcdefghijklmnopqrstuvwxyz'", "Ġ", "<|endoftext|>"]
    special = ["<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{0.02 * step:.2f}|>" for step in range(1501))]
    words = {word: index for index, word in enumerate(letters)}
    tokenizer = transformers.WhisperTokenizer(vocab=words, merges=[], add_prefix_space=False)
    tokenizer.add_special_tokens({"additional_special_tokens": special[: special.index("<|notimestamps|>") + 1]})
    tokenizer.add_tokens(special[special.index("<|notimestamps|>") + 1 :])
    tokenizer.save_pretrained(folder)
    ids = {word: tokenizer.convert_tokens_to_ids(word) for word in (*letters, *special)}
    assert len(set(ids.values())) == len(letters) + len(special)
    end = ids["<|endoftext|>"]
    config = transformers.WhisperConfig(
        vocab_size=max(ids.values()) + 1,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=80,
        max_target_positions=64,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"],
    )
    torch.manual_seed(5)
    model = transformers.WhisperForConditionalGeneration(config)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if one.dim() > 1:
                # What is heard, and where in the text one is, must outweigh the letter before.
                one.mul_(30.0 if "encoder_attn" in name or "decoder.embed_positions" in name else 6.0)
        # What is no letter is unlikely, as after training.
        model.model.decoder.embed_tokens.weight[len(letters) :].mul_(0.02)
    model.generation_config = transformers.GenerationConfig(
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        max_length=24,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_initial_timestamp_index=50,
        begin_suppress_tokens=[end],
        return_timestamps=False,
    )
    model.save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    return folder
