"""Files of strangers, and files that broke: read, or refused with a reason; no traceback, no hang, nothing written."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

_file = Path(__file__).with_name("parsers.py")
_spec = importlib.util.spec_from_file_location("parsers", _file)
assert _spec is not None and _spec.loader is not None
parsers = importlib.util.module_from_spec(_spec)
sys.modules["parsers"] = parsers
_spec.loader.exec_module(parsers)

SECONDS = int(os.environ.get("SIBBOLETH_FUZZ_SECONDS", "20"))
"""That atheris is given for each parser in `make soak`."""
MANY = int(os.environ.get("SIBBOLETH_FUZZ_EXAMPLES", "2000"))
"""Examples of hypothesis for each parser in `make soak`."""
FEW = 12
TOKENS = [
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\r\n",
        b"\x1c",
        b"\x85",
    ),
    *(
        b'"',
        b'""',
        b"'",
        b",",
        b";",
        b"\t",
        b"[",
        b"]",
        b"{",
        b"}",
        b"[" * 5000,
        b'{"a":' * 3000,
        b"\\",
        b"<",
        b"#",
        b"=",
    ),
    *(
        b"-1",
        b"1e999",
        b"-1e999",
        b"1e-9999999999999999999999",
        b"NaN",
        b"inf",
        b"-0",
        b"9" * 5000,
        b"0x10",
        b"1_0",
        b"1,5",
    ),
    *(b"true", b"null", b"{}", b"[]", b'"x"', b"../../x", b"/etc/passwd", b"~", b"\xd9\xa3", b"99999999999999999999"),
    *(b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x01\x00\x00\x00", b"\x00" * 64),
]


def edited(seed: bytes, edits: Sequence[tuple[str, int, int, bytes]]) -> bytes:
    """Change bytes here and there."""
    for kind, begin, length, token in edits:
        at = begin % (len(seed) + 1)
        piece = seed[at : at + length]
        new = {"insert": token + piece, "replace": token, "cut": b"", "double": piece * 2, "end": token}[kind]
        seed = seed[:at] + new + (b"" if kind == "end" else seed[at + length :])
    return seed


def edits() -> st.SearchStrategy[list[tuple[str, int, int, bytes]]]:
    kind = st.sampled_from(["insert", "replace", "cut", "double", "end"])
    token = st.sampled_from(TOKENS) | st.binary(max_size=6)
    return st.lists(st.tuples(kind, st.integers(0, 5000), st.sampled_from([0, 1, 2, 4, 9, 40]), token), max_size=4)


def hold(name: str, folder: Path, examples: int) -> None:
    """Hold a parser to its promise for so many examples."""
    parser = parsers.PARSERS[name]
    folder = folder / "in"
    folder.mkdir()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples <= FEW,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate) if examples <= FEW else tuple(Phase),
    )
    @given(st.sampled_from(parser.seeds), edits())
    def test(seed: bytes, changes: Any) -> None:
        parser(edited(seed, changes), folder)

    test()
    assert [path.name for path in folder.parent.rglob("*")] == ["in", f"x{parser.suffix}"]


@pytest.mark.parametrize("name", parsers.PARSERS)
def test_a_few_broken_files_are_told(name: str, tmp_path: Path) -> None:
    parser = parsers.PARSERS[name]
    hold(name, tmp_path, FEW)
    for data in (b"", b"\0", b"\xff\xfe", b"\n", b"[" * 100_000, parser.seeds[0][: len(parser.seeds[0]) // 2]):
        parser(data, tmp_path / "in")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", parsers.PARSERS)
def test_many_broken_files_are_told(name: str, tmp_path: Path) -> None:
    hold(name, tmp_path, MANY)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", parsers.PARSERS)
def test_a_search_by_coverage_finds_no_file_that_breaks_a_reader(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    options = [f"-max_total_time={SECONDS}", "-timeout=20", "-rss_limit_mb=3000", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, str(_file), name, *options],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        check=False,
    )
    found = [path.read_bytes()[:300] for path in tmp_path.iterdir()]
    assert done.returncode == 0 and not found, f"{found}\n{done.stderr[-3000:]}"
