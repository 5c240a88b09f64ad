"""L2-ARCTIC: English read by 24 people of six first languages, two women and two men each, and a story that 22 retell.

Layout (version 5, with each speaker's archive unpacked)::

    ABA/wav/arctic_a0001.wav                44.1 kHz; CMU ARCTIC's sentences, most speakers all 1,132 of them
    ABA/transcript/arctic_a0001.txt         its text
    ABA/annotation/arctic_a0001.TextGrid    words and phones by hand, of about 150 sentences per speaker
    ABA/textgrid/arctic_a0001.TextGrid      words and phones by machine, not read
    suitcase_corpus/{wav,transcript,annotation}/aba.wav     the story; without SKA and ASI

In an annotation a phone that is not as it should be is written `expected,heard,kind`: substituted (`s`), deleted (`d`,
heard as `sil`) or added (`a`, expected as `sil`); an asterisk marks a phone with an accent, `err` one that is none of
English. The segments are the phones that were heard, without stress; silence is none.

Source: https://psi.engr.tamu.edu/l2-arctic-corpus/. Licence: CC BY-NC 4.0.
Reference: Zhao, Sonsaat, Silpachai, Lucic, Chukharev-Hudilainen, Levis, Gutierrez-Osuna: L2-ARCTIC: a non-native
English speech corpus. Interspeech 2018.
Layout read in: https://psi.engr.tamu.edu/l2-arctic-corpus-docs (counts, speakers without the story);
lhotse/recipes/l2_arctic.py of https://github.com/lhotse-speech/lhotse (folders, speakers, counts);
egs/attention_aug/local/l2arctic_prep.py of https://github.com/cageyoko/CTC-Attention-Mispronunciation (annotations).
"""

import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from sibboleth import segments
from sibboleth.corpora import accented, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.segments.table import Segments, table

LAYOUT = "L2-ARCTIC's folder has ABA/wav/arctic_a0001.wav and its like, of 24 speakers"

SPEAKERS = {
    "ABA": ("male", "Arabic"),
    "SKA": ("female", "Arabic"),
    "YBAA": ("male", "Arabic"),
    "ZHAA": ("female", "Arabic"),
    "BWC": ("male", "Mandarin"),
    "LXC": ("female", "Mandarin"),
    "NCC": ("female", "Mandarin"),
    "TXHC": ("male", "Mandarin"),
    "ASI": ("male", "Hindi"),
    "RRBI": ("male", "Hindi"),
    "SVBI": ("female", "Hindi"),
    "TNI": ("female", "Hindi"),
    "HJK": ("female", "Korean"),
    "HKK": ("male", "Korean"),
    "YDCK": ("female", "Korean"),
    "YKWK": ("male", "Korean"),
    "EBVS": ("male", "Spanish"),
    "ERMS": ("male", "Spanish"),
    "MBMPS": ("female", "Spanish"),
    "NJS": ("female", "Spanish"),
    "HQTV": ("male", "Vietnamese"),
    "PNV": ("female", "Vietnamese"),
    "THV": ("female", "Vietnamese"),
    "TLV": ("male", "Vietnamese"),
}
"""Sex and first language."""

STORY = "suitcase"
"""What stands for the sentence where the story is retold."""
BROKEN = frozenset({("YDCK", "arctic_a0209"), ("YDCK", "arctic_a0272")})
"""Whose published annotations have intervals that end before they start: annotated, but without segments."""
ANNOTATION, TIER = "annotation", "phones"
SILENCE = frozenset({"", "SIL", "SP", "SPN"})
KINDS = frozenset("sda")

CARD = Card(
    title="English of 24 people with six first languages: the same sentences by all, a part with phones by hand",
    languages=("en",),
    targets=("accent", "text", "segments"),
    address="https://psi.engr.tamu.edu/l2-arctic-corpus/",
    licence="CC BY-NC 4.0",
    reference="Zhao, Sonsaat, Silpachai, Lucic, Chukharev-Hudilainen, Levis, Gutierrez-Osuna: L2-ARCTIC: a non-native"
    " English speech corpus. Interspeech 2018",
    layout="https://github.com/lhotse-speech/lhotse/blob/master/lhotse/recipes/l2_arctic.py",
    counts={"utterances": 26889, "speakers": 24, "part.read": 26867, "part.suitcase": 22},
    remarks=(
        "all speakers read the same sentences: who holds out speakers alone tests on texts of training",
        "an accent is four voices, two of them women's",
        "its licence is known from others who use the corpus: read it where the corpus is had",
        "annotations say what was heard, which need not be what the text asks for",
    ),
)

_SENTENCE = re.compile(r"(?:.*[_-])?(arctic_[ab]\d{4})", re.IGNORECASE)
_MARKS = "*`_() "


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder; the story is there if its folder is.

    Columns: `sex`, `l1`, `part` (read, suitcase), `sentence` (`arctic_a0001`), `annotated`, and of annotated utterances
    `errors` (phones substituted, deleted and added) and `segments` (JSON). A recording without a transcript has no
    text. Raises `InvalidInput` when the folder is not that of L2-ARCTIC, and for annotations that cannot be read.
    """
    root = root.absolute()
    files = list(layouts.files(root))
    recordings = layouts.recordings(root)
    if not recordings:
        zipped = any(file.suffix.lower() == ".zip" and file.stem.upper() in SPEAKERS for file in files)
        hint = "; unpack the speakers' archives, such as ABA.zip" if zipped else ""
        raise refusals.no_recordings(root, LAYOUT, hint)
    if strange := [file for file in recordings if _names(file) is None]:
        message = "not L2-ARCTIC's (a speaker's folder, and a name such as arctic_a0001); take it out of the folder"
        raise refusals.strangers(root, LAYOUT, recordings, dict.fromkeys(strange, message))
    audio = _by_utterance(recordings)
    texts = _by_utterance(file for file in files if file.suffix.lower() == ".txt")
    grids = _by_utterance(
        file
        for file in files
        if file.suffix.lower() == ".textgrid" and ANNOTATION in (part.lower() for part in file.parts)
    )
    heard = _heard({names: grids[names] for names in audio if names in grids})
    return accented("l2-arctic", (_row(names, file, texts, grids, heard) for names, file in sorted(audio.items())))


def _names(file: Path) -> tuple[str, str] | None:
    """Tell speaker and sentence from a file's name and the nearest folder of a speaker above it."""
    if file.stem.upper() in SPEAKERS:
        return file.stem.upper(), STORY
    sentence = _SENTENCE.fullmatch(file.stem)
    above = (part.upper() for part in (*re.split("[_-]", file.stem)[:1], *reversed(file.parts[:-1])))
    speaker = next((part for part in above if part in SPEAKERS), None)
    return (speaker, sentence[1].lower()) if sentence and speaker else None


def _by_utterance(files: Iterable[Path]) -> dict[tuple[str, str], Path]:
    """Map speaker and sentence to a file, where there are several to the one nearest to the root."""
    found: dict[tuple[str, str], Path] = {}
    for file in sorted(files, key=lambda file: (len(file.parts), str(file))):
        if names := _names(file):
            found.setdefault(names, file)
    return found


def _row(
    names: tuple[str, str],
    file: Path,
    texts: dict[tuple[str, str], Path],
    grids: dict[tuple[str, str], Path],
    heard: dict[str, tuple[int, str]],
) -> dict[str, object]:
    speaker, sentence = names
    sex, first = SPEAKERS[speaker]
    errors, listed = heard.get(_utterance(names), (None, None))
    return {
        "utterance": _utterance(names),
        "audio": str(file),
        "speaker": speaker,
        "language": "en",
        "text": " ".join(layouts.text(texts[names]).split()) or None if names in texts else None,
        "sex": sex,
        "l1": first,
        "part": STORY if sentence == STORY else "read",
        "sentence": sentence,
        "annotated": names in grids,
        "errors": errors,
        "segments": listed,
    }


def _utterance(names: tuple[str, str]) -> str:
    return "-".join(names)


def _heard(grids: dict[tuple[str, str], Path]) -> dict[str, tuple[int, str]]:
    """Read the annotations: how many phones are not as they should be, and those that were heard, as JSON."""
    errors: dict[str, int] = {}
    rows: list[tuple[str, float, float, str, str | None]] = []
    problems: list[Problem] = []
    for names, path in grids.items():
        try:
            labels = _labels(path)
        except InvalidInput as error:
            if names not in BROKEN:
                problems += error.problems or [Problem(str(path), error.summary)]
            continue
        utterance = _utterance(names)
        errors[utterance] = sum(len(fields) > 2 and fields[2].lower()[:1] in KINDS for _, _, fields in labels)
        rows += ((utterance, start, end, phone, None) for start, end, phone in _phones(labels))
    if problems:
        raise InvalidInput("annotations that cannot be read; take them out of the folder or mend them", problems)
    columns = segments.in_manifest(Segments(table(rows), silent=frozenset(errors)))
    listed = dict(zip(columns["utterance"], columns["segments"], strict=True))
    return {utterance: (number, listed[utterance]) for utterance, number in errors.items()}


def _labels(path: Path) -> list[tuple[float, float, list[str]]]:
    """Return start, end and fields of the labels of phones."""
    found = segments.read(path).table.filter(pl.col("tier").str.to_lowercase() == TIER)
    rows = found.select("start", "end", "label").iter_rows()
    return [(start, end, "".join(label.split()).split(",")) for start, end, label in rows]


def _phones(labels: list[tuple[float, float, list[str]]]) -> Iterator[tuple[float, float, str]]:
    for start, end, fields in labels:
        phone = fields[min(1, len(fields) - 1)].strip(_MARKS).rstrip(string.digits).upper()
        if phone not in SILENCE:
            yield start, end, phone
