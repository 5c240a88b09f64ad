"""A limit of memory: how it is given, that it holds for encoding and probing, and what is said where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sibboleth import memory
from sibboleth.errors import SibbolethError
from sibboleth.models import encoding
from sibboleth.models.held import Filed, room

LIMITS = {"probing": 64 * 2**20, "encoding": 256 * 2**20}
WORK = """
import contextlib, os, resource, sys, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import polars as pl
import soundfile
from sibboleth import audio
from sibboleth.models import features, probes
from sibboleth.models.cache import Cache
from sibboleth.models.encoders.contract import Encoder
from sibboleth.probes import LinearProbe, MlpProbe
from sibboleth.splits import Fit, Test

FOLDER = Path(sys.argv[1])
probes.LINEAR_MIX = MlpProbe(hidden=(), epochs=1, patience=1, standardise=True)

class Made:
    layers = 6

    def __init__(self, rows):
        self.rows = rows

    def matrix(self, layer, pooling):
        return np.random.default_rng(layer).standard_normal((self.rows, 128), np.float32)

def probe(rows):
    truth = np.eye(4)[np.random.default_rng(9).integers(0, 4, rows)]
    every = np.arange(rows)
    fits = [Fit("a", "0", np.setdiff1d(every, every[::5]), every[::5], (Test("within", "a", every[::5]),))]
    probe = LinearProbe(l2=(0.1,))
    asked = probes.Probing(kind="classification", probe=probe, pooling="mean", trials=1, seed=0, layer_mix=True)
    units = asked.units(Made(rows), 4, fits)
    for unit in (units[0], units[-1]):
        assert len(list(asked.answers_of(unit, Made(rows), truth, fits)))

@dataclass(frozen=True, kw_only=True)
class Wide(Encoder):
    # Many numbers for little work, in sixteen threads that all hold them at once.

    def hidden_states(self, audio):
        states = np.repeat(audio[None, : len(audio) // 320 * 320 : 320, None], 512, axis=2)
        made = np.concatenate([states] * 8)
        time.sleep(0.2)
        return made

    @contextlib.contextmanager
    def side_by_side(self):
        yield 16

def encode(count, seconds):
    paths = [FOLDER / f"{count}-{number}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, int(16_000 * seconds)), 16_000)
    table = pl.DataFrame({"utterance": [path.stem for path in paths], "audio": list(map(str, paths))})
    table = table.with_columns(start=pl.lit(None, pl.Float64), end=pl.lit(None, pl.Float64))
    cache = Cache(FOLDER)
    encoder = Wide(name="wide", identity="wide", kind="callable", rate=16_000, layers=8, dim=512, stride=320)
    found = features.extract(encoder, table, audio.scan(table, store=cache.scans), cache, frames=[0, 3])
    assert len(found.utterances) == count

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

probe(400)
encode(4, 1)
base = peak()
for work, limit in zip((lambda: probe(20_000), lambda: encode(24, 29)), sys.argv[2:]):
    os.environ["SIBBOLETH_MEMORY"] = limit
    work()
    print(peak() - base)
"""
"""Prints by how many bytes a process grew, after small pieces of the same work, in large ones, each with its limit."""


def grown(folder: Path, *limits: str) -> list[int]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "SIBBOLETH_CACHE": str(folder)}
    command = [sys.executable, "-c", WORK, str(folder), *limits]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kB there")
def test_a_limit_holds_for_probing_and_encoding(tmp_path: Path) -> None:
    found = grown(tmp_path, *map(str, LIMITS.values()))
    assert {name: size for name, size in zip(LIMITS, found, strict=True) if size > LIMITS[name]} == {}


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kB there")
def test_without_the_limit_the_same_work_takes_more(tmp_path: Path) -> None:
    found = grown(tmp_path, "", "")
    assert {name: size for name, size in zip(LIMITS, found, strict=True) if size < LIMITS[name]} == {}


@pytest.mark.parametrize(("text", "size"), [("4GB", 4 * 10**9), ("512 MiB", 512 * 2**20), ("100000000", 10**8)])
def test_amounts_are_read(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.ENVIRONMENT, text)
    assert memory.limit() == size
    assert memory.at_most(10**12, 4) == size // 4
    assert memory.at_most(1000, 4) == 1000


@pytest.mark.parametrize("text", ["much", "-4GB", "4 parsecs", "1MB"])
def test_what_is_no_amount_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.ENVIRONMENT, text)
    with pytest.raises(SibbolethError, match=f"^SIBBOLETH_MEMORY={text}: .*(such as 4GB|give more)"):
        memory.limit()


def test_without_a_limit_everything_is_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.ENVIRONMENT, raising=False)
    assert memory.limit() is None and memory.at_most(1000, 4) == 1000
    memory.require(10**15, 2, "anything")


def test_what_cannot_be_divided_says_how_much_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from sibboleth.models.encoders import load
    from sibboleth.study import EncoderSettings

    encoder = load(EncoderSettings(name="untrained:tiny-wavlm"))
    long = [encoding.Recording("a", "absent.wav", None, None, 30.0)]
    needed = 2 * encoder.working_bytes(30.0)
    monkeypatch.setenv(memory.ENVIRONMENT, str(needed - 1))
    with pytest.raises(SibbolethError, match="encoding 30 s of audio with .* give .* or more"):
        list(encoding.encode(encoder, long))
    monkeypatch.setenv(memory.ENVIRONMENT, str(needed))
    (found,) = encoding.encode(encoder, long)
    assert found.failure is not None and "absent.wav" in found.failure


def test_a_slow_taker_holds_up_those_who_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly results are taken, no more items are begun than threads, twice, or than have room."""
    from sibboleth.models.encoders import load
    from sibboleth.study import EncoderSettings

    encoder = load(EncoderSettings(name="untrained:tiny-wav2vec2"))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for limit, weight, most in ((None, 10**12, 6), (str(10**9), 10**8, 5), (str(10**9), 10**10, 1)):
            begun: list[int] = []
            monkeypatch.setenv(memory.ENVIRONMENT, limit or "")
            coming = encoding.side_by_side(encoder, begun.append, range(40), lambda _, weight=weight: weight)
            for taken, _ in enumerate(coming, 1):
                assert len(begun) <= taken + most
            assert len(begun) == 40
    finally:
        torch.set_num_threads(before)


def test_features_in_a_file_are_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    layers = [torch.from_numpy(random.standard_normal((50, 7), np.float32)) for _ in range(3)]
    rows, problems = torch.tensor([[4, 49, 4], [0, 7, 8]]), torch.tensor([2, 0])
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path))
    monkeypatch.setattr("sibboleth.models.held.MEMORY_BYTES", 1)
    found = []
    for limit in ("", "1GB"):
        monkeypatch.setenv(memory.ENVIRONMENT, limit)
        with room(50, 3, 7) as held:
            assert isinstance(held, Filed) == bool(limit) and held.shape == (50, 3, 7)
            for place, layer in enumerate(layers):
                held[:, place] = layer
            found.append((held.index_select(0, rows[0]), held[rows, problems[:, None]], held[rows[1], 1]))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(found[0][2], layers[1][rows[1]])
