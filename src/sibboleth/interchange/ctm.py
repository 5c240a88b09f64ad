"""CTM: each word with its time, `file channel begin duration word [confidence]`, as NIST's scoring toolkit has it.

A recording is an utterance, whose words are its text, and its column `segments`. A CTM says nothing of speakers.
"""

import json
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import segments
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput
from sibboleth.interchange.gathering import Asked, Gathered, after, seconds, tabulated
from sibboleth.interchange.stm import file_names, recordings
from sibboleth.interchange.writing import left_out, whole_file
from sibboleth.segments.gathering import Gathering, decoded, plain

SUFFIX = ".ctm"
FIELDS = 5
TIER = "word"


def recognises(place: Path) -> bool:
    """Tell a file by its ending."""
    return place.is_file() and place.suffix.lower() == SUFFIX


def read(place: str, asked: Asked) -> Gathered:
    """Read words; raises `InvalidInput` with every line that cannot be used, or whose recording is not there."""
    path = Path(place)
    gathering = Gathering(path)
    first: dict[tuple[str, str], int] = {}
    for number, line in enumerate(decoded(path).split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        if len(fields) < FIELDS:
            gathering.problem(number, "must be: file channel begin duration word [confidence]")
            continue
        name, channel, begin, duration, word = fields[:FIELDS]
        first.setdefault((name, channel), number)
        start, length = gathering.time(number, begin, "begin"), gathering.time(number, duration, "duration")
        if start is not None and length is not None:
            gathering.add(number, name, start, after(start, length), word, TIER)
    words = gathering.finish()
    if not first:
        raise InvalidInput(f"{path}: has no words")
    names, channels = ([key[k] for key in first] for k in (0, 1))
    lines = [(path, number) for number in first.values()]
    audio = recordings(path, pl.Series(names), pl.Series(channels), lines, asked.audio)
    rows = []
    for (name, channel), file in zip(first, audio, strict=True):
        spoken = words.of(name)
        listed: list[dict[str, Any]] = [{"start": s, "end": e, "label": word, "tier": TIER} for s, e, word in spoken]
        text = " ".join(word for *_, word in spoken)
        rows.append(
            {
                **{"utterance": name, "audio": file, "channel": channel, "text": text or None},
                "segments": json.dumps(listed, ensure_ascii=False),
            }
        )
    return Gathered(path.stem, tabulated(rows), words.notes)


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write the words of the column `segments`, and say what a CTM does not hold.

    Raises `InvalidInput` where there is no such column, and for words and names with blanks.
    """
    if place.suffix.lower() != SUFFIX:
        raise InvalidInput(f"{place}: a CTM ends in {SUFFIX}")
    table = corpus.table
    if segments.COLUMN not in table.columns:
        raise InvalidInput(
            f"{place}: a CTM has the time of each word, and the manifest has no column 'segments'; write STM"
        )
    named = file_names(corpus, place)
    folder = Path() if corpus.source is None else corpus.source.parent
    found = segments.of_manifest(table, folder, file=str(corpus.source or corpus.name))
    lines = []
    for row in table.iter_rows(named=True):
        for start, end, word in _words(found, row["utterance"]):
            if len(word.split()) != 1:
                raise InvalidInput(f"{place}: CTM cannot hold the blanks in {word!r} of {row['utterance']}; write STM")
            begin = after(row["start"] or 0.0, start)
            fields = (row.get("channel") or "1", plain(begin), plain(seconds(start, end)), word)
            lines.append((named[row["audio"]], begin, f"{named[row['audio']]} {' '.join(fields)}\n"))
    whole_file(place, "".join(line for *_, line in sorted(lines)).encode())
    known = ("utterance", "audio", "start", "end", "text", "channel", segments.COLUMN)
    return [*left_out(corpus, known, "CTM"), "CTM holds words and their times: texts that have no times are left out"]


def _words(found: segments.Segments, utterance: str) -> list[tuple[float, float, str]]:
    """Return the segments of the tier of words; of all, where there is no such tier."""
    mine = found.table.filter(pl.col("utterance") == utterance).sort("start", "end")
    spoken = mine.filter(pl.col("tier") == TIER)
    return list((mine if spoken.is_empty() else spoken).select("start", "end", "label").iter_rows())
