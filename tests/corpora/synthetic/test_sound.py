"""The known answers of the controlled corpus, heard with simple acoustics that share no code with the package."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sibboleth.corpora.synthetic import corpus as synthetic
from sibboleth.corpora.synthetic.design import Design, best_possible_score

pytest.importorskip("espeakng_loader")

RATE = 16_000
CUES = ("pitch", "range", "rate", "loudness", "slope")


def frames(samples: np.ndarray, size: int, hop: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hanning(size)


def pitch(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and semitones of voiced frames, by normalised autocorrelation."""
    size, hop = 720, 160
    window = np.abs(np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), 2048)) ** 2)[:size])
    own = np.fft.irfft(np.abs(np.fft.rfft(frames(samples, size, hop), 2048)) ** 2)[:, :size]
    level = np.sqrt(np.maximum(own[:, 0], 0))
    normal = own / np.maximum(window, 1e-9)
    normal /= np.maximum(normal[:, :1], 1e-12)
    first, last = RATE // 450, RATE // 60
    lag = first + np.argmax(normal[:, first:last] - 0.15 * np.linspace(0, 1, last - first), axis=1)
    rows = np.arange(len(lag))
    before, peak, after = (normal[rows, lag + step] for step in (-1, 0, 1))
    voiced = (peak > 0.6) & (level > 0.1 * level.max()) & (peak >= before) & (peak >= after)
    lag = lag + 0.5 * (before - after) / np.minimum(before - 2 * peak + after, -1e-9)
    times, semitones = (rows * hop / RATE)[voiced], 12 * np.log2(RATE / lag[voiced] / 100)
    near = np.abs(semitones - np.median(semitones)) < 8
    return times[near], semitones[near]


def prosody(samples: np.ndarray) -> list[float]:
    times, semitones = pitch(samples)
    line = np.polyfit(times, semitones, 1)
    rest = semitones - np.polyval(line, times)
    return [
        float(np.median(semitones)),
        float(np.subtract(*np.percentile(rest, [90, 10]))),
        -float(np.log2(len(samples))),
        float(10 * np.log10(np.mean(samples**2))),
        float(line[0] * (times[-1] - times[0])),
    ]


def mel_means(samples: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(frames(samples, 512, 160))) ** 2
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(512, 1 / RATE) / 700)
    centres = np.linspace(0, mel[-1], 28)
    width = centres[1]
    bank = np.clip(1 - np.abs(mel[:, None] - centres[1:-1]) / width, 0, None)
    return np.log(power @ bank + 1e-8).mean(axis=0)


@dataclass(frozen=True)
class Heard:
    table: pl.DataFrame
    prosody: np.ndarray
    spectrum: np.ndarray

    def column(self, name: str) -> np.ndarray:
        return self.table[name].to_numpy()

    def rows(self, language: str) -> np.ndarray:
        return np.flatnonzero(self.column("language") == language)


def hear(root: Path, design: Design) -> Heard:
    table = synthetic.prepare(root, design).table
    samples = [soundfile.read(file)[0] for file in table["audio"]]
    return Heard(table, np.array([prosody(s) for s in samples]), np.array([mel_means(s) for s in samples]))


@pytest.fixture(scope="module")
def coded_by_prosody(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    design = Design(
        languages=("de", "en", "nl"), speakers=8, accented=2, utterances=3, sentences=12, coding={"nl": "permuted"}
    )
    return hear(tmp_path_factory.mktemp("prosody"), design)


@pytest.fixture(scope="module")
def coded_by_colour(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    design = Design(languages=("de", "en"), speakers=8, accented=2, utterances=4, coding={"en": "unrelated"})
    return hear(tmp_path_factory.mktemp("colour"), design)


def probe() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))


def across(heard: Heard, features: np.ndarray, source: str, target: str) -> float:
    train, test = heard.rows(source), heard.rows(target)
    labels = heard.column("emotion")
    answers = probe().fit(features[train], labels[train]).predict(features[test])
    return float(recall_score(labels[test], answers, average="macro"))


def within(heard: Heard, features: np.ndarray, language: str) -> float:
    rows = heard.rows(language)
    labels, speakers = heard.column("emotion")[rows], heard.column("speaker")[rows]
    answers = cross_val_predict(probe(), features[rows], labels, groups=speakers, cv=GroupKFold(4))
    return float(recall_score(labels, answers, average="macro"))


def interval(uar: float, count: int) -> tuple[float, float]:
    margin = 1.96 * np.sqrt(max(uar, 1 / count) * (1 - uar) / count)
    return uar - margin, uar + margin


def centred(values: np.ndarray, groups: Sequence[object]) -> np.ndarray:
    means = pl.DataFrame({"v": values, "g": groups}).select(pl.col("v") - pl.col("v").mean().over("g"))
    return means["v"].to_numpy()


@pytest.mark.parametrize(
    ("cue", "correlation", "slope"),
    [("pitch", 0.9, 1.0), ("range", 0.65, None), ("rate", 0.9, 1.0), ("loudness", 0.98, 1.0), ("slope", 0.8, 1.0)],
)
def test_what_is_heard_is_what_was_drawn(
    coded_by_prosody: Heard, cue: str, correlation: float, slope: float | None
) -> None:
    table = coded_by_prosody.table
    heard = coded_by_prosody.prosody[:, CUES.index(cue)]
    drawn = table[f"cue_{cue}"].to_numpy()
    for group in (table["speaker"], table["text"]):
        heard, drawn = centred(heard, group), centred(drawn, group)
    assert np.corrcoef(heard, drawn)[0, 1] > correlation
    if slope is not None:
        assert np.polyfit(drawn, heard, 1)[0] == pytest.approx(slope, abs=0.2)


def test_emotion_coded_alike_transfers_and_stays_below_the_best_possible_score(coded_by_prosody: Heard) -> None:
    best = best_possible_score(Design())["de"].uar
    for source, target in (("de", "en"), ("en", "de")):
        uar = across(coded_by_prosody, coded_by_prosody.prosody, source, target)
        low, _ = interval(uar, len(coded_by_prosody.rows(target)))
        assert low > 0.25 + 0.1
        assert low < best
    for language in ("de", "en", "nl"):
        low, _ = interval(within(coded_by_prosody, coded_by_prosody.prosody, language), 96)
        assert 0.35 < low < best


def test_permuted_emotions_fall_below_chance(coded_by_prosody: Heard) -> None:
    for source, target in (("de", "nl"), ("en", "nl"), ("nl", "de")):
        uar = across(coded_by_prosody, coded_by_prosody.prosody, source, target)
        _, high = interval(uar, len(coded_by_prosody.rows(target)))
        assert high < 0.25


@pytest.mark.soak  # tests/test_known_answers.py asks the same of a whole run
def test_an_unrelated_cue_is_learned_at_home_and_worth_chance_elsewhere(coded_by_colour: Heard) -> None:
    both = np.hstack([coded_by_colour.prosody, coded_by_colour.spectrum])
    assert interval(within(coded_by_colour, coded_by_colour.prosody, "de"), 128)[0] > 0.35
    assert interval(within(coded_by_colour, coded_by_colour.spectrum, "en"), 128)[0] > 0.45
    # From English, features without the cue would test a probe that learned nothing.
    away = [(coded_by_colour.prosody, "de", "en")]
    away += [(f, *way) for f in (coded_by_colour.spectrum, both) for way in (("de", "en"), ("en", "de"))]
    for features, source, target in away:
        low, high = interval(across(coded_by_colour, features, source, target), 128)
        assert low < 0.25 < high


def test_the_speaker_is_heard_too(coded_by_prosody: Heard) -> None:
    table = coded_by_prosody.table
    women = (table["sex"] == "female").to_numpy()
    f0 = coded_by_prosody.prosody[:, 0]
    assert np.median(f0[women]) > np.median(f0[~women]) + 4
    rows = coded_by_prosody.rows("de")
    answers = cross_val_predict(probe(), coded_by_prosody.spectrum[rows], table["speaker"].to_numpy()[rows], cv=4)
    assert np.mean(answers == table["speaker"].to_numpy()[rows]) > 0.6
