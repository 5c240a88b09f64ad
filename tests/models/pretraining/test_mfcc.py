"""Cepstra, against the definition written out frame by frame."""

import numpy as np
import pytest

from sibboleth.models.pretraining.mfcc import mfcc


def straightforward(audio: np.ndarray, first: int, hop: int, count: int) -> np.ndarray:
    """Hamming window, FFT of 512, 23 triangles in mel from 20 Hz to 8 kHz, logarithm, orthonormal cosines."""
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(8000), 25)
    rows = []
    for frame in range(count):
        begin = first + frame * hop
        samples = np.array([audio[i] if 0 <= i < len(audio) else 0.0 for i in range(begin, begin + 400)])
        samples = (samples - samples.mean()) * (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399))
        power = np.abs(np.fft.fft(samples, 512)[:257]) ** 2
        bands = np.zeros(23)
        for band in range(23):
            low, middle, high = edges[band : band + 3]
            for k in range(257):
                at = mel(k * 16_000 / 512)
                if low < at < high:
                    bands[band] += power[k] * (
                        (at - low) / (middle - low) if at < middle else (high - at) / (high - middle)
                    )
        levels = np.log(bands + 1e-8)
        cosines = [np.sum(levels * np.cos(np.pi * c * (np.arange(23) + 0.5) / 23)) for c in range(13)]
        rows.append([np.sqrt(1 / 23) * cosines[0], *(np.sqrt(2 / 23) * np.array(cosines[1:]))])
    return np.array(rows)


def slopes(values: np.ndarray) -> np.ndarray:
    last = len(values) - 1
    at = lambda k: values[min(max(k, 0), last)]  # noqa: E731
    return np.array([sum(n * (at(k + n) - at(k - n)) for n in (1, 2)) / 10 for k in range(len(values))])


@pytest.mark.parametrize(("field", "hop"), [(400, 320), (720, 320), (200, 160)])
def test_cepstra_are_what_the_definition_gives_in_the_middle_of_each_frame(field: int, hop: int) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 5000).astype(np.float32)
    count = (len(audio) - field) // hop + 1
    found = mfcc(audio, 16_000, hop, field, count)
    cepstra = straightforward(audio, (field - 400) // 2, hop, count)
    expected = np.concatenate([cepstra, slopes(cepstra), slopes(slopes(cepstra))], axis=1)
    assert found.shape == (count, 39) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_level_moves_the_first_cepstrum_alone_and_silence_is_finite() -> None:
    audio = np.random.default_rng(1).normal(0, 0.1, 4000).astype(np.float32)
    soft, loud = (mfcc(scale * audio, 16_000, 320, 400, 12) for scale in (1.0, 2.0))
    np.testing.assert_allclose(loud[:, 0] - soft[:, 0], np.sqrt(23) * np.log(4), rtol=1e-3)
    np.testing.assert_allclose(loud[:, 1:], soft[:, 1:], atol=2e-3)
    assert np.isfinite(mfcc(np.zeros(4000, np.float32), 16_000, 320, 400, 12)).all()
