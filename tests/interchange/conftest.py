"""A small corpus with everything that a manifest may know, in sound files of its own."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import corpus
from sibboleth.corpus import Corpus

RATE = 8000


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Folder of a0.wav, a1.wav, b0.wav and b1.wav: noise of 1, 1.5, 2 and 2.5 seconds."""
    folder = tmp_path / "recipe" / "sounds"
    folder.mkdir(parents=True)
    for k, name in enumerate(("a0", "a1", "b0", "b1")):
        noise = 0.1 * np.random.default_rng(k).standard_normal(RATE + RATE // 2 * k)
        soundfile.write(folder / f"{name}.wav", noise, RATE)
    return folder


@pytest.fixture
def spoken(sounds: Path) -> Corpus:
    """Four utterances of two speakers, each a whole recording."""
    names = ("a0", "a1", "b0", "b1")
    table = pl.DataFrame(
        {
            "utterance": names,
            "audio": [str(sounds / f"{name}.wav") for name in names],
            "speaker": ["anna", "anna", "bert", "bert"],
            "language": ["nl", "nl", "nl-BE", "nl-BE"],
            "dialect": ["Zeeuws", None, None, None],
            "session": ["1", "1", "2", "2"],
            "text": ["één dag", "twee", None, "vier: vijf"],
            "emotion": ["sad", "angry", "sad", "angry"],
            "sex": ["female", "female", "male", "male"],
            "age": [31, 31, 64, 64],
            "arousal": [0.25, -1.5, None, 2.0],
            "part": ["train", "train", "test", "test"],
        }
    )
    return Corpus("spoken", corpus.complete(table))


@pytest.fixture
def cut(spoken: Corpus) -> Corpus:
    """The same, each utterance a part of its recording."""
    times = {"start": [0.0, 0.25, 0.1, 1.0], "end": [0.5, 1.125, 1.9, 2.3]}
    return Corpus("cut", spoken.table.with_columns(**{name: pl.Series(values) for name, values in times.items()}))
