"""Audio seconds per second of pre-training, and its share of the matrix products that the machine can do.

    python benchmarks/pretrain.py [--architecture sibboleth-tiny] [--objective hubert] [--steps 20]

In one process, in turn: a large matrix product (the machine's limit, float32 and bfloat16), the reading and changing
of batches, and whole steps (forward, backward, AdamW). Operations are counted by torch while a step runs.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.utils.flop_counter import FlopCounterMode

from sibboleth.models import training
from sibboleth.models.encoders import arithmetic
from sibboleth.models.pretraining import preparation
from sibboleth.pretraining import Pretraining

ROUNDS = 5


def speech(folder: Path, files: int, seconds: float) -> Path:
    """Write noise with a slow envelope; what is said does not matter for the time it takes."""
    random, rows = np.random.default_rng(0), ["utterance,audio,speaker,language"]
    for number in range(files):
        envelope = 0.1 * np.abs(np.sin(np.arange(int(seconds * 16_000)) / 4000 + number))
        soundfile.write(folder / f"{number}.flac", envelope * random.standard_normal(len(envelope)), 16_000)
        rows.append(f"{number},{number}.flac,{number % 8},en")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def limit(dtype: torch.dtype, device: torch.device) -> float:
    """Return how many operations of a large matrix product the machine does in a second."""
    size = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    one @ other
    return 2 * size**3 / min(timed(lambda: one @ other, device) for _ in range(3))


def timed(work: object, device: torch.device) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="sibboleth-tiny")
    parser.add_argument("--objective", default="hubert", choices=("hubert", "wav2vec2", "dino"))
    parser.add_argument("--seconds", type=float, default=32.0)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--precision", default="auto")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Pretraining.model_validate(
            {
                "name": "benchmark",
                "corpora": [{"name": "noise", "manifest": speech(folder, 64, 6.0)}],
                "start": {"architecture": asked.architecture},
                "objective": {"kind": asked.objective},
                "batches": {"seconds": asked.seconds, "longest": 6.0},
                "augmentation": {"gain": 6, "reverberation": 0.4, "noise": 0.5, "babble": 0.2, "colour": 0.5},
                "training": {"steps": 1000, "precision": asked.precision},
            }
        )
        measure(settings, folder, asked.steps)


def measure(settings: Pretraining, folder: Path, steps: int) -> None:
    place = training.accelerator(preparation.bfloat16(settings))
    prepared = preparation.prepare(settings, folder, 1)
    network = place.prepare_model(prepared.objective)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], fused=True)
    prepared.objective.looking = False
    begun = time.perf_counter()
    batches = [prepared.batches[number] for number in range(steps)]
    reading = sum(batch.seconds for batch in batches) / (time.perf_counter() - begun)
    given = [batch.to(place.device) for batch in batches]

    def step(number: int) -> None:
        with place.autocast():
            loss = network(given[number])["loss"]
        place.backward(loss)
        optimiser.step()
        optimiser.zero_grad()

    step(0)
    with FlopCounterMode(display=False) as counted:
        step(0)
    operations = counted.get_total_flops() / given[0].seconds
    rounds, limits = [], []
    dtype = torch.bfloat16 if preparation.bfloat16(settings) else torch.float32
    for _ in range(ROUNDS):
        limits.append(limit(dtype, place.device))
        seconds = timed(lambda: [step(number) for number in range(steps)], place.device)
        rounds.append(sum(batch.seconds for batch in given) / seconds)
    speed, peak = statistics.median(rounds), statistics.median(limits)
    kind = "bfloat16" if dtype == torch.bfloat16 else "float32"
    print(f"{torch.get_num_threads()} threads, {place.device}, {kind}; bfloat16 pays: {arithmetic.bfloat16_pays()}")
    print(f"matrix products        {peak / 1e9:10.1f} GFLOP/s")
    print(f"reading and changing   {reading:10.1f} audio seconds per second")
    print(f"steps                  {speed:10.1f} audio seconds per second ({min(rounds):.1f} to {max(rounds):.1f})")
    print(f"operations             {operations / 1e9:10.2f} GFLOP per second of audio")
    print(f"share of the limit     {speed * operations / peak:10.2f}")


if __name__ == "__main__":
    main()
