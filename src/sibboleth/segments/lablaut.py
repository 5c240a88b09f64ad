"""EmoDB's phone labels, in the format of ESPS xlabel: a header up to `#`, then `end colour label` a line.

A segment begins where the one before ends, the first at 0. Behind the label there are marks with tabs between them
(`+asp`, stress), which are no part of it; a line without label goes on with the phone before it. The utterance is the
file's name without the `xx` behind it.
"""

import re
from itertools import pairwise
from pathlib import Path

from sibboleth.errors import InvalidInput
from sibboleth.segments.gathering import Gathering, number

_LINE = re.compile(r"\s*(\S+)\s+-?\d+(?:[ \t]?(.*))?")


def read(path: Path, utterance: str, gathering: Gathering) -> None:
    """Gather the phones of a recording."""
    try:
        lines = path.read_bytes().decode("latin-1").splitlines()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    header = next((k for k, line in enumerate(lines) if line.strip() == "#"), None)
    if header is None:
        raise InvalidInput(f"{path}: not a file of phone labels: it has no header that ends with a line #")
    found: list[tuple[int, float, str]] = []
    for row, line in enumerate(lines[header + 1 :], start=header + 2):
        if not line.strip():
            continue
        matched = _LINE.fullmatch(line)
        end = number(matched[1]) if matched else None
        if matched is None or end is None:
            gathering.problem(row, "not a phone: its end in seconds, a number and its label")
            continue
        found.append((row, end, (matched[2] or "").split("\t")[0].strip()))
    if not found and not gathering.problems:
        gathering.notes.append(f"{path}: has no phones")
    name = utterance.removesuffix("xx")
    gathering.know(name)
    for row, start, end, label in _phones(found):
        gathering.add(row, name, start, end, label)


def _phones(found: list[tuple[int, float, str]]) -> list[tuple[int, float, float, str]]:
    """Give each phone its start, and to a phone what goes on without a label of its own."""
    phones: list[tuple[int, float, float, str]] = []
    starts = [0.0, *(end for _, end, _ in found)]
    for (row, end, label), (start, _) in zip(found, pairwise(starts), strict=True):
        if label:
            phones.append((row, start, end, label))
        elif phones and phones[-1][2] == start:
            phones[-1] = (*phones[-1][:2], end, phones[-1][3])
    return phones
