"""nEMO: emotional speech in Polish, 9 actors, 90 sentences, 6 emotions.

Layout (as in the published repository)::

    data.tsv                        file_id, emotion, raw_text, normalized_text, speaker_id, gender, age
    samples/KD0_neutral_2.wav       24 kHz; speaker, emotion, number of the sentence

Source: https://huggingface.co/datasets/amu-cai/nEMO and https://github.com/amu-cai/nEMO. Licence: CC BY-NC-SA 4.0.
Reference: Christop: nEMO, dataset of emotional speech in Polish. LREC-COLING 2024, https://arxiv.org/abs/2404.06292.
"""

from pathlib import Path

from sibboleth.corpora import assemble, recordings
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


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder: every row of data.tsv.

    Columns: `sex`, `age`, `sentence` (number), `emotion`, `normalized_text`. Raises `InvalidInput` when the folder is
    not nEMO's, or recordings are missing.
    """
    path = root / "data.tsv"
    if not path.is_file():
        raise InvalidInput(f"{path}: missing. {LAYOUT}")
    files = recordings(root / "samples")
    if not files:
        raise InvalidInput(f"{root}: no recordings in {root / 'samples'}. {LAYOUT}")
    rows = []
    problems = []
    for number, values in _read(path):
        name = Path(values["file_id"]).stem
        if values["emotion"] not in EMOTIONS:
            message = f"{values['emotion']!r} is none of {', '.join(EMOTIONS)}"
            problems.append(Problem(str(path), message, number, "emotion"))
        if not values["age"].isdigit():
            problems.append(Problem(str(path), f"{values['age']!r} is not a number of years", number, "age"))
        if name not in files:
            message = f"no such recording in {root / 'samples'}; download it again"
            problems.append(Problem(str(path), message, number, "file_id"))
        if not problems:
            rows.append(_row(name, files[name], values))
    if problems:
        raise InvalidInput(f"{path}: not as published, or not complete", problems)
    return assemble("nemo", sorted(rows, key=lambda row: str(row["utterance"])))


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows with their lines; values have blanks around them in the published file."""
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    records = [(n, [value.strip() for value in line.split("\t")]) for n, line in enumerate(lines, start=1)]
    header = records[0][1]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise InvalidInput(f"{path}: columns {', '.join(missing)} are missing; there are {', '.join(header)}. {LAYOUT}")
    rows = [(n, values) for n, values in records[1:] if any(values)]
    ragged = [
        Problem(str(path), f"has {len(v)} values, the header {len(header)}", n)
        for n, v in rows
        if len(v) != len(header)
    ]
    if ragged or not rows:
        raise InvalidInput(f"{path}: not as published; download it again", ragged)
    return [(n, dict(zip(header, values, strict=True))) for n, values in rows]


def _row(name: str, file: Path, values: dict[str, str]) -> dict[str, object]:
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": values["speaker_id"],
        "language": "pl",
        "text": values["raw_text"],
        "emotion": EMOTIONS[values["emotion"]],
        "sex": values["gender"],
        "age": int(values["age"]),
        "sentence": name.rpartition("_")[2],
        "normalized_text": values["normalized_text"],
    }
