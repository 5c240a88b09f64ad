"""What reads files of strangers: a reader for each kind of file, and files that it likes.

The promise of a reader: whatever the bytes, it returns or raises a `SibbolethError`. It raises nothing else, does not
hang, and writes, removes and runs nothing. `test_parsers.py` and `search.py` hold it to that.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import soundfile

from sibboleth import amounts, audio, corpus, interchange, lists, predictions, pretraining, segments, study
from sibboleth.errors import SibbolethError
from sibboleth.foreign import nist, outputs, ratings
from sibboleth.foreign.answers import Asked
from sibboleth.listeners.settings import ListeningTest
from sibboleth.models.shards import CorruptShard, NewerShard, opened
from sibboleth.models.tuning import record
from sibboleth.settings import Settings
from sibboleth.settings import read as settings

Take = Callable[[Path], object]

SEEDS = Path(__file__).with_name("seeds")
FORBIDDEN = (
    *("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "sqlite3.connect"),
    *("os.exec", "os.posix_spawn", "os.system", "pickle.find_class", "socket.connect", "subprocess.Popen"),
)
"""Audit events of Python that no reader has a reason for, besides opening files for writing."""


@dataclass(frozen=True)
class Parser:
    """Reads a file of a name."""

    name: str
    take: Take
    seeds: tuple[bytes, ...]
    told: tuple[type[Exception], ...] = (SibbolethError,)
    """What it may raise."""

    def __call__(self, data: bytes, folder: Path) -> None:
        """Have it read bytes, from a file in a folder that was laid out; raises whatever it should not."""
        place = folder / self.name
        place.write_bytes(data)
        with watched() as seen, contextlib.suppress(*self.told):
            self.take(place)
        assert not seen, f"while it read it also did: {seen}"
        assert {path.name for path in folder.iterdir()} == {*BESIDE, self.name}, "it wrote or removed a file"


_seen: list[str] | None = None


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Note what is done that a reader may not do, on any thread."""
    global _seen
    _seen = seen = []
    try:
        yield seen
    finally:
        _seen = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """Hear of everything that Python does; a hook stays as long as the process."""
    seen = _seen
    if seen is None:
        return
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if writes and "__pycache__" not in str(path):
            seen.append(f"wrote {path!r}")
    elif event in FORBIDDEN:
        seen.append(f"{event} {arguments!r}")


sys.addaudithook(_watch)


def table(rows: Sequence[dict[str, object]], suffix: str) -> bytes:
    """Return rows as a file of a format of manifests."""
    frame, file = pl.DataFrame(list(rows)), io.BytesIO()
    if suffix == ".parquet":
        frame.write_parquet(file)
    elif suffix == ".jsonl":
        frame.write_ndjson(file)
    else:
        frame.write_csv(file, separator="\t" if suffix == ".tsv" else ",")
    return file.getvalue()


def sound(suffix: str, subtype: str | None = None, rate: int = 8000, channels: int = 1) -> bytes:
    """Return a short tone as a file."""
    file = io.BytesIO()
    samples = 0.1 * np.sin(np.arange(1600 * channels).reshape(-1, channels) / 7)
    soundfile.write(file, samples, rate, subtype=subtype, format=suffix[1:].upper())
    return file.getvalue()


def seeds(name: str) -> tuple[bytes, ...]:
    """Return the files that a parser likes."""
    return tuple(path.read_bytes() for path in sorted(SEEDS.glob(f"{name}*")))


BESIDE = {"a.wav": sound(".wav"), "b.wav": sound(".wav"), "c.rttm": seeds("rttm")[0]}
"""What lies beside every file that is read, so that it can name something that is there."""


def laid_out(folder: Path) -> Path:
    """Make the folder in which a parser reads its file."""
    folder.mkdir()
    for name, data in BESIDE.items():
        (folder / name).write_bytes(data)
    return folder


def hear(place: Path) -> None:
    """Scan a sound and read it, whole and in part."""
    parts = {"audio": [str(place)] * 3, "start": [None, None, 0.05], "end": [None, 0.1, 0.15]}
    audio.scan(pl.DataFrame({"utterance": ["a", "b", "c"], **parts}))
    audio.read(place, 16_000)


def ask(place: Path) -> None:
    """Read people's answers about one utterance."""
    known = corpus.complete(pl.DataFrame({"utterance": ["a"], "audio": ["/a.wav"], "emotion": ["sad"]}))
    ratings.gather([place], corpus.Corpus("c", known), Asked(target="emotion"), run="people")


def of_column(place: Path) -> None:
    """Read what stands in the column of segments of a manifest."""
    told = place.read_bytes().decode("utf-8", "replace")
    segments.of_manifest(pl.DataFrame({"utterance": ["a"], "segments": [told]}), place.parent)


def transcripts(*, answers: bool) -> Take:
    """Read transcripts of a system or a reference."""
    return lambda place: nist.read(place, [], answers=answers)


def imported(name: interchange.Format) -> Take:
    """Read a corpus in another tool's format."""
    return lambda place: interchange.read(str(place), name, interchange.Asked(embedded=place.parent / "embedded"))


def toml(model: type[Settings]) -> Take:
    """Read settings of a kind."""
    return lambda place: settings(place, model, {"folder": place.parent})


ROWS: list[dict[str, object]] = [
    {
        "utterance": "a",
        "audio": "a.wav",
        "speaker": "s",
        "start": 0.0,
        "end": 1.5,
        "emotion": "sad",
        "text": 'a "b", c',
    },
    {"utterance": "b", "audio": "b.wav", "speaker": "t", "start": 2.0, "end": 2.5, "emotion": "wut", "text": None},
]
SAID: list[dict[str, object]] = [
    {"run": "r", "source": "model", "rater": "m", "utterance": "a", "start": None, "end": None, "target": "emotion"}
    | {"trial": 0, "layer": 3, "label": label, "value": 0.5}
    for label in ("sad", "happy")
]
SEGMENTS: list[dict[str, object]] = [
    {"utterance": "a", "start": 0.1, "end": 0.7, "label": "sad"},
    {"utterance": "b", "start": 0.0, "end": 2.0, "label": None},
]
LISTS: list[dict[str, object]] = [
    {"utterance": "a", "speaker": "s", "part": "train"},
    {"utterance": "b", "speaker": "t", "part": "test"},
]
TEXTS: dict[str, tuple[str, Take]] = {
    "answers-csv": (".csv", ask),
    "answers-json": (".json", ask),
    "segments-json": (".json", segments.read),
    "segments-column": (".txt", of_column),
    "rttm": (".rttm", segments.read),
    "textgrid": (".TextGrid", segments.read),
    "audacity": (".txt", segments.read),
    "lablaut": (".lablaut", segments.read),
    "trn": (".trn", transcripts(answers=True)),
    "stm": (".stm", transcripts(answers=False)),
    "ctm": (".ctm", transcripts(answers=True)),
    "import-nemo": (".jsonl", imported("nemo")),
    "import-lhotse": (".jsonl", imported("lhotse")),
    "import-stm": (".stm", imported("stm")),
    "study": (".toml", study.read),
    "pretraining": (".toml", pretraining.read),
    "data-study": (".toml", amounts.read),
    "listening-test": (".toml", toml(ListeningTest)),
}
"""By the names of their seeds: the ending of such files, and what reads them."""


def _tables() -> Iterator[tuple[str, Parser]]:
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        file, kind = f"x{suffix}", suffix[1:]
        yield f"manifest-{kind}", Parser(file, corpus.read, (table(ROWS, suffix),))
        yield f"segments-{kind}", Parser(file, segments.read, (table(SEGMENTS, suffix),))
        yield f"lists-{kind}", Parser(file, lists.read, (table(LISTS, suffix),))
        yield f"outputs-{kind}", Parser(file, outputs.open_file, (table(ROWS, suffix),))
        if suffix != ".jsonl":
            yield f"predictions-{kind}", Parser(file, predictions.read, (table(SAID, suffix),))


def _sounds() -> Iterator[tuple[str, Parser]]:
    yield "wav", Parser("x.wav", hear, (sound(".wav"), sound(".wav", "FLOAT", 16_000, 2), sound(".wav", "IMA_ADPCM")))
    yield "flac", Parser("x.flac", hear, (sound(".flac"), sound(".flac", "PCM_24", 44_100, 2)))
    for suffix in (".ogg", ".mp3", ".aiff"):
        yield suffix[1:], Parser(f"x{suffix}", hear, (sound(suffix),))


PARSERS: dict[str, Parser] = {
    **dict(_tables()),
    **dict(_sounds()),
    **{name: Parser(f"x{suffix}", take, seeds(name)) for name, (suffix, take) in TEXTS.items()},
    "cache": Parser("x.features", lambda place: opened(place).verify(), seeds("cache"), (CorruptShard, NewerShard)),
    "model": Parser(record.FILE, lambda place: record.read(place.parent), seeds("model")),
}
