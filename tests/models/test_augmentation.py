"""Other rooms, microphones and company: as loud, by chance that repeats, and nothing unless asked."""

import numpy as np
import pytest
from scipy.signal import welch

from sibboleth.augmentation import AugmentationSettings
from sibboleth.models import augmentation

ALL = AugmentationSettings(gain=6, reverberation=1, noise=1, babble=1, colour=1)


@pytest.fixture
def several() -> np.ndarray:
    rng = np.random.default_rng(0)
    time = np.arange(24_000) / 16_000
    rows = [np.sin(2 * np.pi * 150 * k * time) * (np.sin(2 * np.pi * 3 * time) > 0) for k in range(1, 5)]
    return (0.1 * np.array(rows) + rng.normal(0, 0.003, (4, 24_000))).astype(np.float32)


def level(sound: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(np.mean(sound.astype(np.float64) ** 2, axis=-1)))


def test_nothing_is_changed_unless_asked(several: np.ndarray) -> None:
    found = augmentation.changed(several, 16_000, AugmentationSettings(), np.random.default_rng(0))
    assert found.dtype == np.float32 and np.array_equal(found, several)


def test_the_same_chance_gives_the_same_bits_and_the_input_stays(several: np.ndarray) -> None:
    before = several.copy()
    found = [augmentation.changed(several, 16_000, ALL, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(found[0], found[1]) and np.array_equal(several, before)
    assert all((found[0][row] != found[2][row]).any() for row in range(4))
    assert np.isfinite(found[0]).all()


@pytest.mark.parametrize("name", ["reverberation", "colour"])
def test_rooms_and_microphones_keep_the_level(several: np.ndarray, name: str) -> None:
    settings = AugmentationSettings.model_validate({name: 1.0})
    for seed in range(20):
        found = augmentation.changed(several, 16_000, settings, np.random.default_rng(seed))
        np.testing.assert_allclose(level(found), level(several), atol=0.01)
        assert (np.abs(found - several).max(axis=1) > 0.0005).all()


def test_gain_moves_the_level_alone_within_its_bounds(several: np.ndarray) -> None:
    moved = []
    for seed in range(60):
        found = augmentation.changed(several, 16_000, AugmentationSettings(gain=6), np.random.default_rng(seed))
        moved += (level(found) - level(several)).tolist()
        np.testing.assert_allclose(found / 10 ** ((level(found) - level(several)) / 20)[:, None], several, atol=1e-5)
    assert -6.001 <= min(moved) < -5 and 5 < max(moved) <= 6.001


def test_noise_has_the_asked_level_and_falls_with_frequency(several: np.ndarray) -> None:
    settings = AugmentationSettings(noise=1, signal_to_noise=(10, 10))
    slopes = []
    for seed in range(40):
        noise = augmentation.changed(several, 16_000, settings, np.random.default_rng(seed)) - several
        np.testing.assert_allclose(level(several) - level(noise), 10, atol=0.05)
        hertz, power = welch(noise[0], 16_000, nperseg=2048)
        near = [power[(hertz > f / 1.2) & (hertz < f * 1.2)].mean() for f in (500, 4000)]
        slopes.append(10 * np.log10(near[0] / near[1]) / 3)
    assert -1 < min(slopes) < 1.5 and 6.5 < max(slopes) < 11


def test_babble_is_another_row_for_less_than_half_of_the_time(several: np.ndarray) -> None:
    settings = AugmentationSettings(babble=1, signal_to_noise=(10, 10))
    for seed in range(20):
        found = augmentation.changed(several, 16_000, settings, np.random.default_rng(seed)) - several
        for row in range(4):
            place = np.flatnonzero(found[row])
            assert place[-1] - place[0] < 12_000
    alone = augmentation.changed(several[:1], 16_000, settings, np.random.default_rng(0))
    assert np.array_equal(alone, several[:1])


def test_shares_are_shares(several: np.ndarray) -> None:
    for name in ("reverberation", "noise", "babble", "colour"):
        settings = AugmentationSettings.model_validate({name: 0.3})
        hit = [
            (
                augmentation.changed(several[:, :2000], 16_000, settings, np.random.default_rng(seed))
                != several[:, :2000]
            )
            .any(axis=1)
            .mean()
            for seed in range(150)
        ]
        assert np.mean(hit) == pytest.approx(0.3, abs=0.06), name


def test_silence_stays_finite() -> None:
    found = augmentation.changed(np.zeros((2, 8000), np.float32), 16_000, ALL, np.random.default_rng(0))
    assert np.isfinite(found).all() and np.abs(found).max() < 1e-6
