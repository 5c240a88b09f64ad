"""Sounds: loudness as the recommendation has it, nothing clipped, nothing in a file but its sound."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from sibboleth.listeners import sound
from sibboleth.listeners.sound import Stretch
from sibboleth.listeners.test import AUDIO


def sine(seconds: float, level: float, rate: int = 16_000, hertz: float = 997.0) -> npt.NDArray[np.float32]:
    """A sine with a peak of so many dBFS."""
    return (10 ** (level / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def stretch(path: Path, samples: npt.NDArray[np.float32], rate: int = 16_000, **more: float) -> Stretch:
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return Stretch("name", str(path), more.get("start"), more.get("end"), rate, "c/utterance")


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_sine_of_full_scale_has_3_decibel_less(rate: int) -> None:
    """ITU-R BS.1770-4, annex 1: 0 dBFS, 997 Hz in one front channel reads -3.01 LKFS; tolerance of EBU Tech 3341."""
    assert sound.loudness(sine(5, 0.0, rate), rate) == pytest.approx(-3.01, abs=0.1)


def test_quiet_stretches_do_not_count() -> None:
    """EBU Tech 3341, case 3: -36, -23, -36 dBFS in both channels read -23.0 LUFS; in one channel 3.01 less."""
    samples = np.concatenate([sine(seconds, level) for seconds, level in ((10, -36.0), (60, -23.0), (10, -36.0))])
    assert sound.loudness(samples, 16_000) == pytest.approx(-26.01, abs=0.1)


def test_a_sound_shorter_than_a_block_is_one_block() -> None:
    assert sound.loudness(sine(0.15, -20.0), 16_000) == pytest.approx(-23.01, abs=0.3)
    assert sound.loudness(np.zeros(8000, np.float32), 16_000) == -np.inf


def test_a_stretch_is_cut_and_brought_to_its_loudness(tmp_path: Path) -> None:
    samples = np.concatenate([sine(1, -50.0), sine(1, -30.0), np.zeros(16_000, np.float32)])
    made, rate, told = sound.heard(stretch(tmp_path / "a.wav", samples, start=1.0, end=2.0), -26.0)
    assert (len(made), rate) == (16_000, 16_000)
    assert sound.loudness(made, rate) == pytest.approx(-26.0, abs=0.01) == told.loudness
    assert told.before == pytest.approx(-33.0, abs=0.1) and told.lacking == 0


def test_a_faint_recording_of_which_the_gate_hears_a_part_is_brought_there_too(tmp_path: Path) -> None:
    samples = np.concatenate([sine(2, -62.0), sine(2, -68.5)])  # -65 and -71.5 LUFS; what is under -70 does not count
    made, rate, told = sound.heard(stretch(tmp_path / "a.wav", samples), -26.0)
    assert told.before == pytest.approx(-65.2, abs=0.2), "blocks across the border count, too"
    assert sound.loudness(made, rate) == pytest.approx(-26.0, abs=0.01) == told.loudness


def test_what_would_clip_is_only_made_as_loud_as_it_can_be(tmp_path: Path) -> None:
    samples = sine(1, -40.0)
    samples[5000] = 0.5
    made, _, told = sound.heard(stretch(tmp_path / "a.wav", samples), -20.0)
    assert 20 * np.log10(np.abs(made).max()) == pytest.approx(-1.0, abs=0.01)
    assert told.lacking > 10 and told.loudness + told.lacking == pytest.approx(-20.0, abs=0.2)


def test_without_a_level_sounds_stay_to_the_bit_unless_they_are_beyond_full_scale(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(-(2**15), 2**15, 4000).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", whole, 16_000)
    made, rate, _ = sound.heard(Stretch("a", str(tmp_path / "a.flac"), None, None, 16_000), None)
    sound.write(tmp_path, "a", made, rate)
    assert (soundfile.read(tmp_path / AUDIO / "a.wav", dtype="int16")[0] == whole).all()
    loud, _, _ = sound.heard(stretch(tmp_path / "b.wav", 3 * sine(1, 0.0)), None)
    assert np.abs(loud).max() == pytest.approx(1.0)


def test_a_recording_of_96_kilohertz_is_served_with_48(tmp_path: Path) -> None:
    made, rate, _ = sound.heard(stretch(tmp_path / "a.wav", sine(1, -20, 96_000), 96_000), None)
    assert (len(made), rate) == (48_000, 48_000)


def test_a_file_has_nothing_but_its_sound(tmp_path: Path) -> None:
    sound.write(tmp_path, "a", sine(0.5, -20), 16_000)
    sound.write(tmp_path, "b", np.zeros((100, 2), np.float32), 8_000)
    file, other = (tmp_path / AUDIO / f"{name}.wav" for name in "ab")
    assert file.stat().st_size == 44 + 2 * 8000, "a header of 44 bytes, then samples"
    assert file.stat().st_mtime == other.stat().st_mtime
    assert sorted(path.name for path in (tmp_path / AUDIO).iterdir()) == ["a.wav", "b.wav"]


def test_the_tones_are_those_of_woods_in_all_six_orders(tmp_path: Path) -> None:
    trials = sound.tones(tmp_path, 3)
    orders = set()
    for trial in trials:
        files = [soundfile.read(tmp_path / AUDIO / f"{name}.wav") for name in trial.audio]
        power = [float((samples[:, 0] ** 2).mean()) for samples, _ in files]
        turned = [bool(np.allclose(samples.sum(axis=1), 0, atol=1e-3)) for samples, _ in files]
        assert int(np.argmin(power)) == trial.quietest and sum(turned) == 1 and not turned[trial.quietest]
        assert 10 * np.log10(min(power) / max(power)) == pytest.approx(-6, abs=0.05)
        orders.add((trial.quietest, turned.index(True)))
        samples, rate = files[0]
        assert len(samples) == rate and np.abs(samples[0]).max() == 0, "a second, its edges ramped"
        assert np.argmax(np.abs(np.fft.rfft(samples[:, 0]))) == 200
    assert len(trials) == 6 and len(orders) == 6
    assert len({name for trial in trials for name in trial.audio}) == 18
    assert [trial.quietest for trial in sound.tones(tmp_path, 4)] != [trial.quietest for trial in trials]


def test_noise_sets_the_volume_where_no_utterance_can(tmp_path: Path) -> None:
    called = sound.noise(tmp_path, 0, -26.0)
    samples, rate = soundfile.read(tmp_path / AUDIO / f"{called}.wav", dtype="float32")
    assert sound.loudness(samples, rate) == pytest.approx(-26.0, abs=0.1) and np.abs(samples).max() < 0.9
