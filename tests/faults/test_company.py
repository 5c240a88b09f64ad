"""Several processes at once: they share a cache and its work, and never a run directory."""

import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sibboleth.models.shards import StatisticsShard, opened
from sibboleth.storage import lock

Making = Callable[..., Any]

ENCODE = ("encode", "python:own.py:encode", "manifest.csv")
RUN = ("run", "study.toml", "--output", "run")


def until(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    """Wait for a condition while a process runs."""
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        threading.Event().wait(0.01)


def statistics(place: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Read all statistics in a cache; fails where an utterance is there twice."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for path in place.cache.glob("features/*/[!.]*.features"):
        shard = opened(path)
        assert isinstance(shard, StatisticsShard)
        shard.verify()
        for position, digest in enumerate(shard.digests):
            assert digest not in found
            found[digest] = shard.statistics(position)
    return found


def assert_same(one: Any, other: Any) -> None:
    here, there = statistics(one), statistics(other)
    assert here.keys() == there.keys()
    assert all(np.array_equal(here[digest], there[digest]) for digest in here)


def left_over(place: Any) -> Sequence[Path]:
    return [p for pattern in (".part-*", ".claim-*") for p in place.cache.rglob(pattern)]


def test_three_processes_encode_a_corpus_once_in_total(workplace: Making, warm: Any) -> None:
    place, alone = workplace(each=16, pause=0.02), workplace("alone", each=16)
    alone.write_encoder(pause=0.02)
    assert warm.run(alone, *ENCODE)[0] == 0
    processes = [place.start(*ENCODE) for _ in range(3)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    heard = place.heard()
    assert len(set(heard)) == 256
    assert len(heard) <= 1.05 * 256
    assert all("256 utterances" in one for one in said)
    assert_same(place, alone)
    assert left_over(place) == []


def test_what_a_dead_process_had_claimed_is_taken_over_by_those_who_wait(workplace: Making) -> None:
    place = workplace(each=4, pause=0.05)
    first = place.start(*ENCODE)
    until(first, lambda: len(place.heard()) > 3)
    first.send_signal(signal.SIGSTOP)
    second = place.start(*ENCODE)
    assert second.stdout
    for line in second.stdout:
        if "waiting for" in line:
            break
    assert f"process {first.pid} on" in line
    first.kill()
    first.communicate()
    rest, _ = second.communicate()
    assert second.returncode == 0, rest
    assert len(statistics(place)) == 64
    assert left_over(place) == []


def test_a_run_directory_has_one_run_at_a_time(workplace: Making, warm: Any) -> None:
    place = workplace(pause=0.05)
    first = place.start(*RUN)
    until(first, lambda: (place.run / ".running").exists() and (place.run / "run.json").exists())
    first.send_signal(signal.SIGSTOP)  # it writes its record again as it goes on
    before = (place.run / "run.json").read_bytes()
    status, _, said = warm.run(place, *RUN)
    assert status == 2
    assert f"another run is at work in it (process {first.pid} on" in said
    assert "--output" in said
    assert (place.run / "run.json").read_bytes() == before
    first.kill()
    first.communicate()
    status, _, said = warm.run(place, *RUN, table=1)
    assert status == -signal.SIGKILL, said  # it was let in, and came as far as its first table


def test_prune_leaves_alone_what_a_process_is_using(workplace: Making, warm: Any) -> None:
    place = workplace()
    assert warm.run(place, *ENCODE)[0] == 0
    (folder,) = (place.cache / "features").iterdir()
    with lock(folder / ".in-use", shared=True) or pytest.fail("no lock"):
        status, _, said = warm.run(place, "cache", "prune", "--to", "0", "--yes")
        assert (status, "in use by a running process" in said) == (0, True), said
        status, _, said = warm.run(place, "cache", "clear", "all")
        assert (status, "in use by a running process" in said) == (2, True), said
        assert len(statistics(place)) == 48
    assert warm.run(place, "cache", "prune", "--to", "0", "--yes")[0] == 0
    assert statistics(place) == {}


def test_a_killed_prune_leaves_whole_files(workplace: Making, warm: Any) -> None:
    place, alone = workplace(each=20), workplace("alone", each=20)
    assert warm.run(alone, *ENCODE)[0] == 0
    for attempt in range(3):
        assert warm.run(place, *ENCODE)[0] == 0
        warm.run(place, "cache", "prune", "--to", "0", "--yes", after=0.02 + 0.05 * attempt)
        statistics(place)
    assert warm.run(place, *ENCODE)[0] == 0
    assert_same(place, alone)
