"""speechocean762: English sentences read by children and adults whose first language is Mandarin, scored by experts.

Layout (as unpacked)::

    WAVE/SPEAKER0001/000010011.WAV      16 kHz
    train/, test/                       Kaldi's wav.scp, text, utt2spk, spk2age, spk2gender
    resource/scores.json                scores of each sentence (0 to 10), its words and phones: averages or medians
    resource/scores-detail.json         the same by each of five experts, completeness as a share

Experts have no names: the n-th score of a sentence is that of `expert-n`, who may be somebody else in another sentence.

Source: https://www.openslr.org/101, also https://huggingface.co/datasets/mispeech/speechocean762 of its makers.
Licence: Apache 2.0 there; what OpenSLR states was not confirmed.
Reference: Zhang, Zhang, Wang, Yan, Song, Huang, Li, Povey, Wang: speechocean762: an open-source non-native English
speech corpus for pronunciation assessment. Interspeech 2021, https://arxiv.org/abs/2104.01378.
Layout read in: README.md of https://github.com/jimbozhang/speechocean762 (files, scores); that on the Hub (counts of
the parts); egs/gop_speechocean762/s5/local/data_prep.sh of https://github.com/kaldi-asr/kaldi (paths in wav.scp).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import predictions
from sibboleth.corpora import accented, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "speechocean762's folder has WAVE/, train/wav.scp, test/wav.scp and resource/scores.json"
SCORES, DETAIL = "scores.json", "scores-detail.json"
TARGETS = {"accuracy": 1.0, "completeness": 10.0, "fluency": 1.0, "prosodic": 1.0, "total": 1.0}
"""Scores of a sentence, and what an expert's are multiplied by to be on the scale of scores.json."""
SEXES = {"m": "male", "f": "female"}

CARD = Card(
    title="English read by children and adults with Mandarin: five experts score accuracy, fluency, prosody",
    languages=("en",),
    targets=(*TARGETS, "text"),
    address="https://www.openslr.org/101",
    licence="Apache 2.0, where its makers have it on the Hugging Face Hub",
    reference="Zhang and others: speechocean762: an open-source non-native English speech corpus for pronunciation"
    " assessment. Interspeech 2021, https://arxiv.org/abs/2104.01378",
    layout="https://github.com/jimbozhang/speechocean762/blob/main/README.md",
    counts={"utterances": 5000, "part.train": 2500, "part.test": 2500},
    remarks=(
        "half of the speakers are children: a score may be told by how old a voice sounds",
        "what OpenSLR says of its licence was not confirmed: read it there",
        "experts have no names, so nobody knows that the first score of two sentences is one person's",
    ),
)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `part` (train, test), `sex`, `age`, `l1`, and the sentence's scores `accuracy`, `completeness`, `fluency`,
    `prosodic` and `total` (0 to 10; null where scores.json lacks the sentence). Raises `InvalidInput` when the folder
    is not that of speechocean762, or lacks recordings that it lists.
    """
    lists = [file for file in layouts.files(root) if file.name.lower() == "wav.scp"]
    if not lists:
        raise InvalidInput(f"{root}: no wav.scp in it or below. {LAYOUT}")
    scores = _json(layouts.need(root, SCORES, LAYOUT))
    audio = layouts.by_stem(root, layouts.recordings(root))
    if not audio:
        raise refusals.no_recordings(root, LAYOUT)
    rows: dict[str, dict[str, object]] = {}
    problems: list[Problem] = []
    for path in lists:
        listed = _pairs(path)
        missing = [(line, said) for name, (line, said) in listed.items() if name not in audio]
        problems += [
            Problem(str(path), f"no such recording: {said}; unpack WAVE again", line) for line, said in missing
        ]
        if not missing:
            rows.update((str(row["utterance"]), row) for row in _rows(path.parent, list(listed), audio, scores))
    if problems:
        raise InvalidInput(f"{root}: not complete", problems)
    return accented("speechocean762", (rows[name] for name in sorted(rows)))


def ratings(root: Path) -> pl.DataFrame | None:
    """Return the experts' scores of sentences as predictions, numbers from 0 to 10; None where they are not there."""
    path = layouts.find(root, DETAIL)
    if path is None:
        return None
    rows = []
    for utterance, one in _json(path).items():
        for target, scale in TARGETS.items():
            given = one.get(target)
            if not isinstance(given, list) or not all(isinstance(score, (int, float)) for score in given):
                message = f"{utterance}: expected a list of numbers, one of each expert; download it again"
                raise InvalidInput(f"{path}: not as published", [Problem(str(path), message, field=target)])
            rows += [(f"expert-{n}", utterance, target, score * scale) for n, score in enumerate(given, start=1)]
    columns = pl.DataFrame(rows, schema=["rater", "utterance", "target", "value"], orient="row").to_dict()
    about = {"run": "speechocean762", "source": "listener"}
    return predictions.table({**about, **columns}).sort(predictions.KEY)


def _rows(
    folder: Path, names: list[str], audio: dict[str, Path], scores: dict[str, dict[str, Any]]
) -> Iterator[dict[str, object]]:
    text, speakers, ages, sexes = (_values(folder / name) for name in ("text", "utt2spk", "spk2age", "spk2gender"))
    ages, sexes = ({_plain(speaker): value for speaker, value in table.items()} for table in (ages, sexes))
    for name in names:
        # The first five digits of a name are the speaker's number.
        speaker, score = _plain(speakers.get(name, name[:5])), scores.get(name, {})
        yield {
            "utterance": name,
            "audio": str(audio[name]),
            "speaker": speaker,
            "language": "en",
            "text": text.get(name) or score.get("text"),
            "l1": "Mandarin",
            "part": folder.name.lower(),
            "sex": SEXES.get(sexes.get(speaker, "").lower()),
            "age": layouts.number(ages.get(speaker)),
            **{target: _score(score.get(target)) for target in TARGETS},
        }


def _plain(speaker: str) -> str:
    """Write a speaker with four digits, also one called `SPEAKER0001`."""
    digits = speaker.upper().removeprefix("SPEAKER")
    return f"{int(digits):04d}" if digits.isdecimal() else speaker


def _score(given: object) -> float | None:
    return float(given) if isinstance(given, (int, float)) else None


def _pairs(path: Path) -> dict[str, tuple[int, str]]:
    """Read a file of Kaldi: by the first word of each line where it stands, and the rest of the line."""
    if not path.is_file():
        return {}
    parts = ((row, line.split(maxsplit=1)) for row, line in enumerate(layouts.text(path).split("\n"), start=1))
    return {one[0]: (row, one[1].strip() if len(one) > 1 else "") for row, one in parts if one}


def _values(path: Path) -> dict[str, str]:
    return {name: said for name, (_, said) in _pairs(path).items()}


def _json(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(layouts.text(path))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: is no JSON ({error}); download it again") from None
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise InvalidInput(f"{path}: not as published: an object with one for each sentence is expected")
    return found
