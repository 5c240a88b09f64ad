"""EdAcc, the Edinburgh International Accents of English Corpus: video calls of two friends, 40 hours, many accents.

Layout (as unpacked; in the release below edacc_v1.0)::

    data/EDACC-C35_P1.wav           32 kHz; a conversation, or a part of one
    dev/stm, test/stm               a segment a line: EDACC-C06 1 EDACC-C06-A 0.00 5.27 <male,l1> C ELEVEN ...
    linguistic_background.csv       what each speaker answered about themselves, a question a column

Both speakers are in one channel and may speak at once. What is heard beside words is in angle brackets; segments that
scoring passes over say IGNORE_TIME_SEGMENT_IN_SCORING. Utterances are called as on the Hugging Face Hub: recording and
number in it.

Source: https://doi.org/10.7488/ds/3832, also https://huggingface.co/datasets/edinburghcstr/edacc.
Licence: CC BY-SA 4.0. Reference: Sanabria, Bogoychev, Markl, Carmantini, Klejch, Bell: The Edinburgh International
Accents of English Corpus: towards the democratization of English ASR. ICASSP 2023, https://arxiv.org/abs/2303.18110.
Layout read in: lhotse/recipes/edacc.py of https://github.com/lhotse-speech/lhotse (folders, questions), and the script
that made the dataset on the Hub (lines of stm, names of utterances); counts in README.md there.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sibboleth.corpora import accented, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpora.layouts import Row
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "EdAcc's folder has data/EDACC-C06.wav and its like, dev/stm, test/stm and linguistic_background.csv"
BACKGROUND, PARTICIPANT = "linguistic_background.csv", "PARTICIPANT_ID"
WHO = r"(participant|speaker)( id)?|id"
"""What the column of speakers is called in copies."""
QUESTIONS = {
    "raw_accent": r"describe your accent|^(raw |self reported )?accent$",
    "first_language": r"\bl1s?\b|\b(first|native) languages?\b|\bmother tongues?\b",
    "other_languages": r"\bsecond languages?\b|\bother languages?\b|\bl2s?\b",
    "birth_year": r"\byear of birth\b|\bbirth ?year\b",
    "english_since": r"start learning english",
}
"""Columns, and what stands in the question that each answers; questions are worded otherwise in some copies."""
ORIGINS = ("raw_accent", "first_language")
"""Columns of which one must be there: without them nothing is known of accents."""
PARTS = {"dev": "dev", "validation": "dev", "test": "test"}
SEXES = ("female", "male")
NATIVE = {"l1": True, "l2": False}
UNSCORED, OVERLAP = "IGNORE_TIME_SEGMENT_IN_SCORING", "<overlap>"

CARD = Card(
    title="English of video calls between friends: conversations in many accents of first and second language",
    languages=("en",),
    targets=("accent", "text"),
    address="https://doi.org/10.7488/ds/3832",
    licence="CC BY-SA 4.0",
    reference="Sanabria, Bogoychev, Markl, Carmantini, Klejch, Bell: The Edinburgh International Accents of English"
    " Corpus. ICASSP 2023, https://arxiv.org/abs/2303.18110",
    layout="https://github.com/lhotse-speech/lhotse/blob/master/lhotse/recipes/edacc.py",
    counts={"utterances": 19137, "part.dev": 9848, "part.test": 9289},
    remarks=(
        "no part for training: who trains on it must divide it by session, since friends talk with each other",
        "both speakers are in one channel; the column overlap says where the other is heard, too",
        "accents are what speakers say of theirs",
    ),
)

_LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+<([^>]*)>\s*(.*)")
_PERSON = re.compile(r"[A-Za-z]+-?C0*(\d+)[-_]?P?([12AB])", re.IGNORECASE)
_EVENT = re.compile(r"<[^>]*>")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder: every segment of both parts that has a length.

    Columns: `part` (dev, test), `sex`, `native` (whether English is a first language), `raw_accent`, `first_language`,
    `other_languages`, `birth_year`, `english_since` (year), `transcript` (as written; `text` is without what is in
    brackets, null for what is not scored), `scored` and `overlap`. Raises `InvalidInput` when the folder is not that of
    EdAcc, for lines that are no segments, and for conversations that are missing.
    """
    lists = [
        (PARTS[file.parent.name.lower()], file)
        for file in layouts.files(root)
        if file.name.lower() in ("stm", "stm.txt") and file.parent.name.lower() in PARTS
    ]
    if not lists:
        raise InvalidInput(f"{root}: no dev/stm or test/stm in it or below. {LAYOUT}")
    people = _people(layouts.need(root, BACKGROUND, LAYOUT))
    audio = layouts.by_stem(root, layouts.recordings(root))
    if not audio:
        raise refusals.no_recordings(root, LAYOUT)
    read = [one for part, path in lists for one in _segments(part, path)]
    segments = [one for one in read if isinstance(one, _Segment)]
    problems = [one for one in read if isinstance(one, Problem)]
    missing = {one.recording: one for one in reversed(segments) if one.recording not in audio}
    problems += [
        Problem(str(one.path), f"no recording data/{one.recording}.wav; unpack data again", one.line)
        for one in reversed(missing.values())
    ]
    if problems:
        raise InvalidInput(f"{root}: not as published, or not complete", problems)
    return accented("edacc", (_row(one, audio[one.recording], people) for one in segments if one.end > one.start))


@dataclass(frozen=True)
class _Segment:
    """A line of an stm, and where it stands."""

    part: str
    path: Path
    line: int
    recording: str
    number: int
    speaker: str
    start: float
    end: float
    about: str
    said: str


def _segments(part: str, path: Path) -> Iterator[_Segment | Problem]:
    numbers: Counter[str] = Counter()
    for row, line in enumerate(layouts.text(path).split("\n"), start=1):
        if not line.strip() or line.startswith(";;"):
            continue
        found = _LINE.fullmatch(line.strip())
        start, end = (layouts.number(found[n]) for n in (4, 5)) if found else (None, None)
        if found is None or start is None or end is None:
            yield Problem(str(path), "expected recording, channel, speaker, start, end, <sex,l1> and text", row)
            continue
        numbers[found[1]] += 1
        yield _Segment(
            part, path, row, found[1], numbers[found[1]], found[3], start, end, found[6].lower(), found[7].strip()
        )


def _row(one: _Segment, audio: Path, people: dict[tuple[int, str], dict[str, str | None]]) -> dict[str, object]:
    about, scored = one.about.replace(" ", "").split(","), UNSCORED not in one.said
    answers = people.get(_person(one.speaker) or (0, ""), {})
    return {
        "utterance": f"{one.recording}-{one.number}",
        "audio": str(audio),
        "start": one.start,
        "end": one.end,
        "speaker": one.speaker,
        "session": re.sub(r"_P\d+$", "", one.recording),
        "language": "en",
        "text": " ".join(_EVENT.sub(" ", one.said).split()) or None if scored else None,
        "part": one.part,
        "sex": next((word for word in about if word in SEXES), None),
        "native": next((NATIVE[word] for word in about if word in NATIVE), None),
        **{name: answers.get(name) for name in QUESTIONS},
        "transcript": one.said,
        "scored": scored,
        "overlap": OVERLAP in one.said.lower(),
    }


def _people(path: Path) -> dict[tuple[int, str], dict[str, str | None]]:
    """Read the answers, by number of the conversation and who of the two it is."""
    rows = layouts.table(path, ())
    there = list(rows[0].values) if rows else []
    who = next((name for name in there if re.fullmatch(WHO, _plain(name))), None)
    if who is None:
        raise InvalidInput(f"{path}: no column {PARTICIPANT}; there are {', '.join(there) or 'none'}. {LAYOUT}")
    found = {}
    for row in rows:
        person = _person(row[who] or "")
        if person is not None:
            found[person] = {name: _answer(row, asked) for name, asked in QUESTIONS.items()}
    if not found:
        raise InvalidInput(f"{path}: no speaker such as EDACC-C06-A in {who}. {LAYOUT}")
    if not any(_asks(question, QUESTIONS[name]) for question in there for name in ORIGINS):
        raise InvalidInput(
            f"{path}: no column says what accent people have or what their first language is; there are"
            f" {', '.join(there)}. Call one 'How would you describe your accent in English?' or 'l1'"
        )
    return found


def _answer(row: Row, asked: str) -> str | None:
    return next((said for question, said in row.values.items() if said and _asks(question, asked)), None)


def _asks(question: str, asked: str) -> bool:
    return re.search(asked, _plain(question)) is not None


def _plain(question: str) -> str:
    """Write the name of a column in lower case, with single blanks for what parts words."""
    return " ".join(re.split(r"[\W_]+", question.lower())).strip()


def _person(speaker: str) -> tuple[int, str] | None:
    """Tell conversation and person of `EDACC-C06-A`, which some releases call `EAEC-C06P1`."""
    found = _PERSON.fullmatch(speaker)
    return (int(found[1]), {"1": "A", "2": "B"}.get(found[2], found[2].upper())) if found else None
