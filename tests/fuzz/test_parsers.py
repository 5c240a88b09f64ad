"""Files of strangers, and files that broke: read, or refused with a reason; no traceback, no hang, nothing written."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.fuzz import edits
from tests.fuzz.parsers import PARSERS, laid_out

SECONDS = int(os.environ.get("SIBBOLETH_FUZZ_SECONDS", "20"))
"""That atheris searches for each parser in `make soak`."""
MANY = int(os.environ.get("SIBBOLETH_FUZZ_EXAMPLES", "2000"))
"""Examples of hypothesis for each parser in `make soak`."""
FEW = 6
"""Examples in `make test`, always the same."""
LONGEST = 20
"""Seconds that a reader may take for one file of a few thousand bytes, on a machine that has other work."""
MEMORY = 1000
"""Megabytes that a search may hold, several times what the libraries take."""

each = pytest.mark.parametrize("name", PARSERS)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(edits.KINDS),
        st.integers(0, edits.FARTHEST),
        st.sampled_from(edits.LENGTHS),
        st.sampled_from(edits.TOKENS) | st.binary(max_size=6),
    ),
    max_size=4,
)


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Fail what takes so many seconds of processor time; pytest's own limit is of the whole test."""

    def stop(*_: object) -> None:
        pytest.fail(f"a reader took {seconds} s for one file")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def hold(name: str, folder: Path, examples: int) -> None:
    """Hold a parser to its promise for so many examples."""
    parser, place = PARSERS[name], laid_out(folder / "in")
    few = examples <= FEW

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=few,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,) if few else tuple(Phase),
    )
    @given(st.sampled_from(parser.seeds), CHANGES)
    def promise(seed: bytes, changes: list[edits.Edit]) -> None:
        with bounded(LONGEST):
            parser(edits.edited(seed, changes), place)

    promise()
    assert list(folder.iterdir()) == [place], "a reader wrote outside of its folder"


@each
def test_a_parser_reads_what_it_likes(name: str, tmp_path: Path) -> None:
    place = laid_out(tmp_path / "in") / PARSERS[name].name
    for seed in PARSERS[name].seeds:
        place.write_bytes(seed)
        PARSERS[name].take(place)


@each
def test_a_few_broken_files_are_told(name: str, tmp_path: Path) -> None:
    hold(name, tmp_path, FEW)
    half = PARSERS[name].seeds[0][: len(PARSERS[name].seeds[0]) // 2]
    for data in (b"", b"\xff\xfe", b"[" * 100_000, half):
        PARSERS[name](data, tmp_path / "in")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@each
def test_many_broken_files_are_told(name: str, tmp_path: Path) -> None:
    hold(name, tmp_path, MANY)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris, which Linux and macOS have")
@each
def test_a_search_by_coverage_finds_no_file_that_breaks_a_reader(name: str, tmp_path: Path) -> None:
    options = [f"-max_total_time={SECONDS}", f"-timeout={LONGEST}", f"-rss_limit_mb={MEMORY}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.search", name, *options, f"-artifact_prefix={tmp_path}/"],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        check=False,
    )
    found = [path.read_bytes()[:300] for path in tmp_path.iterdir()]
    assert done.returncode == 0 and not found, f"{found}\n{done.stderr[-3000:]}"
