"""SAVEE, the Surrey audio-visual expressed emotion database: British English, 4 men, 7 emotions.

Layout (AudioData.zip, unpacked)::

    AudioData/DC/a01.wav    44.1 kHz; folder of the speaker (DC, JE, JK, KL), emotion (1 or 2 letters), number of the
                            sentence; a copy that is often passed on has them in one folder, as DC_a01.wav
    AudioData/Info.txt      the same in words, not read

Of the fifteen sentences of an emotion (thirty neutral ones) three are common to all; the others are its own. Texts and
video are not read.

Source: http://kahlan.eps.surrey.ac.uk/savee/. Licence: free for research, on registration.
Reference: Haq, Jackson: Multimodal emotion recognition. In Wang (ed.): Machine audition: principles, algorithms and
systems. IGI Global 2010, chapter 17.
Layout read in: datasets/SAVEE/process.py of https://github.com/Strong-AI-Lab/emotion, data/savee/savee_train.csv of
https://github.com/felixbur/nkululeko, EmoBox/preprocess/scripts/savee.py of https://github.com/emo-box/EmoBox (one
folder), and AudioData/Info.txt.
"""

import re
from pathlib import Path

from sibboleth.corpora import assemble, names
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus

LAYOUT = "SAVEE's folder has DC/a01.wav and its like, of the speakers DC, JE, JK and KL, or DC_a01.wav"
FORM = "emotion and number in the folder of the speaker, as in DC/a01, or DC_a01"
SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": "angry",
    "d": "disgusted",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}

CARD = Card(
    title="acted emotions in British English: 4 men, sentences that are mostly of one emotion each",
    languages=("en",),
    targets=("emotion",),
    address="http://kahlan.eps.surrey.ac.uk/savee/",
    licence="free for research, on registration",
    reference="Haq, Jackson: Multimodal emotion recognition. In Wang (ed.): Machine audition: principles, algorithms "
    "and systems. IGI Global 2010, chapter 17",
    layout="https://github.com/Strong-AI-Lab/emotion/blob/master/datasets/SAVEE/process.py",
    counts={
        "utterances": 480,
        "speakers": len(SPEAKERS),
        **{f"emotion.{emotion}": 120 if emotion == "neutral" else 60 for emotion in EMOTIONS.values()},
        **{f"speaker.{speaker}": 120 for speaker in SPEAKERS},
    },
    labels={"emotion": EMOTIONS},
    remarks=(
        "four speakers, all men: differences between speakers cannot be told from chance",
        "most sentences belong to one emotion, so that words tell it too, and all speakers say the same ones",
    ),
)

_NAME = re.compile(rf"(?:({'|'.join(SPEAKERS)})_?)?({'|'.join(EMOTIONS)})(\d\d)", re.IGNORECASE)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `sex`, `sentence` (emotion and number, `a01`), `emotion`. Raises `InvalidInput` when the folder is not
    SAVEE's.
    """
    return assemble("savee", (_row(*one) for one in names.recordings(root, _name, LAYOUT, FORM).items()))


def _name(file: Path) -> str | None:
    """Return speaker and sentence, as in `DC_a01`; the speaker is in the name or that of a folder."""
    found = _NAME.fullmatch(file.stem.strip())
    if found is None:
        return None
    said = [found[1], *(part.strip() for part in reversed(file.parts[:-1]))]
    speaker = next((part.upper() for part in said if part and part.upper() in SPEAKERS), None)
    return None if speaker is None else f"{speaker}_{found[2].lower()}{found[3]}"


def _row(name: str, file: Path) -> dict[str, object]:
    speaker, sentence = name.split("_")
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": speaker,
        "language": "en",
        "emotion": EMOTIONS[sentence[:-2]],
        "sex": "male",
        "sentence": sentence,
    }
