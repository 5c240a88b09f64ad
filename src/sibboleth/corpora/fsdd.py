"""FSDD, the Free Spoken Digit Dataset: English digits, 6 men, 50 takes of each digit.

Layout (the repository, or an archive of it)::

    recordings/7_jackson_32.wav     8 kHz; digit, speaker, take
    metadata.py                     sex and accent of each speaker; the same may be in speakers.json

Takes 0 to 4 are the published test set, so its speakers are those of training. Accents are nearly those of single
speakers.

Source: https://github.com/Jakobovski/free-spoken-digit-dataset, https://zenodo.org/badge/latestdoi/61622039.
Licence: CC BY-SA 4.0. Reference: Jackson and others: Free Spoken Digit Dataset, with the DOI of its release.
Layout read in: README.md and metadata.py there.
"""

import ast
import json
import re
from pathlib import Path

from sibboleth.corpora import accented, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput

LAYOUT = "FSDD's folder has recordings/7_jackson_32.wav and its like"

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TESTED = 5
"""Takes below are the test set."""
SPEAKERS = {
    "george": {"gender": "male", "accent": "GRC/Greek"},
    "jackson": {"gender": "male", "accent": "USA/neutral"},
    "lucas": {"gender": "male", "accent": "DEU/German"},
    "nicolas": {"gender": "male", "accent": "BEL/French"},
    "theo": {"gender": "male", "accent": "USA/neutral"},
    "yweweler": {"gender": "male", "accent": "DEU/German"},
}
"""As published, for copies that lack both files."""

CARD = Card(
    title="spoken digits in English: six men, four accents, 50 takes of each digit",
    languages=("en",),
    targets=("digit", "text", "accent"),
    address="https://github.com/Jakobovski/free-spoken-digit-dataset",
    licence="CC BY-SA 4.0",
    reference="Jackson and others: Free Spoken Digit Dataset, https://zenodo.org/badge/latestdoi/61622039",
    layout="https://github.com/Jakobovski/free-spoken-digit-dataset/blob/master/README.md",
    counts={"utterances": 3000, "speakers": 6, **{f"digit.{digit}": 300 for digit in range(10)}},
    remarks=(
        "an accent is one or two speakers, so what tells accents may tell voices",
        "the published test set has the speakers of training",
        "8 kHz",
    ),
)

_NAME = re.compile(r"(\d)_([^_]+)_(\d+)")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `digit`, `take`, `part` (train, test), `sex`, `country`, and in `accents` the language that the speaker's
    accent is from, or the country where it is neutral. Raises `InvalidInput` when the folder is not FSDD's.
    """
    found = layouts.by_stem(root, layouts.recordings(root))
    if not found:
        raise refusals.no_recordings(root, LAYOUT)
    if strange := [file for name, file in found.items() if not _NAME.fullmatch(name)]:
        message = "not a name of FSDD (digit, speaker, take, as in 7_jackson_32); take it out of the folder"
        raise refusals.strangers(root, LAYOUT, found.values(), dict.fromkeys(strange, message))
    speakers = {**SPEAKERS, **_speakers(layouts.find(root, ("metadata.py", "speakers.json")))}
    return accented("fsdd", (_row(name, file, speakers) for name, file in found.items()))


def _row(name: str, file: Path, speakers: dict[str, dict[str, str]]) -> dict[str, object]:
    digit, speaker, take = name.split("_")
    about = speakers.get(speaker, {})
    country, _, manner = about.get("accent", "").partition("/")
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": speaker,
        "language": "en",
        "text": WORDS[int(digit)],
        "digit": digit,
        "take": int(take),
        "part": "test" if int(take) < TESTED else "train",
        "sex": about.get("gender"),
        "country": country or None,
        "accents": (country if manner in ("", "neutral") else manner) or None,
    }


def _speakers(path: Path | None) -> dict[str, dict[str, str]]:
    """Read what is said of speakers, from JSON or from the dictionary in metadata.py, which is not run."""
    if path is None:
        return {}
    try:
        text = layouts.text(path)
        said = json.loads(text) if path.suffix.lower() == ".json" else _literal(text)
        return {
            name: {key: value.strip() for key, value in about.items() if isinstance(value, str)}
            for name, about in said.items()
        }
    except (ValueError, SyntaxError, AttributeError, RecursionError, MemoryError) as error:
        expected = "a dictionary of speakers, each with gender and accent"
        raise InvalidInput(f"{path}: not as published: {expected} ({error}); download it again") from None


def _literal(text: str) -> dict[str, dict[str, str]]:
    assigned = [node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    found: dict[str, dict[str, str]] = ast.literal_eval(assigned[0]) if assigned else {}
    return found
