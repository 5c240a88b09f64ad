"""STM: who said what when, `file channel speaker begin end [<label>] words`, as NIST's scoring toolkit has it.

A recording is found by its name without ending, beside the STM or below `audio`; `foreign.nist` says how utterances are
called. A folder of STM files is read as one, as TED-LIUM has them.
"""

from pathlib import Path

import polars as pl

from sibboleth.corpora import layouts
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.foreign import nist
from sibboleth.interchange import emobox
from sibboleth.interchange.gathering import Asked, Gathered, stems
from sibboleth.interchange.writing import durations, left_out, simple, whole_file
from sibboleth.segments.gathering import plain

SUFFIX = ".stm"
SPHERE = ".sph"
"""NIST's own format of recordings, which libsndfile reads where it is not compressed."""
WRITTEN = ("audio", "start", "end", "speaker", "text", "channel", "subset", "file")


def recognises(place: Path) -> bool:
    """Tell a file by its ending, and a folder by such files."""
    return place.suffix.lower() == SUFFIX if place.is_file() else bool(_files(place))


def read(place: str, asked: Asked) -> Gathered:
    """Read segments; raises `InvalidInput` with every line that cannot be used, or whose recording is not there."""
    path = Path(place)
    files = [path] if path.is_file() else _files(path)
    notes: list[str] = []
    found = [nist.read(file, notes, answers=False) for file in files]
    rows = pl.concat([one.frame for one in found])
    lines = [(one.path, row) for one in found for row in one.rows]
    audio = recordings(path, rows["file"], rows["channel"], lines, asked.audio)
    times = [pl.col(name).cast(pl.Float64) for name in ("start", "end")]
    return Gathered(path.stem, rows.with_columns(audio, *times).drop("file"), tuple(notes))


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob(f"*{SUFFIX}")) if file.name != emobox.SPEAKERS]


def recordings(
    path: Path, names: pl.Series, channels: pl.Series, lines: list[tuple[Path, int]], audio: Path | None
) -> pl.Series:
    """Find recordings by their names, beside a file or below a folder.

    Raises `InvalidInput` for those that are not there, and for those of which several channels are named: a
    recording is heard as the mean of its channels.
    """
    folder = audio if audio is not None else path if path.is_dir() else path.parent
    there = [file for file in layouts.files(folder) if file.suffix.lower() in (*layouts.SUFFIXES, SPHERE)]
    by_stem = layouts.by_stem(folder, there)
    problems: dict[str, Problem] = {}
    several = (
        pl.DataFrame({"name": names, "channel": channels}).unique().group_by("name").len().filter(pl.col("len") > 1)
    )
    split = set(several["name"])
    for name, (file, line) in zip(names, lines, strict=True):
        if name not in by_stem:
            problems.setdefault(name, Problem(str(file), f"no recording is called {name}", line, "file"))
        elif name in split:
            told = f"{name} has several channels; make a file of each (sox IN OUT remix 1), and name these"
            problems.setdefault(name, Problem(str(file), told, line, "channel"))
    if problems:
        told = "are looked for beside it; say where they lie: --audio FOLDER" if audio is None else f"below {audio}"
        raise InvalidInput(f"{path}: {len(problems):,} recordings cannot be used ({told})", list(problems.values()))
    located = {name: str(file) for name, file in by_stem.items()}
    return names.replace_strict(located, return_dtype=pl.String).alias("audio")


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write segments, and say what they do not hold; raises `InvalidInput` for names with blanks."""
    if place.suffix.lower() != SUFFIX:
        raise InvalidInput(f"{place}: an STM ends in {SUFFIX}")
    named = file_names(corpus, place)
    lines = []
    silent = 0
    for row, duration in zip(corpus.table.iter_rows(named=True), durations(corpus), strict=True):
        start = row["start"] or 0.0
        end = duration if row["start"] is None else row["end"] if row["end"] is not None else start + duration
        words = simple(row["text"])
        silent += words is None
        label = f"{subset} " if (subset := row.get("subset")) else ""
        fields = (named[row["audio"]], row.get("channel") or "1", row["speaker"], plain(start), plain(end))
        if any(len(str(one).split()) != 1 for one in fields):
            raise InvalidInput(f"{place}: STM cannot hold the blanks in the speaker {row['speaker']!r}; rename it")
        lines.append((named[row["audio"]], start, f"{' '.join(map(str, fields))} {label}{words or ''}".rstrip()))
    text = "".join(f"{line}\n" for *_, line in sorted(lines))
    whole_file(place, text.encode())
    notes = left_out(corpus, ("utterance", *WRITTEN), "STM")
    called = "STM has no names of utterances: read again, they are called by their recordings and times"
    empty = [f"{silent:,} utterances have no text"] if silent else []
    return [called, *empty, *notes]


def file_names(corpus: Corpus, place: Path) -> dict[str, str]:
    """Name recordings by their stems; raises `InvalidInput` where two share one, or a blank separates fields."""
    named = {path: Path(name).name for path, name in stems(corpus.table["audio"]).items()}
    twice = [name for name in named.values() if list(named.values()).count(name) > 1]
    if twice:
        raise InvalidInput(f"{place}: it names recordings by their files, and {twice[0]} is the name of several")
    blank = [name for name in named.values() if len(name.split()) != 1]
    if blank:
        raise InvalidInput(f"{place}: it cannot hold the blanks in the recording {blank[0]!r}; rename the file")
    return named
