"""Large manifests, without audio: in bounded memory, and of a million rows within seconds."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GENERATOR = Path(__file__).parents[1] / "benchmarks" / "manifest.py"
CHILD = """
import json, pathlib, resource, sys
from sibboleth.recipes.check import check
from sibboleth.recipes.plan import plan
from sibboleth.errors import InvalidInput
path, what = pathlib.Path(sys.argv[1]), sys.argv[2]
told = {}
if what == "plan":
    made = plan(path, output=path.parent / "run", without_audio=True)
    told = {"title": made.title, "fits": made.lines[0].fits, "cells": made.lines[0].cells}
elif what == "check":
    told = {"findings": [one.name for one in check(path, without_audio=True)]}
else:
    try:
        check(path, without_audio=True)
    except InvalidInput as error:
        told = {"summary": error.summary, "problems": len(error.problems), "last": error.problems[-1].row}
usage = resource.getrusage(resource.RUSAGE_SELF)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps(told | {"mib": usage.ru_maxrss * unit / 2**20, "seconds": usage.ru_utime + usage.ru_stime}))
"""


BETWEEN = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
"""A small process to start another: a process begins with the peak of the one that starts it."""


def measured(study: Path, what: str) -> dict[str, Any]:
    """Do it in a process of its own and return what it tells, its peak memory and the time of its processors."""
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, sys.executable, "-c", CHILD, str(study), what],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def written(folder: Path, rows: int, **options: str) -> Path:
    """Write the study in a process of its own, which gives its memory back."""
    extra = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, str(GENERATOR), "--rows", str(rows), "--write", str(folder), *extra]
    subprocess.run(command, check=True)
    return folder / "study.toml"


def test_a_hundred_thousand_rows_are_planned_in_bounded_memory(tmp_path: Path) -> None:
    told = measured(written(tmp_path, 100_000), "plan")
    assert told["title"].startswith("manifest: 100000 utterances") and "2000 speakers, 10 domains" in told["title"]
    assert (told["cells"], told["fits"]) == (10, 500)
    assert told["mib"] < 900
    assert not (tmp_path / "run").exists()


def test_a_hundred_thousand_bad_rows_are_counted_in_bounded_memory(tmp_path: Path) -> None:
    study = written(tmp_path, 100_000)
    manifest = tmp_path / "manifest.csv"
    header, _, rows = manifest.read_text(encoding="utf-8").partition("\n")
    manifest.write_text(header + "\n" + rows.replace("\n", ",too much\n"), encoding="utf-8")
    told = measured(study, "bad")
    assert told["summary"].endswith("100000 bad rows with 100000 problems; the first 1000 are kept")
    assert (told["problems"], told["last"]) == (1000, 1001)
    assert told["mib"] < 600


def test_the_generator_of_the_benchmark_is_what_is_measured(tmp_path: Path) -> None:
    made = runpy.run_path(str(GENERATOR))["write"](tmp_path, 500)
    assert made == tmp_path / "study.toml"
    lines = (tmp_path / "manifest.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 501 and lines[0].startswith("audio,utterance,speaker,language")


@pytest.mark.soak
@pytest.mark.parametrize("what", ["plan", "check"])
@pytest.mark.parametrize(
    ("scheme", "domain"),
    [
        ("speaker-folds", "corpus"),
        ("speaker-folds", "language"),
        ("random-folds", "corpus"),
        ("leave-one-domain-out", "language"),
    ],
)
def test_a_million_rows(tmp_path: Path, what: str, scheme: str, domain: str) -> None:
    regimes = "" if scheme != "leave-one-domain-out" else 'regimes = ["zero-shot"]\n'
    study = written(tmp_path, 1_000_000, scheme=scheme, domain=domain)
    text = study.read_text(encoding="utf-8")
    if domain == "corpus":
        regimes = 'regimes = ["within"]\n'
    study.write_text(regimes + text, encoding="utf-8")
    told = measured(study, what)
    assert told["mib"] < 2048
    assert told["seconds"] < 40  # 20 s of two processors
