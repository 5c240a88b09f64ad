"""Segments from study to file: heads over frames, decoders, folders of models, recordings of any length."""

import contextlib
import io
import json
import multiprocessing
import re
import resource
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import soundfile

from sibboleth import metrics, segments
from sibboleth import study as studies
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.experiment import baselines, material, timelines, tuned, tuned_inputs
from sibboleth.models import diarization
from sibboleth.models.decoding.decoders import Argmax
from sibboleth.models.decoding.timelines import Timeline
from sibboleth.recipes import check
from sibboleth.recipes.diarize import KEPT, diarize
from sibboleth.recipes.train import train
from sibboleth.runs import RunDirectory

RATE = 16_000
TONES = {"neutral": 200.0, "angry": 2000.0, "sad": 700.0}
Spans = list[tuple[float, float, str]]

STUDY = """
name = "tones"
regimes = ["within"]
[target]
kind = "segmentation"
[[corpora]]
name = "tones"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[[methods]]
name = "head"
[training]
epochs = 8
learning_rate = 0.03
batch_seconds = 10
[splits]
folds = 2
dev = 0.34
[statistics]
resamples = 100
"""


def spoken(spans: Spans, seed: int) -> npt.NDArray[np.float64]:
    """A tone per label, each voice a little off, over noise."""
    random = np.random.default_rng(seed)
    pitch = 1 + 0.05 * random.normal()
    parts = []
    for start, end, label in spans:
        at = np.arange(round(start * RATE), round(end * RATE)) / RATE
        parts.append(0.2 * np.sin(2 * np.pi * pitch * TONES[label] * at))
    whole = np.concatenate(parts)
    return np.asarray(whole + 0.01 * random.normal(size=len(whole)))


def drawn(seed: int, seconds: float = 2.4) -> Spans:
    random = np.random.default_rng(seed)
    edges = [0.0, *(seconds * (np.arange(1, 3) + random.uniform(-0.3, 0.3, 2)) / 3).round(3).tolist(), seconds]
    order = random.permutation(list(TONES)).tolist()
    return [(a, b, label) for a, b, label in zip(edges[:-1], edges[1:], order, strict=True)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, its manifest and 24 utterances of 6 speakers."""
    folder = tmp_path_factory.mktemp("tones")
    rows = []
    for number in range(24):
        spans = drawn(number)
        name, file = f"u{number:02d}", folder / f"u{number:02d}.wav"
        soundfile.write(file, spoken(spans, number), RATE)
        told = [dict(zip(("start", "end", "label"), one, strict=True)) for one in spans]
        rows.append((name, str(file), f"s{number % 6}", json.dumps(told)))
    table = pl.DataFrame(rows, schema=["utterance", "audio", "speaker", "segments"], orient="row")
    table.write_csv(folder / "manifest.csv")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder


@pytest.fixture
def model(corpus: Path, tmp_path: Path, one_thread: None) -> Iterator[Path]:
    """A trained model."""
    trained = train(corpus / "study.toml", output=tmp_path / "model")
    assert trained is not None
    yield trained.model


def test_a_study_of_segments_answers_with_segments(corpus: Path, tmp_path: Path, one_thread: None) -> None:
    from sibboleth.models import encoders
    from sibboleth.models.cache import Cache

    asked = studies.read(corpus / "study.toml")
    stuff = material.gather(asked)
    assert timelines.outputs(stuff.target) == ("neutral", "angry", "sad")
    fits = check.fits(stuff)
    encoder = encoders.load(asked.encoders[0])
    probe, head = tuned.works(asked, asked.encoders[0], encoder, fits, stuff.out, stuff.background)
    assert (probe.tuning.method.name, head.tuning.method.name) == ("frames", "head")
    directory = RunDirectory(tmp_path / "run")
    given = tuned_inputs.inputs(probe, stuff, Cache())
    (cell,) = probe.cells
    for _ in tuned.solve(cell, probe, given.inputs, stuff, directory):
        pass
    answers = pl.read_parquet(directory / cell.file(stuff)).drop("fold")
    mine = answers.filter(rater="selected")
    reference = material.reference(stuff)
    found = metrics.align(mine, reference, stuff.target).answers
    scores = {one.name: one(found) for one in metrics.of(stuff.target)}
    assert scores["eder"] < 0.05
    assert scores["boundary_error"] < 0.1
    whole = mine.filter(pl.col("label").is_null())
    assert whole["utterance"].to_list() == stuff.table["utterance"].to_list()
    assert whole["end"].to_numpy() == pytest.approx(stuff.scan["seconds"].to_numpy(), abs=1e-5)
    chosen = pl.read_parquet((directory / cell.file(stuff)).with_suffix(".selection.parquet"))
    assert chosen["decoder"].str.len_chars().min() > 0
    plain = baselines.answers(stuff, fits, reference)
    assert plain["rater"].unique().sort().to_list() == sorted([baselines.NOTHING, baselines.LOUD, baselines.ORACLE])
    nothing = metrics.align(plain.filter(rater=baselines.NOTHING), reference, stuff.target).answers
    assert metrics.of(stuff.target)[0](nothing) > 0.5


def test_the_reference_is_the_segments_without_background(corpus: Path) -> None:
    stuff = material.gather(studies.read(corpus / "study.toml"))
    rows = material.reference(stuff).filter(pl.col("label").is_not_null(), utterance="tones/u03")
    expected = [one for one in drawn(3) if one[2] != "neutral"]
    assert rows.sort("start").select("start", "end", "label").rows() == expected


def test_labels_that_are_not_asked_for_leave_their_utterances_out(corpus: Path, tmp_path: Path) -> None:
    text = STUDY.replace('kind = "segmentation"', 'kind = "segmentation"\nlabels = ["angry", "happy"]')
    (tmp_path / "study.toml").write_text(text.replace("manifest.csv", str(corpus / "manifest.csv")), encoding="utf-8")
    with pytest.raises(InvalidInput, match="happy, which no corpus has; there are: angry, neutral, sad"):
        material.gather(studies.read(tmp_path / "study.toml"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('[probe]\nkind = "linear"\n', '"frames" of segmentations'),
        ('alignment = ["coral"]\n', "the target is a segmentation"),
    ],
)
def test_what_does_not_fit_segments_is_refused(tmp_path: Path, line: str, message: str) -> None:
    text = STUDY.replace('regimes = ["within"]', 'regimes = ["within", "zero-shot"]')
    text = text + line if line.startswith("[") else line + text
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        studies.read(tmp_path / "study.toml")


def test_a_trained_model_writes_files_of_segments(model: Path, corpus: Path, tmp_path: Path) -> None:
    said = diarize(model, (corpus / "manifest.csv",), output=tmp_path / "out")
    read = segments.read(tmp_path / "out" / "segments.json")
    assert read.table.equals(said.segments.table)
    assert len(read.utterances) == 24
    expected = [one for one in drawn(5) if one[2] != "neutral"]
    assert [label for *_, label in read.of("u05")] == [label for *_, label in expected]
    for mine, true in zip(read.of("u05"), expected, strict=True):
        assert mine[:2] == pytest.approx(true[:2], abs=0.1)
    rttm = segments.read(tmp_path / "out" / "segments.rttm")
    assert rttm.table.select("utterance", "label").equals(read.table.select("utterance", "label"))
    assert segments.read(tmp_path / "out" / "textgrids").table["label"].is_in(["angry", "sad", "neutral"]).all()
    page = (tmp_path / "out" / "timelines.html").read_text(encoding="utf-8")
    assert page.count('<figure class="timeline"') == 24
    assert "://" not in page.replace("file://", "")
    odd = tmp_path / "my recording [red].wav"
    odd.write_bytes((corpus / pl.read_csv(corpus / "manifest.csv")["audio"][0]).read_bytes())
    said = diarize(model, (odd,), output=tmp_path / "odd")
    assert {path.name for path in said.written} == {"segments.json", "textgrids", "timelines.html"}
    assert [path.name for path in (tmp_path / "odd" / "textgrids").iterdir()] == ["my recording [red].TextGrid"]
    (note,) = said.notes
    assert "RTTM cannot hold the blanks in 'my recording [red]'" in note


def test_a_model_of_segments_names_the_verb_that_uses_it(model: Path) -> None:
    from sibboleth.models import recognition
    from sibboleth.models.tuning import folder
    from sibboleth.study import EncoderSettings

    with pytest.raises(InvalidInput, match="sibboleth diarize"):
        folder.load(model)
    with pytest.raises(SibbolethError, match="sibboleth diarize"):
        recognition.load(EncoderSettings(name=str(model)), None)
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "sibboleth diarize" in card and "angry" in card


def test_long_audio_is_answered_as_its_parts_are(model: Path) -> None:
    loaded = replace(diarization.load(model), decoder=Argmax())
    spans: Spans = []
    for number in range(30):
        begin = spans[-1][1] if spans else 0.0
        spans += [(begin + a, begin + b, label) for a, b, label in drawn(number)]
    whole = spoken(spans, 1)
    assert len(whole) / RATE > 70
    found = loaded.segments(whole, RATE)
    short = loaded.segments(whole[: 29 * RATE], RATE)
    inside = [one for one in short if one[1] < 25]
    assert found[: len(inside)] == inside  # no window but the first hears these
    true = np.array([label for k in range(72) for a, b, label in spans if a <= k + 0.5 < b])
    mine = {k: label for a, b, label in found for k in range(72) if a <= k + 0.5 < b}
    assert np.mean([mine.get(k, "neutral") == label for k, label in enumerate(true)]) > 0.95


def _stopped(model: Path, audio: Path, state: Path, windows: int) -> None:
    diarization.SAVED = 1
    loaded = diarization.load(model)
    from sibboleth.models.encoding import Recording

    info = soundfile.info(audio)
    passing = loaded.passing(Recording("", str(audio), None, None, info.duration), state)
    for count, _ in enumerate(passing, start=1):
        if count == windows:
            signal.raise_signal(signal.SIGKILL)


def test_a_killed_recording_goes_on_and_says_the_same(model: Path, tmp_path: Path) -> None:
    from sibboleth.models.encoding import Recording

    spans: Spans = []
    for number in range(40):
        begin = spans[-1][1] if spans else 0.0
        spans += [(begin + a, begin + b, label) for a, b, label in drawn(number)]
    audio, state = tmp_path / "long.wav", tmp_path / "state.npz"
    soundfile.write(audio, spoken(spans, 2), RATE)
    process = multiprocessing.get_context("fork").Process(target=_stopped, args=(model, audio, state, 3))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    loaded = diarization.load(model)
    recording = Recording("", str(audio), None, None, soundfile.info(audio).duration)
    undisturbed, again = loaded.passing(recording), loaded.passing(recording, state)
    assert again._restored() == 3
    for passing in (undisturbed, again):
        assert sum(passing) == pytest.approx(recording.seconds, abs=0.01)
    assert np.array_equal(undisturbed.posteriors, again.posteriors)


def test_what_is_known_of_a_recording_is_not_asked_again(model: Path, corpus: Path, tmp_path: Path) -> None:
    first = diarize(model, (corpus / "u01.wav",), output=tmp_path / "out")
    (kept,) = (tmp_path / "out" / KEPT).glob("*.json")
    kept.write_text('[[0.0, 1.0, "sad"]]', encoding="utf-8")
    again = diarize(model, (corpus / "u01.wav",), output=tmp_path / "out")
    assert again.segments.of("u01") == [(0.0, 1.0, "sad")] != first.segments.of("u01")


@pytest.mark.soak
def test_three_hours_fit_in_little_memory(model: Path, tmp_path: Path) -> None:
    spans: Spans = []
    for number in range(50):
        begin = spans[-1][1] if spans else 0.0
        spans += [(begin + a, begin + b, label) for a, b, label in drawn(number)]
    minutes = spoken(spans, 3)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 1) as file:
        for _ in range(90):
            file.write(minutes)
    assert soundfile.info(tmp_path / "long.flac").duration >= 3 * 3600
    said = diarize(model, (tmp_path / "long.flac",), output=tmp_path / "out")
    assert len(said.segments.table) > 5000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 < 1536


METHODS = {
    "lora": "lora = { rank = 2 }\nlowest = 1",
    "mix": "mix = true\nhead = { context = [0.5], per_speaker = true }",
    "full": 'train = "layers"\nbottleneck = { reduction = 4 }\ngate = {}',
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_head_over_frames_and_is_loaded_as_it_was(
    corpus: Path, tmp_path: Path, one_thread: None, method: str
) -> None:
    text = STUDY.replace('name = "head"', f'name = "{method}"\n{METHODS[method]}').replace("epochs = 8", "epochs = 2")
    text = text.replace('"logmel"', '"untrained:tiny-wav2vec2"').replace("manifest.csv", str(corpus / "manifest.csv"))
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    trained = train(tmp_path / "study.toml", output=tmp_path / "model")
    assert trained is not None and trained.record.label_seconds.keys() == TONES.keys()
    loaded = diarization.load(tmp_path / "model")
    audio, rate = soundfile.read(corpus / "u02.wav")
    found = loaded.segments(audio, rate)
    assert all(0 <= start < end <= 2.4 + 1e-6 and label in ("angry", "sad") for start, end, label in found)
    said = diarize(tmp_path / "model", (corpus / "u02.wav",), output=tmp_path / "out")
    assert said.segments.of("u02") == found
    if method != "full":
        plain = Timeline.of_frames(program(tmp_path / "model", audio), loaded.stride, 2.4)
        spans = zip(plain.starts.tolist(), plain.ends.tolist(), plain.labels.tolist(), strict=True)
        expected = [(a, b, loaded.labels[k]) for a, b, k in spans if loaded.labels[k] != "neutral"]
        assert replace(loaded, decoder=Argmax()).segments(audio, rate) == expected


def program(model: Path, audio: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Run the card's program that does without sibboleth, and return the label of each frame as its number."""
    _, text = re.findall(r"```python\n(.*?)```", (model / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"audio": audio}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(text.replace("FOLDER", str(model)), names)
    return np.array([names["labels"].index(one) for one in names["answer"]])


PITCH = """
import numpy as np

def pitch(audio, rate):
    frames = np.pad(audio, (0, max(0, 400 - len(audio))))
    rows = np.lib.stride_tricks.sliding_window_view(frames, 400)[::320] * np.hanning(400)
    peak = np.abs(np.fft.rfft(rows, 8192, axis=1)).argmax(1) * rate / 8192
    return np.log2(np.maximum(peak, 1.0)).astype(np.float32)[None, :, None]
"""
RELATIVE = {"neutral": 0.0, "angry": 6.0, "sad": -6.0}


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    """A corpus in which a label is so many semitones from the speaker's own pitch, so that no pitch alone tells it."""
    rows = []
    for number in range(24):
        spans, random, speaker = drawn(number), np.random.default_rng(number), number % 6
        at = [np.full(round(b * RATE) - round(a * RATE), 3.0 * speaker + RELATIVE[c]) for a, b, c in spans]
        turns = np.cumsum(200 * 2 ** (np.concatenate(at) / 12)) / RATE
        file = tmp_path / f"v{number:02d}.wav"
        sound = 0.1 * np.sin(2 * np.pi * turns) + 0.003 * random.normal(size=len(turns))
        soundfile.write(file, sound, RATE)
        told = [dict(zip(("start", "end", "label"), one, strict=True)) for one in spans]
        rows.append((f"v{number:02d}", str(file), f"s{speaker}", json.dumps(told)))
    table = pl.DataFrame(rows, schema=["utterance", "audio", "speaker", "segments"], orient="row")
    table.write_csv(tmp_path / "manifest.csv")
    second = '[[methods]]\nname = "relative"\nhead = { per_speaker = true }\n[training]'
    (tmp_path / "pitch.py").write_text(PITCH, encoding="utf-8")
    text = STUDY.replace("[training]", second).replace('"logmel"', '"python:pitch.py:pitch"')
    text = text.replace("epochs = 8", "epochs = 15").replace("learning_rate = 0.03", "learning_rate = 0.1")
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_on_a_speaker_s_own_scale_heads_learn_what_is_relative(voices: Path, tmp_path: Path, one_thread: None) -> None:
    from sibboleth.models import encoders
    from sibboleth.models.cache import Cache

    asked = studies.read(voices / "study.toml")
    stuff = material.gather(asked)
    fits, encoder = check.fits(stuff), encoders.load(asked.encoders[0])
    errors = {}
    for work in tuned.works(asked, asked.encoders[0], encoder, fits, stuff.out, stuff.background)[1:]:
        given, directory = tuned_inputs.inputs(work, stuff, Cache()), RunDirectory(tmp_path / work.tuning.method.name)
        for _ in tuned.solve(work.cells[0], work, given.inputs, stuff, directory):
            pass
        answers = pl.read_parquet(directory / work.cells[0].file(stuff)).drop("fold").filter(rater="selected")
        found = metrics.align(answers, material.reference(stuff), stuff.target).answers
        errors[work.tuning.method.name] = metrics.of(stuff.target)[0](found)
    assert errors["relative"] < 0.15 < 0.3 < errors["head"]
    train(voices / "study.toml", method="relative", output=tmp_path / "model", trust=True)
    said = diarize(tmp_path / "model", (voices / "manifest.csv",), output=tmp_path / "out", trust=True).segments
    for number in range(24):
        expected = [label for *_, label in drawn(number) if label != "neutral"]
        assert [label for *_, label in said.of(f"v{number:02d}")] == expected, number
    alone = diarize(tmp_path / "model", (voices / "v03.wav",), output=tmp_path / "alone", trust=True).segments
    assert [label for *_, label in alone.of("v03")] == [label for *_, label in drawn(3) if label != "neutral"]
