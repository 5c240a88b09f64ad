"""From a corpus table to pooled features, through the cache."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import soundfile

from sibboleth import audio
from sibboleth.errors import SibbolethError
from sibboleth.models import claims, encoding, features
from sibboleth.models.cache import Cache, Store
from sibboleth.models.encoders import Encoder, HiddenStates, load
from sibboleth.models.shards import opened
from sibboleth.progress import console
from sibboleth.study import EncoderSettings

RATE = 16_000


@dataclass(frozen=True, kw_only=True)
class Counting(Encoder):
    """Frames of 10 ms, three numbers each, two layers; remembers how long what it encoded was."""

    heard: list[int] = field(default_factory=list)
    trouble: Callable[[npt.NDArray[np.float32]], None] = lambda audio: None

    def hidden_states(self, audio: npt.NDArray[np.float32]) -> HiddenStates:
        self.heard.append(len(audio))
        self.trouble(audio)
        frames = audio[: len(audio) // 160 * 160].reshape(-1, 160)
        states = np.stack([frames.mean(1), frames.std(1), np.abs(frames).max(1)], axis=1)
        return np.stack([states, states**2])


def counting(identity: str = "c" * 64, **more: Callable[[npt.NDArray[np.float32]], None]) -> Counting:
    return Counting(name="counting", identity=identity, kind="callable", rate=RATE, layers=2, dim=3, stride=160, **more)


def record(folder: Path, name: str, seconds: float, seed: int, rate: int = RATE) -> str:
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
    samples *= np.linspace(0.1, 1, len(samples))
    soundfile.write(folder / f"{name}.wav", samples, rate, subtype="FLOAT")
    return str(folder / f"{name}.wav")


def corpus(paths: dict[str, str]) -> pl.DataFrame:
    empty = pl.Series([None] * len(paths), dtype=pl.Float64)
    return pl.DataFrame({"utterance": list(paths), "audio": list(paths.values()), "start": empty, "end": empty})


@pytest.fixture
def table(tmp_path: Path) -> pl.DataFrame:
    return corpus({f"u{i}": record(tmp_path, f"u{i}", 0.5 + 0.1 * i, i) for i in range(6)})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def extract(encoder: Encoder, table: pl.DataFrame, cache: Cache) -> features.Features:
    return features.extract(encoder, table, audio.scan(table), cache)


def by_hand(encoder: Counting, path: str) -> npt.NDArray[np.float64]:
    states = counting().hidden_states(soundfile.read(path, dtype="float32")[0]).astype(np.float64)
    return np.concatenate([states.mean(axis=1), states.std(axis=1)], axis=1)


def test_every_layer_is_pooled_in_the_order_of_the_table(table: pl.DataFrame, cache: Cache) -> None:
    found = extract(counting(), table, cache)
    assert found.utterances == tuple(table["utterance"])
    assert (found.layers, found.dim, found.excluded.height) == (2, 3, 0)
    expected = np.array([by_hand(counting(), path) for path in table["audio"]])
    for layer in range(2):
        both = found.matrix(layer, "mean+std")
        assert both.dtype == np.float32
        np.testing.assert_allclose(both, expected[:, layer], rtol=1e-5, atol=1e-8)
        np.testing.assert_array_equal(found.matrix(layer, "mean"), both[:, :3])
    with pytest.raises(IndexError, match="layers 0 to 1"):
        found.matrix(2)


def test_nothing_is_encoded_twice(table: pl.DataFrame, cache: Cache, tmp_path: Path) -> None:
    first = counting()
    extract(first, table[:4], cache)
    assert len(first.heard) == 4
    again = counting()
    shuffled = table.sample(fraction=1, shuffle=True, seed=3)
    found = extract(again, shuffled, cache)
    assert len(again.heard) == 2
    expected = extract(counting(), table, Cache(tmp_path / "fresh"))
    order = [expected.utterances.index(name) for name in found.utterances]
    np.testing.assert_array_equal(found.matrix(1, "mean+std"), expected.matrix(1, "mean+std")[order])


def test_equal_audio_is_encoded_once_whatever_it_is_called(tmp_path: Path, cache: Cache) -> None:
    path = record(tmp_path, "one", 0.5, 0)
    samples, rate = soundfile.read(path, dtype="float32")
    soundfile.write(tmp_path / "two.wav", samples, rate, subtype="FLOAT")
    table = corpus({"a": path, "b": str(tmp_path / "two.wav"), "c": record(tmp_path, "three", 0.5, 1)})
    encoder = counting()
    found = extract(encoder, table, cache)
    assert len(encoder.heard) == 2
    np.testing.assert_array_equal(found.matrix(0)[0], found.matrix(0)[1])
    assert not np.array_equal(found.matrix(0)[0], found.matrix(0)[2])


def test_changed_audio_under_the_same_name_is_encoded_again(table: pl.DataFrame, cache: Cache) -> None:
    before = extract(counting(), table, cache).matrix(0)
    record(Path(table["audio"][2]).parent, "u2", 0.7, seed=99)
    encoder = counting()
    after = extract(encoder, table, cache).matrix(0)
    assert len(encoder.heard) == 1
    assert [bool(np.array_equal(a, b)) for a, b in zip(before, after, strict=True)] == [i != 2 for i in range(6)]


def test_segments_of_one_file_are_utterances_of_their_own(tmp_path: Path, cache: Cache) -> None:
    path = record(tmp_path, "long", 3, 0)
    table = pl.DataFrame({"utterance": ["a", "b"], "audio": [path] * 2, "start": [0.5, 2.0], "end": [1.0, None]})
    found = extract(counting(), table, cache)
    samples = soundfile.read(path, dtype="float32")[0]
    for row, (start, end) in enumerate([(0.5, 1.0), (2.0, 3.0)]):
        expected = counting().hidden_states(samples[int(start * RATE) : int(end * RATE)])[0].mean(axis=0)
        np.testing.assert_allclose(found.matrix(0)[row], expected, rtol=1e-5)


def test_one_utterance_that_fails_never_loses_the_others(table: pl.DataFrame, cache: Cache) -> None:
    def trouble(samples: npt.NDArray[np.float32]) -> None:
        if len(samples) == round(0.7 * RATE):
            raise RuntimeError("out of memory")
        if len(samples) == round(0.8 * RATE):
            samples[:] = np.nan

    silent = Path(table["audio"][0])
    soundfile.write(silent, np.zeros(RATE), RATE)
    found = extract(counting(trouble=trouble), table, cache)
    assert found.utterances == ("u1", "u4", "u5")
    reasons = dict(found.excluded.select("utterance", "reason").iter_rows())
    assert "silent" in reasons["u0"]
    assert "RuntimeError: out of memory" in reasons["u2"]
    assert "not finite" in reasons["u3"]
    assert extract(counting(), table, cache).utterances == ("u1", "u2", "u3", "u4", "u5")


@pytest.mark.parametrize("fault", ["gone", "cut", "emptied"])
def test_a_file_that_breaks_between_scan_and_encoding_is_left_out_until_it_is_back(
    table: pl.DataFrame, cache: Cache, fault: str
) -> None:
    scanned = audio.scan(table)
    path = Path(table["audio"][2])
    whole = path.read_bytes()
    if fault == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2 if fault == "cut" else 0])
    found = features.extract(counting(), table, scanned, cache)
    assert found.utterances == ("u0", "u1", "u3", "u4", "u5")
    assert found.excluded["utterance"].to_list() == ["u2"] and found.excluded["reason"][0]
    path.write_bytes(whole)
    again = counting()
    assert extract(again, table, cache).utterances == tuple(table["utterance"])
    assert len(again.heard) == 1


def test_an_encoder_that_always_fails_is_an_error(table: pl.DataFrame, cache: Cache) -> None:
    def trouble(_: npt.NDArray[np.float32]) -> None:
        raise RuntimeError("no accelerator")

    with pytest.raises(SibbolethError, match=r"fails on every utterance.*no accelerator"):
        extract(counting(trouble=trouble), table, cache)


@pytest.mark.parametrize("seconds", [29.99, 30.001, 61.0, 100.3])
def test_long_audio_is_encoded_in_as_many_windows_as_planned_and_pooled_over_all_frames(
    seconds: float, tmp_path: Path, cache: Cache
) -> None:
    encoder = counting()
    table = corpus({"long": record(tmp_path, "long", seconds, 0)})
    planned = features.plan(encoder, table, audio.scan(table), cache).passes
    found = extract(encoder, table, cache)
    assert len(encoder.heard) == planned
    assert max(encoder.heard) <= 30 * RATE
    expected = by_hand(counting(), table["audio"][0])
    for layer in range(2):
        np.testing.assert_allclose(found.matrix(layer, "mean+std")[0], expected[layer], rtol=1e-4, atol=1e-7)


def test_long_audio_goes_through_whisper(tmp_path: Path, cache: Cache) -> None:
    encoder = load(EncoderSettings(name="untrained:tiny-whisper"))
    found = extract(encoder, corpus({"long": record(tmp_path, "long", 31, 0)}), cache)
    assert np.isfinite(found.matrix(encoder.layers - 1)).all()


def test_the_plan_says_what_is_to_do(table: pl.DataFrame, cache: Cache) -> None:
    scan = audio.scan(table)
    before = features.plan(counting(), table, scan, cache)
    assert (before.utterances, before.cached, before.passes) == (6, 0, 6)
    assert before.seconds == pytest.approx(sum(0.5 + 0.1 * i for i in range(6)))
    extract(counting(), table[:2], cache)
    after = features.plan(counting(), table, scan, cache)
    assert (after.utterances, after.cached) == (4, 2)
    extract(counting(), table, cache)
    done = features.plan(counting(), table, scan, cache)
    assert (done.utterances, done.seconds, done.passes, done.bytes) == (0, 0, 0, 0)
    assert before.bytes < cache.store(counting()).size() < before.bytes + 4096


def test_ctrl_c_keeps_what_was_encoded(table: pl.DataFrame, cache: Cache) -> None:
    def trouble(samples: npt.NDArray[np.float32]) -> None:
        if len(samples) == round(0.8 * RATE):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(counting(trouble=trouble), table, cache)
    assert features.plan(counting(), table, audio.scan(table), cache).cached == 3


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_features import *
from sibboleth.models import filling
filling.BATCH_UTTERANCES = 2
def trouble(samples):
    if len(samples) == round(1.0 * RATE):
        os.kill(os.getpid(), signal.SIGKILL)
table = pl.read_parquet({table!r})
features.extract(counting(trouble=trouble), table, audio.scan(table), Cache(Path({cache!r})))
"""


def test_a_killed_process_leaves_a_valid_cache_and_the_next_goes_on(
    table: pl.DataFrame, cache: Cache, tmp_path: Path
) -> None:
    table.write_parquet(tmp_path / "table.parquet")
    code = KILLED.format(
        tests=str(Path(__file__).parent), table=str(tmp_path / "table.parquet"), cache=str(cache.folder)
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    encoder = counting()
    found = extract(encoder, table, cache)
    assert len(encoder.heard) == 2
    np.testing.assert_array_equal(
        found.matrix(1, "mean+std"), extract(counting(), table, Cache(tmp_path / "fresh")).matrix(1, "mean+std")
    )


def test_a_corrupt_shard_is_encoded_again(table: pl.DataFrame, cache: Cache) -> None:
    expected = extract(counting(), table, cache).matrix(1)
    (path,) = cache.folder.glob("features/*/*.features")
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    encoder = counting()
    with console.capture() as told:
        found = extract(encoder, table, cache)
    np.testing.assert_array_equal(found.matrix(1), expected)
    assert len(encoder.heard) == 6
    assert "corrupt" in told.get()


def test_a_cleared_cache_while_it_is_in_use_is_told(table: pl.DataFrame, cache: Cache) -> None:
    found = extract(counting(), table, cache)
    cache.remove(cache.store(counting()))
    with pytest.raises(SibbolethError, match="run the same command again"):
        found.matrix(0)


def test_what_is_listed_is_locked_already(table: pl.DataFrame, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    extract(counting(), table, cache)
    emptied = []
    refresh = Store.refresh

    def listed(self: Store, identity: str | None = None) -> None:
        guard = Store(self.folder).emptying()
        emptied.append(guard is not None)
        if guard is not None:
            guard.release()
        refresh(self, identity)

    monkeypatch.setattr(Store, "refresh", listed)
    extract(counting(), table, cache)
    assert emptied == [False]


@dataclass(frozen=True, kw_only=True)
class Broken(Counting):
    """An encoder without weights."""

    def prepare(self) -> None:
        raise SibbolethError("its weights are not there")


def test_an_encoder_that_cannot_be_loaded_leaves_nothing(table: pl.DataFrame, cache: Cache) -> None:
    broken = Broken(name="broken", identity="d" * 64, kind="callable", rate=RATE, layers=2, dim=3, stride=160)
    with pytest.raises(SibbolethError, match="weights are not there"):
        features.extract(broken, table, audio.scan(table, store=cache.scans), cache)
    assert [path.name for path in cache.folder.iterdir()] == ["scans.sqlite"]


def test_a_long_recording_shows_after_every_window_that_it_is_not_stuck(tmp_path: Path, cache: Cache) -> None:
    table = corpus({"long": record(tmp_path, "long", 100, 0)})
    seen = []

    def trouble(_: npt.NDArray[np.float32]) -> None:
        (claim,) = cache.folder.glob(f"features/*/{claims.PREFIX}*")
        seen.append(claim.stat().st_mtime > 0)
        os.utime(claim, (0, 0))

    extract(counting(trouble=trouble), table, cache)
    assert len(seen) == 4
    assert all(seen)


def test_only_what_this_call_encoded_is_counted(table: pl.DataFrame, cache: Cache) -> None:
    scan = audio.scan(table)
    digests = scan["digest"].to_list()
    other = cache.store(counting())
    with claims.deciding(other.folder):
        theirs = claims.claim(other.folder, digests[3:])

    def trouble(samples: npt.NDArray[np.float32]) -> None:
        if len(samples) == round(0.6 * RATE):
            raise RuntimeError("out of memory")
        if len(samples) == round(0.5 * RATE):
            states = np.ones((2, 2, 3), np.float32)
            other.write(counting(), dict.fromkeys(digests[3:], states))
            theirs.release()

    found = features.extract(counting(trouble=trouble), table, scan, cache)
    assert (len(found.utterances), found.encoded) == (5, 2)
    assert found.encoded_seconds == pytest.approx(0.5 + 0.7)
    assert extract(counting(), table, cache).encoded == 1


@pytest.mark.parametrize("stride", [160, None])
def test_frames_that_would_fill_the_memory_are_refused_by_their_size(
    stride: int | None, tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "FRAMES_BYTES", 4000 * 3 * 4)
    table = corpus({"long": record(tmp_path, "long", 70, 0), "short": record(tmp_path, "short", 1, 1)})
    encoder = replace(counting(), stride=stride)
    found = features.extract(encoder, table, audio.scan(table), cache, [1])
    assert found.utterances == ("short",)
    assert "fewer layers" in left_out(found)["long"]
    assert len(encoder.heard) == (1 if stride else 3)  # without a stride it is only known on the way
    assert extract(counting(), table, cache).excluded.height == 0


def left_out(found: features.Features) -> dict[str, str]:
    return dict(found.excluded.select("utterance", "reason").iter_rows())


@pytest.mark.parametrize("same_time_and_size", [False, True])
def test_audio_that_changes_between_scan_and_encoding_is_never_filed_under_what_it_was(
    same_time_and_size: bool, table: pl.DataFrame, cache: Cache, tmp_path: Path
) -> None:
    scan = audio.scan(table, store=cache.scans)
    path = Path(table["audio"][2])
    before = path.stat()
    record(tmp_path, "u2", 0.7, seed=99)
    if same_time_and_size:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
    found = features.extract(counting(), table, scan, cache)
    assert list(left_out(found)) == ["u2"]
    assert "no longer what was scanned" in left_out(found)["u2"]
    assert scan["digest"][2] not in cache.store(counting()).places
    again = features.extract(counting(), table, audio.scan(table, store=cache.scans), cache)
    assert again.excluded.height == 0
    row = again.utterances.index("u2")
    np.testing.assert_allclose(again.matrix(0)[row], by_hand(counting(), str(path))[0, :3], rtol=1e-5, atol=1e-8)


def test_long_audio_that_changes_while_it_is_encoded_is_left_out(cache: Cache, tmp_path: Path) -> None:
    table = corpus({"long": record(tmp_path, "long", 70, 0), "short": record(tmp_path, "short", 1, 1)})

    def trouble(samples: npt.NDArray[np.float32]) -> None:
        if len(samples) == 30 * RATE and not (tmp_path / "done").exists():
            (tmp_path / "done").touch()
            with (tmp_path / "long.wav").open("r+b") as stream:
                stream.seek(-400_000, 2)
                stream.write(b"\x00\x01\x02\x3d" * 100)

    found = features.extract(counting(trouble=trouble), table, audio.scan(table), cache)
    assert list(left_out(found)) == ["long"]
    assert len(cache.store(counting()).places) == 1


def test_frames_of_chosen_layers_are_kept_beside_the_statistics(table: pl.DataFrame, cache: Cache) -> None:
    scan = audio.scan(table)
    first = features.extract(counting(), table, scan, cache)
    shards = {path: path.stat().st_ino for path in cache.folder.rglob("*.features")}
    with pytest.raises(SibbolethError, match="--frames 1"):
        first.frames(0, 1)
    planned = features.plan(counting(), table, scan, cache, [1])
    found = features.extract(counting(), table, scan, cache, [1])
    assert {path: path.stat().st_ino for path in cache.folder.rglob("*.features")} == shards
    sizes = [path.stat().st_size for path in cache.folder.rglob("*.frames")]
    assert planned.bytes == planned.frame_bytes == pytest.approx(sum(sizes), rel=0.5)
    for row, path in enumerate(table["audio"]):
        expected = counting().hidden_states(soundfile.read(path, dtype="float32")[0])[1]
        np.testing.assert_array_equal(found.frames(row, 1), expected)
        np.testing.assert_allclose(found.times(row, len(expected))[:2], [0.005, 0.015])
    assert found.framed == (1,)
    np.testing.assert_array_equal(found.matrix(1), first.matrix(1))


def test_partly_cached_frames_are_completed(table: pl.DataFrame, cache: Cache) -> None:
    scan = audio.scan(table)
    features.extract(counting(), table[:3], scan, cache, [0])
    encoder = counting()
    features.extract(encoder, table, scan, cache, [0])
    assert len(encoder.heard) == 3
    encoder = counting()
    found = features.extract(encoder, table, scan, cache, [0, 1])
    assert len(encoder.heard) == 6
    assert features.plan(counting(), table, scan, cache, [0, 1]).utterances == 0
    held = [digest for path in cache.folder.rglob("*.f*s") for digest in opened(path).digests]
    assert sorted(held) == sorted(scan["digest"].to_list() * 3)
    assert found.frames(5, 0).shape == (100, 3)
    with pytest.raises(SibbolethError, match="layers 0 to 1"):
        features.extract(encoder, table, scan, cache, [2])


def test_features_are_read_from_the_cache_without_the_encoder(table: pl.DataFrame, cache: Cache) -> None:
    scan = audio.scan(table)
    expected = features.extract(counting(), table[:4], scan, cache, [1])
    found = features.cached(cache.store(counting()), table, scan, [1])
    np.testing.assert_array_equal(found.matrix(0), expected.matrix(0))
    np.testing.assert_array_equal(found.frames(3, 1), expected.frames(3, 1))
    assert list(left_out(found)) == ["u4", "u5"]
    with pytest.raises(SibbolethError, match="sibboleth encode"):
        features.cached(cache.store(counting()), table, scan, [0])


def test_statistics_come_in_any_span_of_rows_and_layers(table: pl.DataFrame, cache: Cache) -> None:
    extract(counting(), table[3:], cache)
    found = extract(counting(), table, cache)
    both = np.stack([found.matrix(layer, "mean+std").reshape(6, 2, 3) for layer in (1, 0)], axis=1)
    np.testing.assert_array_equal(found.statistics(range(2, 5), [1, 0]), both[2:5])
