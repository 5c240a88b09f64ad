"""How encoding uses the cores of one machine: one thread, torch's own threads, utterances side by side, processes.

    python benchmarks/local_engine.py                                   # sibboleth-tiny-multi and wav2vec2-base
    python benchmarks/local_engine.py --encoder untrained:hubert-base --seconds 60 --rounds 5

All variants encode the same noise from memory (all layers, pooled over time), one after the other in each round, and
the ratios are taken round by round. Processes are started, and have loaded their encoder, before the clock. Beside the
ratio of wall time stands that of processor time, which other programs on the machine disturb less.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_info

from sibboleth.models import encoding, threads
from sibboleth.models.encoders import Audio, Encoder, load
from sibboleth.models.encoding import Recording
from sibboleth.study import EncoderSettings

RATE = 16_000


@dataclass(frozen=True)
class Noise(Recording):
    """Noise that needs no file."""

    def read(self, rate: int) -> Audio:
        """Draw it."""
        drawn = np.random.default_rng(int(self.digest))
        return drawn.normal(0, 0.1, int(self.seconds * rate)).astype(np.float32)


class Worker:
    """What a process keeps: its encoder."""

    encoder: Encoder | None = None


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--encoder", action="append", help="name as in a study file; may be given several times")
    options.add_argument("--seconds", type=float, default=40.0, help="of audio")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    asked = options.parse_args()
    told = ", ".join(f"{one['user_api']} {one['num_threads']}" for one in threadpool_info())
    print(f"{asked.cores} cores, load {os.getloadavg()[0]:.1f} while it began; thread pools: {told}")
    for name in asked.encoder or ("sibboleth-tiny-multi", "untrained:wav2vec2-base"):
        measure(name, asked.seconds, asked.rounds, asked.cores)


def measure(name: str, seconds: float, rounds: int, cores: int) -> None:
    drawn = np.random.default_rng(0)
    recordings: list[Recording] = []
    while sum(one.seconds for one in recordings) < seconds:
        recordings.append(Noise(str(len(recordings)), "", None, None, float(drawn.uniform(1.5, 8))))
    start(name, cores)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(cores, context, start, (name, 1)) as single,
        ProcessPoolExecutor(cores, context, start, (name, cores)) as many,
    ):
        variants: dict[str, Callable[[Sequence[Recording]], object]] = {
            "one thread": lambda some: alone(some, 1),
            f"{cores} threads of torch in each product": lambda some: alone(some, cores),
            f"{cores} utterances side by side (sibboleth)": work,
            f"{cores} processes, one thread each": lambda some: divided(single, some, cores),
            f"{cores} processes, {cores} threads each": lambda some: divided(many, some, cores),
        }
        wall: dict[str, list[float]] = {one: [] for one in variants}
        busy: dict[str, list[float]] = {one: [] for one in variants}
        for variant in variants.values():  # without the clock
            variant(recordings[: 2 * cores])
        for _ in range(rounds):
            for one, variant in variants.items():
                begun, before = time.perf_counter(), processor(single, many)
                variant(recordings)
                wall[one].append(time.perf_counter() - begun)
                busy[one].append(processor(single, many) - before)
    print(f"\n{name}: {len(recordings)} recordings, {sum(one.seconds for one in recordings):.0f} s, {rounds} rounds")
    print(f"{'':<44}{'times as fast':>15}{'processor time':>16}")
    for one in variants:
        faster = statistics.median(a / b for a, b in zip(wall["one thread"], wall[one], strict=True))
        more = statistics.median(b / a for a, b in zip(busy["one thread"], busy[one], strict=True))
        print(f"{one:<44}{faster:>15.2f}{more:>16.2f}")


def start(name: str, count: int) -> None:
    """Load an encoder into this process, which then has so many threads."""
    threads.use(count)
    Worker.encoder = load(EncoderSettings(name=name))
    Worker.encoder.prepare()


def work(recordings: Sequence[Recording]) -> int:
    """Encode as sibboleth does, utterances side by side."""
    assert Worker.encoder is not None
    return sum(one.failure is None for one in encoding.encode(Worker.encoder, recordings))


def alone(recordings: Sequence[Recording], count: int) -> None:
    """Encode one utterance after the other, each with so many threads of torch."""
    assert Worker.encoder is not None
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    for recording in recordings:
        encoding.pooled(iter([Worker.encoder.hidden_states(recording.read(RATE))]))
    torch.set_num_threads(before)


def divided(pool: ProcessPoolExecutor, recordings: Sequence[Recording], count: int) -> None:
    """Encode in processes, a part each."""
    for done in [pool.submit(work, recordings[part::count]) for part in range(count)]:
        done.result()


def processor(*pools: ProcessPoolExecutor) -> float:
    """Return the processor time of this process and of those of the pools."""
    total = time.process_time()
    for pool in pools:
        for process in pool._processes.values():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


if __name__ == "__main__":
    main()
