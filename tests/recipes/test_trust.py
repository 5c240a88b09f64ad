"""A file that names code runs none of it unless somebody says that it may."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.test_run import tones

from sibboleth import cli
from sibboleth.errors import SibbolethError
from sibboleth.recipes.check import check
from sibboleth.recipes.curves import curves
from sibboleth.recipes.plan import plan
from sibboleth.recipes.pretrain import pretrain
from sibboleth.recipes.recommend import recommend
from sibboleth.recipes.run import run
from sibboleth.recipes.train import train

CODE = """
from pathlib import Path
import numpy as np
Path(__file__).with_name("ran").touch()
def encode(audio, rate):
    frames = audio[: len(audio) // 160 * 160].reshape(-1, 160)
    return np.abs(np.fft.rfft(frames, 512))[None, :, :24].astype(np.float32)
"""
STUDY = """
name = "tones"
domain = "language"
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[[encoders]]
name = "python:own.py:encode"
[[methods]]
name = "head"
[splits]
folds = 2
dev = 0.4
"""
PRETRAINING = """
name = "x"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[start]
architecture = "tiny-hubert"
[objective]
kind = "hubert"
targets = [{ features = "python:own.py:encode", clusters = 8 }]
[training]
steps = 1
learning_rate = 1e-3
"""
AMOUNTS = """
name = "x"
hours = [1.0]
[languages]
made = ["made"]
[[speech]]
name = "made"
manifest = "manifest.csv"
[pretraining.start]
architecture = "tiny-hubert"
[pretraining.objective]
kind = "hubert"
[pretraining.training]
steps = 1
learning_rate = 1e-3
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[targets]]
column = "pitch"
[[encoders]]
name = "python:own.py:encode"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A corpus, code that leaves a mark when it runs, and files that name it."""
    folder = tmp_path_factory.mktemp("named")
    tones(folder, speakers=4, each=1)
    (folder / "own.py").write_text(CODE)
    for name, text in (("study", STUDY), ("pretraining", PRETRAINING), ("amounts", AMOUNTS)):
        (folder / f"{name}.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


@pytest.mark.parametrize(
    ("verb", "file", "more"),
    [
        (run, "study", {}),
        (train, "study", {"encoder": "python:own.py:encode", "source": "aa"}),
        (recommend, "study", {}),
        (pretrain, "pretraining", {}),
        (curves, "amounts", {}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_code_that_a_file_names_does_not_run(
    verb: Callable[..., Any], file: str, more: dict[str, str], folder: Path
) -> None:
    with pytest.raises(SibbolethError, match=r"names code that would be run: python:.*own.py:encode.*--trust"):
        verb(Path(f"{file}.toml"), **more)
    assert not (folder / "ran").exists() and not (folder / "runs").exists()


def test_plan_and_check_do_without_it(folder: Path) -> None:
    check(Path("study.toml"))
    made = plan(Path("study.toml"))
    assert "code, which is run only with --trust: python:own.py:encode" in made.notes
    assert not (folder / "ran").exists()
    assert not any("--trust" in note for note in plan(Path("study.toml"), trust=True).notes)
    assert (folder / "ran").exists()
    (folder / "ran").unlink()


def test_the_command_line_has_the_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "study.toml"])
    assert "--trust" in capsys.readouterr().err
    for verb in ("run", "train", "recommend", "plan", "pretrain", "curves"):
        cli.main([verb, "--help"])
        assert "--trust" in capsys.readouterr().out, verb
