"""JSON of segments, as the Zaion Emotion Dataset has it, and as it is written here.

`{"spk1_1": {"duration": 6.144, "emotion": [{"emo": "angry", "start": 3.763, "end": 6.144}]}}`: an object per utterance
with its duration, if that is known, and a list. Ours is called `segments`, and has `label` (and `tier`) for `emo`.
A list may also stand alone, as what SpeechBrain's `diarize_file` returns.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput
from sibboleth.segments.gathering import Gathering, decoded
from sibboleth.segments.table import Segments
from sibboleth.storage import atomic

LISTS = ("segments", "emotion", "emotions")
LABELS = ("label", "emo", "emotion")


def read(path: Path, utterance: str, gathering: Gathering) -> None:
    """Gather the segments of all utterances; a row is the number of the utterance in the file."""
    try:
        found = parsed(decoded(path))
    except ValueError as error:
        raise InvalidInput(f"{path}: is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"{path}: not segments: an object that has one for each utterance is expected")
    for row, (name, one) in enumerate(found.items(), start=1):
        listed = next((one[key] for key in LISTS if key in one), None) if isinstance(one, dict) else one
        if not isinstance(listed, list):
            gathering.problem(row, f"{name!r} has no list of segments (one of {', '.join(LISTS)})")
            continue
        if isinstance(one, dict) and one.get("duration") is not None:
            gathering.lasts(row, name, one["duration"])
        take(listed, row, name, gathering)


def take(listed: list[Any], row: int, utterance: str, gathering: Gathering) -> None:
    """Gather segments that are objects with start, end and label."""
    gathering.know(utterance)
    for segment in listed:
        if not isinstance(segment, dict):
            gathering.problem(row, f"a segment is an object with start, end and label (given: {segment!r})")
            continue
        label = next((segment[key] for key in LABELS if segment.get(key) is not None), None)
        tier = segment.get("tier")
        if not isinstance(label, str) or not label.strip() or not isinstance(tier, (str, type(None))):
            gathering.problem(row, f"a segment has no label (given: {segment!r})", "label")
            continue
        gathering.add(row, utterance, segment.get("start"), segment.get("end"), label, tier)


def plain(segments: Segments) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the segments of each utterance as objects."""
    listed: dict[str, list[dict[str, Any]]] = {utterance: [] for utterance in segments.utterances}
    for row in segments.table.iter_rows(named=True):
        one = {name: row[name] for name in ("start", "end", "label")}
        listed[row["utterance"]].append(one if row["tier"] is None else {**one, "tier": row["tier"]})
    yield from listed.items()


def write(path: Path, segments: Segments) -> None:
    """Write all segments and durations."""
    known: Mapping[str, float] = segments.durations
    objects = {
        utterance: ({"duration": known[utterance]} if utterance in known else {}) | {"segments": listed}
        for utterance, listed in plain(segments)
    }
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(objects, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
