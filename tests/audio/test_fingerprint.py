"""Fingerprints: a copy of a recording is found however it was encoded or cut, and nothing else is."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from sibboleth import audio
from sibboleth.audio import matching
from sibboleth.audio.fingerprint import Printer

Samples = npt.NDArray[np.float32]
Sound = tuple[Samples, int]


def printed(samples: Samples, rate: int, cut: int | None = None) -> bytes:
    printer = Printer(rate)
    for at in range(0, len(samples), cut or len(samples)):
        printer.add(samples[at : at + (cut or len(samples))])
    return printer.result()


def babble(seconds: float, rate: int, seed: int) -> Samples:
    """Make a sound with the slow spectral changes of speech."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    knots = np.arange(0, seconds + 0.1, 0.08)
    pitch = np.interp(time, knots, random.uniform(90, 250, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voices = [
        np.interp(time, knots, random.exponential(1.0, len(knots))) * np.sin(k * phase)
        for k in range(1, 20)
        if 250 * k < rate / 2
    ]
    return (0.05 * np.sum(voices, axis=0)).astype(np.float32)


def encoded(sound: Sound, kind: str, subtype: str | None = None) -> Sound:
    file = io.BytesIO()
    soundfile.write(file, *sound, format=kind, subtype=subtype)
    file.seek(0)
    samples, rate = soundfile.read(file, dtype="float32")
    return samples, rate


def resampled(sound: Sound, rate: int) -> Sound:
    return soxr.resample(*sound, rate), rate


def noisy(sound: Sound, decibels: float) -> Sound:
    samples, rate = sound
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    return samples + noise * np.sqrt((samples**2).mean()) * np.float32(10 ** (-decibels / 20)), rate


CHANGES: dict[str, Callable[[Sound], Sound]] = {
    "MP3": lambda sound: encoded(sound, "MP3"),
    "Vorbis": lambda sound: encoded(sound, "OGG", "VORBIS"),
    "Opus": lambda sound: encoded(resampled(sound, 16000), "OGG", "OPUS"),
    "mu-law at 8 kHz": lambda sound: encoded(resampled(sound, 8000), "WAV", "ULAW"),
    "48 kHz": lambda sound: resampled(sound, 48000),
    "44.1 kHz": lambda sound: resampled(sound, 44100),
    "20 dB softer": lambda sound: (sound[0] * np.float32(0.1), sound[1]),
    "137 ms trimmed": lambda sound: (sound[0][round(0.137 * sound[1]) :], sound[1]),
    "313 ms of silence before, 500 after": lambda sound: (
        np.pad(sound[0], (round(0.313 * sound[1]), sound[1] // 2)),
        sound[1],
    ),
    "the middle half": lambda sound: (sound[0][len(sound[0]) // 4 + 37 : 3 * len(sound[0]) // 4], sound[1]),
    "noise 20 dB below": lambda sound: noisy(sound, 20),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(change: str) -> None:
    sounds = [babble(2.5, 16000, seed) for seed in range(12)]
    copies = [CHANGES[change]((sound, 16000)) for sound in sounds]
    found = matching.matches([printed(sound, 16000) for sound in sounds] + [printed(*copy) for copy in copies])
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(n, n + 12) for n in range(12)]
    assert (found.seconds > 0.4).all() and (found.error < 0.25).all()


def test_eight_bits_are_found() -> None:
    sound = babble(2.5, 16000, 3)
    found = matching.matches([printed(sound, 16000), printed(*encoded((sound, 16000), "WAV", "PCM_U8"))])
    assert len(found) == 1


def test_two_cuts_of_one_recording_share_what_they_share() -> None:
    sound = babble(6, 16000, 1)
    found = matching.matches([printed(sound[:64000], 16000), printed(sound[32000:], 16000)])
    assert len(found) == 1 and found.seconds[0] == pytest.approx(2.0, abs=0.4)
    assert len(matching.matches([printed(sound[:48000], 16000), printed(sound[48000:], 16000)])) == 0


def test_neither_pieces_nor_order_nor_company_change_a_match() -> None:
    sound = babble(2.5, 22050, 5)
    whole = np.frombuffer(printed(sound, 22050), "<u4")
    for cut in (100, 1999, 30000):
        parts = np.frombuffer(printed(sound, 22050, cut), "<u4")
        assert np.bitwise_count(whole ^ parts).mean() < 0.05
    prints = [printed(babble(2, 16000, seed), 16000) for seed in range(6)]
    prints.append(printed(*resampled((babble(2, 16000, 2), 16000), 8000)))
    forward, backward = matching.matches(prints), matching.matches(prints[::-1])
    assert (forward.first.tolist(), forward.second.tolist()) == ([2], [6])
    assert (backward.first.tolist(), backward.second.tolist()) == ([0], [4])
    assert forward.error.tolist() == backward.error.tolist()


def test_silence_hum_and_nothing_match_nobody() -> None:
    hum = np.sin(2 * np.pi * 50 * np.arange(32000) / 16000).astype(np.float32)
    assert printed(np.zeros(32000, np.float32), 16000).strip(b"\0") == b""
    prints = [b"", None, printed(np.zeros(32000, np.float32), 16000), printed(babble(2, 16000, 1), 16000)]
    assert len(matching.matches(prints)) == 0 and len(matching.matches([])) == 0
    short = [printed(babble(0.2, 16000, 1)[:1600], 16000)] * 2
    assert len(matching.matches(short)) == 0
    assert len(matching.matches([printed(hum, 16000), printed(babble(2, 16000, 4), 16000)])) == 0


def test_work_is_bounded_where_thousands_have_one_sound() -> None:
    tone = np.full(80, 0xF0F0F0F0, "<u4").tobytes()
    found = matching.matches([tone] * 3000)
    assert 2999 <= len(found) <= 3000 * matching.NEIGHBOURS
    assert set(found.first.tolist()) | set(found.second.tolist()) == set(range(3000))


def test_a_scan_holds_fingerprints_that_match(tmp_path: Path) -> None:
    import polars as pl

    sound = babble(2, 16000, 7)
    soundfile.write(tmp_path / "a.flac", sound, 16000)
    soundfile.write(tmp_path / "b.mp3", np.stack([sound, sound], axis=1), 16000)
    table = pl.DataFrame({"utterance": ["a", "b"], "audio": [str(tmp_path / "a.flac"), str(tmp_path / "b.mp3")]})
    empty = pl.lit(None, pl.Float64)
    store = tmp_path / "scan.sqlite"
    for _ in range(2):
        scan = audio.scan(table.with_columns(start=empty, end=empty), store=store)
        assert scan["format"].to_list() == ["FLAC PCM_16", "MP3 MPEG_LAYER_III"]
        assert len(matching.matches(scan["fingerprint"].to_list())) == 1


def test_speech_said_twice_is_not_a_copy_and_re_encoded_speech_is(real_speech: Path) -> None:
    files = sorted((real_speech / "emodb" / "wav").iterdir())
    takes = [file for file in files if sum(one.stem[:6] == file.stem[:6] for one in files) > 1]
    assert len(takes) >= 20  # the same speaker, sentence and emotion again
    digits = sorted((real_speech / "fsdd" / "recordings").glob("7_george_*"))
    sounds = [soundfile.read(file, dtype="float32") for file in (*takes, *digits)]
    prints = [printed(*sound) for sound in sounds]
    assert len(matching.matches(prints)) == 0
    changes = [change for name, change in CHANGES.items() if name in ("MP3", "mu-law at 8 kHz", "the middle half")]
    copies = [printed(*change(sound)) for sound in sounds[:10] for change in changes]
    found = matching.matches([*prints[:10], *copies])
    pairs = {(first, second) for first, second in zip(found.first, found.second, strict=True) if first < 10}
    assert pairs == {(n // 3, 10 + n) for n in range(30)}
