"""Answers of people in plain columns: recording, person, label (or a column per label), and what is optional.

One row is one answer. `start` and `end` (seconds) are those of a stretch of the recording, `trial` tells repeats apart,
`intensity` and `confidence` are numbers that become targets of their own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.foreign import answers, outputs
from sibboleth.foreign.answers import Answer, Asked, Found
from sibboleth.foreign.outputs import File

UTTERANCE = (*outputs.UTTERANCE, "stimulus", "item", "clip", "recording", "sound", "wav")
NUMBER = ("rating", "score", "value")
"""Columns that hold numbers, where there is none of labels."""
BESIDE = ("intensity", "confidence")
Said = Mapping[str, float] | float | None


def read(path: Path, asked: Asked) -> Found:
    """Read a table of answers; raises `InvalidInput` where a column is absent or holds no numbers."""
    file = outputs.open_file(path)
    found = Found(path)
    utterance = answers.column(file, asked.utterance, UTTERANCE, "recordings", "--utterance")
    rater = answers.column(file, asked.rater, answers.RATER, "people", "--rater")
    for name in (utterance, rater):
        file.refuse(name, "is empty", file.frame[name].is_null())
    recordings, people = file.frame[utterance].to_list(), file.frame[rater].to_list()
    start, end, trial = (_numbers(file, name) for name in ("start", "end", "trial"))
    questions: dict[str, Sequence[Said]] = {asked.target: _main(file, asked, found, but=(utterance, rater))}
    if asked.question is None:
        questions |= {name: _numbers(file, name) for name in BESIDE if name != asked.target}
    for question, column in questions.items():
        for index, said in enumerate(column):
            if said is not None:
                found.answers.append(
                    Answer(
                        audio=(recordings[index],),
                        rater=people[index],
                        question=question,
                        said=said,
                        row=file.rows[index],
                        start=start[index],
                        end=end[index],
                        trial=None if (again := trial[index]) is None else int(again),
                    )
                )
            elif question == asked.target:
                found.left_out["no answer given"] += 1
    return found


def _numbers(file: File, name: str) -> list[float | None]:
    """Return an optional column of numbers, empty cells as None."""
    column = file.find([name])
    if column is None:
        return [None] * len(file.frame)
    there = file.frame[column].is_not_null()
    numbers = iter(file.keep(there).numbers(column).to_list())
    return [next(numbers) if one else None for one in there]


def _main(file: File, asked: Asked, found: Found, but: tuple[str, ...]) -> Sequence[Said]:
    """Find the answers themselves, and note where: the column named, one that is understood, or one per label."""
    # What is called as the target may be the truth, so a column that can only be an answer comes before it.
    known = [*(name for name in (*outputs.ANSWER, "choice") if name != "label"), asked.target.lower(), "label"]
    column = file.find(known, but=but) if asked.question is None else str(file.column(asked.question, "answers").name)
    weights = outputs.posteriors(file) or _label_columns(file, asked.labels) if asked.question is None else {}
    number = None if column or weights else file.find(NUMBER, but=but)
    if column is None and not weights and number is None:
        there = ", ".join(file.frame.columns)
        raise InvalidInput(f"{file.path}: no column of answers; name it with --question (there are {there})")
    said = f"weights of {', '.join(weights)}" if weights else f"column {column or number!r}"
    found.notes.append(f"answers: {said} of {file.path.name}")
    if weights:
        return _weights(file, weights)
    return _labels(file, column) if column else _numbers(file, number or "")


def _labels(file: File, column: str) -> list[Said]:
    return [None if label is None else {label: 1.0} for label in file.frame[column]]


def _label_columns(file: File, labels: Sequence[str]) -> dict[str, str]:
    """Find columns that are called as labels of the manifest, if there are several."""
    columns = {column.lower(): column for column in file.frame.columns}
    found = {label: columns[label.lower()] for label in labels if label.lower() in columns}
    return found if len(found) > 1 else {}


def _weights(file: File, columns: Mapping[str, str]) -> list[Said]:
    """Return the weights of labels, a column each; a row without any weight is no answer."""
    weights = pl.DataFrame({label: [one or 0.0 for one in _numbers(file, name)] for label, name in columns.items()})
    return [{label: weight for label, weight in row.items() if weight} or None for row in weights.iter_rows(named=True)]
