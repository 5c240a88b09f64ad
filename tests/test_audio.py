import hashlib
import math
import sqlite3
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import soxr

from sibboleth import audio
from sibboleth.audio import UnreadableAudio
from sibboleth.audio.levels import Meter
from sibboleth.errors import SibbolethError


def tone(seconds: float, rate: int, hertz: float = 220.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def table(*paths: Path, start: float | None = None, end: float | None = None) -> pl.DataFrame:
    rows = {"utterance": [f"u{n}" for n in range(len(paths))], "audio": [str(path) for path in paths]}
    return pl.DataFrame(rows).with_columns(
        pl.lit(start, pl.Float64).alias("start"), pl.lit(end, pl.Float64).alias("end")
    )


def only(path: Path, **span: float) -> dict[str, object]:
    return audio.scan(table(path, **span)).row(0, named=True)


# reading


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_file_that_libsndfile_reads(tmp_path: Path, suffix: str, channels: int) -> None:
    samples = np.stack([tone(1, 44100, 200 * (c + 1)) for c in range(channels)], axis=1)
    soundfile.write(tmp_path / f"x.{suffix}", samples, 44100)
    got, rate = audio.read(tmp_path / f"x.{suffix}")
    assert rate == 44100 and got.dtype == np.float32 and got.shape == (44100,)
    np.testing.assert_allclose(got, samples.mean(axis=1), atol=0.05 if suffix in ("ogg", "mp3") else 2**-14)


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23)]
)
def test_integers_of_any_width_are_scaled_to_one(tmp_path: Path, subtype: str, step: float) -> None:
    samples = tone(0.2, 8000)
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype=subtype)
    np.testing.assert_allclose(audio.read(tmp_path / "x.wav")[0], samples, atol=1.01 * step)


def test_float_files_above_one_are_kept(tmp_path: Path) -> None:
    samples = 3 * tone(0.2, 8000, amplitude=1)
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="FLOAT")
    assert np.array_equal(audio.read(tmp_path / "x.wav")[0], samples)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_is_that_of_soxr_in_one_go(tmp_path: Path, rate: int) -> None:
    samples = noise(3 * rate + 17)
    soundfile.write(tmp_path / "x.wav", samples, rate, subtype="FLOAT")
    got, wanted = audio.read(tmp_path / "x.wav", 16000)
    assert wanted == 16000
    np.testing.assert_array_equal(got, soxr.resample(samples, rate, 16000))


@pytest.mark.parametrize(("start", "end"), [(None, None), (0.5, 1.25), (1.0, None), (None, 0.75), (0.0, 3.005)])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_segment_is_that_part_of_the_whole(
    tmp_path: Path, suffix: str, start: float | None, end: float | None
) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, noise(24000), 8000, subtype="PCM_16")
    whole, _ = audio.read(path)
    first, last = round((start or 0) * 8000), None if end is None else round(end * 8000)
    np.testing.assert_array_equal(audio.read(path, start=start, end=end)[0], whole[first:last])


def test_a_segment_is_read_without_decoding_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(16000 * 20), 16000)
    damaged = bytearray(path.read_bytes())
    at = len(damaged) * 3 // 4
    damaged[at : at + 4000] = bytes(4000)
    path.write_bytes(damaged)
    assert len(audio.read(path, start=1, end=2)[0]) == 16000
    assert only(path, start=1, end=2)["status"] == "ok"


@pytest.mark.parametrize(("rate", "seconds"), [(None, 0.3), (16000, 1.0), (16000, 7.0), (11025, 0.01), (44100, 100.0)])
def test_blocks_are_what_is_read_in_one_go(tmp_path: Path, rate: int | None, seconds: float) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.stack([noise(480001), noise(480001, 1)], axis=1), 48000, subtype="FLOAT")
    whole, got = audio.read(path, rate, start=0.1)
    blocks = list(audio.blocks(path, rate, start=0.1, seconds=seconds))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert {len(block) for block in blocks[:-1]} <= {round(seconds * got)}
    assert 0 < len(blocks[-1]) <= round(seconds * got)


@pytest.mark.parametrize(
    ("span", "word"),
    [({"start": 1.0}, "beyond"), ({"end": 1.02}, "beyond"), ({"start": 0.5, "end": 0.50001}, "no samples")],
)
def test_segments_outside_the_file_are_refused(tmp_path: Path, span: dict[str, float], word: str) -> None:
    soundfile.write(tmp_path / "x.wav", tone(1, 8000), 8000)
    with pytest.raises(UnreadableAudio, match=word):
        audio.read(tmp_path / "x.wav", **span)
    assert word in str(only(tmp_path / "x.wav", **span)["reason"])


@pytest.mark.parametrize(
    ("end", "hinted"), [(500.0, True), (4000.0, True), (500.5, False), (2.0, False), (9000.0, False)]
)
def test_times_that_may_be_milliseconds_or_samples_are_told_so(tmp_path: Path, end: float, hinted: bool) -> None:
    soundfile.write(tmp_path / "x.wav", tone(1, 8000), 8000)
    with pytest.raises(UnreadableAudio) as caught:
        audio.read(tmp_path / "x.wav", end=end)
    assert ("milliseconds or samples" in caught.value.reason) == hinted


# policies


def truncated(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "mp3"])
def test_truncated_files_are_excluded_and_their_sound_part_is_not(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, noise(16000 * 20), 16000)
    truncated(path)
    found = only(path)
    assert found["status"] == "excluded" and "truncated" in str(found["reason"])
    with pytest.raises(UnreadableAudio, match="truncated"):
        audio.read(path)
    assert only(path, start=1.0, end=3.0)["status"] == "ok"
    assert only(path, start=1.0, end=18.0)["status"] == "excluded"


def test_a_streamed_wav_without_a_length_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(1, 8000), 8000)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert only(path)["status"] == "ok" and only(path)["seconds"] == 1.0


def broken(folder: Path) -> dict[str, Path]:
    """One file of each kind that cannot be used."""
    files = {
        name: folder / f"{name}.wav" for name in ("gone", "empty", "garbage", "no samples", "silent", "nan", "short")
    }
    files["empty"].write_bytes(b"")
    files["garbage"].write_bytes(b"this is no sound" * 100)
    soundfile.write(files["no samples"], np.empty(0, np.float32), 16000)
    soundfile.write(files["silent"], 5e-5 * tone(1, 16000, amplitude=1), 16000, subtype="PCM_24")
    soundfile.write(files["nan"], np.array([0.1, np.nan, np.inf] * 9000, np.float32), 16000, subtype="FLOAT")
    soundfile.write(files["short"], tone(0.099, 16000), 16000)
    files["raw"] = folder / "headerless.raw"
    files["raw"].write_bytes(b"\0\1" * 9000)
    files["folder"] = folder
    return files


REASONS = {
    "gone": "cannot be opened",
    "empty": "empty",
    "garbage": "cannot be read as audio",
    "no samples": "no samples",
    "silent": "silent",
    "nan": "18000 samples are no numbers",
    "short": "too short",
    "raw": "cannot be read as audio",
    "folder": "cannot be opened",
}


def test_each_bad_file_has_a_reason_and_loses_no_other(tmp_path: Path) -> None:
    bad = broken(tmp_path)
    good = tmp_path / "good.wav"
    soundfile.write(good, tone(0.1, 16000), 16000)
    paths = [path for one in bad.values() for path in (one, good)]
    scan = audio.scan(table(*paths))
    assert scan.schema == pl.Schema(audio.SCHEMA)
    assert scan["utterance"].to_list() == [f"u{n}" for n in range(len(paths))]
    assert scan["status"].to_list() == ["excluded", "ok"] * len(bad)
    for name, reason in zip(bad, scan["reason"].to_list()[::2], strict=True):
        assert REASONS[name] in reason
        assert not reason.endswith(".") and (";" in reason or ":" in reason)
    assert scan["reason"].null_count() == len(bad)


def test_digital_silence_and_channels_that_cancel_out_are_silent(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "zero.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "anti.wav", np.stack([tone(1, 16000), -tone(1, 16000)], axis=1), 16000)
    assert "no sound at all" in str(only(tmp_path / "zero.wav")["reason"])
    assert "channels cancel" in str(only(tmp_path / "anti.wav")["reason"])


def test_an_hour_is_scanned_and_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "hour.flac"
    minute = noise(8000 * 60)
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(60):
            file.write(minute)
    tracemalloc.start()
    found = only(path)
    heard = sum(len(block) for block in audio.blocks(path, 16000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["status"] == "ok" and found["seconds"] == 3600 and heard == 3600 * 16000
    assert most < 40e6  # the whole hour takes 230 MB


# measures


def test_levels_of_a_known_tone(tmp_path: Path) -> None:
    samples = np.concatenate([tone(1, 16000, amplitude=0.5), np.zeros(16000, np.float32)])
    soundfile.write(tmp_path / "x.wav", samples, 16000, subtype="FLOAT")
    found = only(tmp_path / "x.wav")
    assert found["peak"] == pytest.approx(20 * math.log10(0.5), abs=0.01)
    assert found["level"] == pytest.approx(10 * math.log10(0.5**2 / 2 / 2), abs=0.01)
    assert found["silence"] == 0.5 and found["clipped"] == 0.0
    assert (found["seconds"], found["rate"], found["channels"]) == (2.0, 16000, 1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_clipping_counts_runs_at_full_scale_and_no_single_peak(tmp_path: Path, subtype: str) -> None:
    samples = np.clip(tone(1, 16000, amplitude=2), -1, 1)
    soundfile.write(tmp_path / "clipped.wav", samples, 16000, subtype=subtype)
    assert only(tmp_path / "clipped.wav")["clipped"] == pytest.approx(2 / 3, abs=0.02)
    single = tone(1, 16000)
    single[[100, 101, 500]] = 1.0
    soundfile.write(tmp_path / "single.wav", single, 16000, subtype=subtype)
    assert only(tmp_path / "single.wav")["clipped"] == 0.0


@pytest.mark.parametrize("cut", [1, 2, 7, 399, 5000])
def test_measures_do_not_depend_on_how_the_audio_is_cut(cut: int) -> None:
    samples = np.clip(noise(5000) * 12, -1, 1).reshape(-1, 1)
    samples[1000:1100] = 1
    whole, parts = Meter(16000, 1, 1.0), Meter(16000, 1, 1.0)
    whole.add(samples)
    for at in range(0, len(samples), cut):
        parts.add(samples[at : at + cut])
    expected, got = whole.result(), parts.result()
    runs = "".join("x" if flag else " " for flag in np.abs(samples[:, 0]) >= 1).split()
    assert expected.clipped == sum(len(run) for run in runs if len(run) >= 3) / 5000
    assert (got.peak, got.clipped, got.silence, got.digest) == (
        expected.peak,
        expected.clipped,
        expected.silence,
        expected.digest,
    )
    assert got.level == pytest.approx(expected.level)


def test_the_same_sound_has_the_same_digest_in_any_lossless_file(tmp_path: Path) -> None:
    samples = (noise(16000) * 2**15).astype(np.int16)
    for name in ("a.wav", "b.flac", "c.aiff", "d.wav"):
        soundfile.write(tmp_path / name, samples, 16000, subtype="PCM_24" if name == "d.wav" else "PCM_16")
    soundfile.write(tmp_path / "rate.wav", samples, 8000)
    soundfile.write(tmp_path / "stereo.wav", samples.reshape(-1, 2), 16000)
    soundfile.write(tmp_path / "long.wav", np.concatenate([samples[:8000], samples]), 16000)
    digests = audio.scan(table(*sorted(tmp_path.iterdir())))["digest"].to_list()
    assert len(set(digests[:4])) == 1 and len(set(digests)) == 4
    expected = hashlib.sha256(b"16000 1\n" + (samples / 2**15).astype("<f4").tobytes()).hexdigest()
    assert digests[0] == expected == only(tmp_path / "long.wav", start=0.5)["digest"]


def test_order_and_company_change_nothing(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.wav" for n in range(7)]
    for n, path in enumerate(paths):
        soundfile.write(path, noise(8000, n), 16000)
    forward = audio.scan(table(*paths)).drop("utterance")
    backward = audio.scan(table(*reversed(paths))).drop("utterance").reverse()
    assert forward.equals(backward)
    assert forward[3:4].equals(audio.scan(table(paths[3])).drop("utterance"))
    assert audio.scan(table()).schema == pl.Schema(audio.SCHEMA)


# memory


def test_a_second_scan_reads_no_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [path for name, path in broken(tmp_path).items() if name not in ("gone", "folder")]
    good = tmp_path / "good.wav"
    soundfile.write(good, tone(1, 16000), 16000)
    rows = pl.concat([table(*files, good), table(good, start=0.25, end=0.5)])
    store = tmp_path / "deep" / "scan.sqlite"
    first = audio.scan(rows, store=store)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("audio was read")

    monkeypatch.setattr(soundfile, "SoundFile", refuse)
    assert audio.scan(rows, store=store).equals(first)


def test_a_changed_file_is_scanned_anew(tmp_path: Path) -> None:
    path, store = tmp_path / "x.wav", tmp_path / "scan.sqlite"
    soundfile.write(path, tone(1, 16000), 16000)
    before = audio.scan(table(path), store=store)
    soundfile.write(path, tone(1, 16000, amplitude=0.25), 16000)
    after = audio.scan(table(path), store=store)
    assert after["peak"][0] < before["peak"][0]
    path.unlink()
    assert audio.scan(table(path), store=store)["status"].to_list() == ["excluded"]
    soundfile.write(path, tone(1, 16000), 16000)
    assert audio.scan(table(path), store=store).equals(before)


def test_a_store_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path, store = tmp_path / "x.wav", tmp_path / "scan.sqlite"
    soundfile.write(path, tone(1, 16000), 16000)
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE scan (something)")
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert audio.scan(table(path), store=store)["status"].to_list() == ["ok"]


def test_a_store_that_is_none_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "manifest.csv"
    store.write_text("audio,speaker\n" * 100)
    with pytest.raises(SibbolethError, match="delete it"):
        audio.scan(table(), store=store)
    assert store.read_text() == "audio,speaker\n" * 100


def test_what_was_scanned_before_a_stop_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{n}.wav" for n in range(6)]
    for n, path in enumerate(paths):
        soundfile.write(path, noise(4000, n), 16000)
    store = tmp_path / "scan.sqlite"
    monkeypatch.setattr(audio.scanning, "BATCH", 2)
    read = soundfile.SoundFile

    def stop_at_the_fifth(path: str) -> soundfile.SoundFile:
        if path.endswith("4.wav"):
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(soundfile, "SoundFile", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        audio.scan(table(*paths), store=store)
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM scan").fetchone() == (4,)
    connection.close()


def test_real_speech_is_measured_as_its_papers_say(real_speech: Path) -> None:
    quiet = audio.scan(table(*sorted((real_speech / "ravdess" / "Actor_01").iterdir())))
    loud = audio.scan(table(*sorted((real_speech / "emodb" / "wav").iterdir())[:10]))
    assert set(quiet["rate"]) == {48000} and set(loud["rate"]) == {16000}
    assert quiet["level"].max() < loud["level"].min()
    assert quiet["silence"].min() > loud["silence"].max()
