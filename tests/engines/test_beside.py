"""Cells of narrow networks in processes side by side: as one after another, also where a process is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.recipes.test_run import tones

from sibboleth.engines import beside, local
from sibboleth.models import threads
from sibboleth.progress import console
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

STUDY = """
name = "narrow"
domain = "language"
layer_mix = false
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "untrained:tiny-wav2vec2"
[[methods]]
name = "head"
[[methods]]
name = "lora"
lora = { rank = 2 }
[training]
epochs = 2
[splits]
folds = 2
[statistics]
resamples = 100
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tones(tmp_path, each=2)
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


@pytest.fixture
def two_threads() -> object:
    before = threads.count()
    threads.use(2)
    yield
    threads.use(before)


@pytest.mark.soak
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("lost", [False, True])
def test_tables_are_those_of_one_cell_after_another(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    alone = RunDirectory(run(study, output=tmp_path / "alone").parent)
    started: list[beside.Beside] = []
    start = beside.Beside.start

    def noted(self: beside.Beside, count: int) -> None:
        started.append(self)
        start(self, count)
        if lost:
            for process in self._processes:
                process.kill()

    monkeypatch.setattr(beside.Beside, "start", noted)
    monkeypatch.setattr(local, "WORTH", 0.0)
    with console.capture() as said:
        divided = RunDirectory(run(study, output=tmp_path / "divided").parent)
    assert len(started) == 1 and len(started[0]._processes) == 2
    assert "Fine-tuning 3 cells in 2 processes: 24" in said.get()
    for name in ("predictions", "scores", "selection", "comparisons"):
        assert divided.table(name).equals(alone.table(name)), name
    told = [cell["source"] for cell in divided.read()["cells"]]
    assert told == [cell["source"] for cell in alone.read()["cells"]] and len(told) == 6
    assert all(process.poll() is not None for process in started[0]._processes)
    assert not [path for path in divided.path.rglob(".*") if path.is_file()]


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_they_end_with_the_process_that_began_them_and_the_same_command_goes_on(
    study: Path, tmp_path: Path, how: signal.Signals
) -> None:
    whole = RunDirectory(run(study, output=tmp_path / "whole").parent)
    code = (
        "import sys\nfrom sibboleth.engines import local\nlocal.WORTH = 0.0\n"
        "from sibboleth.models import threads\nthreads.use(2)\nfrom sibboleth.cli import main\nmain(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, "run", str(study), "--output", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (children := _beside(process.pid)) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(how)
    process.wait(30)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{one}").exists() for one in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children and not any(Path(f"/proc/{one}").exists() for one in children)
    page = run(study, output=tmp_path / "run")
    assert RunDirectory(page.parent).table("predictions").equals(whole.table("predictions"))


def _beside(parent: int) -> list[int]:
    """List the processes that a process began beside itself."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            b"sibboleth.engines.beside" in said
            and str(parent).encode() in said
            and int(entry.parent.name) != os.getpid()
        ):
            found.append(int(entry.parent.name))
    return found
