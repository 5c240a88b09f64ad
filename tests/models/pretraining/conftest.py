"""A little made speech, and settings to pre-train on it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth.models.pretraining import pieces
from sibboleth.models.pretraining.pieces import Pieces
from sibboleth.pretraining import Pretraining

RATE = 16_000


def sound(seconds: float, seed: int) -> np.ndarray:
    """A buzz whose pitch and colour wander, with pauses and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 140 + 60 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    buzz = sum(np.sin(h * phase) / h ** rng.uniform(0.5, 1.5) for h in range(1, 9))
    heard = np.sin(2 * np.pi * 2.5 * time + seed) > -0.5
    return (0.08 * buzz * heard + rng.normal(0, 0.01, len(time))).astype(np.float32)


Make = Callable[..., Pretraining]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Fourteen utterances of 1 to 2.5 s, all different."""
    lines = ["utterance,audio,speaker,language"]
    for number in range(14):
        soundfile.write(tmp_path / f"{number}.wav", sound(1.0 + 0.11 * number, number), RATE, subtype="FLOAT")
        lines.append(f"u{number},{number}.wav,s{number % 3},nl")
    file = tmp_path / "manifest.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def make(manifest: Path) -> Make:
    """Make settings; keywords replace whole groups."""

    def settings(hours: float | None = None, **groups: object) -> Pretraining:
        corpus = {"name": "made", "manifest": str(manifest), "hours": hours}
        usual = {
            "name": "x",
            "corpora": [corpus],
            "start": {"architecture": "tiny-hubert"},
            "objective": {"kind": "hubert", "targets": [{"clusters": 8}]},
            "batches": {"seconds": 6.0, "longest": 1.2},
            "training": {"steps": 4, "precision": "float32"},
        }
        return Pretraining.model_validate({**usual, **groups})

    return settings


@pytest.fixture
def gathered(make: Make) -> Pieces:
    """All of it."""
    return pieces.gather(make())
