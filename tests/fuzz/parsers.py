"""What reads files of strangers: a function for each that takes bytes, and bytes that it likes.

Whatever the bytes, a reader returns or raises a `SibbolethError`; nothing else, and it writes no file. The functions
are for hypothesis (`test_parsers.py`) and, as a program, for atheris: `parsers.py NAME [libFuzzer's options]`.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import soundfile

from sibboleth import audio, corpus, lists, predictions, segments, stimuli
from sibboleth import amounts as data_studies
from sibboleth import pretraining as pretrainings
from sibboleth import study as studies
from sibboleth.audio.reading import UnreadableAudio
from sibboleth.errors import SibbolethError
from sibboleth.foreign import answers, nist, outputs, ratings
from sibboleth.foreign.answers import Asked
from sibboleth.interchange import Asked as Wanted
from sibboleth.interchange import read as imported
from sibboleth.listeners.settings import ListeningTest
from sibboleth.models.shards import CorruptShard, NewerShard, opened
from sibboleth.models.tuning import record
from sibboleth.settings import read as settings
from sibboleth.texts import RULES

Take = Callable[[Path], object]


@dataclass(frozen=True)
class Parser:
    """Reads files that end in a suffix."""

    suffix: str
    take: Take
    seeds: tuple[bytes, ...]
    told: tuple[type[Exception], ...] = (SibbolethError,)
    """What it may raise."""

    def __call__(self, data: bytes, folder: Path) -> None:
        """Have it read bytes, from a file in a folder; raises whatever it should not."""
        place = folder / f"x{self.suffix}"
        place.write_bytes(data)
        with contextlib.suppress(*self.told):
            self.take(place)


def table(rows: Sequence[dict[str, object]], suffix: str) -> bytes:
    """Write rows in a format of manifests."""
    frame, file = pl.DataFrame(list(rows)), io.BytesIO()
    if suffix == ".parquet":
        frame.write_parquet(file)
    elif suffix == ".jsonl":
        frame.write_ndjson(file)
    else:
        frame.write_csv(file, separator="\t" if suffix == ".tsv" else ",")
    return file.getvalue()


def sound(suffix: str, subtype: str | None = None, rate: int = 8000, channels: int = 1) -> bytes:
    """Write a short sound."""
    file = io.BytesIO()
    samples = 0.1 * np.sin(np.arange(1600 * channels).reshape(-1, channels) / 7)
    soundfile.write(file, samples, rate, subtype=subtype, format=suffix[1:].upper())
    return file.getvalue()


def hear(place: Path) -> None:
    """Scan a sound and read it, whole and in part."""
    none = pl.Series([None, None, 0.05], dtype=pl.Float64)
    ends = pl.Series([None, 0.1, 0.15], dtype=pl.Float64)
    audio.scan(pl.DataFrame({"utterance": ["a", "b", "c"], "audio": [str(place)] * 3, "start": none, "end": ends}))
    audio.read(place, 16_000)


def ask(place: Path) -> None:
    """Read people's answers about one utterance."""
    known = corpus.complete(pl.DataFrame({"utterance": ["a"], "audio": ["/a.wav"], "emotion": ["sad"]}))
    ratings.gather([place], corpus.Corpus("c", known), Asked("emotion"), run="people")


def of_many(place: Path) -> None:
    """Read a table of segments in a manifest's column."""
    told = pl.DataFrame({"utterance": ["u"], "segments": [place.read_bytes().decode("utf-8", "replace")]})
    segments.of_manifest(told, place.parent)


def shard(place: Path) -> None:
    """Open a file of the cache and verify it."""
    opened(place).verify()


def toml(model: type) -> Take:
    """Read settings of a kind."""
    return lambda place: settings(place, model, {"folder": place.parent})


ROWS = [
    {"utterance": "a", "audio": "x.wav", "speaker": "s", "start": 0.0, "end": 1.5, "emotion": "sad", "text": 'a "b", c'},
    {"utterance": "b", "audio": "y.wav", "speaker": "t", "start": 2.0, "end": 2.5, "emotion": "höh", "text": None},
]
SAID = [
    {"run": "r", "source": "model", "rater": "m", "utterance": "a", "start": None, "end": None, "target": "emotion"}
    | {"trial": 0, "layer": 3, "label": label, "value": 0.5}
    for label in ("sad", "happy")
]
SEGMENTS = [{"utterance": "a", "start": 0.1, "end": 0.7, "label": "sad"}, {"utterance": "b", "start": 0, "end": 2.0}]
LISTS = [{"utterance": "a", "speaker": "s", "part": "train"}, {"utterance": "b", "speaker": "t", "part": "test"}]
HEARD = [{"audio": "a.wav", "rater": "p1", "answer": "sad"}, {"audio": "a", "rater": "p2", "answer": "happy"}]
TEXTGRID = b"""File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "a ""b"""
        xmin = 0
        xmax = 2
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "sad"
        intervals [2]:
            xmin = 0.5
            xmax = 2
            text = ""
"""
SHORT = b'File type = "ooTextFile"\n"TextGrid"\n0\n2\n<exists>\n1\n"TextTier"\n"p"\n0\n2\n1\n0.4\n"x"\n'
STUDY = b"""name = "x"
seed = 3
regimes = ["within", "few-shot"]
shots = [1, 2]
alignment = ["erase:speaker"]
[target]
column = "emotion"
labels = ["sad", "happy"]
[[corpora]]
name = "c"
manifest = "m.csv"
columns = { speaker = "who" }
labels = { Wut = "angry" }
keep = { language = ["nl"] }
[[encoders]]
name = "logmel"
pooling = "mean+std"
[probe]
kind = "mlp"
hidden = [64]
learning_rate = [0.1, 1e-3]
[[methods]]
name = "lora"
lora = { rank = 4 }
layers = { logmel = 1 }
[methods.training]
epochs = 2
[splits]
folds = 3
dev = 0.2
seconds = [10.0]
[statistics]
resamples = 200
[report]
audio = "none"
"""
PRETRAINING = b"""name = "x"
[[corpora]]
name = "c"
manifest = "m.csv"
hours = 1.5
[start]
architecture = "tiny-hubert"
[objective]
kind = "hubert"
targets = [{ clusters = 8 }]
[batches]
seconds = 3
[training]
steps = 10
learning_rate = 1e-3
"""
AMOUNTS = b"""name = "x"
hours = [1.0, 2]
[languages]
nl = ["c"]
[[speech]]
name = "c"
manifest = "m.csv"
[pretraining.start]
architecture = "tiny-hubert"
[pretraining.objective]
kind = "dino"
[pretraining.training]
steps = 1
learning_rate = 1e-3
[[corpora]]
name = "c"
manifest = "m.csv"
[[targets]]
column = "emotion"
translate = { c = { Wut = "angry" } }
"""
LISTENING = b"""name = "x"
[[corpora]]
name = "c"
manifest = "m.csv"
[[parts]]
name = "emotion"
labels = ["sad", "happy"]
shown = { sad = "traurig" }
count = 3
[checks]
catch = 1
[people]
languages = ["de"]
"""
NEMO = b'{"audio_filepath": "a.wav", "duration": 1.5, "text": "a b", "speaker": "s", "offset": 0.5}\n'
LHOTSE = (
    b'{"id": "c", "start": 0, "duration": 1, "channel": 0, "supervisions": [{"id": "s", "recording_id": "r", '
    b'"start": 0, "duration": 1, "text": "a", "speaker": "p"}], "recording": {"id": "r", "sampling_rate": 8000, '
    b'"num_samples": 8000, "duration": 1.0, "sources": [{"type": "file", "channels": [0], "source": "a.wav"}]}}\n'
)
LABEL_STUDIO = json.dumps(
    [
        {
            "id": 1,
            "data": {"audio": "/data/a.wav"},
            "annotations": [
                {"id": 2, "completed_by": {"email": "x@y"}, "result": [{"from_name": "emotion", "value": {"choices": ["sad"]}}]}
            ],
        }
    ]
).encode()
JSPSYCH = b'[{"trial_type": "audio-button-response", "trial_index": 1, "stimulus": "a.wav", "response": 0, "subject": "p"}]'
WEBMUSHRA = b"session_test_id,audio,rating_stimulus,rating_score,email\nx,a,a.wav,50,p@q\n"


def importer(name: str) -> Take:
    """Read a file of another tool's format."""
    return lambda place: imported(str(place), name, Wanted(embedded=place.parent / "embedded"))  # type: ignore[arg-type]


def _named() -> Iterator[tuple[str, Parser]]:
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        short = suffix[1:]
        yield f"manifest-{short}", Parser(suffix, corpus.read, (table(ROWS, suffix),))
        yield f"segments-{short}", Parser(suffix, segments.read, (table(SEGMENTS, suffix),))
        yield f"lists-{short}", Parser(suffix, lists.read, (table(LISTS, suffix),))
        yield f"outputs-{short}", Parser(suffix, outputs.open_file, (table(ROWS, suffix),))
        if suffix != ".jsonl":
            yield f"predictions-{short}", Parser(suffix, predictions.read, (table(SAID, suffix),))
    yield "answers-csv", Parser(".csv", ask, (table(HEARD, ".csv"), WEBMUSHRA))
    yield "answers-json", Parser(".json", ask, (LABEL_STUDIO, JSPSYCH))
    yield "segments-json", Parser(".json", segments.read, (b'{"a": {"duration": 2, "emotion": [{"emo": "sad", "start": 0, "end": 1}]}}',))
    yield "segments-column", Parser(".txt", of_many, (b'[{"start": 0.5, "end": 1.2, "label": "sad", "tier": "x"}]', b"x.rttm"))
    yield "rttm", Parser(".rttm", segments.read, (b";; x\nSPEAKER a 1 0.5 1.25 <NA> <NA> sad <NA> <NA>\nLEXEME a\n",))
    yield "textgrid", Parser(".TextGrid", segments.read, (TEXTGRID, SHORT, TEXTGRID.decode().encode("utf-16")))
    yield "audacity", Parser(".txt", segments.read, (b"0.5\t1.25\tsad\n\\\t100\t200\n1\t2\t\n",))
    yield "lablaut", Parser(".lablaut", segments.read, (b"x\n#\n  0.1 121 h\t+asp\n 0.2 121\n 0.25 121 a\n",))
    yield "trn", Parser(".trn", lambda place: nist.read(place, [], answers=True), (b"a b c (s-1)\n;; x\nd (s-2)\n",))
    yield "stm", Parser(".stm", lambda place: nist.read(place, [], answers=False), (b"a 1 s 0.5 2.5 <o,f0> a b\n;; x\n",))
    yield "ctm", Parser(".ctm", lambda place: nist.read(place, [], answers=True), (b"a 1 0.5 0.25 word 0.9\n;; x\n",))
    for name, suffix, seed in (("nemo", ".jsonl", NEMO), ("lhotse", ".jsonl", LHOTSE)):
        yield f"import-{name}", Parser(suffix, importer(name), (seed,))
    yield "import-stm", Parser(".stm", importer("stm"), (b"a 1 s 0.5 2.5 <o,f0> a b\n",))
    yield "study", Parser(".toml", studies.read, (STUDY,))
    yield "pretraining", Parser(".toml", pretrainings.read, (PRETRAINING,))
    yield "data-study", Parser(".toml", data_studies.read, (AMOUNTS,))
    yield "listening-test", Parser(".toml", toml(ListeningTest), (LISTENING,))
    yield "wav", Parser(".wav", hear, (sound(".wav"), sound(".wav", "FLOAT", 16_000, 2), sound(".wav", "IMA_ADPCM")))
    yield "flac", Parser(".flac", hear, (sound(".flac"), sound(".flac", "PCM_24", 44_100, 2)))
    yield "ogg", Parser(".ogg", hear, (sound(".ogg"),))
    yield "mp3", Parser(".mp3", hear, (sound(".mp3"),))
    yield "aiff", Parser(".aiff", hear, (sound(".aiff"),))


PARSERS = dict(_named())


def main() -> None:
    """Let atheris find bytes that a parser does not stand."""
    import atheris

    name = sys.argv.pop(1)
    parser = PARSERS[name]
    with tempfile.TemporaryDirectory() as place:
        folder, seeds = Path(place) / "in", Path(place) / "seeds"
        folder.mkdir(), seeds.mkdir()
        for number, seed in enumerate(parser.seeds):
            (seeds / str(number)).write_bytes(seed)
        os.chdir(folder)
        atheris.instrument_all()
        atheris.Setup([*sys.argv, str(seeds)], lambda data: parser(data, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
