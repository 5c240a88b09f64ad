"""The cache on disk: whole or not there, never by name."""

import errno
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sibboleth.errors import SibbolethError
from sibboleth.models import cache as caching
from sibboleth.models.cache import Cache, Statistics
from sibboleth.models.encoders import Encoder, HiddenStates
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


def shards(cache: Cache) -> list[Path]:
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
            read = store.shards[name].read(layer, statistic, np.array([position]))
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
    assert len(shards(cache)) == 2
    assert cache.store(mine).find(["x", "y", "z"]) == {"x", "y", "z"}


@pytest.mark.parametrize("damage", ["cut", "flipped number", "flipped header", "empty", "another encoder's", "noise"])
def test_a_damaged_shard_is_noticed_removed_and_the_others_stay(damage: str, tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x", "y"]))
    (path,) = shards(cache)
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


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(caching.os, "fsync", full)
        with pytest.raises(SibbolethError, match=r"disk is full.*SIBBOLETH_CACHE"):
            cache.store(mine).write(mine, batch(["y"]))
    assert [path.name for path in shards(cache)[0].parent.iterdir()] == [shards(cache)[0].name]
    assert cache.store(mine).find(["x", "y"]) == {"x"}


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "features").write_text("a file where a folder should be")
    mine = encoder()
    with pytest.raises(SibbolethError, match="cannot be written"):
        Cache(tmp_path).store(mine).write(mine, batch(["x"]))


def test_old_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    cache, mine = Cache(tmp_path), encoder()
    cache.store(mine).write(mine, batch(["x"]))
    folder = shards(cache)[0].parent
    old, young = folder / ".half-1.features", folder / ".half-2.features"
    for path in (old, young):
        path.write_bytes(b"half")
    caching.os.utime(old, (0, 0))
    cache.store(mine)
    assert not old.exists()
    assert young.exists()


def test_the_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "chosen"))
    assert Cache().folder == tmp_path / "chosen"
    monkeypatch.delenv("SIBBOLETH_CACHE")
    assert Cache().folder.name.lower() in ("sibboleth", "cache")
    assert Cache(tmp_path).scans.parent == tmp_path
