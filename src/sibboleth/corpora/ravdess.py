"""RAVDESS, the Ryerson audio-visual database: North American English, 24 actors, 2 sentences, 8 emotions.

Layout (the audio-only speech archive, unpacked)::

    Actor_01/03-01-06-01-02-01-12.wav       48 kHz, a few files stereo; the fields are
        modality (03 audio only), channel (01 speech, 02 song), emotion, intensity, statement, repetition, actor

The actors' folders may lie in a folder Audio_Speech_Actors_01-24, or all files in one; if they are there twice, as in a
copy that is often passed on, those nearer to the top count. Song is left out; video cannot be read.

Source: https://doi.org/10.5281/zenodo.1188976. Licence: CC BY-NC-SA 4.0.
Reference: Livingstone, Russo: The Ryerson audio-visual database of emotional speech and song (RAVDESS). PLoS ONE
13(5): e0196391, 2018, https://doi.org/10.1371/journal.pone.0196391.
Layout read in: the description at https://doi.org/10.5281/zenodo.1188976.
"""

import re
from pathlib import Path

from sibboleth.corpora import assemble, names
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "RAVDESS's folder has Actor_01/03-01-01-01-01-01-01.wav and its like, of 24 actors"
FORM = "audio-only: 7 numbers that begin with 03, as in 03-01-06-01-02-01-12"
SPEECH = "01"
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgusted",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}

CARD = Card(
    title="acted emotions in North American English: 24 actors, the same two sentences in each of eight",
    languages=("en",),
    targets=("emotion", "text"),
    address="https://doi.org/10.5281/zenodo.1188976",
    licence="CC BY-NC-SA 4.0",
    reference="Livingstone, Russo: The Ryerson audio-visual database of emotional speech and song (RAVDESS). PLoS ONE "
    "13(5): e0196391, 2018, https://doi.org/10.1371/journal.pone.0196391",
    layout="https://doi.org/10.5281/zenodo.1188976",
    counts={
        "utterances": 1440,
        "speakers": 24,
        **{f"emotion.{emotion}": 96 if emotion == "neutral" else 192 for emotion in EMOTIONS.values()},
        **{f"speaker.{actor:02d}": 60 for actor in range(1, 25)},
    },
    labels={"emotion": EMOTIONS},
    remarks=(
        "everybody says the same two sentences, so every split has the sentences of training in its test",
        "calm is an emotion of its own beside neutral; it becomes neutral only where a study says so",
        "recorded very quietly beside other corpora",
    ),
)

_NAME = re.compile(r"03-0[12]-0[1-8]-0[12]-0[12]-0[12]-(?:0[1-9]|1\d|2[0-4])")
_FOLDER = re.compile(r"actor[_ -]?(\d\d)", re.IGNORECASE)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder: audio-only speech.

    Columns: `sex`, `sentence` (number), `emotion`, `intensity` (normal, strong), `take`. Raises `InvalidInput` when
    the folder is not that of RAVDESS.
    """
    files = names.recordings(root, _name, LAYOUT, FORM)
    problems = [Problem(str(file), complaint) for name, file in files.items() if (complaint := _complaint(name, file))]
    if problems:
        raise InvalidInput(f"{root}: {LAYOUT}", problems)
    spoken = {name: file for name, file in files.items() if name.split("-")[1] == SPEECH}
    if not spoken:
        raise InvalidInput(f"{root}: no audio-only speech (03-01-...), only song. {LAYOUT}")
    return assemble("ravdess", (_row(name, file) for name, file in spoken.items()))


def _name(file: Path) -> str | None:
    return file.stem.strip() if _NAME.fullmatch(file.stem.strip()) else None


def _complaint(name: str, file: Path) -> str | None:
    actor, folder = name[-2:], _FOLDER.fullmatch(file.parent.name)
    if folder is not None and folder[1] != actor:
        return f"a recording of actor {actor}; move it to the folder Actor_{actor}"
    return None


def _row(name: str, file: Path) -> dict[str, object]:
    _, _, emotion, intensity, statement, repetition, actor = name.split("-")
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": actor,
        "language": "en",
        "text": STATEMENTS[statement],
        "emotion": EMOTIONS[emotion],
        "sex": "male" if int(actor) % 2 else "female",
        "sentence": statement,
        "intensity": INTENSITIES[intensity],
        "take": repetition,
    }
