"""A run on a Ray cluster: the tables of one process, also where workers and nodes die; and what stops it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_company import left_over, until
from tests.faults.test_kills import half_written, tables

Making = Callable[..., Any]

RUN = ("run", "study.toml", "--output", "run")
ON_RAY = (*RUN, "--engine", "ray")


def states(place: Any) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((place.run / "states").glob("*.json"))]


@dataclass
class Nodes:
    """A cluster in a process of its own; see `cluster.py`."""

    process: "subprocess.Popen[str]"
    address: str

    def ask(self, **what: Any) -> str | None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        answer: str | None = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture
def cluster(workplace: Making) -> Iterator[Callable[..., Nodes]]:
    """Start clusters whose workers log what the encoder hears as the run's own process does."""
    started: list[subprocess.Popen[str]] = []

    def start(place: Any, **asked: Any) -> Nodes:
        environment = {**os.environ, "HEARD": str(place.folder / "heard.txt"), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("cluster.py")), json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        started.append(process)
        assert process.stdout
        return Nodes(process, process.stdout.readline().strip())

    yield start
    for process in started:
        assert process.stdin and process.stdout
        process.stdin.close()
        process.wait(timeout=120)
        process.stdout.close()


METHODS = """
[[encoders]]
name = "untrained:tiny-wav2vec2"
[[methods]]
name = "head"
[[methods]]
name = "lora"
lora = { rank = 2 }
[training]
epochs = 2
"""


@pytest.mark.soak
def test_several_nodes_fill_the_tables_of_one_process(workplace: Making, warm: Any, cluster: Any) -> None:
    place, alone = workplace(each=4), workplace("alone", each=4)
    for one in (place, alone):
        with (one.folder / "study.toml").open("a") as study:
            study.write(METHODS)
    status, _, said = warm.run(alone, *RUN)
    assert status == 0, said
    nodes = cluster(place, nodes=[1, 1])
    said = place.finish(*ON_RAY, "--address", nodes.address)
    assert "nodes: 3, cores: 2" in said and "2 at work at once" in said
    assert "WARNING" not in said and "Traceback" not in said
    mine, whole = tables(place), tables(alone)
    timed = [name for name in whole if name.endswith(".learning.parquet") or name.endswith(".facts.json")]
    assert len(timed) == 16 and mine.keys() == whole.keys()
    assert {name: mine[name] for name in whole if name not in timed} == {
        name: content for name, content in whole.items() if name not in timed
    }
    assert len(set(place.heard())) == 64 and len(place.heard()) <= 1.05 * 64
    assert {state["state"] for state in states(place)} == {"done"} and len(states(place)) == 14
    assert left_over(place) == [] and half_written(place) == []


@pytest.mark.soak
def test_nodes_that_share_an_object_store_and_no_cache(
    workplace: Making, warm: Any, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, alone = workplace(each=4), workplace("alone", each=4)
    assert warm.run(alone, *RUN)[0] == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nodes"))
    nodes = cluster(place, nodes=[1, 1])
    place.environment |= {
        "SIBBOLETH_CACHE": f"file://{tmp_path}/bucket/cache",
        "XDG_CACHE_HOME": str(tmp_path / "here"),
    }
    store = f"file://{tmp_path}/bucket/run"
    place.finish(*ON_RAY, "--address", nodes.address, "--mirror", store)
    mine, whole = tables(place), tables(alone)
    assert mine == whole
    assert len(set(place.heard())) == 64 and len(place.heard()) <= 1.05 * 64
    copies = [sorted(one.name for one in (tmp_path / name).rglob("*.features")) for name in ("nodes", "here", "bucket")]
    assert copies[0] and copies[0] == copies[1] == copies[2]
    there = {path.name for path in (tmp_path / "bucket/run").rglob("*") if path.is_file()}
    assert {"report.html", "scores.parquet"} <= there and not any(name.startswith(".") for name in there)


@pytest.mark.soak
def test_workers_and_a_node_that_die_change_nothing(workplace: Making, warm: Any, cluster: Any) -> None:
    place, alone = workplace(each=10, pause=0.1), workplace("alone", each=10, pause=0.1)
    assert warm.run(alone, *RUN)[0] == 0
    nodes = cluster(place, nodes=[1, 1, 1])
    process = place.start(*ON_RAY, "--address", nodes.address)
    until(process, lambda: len(place.heard()) > 10)
    killed = [nodes.ask(word="MapWorker")]
    until(process, lambda: len(place.heard()) > 40)
    killed.append(nodes.ask(kill=0))
    until(process, lambda: len(place.heard()) > 80)
    killed.append(nodes.ask(word="MapWorker"))
    while process.poll() is None and not states(place):
        threading.Event().wait(0.05)
    killed.append(nodes.ask(word="Probing"))
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "node" in killed and sum(one is not None for one in killed) >= 3
    assert tables(place) == tables(alone)
    assert half_written(place) == [] and left_over(place) == []
    again = place.finish(*RUN)
    assert "Encoding" not in again and "Probing" not in again
    assert tables(place) == tables(alone)


@pytest.mark.soak
def test_a_client_outside_the_cluster_and_an_encoder_that_fails_on_one_domain(workplace: Making, cluster: Any) -> None:
    place = workplace(each=4)
    text = (place.folder / "own.py").read_text()
    quiet = sorted(place.digest(path) for path in (place.folder / "audio").glob("bb*"))
    refused = f"    if hashlib.sha256(audio.tobytes()).hexdigest() in {quiet}: raise ValueError('not this one')\n"
    (place.folder / "own.py").write_text(text.replace("    heard = os", f"{refused}    heard = os"))
    nodes = cluster(place, nodes=[1, 1], client=10017)
    process = place.start(*ON_RAY, "--address", "ray://127.0.0.1:10017")
    said, _ = process.communicate()
    assert process.returncode == 1, said
    assert "1 of 4 cells failed" in said and "trained on bb" in said and "Traceback" not in said
    assert "run them again: sibboleth run study.toml --output run --engine ray --address ray://127.0.0.1:10017" in said
    record = json.loads((place.run / "run.json").read_text())
    assert (record["status"], len(record["cells"]), len(record["failed"])) == ("incomplete", 3, 1)
    before = tables(place)
    assert nodes.process.poll() is None
    process = place.start(*RUN)
    said, _ = process.communicate()
    assert process.returncode == 1 and tables(place) == before, said


@pytest.mark.soak
def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(workplace: Making) -> None:
    place = workplace(each=10, pause=0.1)
    process = place.start(*ON_RAY, start_new_session=True)
    until(process, lambda: len(place.heard()) > 5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in said and "Traceback" not in said
    threading.Event().wait(1)
    heard = len(place.heard())
    threading.Event().wait(2)
    assert len(place.heard()) == heard, "somebody is still encoding"
    place.finish(*ON_RAY)
    assert half_written(place) == [] and left_over(place) == []
    assert len(set(place.heard())) == 160
