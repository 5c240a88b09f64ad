"""kill -9 at any moment, then the same command: the same tables to the bit, and nothing finished is done again."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sibboleth import storage
from sibboleth.audio import rechecking
from sibboleth.models.shards import opened

Making = Callable[..., Any]

RUN = ("run", "study.toml", "--output", "run")
TABLES = ("predictions", "scores", "comparisons", "selection", "cells")


KILLS = 5
"""`test_random_kills.py` has more."""


def tables(place: Any) -> dict[str, bytes]:
    """Return the bytes of every table of a run."""
    files = [place.run / f"{name}.parquet" for name in TABLES] + sorted((place.run / "cells").iterdir())
    return {file.name: file.read_bytes() for file in files}


def units(place: Any) -> dict[Path, int]:
    """Return finished units of work, shards and cells, and their inodes: a file that is written again has another."""
    shards = list(place.cache.glob("features/*/[!.]*.features"))
    for shard in shards:
        opened(shard).verify()
    tables = list(place.run.rglob("[!.]*.parquet"))
    for table in tables:
        pl.read_parquet(table)
    # A cell is two files, of which that with the answers is written last.
    cells = [table for table in tables if table.parent.name == "cells" and ".selection" not in table.suffixes]
    return {path: path.stat().st_ino for path in (*shards, *cells)}


def filed(place: Any) -> set[str]:
    """Return the utterances in finished shards of the encoder that logs, as the log calls them."""
    names = {rechecking.digest(path): place.digest(path) for path in (place.folder / "audio").iterdir()}
    shards = [opened(path) for path in place.cache.glob("features/*/[!.]*.features")]
    return {names[d] for shard in shards if shard.header["encoder"] == "python:own.py:encode" for d in shard.digests}


def half_written(place: Any) -> list[Path]:
    return [path for path in place.folder.rglob(f"{storage.PART}*") if path.is_file()]


class Watch:
    """Looks, between attempts, whether anything that was finished was touched again."""

    def __init__(self, place: Any) -> None:
        self.place = place
        self.units: Mapping[Path, int] = {}
        self.filed: set[str] = set()
        self.heard = 0

    def look(self) -> None:
        now = units(self.place)
        again = [path.name for path, inode in self.units.items() if now.get(path) != inode]
        assert not again, f"written again: {again}"
        new = self.place.heard()[self.heard :]
        assert self.filed.isdisjoint(new), "a finished utterance was encoded again"
        assert len(new) == len(set(new)), "an utterance was encoded twice by one run"
        self.units, self.filed, self.heard = now, filed(self.place), self.heard + len(new)


def killed_and_finished(place: Any, start: Callable[[float | None], int], moments: list[float]) -> None:
    watch = Watch(place)
    ended = []
    for moment in moments:
        ended.append(start(moment))
        assert ended[-1] in (-signal.SIGKILL, 0), "it ended with an error"
        watch.look()
    assert ended.count(-signal.SIGKILL) >= len(moments) // 2, "the kills came too late to say anything"
    assert start(None) == 0
    watch.look()
    assert half_written(place) == []


@pytest.fixture(scope="module")
def undisturbed(making: Making, warm: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, float]:
    """Run a study that nobody disturbs; returns where, and how many seconds it took."""
    place = making(tmp_path_factory.mktemp("undisturbed") / "work", each=10)
    status, seconds, said = warm.run(place, *RUN)
    assert status == 0, said
    return place, seconds


def test_kills_spread_over_a_run_change_no_bit_and_no_finished_unit_is_done_twice(
    workplace: Making, warm: Any, undisturbed: tuple[Any, float]
) -> None:
    place = workplace(each=10)
    whole, seconds = undisturbed
    dice = random.Random(3)
    moments = [seconds * (i + dice.random()) / KILLS for i in range(KILLS)]
    killed_and_finished(place, lambda after: warm.run(place, *RUN, after=after)[0], moments)
    assert tables(place) == tables(whole)
    assert len(filed(place)) == 160


def test_dying_half_way_through_any_table_leaves_no_half_table(
    workplace: Making, warm: Any, undisturbed: tuple[Any, float]
) -> None:
    place = workplace(each=10)
    watch = Watch(place)
    # The table of utterances; each file of the cells in turn; the tables of the run.
    for table in (1, 2, 3, 4, 5, 6):
        assert warm.run(place, *RUN, table=table)[0] == -signal.SIGKILL
        assert len(half_written(place)) == 1
        watch.look()
    assert warm.run(place, *RUN)[0] == 0
    watch.look()
    assert half_written(place) == []
    assert tables(place) == tables(undisturbed[0])


def test_cells_filled_on_a_cluster_of_this_machine_have_the_same_bits(
    workplace: Making, warm: Any, undisturbed: tuple[Any, float]
) -> None:
    """Nothing is left to encode, which would take processes of its own; `test_ray.py` has that, and kills."""
    place, whole = workplace(each=10), undisturbed[0]
    shutil.copytree(whole.cache, place.cache)
    place.environment["RAY_raylet_start_wait_time_s"] = "20"
    status, _, said = warm.run(place, *RUN, "--engine", "ray")
    if "no Ray cluster can be used at this machine" in said and "timed out" in said:
        pytest.skip("this machine is too busy to start Ray")
    assert status == 0, said
    assert "Ray on this machine (nodes: 1" in said and "Encoding" not in said
    assert tables(place) == tables(whole)
    assert half_written(place) == []


@pytest.mark.soak
def test_a_kill_while_the_report_is_drawn_leaves_none_or_a_whole_one(workplace: Making, warm: Any) -> None:
    place = workplace()
    _, seconds, _ = warm.run(place, *RUN)
    whole = {path.relative_to(place.run): path.read_bytes() for path in place.run.rglob("*.html")}
    before = tables(place)
    for share in (0.5, 0.75, 0.9):
        status, _, _ = warm.run(place, "report", "run", after=share * seconds / 2)
        assert tables(place) == before
        page = place.run / "report.html"
        assert not page.exists() or page.read_bytes() in whole.values() or status == 0
    assert warm.run(place, *RUN)[0] == 0
    assert half_written(place) == []
    assert tables(place) == before


@pytest.mark.soak
def test_fifty_kills_of_processes_started_from_nothing(workplace: Making) -> None:
    """As above, each attempt a process of its own, in five runs of ten kills."""
    undisturbed = workplace("undisturbed", each=20, pause=0.01)
    begun = time.monotonic()
    undisturbed.finish(*RUN)
    seconds = time.monotonic() - begun
    dice = random.Random(5)
    for round_ in range(5):
        place = workplace(f"work{round_}", each=20, pause=0.01)

        def start(after: float | None, place: Any = place) -> int:
            process = place.start(*RUN)
            try:
                said, _ = process.communicate(timeout=after)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
            assert "Traceback" not in said
            return int(process.returncode)

        killed_and_finished(place, start, [seconds * (i + dice.random()) / 10 for i in range(10)])
        assert tables(place) == tables(undisturbed)
        shutil.rmtree(place.folder)
