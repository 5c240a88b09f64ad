"""NIST's scoring toolkit, where it is installed: `apt install sctk`."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

DEBIAN = "/usr/lib/sctk/bin"
"""Debian keeps the programs here, behind one command, `sctk`."""
Texts = Sequence[Sequence[str]]
"""Words of each utterance."""


def program(name: str) -> str:
    """Return the path of a program; skips the test where it is absent."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], DEBIAN]))
    if found is None:
        pytest.skip(f"needs {name} of NIST's toolkit (apt install sctk)")
    return found


def align(folder: Path, reference: Texts, system: str, hypothesis: Texts) -> list[str]:
    """Return sclite's alignment of each utterance as letters C, S, D and I, and leave it in `SYSTEM.trn.sgml`."""
    for name, texts in (("reference", reference), (system, hypothesis)):
        lines = (f"{' '.join(text)} (speaker{k % 3}_{k:05d})\n" for k, text in enumerate(texts))
        (folder / f"{name}.trn").write_text("".join(lines), encoding="utf-8")
    files = ["-r", "reference.trn", "trn", "-h", f"{system}.trn", "trn", system, "-i", "spu_id"]
    command = [program("sclite"), *files, "-s", "-o", "sgml", "-O", "."]
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
    written = (folder / f"{system}.trn.sgml").read_text(encoding="utf-8")
    paths = dict(re.findall(r'<PATH id="\(speaker\d_(\d+)\)"[^>]*>\n(.*?)</PATH>', written, re.DOTALL))
    ordered = [paths[f"{k:05d}"] for k in range(len(reference))]
    return ["".join(step[0] for step in path.split(":") if step.strip()) for path in ordered]


def matched_pairs(folder: Path, reference: Texts, a: Texts, b: Texts) -> dict[str, float]:
    """Return what `sc_stats -t mapsswe` prints of two systems: segments, mean, deviation and z."""
    for system, texts in (("a", a), ("b", b)):
        align(folder, reference, system, texts)
    both = b"".join((folder / f"{system}.trn.sgml").read_bytes() for system in "ab")
    command = [program("sc_stats"), "-p", "-t", "mapsswe", "-v", "-n", "-"]
    done = subprocess.run(command, cwd=folder, input=both, capture_output=True, check=True, timeout=60)
    said = done.stdout.decode("latin-1")
    marks = {"segments": "# segs: ", "mean": "mean: ", "deviation": "std dev: ", "z": "Z Stat: "}
    found = {name: re.search(rf"\({mark}(\S+)\)", said) for name, mark in marks.items()}
    return {name: float(match[1]) for name, match in found.items() if match}
