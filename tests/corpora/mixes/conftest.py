"""A corpus of short sounds between silences: of each speaker two of every label."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import soundfile

from sibboleth import corpus
from sibboleth.corpus import Corpus

RATE = 16_000
LABELS = ("angry", "happy", "neutral", "sad")
BEFORE, LONG, AFTER = 0.2, 0.6, 0.3
"""Seconds of silence, sound and silence."""


def sound(seed: int, level: float = 0.1, rate: int = RATE) -> npt.NDArray[np.float64]:
    """Make coloured noise between two silences that are not digital."""
    random = np.random.default_rng(seed)
    parts = [1e-4 * random.normal(size=round(seconds * rate)) for seconds in (BEFORE, LONG, AFTER)]
    parts[1] = level * np.convolve(random.normal(size=len(parts[1]) + 7), np.full(8, 8**-0.5), "valid")
    return np.concatenate(parts)


def make(folder: Path, speakers: int = 4, takes: int = 2, lacking: tuple[tuple[str, str], ...] = ()) -> Path:
    """Write sounds and their manifest; `lacking` are speakers with labels that they do not say."""
    rows = []
    for number in range(speakers):
        for place, label in enumerate(LABELS):
            for take in range(takes):
                name = f"s{number}-{label}-{take}"
                if (f"s{number}", label) in lacking:
                    continue
                rate = RATE if take else 24_000
                heard = sound(1000 * number + 10 * place + take, 0.01 * 3**place, rate)
                soundfile.write(folder / f"{name}.wav", heard, rate)
                rows.append((name, f"{name}.wav", f"s{number}", "de", f"said {take}", label, 20 + number, take))
    columns = ["utterance", "audio", "speaker", "language", "text", "emotion", "age", "take"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv(folder / "manifest.csv")
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus.read(make(tmp_path_factory.mktemp("spoken")))
