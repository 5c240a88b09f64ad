"""CGN, the Corpus Gesproken Nederlands: Dutch of the Netherlands and Flanders, from conversations to reading aloud.

Layout (version 2, as unpacked; audio, annotations and metadata may lie in folders of their own)::

    data/audio/wav/comp-a/nl/fn000248.wav           16 kHz, telephone (comp-c, comp-d) 8 kHz; of nl or vl
    data/annot/text/ort/comp-a/nl/fn000248.ort.gz   Praat's TextGrid in Latin-1, a tier of chunks per speaker; also .ort
    data/meta/text/speakers.txt                     table with tabs: ID, sex (sex1 male, sex2 female), birthYear, ...

Components: a conversations, b interviews with teachers, c and d telephone, e negotiations, f interviews and debates of
broadcasts, g debates and meetings, h lessons, i live commentaries, j reports, k news, l commentaries, m ceremonious
speeches, n lectures, o read speech. Chunks are of some seconds. Words may end in a mark: `*a` broken off, `*d` dialect,
`*v` foreign, `*z` accented, `*u` made up, `*x` not sure; `xxx` is not understood, `ggg` a sound of the speaker.

Source: https://taalmaterialen.ivdnt.org/download/tstc-corpus-gesproken-nederlands/. Licence: for research and products
that are not sold, on registration. Reference: Oostdijk: The Spoken Dutch Corpus: overview and first evaluation.
LREC 2000.
Layout read in: s5/local of https://github.com/laurensw75/kaldi_egs_CGN (audio, speakers.txt); utils/locations.py of
https://github.com/martijnbentum/CGN_AUDIO_EXTRACT (annotations);
https://lands.let.ru.nl/cgn/doc_Dutch/topics/version_1.0/metadata/speakers.htm (columns of speakers.txt).
"""

import gzip
import html
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from sibboleth.corpora import accented, layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.segments import textgrid
from sibboleth.segments.gathering import Gathering

LAYOUT = "CGN's folder has audio/wav/comp-a/nl/fn000248.wav and annot/text/ort/comp-a/nl/fn000248.ort.gz and their like"
SPEAKERS = "speakers.txt"
VARIETIES = {"nl": ("nl", "nl-NL"), "vl": ("nl-BE", "nl-BE")}
"""By folder: the language, and what the table of accents calls the variety."""
SEXES = {"sex1": "male", "sex2": "female"}
NOBODY = frozenset({"BACKGROUND", "COMMENT"})
"""Tiers that are no speaker's."""
UNKNOWN = "UNKNOWN"
"""Tier of somebody of whom nobody knows who it is: another one in each recording."""
PROVINCES = (
    (100, 129, "Brussel"),
    (150, 199, "Vlaams-Brabant"),
    (200, 299, "Antwerpen"),
    (300, 349, "Vlaams-Brabant"),
    (350, 399, "Belgisch-Limburg"),
    (800, 899, "West-Vlaanderen"),
    (900, 999, "Oost-Vlaanderen"),
)
"""First three digits of Belgian postcodes, by which CGN names places (`B-200`)."""
NOISES = frozenset({"xxx", "ggg"})

CARD = Card(
    title="Dutch of the Netherlands and of Flanders in fifteen kinds of speech, about 800 hours in chunks of seconds",
    languages=("nl", "nl-BE"),
    targets=("text", "accent", "dialect", "component"),
    address="https://taalmaterialen.ivdnt.org/download/tstc-corpus-gesproken-nederlands/",
    licence="for research and products that are not sold, on registration",
    reference="Oostdijk: The Spoken Dutch Corpus: overview and first evaluation. LREC 2000",
    layout="https://github.com/laurensw75/kaldi_egs_CGN/blob/master/s5/local/process_flist.pl",
    remarks=(
        "the whole corpus has 12,780 recordings; how many chunks they are is not published",
        "several people may speak at once; components c and d are telephone, c with each speaker in a channel",
        "dialect is the Flemish province of a speaker's school, else birth, else home; none is told of the Netherlands",
        "region has the corpus's own codes: no public source was found that says what each stands for, so none has a"
        " name here; the documentation that comes with the corpus says it",
    ),
)

_COMPONENT = re.compile(r"comp[-_]?([a-o])", re.IGNORECASE)
_ORT = re.compile(r"(.+)\.ort(?:\.gz)?", re.IGNORECASE)
_MARK = re.compile(r"\*[a-z]+\b")
_PLACE = re.compile(r"B-(\d{3})")


def prepare(root: Path) -> Corpus:
    """Make the corpus from its folder: a row per chunk of a speaker, of the recordings that there are.

    Columns: `component` (a to o), `sex`, `birth_year`, `transcript` (as written; `text` is without marks, null where
    nothing is left), and of the speaker `spoken` (standard, regiolect or dialect, as the corpus says), `region` and
    `place` (codes of where they went to school, else were born, else live). Raises `InvalidInput` when the folder is
    not CGN's, for recordings without transcript, and for transcripts that cannot be read.
    """
    audio = layouts.by_stem(root, layouts.recordings(root))
    transcripts = _transcripts(root)
    if not audio:
        raise refusals.no_recordings(root, LAYOUT)
    if not transcripts:
        raise InvalidInput(f"{root}: no transcripts (.ort or .ort.gz) in it or below. {LAYOUT}")
    problems = [
        Problem(str(file), f"has no transcript {name}.ort or {name}.ort.gz; get it, or take the recording out")
        for name, file in audio.items()
        if name not in transcripts
    ]
    chunks: list[_Chunk] = []
    for name, file in audio.items():
        if name in transcripts:
            try:
                chunks += _chunks(name, file, transcripts[name])
            except InvalidInput as error:
                problems += error.problems or [Problem(str(transcripts[name]), error.summary)]
    if problems:
        raise InvalidInput(f"{root}: not as published, or not complete", problems)
    people = _people(layouts.find(root, SPEAKERS))
    made = accented("cgn", (_row(root.absolute(), one, people) for one in chunks))
    return Corpus(made.name, made.table.drop("accents", "variant", strict=False))


@dataclass(frozen=True)
class _Chunk:
    """What somebody says between two pauses."""

    recording: str
    audio: Path
    number: int
    speaker: str
    start: float
    end: float
    said: str


def _transcripts(root: Path) -> dict[str, Path]:
    """Map recordings to their transcripts, of several to the one nearest to the root."""
    found: dict[str, Path] = {}
    for file in sorted(layouts.files(root), key=lambda file: (len(file.parts), str(file))):
        if name := _ORT.fullmatch(file.name):
            found.setdefault(name[1], file)
    return found


def _chunks(recording: str, audio: Path, path: Path) -> list[_Chunk]:
    gathering = Gathering(path)
    textgrid.take(_text(path), path, recording, gathering)
    rows = gathering.finish().table.sort("start", "end", "tier").select("start", "end", "label", "tier").iter_rows()
    kept = [(start, end, html.unescape(said), speaker) for start, end, said, speaker in rows if speaker not in NOBODY]
    return [
        _Chunk(recording, audio, number, f"{recording}-{UNKNOWN}" if speaker == UNKNOWN else speaker, start, end, said)
        for number, (start, end, said, speaker) in enumerate(kept, start=1)
    ]


def _text(path: Path) -> str:
    """Read a transcript, which may be compressed, in UTF-8 or Latin-1."""
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (OSError, EOFError, zlib.error) as error:
        broken = Problem(str(path), f"cannot be unpacked ({error}); copy it again")
        raise InvalidInput(f"{path}: not gzip", [broken]) from None
    return layouts.decoded(data)


def _row(root: Path, one: _Chunk, people: dict[str, dict[str, str | None]]) -> dict[str, object]:
    above = [part.lower() for part in one.audio.relative_to(root).parts[:-1]]
    component = next((found[1].lower() for part in above if (found := _COMPONENT.fullmatch(part))), None)
    # Names of recordings begin with fn in the Netherlands, with fv in Flanders.
    folder = next((part for part in above if part in VARIETIES), {"n": "nl", "v": "vl"}.get(one.recording[1:2].lower()))
    language, variety = VARIETIES.get(folder or "", ("nl", None))
    about = people.get(one.speaker, {})
    place = about.get("place")
    year = about.get("birthYear") or ""
    return {
        "utterance": f"{one.recording}-{one.number:04d}",
        "audio": str(one.audio),
        "start": one.start,
        "end": one.end,
        "speaker": one.speaker,
        "session": one.recording,
        "language": language,
        "text": _words(one.said),
        "component": component,
        "sex": SEXES.get(about.get("sex") or ""),
        "birth_year": int(year) if year.isdecimal() else None,
        "spoken": about.get("language"),
        "region": about.get("region"),
        "place": place,
        "transcript": one.said,
        "accents": variety,
        "variant": _province(place) if folder == "vl" else None,
    }


def _words(said: str) -> str | None:
    """Leave marks and what is no word out."""
    words = (_MARK.sub("", word) for word in said.split())
    kept = " ".join(word for word in words if word.strip(".,?!").lower() not in NOISES)
    return kept if any(letter.isalnum() for letter in kept) else None


def _province(place: str | None) -> str | None:
    code = _PLACE.match(place or "")
    return next((name for first, last, name in PROVINCES if code and first <= int(code[1]) <= last), None)


def _people(path: Path | None) -> dict[str, dict[str, str | None]]:
    """Read the table of speakers, if there is one; `region` and `place` are the first known of school, birth, home."""
    if path is None:
        return {}
    found = {}
    for row in layouts.table(path, ("ID", "sex"), delimiter="\t", quoted=False):
        values = {name: None if said in (None, "xxx", "unknown") else said for name, said in row.values.items()}
        for name in ("region", "place"):
            asked = (f"{when}{name.capitalize()}" for when in ("edu", "birth", "res"))
            values[name] = next((said for one in asked if (said := values.get(one))), None)
        if row["ID"]:
            found[row["ID"]] = values
    return found
