"""Voice activity: where speech begins and ends, whatever its level, its noise and its rumble."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import corpus
from sibboleth.audio.rechecking import digest
from sibboleth.corpora.mixes import pieces
from sibboleth.corpora.mixes.pieces import RATE, activity

BEFORE, LONG, AFTER = 0.2, 0.6, 0.3


def noise(seconds: float, level: float, seed: int) -> np.ndarray:
    return (level * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype(np.float32)


def between(level: float = 0.1, floor: float = 1e-4) -> np.ndarray:
    return np.concatenate([noise(BEFORE, floor, 1), noise(LONG, level, 2), noise(AFTER, floor, 3)])


@pytest.mark.parametrize("gain", [1.0, 0.003])
@pytest.mark.parametrize("floor", [0.0, 1e-5, 4e-3])
def test_speech_is_found_at_any_level_and_over_noise(gain: float, floor: float) -> None:
    found = activity(between(0.1 * gain, floor * gain))
    assert found is not None
    assert found.first / RATE == pytest.approx(BEFORE, abs=0.02)
    assert found.last / RATE == pytest.approx(BEFORE + LONG, abs=0.02)
    assert found.level == pytest.approx(20 * np.log10(0.1 * gain), abs=0.5)


def test_rumble_a_gate_and_a_click_are_no_speech_and_a_pause_inside_is() -> None:
    time = np.arange(round((BEFORE + LONG + AFTER) * RATE)) / RATE
    expected = activity(between())
    assert expected is not None
    rumbling = activity((between() + 0.1 * np.sin(2 * np.pi * 20 * time)).astype(np.float32))
    assert rumbling is not None and abs(rumbling.first - expected.first) <= 320
    gated = np.concatenate([np.zeros(RATE, np.float32), noise(0.5, 0.004, 4), noise(LONG, 0.1, 5)])
    found = activity(gated)
    assert found is not None and found.first / RATE == pytest.approx(1.5, abs=0.02)
    clicked = between()
    clicked[800] = 0.9
    found = activity(clicked)
    assert found is not None and found.first == expected.first
    halves = activity(np.concatenate([between(), between()]))
    assert halves is not None and halves.last - halves.first > (2 * LONG + AFTER) * RATE


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.zeros(0), np.ones(100), np.full(RATE, 1e-7)])
def test_without_speech_nothing_is_found(samples: np.ndarray) -> None:
    assert activity(samples.astype(np.float32)) is None


def test_what_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    heard = {
        "good": between(),
        "again": between(),
        "short": np.concatenate([noise(0.5, 1e-4, 1), noise(0.2, 0.1, 2), noise(0.5, 1e-4, 3)]),
        "silent": np.zeros(RATE),
        "long": noise(61, 0.1, 1),
    }
    for name, samples in heard.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    rows = [(name, f"{name}.wav", "s", "sad") for name in (*heard, "broken")]
    pl.DataFrame(rows, schema=["utterance", "audio", "speaker", "emotion"], orient="row").write_csv(tmp_path / "m.csv")
    table = corpus.read(tmp_path / "m.csv").table
    usable, left_out = pieces.measure(table, "emotion")
    assert [piece.utterance for piece in usable] == ["good"]
    assert usable[0].digest == digest(tmp_path / "good.wav")
    reasons = dict(left_out.iter_rows())
    assert "same samples as good" in reasons["again"]
    assert "0.2" in reasons["short"] and "too short" in reasons["short"]
    assert "no speech" in reasons["silent"] and "longer than" in reasons["long"] and "corrupt" in reasons["broken"]
