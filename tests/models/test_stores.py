"""A cache in an object store: machines without a common disk share what each of them encoded."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.models.test_features import Counting, corpus, counting, extract, record

from sibboleth import audio, storage
from sibboleth.models import claims, features, filling
from sibboleth.models.cache import FEATURES, Cache

Machine = Callable[[str], Cache]


@pytest.fixture
def table(tmp_path: Path) -> pl.DataFrame:
    return corpus({f"u{i}": record(tmp_path, f"u{i}", 0.2 + 0.01 * i, i) for i in range(6)})


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Make the cache of a machine that has a disk of its own and the object store of all."""
    monkeypatch.setenv("SIBBOLETH_CACHE", f"file://{tmp_path}/bucket/")

    def make(name: str) -> Cache:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        monkeypatch.setenv("HOME", str(tmp_path / name))
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / name))
        return Cache()

    return make


def test_what_one_machine_encoded_no_other_encodes(table: pl.DataFrame, machine: Machine, tmp_path: Path) -> None:
    mine = machine("a")
    assert mine.folder.is_relative_to(tmp_path / "a")
    first = extract(counting(), table[:4], mine)
    second = counting()
    both = extract(second, table, machine("b"))
    assert len(second.heard) == 2
    np.testing.assert_array_equal(both.matrix(1)[:4], first.matrix(1))
    third = counting()
    extract(third, table, machine("a"))
    assert third.heard == []
    shards = sorted(path.name for path in (tmp_path / "bucket" / FEATURES / first.identity).iterdir())
    assert len(shards) == 2 and not any(name.startswith(".") for name in shards)


def test_what_was_written_while_the_store_was_away_is_copied_later(
    table: pl.DataFrame, machine: Machine, tmp_path: Path
) -> None:
    extract(counting(), table, machine("a"))
    (shard,) = (tmp_path / "bucket").rglob("*.features")
    shard.unlink()
    again = counting()
    extract(again, table, machine("a"))
    assert again.heard == [] and shard.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_object_is_encoded_again_and_made_good(
    damage: str, table: pl.DataFrame, machine: Machine, tmp_path: Path
) -> None:
    extract(counting(), table, machine("a"))
    (shard,) = (tmp_path / "bucket").rglob("*.features")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5] if damage == "cut" else whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    again = counting()
    extract(again, table, machine("b"))
    assert len(again.heard) == 6
    assert shard.read_bytes() == whole


def test_two_machines_at_once_encode_each_recording_once(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH_UTTERANCES", 4)
    monkeypatch.setattr(filling, "POLL", 0.02)
    table = corpus({f"u{i}": record(tmp_path, f"u{i}", 0.2 + 0.01 * i, i) for i in range(48)})
    scan = audio.scan(table)
    caches = [machine("a"), machine("b")]
    encoders = [counting(trouble=lambda _: time.sleep(0.01)) for _ in caches]
    found: dict[int, features.Features] = {}

    def encode(which: int) -> None:
        found[which] = features.extract(encoders[which], table, scan, caches[which])

    threads = [threading.Thread(target=encode, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    heard = sorted(encoders[0].heard + encoders[1].heard)
    assert len(set(heard)) == len(heard) == 48
    np.testing.assert_array_equal(found[0].matrix(0), found[1].matrix(0))
    assert not [path for path in (tmp_path / "bucket").rglob(".*")]


def test_a_dead_machine_is_waited_for_no_longer_than_its_claim_is_young(
    table: pl.DataFrame, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, encoder = machine("a"), counting()
    digests = audio.scan(table)["digest"].to_list()
    place = tmp_path / "bucket" / FEATURES / encoder.identity
    place.mkdir(parents=True)
    seen = time.time() - claims.PATIENCE + 1
    told = {"who": "process 7 on mars", "digests": digests, "at": seen, "seen": seen}
    (place / ".claim-1").write_text(json.dumps(told))
    (place / ".claim-2").write_text("{")
    monkeypatch.setattr(filling, "POLL", 0.05)
    begun = time.monotonic()
    extract(encoder, table, cache)
    assert len(encoder.heard) == 6 and 0.5 < time.monotonic() - begun < 20


def test_who_finds_a_claim_for_the_same_recordings_withdraws(machine: Machine) -> None:
    stores = [machine(name).of("e" * 64) for name in "ab"]
    for store in stores:
        store.folder.mkdir(parents=True, exist_ok=True)
    first = claims.claim(stores[0].folder, ["x", "y"], stores[0].mirror)
    assert first is not None
    assert claims.claim(stores[1].folder, ["y", "z"], stores[1].mirror) is None
    (holder,) = claims.others(stores[1].folder, stores[1].mirror)
    assert holder.digests == {"x", "y"}
    other = claims.claim(stores[1].folder, ["z"], stores[1].mirror)
    assert other is not None
    first.release()
    assert [one.digests for one in claims.others(stores[0].folder, stores[0].mirror)] == [{"z"}]
    other.release()
    assert not list(storage.folder().parent.rglob(".claim-*"))


def test_the_copy_here_can_be_emptied_and_comes_back(table: pl.DataFrame, machine: Machine) -> None:
    cache = machine("a")
    extract(counting(), table, cache)
    for store in list(cache.stores()):
        cache.remove(store)
    assert list(cache.stores()) == []
    encoder: Counting = counting()
    extract(encoder, table, cache)
    assert encoder.heard == []
