"""nEMO: emotional speech in Polish, 9 actors, 90 sentences, 6 emotions.

Layout (as in the published repository)::

    data.tsv                        file_id, emotion, raw_text, normalized_text, speaker_id, gender, age
    samples/KD0_neutral_2.wav       24 kHz; speaker, emotion, number of the sentence

Source: https://huggingface.co/datasets/amu-cai/nEMO and https://github.com/amu-cai/nEMO. Licence: CC BY-NC-SA 4.0.
Reference: Christop: nEMO, dataset of emotional speech in Polish. LREC-COLING 2024, https://arxiv.org/abs/2404.06292.
Layout read in: README.md and data.tsv of https://github.com/amu-cai/nEMO.
"""

from collections.abc import Iterator
from pathlib import Path

from sibboleth.corpora import assemble, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpora.layouts import Row
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "nEMO's folder has data.tsv and samples/KD0_neutral_2.wav and its like"
COLUMNS = ("file_id", "emotion", "raw_text", "normalized_text", "speaker_id", "gender", "age")
EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}

CARD = Card(
    title="acted emotions in Polish: 9 actors, the same 90 sentences in each of six emotions",
    languages=("pl",),
    targets=("emotion", "text"),
    address="https://huggingface.co/datasets/amu-cai/nEMO",
    licence="CC BY-NC-SA 4.0",
    reference="Christop: nEMO, dataset of emotional speech in Polish. LREC-COLING 2024, https://arxiv.org/abs/2404.06292",
    layout="https://github.com/amu-cai/nEMO",
    counts={
        "utterances": 4481,
        "speakers": 9,
        "emotion.angry": 749,
        "emotion.fearful": 736,
        "emotion.happy": 749,
        "emotion.neutral": 809,
        "emotion.sad": 769,
        "emotion.surprised": 669,
    },
    labels={"emotion": EMOTIONS},
    remarks=("all actors say the same sentences: whoever holds out actors alone tests on sentences of training",),
)


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder: every row of data.tsv.

    Columns: `sex`, `age`, `sentence` (number), `emotion`, `normalized_text`. Raises `InvalidInput` when the folder is
    not nEMO's, or recordings are missing.
    """
    path = layouts.need(root, "data.tsv", LAYOUT)
    files = {stem.lower(): file for stem, file in layouts.by_stem(root, layouts.recordings(root)).items()}
    if not files:
        raise refusals.no_recordings(root, LAYOUT)
    try:
        listed = layouts.table(path, COLUMNS, delimiter="\t", quoted=False)
    except InvalidInput as error:
        raise InvalidInput(f"{error.summary}. {LAYOUT}", error.problems) from None
    problems = [problem for row in listed for problem in _problems(row, files)]
    if problems or not listed:
        raise InvalidInput(f"{path}: not as published, or not complete", problems)
    return assemble("nemo", sorted((_row(row, files) for row in listed), key=lambda row: str(row["utterance"])))


def _problems(row: Row, files: dict[str, Path]) -> Iterator[Problem]:
    yield from (row.problem("is empty", column) for column in COLUMNS if row[column] is None)
    if row["emotion"] is not None and row["emotion"].lower() not in EMOTIONS:
        yield row.problem(f"{row['emotion']!r} is none of {', '.join(EMOTIONS)}", "emotion")
    if row["age"] is not None and layouts.number(row["age"]) is None:
        yield row.problem(f"{row['age']!r} is not a number of years", "age")
    if row["file_id"] is not None and _stem(row).lower() not in files:
        yield row.problem(f"no recording {row['file_id']} there or in folders below; download it again", "file_id")


def _row(row: Row, files: dict[str, Path]) -> dict[str, object]:
    name = _stem(row)
    return {
        "utterance": name,
        "audio": str(files[name.lower()]),
        "speaker": row["speaker_id"],
        "language": "pl",
        "text": row["raw_text"],
        "emotion": EMOTIONS[(row["emotion"] or "").lower()],
        "sex": (row["gender"] or "").lower(),
        "age": int(layouts.number(row["age"]) or 0),
        "sentence": name.rpartition("_")[2],
        "normalized_text": row["normalized_text"],
    }


def _stem(row: Row) -> str:
    return Path(row["file_id"] or "").stem
