"""What it costs to probe all layers at once, beside probing them one by one, with the check that answers agree.

    python benchmarks/probes.py              # 13 layers, 5 folds, 440 utterances, dim 768, 4 labels, 6 penalties
    python benchmarks/probes.py --layers 4   # quicker

Compared in one process, in seconds of processor time: a cell as `sibboleth run` fills it (predictions and selection
written) with (a) scikit-learn's LogisticRegression for every layer, fold and penalty, and (b) one torch loop with
torch.optim.AdamW for every MLP. Features are random, with the decaying spectrum, speakers and label signal of pooled
hidden states.
"""

import argparse
import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sklearn.linear_model import LogisticRegression

from sibboleth.experiment import cells
from sibboleth.experiment.cells import Cell
from sibboleth.experiment.material import Material
from sibboleth.models.heads import Mlp
from sibboleth.models.probes import Answer, Probing
from sibboleth.probes import LinearProbe, MlpProbe
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit, Test
from sibboleth.study import CorpusSettings, Study
from sibboleth.targets import Target

LABELS = ("angry", "happy", "neutral", "sad")
SPEAKERS, FOLDS, RANK = 20, 5, 200


class Made:
    """Features `[layer, utterance, dim]`; the middle layers know the label best."""

    missing: tuple[int, ...] = ()

    def __init__(self, layers: int, rows: int, dim: int) -> None:
        """Draw them."""
        random = np.random.default_rng(0)
        self.layers = layers
        self.speaker = np.arange(rows) % SPEAKERS
        self.codes = random.integers(0, len(LABELS), rows)
        hidden = random.normal(size=(rows, RANK))
        hidden[:, :8] += 0.8 * random.normal(size=(SPEAKERS, 8))[self.speaker]
        self.values = np.empty((layers, rows, dim), np.float32)
        for layer in range(layers):
            own = hidden + 0.7 * random.normal(size=(rows, RANK))
            own[:, 4:8] += (0.6 + 2 * np.sin(np.pi * layer / layers)) * np.eye(len(LABELS))[self.codes]
            axes = random.normal(size=(RANK, dim)) * (5 / (1 + np.arange(RANK)) / RANK**0.5)[:, None]
            noise = 0.05 * random.normal(size=(rows, dim)) + 0.3 * random.normal(size=dim)
            self.values[layer] = own @ axes * random.lognormal(0, 0.5, dim) + noise

    def matrix(self, layer: int, pooling: str) -> np.ndarray:
        """Return one layer's."""
        return self.values[layer]

    def fits(self) -> tuple[Fit, ...]:
        """Divide the speakers."""
        fold = self.speaker % FOLDS
        every = []
        for number in range(FOLDS):
            tested, selects = fold == number, fold == (number + 1) % FOLDS
            test = Test("within", "made", np.flatnonzero(tested))
            every.append(Fit("made", str(number), np.flatnonzero(~tested & ~selects), np.flatnonzero(selects), (test,)))
        return tuple(every)

    def material(self) -> Material:
        """Return what a cell needs to be written."""
        names = [f"u{index:06d}" for index in range(len(self.codes))]
        return Material(
            study=Study(name="benchmark", corpora=(CorpusSettings(name="made", manifest=Path("made.csv")),)),
            corpora=(),
            table=pl.DataFrame({"utterance": names, "label": [LABELS[code] for code in self.codes]}),
            scan=pl.DataFrame({"utterance": names, "digest": names}),
            target=Target(name="label", kind="classification", labels=LABELS),
            excluded=pl.DataFrame(),
        )


def fill(made: Made, probe: LinearProbe | MlpProbe, trials: int, mix: bool) -> tuple[float, float, list[Answer]]:
    """Fill a cell and write it, and return what it answered (which takes the answers again, untimed)."""
    probing = Probing(kind="classification", probe=probe, pooling="mean", trials=trials, seed=0, layer_mix=mix)
    one = Cell("made", "made", "made", made.fits(), probing)
    stuff = made.material()
    with tempfile.TemporaryDirectory() as folder:
        begun, wall = time.process_time(), time.perf_counter()
        for _ in cells.solve(one, made, stuff, RunDirectory(Path(folder))):
            pass
        cpu, wall = time.process_time() - begun, time.perf_counter() - wall
    truth = np.eye(len(LABELS))[made.codes]
    units = [unit for unit in probing.units(made, len(LABELS), one.fits) if unit != (None,)]
    return cpu, wall, [answer for unit in units for answer in probing.answers_of(unit, made, truth, one.fits)]


def scikit_learn(
    made: Made, penalties: Sequence[float], tolerance: float
) -> dict[tuple[int, int], tuple[float, np.ndarray]]:
    """Return the penalty that dev chooses and its answers, for every fit and layer."""
    chosen = {}
    for layer in range(made.layers):
        for index, fit in enumerate(made.fits()):
            x = made.values[layer].astype(np.float64)
            deviation = x[fit.train].std(0)
            x = (x - x[fit.train].mean(0)) / np.where(deviation > 0, deviation, 1)
            best = (np.inf, 0.0, np.empty(0))
            for penalty in sorted(penalties, reverse=True):
                probe = LogisticRegression(C=1 / (penalty * len(fit.train)), tol=tolerance, max_iter=10_000)
                probe.fit(x[fit.train], made.codes[fit.train])
                share = probe.predict_proba(x[fit.dev])
                loss = float(-np.log(share[np.arange(len(fit.dev)), made.codes[fit.dev]]).mean())
                if loss < best[0]:
                    best = (loss, penalty, probe.predict_proba(x[fit.tests[0].rows]))
            chosen[index, layer] = best[1:]
    return chosen


def torch_alone(made: Made, probe: MlpProbe, trials: int) -> dict[tuple[int, int, int], tuple[float, np.ndarray]]:
    """Train every MLP alone; return its best epoch and answers, for every fit, layer and seed."""
    chosen = {}
    y = torch.from_numpy(made.codes)
    sizes = (made.values.shape[2], *probe.hidden, len(LABELS))
    for layer in range(made.layers):
        x = torch.from_numpy(made.values[layer])
        for index, fit in enumerate(made.fits()):
            train, dev, test = (torch.from_numpy(rows) for rows in (fit.train, fit.dev, fit.tests[0].rows))
            for seed in range(trials):
                drawn = Mlp(sizes[0], probe.hidden, len(LABELS)).start([seed])
                linears = [torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
                for place, linear in enumerate(linears):
                    linear.weight.data = drawn[f"weight{place}"][0].T.clone()
                    linear.bias.data = drawn[f"bias{place}"][0].clone()
                between = [part for linear in linears for part in (linear, torch.nn.ReLU())][:-1]
                model = torch.nn.Sequential(*between)
                optimizer = torch.optim.AdamW(
                    model.parameters(), lr=probe.learning_rate[0], weight_decay=probe.weight_decay[0]
                )
                least, waited, best = np.inf, 0, (0.0, np.empty(0))
                for epoch in range(1, probe.epochs + 1):
                    generator = torch.Generator().manual_seed((seed << 20) + epoch)
                    for batch in train[torch.randperm(len(train), generator=generator)].split(probe.batch_size):
                        optimizer.zero_grad()
                        torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                        optimizer.step()
                    with torch.no_grad():
                        loss = float(torch.nn.functional.cross_entropy(model(x[dev]), y[dev]))
                        waited += 1
                        if loss < least:
                            answers = torch.softmax(model(x[test]), 1).numpy()
                            least, waited, best = loss, 0, (float(epoch), answers)
                    if waited == probe.patience:
                        break
                chosen[index, layer, seed] = best
    return chosen


def agreement(answers: Sequence[Answer], others: dict) -> str:
    """Say how far choices and test predictions agree."""
    alike = different = 0
    furthest, labels = 0.0, []
    for answer in answers:
        key = (answer.fit, answer.layer, answer.trial)
        choice, tests = others[key] if key in others else others[key[:2]]
        labels.append((answer.tests[0].argmax(1) == tests.argmax(1)).mean())
        if answer.choice == choice:
            alike += 1
            furthest = max(furthest, float(np.abs(answer.tests[0] - tests).max()))
        else:
            different += 1
    return (
        f"dev chooses alike in {alike} of {alike + different}; of these test probabilities differ by at most "
        f"{furthest:.1e}; the same label for {100 * np.mean(labels):.2f} % of test utterances"
    )


def compare(name: str, work: Callable[[], dict], cpu: float, answers: Sequence[Answer]) -> None:
    """Time the probes one by one, and check that they answer alike."""
    begun, wall = time.process_time(), time.perf_counter()
    others = work()
    alone, wall = time.process_time() - begun, time.perf_counter() - wall
    print(f"{name}, one by one: {alone:.2f} s of processor time, {wall:.2f} s: {alone / cpu:.1f} times as much")
    print(f"  {agreement(answers, others)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--utterances", type=int, default=440)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--seeds", type=int, default=1, help="seeds of every MLP")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    made = Made(asked.layers, asked.utterances, asked.dim)
    print(
        f"{asked.layers} layers, {FOLDS} folds, {asked.utterances} utterances, dim {asked.dim}, {len(LABELS)} labels, "
        f"{asked.threads} thread(s) (scikit-learn's as OMP_NUM_THREADS says)"
    )
    fill(Made(2, 200, 64), LinearProbe(), 1, mix=True)  # what is only slow the first time
    linear, mlp = LinearProbe(), MlpProbe()
    mixed, mixed_wall, _ = fill(made, linear, 1, mix=True)
    print(f"linear cell with layer mix, tables written: {mixed:.2f} s of processor time, {mixed_wall:.2f} s")
    cpu, wall, answers = fill(made, linear, 1, mix=False)
    print(f"linear cell without it: {cpu:.2f} s of processor time, {wall:.2f} s, {len(linear.l2)} penalties")
    for tolerance in (1e-7, 1e-4):
        alone = functools.partial(scikit_learn, made, linear.l2, tolerance)
        compare(f"scikit-learn, tol={tolerance:.0e}", alone, cpu, answers)
    cpu, wall, answers = fill(made, mlp, asked.seeds, mix=False)
    print(f"MLP cell without mix: {cpu:.2f} s of processor time, {wall:.2f} s, {asked.seeds} seed(s)")
    compare("torch.optim.AdamW", lambda: torch_alone(made, mlp, asked.seeds), cpu, answers)


if __name__ == "__main__":
    main()
