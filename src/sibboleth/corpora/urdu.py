"""URDU: emotional Urdu from television talk shows, 400 utterances, 4 emotions.

Layout (as in the published repository)::

    Angry/SM1_F1_A01.wav    44.1 kHz; sex and number of the speaker, number among the speaker's files, emotion (A, H, N,
                            S) and number in it; folders Angry, Happy, Neutral, Sad

Source: https://github.com/siddiquelatif/URDU-Dataset. Licence: for research purposes only, none stated.
Reference: Latif, Qayyum, Usman, Qadir: Cross lingual speech emotion recognition: Urdu vs. Western languages. FIT 2018,
https://arxiv.org/abs/1812.10411.
Layout read in: README.md and the names of all 400 files there.
"""

import re
from pathlib import Path

from sibboleth.corpora import assemble, names
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus

LAYOUT = "URDU's folder has Angry/SM1_F1_A01.wav and its like, in folders Angry, Happy, Neutral and Sad"
FORM = "speaker, file, emotion, as in SM1_F1_A01"
EMOTIONS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
SEXES = {"F": "female", "M": "male"}

CARD = Card(
    title="emotions in Urdu from talk shows: 29 speakers, each in one to three of four emotions",
    languages=("ur",),
    targets=("emotion",),
    address="https://github.com/siddiquelatif/URDU-Dataset",
    licence="none stated; for research only",
    reference="Latif, Qayyum, Usman, Qadir: Cross lingual speech emotion recognition: Urdu vs. Western languages. "
    "FIT 2018, https://arxiv.org/abs/1812.10411",
    layout="https://github.com/siddiquelatif/URDU-Dataset",
    counts={"utterances": 400, "speakers": 29, **{f"emotion.{emotion}": 100 for emotion in EMOTIONS.values()}},
    labels={"emotion": EMOTIONS},
    remarks=(
        "its README tells of 38 speakers, 27 men and 11 women; file names tell 18 men and 11 women apart",
        "most speakers have one emotion alone: a probe that knows the voice knows the emotion",
        "anger is of four men, and nobody is angry who is a woman; seven in ten neutral recordings are of one",
        "no texts",
    ),
)

_NAME = re.compile(r"S([FM])(\d+)_F(\d+)_([AHNS])(\d+)", re.IGNORECASE)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `sex`, `emotion`, `take` (number among the speaker's files of the emotion). Raises `InvalidInput` when the
    folder is not URDU's.
    """
    return assemble("urdu", (_row(*one) for one in names.recordings(root, _name, LAYOUT, FORM).items()))


def _name(file: Path) -> str | None:
    name = file.stem.strip().upper()
    return name if _NAME.fullmatch(name) else None


def _row(name: str, file: Path) -> dict[str, object]:
    speaker, take, emotion = name.split("_")
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": speaker,
        "language": "ur",
        "emotion": EMOTIONS[emotion[0]],
        "sex": SEXES[speaker[1]],
        "take": take[1:],
    }
