"""Answers of people as other tools keep them, before it is known which utterances they are about."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput
from sibboleth.foreign import outputs
from sibboleth.foreign.outputs import File

RATER = (
    *(*outputs.RATER, "rater_id", "listener_id", "annotator_id", "participant", "participant_id", "subject"),
    *("subject_id", "worker", "worker_id", "workerid", "prolific_pid", "sona_id"),
)
"""Column names of people that are understood without being told, the likeliest first."""
AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".webm")
"""Endings of names of recordings."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user said about the files; None is found out."""

    target: str
    labels: tuple[str, ...] = ()
    """Labels that the manifest knows of the target."""
    utterance: str | None = None
    rater: str | None = None
    question: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one person said about one recording, or one stretch of it."""

    audio: tuple[str, ...]
    """What the file calls the recording, the likeliest name first."""
    rater: str
    question: str
    said: Mapping[str, float] | float
    """Weights of labels, or a number; a text is one label."""
    row: int
    """Line of the file, or number of the record in it."""
    start: float | None = None
    end: float | None = None
    """In seconds."""
    trial: int | None = None
    """Orders the answers that a person gave about one recording; None where the order of the file does."""


@dataclass
class Found:
    """What a file holds."""

    path: Path
    answers: list[Answer] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of answers that cannot be used, by reason."""
    notes: list[str] = field(default_factory=list)


def records(path: Path) -> Any:
    """Read JSON: one value, or one a line; raises `InvalidInput` where it is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from None
    try:
        return parsed(text)
    except ValueError:
        pass
    try:
        return [parsed(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise InvalidInput(f"{path}: is no JSON ({error}); export it again") from None


def column(file: File, named: str | None, known: Iterable[str], what: str, option: str) -> str:
    """Find a column by the user's name or one that is understood; raises `InvalidInput` where there is none."""
    if named is not None:
        return str(file.column(named, what).name)
    found = file.find(known)
    if found is None:
        there = ", ".join(file.frame.columns)
        raise InvalidInput(f"{file.path}: no column of {what}; name it with {option} (there are {there})")
    return found


def person(record: Mapping[str, Any], named: str | None) -> str | None:
    """Return who answered, from a column that the user named or one that is understood."""
    columns = {str(name).lower(): name for name in record}
    names: Sequence[str] = RATER if named is None else (named.lower(),)
    values = (record[columns[name]] for name in names if name in columns)
    return next((str(value) for value in values if value not in (None, "")), None)


def number(text: object) -> float | None:
    """Return a number, also one that is written as text; None for anything else."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return None
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return value if abs(value) < float("inf") else None
