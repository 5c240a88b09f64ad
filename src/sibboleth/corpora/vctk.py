"""VCTK: English newspaper sentences, a passage and a paragraph read by 110 speakers of many accents.

Layout (version 0.92, as unpacked; the older 0.80 has `wav48/p225/p225_001.wav`)::

    wav48_silence_trimmed/p225/p225_001_mic1.flac   48 kHz; speaker, sentence, microphone (some lack the second)
    txt/p225/p225_001.txt                           its text; p315 has none
    speaker-info.txt                                ID, age, gender, accent, region: columns of blanks, of any width

A paragraph and a passage are the same for all speakers; the sentences of newspapers are each speaker's own.

Source: https://doi.org/10.7488/ds/2645. Licence: CC BY 4.0.
Reference: Yamagishi, Veaux, MacDonald: CSTR VCTK Corpus: English multi-speaker corpus for CSTR voice cloning toolkit
(version 0.92). University of Edinburgh, 2019.
Layout read in: lhotse/recipes/vctk.py of https://github.com/lhotse-speech/lhotse (0.80, columns of speaker-info.txt);
src/torchaudio/datasets/vctk.py of https://github.com/pytorch/audio (0.92, what it lacks); speaker-info.txt in
https://github.com/rhoposit/self-attention-tacotron (how its lines are ragged).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sibboleth.corpora import accented, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "VCTK's folder has wav48_silence_trimmed/p225/p225_001_mic1.flac (or wav48/), txt/ and speaker-info.txt"
INFO = "speaker-info.txt"
SEXES = {"f": "female", "female": "female", "m": "male", "male": "male"}
ACCENTS = {
    "English": "England English",
    "Indian": "Indian English",
    "NewZealand": "New Zealand English",
    "NorthernIrish": "Northern Irish",
    "SouthAfrican": "South African English",
}
"""Accents that the table of accents spells otherwise."""
PREFERRED = ("1", "", "2")
"""Microphones, best first; none is named in version 0.80."""

CARD = Card(
    title="read English of 110 speakers with many accents, mostly of Britain and Ireland, recorded in a studio",
    languages=("en",),
    targets=("accent", "text", "sex"),
    address="https://doi.org/10.7488/ds/2645",
    licence="CC BY 4.0",
    reference="Yamagishi, Veaux, MacDonald: CSTR VCTK Corpus (version 0.92). University of Edinburgh, 2019",
    layout="https://github.com/lhotse-speech/lhotse/blob/master/lhotse/recipes/vctk.py",
    counts={"speakers": 110},
    remarks=(
        "some accents are one speaker or two: what tells them may be the voice",
        "all speakers read the same paragraph and passage, which the column sentence alone does not tell from others",
        "p315 has no texts",
    ),
)

_NAME = re.compile(r"([ps]\d+)_(\d+)(?:_mic(\d))?", re.IGNORECASE)
_HEADER = re.compile(r"\W*ID\b")
_LINE = re.compile(
    r"(?P<id>[ps]?\d+)[,\s]+(?P<age>\d+)[,\s]+(?P<sex>\w+)[,\s]+(?P<accent>\w+)(?P<rest>.*)", re.IGNORECASE
)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder, an utterance once: from the first microphone, else from the one there is.

    Columns: `microphone` (mic1, mic2; null where it is not named), `microphones` (how many heard the utterance),
    `sentence` (number), `sex`, `age` (years), `region` and `accents` (what the corpus says). Utterances without a text,
    and those of speakers of whom nothing is said, are there. Raises `InvalidInput` when the folder is not VCTK's.
    """
    files = layouts.recordings(root)
    if not files:
        raise refusals.no_recordings(root, LAYOUT)
    if strange := [file for file in files if not _NAME.fullmatch(file.stem)]:
        message = "not a name of VCTK (speaker, sentence, microphone, as in p225_001_mic1); take it out of the folder"
        raise refusals.strangers(root, LAYOUT, files, dict.fromkeys(strange, message))
    speakers = _speakers(layouts.need(root, INFO, LAYOUT))
    texts = {
        name[1].lower() + "_" + name[2]: file
        for file in layouts.files(root)
        if file.suffix.lower() == ".txt" and (name := _NAME.fullmatch(file.stem))
    }
    made = accented("vctk", _rows(files, speakers, texts))
    return Corpus(made.name, made.table.rename({"variant": "region"}, strict=False))


@dataclass(frozen=True)
class _Speaker:
    """What is said of a speaker."""

    sex: str | None = None
    age: int | None = None
    accent: str | None = None
    region: str | None = None


def _rows(files: list[Path], speakers: dict[str, _Speaker], texts: dict[str, Path]) -> Iterator[dict[str, object]]:
    heard: dict[tuple[str, str], dict[str, Path]] = {}
    for file in sorted(files, key=lambda file: (len(file.parts), str(file))):
        if name := _NAME.fullmatch(file.stem):
            heard.setdefault((name[1].lower(), name[2]), {}).setdefault(name[3] or "", file)
    for (speaker, sentence), microphones in sorted(heard.items()):
        best = min(microphones, key=lambda one: PREFERRED.index(one) if one in PREFERRED else len(PREFERRED))
        utterance, about = f"{speaker}_{sentence}", speakers.get(speaker, _Speaker())
        yield {
            "utterance": utterance,
            "audio": str(microphones[best]),
            "speaker": speaker,
            "language": "en",
            "text": " ".join(layouts.text(texts[utterance]).split()) or None if utterance in texts else None,
            "sentence": int(sentence),
            "microphone": f"mic{best}" if best else None,
            "microphones": len(microphones),
            "sex": about.sex,
            "age": about.age,
            "accents": about.accent,
            "variant": about.region,
        }


def _speakers(path: Path) -> dict[str, _Speaker]:
    """Read what is said of speakers; 0.80 leaves the p of their names out."""
    found, problems = {}, []
    for row, line in enumerate(layouts.text(path).split("\n"), start=1):
        if not line.strip() or _HEADER.match(line):
            continue
        said = _LINE.fullmatch(line.strip())
        if not said:
            problems.append(Problem(str(path), "expected ID, age, gender, accent and region", row))
            continue
        name = said["id"].lower()
        accent = said["accent"]
        region = " ".join(re.sub(r"\(.*", "", said["rest"]).replace(",", " ").split())
        region = region if accent == "English" else region.removeprefix("English").strip()
        found[name if name[0].isalpha() else f"p{name}"] = _Speaker(
            SEXES.get(said["sex"].lower()), int(said["age"]), ACCENTS.get(accent, accent), region or None
        )
    if problems:
        raise InvalidInput(f"{path}: not as published", problems)
    return found
