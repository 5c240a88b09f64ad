"""Voice datasets of Rhasspy: prompts read by one volunteer each, in Dutch (also of Flanders), German and others.

Layout (repositories `dataset-voice-NAME`, one or several in a folder)::

    metadata.csv                    name of a recording and its text, a bar between them; no header
    nl_rhasspy_100_1602426809.wav   24 kHz; language, prompt and when it was read (flemishguy)
    audio/nl_rhasspy_100.webm       Opus as recorded (nathalie, kerstin), which is not read
    verified/                       the same, trimmed, as FLAC; where it has a metadata.csv, that counts
    README.md                       speaker, language and gender

LJSpeech's layout is read as well: metadata.csv of name, text and text in words, wavs/LJ001-0001.wav. The speaker is
called as its folder, and the language is not known. A sample with a table `manifest.tsv` of path, speaker, gender,
language and text is read, too.

Source: https://github.com/rhasspy/dataset-voice-flemishguy, -nathalie, -kerstin. Licence: CC0 1.0.
Reference: Hansen: voice datasets of Rhasspy, the addresses above. Layout read in: README.md, DATASHEET.md and lists of
files of these three.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sibboleth.corpora import accented, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "a voice dataset of Rhasspy has metadata.csv (name|text) beside its recordings or in verified/"
LISTED = ("path", "speaker", "gender", "language", "text")
"""Columns of manifest.tsv."""
FIELDS = (2, 3)
"""Of a line of metadata.csv: LJSpeech has a third, the text with numbers and the like in words."""
LANGUAGES = {"dutch": "nl", "german": "de"}
"""As README.md calls them; else the recording's name says it."""
REGIONS = {"flanders": "BE"}
"""What may stand in brackets behind a language."""

CARD = Card(
    title="read prompts in Dutch, Flemish and German: one volunteer per dataset, many prompts in common",
    languages=("nl", "nl-BE", "de"),
    targets=("text", "accent"),
    address="https://github.com/rhasspy/dataset-voice-flemishguy",
    licence="CC0 1.0",
    reference="Hansen: voice datasets of Rhasspy, https://github.com/rhasspy",
    layout="https://github.com/rhasspy/dataset-voice-nathalie/blob/master/DATASHEET.md",
    counts={"speaker.flemishguy": 1139, "speaker.nathalie": 1131, "speaker.kerstin": 1374},
    remarks=(
        "one voice per language, so whatever differs between languages may be the voice or its microphone",
        "the column prompt tells who reads the same sentence",
    ),
)

_NAME = re.compile(r"([a-z]{2})_rhasspy[-_](\d+)(?:[-_]\d+)?")
_TITLE = re.compile(r"^#.*\((.+)\)\s*$", re.MULTILINE)
_FACT = re.compile(r"^\W*(language|gender)\W*:\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_FOLDER = re.compile(r"^dataset-voice-|-(?:master|main)$")


def prepare(root: Path) -> Corpus:
    """Make the corpus from the folder of a dataset, of several, or of a sample with manifest.tsv.

    Columns: `sex`, `prompt` (language and number, `nl_100`), `text_in_words` (where the list has it), and in `accents`
    what is said of the speaker's region. A recording that the list lacks has no text. Raises `InvalidInput` for
    other folders, and for lists that are none or of other recordings.
    """
    lists = sorted({file.parent: file for file in layouts.files(root) if file.name.lower() == "metadata.csv"}.items())
    trimmed = {folder.parent for folder, _ in lists if folder.name.lower() == "verified"}
    if lists:
        rows = [row for folder, file in lists if folder not in trimmed for row in _dataset(folder, file)]
    else:
        rows = list(_sample(layouts.need(root, "manifest.tsv", f"{LAYOUT}; a sample has manifest.tsv")))
    return accented("rhasspy", sorted(rows, key=lambda row: str(row["utterance"])))


@dataclass(frozen=True)
class _Speaker:
    """Who reads a dataset."""

    name: str
    sex: str | None
    language: str | None
    region: str | None


def _dataset(folder: Path, path: Path) -> Iterator[dict[str, object]]:
    found = layouts.by_stem(folder, layouts.recordings(folder))
    if not found:
        opus = any(file.suffix.lower() == ".webm" for file in layouts.files(folder))
        hint = "; its .webm are not read: get the folder verified, or make FLAC of them" if opus else ""
        raise refusals.no_recordings(folder, LAYOUT, hint)
    speaker, texts = _speaker(folder.parent if folder.name.lower() == "verified" else folder), _texts(path, found)
    return (_row(name, file, speaker, *texts.get(name, (None, None))) for name, file in found.items())


def _row(name: str, file: Path, speaker: _Speaker, text: str | None, in_words: str | None = None) -> dict[str, object]:
    said = _NAME.fullmatch(name)
    return {
        "utterance": f"{speaker.name}-{name}",
        "audio": str(file),
        "speaker": speaker.name,
        "language": speaker.language or (said[1] if said else None),
        "text": text,
        "text_in_words": in_words,
        "sex": speaker.sex,
        "prompt": f"{said[1]}_{int(said[2])}" if said else None,
        "accents": speaker.region,
    }


def _speaker(folder: Path) -> _Speaker:
    """Read README.md; without it the folder is called as the speaker."""
    readme = layouts.find(folder, "README.md")
    text = layouts.text(readme) if readme is not None and readme.parent == folder.absolute() else ""
    facts = {key.lower(): value for key, value in _FACT.findall(text)}
    title = _TITLE.search(text)
    language, _, region = facts.get("language", "").rstrip(")").partition(" (")
    code, country = LANGUAGES.get(language.lower()), REGIONS.get(region.lower())
    name = title[1] if title else _FOLDER.sub("", _FOLDER.sub("", folder.absolute().name))
    return _Speaker(name, _sex(facts.get("gender")), f"{code}-{country}" if code and country else code, region or None)


def _texts(path: Path, names: Collection[str]) -> dict[str, tuple[str | None, str | None]]:
    """Read the text of each recording, and its text in words where there is one, as in LJSpeech.

    Raises `InvalidInput` for lines that are no such record, and where not one is of a recording.
    """
    lines = [(row, line.split("|")) for row, line in enumerate(layouts.text(path).split("\n"), start=1) if line.strip()]
    if bad := [(row, len(fields)) for row, fields in lines if len(fields) not in FIELDS]:
        expected = "expected name|text or name|text|text in words"
        problems = [Problem(str(path), f"{expected}, not {count} fields", row) for row, count in bad]
        raise InvalidInput(f"{path}: not as published", problems)
    said = {_stem(fields[0]): (fields[1].strip() or None, "".join(fields[2:]).strip() or None) for _, fields in lines}
    if not said.keys() & names:
        told = f"it has {next(iter(said), 'nothing')}, recordings are called {min(names)} and the like"
        raise InvalidInput(f"{path}: names none of the recordings: {told}; write names as the files have them")
    return said


def _stem(name: str) -> str:
    """Return a recording's name without folder and ending; other dots are part of it."""
    file = Path(name.strip())
    return file.stem if file.suffix.lower() in layouts.SUFFIXES else file.name


def _sample(path: Path) -> Iterator[dict[str, object]]:
    """Read manifest.tsv, whose paths are relative to it; of a recording in another format the same name counts."""
    rows = layouts.table(path, LISTED, delimiter="\t", quoted=False)
    there = {file.relative_to(path.parent).with_suffix(""): file for file in layouts.recordings(path.parent)}
    files = {row.line: there.get(Path(row["path"] or "").with_suffix("")) for row in rows}
    problems = [row.problem(f"no such recording: {row['path']}", "path") for row in rows if files[row.line] is None]
    problems += [row.problem("is empty", "speaker") for row in rows if row["speaker"] is None]
    if problems:
        raise InvalidInput(f"{path}: not complete; take out these rows, or get the recordings again", problems)
    for row in rows:
        language = row["language"]
        region = language if language and "-" in language else None
        speaker = _Speaker(str(row["speaker"]), _sex(row["gender"]), language, region)
        file = files[row.line]
        assert file is not None
        yield _row(file.stem, file, speaker, row["text"])


def _sex(said: str | None) -> str | None:
    return said.lower() if said and said.lower() in ("female", "male") else None
