"""Every family of speech encoders, made small, in the variants that differ in how they are computed."""

import dataclasses
from typing import Any

import pytest

from sibboleth.models.encoders import load
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.study import EncoderSettings

STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
DECODER = {"decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 64, "vocab_size": 20} | {
    f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "decoder_start")
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("tiny-wav2vec2", {}),
    "wav2vec2-stable": ("tiny-xls-r", {"adapter_attn_dim": 8}),
    "hubert": ("tiny-hubert", {"conv_pos_batch_norm": True}),
    "hubert-stable": ("tiny-hubert", STABLE),
    "wavlm": ("tiny-wavlm", {}),
    "wavlm-stable": ("tiny-wavlm", STABLE),
    "data2vec-audio": ("tiny-data2vec", {}),
    "unispeech": ("tiny-wav2vec2", {"model_type": "unispeech"}),
    "unispeech-sat": ("tiny-unispeech-sat", {}),
    "wav2vec2-bert": ("tiny-wav2vec2-bert", {}),
    "wav2vec2-bert-rotary": ("tiny-wav2vec2-bert", {"position_embeddings_type": "rotary"}),
    "whisper": ("tiny-whisper", DECODER),
}


@pytest.fixture(params=VARIANTS, scope="session")
def family(request: pytest.FixtureRequest) -> Transformer:
    """Give an encoder of every family in turn, with random weights."""
    name, changes = VARIANTS[request.param]
    made = load(EncoderSettings(name=f"untrained:{name}"))
    assert isinstance(made, Transformer)
    return dataclasses.replace(made, name=f"untrained:{request.param}", config={**made.config, **changes})
