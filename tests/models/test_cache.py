"""The cache on disk: whole or not there, never by name."""

import contextlib
import errno
import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sibboleth import storage
from sibboleth.errors import SibbolethError
from sibboleth.models import shards
from sibboleth.models.cache import Cache
from sibboleth.models.encoders import Encoder, HiddenStates
from sibboleth.models.encoding import Statistics
from sibboleth.models.shards import Frames, StatisticsShard
from sibboleth.progress import console


class Silent(Encoder):
    """An encoder that is never asked."""

    def hidden_states(self, audio: npt.NDArray[np.float32]) -> HiddenStates:
        raise AssertionError


def encoder(identity: str = "a" * 64, name: str = "mine") -> Encoder:
    return Silent(name=name, identity=identity, kind="callable", rate=16_000, layers=3, dim=4)


def batch(digests: Sequence[str], seed: int = 0) -> dict[str, Statistics]:
    rng = np.random.default_rng(seed)
    return {digest: rng.standard_normal((3, 2, 4)).astype(np.float32) for digest in digests}


def written(cache: Cache) -> list[Path]:
    return sorted(cache.folder.glob("features/*/*.features"))


def test_what_is_written_is_read_layer_by_layer(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    told = batch(["x", "y", "z"])
    cache.store(mine).write(mine, told)
    store = cache.store(mine)
    assert store.find(["z", "x", "unknown"]) == {"z", "x"}
    name, position = store.places["y"]
    for layer in range(3):
        for statistic in range(2):
            read = store.statistics_shard(name).matrix(layer, statistic, np.array([position]))
            np.testing.assert_array_equal(read[0], told["y"][layer, statistic])


def test_the_key_is_the_identity_and_not_the_name(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.store(encoder()).write(encoder(), batch(["x"]))
    assert cache.store(encoder("b" * 64)).find(["x"]) == set()
    assert cache.store(encoder(name="renamed")).find(["x"]) == {"x"}


def test_two_writers_at_once_are_harmless(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    one, other = cache.store(mine), cache.store(mine)
    one.write(mine, batch(["x", "y"]))
    other.write(mine, batch(["x", "y"]))
    other.write(mine, batch(["y", "z"]))
    assert len(written(cache)) == 2
    assert cache.store(mine).find(["x", "y", "z"]) == {"x", "y", "z"}


@pytest.mark.parametrize("damage", ["cut", "flipped number", "flipped header", "empty", "another encoder's", "noise"])
def test_a_damaged_shard_is_noticed_removed_and_the_others_stay(damage: str, tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x", "y"]))
    (path,) = written(cache)
    cache.store(mine).write(mine, batch(["z"]))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-5]
    elif damage == "flipped number":
        content[-3] ^= 4
    elif damage == "flipped header":
        content[content.index(b'"x"') + 1] ^= 1
    elif damage == "another encoder's":
        content = content.replace(b"a" * 64, b"b" * 64)
    else:
        content = bytearray() if damage == "empty" else bytearray(range(256)) * 8
    path.write_bytes(content)
    with console.capture() as told:
        store = cache.store(mine)
        assert store.find(["x", "y", "z"]) == {"z"}
    assert not path.exists()
    assert set(store.places) == {"z"}
    assert "corrupt" in told.get()
    assert cache.store(mine).find(["z"]) == {"z"}


@contextlib.contextmanager
def no_file_can_be_opened() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_shard_that_cannot_be_read_now_is_not_taken_to_be_corrupt(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))
    cache.store(mine).write_frames(mine, 1, frames(["x"]))
    store = cache.store(mine)
    statistics, framed = sorted(store.shards, reverse=True, key=lambda name: name.endswith(".features"))
    position = store.places["x"][1]
    for attempt in (
        lambda: store.verify(statistics),
        lambda: store.verify(framed),
        lambda: store.find(["x"]),
        lambda: store.frames("x", 1),
        lambda: store.statistics_shard(statistics).matrix(0, 0, np.array([position])),
        lambda: cache.store(mine),
    ):
        with no_file_can_be_opened(), pytest.raises(SibbolethError, match="Too many open files"):
            attempt()
    assert {path.name for path in cache.folder.glob("features/*/*")} == {statistics, framed}
    assert store.find(["x"]) == {"x"}
    assert cache.store(mine).whole(["x"], [1]) == {"x"}


def test_a_shard_that_another_process_removed_is_forgotten_quietly(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))
    cache.store(mine).write(mine, batch(["y"]))
    store = cache.store(mine)
    (cache.folder / "features" / mine.identity / store.places["x"][0]).unlink()
    with console.capture() as told:
        assert store.find(["x", "y"]) == {"y"}
    assert told.get() == ""
    assert not store.dropped


def test_frames_that_were_cut_are_corrupt(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write_frames(mine, 1, frames(["x"]))
    store = cache.store(mine)
    (name,) = store.shards
    os.truncate(store.folder / name, store.size() - 4)
    with console.capture() as told:
        assert not store.verify(name)
    assert "corrupt" in told.get()
    assert not (store.folder / name).exists()


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shards.os, "fsync", full)
        with pytest.raises(SibbolethError, match=r"disk is full.*give --folder a folder"):
            cache.store(mine).write(mine, batch(["y"]))
        patched.setenv("SIBBOLETH_CACHE", str(tmp_path))
        with pytest.raises(SibbolethError, match=r"disk is full.*set SIBBOLETH_CACHE to a folder"):
            Cache().store(mine).write(mine, batch(["y"]))
    assert [path.name for path in written(cache)[0].parent.iterdir()] == [written(cache)[0].name]
    assert cache.store(mine).find(["x", "y"]) == {"x"}


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "features").write_text("a file where a folder should be")
    mine = encoder()
    with pytest.raises(SibbolethError, match="cannot be written"):
        Cache(tmp_path).store(mine).write(mine, batch(["x"]))


def test_what_a_killed_process_was_writing_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))
    folder = written(cache)[0].parent
    dead = folder / f"{storage.PART}half.features"
    dead.write_bytes(b"half")
    with storage.atomic(folder / "whole.features") as living:
        cache.store(mine)
        assert not dead.exists()
        assert living.exists()
        living.write_bytes(b"")
    assert (folder / "whole.features").exists()


def test_a_shard_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))
    (path,) = written(cache)
    newer = path.with_name("b" * 32 + path.suffix)
    newer.write_bytes(path.read_bytes().replace(b"features 1", b"features 2"))
    store = cache.store(mine)
    assert store.find(["x"]) == {"x"}
    assert store.newer == {newer.name}
    assert newer.exists()


def test_each_shard_is_checksummed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, mine = Cache(tmp_path), encoder()
    for digest in "xyz":
        cache.store(mine).write(mine, batch([digest]))
    checked: list[str] = []
    verify = StatisticsShard.verify

    def counted(self: StatisticsShard) -> None:
        checked.append(self.path.name)
        verify(self)

    monkeypatch.setattr(StatisticsShard, "verify", counted)
    store = cache.store(mine)
    assert store.whole(["x", "y"]) == {"x", "y"}
    assert not checked
    for _ in range(2):
        assert store.find(["x", "y"]) == {"x", "y"}
    assert len(checked) == 2


def frames(digests: Sequence[str], seed: int = 0) -> dict[str, Frames]:
    rng = np.random.default_rng(seed)
    return {digest: rng.standard_normal((5 + i, 4)).astype(np.float32) for i, digest in enumerate(digests)}


def test_frames_are_read_one_utterance_and_layer_at_a_time(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    told = {layer: frames(["x", "y", "z"], seed=layer) for layer in (0, 2)}
    for layer, some in told.items():
        cache.store(mine).write_frames(mine, layer, some)
    store = cache.store(mine)
    for layer, some in told.items():
        for digest, expected in some.items():
            np.testing.assert_array_equal(store.frames(digest, layer), expected)
    assert store.whole(["x"], [0]) == set()
    cache.store(mine).write(mine, batch(["x"]))
    store = cache.store(mine)
    assert store.whole(["x", "y"], [0, 2]) == {"x"}
    assert store.whole(["x"], [1]) == set()


def test_damaged_frames_are_told_when_they_are_read_and_removed(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write_frames(mine, 1, frames(["x", "y"]))
    (path,) = cache.folder.glob("features/*/*.frames")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    store = cache.store(mine)
    np.testing.assert_array_equal(store.frames("x", 1), frames(["x", "y"])["x"])
    with pytest.raises(SibbolethError, match=r"corrupt.*run the same command again"), console.capture():
        store.frames("y", 1)
    assert not path.exists()


def test_what_was_used_is_noted(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))
    (path,) = written(cache)
    os.utime(path, (0, 0))
    cache.store(mine).touch([path.name])
    assert path.stat().st_mtime > 0


def test_a_cache_in_use_is_not_emptied(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    store = cache.store(mine)
    using = [store.use(), store.use()]
    for guard in using:
        assert cache.store(mine).emptying() is None
        assert guard is not None
        guard.release()
    emptying = cache.store(mine).emptying()
    assert emptying is not None
    emptying.release()


def test_two_thousand_shards_are_opened_quickly(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    store = cache.store(mine)
    store.write(mine, batch([f"{i:064}" for i in range(64)]))
    (path,) = written(cache)
    content = path.read_bytes()
    for shard in range(1, 2000):
        one = content
        for i in range(64):
            one = one.replace(f'"{i:064}"'.encode(), f'"{shard:08}{i:056}"'.encode())
        path.with_name(f"{shard:032x}.features").write_bytes(one)
    begun = time.process_time()
    store = cache.store(mine)
    assert len(store.places) == 128_000
    assert time.process_time() - begun < 3


def test_the_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "chosen"))
    assert Cache().folder == tmp_path / "chosen"
    monkeypatch.delenv("SIBBOLETH_CACHE")
    assert Cache().folder.name.lower() in ("sibboleth", "cache")
    assert Cache(tmp_path).scans.parent == tmp_path
