"""TESS, the Toronto emotional speech set: English, 2 actresses, 200 words in a carrier phrase, 7 emotions.

Layout (as unpacked)::

    OAF_back_angry.wav      24.4 kHz; actress (OAF, 64 years; YAF, 26 years), word, emotion (ps: pleasant surprise);
                            in one folder, or in folders of actress and emotion such as YAF_pleasant_surprised

One published name lacks a letter: OA_bite_neutral.wav is OAF's.

Source: https://doi.org/10.5683/SP2/E8H2MF and https://tspace.library.utoronto.ca/handle/1807/24487.
Licence: CC BY-NC-ND 4.0. Reference: Pichora-Fuller, Dupuis: Toronto emotional speech set (TESS). Borealis, 2020,
https://doi.org/10.5683/SP2/E8H2MF.
Layout read in: datasets/TESS/process.py of https://github.com/Strong-AI-Lab/emotion, data/tess/tess.csv of
https://github.com/felixbur/nkululeko, EmoBox/preprocess/scripts/tess.py of https://github.com/emo-box/EmoBox.
"""

import re
from pathlib import Path

from sibboleth.corpora import assemble, names
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus

LAYOUT = "TESS's folder has OAF_back_angry.wav and its like, of OAF and YAF, there or in folders below"
FORM = "actress, word, emotion, as in OAF_back_angry"
SPEAKERS = {"OAF": 64, "YAF": 26}
"""Age in years."""
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}

CARD = Card(
    title="acted emotions in English: 2 women, 'Say the word ...' with the same 200 words in each of seven",
    languages=("en",),
    targets=("emotion", "text"),
    address="https://doi.org/10.5683/SP2/E8H2MF",
    licence="CC BY-NC-ND 4.0",
    reference="Pichora-Fuller, Dupuis: Toronto emotional speech set (TESS). Borealis, 2020, "
    "https://doi.org/10.5683/SP2/E8H2MF",
    layout="https://github.com/Strong-AI-Lab/emotion/blob/master/datasets/TESS/process.py",
    counts={
        "utterances": 2800,
        "speakers": len(SPEAKERS),
        **{f"emotion.{emotion}": 400 for emotion in EMOTIONS.values()},
        **{f"speaker.{speaker}": 1400 for speaker in SPEAKERS},
    },
    labels={"emotion": EMOTIONS},
    remarks=(
        "two speakers, both women: no split by speakers says how a probe does with other voices",
        "everything but one word is the same in all recordings, and both say the same words",
        "surprise is pleasant surprise",
    ),
)

_NAME = re.compile(rf"(OAF?|YAF)_([a-z]+)_({'|'.join(EMOTIONS)})", re.IGNORECASE)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `sex`, `age`, `sentence` (the word), `emotion`. Raises `InvalidInput` when the folder is not TESS's.
    """
    return assemble("tess", (_row(*one) for one in names.recordings(root, _name, LAYOUT, FORM).items()))


def _name(file: Path) -> str | None:
    found = _NAME.fullmatch(file.stem.strip())
    if found is None:
        return None
    return f"{found[1][0].upper()}AF_{found[2].lower()}_{found[3].lower()}"


def _row(name: str, file: Path) -> dict[str, object]:
    speaker, word, emotion = name.split("_")
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": speaker,
        "language": "en",
        "text": f"Say the word {word}.",
        "emotion": EMOTIONS[emotion],
        "sex": "female",
        "age": SPEAKERS[speaker],
        "sentence": word,
    }
