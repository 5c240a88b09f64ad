"""The memory of scans only spares work: whatever is wrong with it, audio is scanned."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import audio, storage
from sibboleth.audio import rechecking, scanning
from sibboleth.progress import console


@pytest.fixture
def table(tmp_path: Path) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    names = [f"u{i}" for i in range(40)]
    for name in names:
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(2000), 16_000)
    none = pl.Series([None] * len(names), dtype=pl.Float64)
    paths = [str(tmp_path / f"{name}.wav") for name in names]
    return pl.DataFrame({"utterance": names, "audio": paths, "start": none, "end": none})


@pytest.fixture
def store(table: pl.DataFrame, tmp_path: Path) -> Path:
    store = storage.scans(tmp_path)
    audio.scan(table, store=store)
    return store


def measured(store: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Scan, and return how many utterances were measured and what was said."""
    counted: list[object] = []
    inspect = scanning._inspect

    def counting(place: scanning.Place) -> scanning.Finding:
        counted.append(place)
        return inspect(place)

    with monkeypatch.context() as patched, console.capture() as said:
        patched.setattr(scanning, "_inspect", counting)
        assert audio.scan(table, store=store)["status"].to_list() == ["ok"] * table.height
    return len(counted), said.get()


@pytest.mark.parametrize("damage", ["noise", "empty", "cut", "overwritten in the middle"])
def test_a_damaged_memory_is_made_anew(
    damage: str, store: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(store.read_bytes())
    if damage == "noise":
        content = bytearray(range(1, 256)) * 40
    elif damage == "empty":
        content = bytearray()
    elif damage == "cut":
        content = content[: len(content) // 3]
    else:
        content[4096 + 8 : -4096] = b"\xff" * (len(content) - 8192 - 8)
    store.write_bytes(content)
    assert measured(store, table, monkeypatch)[0] == 40
    again = [measured(store, table, monkeypatch)[0] for _ in range(2)]
    assert again[-1] == 0


@pytest.fixture
def locked(store: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield connection
    connection.close()


def test_a_memory_that_another_process_locks_is_done_without(
    locked: sqlite3.Connection, store: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "PATIENCE", 0.05)
    count, said = measured(store, table, monkeypatch)
    assert count == 40
    assert "database is locked" in said
    locked.execute("ROLLBACK")
    assert measured(store, table, monkeypatch) == (0, "")


def test_a_memory_of_a_newer_version_is_left_alone(
    store: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute(f"PRAGMA user_version = {scanning.VERSION + 1}")
    connection.close()
    before = store.read_bytes()
    count, said = measured(store, table, monkeypatch)
    assert count == 40
    assert "newer" in said
    assert store.read_bytes() == before


def test_a_folder_that_cannot_be_made_costs_the_memory_only(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    assert measured(tmp_path / "file" / "scans.sqlite", table, monkeypatch)[0] == 40


@pytest.mark.parametrize(("rate", "channels", "kind"), [(16_000, 1, "wav"), (44_100, 2, "flac"), (8_000, 1, "ogg")])
def test_the_digest_of_rechecking_is_that_of_a_scan(rate: int, channels: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((rate * 2, channels)), rate)
    for start, end in ((None, None), (0.5, 1.25)):
        columns = {"start": pl.Series([start], dtype=pl.Float64), "end": pl.Series([end], dtype=pl.Float64)}
        table = pl.DataFrame({"utterance": ["x"], "audio": [str(path)], **columns})
        assert audio.scan(table)["digest"].item() == rechecking.digest(path, start, end)


def test_what_a_scan_remembers_is_rechecked_by_its_samples(store: Path, table: pl.DataFrame) -> None:
    assert rechecking.recheck(store) == []
    changed = Path(table["audio"][3])
    before = changed.stat()
    content = bytearray(changed.read_bytes())
    content[-100] ^= 1
    changed.write_bytes(content)
    storage.os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rechecking.recheck(store) == [str(changed)]
    assert len(rechecking.known(store)) == 39
    audio.scan(table, store=store)
    assert rechecking.recheck(store) == []
