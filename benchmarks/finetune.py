"""Seconds per epoch and memory of LoRA on a base-size encoder, against a plain transformers and peft loop.

    python benchmarks/finetune.py [--architecture wav2vec2-base] [--utterances 48] [--epochs 3]

In one process, epoch by epoch in turn, on the same utterances with the same first weights, learning rate and audio per
step. The plain loop is what one writes by hand: a `PeftModel` around `AutoModel`, batches of 8 in random order, padded,
with an attention mask, a mean over each utterance's own frames and a linear head. Ours encodes up to the lowest trained
layer once, which is told apart. Both look at the same dev set after each epoch.
"""

import argparse
import contextlib
import ctypes
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peft
import polars as pl
import soundfile
import torch
from torch import nn

from sibboleth import audio
from sibboleth.methods import MethodSettings, TuningSettings
from sibboleth.models import features
from sibboleth.models.cache import Cache
from sibboleth.models.encoders import load, stack
from sibboleth.models.tuning import course as courses
from sibboleth.models.tuning import memory
from sibboleth.models.tuning.inputs import FrameInputs
from sibboleth.models.tuning.tuning import Tuning
from sibboleth.study import EncoderSettings

BATCH, RATE, CLASSES = 8, 1e-3, 4
TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense"]


def speech(folder: Path, count: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Write buzzes of four pitches, 1.5 to 8 s long, in noise."""
    random = np.random.default_rng(0)
    rows, truth = [], np.zeros((count, CLASSES))
    for number in range(count):
        label, seconds = number % CLASSES, random.uniform(1.5, 8)
        at = np.arange(int(16_000 * seconds)) / 16_000
        pitch = 110 * 1.4**label * random.uniform(0.92, 1.08)
        sound = sum(np.sin(2 * np.pi * pitch * k * at) / k for k in range(1, 8)) * 0.1
        soundfile.write(folder / f"{number}.flac", sound + random.normal(0, 0.02, len(at)), 16_000)
        rows.append((f"{number:03}", str(folder / f"{number}.flac"), None, None))
        truth[number, label] = 1
    schema = {"utterance": pl.String, "audio": pl.String, "start": pl.Float64, "end": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row"), truth


def plain(encoder: Any, paths: list[str], truth: np.ndarray, train: np.ndarray, dev: np.ndarray) -> Iterator[float]:
    """Train by hand; yields dev's loss after each epoch."""
    base: Any = encoder.build()
    config = peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=TARGETS)
    base.config.apply_spec_augment, base.config.layerdrop = False, 0.0
    model = peft.get_peft_model(base, config)
    head = nn.Linear(encoder.dim, CLASSES)
    extractor = encoder._extractor
    learnt = [one for one in (*model.parameters(), *head.parameters()) if one.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=RATE, fused=True)
    random = np.random.default_rng(0)

    def output(rows: np.ndarray) -> torch.Tensor:
        heard = [soundfile.read(paths[row], dtype="float32")[0] for row in rows]
        given = extractor(heard, sampling_rate=16_000, padding=True, return_attention_mask=True, return_tensors="pt")
        states = model(**given).last_hidden_state
        own = base._get_feature_vector_attention_mask(states.shape[1], given["attention_mask"])[:, :, None]
        return head((states * own).sum(1) / own.sum(1))

    def loss(rows: np.ndarray) -> torch.Tensor:
        return nn.functional.cross_entropy(output(rows), torch.from_numpy(truth[rows].argmax(1)))

    while True:
        model.train()
        order = random.permutation(train)
        for begin in range(0, len(order), BATCH):
            loss(order[begin : begin + BATCH]).backward()
            nn.utils.clip_grad_norm_(learnt, 1.0)
            optimiser.step()
            optimiser.zero_grad()
        model.eval()
        with torch.no_grad():
            found = float(np.mean([float(loss(dev[begin : begin + 1])) for begin in range(len(dev))]))
        yield found


def ours(
    encoder: Any, table: pl.DataFrame, truth: np.ndarray, train: np.ndarray, dev: np.ndarray, epochs: int, folder: Path
) -> tuple[float, Iterator[float]]:
    """Encode the front once, and train; returns the seconds of that, and dev's loss after each epoch."""
    scan = audio.scan(table)
    begun = time.perf_counter()
    found = features.extract(encoder, table, scan, Cache(), frames=(0,))
    front = time.perf_counter() - begun
    seconds = scan["seconds"].to_numpy()
    own = np.array([stack.own_frames(encoder, round(one * 16_000)) for one in seconds])
    inputs = FrameInputs(found, 0, np.arange(len(table)), own, truth, seconds)
    settings = TuningSettings(
        epochs=epochs, learning_rate=RATE, decay="constant", warm_up=0, batch_seconds=BATCH * float(seconds.mean())
    )
    method = MethodSettings.model_validate({"name": "lora", "lora": {}})
    tuning = Tuning(
        kind="classification",
        method=method,
        training=settings,
        lowest=0,
        layers=encoder.layers - 1,
        pooling="mean",
        dim=encoder.dim,
        out=CLASSES,
        trials=1,
        seed=0,
    )
    network, _ = tuning.network(encoder, 0)
    place = courses.Place.of(network, False)
    going = courses.course(network, inputs, train, (dev,), settings, lambda *_: 0.0, 0)

    def trained() -> Iterator[float]:
        before = 0
        for over in courses.run(going, place, folder, {}, 0):
            if over > before:
                before = over
                yield going.rows[-1].dev_loss

    return front, trained()


def resident() -> int:
    """Return the bytes that this process holds now, with what is free given back: else one would hide the other's."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="wav2vec2-base")
    parser.add_argument("--utterances", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SIBBOLETH_CACHE"] = str(folder / "cache")
        table, truth = speech(folder, asked.utterances)
        rows = np.arange(asked.utterances)
        train, dev = rows[rows % 16 < 12], rows[rows % 16 >= 12]
        encoder: Any = load(EncoderSettings(name=f"untrained:{asked.architecture}"))
        front, mine = ours(encoder, table, truth, train, dev, asked.epochs, folder / "state")
        theirs = plain(encoder, table["audio"].to_list(), truth, train, dev)
        told: dict[str, list[tuple[float, float, int]]] = {"plain": [], "ours": []}
        for _ in range(asked.epochs):
            for who, turn in (("plain", theirs), ("ours", mine)):
                held = resident()
                memory.begin()
                begun = time.perf_counter()
                loss = next(turn)
                told[who].append((time.perf_counter() - begun, loss, (memory.peak() or 0) - held))
        report(told, front, asked.epochs)


def report(told: dict[str, list[tuple[float, float, int]]], front: float, epochs: int) -> None:
    medians = {who: statistics.median(one[0] for one in rows) for who, rows in told.items()}
    ratios = [a[0] / b[0] for a, b in zip(told["plain"], told["ours"], strict=True)]
    print(f"{torch.get_num_threads()} threads; the front, once: {front:.1f} s")
    for who, rows in told.items():
        losses = ", ".join(f"{one[1]:.2f}" for one in rows)
        most = max(one[2] for one in rows) / 2**20
        print(f"{who:6} {medians[who]:8.1f} s per epoch, {most:8.0f} MiB above what was held, dev loss {losses}")
    print(f"plain / ours: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) per epoch")
    whole = sum(one[0] for one in told["plain"]) / (front + sum(one[0] for one in told["ours"]))
    print(f"over {epochs} epochs, the front counted: {whole:.2f}")


if __name__ == "__main__":
    main()
