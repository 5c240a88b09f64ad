"""How cost grows with hours, layers, encoders and cells: computed to 100,000 hours from what a little of each costs.

    python benchmarks/scale.py             # the tables of docs/scale.md, from the assumptions below
    python benchmarks/scale.py --measure   # measures on this machine what is assumed of a core, in processor time

What is assumed is in `Assumptions`, each number with where it comes from. Operations of probes are those that the
program itself counts for a plan; nothing is fitted to what is printed.
"""

import argparse
import dataclasses
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from sibboleth.experiment.cost import Cost, Span
from sibboleth.models import convex
from sibboleth.models.encoders import load
from sibboleth.study import EncoderSettings

HOURS = (1, 10, 100, 1_000, 10_000, 100_000)
WORKERS = (1, 16, 256, 4096)


@dataclass(frozen=True)
class Architecture:
    """One size of encoder: wav2vec 2.0 and its relatives."""

    name: str
    layers: int
    """Hidden states."""
    dim: int

    @property
    def operations(self) -> float:
        """Of floating point, for a second of audio: the front end, the positional convolution, and 50 frames' layers.

        A layer multiplies with 12 dim^2 weights, and attention sees the 4 s of an utterance.
        """
        positions = 2 * FRAMES * 128 * self.dim**2 / 16
        layer = 2 * FRAMES * (12 * self.dim**2 + 2 * 4 * FRAMES * self.dim)
        return FRONT + positions + (self.layers - 1) * layer


FRAMES = 50
"""A second."""
FRONT = 4.9e9
"""Operations of a front end of seven convolutions with 512 channels, for a second of audio."""
BASE = Architecture("base (wav2vec2-base)", 13, 768)
LARGE = Architecture("large (XLS-R 300M)", 25, 1024)


@dataclass(frozen=True)
class Assumptions:
    """What the tables are computed from."""

    seconds: float = 4.0
    """Of an utterance: Common Voice has about 5, acted emotions 2 to 4."""
    core: float = 45e9
    """Operations per second of a core while it encodes: of one with AVX2 (layer_curve.py); with AVX-512 twice that."""
    accelerator: float = 60e12
    """The same of an accelerator in bfloat16: a fifth of an A100's peak; assumed, not measured here."""
    solving: float = 8e9
    """The same while probes are solved, in float64: half of what one with AVX-512 did (`--measure`)."""
    score: float = 0.012
    """Seconds of a core to score one rater on up to 1,000 utterances, 2,000 resamples of speakers."""
    manifest: float = 1.2e9
    """Bytes that a million rows of a manifest take while it is read, audited and planned (manifest.py)."""
    utterance: float = 2e3
    """Bytes of an utterance while it is encoded: what the scan measured, and where it lies in the cache (scale.md)."""
    answer: float = 350.0
    """Bytes of an answer while the table of its cell is written and scored (scale.md)."""
    domains: int = 4
    folds: int = 5
    labels: int = 4
    penalties: int = 6
    row: int = 6
    """Bytes of a prediction on disk, which stands there twice."""


@dataclass(frozen=True)
class Size:
    """A study of one encoder at some hours of speech, and what it takes."""

    hours: float
    encoder: Architecture
    given: Assumptions

    @property
    def utterances(self) -> float:
        """That are encoded and answered."""
        return 3600 * self.hours / self.given.seconds

    @property
    def operations(self) -> float:
        """Of encoding."""
        return 3600 * self.hours * self.encoder.operations

    @property
    def statistics(self) -> float:
        """Bytes in the cache: mean and standard deviation over time of all layers."""
        return self.utterances * self.encoder.layers * 2 * self.encoder.dim * 4

    @property
    def frames(self) -> float:
        """Bytes of the frames of one layer, where a method asks for them."""
        return 3600 * self.hours * 50 * self.encoder.dim * 4

    @property
    def layer(self) -> float:
        """Bytes of one layer of all utterances, which a probe holds."""
        return self.utterances * self.encoder.dim * 4

    @property
    def probes(self) -> float:
        """Seconds of a core to solve the linear probes of one cell: all layers, folds and penalties of a source."""
        given = self.given
        rows = int(self.utterances / given.domains * (1 - 1 / given.folds) * 0.8)
        each = convex.operations([rows] * given.folds, self.encoder.dim, given.labels, given.penalties)
        return each * self.encoder.layers / given.solving

    @property
    def answers(self) -> float:
        """Count label weights: of every utterance by every layer and the best, in every regime from every source."""
        runs = 1 + 2 * (self.given.domains - 1)
        return self.utterances * (self.encoder.layers + 1) * runs * self.given.labels

    @property
    def tables(self) -> float:
        """Bytes of predictions."""
        return 2 * self.answers * self.given.row

    @property
    def scoring(self) -> float:
        """Seconds of a core to score every rater of every run."""
        given = self.given
        runs = given.domains * (1 + 2 * (given.domains - 1))
        share = max(1.0, self.utterances / given.domains / 1000)
        return runs * (self.encoder.layers + 1) * given.score * share

    @property
    def memory(self) -> float:
        """Bytes that one process holds at its peak, beside the program: probing, or the table of one cell."""
        held = self.utterances * (self.given.manifest / 1e6 + self.given.utterance)
        return held + max(6 * self.layer, self.answers / self.given.domains * self.given.answer)

    def cost(self) -> Cost:
        """What workers of one core each divide among them."""
        cells = [self.probes] * self.given.domains
        certain = [Span(one, one, one) for one in (self.operations / self.given.core, self.scoring + 10, *cells)]
        return Cost(certain[0], tuple(certain[2:]), certain[1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--measure", action="store_true")
    if options.parse_args().measure:
        measure()
        return
    given = Assumptions()
    told = ", ".join(f"{name} {value:,g}" for name, value in dataclasses.asdict(given).items())
    print(f"assumed: {told}\n")
    for encoder in (BASE, LARGE):
        print(encoder.name)
        show(
            (
                "hours",
                "utterances",
                "core-hours",
                "GPU-hours",
                "cache",
                "a layer's frames",
                "probes",
                "scoring",
                "tables",
                "memory",
            ),
            (by_hours(Size(hours, encoder, given)) for hours in HOURS),
        )
    print("wall time with workers of one core each (base); the rest of a run does not divide")
    show(
        ("hours", *(f"{workers:,}" for workers in WORKERS), "not divided"),
        (by_workers(Size(hours, BASE, given)) for hours in HOURS),
    )
    print("100 hours, base, times the cost of one layer, encoder, domain: what grows with what")
    show(("", "encoding", "cache", "probes", "scoring", "tables"), growth(given))


def by_hours(size: Size) -> Iterator[str]:
    yield f"{size.hours:,}"
    yield f"{size.utterances:,.0f}"
    yield lasting(size.operations / size.given.core, "h")
    yield lasting(size.operations / size.given.accelerator, "h")
    yield amount(size.statistics)
    yield amount(size.frames)
    yield lasting(size.probes * size.given.domains, "h")
    yield lasting(size.scoring, "h")
    yield amount(size.tables)
    yield amount(size.memory)


def by_workers(size: Size) -> Iterator[str]:
    cost = size.cost()
    yield f"{size.hours:,}"
    for workers in WORKERS:
        yield lasting(cost.of(workers).middle)
    yield lasting(cost.finish.middle)


def growth(given: Assumptions) -> Iterator[Iterator[str]]:
    plain = Size(100, BASE, given)
    twice = dataclasses.replace(BASE, layers=2 * BASE.layers)
    others = {
        "twice the hours": (Size(200, BASE, given), 1),
        "twice the layers": (Size(100, twice, given), 1),
        "two encoders": (plain, 2),
        "twice the domains": (Size(100, BASE, dataclasses.replace(given, domains=2 * given.domains)), 1),
        "twice the folds": (Size(100, BASE, dataclasses.replace(given, folds=2 * given.folds)), 1),
    }
    for name, (size, times) in others.items():
        pairs = (
            (size.operations, plain.operations),
            (size.statistics, plain.statistics),
            (size.probes * size.given.domains, plain.probes * given.domains),
            (size.scoring, plain.scoring),
            (size.tables, plain.tables),
        )
        yield iter((name, *(f"{times * one / other:.1f}" for one, other in pairs)))


def show(head: tuple[str, ...], rows: Iterator[Iterator[str]]) -> None:
    every = [head, *(tuple(row) for row in rows)]
    widths = [max(len(row[place]) for row in every) for place in range(len(head))]
    for row in every:
        first, *others = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join((row[0].ljust(widths[0]) if not row[0][:1].isdigit() else first, *others)))
    print()


def lasting(seconds: float, unit: str | None = None) -> str:
    hours = seconds / 3600
    if unit == "h":
        return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
    for limit, size, name in ((60, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h"), (np.inf, 86400, "days")):
        if seconds < limit:
            return f"{seconds / size:,.0f} {name}"
    raise AssertionError


def amount(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:,.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def measure() -> None:
    """Measure what is assumed of a core, in processor time of one thread, and count operations."""
    torch.set_num_threads(1)
    encoder = load(EncoderSettings(name="untrained:wav2vec2-base"))
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * encoder.rate).astype(np.float32)
    encoder.prepare()
    with FlopCounterMode(display=False) as counter:
        encoder.plainly(noise)  # the counter does not see into packed layers
    operations = counter.get_total_flops() / 4
    speed = 4 * operations / spent(lambda: encoder.hidden_states(noise))
    print(
        f"base: {operations / 1e9:.1f} GFLOP a second of audio ({BASE.operations / 1e9:.1f} by the formula), ", end=""
    )
    print(f"{speed / 1e9:.0f} GFLOP/s of one core, {speed / operations:.1f} times real time")
    one = torch.randn(1024, 1024)
    print(f"matrix product: {2 * 1024**3 / spent(lambda: one @ one) / 1e9:.0f} GFLOP/s in float32")
    solved(4000, 256)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.1f} GB")


def solved(rows: int, dim: int) -> None:
    """Solve linear probes of one layer, and say how many operations a second that was, as a plan counts them."""
    random = np.random.default_rng(0)
    label = random.integers(0, 4, rows)
    features = random.normal(size=(rows, dim)) + 0.3 * random.normal(size=(4, dim))[label]
    truth = torch.eye(4, dtype=torch.float64)[label]
    sets = [torch.tensor(np.flatnonzero(np.arange(rows) % 5 != fold)) for fold in range(5)]
    penalty = torch.logspace(-3, 2, 6, dtype=torch.float64)
    layer = torch.from_numpy(features.astype(np.float32))
    seconds = spent(lambda: list(convex.solve([layer], truth, sets, penalty, "cross-entropy")), rounds=1)
    counted = convex.operations([len(one) for one in sets], dim, 4, 6)
    print(f"probes, {rows} x {dim}: {counted / seconds / 1e9:.1f} GFLOP/s of one core as a plan counts them")


def spent(work: Callable[[], object], rounds: int = 2) -> float:
    """Return the least processor time that some work took."""
    found = []
    work()
    for _ in range(rounds):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


if __name__ == "__main__":
    main()
