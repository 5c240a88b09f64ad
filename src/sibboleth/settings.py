"""Typed settings from a TOML file; an error names the file, the line and the field."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sibboleth.errors import InvalidInput, Problem

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"
"""What names folders and ids: one part of a path, and none that leads elsewhere."""


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Settings)
Place = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)([^\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")


def read(path: Path, model: type[Model], context: Mapping[str, object] | None = None) -> Model:
    """Read a TOML file into `model`.

    Raises `InvalidInput` with every bad field at once, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read as UTF-8 text ({error})") from None
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML's own errors, numbers of thousands of digits, deep nesting
        raise InvalidInput(f"{path}: not valid TOML: {error}") from None
    try:
        return model.model_validate(data, context=dict(context or {}))
    except ValidationError as error:
        raise InvalidInput(f"{path}: the settings are not valid", _problems(path, text, error)) from None


def checked(model: type[Model], **values: object) -> Model:
    """Make settings from arguments; raises `InvalidInput` that names every argument that cannot be."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        told = [Problem(_dotted(item["loc"]), _message(item)) for item in error.errors(include_url=False)]
        raise InvalidInput("an argument cannot be used", told) from None


def written(one: Settings, about: str, *, chosen: bool = False) -> str:
    """Write settings as a TOML file that reads back as the same, under a comment.

    Every setting is in sight, or those alone that were chosen.
    """
    values = one.model_dump(mode="json", exclude_none=True, exclude_unset=chosen)
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lists = {name: value for name, value in values.items() if _is_tables(value)}
    lines = [
        *(f"# {line}".rstrip() for line in about.splitlines()),
        *_keys({k: v for k, v in values.items() if k not in tables and k not in lists}),
    ]
    for name, value in tables.items():
        lines += ["", f"[{name}]", *_keys(value)]
    for name, several in lists.items():
        for value in several:
            lines += ["", f"[[{name}]]", *_keys(value)]
    return "\n".join(lines) + "\n"


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _keys(values: Mapping[str, object]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}" for name, value in values.items()]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _value(value: object) -> str:
    """JSON writes texts, numbers and truth as TOML does, but for what has no end."""
    if isinstance(value, dict):
        return "{ " + ", ".join(_keys(value)) + " }" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(one) for one in value)}]"
    said = json.dumps(value, ensure_ascii=False)
    return said.replace("Infinity", "inf") if isinstance(value, float) else said


def _problems(path: Path, text: str, error: ValidationError) -> list[Problem]:
    lines = _lines(text)
    problems = []
    found = error.errors(include_url=False)
    for item in found:
        # Of a list whose only element is wrong pydantic also says that it is empty.
        if item["type"] == "too_short" and any(other["loc"][:-1][: len(item["loc"])] == item["loc"] for other in found):
            continue
        place = _written(lines, item["loc"])
        problems.append(Problem(str(path), _message(item), _line(lines, place), _dotted(place) or None))
    return sorted(problems, key=lambda p: p.row or 0)


def _message(item: Mapping[str, object]) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key; see the files in the README for the keys there are"
    if item["type"] == "missing":
        return "is required"
    text = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    return f"{text} (given: {given!r})" if isinstance(given, (str, int, float, bool)) else text


def _dotted(place: Place) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def _lines(text: str) -> dict[Place, int]:
    """Map the place of every header and key to its line, counting from 1."""
    places: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    current: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            names: Place = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            current = _inside(names[:-1], counts) + names[-1:]
            for length in range(1, len(current) + 1):  # [a.b] is also where a begins
                places.setdefault(current[:length], number)
            if header[1] == "[[":
                counts[current] = counts.get(current, -1) + 1
                current = (*current, counts[current])
            places.setdefault(current, number)
        elif key := _KEY.match(line):
            names = tuple(part.strip().strip("\"'") for part in key[1].split("."))
            for length in range(1, len(names) + 1):
                places.setdefault(current + names[:length], number)
    return places


def _inside(names: Place, counts: Mapping[Place, int]) -> Place:
    """Put the index of the current array element behind each array name on the way."""
    path: Place = ()
    for name in names:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path])
    return path


def _written(lines: Mapping[Place, int], place: Place) -> Place:
    """Drop what the file does not have on the way to the last part: pydantic puts the tags of unions there."""
    known: Place = ()
    for part in place[:-1]:
        known = (*known, part) if (*known, part) in lines else known
    return (*known, *place[-1:])


def _line(lines: Mapping[Place, int], place: Place) -> int | None:
    """Find the line of `place`, or of the table it is missing from."""
    return lines.get(place, lines.get(place[:-1]))
