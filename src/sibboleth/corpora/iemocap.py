"""IEMOCAP, interactive emotional dyadic motion capture: English, ten actors in five pairs, 10,039 utterances.

Layout (as unpacked)::

    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
                            16 kHz; session, which of the two wears markers, dialogue (improvised or scripted), who
                            speaks (F, M) and number
    Session1/dialog/transcriptions/Ses01F_impro01.txt
                            Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt
                            [6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5000, 2.5000, 2.5000]
                                    seconds, emotion, and means of valence, activation and dominance
                            C-E2:  Neutral; Sadness;  ()
                                    an evaluator, all emotions that they heard, a remark
                            A-E3:  val 3; act 2; dom 2;  ()
                                    an evaluator, from 1 to 5
                            C-F1:, A-M1: and their like
                                    the actors of themselves, not read

An emotion is what most evaluators heard; where nothing was heard by most (`xxx`) it is unknown. Many studies count
excited as happy: `labels = { excited = "happy" }` under `[[corpora]]`. Scripts are the same in all sessions.

Source: https://sail.usc.edu/iemocap/. Licence: for research, on a signed agreement.
Reference: Busso, Bulut, Lee, Kazemzadeh, Mower, Kim, Chang, Lee, Narayanan: IEMOCAP: interactive emotional dyadic
motion capture database. Language Resources and Evaluation 42(4), 2008.
Layout read in: datasets/IEMOCAP/process.py of https://github.com/Strong-AI-Lab/emotion (files, lines, evaluators) and
Doc/dataset/IEMOCAP.md of https://github.com/CXianRen/AMST (folders, an example, counts).
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from sibboleth import predictions
from sibboleth.corpora import assemble, layouts
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = (
    "IEMOCAP's folder has Session1/dialog/EmoEvaluation/Ses01F_impro01.txt and its like, and recordings"
    " Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
)

EMOTIONS = {
    "ang": "angry",
    "hap": "happy",
    "exc": "excited",
    "sad": "sad",
    "neu": "neutral",
    "fru": "frustrated",
    "fea": "fearful",
    "sur": "surprised",
    "dis": "disgusted",
    "oth": "other",
    "xxx": None,
}
"""Of utterances; None where most evaluators did not agree."""
HEARD = {
    "anger": "angry",
    "happiness": "happy",
    "excited": "excited",
    "sadness": "sad",
    "neutral": "neutral",
    "neutral state": "neutral",
    "frustration": "frustrated",
    "fear": "fearful",
    "surprise": "surprised",
    "disgust": "disgusted",
    "other": "other",
}
"""Words of evaluators, in lower case."""
DIMENSIONS = {"val": "valence", "act": "activation", "dom": "dominance"}
SCENARIOS = {"impro": "improvised", "script": "scripted"}

CARD = Card(
    title="acted dialogues in English: ten speakers, improvised and scripted, with each evaluator's labels",
    languages=("en",),
    targets=("emotion", "valence", "activation", "dominance", "text"),
    address="https://sail.usc.edu/iemocap/",
    licence="for research, on a signed agreement",
    reference="Busso et al.: IEMOCAP: interactive emotional dyadic motion capture database. LREV 42(4), 2008",
    layout="https://github.com/Strong-AI-Lab/emotion/blob/master/datasets/IEMOCAP/process.py",
    counts={
        "utterances": 10039,
        "speakers": 10,
        "emotion.angry": 1103,
        "emotion.happy": 595,
        "emotion.excited": 1041,
        "emotion.sad": 1084,
        "emotion.neutral": 1708,
        "emotion.frustrated": 1849,
        "emotion.fearful": 40,
        "emotion.surprised": 107,
        "emotion.disgusted": 2,
        "emotion.other": 3,
    },
    labels={"emotion": EMOTIONS},
    remarks=(
        "excited is a label of its own; many studies count it as happy",
        "2,507 utterances have no emotion that most evaluators heard",
        "scripted dialogues have the same text in all sessions",
    ),
)

_DIALOGUE = r"(Ses\d\d)[FM]_(impro|script)\w*"
_NAME = rf"{_DIALOGUE}_([FM])\d+"
_TURN = re.compile(rf"\[\s*(\S+)\s*-\s*(\S+?)\s*\]\s*({_NAME})\s+(\w+)\s*\[\s*(.*?)\s*\]?")
_TEXT = re.compile(r"(\w+)\s*\[[^]]*\]\s*:?\s*(.*)")
_ANSWER = re.compile(r"([CA])-(E\d+)\s*:([^(]*).*")
_SCORE = re.compile(rf"({'|'.join(DIMENSIONS)})\s*(\d)")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder, of which sessions may be missing; audio that is missing is where it should be.

    Columns: `emotion`, `sex`, `scenario` (improvised, scripted), `dialogue`, `dialogue_start` and `dialogue_end`
    (seconds), `valence`, `activation`, `dominance` (means, 1..5); `text` with marks such as [LAUGHTER]. Raises
    `InvalidInput` when the folder is not IEMOCAP's, or a dialogue has recordings and no evaluation.
    """
    evaluations = _lists(root, "EmoEvaluation")
    if not evaluations:
        raise InvalidInput(f"{root}: no Ses01F_impro01.txt or its like in a folder EmoEvaluation. {LAYOUT}")
    recordings = layouts.by_stem(root, layouts.recordings(root))
    spoken = (re.fullmatch(rf"({_DIALOGUE})_[FM]\d+", name) for name in recordings)
    problems = [
        Problem(str(root), f"{dialogue} has recordings, but no EmoEvaluation/{dialogue}.txt; put it back")
        for dialogue in sorted({name[1] for name in spoken if name} - set(evaluations))
    ]
    texts = {name: said for path in _lists(root, "transcriptions").values() for name, said in _texts(path)}
    rows = []
    for path in evaluations.values():
        for line, said in _lines(path):
            if said.startswith("["):
                row = _row(path, said, recordings, texts)
                problems += [Problem(str(path), row, line)] if isinstance(row, str) else []
                rows += [] if isinstance(row, str) else [row]
    if problems:
        raise InvalidInput(f"{root}: not as published", problems)
    return assemble("iemocap", sorted(rows, key=lambda row: str(row["utterance"])))


def ratings(root: Path) -> pl.DataFrame:
    """Return what each evaluator said as predictions: emotions, several as equal parts, and the three dimensions.

    Raises `InvalidInput` for lines that do not say an emotion of IEMOCAP.
    """
    rows: list[dict[str, object]] = []
    problems = []
    for path in _lists(root, "EmoEvaluation").values():
        utterance, times = "", Counter[tuple[str, str]]()
        for line, said in _lines(path):
            if turn := _TURN.fullmatch(said):
                utterance, times = turn[3], Counter()
            elif (answer := _ANSWER.fullmatch(said)) and utterance:
                kind, rater, text = answer.groups()
                about = {"utterance": utterance, "rater": rater, "trial": times[kind, rater]}
                times[kind, rater] += 1
                heard = _emotions(text) if kind == "C" else _scores(text)
                problems += [Problem(str(path), heard, line)] if isinstance(heard, str) else []
                rows += [] if isinstance(heard, str) else [about | one for one in heard]
    if problems:
        raise InvalidInput(f"{root}: evaluators' lines are not as published", problems)
    columns = {
        name: [row[name] for row in rows] for name in ("utterance", "rater", "trial", "target", "label", "value")
    }
    return predictions.table({"run": "iemocap", "source": "listener", **columns}).sort(predictions.KEY)


def _row(path: Path, said: str, recordings: dict[str, Path], texts: dict[str, str]) -> dict[str, object] | str:
    """Return the row of an utterance, or what is wrong with its line."""
    turn = _TURN.fullmatch(said)
    values = [layouts.number(value) for value in (turn[1], turn[2], *re.split(r"[,;]\s+", turn[8]))] if turn else []
    if turn is None or len(values) != 2 + len(DIMENSIONS) or None in values:
        return "expected [seconds - seconds], utterance, emotion, [valence, activation, dominance]"
    if turn[7].lower() not in EMOTIONS:
        return f"{turn[7]!r} is none of IEMOCAP's emotions: {', '.join(EMOTIONS)}"
    name, session, kind, speaker = turn[3], turn[4], turn[5], turn[6]
    expected = path.absolute().parents[2] / "sentences" / "wav" / path.stem / f"{name}.wav"
    return {
        "utterance": name,
        "audio": str(recordings.get(name, expected)),
        "speaker": session + speaker,
        "language": "en",
        "session": session,
        "text": texts.get(name),
        "emotion": EMOTIONS[turn[7].lower()],
        "sex": "female" if speaker == "F" else "male",
        "scenario": SCENARIOS[kind],
        "dialogue": path.stem,
        **dict(zip(("dialogue_start", "dialogue_end", *DIMENSIONS.values()), values, strict=True)),
    }


def _emotions(text: str) -> list[dict[str, object]] | str:
    words = dict.fromkeys(word.strip() for word in text.split(";") if word.strip())
    strange = [word for word in words if word.lower() not in HEARD]
    if strange:
        return f"{strange[0]!r} is none of the evaluators' emotions: {', '.join(HEARD)}"
    labels = dict.fromkeys(HEARD[word.lower()] for word in words)
    return [{"target": "emotion", "label": label, "value": 1 / len(labels)} for label in labels]


def _scores(text: str) -> list[dict[str, object]]:
    """Read what is said of each dimension; some published lines leave dominance out."""
    said = dict(_SCORE.findall(text))
    return [{"target": DIMENSIONS[short], "label": None, "value": float(score)} for short, score in said.items()]


def _lists(root: Path, folder: str) -> dict[str, Path]:
    """Map dialogues to their files in folders of that name."""
    found = (file for file in layouts.files(root) if file.parent.name.lower() == folder.lower())
    lists = [file for file in found if file.suffix.lower() == ".txt" and re.fullmatch(_DIALOGUE, file.stem)]
    return layouts.by_stem(root, lists)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines that say something, without blanks around them, and their numbers."""
    for line, said in enumerate(layouts.text(path).split("\n"), start=1):
        if said.strip():
            yield line, said.strip()


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield utterances and what is said in them; lines that name none are of speech that was not cut out."""
    for _, said in _lines(path):
        if (found := _TEXT.fullmatch(said)) and found[2]:
            yield found[1], found[2]
