"""Invented runs and the pages made of them."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

from sibboleth.report import page
from sibboleth.runs import RunDirectory


def load(name: str) -> ModuleType:
    """Import a file that lies beside this one; pytest's import mode puts no folder on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


fake_run = load("fake_run")
fake_segments = load("fake_segments")
MakeRun = Callable[..., RunDirectory]
SMALL = {"logmel": 1, "untrained:wavlm-tiny": 3, "microsoft/wavlm-base": 5}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write an invented run; keywords are those of `Fake`."""

    def make(**options: Any) -> RunDirectory:
        fake = fake_run.Fake(**{"domains": ("de", "nl"), "encoders": SMALL, **options})
        run: RunDirectory = fake_run.write_run(tmp_path / "run", fake)
        return run

    return make


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with its report: three languages, players, findings, everything a page can have."""
    folder = tmp_path_factory.mktemp("reported")
    audio = folder / "speech #1.wav"
    soundfile.write(audio, 0.2 * np.sin(np.arange(16_000) / 20), 16_000)
    fake = fake_run.Fake(domains=("de", "en", "nl"), encoders=SMALL, audio=audio)
    run: RunDirectory = fake_run.write_run(folder / "run", fake)
    page.write(run)
    return run


@pytest.fixture(scope="session")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run about segments with its report: two languages, baselines, simulated listeners, players."""
    run: RunDirectory = fake_segments.write_run(tmp_path_factory.mktemp("segmented"))
    page.write(run)
    return run
