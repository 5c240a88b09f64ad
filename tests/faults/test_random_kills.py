"""kill -9 at random seconds of every stage: the same command goes on to the same result, and leaves nothing behind."""

import difflib
import html
import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.faults.conftest import STUDY, Warm, Workplace, warmed
from tests.faults.test_pretraining import FILE as PRETRAINING

KILLS = int(os.environ.get("KILLS", "20"))
"""Of each stage; `KILLS=3 SEED=7 pytest ...` tries a few others."""
SEED = int(os.environ.get("SEED", "10"))
BOX = 1800.0
"""Seconds that the kills of a stage may take; more is a failure that says how many there were."""

ENCODER = "sibboleth-tiny-en"
TUNING = """
[[methods]]
name = "lora"
lora = { rank = 2 }
lowest = 2
[training]
epochs = 2
learning_rate = 0.01
batch_seconds = 4
save = 1e-6
"""
MODULES = (
    "peft",
    "sibboleth.models.tuning.tuning",
    "transformers.activations",
    "transformers.models.hubert.modeling_hubert",
    "transformers.models.wav2vec2.modeling_wav2vec2",
    "transformers.models.wavlm.modeling_wavlm",
    "transformers.models.whisper.modeling_whisper",
)
TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:+]+|\d+(?:\.\d+)? (?:s|ms|min|h|minutes?|seconds?|hours?|MB|GB)\b")
"""Of day, and what was measured: no two runs have the same."""
UNTOLD = re.compile(r"(?s)<(script|style|svg).*?</\1>|<details><summary>Cells: .*?</details>")
"""Drawings, and the table of how long each cell took."""
TIMED = ("cells", "methods")
"""Tables beside the page that say how long things took."""
MEASURED = ("seconds", "seconds_per_epoch", "memory")

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """A command, what has to be there before it, and what it makes."""

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()


RUN = ("run", "study.toml", "--output", "run")
ENCODE = ("encode", ENCODER, "manifest.csv", "--frames", "3", "--output", "run/features.npz")
STAGES = {
    "encode": Stage(ENCODE),
    "probe": Stage(RUN, before=(("encode", ENCODER, "manifest.csv"),)),
    "finetune": Stage(("run", "tuned.toml", "--output", "run")),
    "pretrain": Stage(("pretrain", "pretraining.toml", "--output", "run")),
    "report": Stage(("report", "run"), before=(RUN,)),
}


def prepare(place: Workplace) -> None:
    """Write the files that the stages are asked by."""
    study = STUDY.replace('"python:own.py:encode"', f'"{ENCODER}"')
    (place.folder / "study.toml").write_text(study)
    tuned = study.replace('[[encoders]]\nname = "logmel"\n', "").replace(ENCODER, "untrained:tiny-wav2vec2")
    (place.folder / "tuned.toml").write_text(tuned + TUNING)
    slow = PRETRAINING.replace("learning_rate = 1e-3", "learning_rate = 1e-5")  # so few sounds are soon learnt too well
    (place.folder / "pretraining.toml").write_text(slow.format(accumulate=1, steps=20))


def text(page: Path) -> str:
    """Return what a page says, without scripts, drawings, and what was measured."""
    bare = UNTOLD.sub(" ", page.read_text(encoding="utf-8"))
    return TIMES.sub("", html.unescape(re.sub(r"<[^>]*>", " ", bare)))


def result(place: Workplace) -> Result:
    """Return what a command made: tables, arrays, weights, drawings and pages, without what was measured of time."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in place.run.rglob("*") if path.is_file()):
        name = str(path.relative_to(place.run))
        if path.suffix == ".parquet":
            table = pl.read_parquet(path)
            found[name] = table.drop(MEASURED, strict=False).write_json()
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays}
        elif path.suffix == ".html":
            found[name] = text(path)
        elif path.name == "run.json":
            found[name] = json.loads(path.read_text())["status"]
        elif path.suffix in (".safetensors", ".svg", ".csv", ".tex") and path.stem not in TIMED:
            found[name] = path.read_bytes()
        else:
            found[name] = "is there"
    return found


def differences(one: Result, other: Result) -> Mapping[str, str]:
    """Say of what differs how, as far as it is text."""
    different = [(file, one[file], other[file]) for file in one if one[file] != other[file]]
    return {
        file: "\n".join(difflib.unified_diff(*([part.strip() for part in str(each).split("\n")] for each in both), n=0))
        for file, *both in different
    }


def left_over(place: Workplace) -> list[str]:
    """Name what is hidden, as all is that is still being written, apart from locks that are kept."""
    hidden = (path for path in place.folder.rglob(".*") if path.is_file() and path.name not in (".in-use", ".deciding"))
    return [str(path.relative_to(place.folder)) for path in hidden]


def require_sound(warm: Warm, place: Workplace) -> None:
    status, _, said = warm.run(place, "cache", "verify")
    assert status == 0 and "corrupt" not in said, said


@pytest.fixture(scope="module")
def hot() -> Iterator[Warm]:
    """Start a process that has imported what encoders and trainings need, too."""
    with warmed(*MODULES) as process:
        yield process


@pytest.mark.soak
@pytest.mark.timeout(2 * BOX)
@pytest.mark.parametrize("name", STAGES)
def test_a_random_kill_changes_no_result(workplace: Callable[..., Any], hot: Warm, name: str) -> None:
    stage, place = STAGES[name], workplace(each=2)
    prepare(place)
    for command in stage.before:
        status, _, said = hot.run(place, *command)
        assert status == 0, said
    # Every attempt is in the same folder, with the same times of files, so that nothing is scanned again.
    prepared = shutil.copytree(place.folder, place.folder.with_name("prepared"))
    status, seconds, said = hot.run(place, *stage.command)
    assert status == 0, said
    whole = result(place)
    assert whole and left_over(place) == []
    dice = random.Random(f"{SEED} {name}")
    end = time.monotonic() + BOX
    killed = tries = 0
    while killed < KILLS:
        if time.monotonic() > end or tries > 5 * KILLS:
            pytest.fail(f"{name}: {killed} of {KILLS} kills in {tries} tries; seed {SEED}")
        shutil.rmtree(place.folder)
        shutil.copytree(prepared, place.folder)
        tries += 1
        after = dice.uniform(0, seconds)
        status, lasted, said = hot.run(place, *stage.command, after=after)
        if status == 0:  # the machine was faster than before
            seconds = lasted
            continue
        killed += 1
        told = f"seed {SEED}, kill {killed} after {after:.3f} of {seconds:.3f} s"
        assert status == -signal.SIGKILL, f"{told}: {said}"
        require_sound(hot, place)
        status, _, said = hot.run(place, *stage.command)
        assert status == 0, f"{told}: {said}"
        now = result(place)
        assert now.keys() == whole.keys(), told
        assert differences(whole, now) == {}, told
        assert left_over(place) == [], told
        require_sound(hot, place)
    print(f"{name}: {killed} kills in {tries} tries, seed {SEED}, of {seconds:.1f} s")  # noqa: T201
