"""A cell that fails stops no other: what is left of it, what is told, and how it goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from tests.recipes.test_run import tones

from sibboleth import cli
from sibboleth.errors import CannotWrite, CellsFailed
from sibboleth.experiment import cells, states
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

ENCODER = """
from pathlib import Path
import numpy as np

def encode(audio, rate):
    if Path("broken").exists() and 0 < np.sqrt(np.mean(audio**2)) < 0.05:
        raise RuntimeError("too quiet for <me>")
    frames = np.pad(audio, (0, 160))[: (len(audio) // 160 + 1) * 160].reshape(-1, 160)
    return np.abs(np.fft.rfft(frames))[None, :, :24].astype(np.float32)
"""
STUDY = """
name = "tones"
domain = "language"
layer_mix = false
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "python:own.py:encode"
[[encoders]]
name = "logmel"
[probe]
l2 = [1.0]
[splits]
folds = 2
dev = 0.4
[statistics]
resamples = 100
[report]
audio = "none"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus one of whose domains is quieter, and an encoder that can be told to refuse that."""
    folder = tmp_path_factory.mktemp("tones")
    tones(folder, speakers=4, each=2)
    for path in (folder / "audio").glob("bb*.wav"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, 0.2 * samples, rate, subtype="PCM_16")
    (folder / "own.py").write_text(ENCODER)
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture(autouse=True)
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SIBBOLETH_CACHE", str(place / "cache"))


def told(directory: RunDirectory) -> dict[str, Any]:
    return {Path(one.file).stem: (one.state, one.source) for one in states.every(directory)}


def test_the_others_are_done_scored_and_shown_and_the_same_command_fills_what_is_left(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "broken").touch()
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "study.toml", "--trust"])
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 1
    assert "1 of 4 cells failed" in said and "python:own.py:encode, linear, trained on bb: " in said
    directory = RunDirectory(place / "runs" / "tones")
    record = directory.read()
    (failed,) = record["failed"]
    assert f"cat 'runs/tones/{failed['log']}'" in said and "run them again: sibboleth run study.toml" in said
    assert "Traceback" in (directory / failed["log"]).read_text()
    assert (record["status"], len(record["cells"]), failed["source"]) == ("incomplete", 3, "bb")
    runs = set(directory.table("scores")["run"])
    own = {name for name in runs if name.startswith("python")}
    assert own == {"python:own.py:encode/linear/within/aa>aa"}
    assert len(runs - own) == 6 and set(directory.table("cells")["run"]) == runs
    page = (directory / "report.html").read_text()
    assert "Incomplete: 1 of 4 cells failed" in page and "too quiet for &lt;me&gt;" in page
    assert sorted(told(directory).values()) == [("done", "aa")] * 2 + [("done", "bb"), ("failed", "bb")]
    before = {path: path.stat().st_ino for path in (directory / "cells").glob("logmel*.parquet")}
    (place / "broken").unlink()
    run(Path("study.toml"), trust=True)
    assert {path: path.stat().st_ino for path in before} == before
    record = directory.read()
    assert (record["status"], record["failed"], len(record["cells"])) == ("complete", [], 4)
    assert set(directory.table("scores")["run"]) > runs
    assert "Incomplete" not in (directory / "report.html").read_text()
    assert {state for state, _ in told(directory).values()} == {"done"} and not list((directory / "logs").iterdir())


def test_where_no_cell_can_be_filled_there_is_nothing_to_score(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("no more of it")

    monkeypatch.setattr(cells, "choose", fails)
    with pytest.raises(CellsFailed, match=r"no cell could be filled(.|\n)*MemoryError: no more of it") as error:
        run(Path("study.toml"), output=Path("none"), trust=True)
    assert error.value.exit_code == 1
    assert json.loads(Path("none/run.json").read_text())["status"] == "failed"
    assert len(list(states.every(RunDirectory(Path("none"))))) == 4


def test_a_disk_that_is_full_stops_all(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def full(*_: object) -> None:
        begun.append(1)
        raise CannotWrite("the disk is full; make room")

    monkeypatch.setattr(cells, "write_table", full)
    with pytest.raises(CannotWrite, match="make room"):
        run(Path("study.toml"), output=Path("full"), trust=True)
    assert len(begun) == 1 and list(states.every(RunDirectory(Path("full")))) == []


def test_what_another_run_left_is_not_taken_for_this_one(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    for name in ("done", "failed", "running"):
        writing = states.Writing(directory, f"cells/{name}.parquet", "logmel", "linear", "aa", 3)
        writing.step()
        if name == "done":
            assert writing.done() >= 0
        elif name == "failed":
            assert writing.failed("it broke", "trace") == "logs/failed.log"
    found = {one.state: one for one in states.every(directory)}
    assert found.keys() == {"done", "failed", "running"}
    assert (found["done"].steps, found["failed"].reason, found["running"].total) == (1, "it broke", 3)
    (tmp_path / "states" / "torn.json").write_text("{")
    states.clear(directory)
    assert [one.state for one in states.every(directory)] == ["done"]
    assert not list((tmp_path / "logs").iterdir())
