"""ESD, the Emotional Speech Dataset: ten speakers of Mandarin and ten of English, 350 sentences in 5 emotions each.

Layout (as unpacked)::

    0001/0001.txt               number of the utterance, text and emotion (its English or Mandarin name), between tabs;
                                in UTF-8, UTF-16, GBK or Latin-1
    0001/Angry/0001_000351.wav  16 kHz; speaker (0001-0010 Mandarin, 0011-0020 English) and number; one release keeps
                                them in folders train, evaluation and test below that of the emotion

Numbers 1 to 350 are neutral, then come 350 each that are angry, happy, sad and surprised. The n-th of each is the same
sentence, spoken by all speakers of the language, so whoever holds out speakers alone tests on sentences of training.

Source: https://github.com/HLTSingapore/Emotional-Speech-Data. Licence: for research, on a signed agreement.
Reference: Zhou, Sisman, Liu, Li: Emotional voice conversion: theory, databases and ESD. Speech Communication 137, 2022.
Layout read in: README.md there; datasets/ESD/process.py of https://github.com/Strong-AI-Lab/emotion (folders, lists and
their encodings, sexes); data/esd/process_database.py of https://github.com/felixbur/nkululeko (no folders of parts).
"""

import re
from collections.abc import Iterable
from pathlib import Path

from sibboleth.corpora import assemble, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus

LAYOUT = "ESD's folder has 0001/Angry/0001_000351.wav and its like, and lists of texts such as 0001/0001.txt"

EMOTIONS = {"Neutral": "neutral", "Angry": "angry", "Happy": "happy", "Sad": "sad", "Surprise": "surprised"}
"""Names of folders, in the order of the numbers."""
MANDARIN = ("中立", "生气", "快乐", "伤心", "惊喜")
"""What the lists of speakers of Mandarin call them, in the same order."""
SENTENCES = 350
"""Sentences per language: so many utterances of one emotion follow one another."""
PARTS = {"train": "train", "evaluation": "dev", "test": "test"}
"""Folders of the release that has them."""
MALE = frozenset({"0004", "0005", "0006", "0008", "0010", "0011", "0012", "0013", "0014", "0020"})
SPEAKERS = 20
ENGLISH = 11
"""Number of the first speaker of English."""

CARD = Card(
    title="acted emotions in Mandarin and English: 20 speakers, the same 350 sentences in each of five",
    languages=("zh", "en"),
    targets=("emotion", "text"),
    address="https://github.com/HLTSingapore/Emotional-Speech-Data",
    licence="for research, on a signed agreement",
    reference="Zhou, Sisman, Liu, Li: Emotional voice conversion: theory, databases and ESD. Speech Comm. 137, 2022",
    layout="https://github.com/Strong-AI-Lab/emotion/blob/master/datasets/ESD/process.py",
    counts={
        "utterances": 35000,
        "speakers": SPEAKERS,
        **{f"emotion.{emotion}": 7000 for emotion in EMOTIONS.values()},
    },
    labels={"emotion": EMOTIONS},
    remarks=("all speakers of a language say the same sentences: the column sentence tells which",),
)

_NAME = re.compile(r"(\d{4})_(\d{6})")
_LIST = re.compile(r"\d{4}")
_LINE = re.compile(r"\W*(\d{4}_\d{6})[\s,;|]+(.*)")
_LABEL = re.compile(rf"[\s,;|]*(?:{'|'.join((*EMOTIONS, *MANDARIN))})\W*$")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder, which may have speakers of one language alone.

    Columns: `emotion`, `sex`, `sentence` (language and number, `zh001`), `part` (train, dev, test; null in the release
    that has no folders of parts); `text` is null where the list of a speaker is missing or lacks it. Raises
    `InvalidInput` when the folder is not ESD's, or a recording lies with those of another emotion.
    """
    found = layouts.recordings(root)
    if not found:
        raise refusals.no_recordings(root, LAYOUT)
    if wrong := {file: complaint for file in found if (complaint := _complaint(root.absolute(), file))}:
        raise refusals.strangers(root, LAYOUT, found, wrong)
    texts = _texts(layouts.files(root))
    return assemble(
        "esd", (_row(root.absolute(), name, file, texts) for name, file in layouts.by_stem(root, found).items())
    )


def _complaint(root: Path, file: Path) -> str | None:
    name = _NAME.fullmatch(file.stem)
    if not name or not 1 <= int(name[1]) <= SPEAKERS or not 1 <= int(name[2]) <= SENTENCES * len(EMOTIONS):
        return (
            "not a name of ESD (speaker 0001 to 0020, number 1 to 1750, as in 0001_000351); take it out of the folder"
        )
    said, meant = _folder(root, file, EMOTIONS), _folder_of(int(name[2]))
    if said is not None and said != meant:
        return f"lies in {said}, but by its number it is {meant}; move it"
    return None


def _row(root: Path, name: str, file: Path, texts: dict[str, str]) -> dict[str, object]:
    speaker, number = name[:4], int(name[5:])
    language = "en" if int(speaker) >= ENGLISH else "zh"
    return {
        "utterance": name,
        "audio": str(file),
        "speaker": speaker,
        "language": language,
        "text": texts.get(name),
        "emotion": EMOTIONS[_folder_of(number)],
        "sex": "male" if speaker in MALE else "female",
        "sentence": f"{language}{(number - 1) % SENTENCES + 1:03d}",
        "part": PARTS.get(_folder(root, file, PARTS) or ""),
    }


def _folder_of(number: int) -> str:
    """Name the emotion of an utterance as folders do."""
    return list(EMOTIONS)[(number - 1) // SENTENCES]


def _folder(root: Path, file: Path, names: Iterable[str]) -> str | None:
    """Return which of these folders, in any case, a file lies in; None without."""
    known = {name.lower(): name for name in names}
    above = (part.lower() for part in reversed(file.relative_to(root).parts[:-1]))
    return next((known[part] for part in above if part in known), None)


def _texts(files: Iterable[Path]) -> dict[str, str]:
    """Read what is said, by utterance; lines that name none are passed over, of which the published lists have some."""
    found = {}
    for path in files:
        if path.suffix.lower() == ".txt" and _LIST.fullmatch(path.stem):
            mandarin = int(path.stem) < ENGLISH
            lines = layouts.text(path, otherwise="gb18030" if mandarin else "cp1252").split("\n")
            for line in filter(None, map(_LINE.fullmatch, lines)):
                found[line[1]] = " ".join(_LABEL.sub("", line[2]).split())
    return {name: text for name, text in found.items() if text}
