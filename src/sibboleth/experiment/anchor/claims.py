"""The study's fourteen claims about what it did and found: what a reproduction did and found, and where that is seen.

Nothing is read back from the settings that can be counted in what was made: utterances, folds, items, parameters,
epochs, scores.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sibboleth.experiment.anchor.asked import Reproduction
from sibboleth.experiment.anchor.studies import EMOTION, SEGMENTS
from sibboleth.experiment.material import Material
from sibboleth.listeners.test import Item, Test
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit, Fits, Rows

AS_THERE, OTHERWISE, SHOWN, PARTLY, NOT_SHOWN, LEFT_OUT = (
    "as there",
    "otherwise",
    "shown",
    "in part",
    "not shown",
    "left out",
)
SCHEMA = {"number": pl.Int64, **dict.fromkeys(("claim", "published", "gave", "verdict", "seen", "link"), pl.String)}
FOLDS: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("corpus", "fold", "part"), pl.String),
    "utterances": pl.Int64,
    "speakers": pl.Int64,
    "least": pl.Int64,
    "most": pl.Int64,
}
"""A row per corpus, fold and part (train, dev, test) within a language; least and most are utterances of an emotion."""
ALPHA = 0.05


@dataclass(frozen=True)
class Evidence:
    """What a reproduction has made."""

    asked: Reproduction
    run: RunDirectory
    """Of the study of emotion."""
    stuff: Material
    fits: Fits
    test: Test
    """The listening test."""
    conditions: pl.DataFrame

    @property
    def record(self) -> dict[str, Any]:
        """The run's record."""
        return self.run.read()

    @property
    def items(self) -> list[Item]:
        """What people are asked about, repeats aside."""
        return [item for item in self.test.items if item.role == "item"]


def folds(stuff: Material, fits: Sequence[Fit]) -> pl.DataFrame:
    """Count who trains, selects and tests in every fold within a language."""
    own = [(fit, test) for fit in fits for test in fit.tests if test.regime == "within" and fit.then is None]
    rows = [
        (fit.source, fit.fold, part, *_counted(stuff, of))
        for fit, test in own
        for part, of in (("train", fit.train), ("dev", fit.dev), ("test", test.rows))
    ]
    return pl.DataFrame(rows, schema=FOLDS, orient="row")


def _counted(stuff: Material, rows: Rows) -> tuple[int, int, int, int]:
    some = stuff.table[rows]
    counts = some.group_by(stuff.target.name).len()["len"]
    labels = len(stuff.target.labels)
    least = int(counts.min() or 0) if len(counts) == labels else 0  # type: ignore[arg-type]
    return len(some), some["speaker"].n_unique(), least, int(counts.max() or 0)  # type: ignore[arg-type]


def table(found: Evidence, counted: pl.DataFrame) -> pl.DataFrame:
    """Return a row per claim; `counted` are its folds."""
    rows = []
    for number, (claim, published, seen, link, ask) in enumerate(CLAIMS, 1):
        gave, verdict = ask(found, counted)
        rows.append((number, claim, published, gave, verdict, seen, link))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


Answer = tuple[str, str]


def _same(holds: bool) -> str:
    return AS_THERE if holds else OTHERWISE


def _languages(found: Evidence, counted: pl.DataFrame) -> Answer:
    counts = dict(found.stuff.table.group_by("corpus").len().sort("corpus").rows())
    told = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
    return f"{told} utterances", _same(set(counts.values()) == {2000})


def _emotions(found: Evidence, counted: pl.DataFrame) -> Answer:
    cells = found.stuff.table.group_by("corpus", found.stuff.target.name).len()["len"]
    return f"{_range(cells.to_list())} in each of {len(cells)} cells", _same(set(cells) == {500} and len(cells) == 12)


def _trained(found: Evidence, counted: pl.DataFrame) -> Answer:
    train = counted.filter(part="train")
    per = train.group_by("corpus").len()["len"]
    told = f"{_range(per.to_list())} folds, in each {_range([*train['least'], *train['most']])} of each emotion train"
    withheld = ", and what people are asked about trains nobody" if found.stuff.study.splits.listening else ""
    return told + withheld, _same(set(per) == {5} and set(train["least"]) | set(train["most"]) == {400})


def _tested(found: Evidence, counted: pl.DataFrame) -> Answer:
    dev, test = (counted.filter(part=part)["utterances"].to_list() for part in ("dev", "test"))
    return f"{_range(dev)} select, {_range(test)} test", _same(set(dev) | set(test) == {200})


def _heard(found: Evidence, counted: pl.DataFrame) -> Answer:
    items = [item for item in found.items if item.part == EMOTION]
    cells = [(item.values.get("language"), item.answer) for item in items]
    known = found.record.get("heard_by_models") or {}
    told = f"{_range([cells.count(cell) for cell in set(cells)])} of each emotion and language, {len(items)} in all"
    if known:
        told += f"; {known['known']} of them were known to a model that answers about them"
    return told, _same(len(items) == 144 and len(set(cells)) == 12 and not known.get("known"))


def _segments(found: Evidence, counted: pl.DataFrame) -> Answer:
    labels = [item.answer for item in found.items if item.part == SEGMENTS]
    if not labels:
        return "no ZED, no segments", LEFT_OUT
    each = _range([labels.count(label) for label in set(labels)])
    return f"{each} of each emotion, {len(labels)} in all", _same(len(labels) == 24 and len(set(labels)) == 3)


def _head(found: Evidence, counted: pl.DataFrame) -> Answer:
    training, methods = found.stuff.study.training, found.stuff.study.methods
    dims = sorted({encoder["dim"] for encoder in found.record["encoders"]})
    sizes = {tuple(method.head.hidden) for method in methods}
    layers = " or ".join(" to ".join(map(str, (*one, len(found.stuff.target.labels)))) for one in sorted(sizes))
    rates = sorted(set(found.run.table("learning")["learning_rate"]))
    told = (
        f"{_range(dims)} to {layers}; learning rate {_numbers(rates)}, epsilon {_numbers([training.epsilon])}, "
        f"weight decay {_numbers([training.weight_decay])}"
    )
    optimiser = rates == [1e-4] and training.epsilon == 1e-8 and training.weight_decay == 1e-5
    return told, _same(optimiser and dims == [768] and sizes == {(128, 16)})


def _patience(found: Evidence, counted: pl.DataFrame) -> Answer:
    training, log = found.stuff.study.training, _trainings(found)
    ended = int((log["epochs"] < training.epochs).sum())
    told = f"patience {training.patience}; it ended {ended} of {len(log)} trainings"
    return told, _same(training.patience == 10 and found.stuff.target.kind == "classification")


def _heads(found: Evidence, counted: pl.DataFrame) -> Answer:
    parts = _parts(found)
    alike = all(len({part["head"] for part in some.values()}) == 1 for some in parts.values())
    sizes = {part["head"] for some in parts.values() for part in some.values()}
    return f"{_range(sorted(sizes))} parameters in every method", _same(alike)


def _lora(found: Evidence, counted: pl.DataFrame) -> Answer:
    settings = [method.lora for method in found.stuff.study.methods if method.lora]
    told = {f"rank {one.rank}, alpha {one.alpha:g}, dropout {one.dropout:g}" for one in settings}
    trained = sorted({part["lora"] for some in _parts(found).values() for part in some.values() if "lora" in part})
    return (
        f"{' or '.join(sorted(told))}: {_range(trained)} parameters",
        _same(told == {"rank 8, alpha 16, dropout 0.1"}),
    )


def _bottleneck(found: Evidence, counted: pl.DataFrame) -> Answer:
    settings = [method.bottleneck for method in found.stuff.study.methods if method.bottleneck]
    parts = [part for some in _parts(found).values() for part in some.values() if "bottleneck" in part]
    told = " or ".join(sorted({f"1/{one.reduction:g}" for one in settings}))
    trained = _range(sorted({part["bottleneck"] for part in parts}))
    gates = _range(sorted({part.get("gate", 0) for part in parts}))
    return f"{told}: {trained} parameters, and gates of {gates}", _same({one.reduction for one in settings} == {16})


def _epochs(found: Evidence, counted: pl.DataFrame) -> Answer:
    training, log = found.stuff.study.training, _trainings(found)
    told = f"at most {training.epochs}, of batches of {training.batch_size}; {_range(log['epochs'].to_list())} run"
    return told, _same(training.epochs == 100 and training.batch_size == 16)


def _strong(found: Evidence, counted: pl.DataFrame) -> Answer:
    rows = _tuned(found.conditions.filter(condition="ML"))
    chance = float(found.record["chance"])
    reached = ", ".join(
        f"{name} {_spread(some['estimate'].to_list())}"
        for (name,), some in rows.group_by("domain", maintain_order=True)
    )
    known = rows.drop_nulls("low")
    alone = sorted(set(rows["domain"]) - set(known["domain"]))
    note = f" (one speaker alone has none: {', '.join(alone)})" if alone else ""
    above = known.filter(pl.col("low") > chance)
    told = f"UAR of {reached}; {len(above)} of {len(known)} intervals lie above chance, {chance:.2f}{note}"
    return told, _part(len(above), len(known))


def _drop(found: Evidence, counted: pl.DataFrame) -> Answer:
    runs = _tuned(found.conditions.filter(condition="ZS"))["run"].implode()
    family = "zero-shot against within"
    drops = found.run.table("comparisons").filter(
        pl.col("family") == family, pl.col("a_run").is_in(runs), metric="uar", slice="all"
    )
    known = drops.with_columns(pl.col("high").fill_nan(None)).drop_nulls("high")
    below, sure = known.filter(pl.col("high") < 0), known.filter(pl.col("high") < 0, pl.col("p_holm") < ALPHA)
    gaps = drops["difference"].to_list() or [0.0]
    lowest, highest = (f"{gap:+.2f}".replace("-", "\N{MINUS SIGN}") for gap in (min(gaps), max(gaps)))
    told = f"zero-shot minus within is {lowest} to {highest}; {len(below)} of {len(known)} intervals lie below 0"
    return f"{told}, {len(sure)} with a corrected p below {ALPHA}", _part(len(below), len(known))


def _part(holding: int, of: int) -> str:
    return SHOWN if holding == of > 0 else PARTLY if holding else NOT_SHOWN


def _tuned(conditions: pl.DataFrame) -> pl.DataFrame:
    return conditions.filter(pl.col("tuned"))


def _trainings(found: Evidence) -> pl.DataFrame:
    """Return every training with how many epochs it ran, however many dev sets watched it."""
    keys = ("encoder", "method", "source", "then", "training", "stage")
    return found.run.table("learning").group_by(keys).agg(pl.col("epoch").max().alias("epochs"))


def _parts(found: Evidence) -> dict[str, dict[str, dict[str, int]]]:
    """Return trained parameters by encoder, method and part."""
    parts: dict[str, dict[str, dict[str, int]]] = {}
    for row in found.run.table("methods").iter_rows(named=True):
        parts.setdefault(row["encoder"], {})[row["method"]] = json.loads(row["parts"])
    return parts


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return "none"
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _numbers(numbers: Sequence[float]) -> str:
    return " or ".join(f"{number:g}".replace("e-0", "e-") for number in numbers)


def _spread(numbers: Sequence[float]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:.2f}" if len(numbers) == 1 else f"{low:.2f} to {high:.2f}"


Claim = tuple[str, str, str, str, Callable[[Evidence, pl.DataFrame], Answer]]
REPORT = f"{EMOTION}/report.html"
CLAIMS: tuple[Claim, ...] = (
    ("The same amount of data in every language", "2,000 utterances each", "Folds", "#folds", _languages),
    ("Equally many samples of each emotion", "500 in each of 12 cells", "Folds", "#folds", _emotions),
    ("Five folds, 400 of each emotion train", "5 folds, 400 of each", "Folds", "#folds", _trained),
    ("200 validate, 200 test", "200 select, 200 test", "Folds", "#folds", _tested),
    ("People hear 12 sentences of each emotion and language", "144 items", "Items", "#items", _heard),
    ("People hear 8 segments of each emotion from ZED", "24 items", "Items", "#items", _segments),
    (
        "Head from 768 to 4; AdamW",
        "768 to 128 to 16 to 4; 1e-4, 1e-8, 1e-5",
        "How it was made",
        f"{REPORT}#made",
        _head,
    ),
    ("Cross-entropy, patience 10", "patience 10", "Losses by epoch", f"{REPORT}#methods", _patience),
    ("All methods have the same head", "100,564 parameters", "Methods", f"{REPORT}#table-methods", _heads),
    (
        "LoRA of rank 8, alpha 16, dropout 0.1",
        "110,592 parameters a layer",
        "Methods",
        f"{REPORT}#table-methods",
        _lora,
    ),
    ("Bottlenecks of a sixteenth", "74,544 parameters a layer", "Methods", f"{REPORT}#table-methods", _bottleneck),
    ("100 epochs, batches of 16", "at most 100; 11 to 50 run", "Losses by epoch", f"{REPORT}#methods", _epochs),
    ("Models are strong within a language", "0.87 to 0.98; English 0.64", "Conditions", "#conditions", _strong),
    ("Models drop across languages", "0.56 to 0.71 (CL)", "Comparisons", f"{REPORT}#comparisons", _drop),
)
"""Each claim, what the study has, where it is seen here, and what asks it."""
