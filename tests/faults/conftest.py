"""Real faults done to real processes: a corpus of small sounds, an encoder that logs what it hears, and the tool."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8000

ENCODER = """
import hashlib, os, time
from pathlib import Path
import numpy as np


SHIFT = {shift!r}
PAUSE = {pause!r}

def encode(audio, rate):
    heard = os.environ.get("HEARD")
    if heard:
        with open(heard, "a") as stream:
            stream.write(hashlib.sha256(audio.tobytes()).hexdigest() + "\\n")
    end = time.perf_counter() + PAUSE
    while time.perf_counter() < end:
        pass
    spectrum = np.abs(np.fft.rfft(audio[: len(audio) // 80 * 80].reshape(-1, 80)))[:, :24]
    return np.stack([spectrum, np.log(spectrum + 1e-3) + SHIFT]).astype(np.float32)

encode.rate = 8000
"""

STUDY = """
name = "tones"
domain = "language"
regimes = ["within", "zero-shot"]
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
l2 = [0.01, 1.0]
[splits]
folds = 2
dev = 0.4
[statistics]
resamples = 100
slices = []
[report]
audio = "none"
"""


@dataclass
class Workplace:
    """A folder with a corpus, a study and an encoder, a cache of its own, and a log of what was encoded."""

    folder: Path
    output: str = "run"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def run(self) -> Path:
        return self.folder / self.output

    def arguments(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sibboleth", *trusting(arguments)]

    def start(self, *arguments: str, **more: object) -> "subprocess.Popen[str]":
        environment = {**os.environ, "SIBBOLETH_CACHE": str(self.cache), "HEARD": str(self.folder / "heard.txt")}
        return subprocess.Popen(
            self.arguments(*arguments),
            cwd=self.folder,
            env={**environment, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **more,  # type: ignore[call-overload]
        )

    def finish(self, *arguments: str, **more: object) -> str:
        """Run a command to its end; returns what it said."""
        process = self.start(*arguments, **more)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return said

    def heard(self) -> list[str]:
        """Return a digest of every piece of audio that was encoded, in order, those of the contract check left out."""
        file = self.folder / "heard.txt"
        known = {self.digest(path) for path in (self.folder / "audio").iterdir()} if file.exists() else set()
        return [line for line in file.read_text().split() if line in known] if file.exists() else []

    @staticmethod
    def digest(path: Path) -> str:
        return hashlib.sha256(soundfile.read(path, dtype="float32")[0].tobytes()).hexdigest()

    def write_encoder(self, shift: float = 0.0, pause: float = 0.0) -> None:
        text = ENCODER.format(shift=shift, pause=pause)
        (self.folder / "own.py").write_text(text)


def trusting(arguments: Sequence[str]) -> Sequence[str]:
    """Let a study's own encoder run."""
    return (*arguments, "--trust") if arguments[0] == "run" else arguments


def corpus(folder: Path, speakers: int = 4, each: int = 3) -> None:
    """Write buzzes of two pitches by several speakers of two languages, and the manifest."""
    rng = np.random.default_rng(11)
    (folder / "audio").mkdir()
    lines = ["audio,speaker,language,pitch"]
    for language in ("aa", "bb"):
        for speaker in range(speakers):
            for take in range(each):
                for label, pitch in (("high", 220), ("low", 120)):
                    time = np.arange(int(RATE * rng.uniform(0.3, 0.5))) / RATE
                    hertz = pitch * rng.uniform(0.8, 1.25)
                    tone = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6))
                    name = f"audio/{language}{speaker}{label}{take}.wav"
                    soundfile.write(folder / name, 0.1 * tone + rng.normal(0, 0.03, len(time)), RATE, subtype="PCM_16")
                    lines.append(f"{name},{language}{speaker},{language},{label}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def making() -> Callable[..., Workplace]:
    """Make a folder to work in, with a corpus of a given size."""

    def make(folder: Path, speakers: int = 4, each: int = 3, pause: float = 0.0) -> Workplace:
        folder.mkdir()
        corpus(folder, speakers, each)
        (folder / "study.toml").write_text(STUDY)
        made = Workplace(folder)
        made.write_encoder(pause=pause)
        return made

    return make


@pytest.fixture
def workplace(tmp_path: Path, making: Callable[..., Workplace]) -> Callable[..., Workplace]:
    """Make a folder to work in, of a given name and size."""

    def make(name: str = "work", **size: float) -> Workplace:
        return making(tmp_path / name, **size)

    return make


@dataclass
class Warm:
    """Starts commands of the tool without waiting for its imports; see `warm.py`."""

    process: "subprocess.Popen[str]"

    def run(self, place: Workplace, *arguments: str, after: float | None = None, **more: int) -> tuple[int, float, str]:
        """Run a command, or kill it -9 after so many seconds; returns how it ended, its seconds and what it said.

        No file that it writes may have more than `most` bytes; or it dies half-way through writing the `table`-th one,
        or the `state`-th state of a training.
        """
        said = place.folder / "said.txt"
        asked = {
            "arguments": trusting(arguments),
            "folder": str(place.folder),
            "environment": {
                "SIBBOLETH_CACHE": str(place.cache),
                "HEARD": str(place.folder / "heard.txt"),
                **place.environment,
            },
            "said": str(said),
            "after": after,
            "most": more.get("most"),
            "table": more.get("table"),
            "state": more.get("state"),
        }
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        status = os.waitstatus_to_exitcode(answer["status"])
        return status, answer["seconds"], " ".join(said.read_text().split()) if said.exists() else ""


@contextlib.contextmanager
def warmed(*modules: str) -> Iterator[Warm]:
    """Start a process that has imported what every command needs, and these modules."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("warm.py")), *modules],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdin
    assert process.stdout.readline() == "ready\n"
    yield Warm(process)
    process.stdin.close()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Start a process that has imported everything."""
    with warmed() as process:
        yield process
