"""ShEMO, the Sharif emotional speech database: Persian from radio plays, 87 speakers, 6 emotions.

Layout (female.zip and male.zip, unpacked)::

    female/F03S02.wav   44.1 or 22.05 kHz; sex (F, M) and number of the speaker, emotion, number
    male/M02F01.wav
    shemo.json          list of id, gender, emotion, transcript, ipa; had apart, and may be absent

Texts are those of shemo.json, which has 2,838 of the 3,000 recordings; some belong to other recordings.

Source: https://github.com/pariajm/sharif-emotional-speech-dataset and https://github.com/mansourehk/ShEMO.
Licence: free for academic purposes; Apache 2.0 where the first of its makers has it on the Hugging Face Hub
(pariajm/sharif_emotional_speech_dataset). Reference: Mohamad Nezami, Jamshid Lou, Karami: ShEMO: a large-scale
validated database for Persian speech emotion detection. Language Resources and Evaluation 53(1), 2019,
https://arxiv.org/abs/1906.01155.
Layout read in: README.md and shemo.json of the first; datasets/ShEMO/process.py of
https://github.com/Strong-AI-Lab/emotion; data/shemo/shemo.csv of https://github.com/felixbur/nkululeko.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sibboleth.corpora import assemble, layouts, names
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput

LAYOUT = "ShEMO's folder has female/F03S02.wav, male/M02F01.wav and their like, and shemo.json where texts are wanted"
FORM = "sex and number of the speaker, emotion, number, as in F03S02"
TEXTS = "shemo.json"
EMOTIONS = {"A": "angry", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad", "W": "surprised"}
SEXES = {"F": "female", "M": "male"}

CARD = Card(
    title="emotions of radio plays in Persian: 87 speakers, labels by majority of twelve annotators",
    languages=("fa",),
    targets=("emotion", "text"),
    address="https://github.com/pariajm/sharif-emotional-speech-dataset",
    licence="free for academic purposes; Apache 2.0 on the Hugging Face Hub",
    reference="Mohamad Nezami, Jamshid Lou, Karami: ShEMO: a large-scale validated database for Persian speech emotion "
    "detection. Language Resources and Evaluation 53(1), 2019, https://arxiv.org/abs/1906.01155",
    layout="https://github.com/pariajm/sharif-emotional-speech-dataset",
    counts={
        "utterances": 3000,
        "speakers": 87,
        "emotion.angry": 1059,
        "emotion.fearful": 38,
        "emotion.happy": 201,
        "emotion.neutral": 1028,
        "emotion.sad": 449,
        "emotion.surprised": 225,
    },
    labels={"emotion": EMOTIONS},
    remarks=(
        "shemo.json has texts of 2,838 recordings; https://github.com/aliyzd95/ShEMO-Modification doubts 347 of them, "
        "and finds 163 whose label is another than their recording's",
        "seven in ten are anger or no emotion; fear has 38 recordings",
        "the numbers of utterances, of speakers and of fear were confirmed; those of the other emotions were not, but"
        " have the right sum",
        "radio plays have music and rooms of their own, which may tell the play and so the emotion",
    ),
)

_NAME = re.compile(rf"([FM]\d\d)([{''.join(EMOTIONS)}])(\d\d+)")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder, with texts where shemo.json is there.

    Columns: `sex`, `emotion`, `take` (number), `ipa` (phones). Raises `InvalidInput` when the folder is not ShEMO's.
    """
    files = names.recordings(root, _name, LAYOUT, FORM)
    path = layouts.find(root, TEXTS)
    said = {} if path is None else dict(_texts(path))
    return assemble("shemo", (_row(name, file, *said.get(name, (None, None))) for name, file in files.items()))


def _name(file: Path) -> str | None:
    name = file.stem.strip().upper()
    return name if _NAME.fullmatch(name) else None


def _row(name: str, file: Path, text: str | None, phones: str | None) -> dict[str, object]:
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": name[:3],
        "language": "fa",
        "text": text,
        "emotion": EMOTIONS[name[3]],
        "sex": SEXES[name[0]],
        "take": name[4:],
        "ipa": phones,
    }


def _texts(path: Path) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """Yield what is said in each recording, as text and as phones, from a list or an object by recording."""
    try:
        found = json.loads(layouts.text(path))
        listed = [{"id": name, **one} for name, one in found.items()] if isinstance(found, dict) else found
        for one in listed:
            yield Path(one["id"]).stem.upper(), (_plain(one.get("transcript")), _plain(one.get("ipa")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{path}: not the published list of id, transcript and ipa ({error}). {LAYOUT}") from None


def _plain(text: Any) -> str | None:
    """Return a text without byte order mark and blanks around it; None for none."""
    return str(text).strip("\ufeff \t\r\n") or None if text is not None else None
