"""RAVDESS, the Ryerson audio-visual database: North American English, 24 actors, 2 sentences, 8 emotions.

Layout (the audio-only speech archive, unpacked)::

    Actor_01/03-01-06-01-02-01-12.wav       48 kHz, a few files stereo; the fields are
        modality (03 audio only), channel (01 speech, 02 song), emotion, intensity, statement, repetition, actor

The actors' folders may lie in a folder Audio_Speech_Actors_01-24; if they are there twice, as in a copy that is
often passed on, those at the top count. Song is left out; video cannot be read.

Source: https://doi.org/10.5281/zenodo.1188976. Licence: CC BY-NC-SA 4.0.
Reference: Livingstone, Russo: The Ryerson audio-visual database of emotional speech and song (RAVDESS). PLoS ONE
13(5): e0196391, 2018, https://doi.org/10.1371/journal.pone.0196391.
"""

import re
from pathlib import Path

from sibboleth.corpora import assemble, recordings
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "RAVDESS's folder has Actor_01/03-01-01-01-01-01-01.wav and its like, of 24 actors"
FOLDER = "Audio_Speech_Actors_01-24"
AUDIO_ONLY, SPEECH, SONG = "03", "01", "02"
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

_NAME = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder: audio-only speech.

    Columns: `sex`, `sentence` (number), `emotion`, `intensity` (normal, strong), `take`. Raises `InvalidInput` when
    the folder is not that of RAVDESS.
    """
    files = _files(root)
    problems = [Problem(str(file), complaint) for name, file in files.items() if (complaint := _complaint(name, file))]
    if problems:
        raise InvalidInput(f"{root}: {LAYOUT}", problems)
    spoken = {name: file for name, file in files.items() if name.split("-")[1] != SONG}
    if not spoken:
        raise InvalidInput(f"{root}: no audio-only speech (03-01-...) in folders Actor_01 to Actor_24. {LAYOUT}")
    return assemble("ravdess", (_row(name, file) for name, file in spoken.items()))


def _files(root: Path) -> dict[str, Path]:
    for top in (root, *(folder for folder in root.glob("*") if folder.name.lower() == FOLDER.lower())):
        found = {name: file for actor in sorted(top.glob("Actor_*")) for name, file in recordings(actor).items()}
        if found:
            return dict(sorted(found.items()))
    return {}


def _complaint(name: str, file: Path) -> str | None:
    fields = _NAME.fullmatch(name)
    if fields is None:
        return "not a name of RAVDESS (7 numbers, as in 03-01-06-01-02-01-12); take it out of the folder"
    if fields[1] != AUDIO_ONLY:
        return "not an audio-only recording (those begin with 03); take it out of the folder"
    if file.parent.name != f"Actor_{fields[7]}":
        return f"a recording of actor {fields[7]}; move it to the folder Actor_{fields[7]}"
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
