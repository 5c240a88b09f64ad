"""The drawn test: a folder with `test.json`, which can be read, versioned and preregistered, and its audio.

test.json       settings, items with their labels, forms (orders); never served
audio/          KEY.wav, one for each sound, under names that tell nothing; all that is ever served
answers.sqlite  what people answered, made by the server (`store`)
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sibboleth import runs
from sibboleth.errors import InvalidInput
from sibboleth.listeners.settings import LANGUAGES, ListeningTest
from sibboleth.settings import Settings

FORMAT = 1
FILE = "test.json"
AUDIO = "audio"
ANSWERS = "answers.sqlite"

Role = Literal["item", "practice", "repeat", "catch"]


class Item(Settings):
    """One thing to be answered."""

    key: str
    """Random name by which browser and server call it."""
    part: str
    role: Role
    audio: str
    """Name of the sound in `audio/`, without `.wav`; a repeat has that of its first time."""
    seconds: float
    utterance: str
    """Utterance of the manifest, its corpus before it as studies write it; empty for a catch trial."""
    speaker: str = ""
    values: dict[str, str] = {}
    """Its value in each column of the part's `by`, and in language, dialect and accent where the manifest has them."""
    labels: tuple[str, ...] = ()
    """What may be answered about it: those of its part, or of its domain where label sets differ."""
    answer: str = ""
    """The manifest's label, or what a catch trial asks for; never sent to a listener but as feedback in practice."""
    segments: tuple[tuple[float, float, str], ...] = ()
    """Of a part of segments, what the manifest's column of that name says: start and end in seconds, and label."""
    digest: str = ""
    """SHA-256 of the recording's samples, as `audio.scan` has it: by this a study knows copies of it."""
    loudness: float | None = None
    """LUFS of the sound as it is served; null where it is silent."""


class Tones(Settings):
    """One trial of the headphone check."""

    audio: tuple[str, str, str]
    """Names of the three tones in `audio/`, in the order in which they are played."""
    quietest: int = Field(ge=0, le=2)


class Form(Settings):
    """One order of everything that a listener is given."""

    number: int
    items: tuple[str, ...]
    """Keys of items; `|` is a break."""


class Test(Settings):
    """A test as it is served."""

    __test__ = False

    format: int = FORMAT
    version: str
    """The first 16 hexadecimal digits of the SHA-256 of all else: two tests with one version are the same."""
    settings: ListeningTest
    items: tuple[Item, ...]
    forms: tuple[Form, ...]
    loudness: str = ""
    """Name of the sound by which the volume is set; empty where it is not."""
    tones: tuple[Tones, ...] = ()
    """Trials of the headphone check; none where there is none."""


def version(test: Test) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of all of a test but its version."""
    return _version(test.model_dump(mode="json"))


def read(folder: Path) -> Test:
    """Read the test in a folder; raises `InvalidInput` where there is none, or one that was changed since it was drawn.

    A language of one's own is the path of its file in that folder.
    """
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        _require_as_drawn(path, told)
        test = Test.model_validate(told)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"{folder}: no {FILE} there; sibboleth listen design makes one") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{path}: cannot be read as a listening test ({where}: {first['msg']})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: cannot be read as a listening test ({error})") from None
    if test.settings.language in LANGUAGES:
        return test
    own = test.settings.model_copy(update={"language": str(folder / test.settings.language)})
    return test.model_copy(update={"settings": own})


def write(folder: Path, test: Test) -> None:
    """Write a test as text that a person and a version control can read."""
    text = json.dumps(test.model_dump(mode="json"), ensure_ascii=False, indent=1)
    runs.write_text(folder / FILE, text + "\n")


def _require_as_drawn(path: Path, told: Any) -> None:
    """Refuse what would mix answers to different tests: the version stands for everything in the file."""
    if not isinstance(told, dict) or "version" not in told:
        raise InvalidInput(f"{path}: is no listening test; sibboleth listen design makes one")
    if (form := told.get("format")) != FORMAT:
        raise InvalidInput(f"{path}: has format {form}, and this sibboleth reads {FORMAT}; use the one that drew it")
    if told["version"] != (now := _version(told)):
        raise InvalidInput(
            f"{path}: was changed after it was drawn (it says version {told['version']}, and is {now}); bring it back, "
            "or change the test's TOML file and draw it into a new folder with sibboleth listen design"
        )


def _version(told: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in told.items() if name != "version"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
