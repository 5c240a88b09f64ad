"""A layer curve, from audio to report: against encoding again per layer and fold, and one pass with scikit-learn.

    python benchmarks/layer_curve.py                       # wav2vec2-base, 400 utterances, 5 folds

All in one process. The floor is the encoder's own pass over all audio as transformers makes it, timed inside the way by
hand. The loop that encodes again is not run: its time is computed from that pass, and said to be.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
import torch

from sibboleth import run
from sibboleth.models.encoders import Encoder, load
from sibboleth.study import EncoderSettings

RATE = 16_000
LABELS = ("angry", "happy", "neutral", "sad")
SPEAKERS = 20
FOLDS = 5
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
STUDY = """
name = "layer-curve"
layer_mix = false
regimes = ["within"]
[target]
labels = {labels}
[[corpora]]
name = "noise"
manifest = "manifest.csv"
[[encoders]]
name = "{encoder}"
[splits]
folds = {folds}
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--encoder", default="untrained:wav2vec2-base")
    options.add_argument("--utterances", type=int, default=400)
    asked = options.parse_args()
    encoder = load(EncoderSettings(name=asked.encoder))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SIBBOLETH_CACHE"] = str(folder / "cache")
        table = speak(folder, asked.utterances)
        print(f"{len(table)} utterances, {table['seconds'].sum():.0f} s, {SPEAKERS} speakers, {encoder.layers} layers")
        print(f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
        encoder.prepare()
        encoder.plainly(np.zeros(RATE, dtype=np.float32))
        study = folder / "study.toml"
        study.write_text(STUDY.format(labels=json.dumps(LABELS), encoder=asked.encoder, folds=FOLDS))
        measure(encoder, table, study, folder)


def speak(folder: Path, utterances: int) -> pl.DataFrame:
    """Write noise whose colour and rhythm depend a little on label and speaker."""
    drawn = np.random.default_rng(0)
    rows = []
    for number in range(utterances):
        label, speaker = number % len(LABELS), number // len(LABELS) % SPEAKERS
        seconds = float(drawn.uniform(1.5, 5))
        time_axis = np.arange(int(seconds * RATE)) / RATE
        hertz = 100 + 7 * speaker + 30 * label + drawn.normal(0, 30)
        samples = 0.1 * drawn.standard_normal(len(time_axis)) + 0.2 * np.sin(2 * np.pi * hertz * time_axis)
        samples *= 0.6 + 0.4 * np.sin(2 * np.pi * (2 + label + drawn.normal(0, 1)) * time_axis)
        path = folder / f"{number}.wav"
        soundfile.write(path, samples, RATE)
        rows.append((f"{number}", str(path), f"s{speaker:02}", LABELS[label], seconds))
    table = pl.DataFrame(rows, schema=["utterance", "audio", "speaker", "emotion", "seconds"], orient="row")
    table.drop("seconds").write_csv(folder / "manifest.csv")
    return table


def measure(encoder: Encoder, table: pl.DataFrame, study: Path, folder: Path) -> None:
    floor, by_hand = one_pass_and_scikit(encoder, table, folder / "features")
    ours = timed(lambda: run(study, output=folder / "run"))
    again = floor * encoder.layers * FOLDS
    print()
    for told, seconds in (
        ("floor: the encoder's own pass", floor),
        ("sibboleth run: audit, encode, probe, score with intervals, report", ours),
        ("one pass to npy, scikit-learn per layer, fold and penalty, no intervals", by_hand),
        (f"encoding again per layer and fold (computed: {encoder.layers} x {FOLDS} floors)", again),
    ):
        print(f"{told:<76}{seconds:>9.1f} s{seconds / floor:>8.2f} floors")


def timed(work: object) -> float:
    assert callable(work)
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def one_pass_and_scikit(encoder: Encoder, table: pl.DataFrame, folder: Path) -> tuple[float, float]:
    """Do by hand what a careful user would: one pass, means to npy, a probe per layer, fold and penalty.

    Returns the seconds of the passes alone, and of everything.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.preprocessing import StandardScaler

    folder.mkdir()
    begun, passes = time.perf_counter(), 0.0
    for utterance, path in table.select("utterance", "audio").iter_rows():
        samples = soundfile.read(path, dtype="float32")[0]
        passing = time.perf_counter()
        states = encoder.plainly(samples)
        passes += time.perf_counter() - passing
        np.save(folder / f"{utterance}.npy", states.mean(axis=1))
    features = np.stack([np.load(folder / f"{utterance}.npy") for utterance in table["utterance"]], axis=1)
    labels, speakers = table["emotion"].to_numpy(), table["speaker"].to_numpy()
    fold = np.array([int(speaker[1:]) % FOLDS for speaker in speakers])
    curve = {}
    for layer, rows in enumerate(features):
        scores = []
        for test in range(FOLDS):
            dev = (test + 1) % FOLDS
            train = (fold != test) & (fold != dev)
            scaler = StandardScaler().fit(rows[train])
            scaled = scaler.transform(rows)
            fitted = [
                LogisticRegression(C=1 / (penalty * train.sum()), max_iter=1000).fit(scaled[train], labels[train])
                for penalty in PENALTIES
            ]
            best = max(fitted, key=lambda probe: probe.score(scaled[fold == dev], labels[fold == dev]))
            scores.append(balanced_accuracy_score(labels[fold == test], best.predict(scaled[fold == test])))
        curve[layer] = float(np.mean(scores))
    print(f"best layer by hand: {max(curve, key=lambda layer: curve[layer])}, UAR {max(curve.values()):.2f}")
    return passes, time.perf_counter() - begun


if __name__ == "__main__":
    main()
