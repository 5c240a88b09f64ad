"""The log-mel and prosody control."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from scipy.signal import lfilter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sibboleth.models.encoders import check, load, pitch
from sibboleth.models.encoders.logmel import BANDS, CEPSTRA, PROSODY
from sibboleth.study import EncoderSettings

RATE = 16_000
ENCODER = load(EncoderSettings(name="logmel", language="de"))
FIRST = 2 * BANDS + 2 * (CEPSTRA - 1)


def voice(frequency: npt.NDArray[np.float64], seed: int = 0) -> npt.NDArray[np.float32]:
    """Make a buzz of this frequency `[sample]`, through two resonances, with a little noise."""
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    harmonics = range(1, int(RATE / 2 / frequency.max()))
    pulses = np.sum([np.cos(number * phase) for number in harmonics], axis=0)
    for hertz, width in ((600, 90), (1700, 150)):
        radius = np.exp(-np.pi * width / RATE)
        pulses = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hertz / RATE), radius**2], pulses)
    noise = np.random.default_rng(seed).standard_normal(len(pulses))
    return (0.2 * pulses / np.abs(pulses).max() + 0.001 * noise).astype(np.float32)


def prosody(states: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    return states[0, :, FIRST + PROSODY.index(name)]


def test_facts() -> None:
    states = ENCODER.hidden_states(voice(np.full(RATE, 150.0)))
    assert states.shape == (ENCODER.layers, 100, ENCODER.dim) == (1, 100, FIRST + len(PROSODY))
    assert (ENCODER.kind, ENCODER.default_pooling, ENCODER.language) == ("control", "mean+std", "de")
    assert check(ENCODER) == []


@pytest.mark.parametrize("hertz", [70.0, 100.0, 160.0, 220.0, 330.0, 450.0])
def test_the_fundamental_of_a_steady_voice(hertz: float) -> None:
    for audio in (voice(np.full(RATE, hertz)), np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)):
        found = pitch.track(audio, 160)
        assert found.voiced.mean() > 0.9
        semitones = 12 * np.log2(found.frequency[found.voiced] / hertz)
        assert np.median(np.abs(semitones)) < 0.1
        assert np.mean(np.abs(semitones) < 1) > 0.97


def test_the_fundamental_of_a_gliding_voice() -> None:
    truth = 120 * 2 ** np.linspace(0, 1, 2 * RATE)
    found = pitch.track(voice(truth), 160)
    error = 12 * np.log2(found.frequency / truth[80::160])
    assert np.nanmax(np.abs(error[5:-5])) < 1
    assert found.voiced[5:-5].all()


def test_noise_and_silence_have_no_voice() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert pitch.track(noise, 160).voiced.mean() < 0.1
    silence = ENCODER.hidden_states(np.zeros(RATE, dtype=np.float32))
    assert np.isfinite(silence).all()
    assert not prosody(silence, "voicing").any()


def test_scaling_adds_to_levels_and_changes_nothing_else() -> None:
    rng = np.random.default_rng(1)
    audio = voice(150 + 30 * np.sin(np.arange(2 * RATE) / 3000)) + 0.01 * rng.standard_normal(2 * RATE)
    audio = audio.astype(np.float32)
    quiet, loud = ENCODER.hidden_states(audio), ENCODER.hidden_states(4 * audio)
    difference = loud - quiet
    np.testing.assert_allclose(difference[0, :, :BANDS], 2 * np.log(4), atol=2e-3)
    np.testing.assert_allclose(prosody(difference, "energy"), 2 * np.log(4), atol=2e-3)
    difference[0, :, :BANDS] = 0
    difference[0, :, FIRST + PROSODY.index("energy")] = 0
    np.testing.assert_allclose(difference, 0, atol=5e-3)


def test_it_needs_no_torch() -> None:
    code = (
        "import sys, numpy\nsys.modules['torch'] = None\nsys.modules['transformers'] = None\n"
        "from sibboleth.models import features\nfrom sibboleth.models.encoders import load\n"
        "from sibboleth.study import EncoderSettings\n"
        "load(EncoderSettings(name='logmel')).hidden_states(numpy.zeros(800, numpy.float32))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_a_strong_baseline_on_unseen_speakers(real_speech: Path) -> None:
    files = sorted((real_speech / "emodb" / "wav").glob("*.flac"))
    states = [ENCODER.hidden_states(soundfile.read(file, dtype="float32")[0])[0] for file in files]
    features = np.array([np.concatenate([one.mean(axis=0), one.std(axis=0)]) for one in states])
    emotion, speaker = [file.name[5] for file in files], [file.name[:2] for file in files]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    answers = cross_val_predict(probe, features, emotion, groups=speaker, cv=LeaveOneGroupOut())
    assert recall_score(emotion, answers, average="macro") >= 0.75
