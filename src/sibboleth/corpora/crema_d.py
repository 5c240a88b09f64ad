"""CREMA-D, crowd-sourced emotional multimodal actors: English, 91 actors, 12 sentences, 6 emotions, 7,442 clips.

Layout (as published)::

    AudioWAV/1001_IEO_ANG_HI.wav    16 kHz; actor, sentence, emotion, level (LO, MD, HI, XX where none was asked for)
    AudioMP3/1001_IEO_ANG_HI.mp3    44.1 kHz; the same, of which the WAV is read where both are there
    VideoDemographics.csv           ActorID, Age, Sex, Race, Ethnicity
    finishedResponses.csv and others, of the crowd: see `crema_d_ratings`

The emotion is the one that was acted; from the voice alone the crowd often heard another, which is in the ratings.

Source: https://github.com/CheyneyComputerScience/CREMA-D. Licence: Open Database License 1.0, of its contents Database
Contents License 1.0. Reference: Cao, Cooper, Keutmann, Gur, Nenkova, Verma: CREMA-D: Crowd-sourced Emotional Multimodal
Actors Dataset. IEEE Transactions on Affective Computing 5(4), 2014.
Layout read in: README.md and VideoDemographics.csv there.
"""

import re
from pathlib import Path

import polars as pl

from sibboleth.corpora import assemble, crema_d_ratings, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus

LAYOUT = "CREMA-D's folder has AudioWAV/1001_IEO_ANG_HI.wav and its like, and VideoDemographics.csv"

EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgusted",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": None, "X": None}
"""Of the emotion; one clip is published as `1040_ITH_SAD_X`."""
ACTORS = range(1001, 1092)
FEMALE = frozenset(
    {1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028, 1029, 1030, 1037}
    | {1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063, 1072, 1073, 1074, 1075, 1076, 1078}
    | {1079, 1082, 1084, 1089, 1091}
)
"""Actors who said so of themselves; the others said male."""

CARD = Card(
    title="acted emotions in English: 91 actors, the same 12 sentences, at three levels, judged by a crowd",
    languages=("en",),
    targets=("emotion",),
    address="https://github.com/CheyneyComputerScience/CREMA-D",
    licence="Open Database License 1.0, of its contents Database Contents License 1.0",
    reference="Cao, Cooper, Keutmann, Gur, Nenkova, Verma: CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset."
    " IEEE Transactions on Affective Computing 5(4), 2014",
    layout="https://github.com/CheyneyComputerScience/CREMA-D/blob/master/README.md",
    counts={"utterances": 7442, "speakers": len(ACTORS)},
    labels={"emotion": EMOTIONS},
    remarks=(
        "the emotion is the one that was acted; what the crowd heard is in the ratings",
        "1076_MTI_SAD_XX is silent",
        "all actors say the same 12 sentences: the column sentence tells which",
    ),
)

_NAME = re.compile(rf"(\d{{4}})_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_({'|'.join(LEVELS)})", re.IGNORECASE)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `emotion` (acted), `level` (low, medium, high; null where none was asked for), `sex`, `sentence` (code),
    and `age`, `race` and `ethnicity` (null where VideoDemographics.csv is missing). Raises `InvalidInput` when the
    folder is not CREMA-D's.
    """
    files = layouts.by_stem(root, layouts.recordings(root))
    strange = [file for name, file in files.items() if not _known(name)]
    if strange:
        message = "not a name of CREMA-D (actor 1001 to 1091, sentence, emotion, level: 1001_IEO_ANG_HI); take it out"
        raise refusals.strangers(root, LAYOUT, files.values(), dict.fromkeys(strange, message))
    if not files:
        raise refusals.no_recordings(root, LAYOUT)
    actors = _actors(layouts.find(root, "VideoDemographics.csv"))
    return assemble("crema-d", (_row(name, file, actors) for name, file in files.items()))


def ratings(root: Path) -> pl.DataFrame | None:
    """Return what the crowd heard in the voice alone, as `crema_d_ratings` finds it; None where the folder has none."""
    found = layouts.find(root, "finishedResponses.csv") or layouts.find(root, "processedResults")
    return None if found is None else crema_d_ratings.ratings(found.parent)


def _known(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and int(found[1]) in ACTORS


def _row(name: str, file: Path, actors: dict[str, layouts.Row]) -> dict[str, object]:
    actor, sentence, emotion, level = name.upper().split("_")
    known = actors.get(actor)
    said = {column: known[column] if known else None for column in ("Age", "Race", "Ethnicity")}
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": actor,
        "language": "en",
        "text": SENTENCES[sentence],
        "emotion": EMOTIONS[emotion],
        "level": LEVELS[level],
        "sex": "female" if int(actor) in FEMALE else "male",
        "sentence": sentence,
        "age": layouts.number(said["Age"]),
        "race": said["Race"],
        "ethnicity": said["Ethnicity"],
    }


def _actors(path: Path | None) -> dict[str, layouts.Row]:
    rows = layouts.table(path, ["ActorID", "Age", "Sex", "Race", "Ethnicity"]) if path else []
    return {row["ActorID"] or "": row for row in rows}
