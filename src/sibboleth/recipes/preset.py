"""Files that come with sibboleth: complete settings to run as they are, or to copy and change."""

import tomllib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import runs
from sibboleth.errors import InvalidInput


@dataclass(frozen=True)
class Presets:
    """The files there are; looks good on a terminal."""

    all: dict[str, tuple[str, str]]
    """Name to the verb that takes it and its first comment."""

    def __rich__(self) -> RenderableType:
        """Show name, verb and what it is."""
        table = Table("name", "for", "what", box=box.SIMPLE_HEAD)
        for name, (verb, what) in self.all.items():
            table.add_row(Text(name), Text(f"sibboleth {verb}"), Text(what))
        return table


def names() -> Presets:
    """List the files that come with sibboleth."""
    return Presets({name: _told(_text(name)) for name in _files()})


def show(name: str) -> Text:
    """Print a file that comes with sibboleth.

    Args:
        name: One of `sibboleth preset names`.
    """
    return Text(_text(name).rstrip("\n"))


def write(name: str, *, output: Path | None = None) -> Path:
    """Copy a file that comes with sibboleth, to run it or to change it first.

    Args:
        name: One of `sibboleth preset names`.
        output: File to write; NAME.toml where not given. Paths in it are relative to its folder.

    Returns:
        The file. Raises `InvalidInput` where there is another file of that name.
    """
    path, text = output or Path(f"{name}.toml"), _text(name)
    if path.exists() and path.read_bytes() != text.encode():
        raise InvalidInput(f"{path}: is there already and says something else; choose another --output")
    runs.write_text(path, text)
    return path


def _files() -> dict[str, Traversable]:
    folder = resources.files("sibboleth") / "presets"
    return {file.name[:-5]: file for file in sorted(folder.iterdir(), key=str) if file.name.endswith(".toml")}


def _text(name: str) -> str:
    there = _files()
    if name not in there:
        raise InvalidInput(f"no preset is called {name!r}; there are {', '.join(there)}")
    return there[name].read_text(encoding="utf-8")


def _told(text: str) -> tuple[str, str]:
    """Return the verb that takes a file, and its first comment."""
    verbs = {"targets": "curves", "target": "run", "parts": "listen design"}
    verb = next((verb for key, verb in verbs.items() if key in tomllib.loads(text)), "pretrain")
    return verb, next((line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")), "")
