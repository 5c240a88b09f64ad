"""Answers of people from jsPsych's data, as CSV or JSON.

One row is one trial: `trial_type`, `trial_index`, `stimulus` (path of the recording, or HTML with its player),
`response`, `rt`, and what the study adds, such as `subject_id`. `response` of audio-button-response is the number of
the button from 0, that of audio-slider-response a number, that of audio-keyboard-response a key; jsPsych 6 called the
first `button_pressed`. JSON holds a list of trials, lists of them (one a person), or one of these a line.

Sources: https://www.jspsych.org/latest/plugins/audio-button-response/, /audio-slider-response/,
/audio-keyboard-response/, https://www.jspsych.org/latest/overview/plugins/#data-collected-by-all-plugins.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sibboleth.foreign import answers, outputs
from sibboleth.foreign.answers import AUDIO, Answer, Asked, Found

SLIDER = "slider"
RESPONSE = ("response", "button_pressed", "key_press")
_PLAYER = re.compile(r"""<(?:audio|source)\b[^>]*\bsrc\s*=\s*["']([^"']+)["']""", re.IGNORECASE)


def read(path: Path, asked: Asked) -> Found:
    """Read the trials in which a recording was heard; the others are counted by their type."""
    found = Found(path)
    nameless = 0
    for row, trial in _trials(path):
        kind = str(trial.get("trial_type") or "a trial without a type")
        audio = _recording(trial, asked, kind)
        said = _said(trial, asked, kind)
        if audio is None:
            found.left_out[f"{kind}: no recording"] += 1
        elif said is None:
            found.left_out["no answer given"] += 1
        else:
            person = answers.person(trial, asked.rater)
            nameless += person is None
            found.answers.append(
                Answer(
                    audio=(audio,), rater=person or path.stem, question=asked.question or "response", said=said, row=row
                )
            )
    if nameless:
        found.notes.append(f"{path.name}: no column names the person, so the file counts as one; else --rater COLUMN")
    return found


def _trials(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the trials, with their lines or numbers."""
    if path.suffix.lower() != ".json":
        file = outputs.open_file(path)
        yield from zip(file.rows, file.frame.iter_rows(named=True), strict=True)
        return
    pending = [answers.records(path)]
    count = 0
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += reversed(one)
        elif isinstance(one, dict) and "trial_type" not in one and isinstance(one.get("trials"), list):
            pending.append(one["trials"])
        elif isinstance(one, dict):
            count += 1
            yield count, one


def _recording(trial: Mapping[str, Any], asked: Asked, kind: str) -> str | None:
    stimulus = trial.get(asked.utterance or "stimulus")
    if not isinstance(stimulus, str) or not stimulus:
        return None
    player = _PLAYER.search(stimulus)
    if player:
        return player.group(1)
    heard = asked.utterance is not None or kind.startswith("audio") or stimulus.lower().endswith(AUDIO)
    return stimulus if heard and "<" not in stimulus else None


def _said(trial: Mapping[str, Any], asked: Asked, kind: str) -> dict[str, float] | float | None:
    names = (asked.question,) if asked.question else RESPONSE
    response = next((trial[name] for name in names if trial.get(name) not in (None, "", "null")), None)
    if response is None or isinstance(response, (dict, list)):
        return None
    value = answers.number(response)
    if SLIDER in kind and value is not None:
        return value
    return {f"{value:g}" if value is not None else str(response): 1.0}
