"""How fast recordings are encoded: against the loop people write, against padded batches, and against the machine.

    python benchmarks/encode.py                                  # wav2vec2-base, a tiny one, a function, the control
    python benchmarks/encode.py --encoder untrained:hubert-base --seconds 300

All variants take the same files, in one process, one after the other in each round; a matrix product is timed in every
round as well. Every variant reads and decodes the files, encodes all layers and pools them over time. Weights are
random: they cost what trained ones cost.
"""

import argparse
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.utils.flop_counter import FlopCounterMode

from sibboleth.models import encoding
from sibboleth.models.encoders import Encoder, arithmetic, load
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.encoding import Recording
from sibboleth.study import EncoderSettings

RATE = 16_000
BATCH = 16
Pooled = list[np.ndarray]
FUNCTION = '''
import numpy as np

def bands(audio, rate):
    """A plain function: log band energies of frames of 20 ms."""
    padded = np.pad(audio, (0, max(0, 640 - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 320)[::320]
    return np.log(np.abs(np.fft.rfft(frames, axis=1))[None, :, :64] + 1e-3).astype("float32")
'''


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--encoder", action="append", help="name as in a study file; may be given several times")
    options.add_argument("--seconds", type=float, default=120.0, help="of audio")
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bands.py").write_text(FUNCTION)
        usual = ["untrained:wav2vec2-base", "untrained:tiny-wav2vec2", f"python:{folder}/bands.py:bands", "logmel"]
        recordings = speak(Path(folder), asked.seconds)
        told = f"{len(recordings)} recordings of 1.5 to 8 s, {sum(r.seconds for r in recordings):.0f} s"
        print(f"{told}; {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
        for name in asked.encoder or usual:
            measure(load(EncoderSettings(name=name)), recordings, asked.rounds)


def speak(folder: Path, seconds: float) -> list[Recording]:
    """Write noise with the lengths of utterances."""
    drawn = np.random.default_rng(0)
    made: list[Recording] = []
    while sum(recording.seconds for recording in made) < seconds:
        length = float(drawn.uniform(1.5, 8))
        samples = 0.1 * drawn.standard_normal(int(length * RATE))
        path = folder / f"{len(made)}.wav"
        soundfile.write(path, samples, RATE)
        made.append(Recording(str(len(made)), str(path), None, None, len(samples) / RATE))
    return made


def measure(encoder: Encoder, recordings: Sequence[Recording], rounds: int) -> None:
    encoder.prepare()
    variants = dict(ways(encoder))
    seconds = sum(recording.seconds for recording in recordings)
    times: dict[str, list[float]] = {name: [] for name in variants}
    peaks: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    found: dict[str, Pooled] = {}
    for name, work in variants.items():  # once without the clock, and for what comes out
        found[name] = work(recordings)
    for _ in range(rounds):
        for dtype in peaks:
            if dtype == torch.float32 or arithmetic.bfloat16_pays():
                peaks[dtype].append(peak(dtype))
        for name, work in variants.items():
            begun = time.perf_counter()
            work(recordings)
            times[name].append(time.perf_counter() - begun)
    operations = counted(encoder, recordings)
    print(f"\n{encoder.name}, {rounds} rounds")
    for dtype, measured in peaks.items():
        if measured and operations:
            told = f"bounds it at {statistics.median(measured) * seconds / operations:.1f} times real time"
            print(f"matrix product in {str(dtype)[6:]}: {statistics.median(measured) / 1e9:.0f} GFLOP/s, {told}")
    plain = times["plain loop"]
    head = (
        f"{'':<34}{'x real time':>12}{'ratio [quartiles]':>22}{'share of peak':>15}{'differs by':>12}{'of spread':>11}"
    )
    print(head)
    for name, measured in times.items():
        ratios = sorted(a / b for a, b in zip(plain, measured, strict=True))
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        at = torch.bfloat16 if "bfloat16" in name else torch.float32
        rate = operations / statistics.median(measured) / statistics.median(peaks[at]) if operations else None
        share = "" if rate is None else f"{rate:.2f}"
        difference, spread = apart(found[name], found["plain loop"])
        print(
            f"{name:<34}{seconds / statistics.median(measured):>12.1f}{f'{middle:.2f} [{low:.2f}, {high:.2f}]':>22}"
            f"{share:>15}{difference:>12.1e}{spread:>11.1e}"
        )


def ways(encoder: Encoder) -> Iterator[tuple[str, Callable[[Sequence[Recording]], Pooled]]]:
    yield "plain loop", lambda recordings: plain_loop(encoder, recordings)
    if isinstance(encoder, Transformer) and encoder.config["model_type"] not in ("whisper", "wav2vec2-bert"):
        yield f"padded batches of {BATCH}, random order", lambda recordings: padded(encoder, recordings)
    yield "sibboleth, float32", lambda recordings: sibboleth(encoder, recordings)
    if isinstance(encoder, Transformer) and arithmetic.bfloat16_pays():
        rounded = replace(encoder, precision="bfloat16")
        yield "sibboleth, bfloat16", lambda recordings: sibboleth(rounded, recordings)


def plain_loop(encoder: Encoder, recordings: Sequence[Recording]) -> Pooled:
    """What a user writes: read, one utterance through transformers, mean over time of all layers."""
    means = []
    for recording in recordings:
        samples, _ = soundfile.read(recording.path, dtype="float32")
        means.append(encoder.plainly(samples).mean(axis=1))
    return means


def padded(encoder: Transformer, recordings: Sequence[Recording]) -> Pooled:
    """What many write: batches in random order, padded, with the attention mask, mean over own frames."""
    order = list(range(len(recordings)))
    random.Random(0).shuffle(order)
    means: dict[int, np.ndarray] = {}
    model = encoder._plain
    for begin in range(0, len(order), BATCH):
        some = order[begin : begin + BATCH]
        read = [soundfile.read(recordings[place].path, dtype="float32")[0] for place in some]
        inputs = encoder._extractor(
            read, sampling_rate=RATE, return_tensors="pt", padding=True, return_attention_mask=True
        )
        with torch.inference_mode():
            states = torch.stack(model(**inputs, output_hidden_states=True).hidden_states)
        frames = model._get_feat_extract_output_lengths(torch.tensor([len(samples) for samples in read]))
        for row, place in enumerate(some):
            means[place] = states[:, row, : int(frames[row])].mean(dim=1).numpy()
    return [means[place] for place in range(len(recordings))]


def sibboleth(encoder: Encoder, recordings: Sequence[Recording]) -> Pooled:
    results = []
    with contextlib.closing(encoding.encode(encoder, recordings)) as encoded:
        for one in encoded:
            assert one.statistics is not None, one.failure
            results.append(one.statistics[:, 0])
    return results


def counted(encoder: Encoder, recordings: Sequence[Recording]) -> float:
    """Count the floating-point operations of one pass over all recordings, matrix products and convolutions only."""
    if not isinstance(encoder, Transformer):
        return 0.0
    lengths = [min(r.seconds for r in recordings), max(r.seconds for r in recordings)]
    measured = []
    for seconds in lengths:
        with FlopCounterMode(display=False) as counter:
            encoder.hidden_states(np.zeros(int(seconds * RATE), dtype=np.float32))
        measured.append(counter.get_total_flops())
    slope = (measured[1] - measured[0]) / (lengths[1] - lengths[0])
    return float(sum(measured[0] + slope * (recording.seconds - lengths[0]) for recording in recordings))


def peak(dtype: torch.dtype) -> float:
    """Measure floating-point operations per second of a large matrix product on all threads."""
    one, other = torch.randn(1536, 1536).to(dtype), torch.randn(1536, 1536).to(dtype)
    one @ other
    begun = time.perf_counter()
    for _ in range(6):
        one @ other
    return 6 * 2 * 1536**3 / (time.perf_counter() - begun)


def apart(found: Pooled, expected: Pooled) -> tuple[float, float]:
    """Return the largest relative difference of a layer's mean, and the same by the spread between utterances."""
    ours, theirs = np.stack(found).astype(np.float64), np.stack(expected).astype(np.float64)
    moved = np.linalg.norm(ours - theirs, axis=2)
    spread = np.sqrt(((theirs - theirs.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    return float((moved / np.linalg.norm(theirs, axis=2)).max()), float((moved / spread).max())


if __name__ == "__main__":
    main()
