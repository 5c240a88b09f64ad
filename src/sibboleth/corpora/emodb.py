"""EmoDB, the Berlin database of emotional speech: German, 10 actors, 10 sentences, 7 emotions.

Layout (as unpacked from the published archive)::

    wav/03a01Fa.wav     16 kHz; speaker (2 characters), sentence (3), emotion (1), take (1)
    erkennung.txt       share of listeners who recognised the emotion, and who found it natural, in percent; copies
                        that are passed on often lack it
    silb/, lablaut/     syllable and phone labels, not read

Source: http://emodb.bilderbar.info (also http://database.syntheticspeech.de). Licence: free to download, none stated.
Reference: Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss: A database of German emotional speech. Interspeech 2005.
Layout read in: http://emodb.bilderbar.info/index-1280.html and the published archive.
"""

import re
from pathlib import Path

import polars as pl

from sibboleth.corpora import assemble, layouts, names, votes
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.metrics.classification import OTHER

LAYOUT = "EmoDB's folder has wav/03a01Fa.wav and its like, and erkennung.txt"
FORM = "speaker, sentence, emotion, take, as in 03a01Fa"
JUDGED = "erkennung.txt"

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

CARD = Card(
    title="acted emotions in German: 10 actors, the same 10 sentences in each of seven emotions",
    languages=("de",),
    targets=("emotion", "text"),
    address="http://emodb.bilderbar.info",
    licence="none stated; free to download",
    reference="Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss: A database of German emotional speech. Interspeech 2005",
    layout="http://emodb.bilderbar.info/index-1280.html",
    counts={
        "utterances": 535,
        "speakers": len(SPEAKERS),
        "emotion.angry": 127,
        "emotion.bored": 81,
        "emotion.disgusted": 46,
        "emotion.fearful": 69,
        "emotion.happy": 71,
        "emotion.neutral": 79,
        "emotion.sad": 62,
    },
    labels={"emotion": EMOTIONS},
    remarks=(
        "all actors say the same ten sentences: whoever holds out actors alone tests on sentences of training",
        "only what at least 80 % of the listeners recognised was published, so people do well on it",
    ),
)

_NAME = re.compile(rf"({'|'.join(SPEAKERS)})({'|'.join(SENTENCES)})([{''.join(EMOTIONS)}])([a-z])", re.IGNORECASE)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder.

    Columns: `sex`, `age`, `sentence` (code), `emotion`, `recognition` and `naturalness` (shares of listeners, 0..1,
    null where the list or the file in it is missing), `take`. Raises `InvalidInput` when the folder is not EmoDB's.
    """
    files = names.recordings(root, _name, LAYOUT, FORM)
    judged = _judgements(root)
    return assemble("emodb", (_row(name, file, judged) for name, file in files.items()))


def ratings(root: Path) -> pl.DataFrame | None:
    """Return the votes of the perception test as predictions: who recognised the emotion, and who heard `(other)`.

    None where the list of them is missing.

    Of the published shares all are exact for 20 or 21 listeners, so that their number can be told (20, where both
    would do). What the others heard instead is not published. A share that is neither leaves its recording out.
    The recordings that were published are those that were recognised well, so this says more of them than of people.
    """
    judged = _judgements(root)
    if not judged:
        return None
    found = {}
    for name in names.recordings(root, _name, LAYOUT, FORM):
        counted = _votes(judged[name][0]) if name in judged else None
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


def _name(file: Path) -> str | None:
    """Return speaker, sentence, emotion and take in the case in which they are published."""
    found = _NAME.fullmatch(file.stem.strip())
    return None if found is None else f"{found[1]}{found[2].lower()}{found[3].upper()}{found[4].lower()}"


def _judgements(root: Path) -> dict[str, tuple[float, float]]:
    """Read what listeners said, by file: shares who recognised the emotion and who found it natural; none without."""
    path = layouts.find(root, JUDGED)
    if path is None:
        return {}
    judged: dict[str, tuple[float, float]] = {}
    problems = []
    for number, line in enumerate(layouts.text(path).split("\n"), start=1):
        values = line.replace(";", " ").replace("%", " ").split()
        if number == 1 or not values:
            continue
        recognised, natural = map(layouts.number, values[2:]) if len(values) == 4 else (None, None)
        if recognised is None or natural is None:
            problems.append(Problem(str(path), "expected number, file, percent recognised, percent natural", number))
            continue
        file = Path(values[1])
        judged[_name(file) or file.stem] = (round(recognised / 100, 6), round(natural / 100, 6))
    if problems:
        raise InvalidInput(f"{path}: not the published list", problems)
    return judged
