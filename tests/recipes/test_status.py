"""`sibboleth status`: how a run stands, while it goes on, when it was killed, and when cells failed."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import progress
from sibboleth.cli import main
from sibboleth.errors import CellsFailed, InvalidInput, SibbolethError
from sibboleth.experiment import cells, stages, standing, states
from sibboleth.recipes import run as running
from sibboleth.recipes.status import Status, status
from sibboleth.runs import RunDirectory

STUDY = """
name = "noise"
domain = "language"
regimes = ["within"]
layer_mix = false
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[splits]
folds = 2
dev = 0.5
[statistics]
resamples = 100
"""
HALF_DONE = """
import os, signal, sys
from pathlib import Path
from sibboleth import progress
from sibboleth.experiment import stages, states
from sibboleth.runs import RunDirectory
directory = RunDirectory(Path(sys.argv[1]))
with directory.alone(), stages.told(directory):
    states.Writing(directory, "cells/two.parquet", "logmel", "linear", "bb", 8)
    for _ in progress.track(range(40), "Encoding with logmel", 40, "s of audio"):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def study(folder: Path) -> Path:
    random, rows = np.random.default_rng(0), []
    for name in (f"{language}{speaker}" for language in ("aa", "bb") for speaker in range(4)):
        for label in ("angry", "sad"):
            soundfile.write(folder / f"{name}{label}.wav", random.normal(0, 0.1, 4000), 16_000)
            rows.append((f"{name}{label}.wav", name, name[:2], label))
    table = pl.DataFrame(rows, schema=["audio", "speaker", "language", "emotion"], orient="row")
    table.write_csv(folder / "manifest.csv")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder / "study.toml"


def left_behind(folder: Path, **facts: Any) -> RunDirectory:
    """Make a run directory with four planned cells, none of which was begun."""
    directory = RunDirectory(folder / "run")
    planned = [
        {"file": f"cells/{name}.parquet", "work": "logmel", "encoder": "logmel", "method": "linear", "source": source}
        for name, source in (("one", "aa"), ("two", "bb"), ("three", "cc"), ("four", "dd"))
    ]
    usual = {"name": "noise", "status": "running", "command": "sibboleth run study.toml", "finished": None}
    known = {"started": "2026-01-01T10:00:00+00:00", "planned": [one | {"steps": 8} for one in planned]}
    directory.write({**usual, **known, **facts})
    return directory


def done(directory: RunDirectory, name: str, seconds: float) -> None:
    """Have a cell be filled that took so long."""
    (directory / "cells").mkdir(exist_ok=True)
    (directory / f"cells/{name}.parquet").touch()
    state = states.State(f"cells/{name}.parquet", "logmel", "linear", "aa", "done", "here", 1, "", seconds, 8, 8)
    states.write(directory, state)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no page."""
    monkeypatch.setattr(running, "report", lambda path: path / "report.html")


def test_what_was_not_begun_says_how_it_is_begun(tmp_path: Path) -> None:
    path = study(tmp_path)
    told = str(status(path, output=tmp_path / "run"))
    assert "not begun" in told
    assert f"begin: sibboleth run {path} --output {tmp_path / 'run'}" in told.splitlines()
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("quick")
def test_a_run_is_followed_from_outside_while_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, output = study(tmp_path), tmp_path / "run"
    seen: list[Status] = []
    monkeypatch.setattr(stages, "PERIOD", 0.0)
    monkeypatch.setattr(states, "PERIOD", -1.0)

    def look(_: progress.Step) -> None:
        if (output / "run.json").exists():
            seen.append(status(path, output=output))

    with progress.watched(look):
        running.run(path, output=output)
    found = [one.standing for one in seen if one.standing is not None]
    assert {one.condition for one in found} == {"running"}
    titles = [one.stage.title for one in found if one.stage is not None]
    assert list(dict.fromkeys(titles))[:2] == ["Encoding with logmel", "Probing logmel"]
    assert {one.counted()["running"] for one in found} == {0, 1}
    assert [one.counted()["done"] for one in found] == sorted(one.counted()["done"] for one in found)
    middle = next(one for one in seen if one.standing and one.standing.counted()["done"] == 1)
    assert middle.standing is not None and middle.standing.left is not None
    assert all(one.expected is not None for one in middle.standing.cells)  # the plan's
    assert "time left: about" in str(middle) and f"process {os.getpid()}" in str(middle)
    ended = status(output)
    assert ended.standing is not None and ended.standing.condition == "complete"
    assert ended.standing.counted() == {"done": 2}
    assert not (output / stages.FILE).exists()


@pytest.mark.usefixtures("quick")
def test_a_failed_cell_says_why_and_how_to_look_and_to_run_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, solve = study(tmp_path), cells.solve

    def failing(cell: cells.Cell, *given: Any) -> Iterator[None]:
        if cell.source == "bb":
            raise ValueError("no [red] of [/red]\x1b[31m it")
        yield from solve(cell, *given)

    monkeypatch.setattr(cells, "solve", failing)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CellsFailed):
        running.run(Path(path.name))
    main(["status", path.name])
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("noise: done, but for cells that failed (")
    (failed,) = (line for line in told if line.startswith("failed: "))
    assert failed == "failed: logmel, linear, trained on bb: ValueError: no [red] of [/red][31m it"
    look = next(line for line in told if "look at it: " in line).partition("look at it: ")[2]
    assert "in failing" in subprocess.run(shlex.split(look), capture_output=True, text=True, check=True).stdout
    (again,) = (line for line in told if line.startswith("run failed cells again: "))
    assert again.endswith(": sibboleth run study.toml")
    monkeypatch.setattr(cells, "solve", solve)
    main(shlex.split(again)[5:])
    found = status(path, output=Path("runs/noise")).standing
    assert found is not None and found.condition == "complete" and found.counted() == {"done": 2}


def test_of_a_killed_run_it_says_that_the_process_is_gone_and_where_it_was(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    done(directory, "one", 4.0)
    ended = subprocess.run([sys.executable, "-c", HALF_DONE, str(directory.path)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    found = status(directory.path)
    assert found.standing is not None and found.standing.condition == "killed" and found.standing.left is None
    told = str(found)
    assert "killed: its process is gone (process " in told
    assert "it was at: Encoding with logmel: 0 of 40 s of audio" in told
    assert "logmel, linear, trained on bb: was being filled when it ended" in told
    assert told.splitlines()[-1] == "go on: sibboleth run study.toml"
    row = next(line for line in told.splitlines() if line.startswith("│ logmel"))
    assert [part.strip() for part in row.strip("│").split("│")][2:] == ["4", "1", "0", "0", "3"]


def test_time_left_follows_what_was_measured_and_else_the_plan(tmp_path: Path) -> None:
    """Three cells of 8 s on average and 30 s of the end are left; with two at work at once half of the cells' time."""
    directory = left_behind(tmp_path, expected={"encoding": {"logmel": 100.0}, "finish": 30.0})
    with directory.alone():
        assert standing.read(directory).left is None  # nothing says how long a cell takes
        done(directory, "one", 8.0)
        assert standing.read(directory).left == pytest.approx(3 * 8.0 + 30.0)
        for name in ("two", "three"):
            states.Writing(directory, f"cells/{name}.parquet", "logmel", "linear", "bb", 8)
        assert standing.read(directory).left == pytest.approx(3 * 8.0 / 2 + 30.0)
    assert standing.read(directory).left is None  # nobody is at work


@pytest.mark.parametrize(
    ("record", "told"),
    [("interrupted", "noise: stopped ("), ("failed", "noise: failed as a whole ("), ("running", "noise: killed: ")],
)
def test_every_end_is_said_and_how_to_go_on(tmp_path: Path, record: str, told: str) -> None:
    lines = str(status(left_behind(tmp_path, status=record).path)).splitlines()
    assert lines[0].startswith(told) and lines[-1] == "go on: sibboleth run study.toml"


def test_what_is_no_run_of_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SibbolethError, match=r"not a run directory \(it has no run.json\)"):
        status(tmp_path)
    with pytest.raises(InvalidInput, match="no such file"):
        status(tmp_path / "absent.toml")
    with pytest.raises(SibbolethError, match=r"is of a pretraining; .*curve.html"):
        status(left_behind(tmp_path, kind="pretraining").path)
