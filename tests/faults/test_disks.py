"""Full disks, read-only caches, and what a process leaves when it dies while it writes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sibboleth.models.shards import opened

Making = Callable[..., Any]

ENCODE = ("encode", "python:own.py:encode", "manifest.csv")


def utterances(place: Any) -> int:
    return sum(len(opened(path).digests) for path in place.cache.glob("features/*/[!.]*.features"))


def parts(place: Any) -> list[Path]:
    return list(place.cache.rglob(".part-*"))


def first_rows(place: Any, count: int) -> None:
    lines = (place.folder / "manifest.csv").read_text().splitlines(keepends=True)
    (place.folder / "few.csv").write_text("".join(lines[: count + 1]))


def test_where_no_more_can_be_written_the_error_is_clear_and_work_goes_on_later(workplace: Making, warm: Any) -> None:
    place = workplace(each=8)
    first_rows(place, 20)
    assert warm.run(place, "encode", "python:own.py:encode", "few.csv")[0] == 0
    status, _, said = warm.run(place, *ENCODE, most=16_000)
    assert status == 2
    assert "the disk is full" in said and "SIBBOLETH_CACHE" in said and "Traceback" not in said
    assert utterances(place) == 20
    assert parts(place) == []
    before = len(place.heard())
    assert warm.run(place, *ENCODE)[0] == 0
    assert utterances(place) == 128
    assert len(place.heard()) - before == 108


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 200 kB; skips where that is not ours to do."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], capture_output=True)
    if done.returncode:
        pytest.skip("needs leave to mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_keeps_what_was_encoded_and_more_room_is_all_it_takes(
    workplace: Making, warm: Any, small_disk: Path
) -> None:
    place = workplace(each=20)
    place.environment["SIBBOLETH_CACHE"] = str(small_disk)
    status, _, said = warm.run(place, *ENCODE)
    assert status == 2
    assert "the disk is full" in said and "Traceback" not in said
    kept = sum(len(opened(path).digests) for path in small_disk.glob("features/*/*.features"))
    assert 0 < kept < 320
    assert list(small_disk.rglob(".part-*")) == []
    before = len(place.heard())
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert warm.run(place, *ENCODE)[0] == 0
    assert len(place.heard()) - before == 320 - kept
    assert warm.run(place, "cache", "verify")[2].count("every file is sound") == 1


def test_a_cache_that_may_only_be_read_serves_what_it_has(workplace: Making, warm: Any, small_disk: Path) -> None:
    place = workplace()
    place.environment["SIBBOLETH_CACHE"] = str(small_disk)
    first_rows(place, 20)
    assert warm.run(place, "encode", "python:own.py:encode", "few.csv")[0] == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    status, _, said = warm.run(place, "encode", "python:own.py:encode", "few.csv")
    assert status == 0, said
    assert "0 recordings" in said
    status, _, said = warm.run(place, *ENCODE)
    assert status == 2
    assert "the cache cannot be written" in said and "SIBBOLETH_CACHE" in said and "Traceback" not in said
    assert "0.0 MB in" in warm.run(place, "cache", "size")[2]


DIES = """
import os, signal, sys
from sibboleth.cli import main
fsync, count = os.fsync, 0
def die(handle):
    global count
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)
os.fsync = die
main(sys.argv[1:])
"""


def test_a_process_that_dies_while_it_writes_a_shard_leaves_nothing_that_is_seen(workplace: Making, warm: Any) -> None:
    place = workplace(each=10)
    environment = {**os.environ, "SIBBOLETH_CACHE": str(place.cache), "HEARD": str(place.folder / "heard.txt")}
    died = subprocess.run([sys.executable, "-c", DIES, *ENCODE], cwd=place.folder, env=environment, capture_output=True)
    assert died.returncode == -signal.SIGKILL
    assert utterances(place) == 64
    assert len(parts(place)) == 1
    status, _, said = warm.run(place, *ENCODE)
    assert status == 0, said
    assert (utterances(place), parts(place)) == (160, [])
    heard = place.heard()
    assert len(heard) == 64 + 160 or len(heard) == 64 + 64 + 96


MANY = """
import resource, sys
from pathlib import Path
import numpy as np, polars as pl, soundfile
from sibboleth.audio import rechecking
from sibboleth.models.cache import Cache
from sibboleth.models.encoders import Encoder
from sibboleth.models import features

class Wide(Encoder):
    def hidden_states(self, audio):
        return np.repeat(audio[: len(audio) // 160 * 160].reshape(1, -1, 160), 13, axis=0)

folder, count = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
paths = [folder / f"{i}.wav" for i in range(count)]
for path in paths:
    soundfile.write(path, rng.normal(0, 0.1, 1600), 16000)
none = pl.Series([None] * count, dtype=pl.Float64)
names = [path.stem for path in paths]
table = pl.DataFrame({"utterance": names, "audio": [str(path) for path in paths], "start": none, "end": none})
scan = pl.DataFrame({
    "utterance": names, "seconds": [0.1] * count, "digest": [rechecking.digest(path) for path in paths],
    "status": ["ok"] * count, "reason": pl.Series([None] * count, dtype=pl.String),
})
encoder = Wide(name="wide", identity="w" * 64, kind="callable", rate=16000, layers=13, dim=160, stride=160)
found = features.extract(encoder, table, scan, Cache(folder / "cache"), frames=[3])
assert len(found.utterances) == count
found.matrix(0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    """Ten times the utterances: 30 MB more of statistics and frames, and hardly more memory."""
    peak = []
    for count in (200, 2000):
        folder = tmp_path / str(count)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", MANY, str(folder), str(count)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        peak.append(int(done.stdout))
    assert peak[1] < 1.1 * peak[0], peak
