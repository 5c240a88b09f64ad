"""Answers of people from Label Studio: its JSON export, JSON-MIN and CSV.

JSON has a task per recording: `data` with its place, and `annotations`, each with `completed_by` (a number, or an
object with the mail address), `was_cancelled` and `result`. A result has `from_name` (the question), `type` and
`value`: `choices`, `labels` with `start` and `end` of a region in seconds, `rating`, `number` or `text`. JSON-MIN and
CSV have a record per annotation: the task's data, the answer to each question under its name, `annotator`,
`annotation_id`, `created_at`, `updated_at` and `lead_time`; one choice or text stands there as it is, all else as a
list.

Sources: https://labelstud.io/guide/task_format, https://labelstud.io/guide/export, and `converter.py`, `utils.py` and
`exports/csv2.py` in https://github.com/HumanSignal/label-studio-sdk (src/label_studio_sdk/converter).
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput
from sibboleth.foreign import answers, outputs
from sibboleth.foreign.answers import AUDIO, Answer, Asked, Found

PLACE = ("audio", "utterance", "recording", "sound", "wav", "file", "path", "url")
"""Names under which a task keeps its recording, the likeliest first."""
ABOUT = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history")
"""What JSON-MIN and CSV say of an annotation."""
Said = dict[str, float] | float


def read(path: Path, asked: Asked) -> Found:
    """Read an export; what was skipped, pre-annotated by a model or cannot be told is left out, with the reason."""
    found = Found(path)
    if path.suffix.lower() != ".json":
        file = outputs.open_file(path)
        flat = list(zip(file.rows, file.frame.iter_rows(named=True), strict=True))
    else:
        data = answers.records(path)
        entries = data if isinstance(data, list) else [data]
        if not all(isinstance(one, dict) for one in entries):
            raise InvalidInput(f"{path}: not an export of Label Studio; it is a list of tasks")
        whole = [(k, one) for k, one in enumerate(entries, 1) if "annotations" in one or "completions" in one]
        annotations = itertools.count()
        for number, task in whole:
            _task(number, task, asked, found, annotations)
        flat = [(k, one) for k, one in enumerate(entries, 1) if "annotations" not in one and "completions" not in one]
    for row, record in flat:
        _record(row, record, asked, found)
    return found


def _task(number: int, task: Mapping[str, Any], asked: Asked, found: Found, annotations: Iterator[int]) -> None:
    """Take the answers out of one task of the JSON export."""
    data = task.get("data")
    audio = _place(data if isinstance(data, dict) else {}, asked, found.path, number)
    if predictions := _objects(task, "predictions", found.path, number):
        found.left_out["pre-annotations of a model"] += len(predictions)
    completions = _objects(task, "completions", found.path, number)  # as they were called once
    for annotation in _objects(task, "annotations", found.path, number) or completions:
        order = next(annotations)
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            found.left_out["skipped by the annotator"] += 1
            continue
        person = _person(annotation.get("completed_by"))
        results = _objects(annotation, "result", found.path, number)
        if person is None or not results:
            found.left_out["nobody is named" if person is None else "no answer given"] += 1
            continue
        for result in results:
            value = result.get("value") or {}
            _add(found, audio, person, str(result.get("from_name", "")), value, number, order)


def _objects(one: Mapping[str, Any], name: str, path: Path, row: int) -> list[dict[str, Any]]:
    """Return a list of objects, none where it is not there; raises `InvalidInput` where it is something else."""
    listed = one.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
        raise InvalidInput(f"{path}:{row}: {name} must be a list of objects; export it again")
    return listed


def _record(row: int, record: Mapping[str, Any], asked: Asked, found: Found) -> None:
    """Take the answers out of one annotation of JSON-MIN or CSV."""
    audio = _place(record, asked, found.path, row)
    person = _person(record.get("annotator"))
    if person is None:
        found.left_out["nobody is named"] += 1
        return
    wanted = asked.question or (asked.target if asked.target in record else None)
    names = [wanted] if wanted else [name for name in record if name not in ABOUT and record[name] != audio]
    for name in names:
        values = _parsed(record.get(name))
        if not values:
            found.left_out["no answer given"] += 1
        elif len(values) > 1 and not all(isinstance(one, dict) for one in values):
            found.left_out["answers about regions, without their times here; export as JSON"] += 1
        else:
            for value in values:
                _add(found, audio, person, name, value, row, row)


def _add(found: Found, audio: str, person: str, question: str, value: Any, row: int, order: int) -> None:
    said = _said(value)
    if said is None:
        kinds = ", ".join(value) if isinstance(value, dict) else type(value).__name__
        found.left_out[f"{question}: cannot be told from {kinds or 'nothing'}"] += 1
        return
    start, end = (answers.number(value.get(side)) if isinstance(value, dict) else None for side in ("start", "end"))
    found.answers.append(
        Answer(audio=(audio,), rater=person, question=question, said=said, row=row, start=start, end=end, trial=order)
    )


def _said(value: Any) -> Said | None:
    """Return the labels, number or text of a value; None where it has none of these."""
    if isinstance(value, str):
        return {value.strip(): 1.0} if value.strip() else None
    if not isinstance(value, dict):
        return answers.number(value)
    for kind in ("choices", "labels"):
        listed = value.get(kind)
        if isinstance(listed, list) and (several := [one for one in listed if isinstance(one, str)]):
            return dict.fromkeys(several, 1.0)
    for kind in ("rating", "number"):
        if kind in value:
            return answers.number(value[kind])
    text = value.get("text")
    text = " ".join(map(str, text)) if isinstance(text, list) else text
    return {text.strip(): 1.0} if isinstance(text, str) and text.strip() else None


def _parsed(value: Any) -> list[Any]:
    """Return the values of a question in JSON-MIN or CSV."""
    if isinstance(value, str) and value[:1] in "[{" and value:
        try:
            value = parsed(value)
        except ValueError:
            return [value]
    if value in (None, "", [], {}):
        return []
    return value if isinstance(value, list) else [value]


def _person(completed_by: Any) -> str | None:
    """Return who annotated: a number, a name, or the mail address of an object."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return None if completed_by in (None, "") else str(completed_by)


def _place(data: Mapping[str, Any], asked: Asked, path: Path, row: int) -> str:
    """Find the recording of a task; raises `InvalidInput` where it has none."""
    found = next(_places(data, asked), None)
    if found is None:
        there = ", ".join(str(name) for name in data)
        raise InvalidInput(f"{path}:{row}: no recording; say where it stands with --utterance (there are {there})")
    return found


def _places(data: Mapping[str, Any], asked: Asked) -> Iterator[str]:
    names = {str(name).lower(): name for name in data}
    for wanted in PLACE if asked.utterance is None else (asked.utterance.lower(),):
        if wanted in names and isinstance(data[names[wanted]], (str, int)):
            yield str(data[names[wanted]])
    if asked.utterance is None:
        yield from (one for one in data.values() if isinstance(one, str) and one.lower().endswith(AUDIO))
