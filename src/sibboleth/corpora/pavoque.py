"""PAVOQUE: German, one actor, acted styles: a large neutral part, and happy, angry, sad, and as a poker player.

Layout (as published)::

    pavoque-angry.flac          44.1 kHz; all utterances of a style, one after another
    pavoque-angry.yaml          of each: prompt, text, style, start and end in the recording in seconds, and segments:
                                phones (lab) and where in the utterance each ends
    pavoque-outtakes.yaml       takes that were not kept, not read

Utterances that were cut out are read as well: build/wav/spike0074-angry.wav (prompt, style), as the corpus's own build
makes them, or Spike/spike0074.flac, in a folder of the character or style, as in its first release. A prompt may be
spoken in several styles. One voice alone tells nothing of other speakers.

Source: https://github.com/marytts/pavoque-data. Licence: CC BY-NC-SA 4.0 (3.0 in earlier copies).
Reference: Steiner, Schröder, Klepp: The PAVOQUE corpus as a resource for analysis and synthesis of expressive speech.
Phonetik & Phonologie 9, 2013.
Layout read in: README.md, build.gradle and the YAML files there.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sibboleth.corpora import assemble, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = (
    "PAVOQUE's folder has pavoque-angry.flac, pavoque-angry.yaml and their like, or utterances such as"
    " spike0074-angry.wav"
)

EMOTIONS = {"neutral": "neutral", "happy": "happy", "angry": "angry", "sad": "sad", "poker": None}
"""Of styles; a poker player whom nothing upsets has none of our emotions."""
CHARACTERS = {"neutral": "neutral", "poppy": "happy", "spike": "angry", "obadiah": "sad", "poker": "poker"}
"""Whom the actor played, as folders of the first release are called."""
SILENCES = frozenset({"_", "H#", ""})
SPEAKER = "roettig"

CARD = Card(
    title="acted styles in German: one actor, neutral, happy, angry, sad, and cool as a poker player",
    languages=("de",),
    targets=("emotion", "style", "phones", "text"),
    address="https://github.com/marytts/pavoque-data",
    licence="CC BY-NC-SA 4.0 (3.0 in earlier copies)",
    reference="Steiner, Schröder, Klepp: The PAVOQUE corpus as a resource for analysis and synthesis of expressive"
    " speech. Phonetik & Phonologie 9, 2013",
    layout="https://github.com/marytts/pavoque-data/blob/master/build.gradle",
    counts={"speakers": 1, "emotion.angry": 601, "emotion.happy": 584, "emotion.sad": 556},
    labels={"emotion": EMOTIONS},
    remarks=(
        "one speaker: no fold can test on another",
        "prompts are spoken in several styles: the column sentence tells which",
    ),
)

_LISTS = {f"pavoque-{style}": style for style in EMOTIONS}
_PROMPT = r"[A-Za-z]+\d{4}"
_CUT = re.compile(rf"({_PROMPT})-({'|'.join(EMOTIONS)})")
_OUTTAKE = re.compile(rf"{_PROMPT}[a-z](?:-\w+)?|pavoque-outtakes")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder, which may have some styles alone; audio that is missing is where it should be.

    Columns: `emotion` (null for the poker player), `style`, `sex`, `sentence` (the prompt), `phones` (JSON, as
    `segments`; null where they were not labelled); `text` is null without YAML. Raises `InvalidInput` when the folder
    is not PAVOQUE's, or a list does not say where an utterance is.
    """
    recordings = layouts.recordings(root)
    named = {file: _cut(root.absolute(), file) for file in reversed(recordings)}
    cut = {key: file for file, key in named.items() if key}
    whole = {file.stem.lower(): file for file in reversed(recordings) if file.stem.lower() in _LISTS}
    strange = [
        file
        for file in recordings
        if file.stem.lower() not in _LISTS and not named[file] and not _OUTTAKE.fullmatch(file.stem)
    ]
    message = "not a name of PAVOQUE (as spike0074-angry, or pavoque-angry); take it out of the folder"
    problems = refusals.problems(root, dict.fromkeys(strange, message))
    rows = {key: _row(*key, file) for key, file in cut.items()}
    for path in layouts.by_stem(root, filter(_is_list, layouts.files(root))).values():
        audio = whole.get(path.stem.lower(), path.with_suffix(".flac"))
        for place, entry in enumerate(_entries(path), start=1):
            row = _listed(entry, audio, cut)
            problems += [Problem(str(path), f"utterance {place}: {row}")] if isinstance(row, str) else []
            rows |= {} if isinstance(row, str) else {(str(row["sentence"]), str(row["style"])): row}
    unlisted = sorted(set(whole) - {path.stem.lower() for path in layouts.files(root) if _is_list(path)})
    problems += [
        Problem(str(whole[name]), f"{name}.yaml is missing, which says what is where in it") for name in unlisted
    ]
    if not problems and not rows:
        raise refusals.no_recordings(root, LAYOUT)
    if problems:
        raise InvalidInput(f"{root}: {LAYOUT}", problems)
    return assemble("pavoque", [rows[key] for key in sorted(rows)])


def _cut(root: Path, file: Path) -> tuple[str, str] | None:
    """Return prompt and style of a file that is one utterance; None for others."""
    if named := _CUT.fullmatch(file.stem):
        return named[1], named[2]
    above = (part.lower() for part in reversed(file.relative_to(root.parent).parts[:-1]))
    style = next((known for part in above if (known := CHARACTERS.get(part, part)) in EMOTIONS), None)
    return (file.stem, style) if style is not None and re.fullmatch(_PROMPT, file.stem) else None


def _is_list(path: Path) -> bool:
    return path.stem.lower() in _LISTS and path.suffix.lower() in (".yaml", ".yml")


def _entries(path: Path) -> list[Mapping[str, Any]]:
    """Read a list, every value of it as text."""
    import yaml

    try:
        entries = yaml.load(layouts.text(path), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path}: cannot be read as YAML ({error})") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput(f"{path}: not a list of utterances. {LAYOUT}")
    return entries


def _listed(entry: Mapping[str, Any], audio: Path, cut: Mapping[tuple[str, str], Path]) -> dict[str, object] | str:
    """Return the row of an utterance in a list, or what is wrong with it."""
    prompt, style = entry.get("prompt"), entry.get("style")
    if not prompt or style not in EMOTIONS:
        return f"expected a prompt and a style, one of {', '.join(EMOTIONS)}; there are {prompt!r} and {style!r}"
    phones = _phones(entry.get("segments") or [])
    if (prompt, style) in cut:
        return _row(prompt, style, cut[prompt, style], entry.get("text"), phones)
    start, end = layouts.number(entry.get("start")), layouts.number(entry.get("end"))
    if start is None or end is None or not 0 <= start < end:
        return (
            f"{prompt} needs a start and a later end in seconds; there are {entry.get('start')} and {entry.get('end')}"
        )
    return _row(prompt, style, audio, entry.get("text"), phones) | {"start": start, "end": end}


def _row(prompt: str, style: str, audio: Path, text: str | None = None, phones: str | None = None) -> dict[str, object]:
    return {
        "utterance": f"{prompt}-{style}",
        "audio": str(audio),
        "start": None,
        "end": None,
        "speaker": SPEAKER,
        "language": "de",
        "text": text or None,
        "emotion": EMOTIONS[style],
        "style": style,
        "sex": "male",
        "sentence": prompt,
        "phones": phones,
    }


def _phones(segments: Iterable[Mapping[str, str]]) -> str | None:
    """Return phones with their seconds in the utterance, pauses left out; None where none are labelled."""
    found, start = [], 0.0
    for segment in segments:
        end = layouts.number(segment.get("end"))
        label = segment.get("lab", "")
        if end is not None and end > start:
            found += [] if label in SILENCES else [{"start": start, "end": end, "label": label}]
            start = end
    return json.dumps(found, ensure_ascii=False) if found else None
