"""Bandwidth, noise and DC offset: what a scan measures of the recording and not of the speech."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import soxr

from sibboleth import audio
from sibboleth.audio.bandwidth import Spectrum


def pink(seconds: float, rate: int) -> np.ndarray:
    """Make noise that falls by 6 dB per octave, steeper than none and flatter than any edge."""
    white = np.random.default_rng(0).standard_normal(round(seconds * rate))
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.arange(1, len(spectrum))
    spectrum[0] = 0
    found = np.fft.irfft(spectrum)
    return (0.3 * found / np.abs(found).max()).astype(np.float32)


def band(samples: np.ndarray, rate: int, cut: int = 100_000) -> float:
    spectrum = Spectrum(rate)
    for at in range(0, len(samples), cut):
        spectrum.add(np.ascontiguousarray(samples[at : at + cut]))
    return spectrum.bandwidth()


@pytest.mark.parametrize(("was", "now"), [(8000, 16000), (16000, 48000), (22050, 44100), (8000, 44100)])
def test_an_earlier_rate_is_seen(was: int, now: int) -> None:
    sound = soxr.resample(soxr.resample(pink(2, now), now, was), was, now)
    assert band(sound, now) == pytest.approx(was / 2, rel=0.06)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_whole_band_is_half_the_rate(rate: int) -> None:
    assert band(pink(2, rate), rate) == rate / 2
    assert band(np.zeros(rate, np.float32), rate) == rate / 2
    assert band(pink(0.11, rate), rate) == rate / 2


@pytest.mark.parametrize("cut", [1000, 1777, 40000])
def test_pieces_change_nothing(cut: int) -> None:
    sound = soxr.resample(soxr.resample(pink(1, 16000), 16000, 8000), 8000, 16000)
    assert band(sound, 16000, cut) == band(sound, 16000)


def test_speech_has_no_edge_of_its_own(real_speech: Path) -> None:
    for file in [
        *sorted((real_speech / "emodb" / "wav").iterdir())[::40],
        *sorted(real_speech.glob("ravdess/*/*"))[::20],
    ]:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        assert band(samples.mean(axis=1), rate) == rate / 2
        telephone = soxr.resample(soxr.resample(samples.mean(axis=1), rate, 8000), 8000, 16000)
        assert band(telephone, 16000) == pytest.approx(3900, abs=150)


def test_noise_and_offset_of_a_known_recording(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    tone = np.where(np.arange(32000) < 16000, 0.5 * np.sin(np.arange(32000) * np.pi / 40), 0)
    soundfile.write(tmp_path / "x.wav", tone + 0.001 * random.standard_normal(32000) + 0.002, 16000, subtype="FLOAT")
    empty = pl.lit(None, pl.Float64)
    table = pl.DataFrame({"utterance": ["x"], "audio": [str(tmp_path / "x.wav")]}).with_columns(start=empty, end=empty)
    found = audio.scan(table).row(0, named=True)
    assert found["noise"] == pytest.approx(10 * np.log10(0.001**2 + 0.002**2), abs=0.5)
    assert found["offset"] == pytest.approx(0.002, abs=2e-4)
    assert found["format"] == "WAV FLOAT"
