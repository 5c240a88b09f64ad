"""EmoDB, the Berlin database of emotional speech: German, 10 actors, 10 sentences, 7 emotions.

Layout (as unpacked from the published archive)::

    wav/03a01Fa.wav     16 kHz; speaker (2 characters), sentence (3), emotion (1), take (1)
    erkennung.txt       share of listeners who recognised the emotion, and who found it natural, in percent
    silb/, lablaut/     syllable and phone labels, not read

Source: http://emodb.bilderbar.info (also http://database.syntheticspeech.de). Licence: free to download, none stated.
Reference: Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss: A database of German emotional speech. Interspeech 2005.
"""

import re
from pathlib import Path

import polars as pl

from sibboleth.corpora import assemble, recordings, votes
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.metrics.classification import OTHER

LAYOUT = "EmoDB's folder has wav/03a01Fa.wav and its like, and erkennung.txt"

SPEAKERS = {
    "03": ("male", 31),
    "08": ("female", 34),
    "09": ("female", 21),
    "10": ("male", 32),
    "11": ("male", 26),
    "12": ("male", 30),
    "13": ("female", 32),
    "14": ("female", 35),
    "15": ("male", 25),
    "16": ("female", 31),
}
"""Sex and age in years."""

SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}

EMOTIONS = {
    "W": "angry",
    "L": "bored",
    "E": "disgusted",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
"""Letter of the German word: Wut (also Ärger), Langeweile, Ekel, Angst, Freude, Trauer, neutral."""

PANEL = (20, 21)
"""Listeners that a recording had."""
ROUNDING = 5.1e-5
"""Of a published share: half of the last digit of its percent, and a little for arithmetic."""

_NAME = re.compile(rf"({'|'.join(SPEAKERS)})({'|'.join(SENTENCES)})([{''.join(EMOTIONS)}])([a-z])")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `sex`, `age`, `sentence` (code), `emotion`, `recognition` and `naturalness` (shares of listeners, 0..1,
    null where the list lacks the file), `take`. Raises `InvalidInput` when the folder is not EmoDB's.
    """
    files = recordings(root / "wav")
    if not files:
        raise InvalidInput(f"{root}: no recordings in {root / 'wav'}. {LAYOUT}")
    strange = [name for name in files if not _NAME.fullmatch(name)]
    if strange:
        message = "not a name of EmoDB (speaker, sentence, emotion, take, as in 03a01Fa); take it out of the folder"
        raise InvalidInput(f"{root}: {LAYOUT}", [Problem(str(files[name]), message) for name in strange])
    judged = _judgements(root / "erkennung.txt")
    return assemble("emodb", (_row(name, file, judged) for name, file in files.items()))


def ratings(root: Path) -> pl.DataFrame:
    """Return the votes of the perception test as predictions: who recognised the emotion, and who heard `(other)`.

    Of the published shares all are exact for 20 or 21 listeners, so that their number can be told (20, where both
    would do). What the others heard instead is not published. A share that is neither leaves its recording out.
    The recordings that were published are those that were recognised well, so this says more of them than of people.
    """
    judged = _judgements(root / "erkennung.txt")
    found = {}
    for name in recordings(root / "wav"):
        counted = _votes(judged[name][0]) if name in judged and _NAME.fullmatch(name) else None
        if counted is not None:
            hits, listeners = counted
            found[name] = {EMOTIONS[name[5]]: hits, OTHER: listeners - hits}
    return votes.table("emodb", "emodb-panel", "emotion", found)


def _votes(share: float) -> tuple[int, int] | None:
    """Return how many recognised an emotion, and of how many."""
    for listeners in PANEL:
        hits = round(share * listeners)
        if abs(hits / listeners - share) <= ROUNDING:
            return hits, listeners
    return None


def _row(name: str, file: Path, judged: dict[str, tuple[float, float]]) -> dict[str, object]:
    speaker, sentence, emotion, take = name[:2], name[2:5], name[5], name[6]
    sex, age = SPEAKERS[speaker]
    recognition, naturalness = judged.get(name, (None, None))
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": speaker,
        "language": "de",
        "text": SENTENCES[sentence],
        "emotion": EMOTIONS[emotion],
        "sex": sex,
        "age": age,
        "sentence": sentence,
        "take": take,
        "recognition": recognition,
        "naturalness": naturalness,
    }


def _judgements(path: Path) -> dict[str, tuple[float, float]]:
    """Read what listeners said, by file: shares who recognised the emotion and who found it natural."""
    if not path.is_file():
        raise InvalidInput(f"{path}: missing; it says how many listeners recognised each emotion. {LAYOUT}")
    found: dict[str, tuple[float, float]] = {}
    problems = []
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), start=1):
        values = [value.strip() for value in line.split("\t")]
        if number == 1 or not any(values):
            continue
        try:
            _, name, recognised, natural = values
            found[Path(name).stem] = (_share(recognised), _share(natural))
        except ValueError:
            problems.append(Problem(str(path), "expected number, file, percent recognised, percent natural", number))
    if problems:
        raise InvalidInput(f"{path}: not the published list", problems)
    return found


def _share(percent: str) -> float:
    return round(float(percent.replace(",", ".")) / 100, 6)
