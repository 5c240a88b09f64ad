"""A hundred thousand short utterances, encoded and probed by a boxed encoder: it ends, in bounded memory."""

import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth.runs import RunDirectory

UTTERANCES = int(os.environ.get("UTTERANCES", "100000"))
"""`UTTERANCES=5000 pytest ...` tries fewer."""
RATE, SECONDS, EACH, SPEAKERS = 16_000, 0.3, 5000, 100
"""Hertz, seconds of an utterance, utterances of a recording, speakers."""

STUDY = """
name = "many"
regimes = ["within"]
layer_mix = false
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "sibboleth-tiny-en"
[probe]
l2 = [0.01, 1.0]
[splits]
folds = 3
[statistics]
resamples = 200
slices = []
[report]
audio = "none"
"""


@dataclass(frozen=True)
class Took:
    """What a command took."""

    seconds: float
    processor: float
    mib: float
    """At the most."""


def measured(folder: Path, *arguments: str) -> Took:
    """Run a command in a folder; fails where it does."""
    environment = {**os.environ, "SIBBOLETH_CACHE": str(folder / "cache")}
    begun = time.monotonic()
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "sibboleth", *arguments], cwd=folder, env=environment, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / "said.txt").read_text()
    return Took(time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def write(folder: Path, count: int, each: int) -> None:
    """Write noisy tones of two pitches, so many to a recording, all different, and the study."""
    folder.mkdir()
    draws = np.random.default_rng(4)
    moments = np.arange(int(SECONDS * RATE)) / RATE
    rows = []
    for recording in range(math.ceil(count / each)):
        here = range(recording * each, min(count, (recording + 1) * each))
        high = draws.random(len(here)) < 0.5
        hertz = np.where(high, 440, 220) * draws.uniform(0.8, 1.25, len(here))
        with soundfile.SoundFile(folder / f"{recording}.wav", "w", RATE, 1, subtype="PCM_16") as file:
            for tone in hertz:
                file.write(0.2 * np.sin(2 * np.pi * tone * moments) + draws.normal(0, 0.05, len(moments)))
        rows.append(
            pl.DataFrame(
                {
                    "utterance": [f"u{number:06}" for number in here],
                    "audio": f"{recording}.wav",
                    "speaker": [f"s{number % SPEAKERS:02}" for number in here],
                    "pitch": np.where(high, "high", "low"),
                    "start": np.arange(len(here)) * SECONDS if each > 1 else None,
                    "end": (np.arange(len(here)) + 1) * SECONDS if each > 1 else None,
                }
            )
        )
    pl.concat(rows).write_csv(folder / "manifest.csv")
    (folder / "study.toml").write_text(STUDY)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(("share", "each"), [(1.0, EACH), (0.1, 1)], ids=["long recordings", "small files"])
def test_they_are_all_encoded_and_probed_in_bounded_memory(tmp_path: Path, share: float, each: int) -> None:
    count = int(share * UTTERANCES)
    write(tmp_path / "work", count, each)
    took = measured(tmp_path / "work", "run", "study.toml", "--output", "run")
    print(f"{count} utterances: {took}")  # noqa: T201
    run = RunDirectory(tmp_path / "work" / "run")
    answered = run.table("predictions").filter(rater="selected")
    assert answered["utterance"].n_unique() == count
    (uar,) = run.table("scores").filter(metric="uar", slice="all", rater="selected")["estimate"]
    assert uar > 0.95
    assert (run / "report.html").stat().st_size < 20_000_000
