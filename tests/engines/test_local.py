"""When the local engine fills cells side by side; that it does so as one after another is in `test_beside.py`."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sibboleth import memory
from sibboleth.engines import local
from sibboleth.engines.unit import Unit
from sibboleth.models import threads
from sibboleth.models.encoders import arithmetic
from sibboleth.runs import RunDirectory


def unit(dim: int | None) -> Unit:
    cell: Any = SimpleNamespace()
    work: Any = None if dim is None else SimpleNamespace(encoder=SimpleNamespace(dim=dim))
    return Unit(cell, cell, work)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.Local]:
    """An engine with four threads, on a machine with room for three processes."""
    before = threads.count()
    threads.use(4)
    monkeypatch.delenv("SIBBOLETH_MEMORY", raising=False)
    monkeypatch.setattr(memory, "peak", lambda: 10**9)
    monkeypatch.setattr(memory, "available", lambda: 3_500_000_000)
    material: Any = None
    yield local.Local(material, RunDirectory(tmp_path))
    threads.use(before)


def test_networks_are_narrow_by_their_width_and_probes_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [unit(dim).narrow for dim in (64, 384, 512, 768, None)] == [True, True, False, False, False]
    monkeypatch.setattr(arithmetic, "device", lambda: torch.device("cuda"))
    assert not unit(64).narrow


def test_as_many_processes_as_threads_and_memory_allow(engine: local.Local, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not engine._worth(unit(64), 1.0), "it takes longer to start them"
    assert not engine._worth(unit(768), 100.0)
    assert engine._worth(unit(64), 100.0) and engine._processes == 3
    assert engine._worth(unit(64), 1.0), "it is known from now on"
    assert not engine._worth(unit(768), 100.0) and not engine._worth(unit(None), 100.0)
    monkeypatch.setattr(memory, "available", lambda: None)
    assert engine._worth(unit(64), 100.0) and engine._processes == 4


@pytest.mark.parametrize("why", ["a limit of memory", "no room", "one thread"])
def test_cells_stay_in_this_process(why: str, engine: local.Local, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "a limit of memory":
        monkeypatch.setenv("SIBBOLETH_MEMORY", "4GB")
    elif why == "no room":
        monkeypatch.setattr(memory, "available", lambda: 900_000_000)
    else:
        threads.use(1)
    assert not engine._worth(unit(64), 100.0)


def test_what_is_available_is_less_than_the_machine_has() -> None:
    there = memory.available()
    assert there is None or 10**6 < there < 2**50
