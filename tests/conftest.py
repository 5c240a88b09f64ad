"""What all tests share: no network, and where small real speech lies if it is there."""

import gc
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL_SPEECH = Path(os.environ.get("SIBBOLETH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep what is imported and collected out of every search for garbage, which was a tenth of the time."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that reaches for another machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "localhost", "::1"):
            raise AssertionError(f"a test reached for the network: {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the cache of the person who runs the tests out of them."""
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have Ctrl-C interrupt, also in what a test starts; a shell's background job ignores it and hands that on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, so that bits do not depend on how many there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_speech() -> Path:
    """Folder with small samples of public corpora (emodb, nemo, ravdess, ...); skips where it is absent."""
    if not REAL_SPEECH.is_dir():
        pytest.skip(f"needs samples of public corpora in {REAL_SPEECH} (set SIBBOLETH_TEST_DATA)")
    return REAL_SPEECH
