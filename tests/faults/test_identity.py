"""Encoders and audio that change under the same name: new features and cells, the old ones kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import transformers

from sibboleth.recipes.run import run

Making = Callable[..., Any]

OPTIONS = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (8, 8),
    "conv_stride": (10, 8),
    "conv_kernel": (20, 16),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 8,
}


def save(folder: Path, seed: int) -> None:
    """Write a tiny checkpoint whose weights follow from the seed, always to the same place."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**OPTIONS)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def test_a_changed_checkpoint_and_changed_audio_under_the_same_names(
    workplace: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = workplace()
    monkeypatch.setenv("SIBBOLETH_CACHE", str(place.cache))
    checkpoint = place.folder / "checkpoint"
    text = (place.folder / "study.toml").read_text().replace("python:own.py:encode", str(checkpoint))
    (place.folder / "study.toml").write_text(text.replace('[[encoders]]\nname = "logmel"\n', ""))

    def finished() -> tuple[set[str], dict[str, int], pl.DataFrame]:
        run(place.folder / "study.toml", output=place.run)
        encoders = {path.name for path in (place.cache / "features").iterdir()}
        cells = {path.name: path.stat().st_ino for path in (place.run / "cells").iterdir()}
        return encoders, cells, pl.read_parquet(place.run / "predictions.parquet")

    save(checkpoint, seed=1)
    encoders, cells, predictions = finished()
    save(checkpoint, seed=2)
    more_encoders, more_cells, others = finished()
    assert len(encoders) == 1 and encoders < more_encoders and len(more_encoders) == 2
    assert cells.items() < more_cells.items() and len(more_cells) == 2 * len(cells)
    assert not others.equals(predictions)
    save(checkpoint, seed=1)
    assert finished()[:2] == (more_encoders, more_cells)
    assert pl.read_parquet(place.run / "predictions.parquet").equals(predictions)

    first, second = sorted((place.folder / "audio").iterdir())[:2]
    first.write_bytes(second.read_bytes())
    _, changed_cells, _ = finished()
    assert more_cells.items() < changed_cells.items()
