"""Folds and regimes: who trains, who selects, who tests."""

import hashlib
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, ValidationInfo, field_validator, model_validator

from sibboleth import lists, schemes
from sibboleth.errors import InvalidInput, Problem
from sibboleth.schemes import NONE, OTHERS, Fold, Rows
from sibboleth.settings import Settings

__all__ = [
    "OTHERS",
    "REGIMES",
    "STAGED",
    "USUAL",
    "Fit",
    "Fits",
    "Fold",
    "ImpossiblePair",
    "Regime",
    "Rows",
    "Scheme",
    "SplitSettings",
    "Stage",
    "Test",
    "balanced",
    "fits",
    "folds",
]

Regime = Literal["within", "zero-shot", "target-selected", "two-stage", "few-shot"]
Scheme = Literal[
    "speaker-folds", "leave-one-speaker-out", "leave-one-session-out", "leave-one-domain-out", "random-folds", "file"
]
REGIMES: tuple[Regime, ...] = get_args(Regime)
USUAL: tuple[Regime, ...] = ("within", "zero-shot", "target-selected")
"""Those of one training, which probes answer, too."""
STAGED: tuple[Regime, ...] = ("two-stage", "few-shot")
"""Those that go on with a second training on the target."""
BINS = 5
"""Quantile bins by which a numeric target is stratified."""


class SplitSettings(Settings):
    """How utterances are divided into train, dev and test."""

    scheme: Scheme = "speaker-folds"
    folds: int = Field(5, ge=2)
    """Number of folds of `speaker-folds` and `random-folds`."""
    dev: float = Field(0.2, gt=0, lt=1)
    """Share of the utterances outside test that selects, whole speakers (or sessions) at a time."""
    dev_unit: Literal["speaker", "utterance"] = "speaker"
    """`utterance` draws dev at random from all utterances outside test, as several published protocols do: it then has
    the speakers of train. Fixed lists keep the dev that they have."""
    file: Path | None = None
    """Fixed lists: a CSV with columns `utterance`, `part` (train, dev, test) and, for several folds, `fold`."""
    balance: tuple[str, ...] = ()
    """Draw equally many utterances per label within each value of these columns, e.g. `["corpus"]`."""
    test_only: tuple[str, ...] = ()
    """Domains that are only tested, never trained on, such as a corpus of one speaker."""

    @field_validator("file")
    @classmethod
    def _beside_the_study(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else Path(folder) / value

    @model_validator(mode="after")
    def _file_goes_with_its_scheme(self) -> "SplitSettings":
        if (self.scheme == "file") != (self.file is not None):
            raise ValueError('scheme = "file" and file = "LISTS.csv" go together')
        return self


@dataclass(frozen=True)
class Test:
    """Where a trained probe is tested, and under which regime's name."""

    regime: str
    """Its name in tables: a regime, few-shot with its number of shots: `few-shot(4)`."""
    domain: str
    rows: Rows


@dataclass(frozen=True)
class Stage:
    """A second training, on the target, that goes on from what dev chose of the first."""

    domain: str
    train: Rows
    dev: Rows
    """Rows that choose its epoch; none of few-shot, which trains for a fixed number of steps."""
    shots: int | None = None
    """Utterances per class of few-shot; none of two-stage."""
    draw: int = 0
    """Which draw of the shots: the seed's number."""


@dataclass(frozen=True)
class Fit:
    """One training problem: it is solved once and answers all its tests."""

    source: str
    """Domain that trains."""
    fold: str
    """Unique within the source."""
    train: Rows
    dev: Rows
    """Rows that choose penalty, epoch and layer."""
    tests: tuple[Test, ...]
    then: Stage | None = None
    """What is trained on after that; `None` for most regimes."""


@dataclass(frozen=True)
class ImpossiblePair:
    """A source that has no train or no dev rows without the speakers who are tested (or select) in the target."""

    source: str
    target: str
    regime: Regime
    folds: tuple[str, ...]
    """Folds of the target for which nothing is left."""
    rows: Rows
    """Rows of the source whose speakers had to be taken out of these."""


class Fits(tuple[Fit, ...]):
    """Training problems, and the pairs of domains that have none."""

    impossible: tuple[ImpossiblePair, ...]

    def __new__(cls, fits: Iterable[Fit], impossible: Iterable[ImpossiblePair] = ()) -> "Fits":
        """Keep both."""
        made = super().__new__(cls, fits)
        made.impossible = tuple(impossible)
        return made


def folds(
    table: pl.DataFrame,
    domain: str,
    target: str,
    settings: SplitSettings,
    seed: int,
    known: Collection[str] = (),
) -> dict[str, tuple[Fold, ...]]:
    """Divide the utterances of every domain, the value of column `domain`, into folds.

    A speaker of several domains is in the same part of the same fold in all of them. Neither the order of the rows
    nor, among domains without common speakers, another domain changes anything. `known` are utterances that fixed
    lists may name although the table does not have them.

    Raises `InvalidInput` when a domain has too few speakers (or sessions) for the scheme, naming the ways out; when
    speakers are unknown; with every bad row of fixed lists.
    """
    rows = _ordered(table, domain, target)
    there = rows["domain"].unique().sort().to_list()
    if unknown := sorted(set(settings.test_only) - set(there)):
        raise InvalidInput(f"splits.test_only names {', '.join(unknown)}; the domains are {', '.join(there)}")
    trained = rows.filter(~pl.col("domain").is_in(settings.test_only))
    match settings.scheme:
        case "file":
            assert settings.file is not None
            divided = schemes.listed(rows, lists.read(settings.file), known, settings.dev_unit == "utterance")
        case "random-folds":
            divided = schemes.at_random(trained, settings.folds, settings.dev, seed)
        case "leave-one-domain-out":
            divided = schemes.without_each(rows, trained, settings.dev, seed)
        case scheme:
            column = "session" if scheme == "leave-one-session-out" else "speaker"
            count = settings.folds if scheme == "speaker-folds" else None
            divided = schemes.whole_groups(trained, column, count, settings.dev, seed)
    if settings.dev_unit == "utterance":
        divided = schemes.with_random_dev(rows, divided, settings.dev, seed, keep=settings.scheme == "file")
    for name in settings.test_only:
        whole = [Fold("all", NONE, NONE, rows.filter(domain=name)["row"].to_numpy())]
        own = divided.get(name, whole)
        divided[name] = own if own[0].source else [replace(fold, train=NONE, dev=NONE) for fold in own]
    return {name: tuple(divided[name]) for name in there}


def balanced(table: pl.DataFrame, target: str, columns: Sequence[str], seed: int) -> pl.DataFrame:
    """Draw equally many utterances per label within each value of `columns`, as many as the rarest label there has.

    Which are drawn depends on the seed and the utterances' names, not on the order of the rows, which is kept.
    Raises `InvalidInput` when a column is missing or the target is a number.
    """
    if missing := [name for name in (*columns, target) if name not in table.columns]:
        raise InvalidInput(f"splits.balance: there is no column {', '.join(missing)}")
    if table.schema[target].is_numeric():
        raise InvalidInput(f"splits.balance: the target {target!r} is a number and has no labels to balance")
    shuffled = table.sort("utterance")[np.random.default_rng(seed).permutation(len(table))]
    cell = [*columns, target]
    ranked = shuffled.select(
        *{"utterance", *columns}, pl.int_range(pl.len()).over(cell).alias("_rank"), pl.len().over(cell).alias("_size")
    )
    drawn = ranked.filter(pl.col("_rank") < pl.col("_size").min().over(columns))
    return table.filter(pl.col("utterance").is_in(drawn["utterance"].implode()))


def fits(folds: Mapping[str, Sequence[Fold]], regimes: Sequence[Regime], table: pl.DataFrame) -> Fits:
    """List the training problems that the regimes need over every ordered pair of domains.

    Every utterance of a domain is tested once per source and regime, by a model that has neither trained nor been
    selected on its speaker: fold j of the target is tested by the source's fold of the same name, else by its fold
    j modulo their number, from which the target's test speakers (and dev speakers, where they select) are removed.
    Equal training problems are one fit. A pair for which such a removal leaves nothing, in any fold, is left out
    under that regime.

    Raises `InvalidInput` when this leaves nothing of a regime, or the folds serve none of the regimes.
    """
    speakers = schemes.codes(table["speaker"], unknown=-1) + 1
    made: dict[tuple[str, bytes, bytes], Fit] = {}
    content = _Content()
    problems = list(_problems(folds, regimes, speakers))
    impossible = [one for one in problems if isinstance(one, ImpossiblePair)]
    for fit in problems:
        if isinstance(fit, ImpossiblePair):
            continue
        key = (fit.source, content.of(fit.train), content.of(fit.dev))
        same = made.setdefault(key, replace(fit, tests=()))
        made[key] = replace(same, tests=_joined(same.tests + fit.tests))
    _require_something(impossible, {test.regime for fit in made.values() for test in fit.tests})
    if not made:
        raise InvalidInput(
            f"the folds serve none of the regimes {', '.join(regimes)}: leave-one-domain-out and domains that are only "
            "tested need zero-shot, and some domain must train"
        )
    return Fits(sorted(made.values(), key=lambda fit: fit.source), impossible)


def _ordered(table: pl.DataFrame, domain: str, target: str) -> pl.DataFrame:
    """Keep what the schemes need, in order of utterance; `row` is the position in `table`."""
    if missing := [name for name in (domain, target) if name not in table.columns]:
        raise InvalidInput(f"there is no column {', '.join(missing)} to split by; there are {', '.join(table.columns)}")
    label = pl.col(target)
    if table.schema[target].is_numeric():
        label = ((label.rank("average") - 0.5) / pl.len() * BINS).floor().over(domain)
    return (
        table.select(
            "utterance",
            pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
            pl.col(domain).cast(pl.String).alias("domain"),
            label.cast(pl.String).fill_null("").alias("label"),
            "speaker",
            "session",
            "audio",
        )
        .filter(pl.col("domain").is_not_null())
        .sort("utterance")
    )


def _problems(
    folds: Mapping[str, Sequence[Fold]], regimes: Sequence[Regime], speakers: Rows
) -> Iterator[Fit | ImpossiblePair]:
    """Yield one training problem for every test of one fold, or that a pair has none."""
    for source in sorted(folds):
        own = [fold for fold in folds[source] if len(fold.train)]
        for fold in own:
            regime: Regime = "zero-shot" if fold.source else "within"
            if regime in regimes and len(fold.test):
                yield Fit(fold.source or source, fold.name, fold.train, fold.dev, (Test(regime, source, fold.test),))
        if not own or own[0].source:
            continue
        for target in sorted(set(folds) - {source}):
            tests = [
                (next((fold for fold in own if fold.name == tested.name), own[number % len(own)]), tested)
                for number, tested in enumerate(folds[target])
                if len(tested.test)
            ]
            if "zero-shot" in regimes:
                yield from _pair(source, target, "zero-shot", tests, speakers)
            if "target-selected" in regimes:
                selecting = [(trained, tested) for trained, tested in tests if len(tested.dev)]
                yield from _pair(source, target, "target-selected", selecting, speakers)


def _pair(
    source: str, target: str, regime: Regime, tests: Sequence[tuple[Fold, Fold]], speakers: Rows
) -> Iterable[Fit | ImpossiblePair]:
    """Make the fits of all folds of a pair, or say that one of them cannot be made."""
    made = [_across(source, trained, target, tested, regime, speakers) for trained, tested in tests]
    empty = [
        (tested, np.setdiff1d(np.concatenate([trained.train, trained.dev]), np.concatenate([fit.train, fit.dev])))
        for (trained, tested), fit in zip(tests, made, strict=True)
        if not (len(fit.train) and len(fit.dev))
    ]
    if not empty:
        return made
    rows = np.unique(np.concatenate([taken for _, taken in empty]))
    return [ImpossiblePair(source, target, regime, tuple(tested.name for tested, _ in empty), rows)]


def _across(source: str, trained: Fold, target: str, tested: Fold, regime: Regime, speakers: Rows) -> Fit:
    """Train on one domain and test on another, without the speakers who are tested (or select)."""
    selects = regime == "target-selected"
    barred = np.zeros(len(speakers) + 1, dtype=bool)
    barred[speakers[np.concatenate([tested.test, tested.dev]) if selects else tested.test]] = True
    barred[0] = False
    train, dev = (_kept(rows, ~barred[speakers[rows]]) for rows in (trained.train, trained.dev))
    name = trained.name
    if selects:
        name, dev = f"{trained.name} selected by {target} {tested.name}", tested.dev
    elif len(train) + len(dev) < len(trained.train) + len(trained.dev):
        name = f"{trained.name} without the speakers of {target} {tested.name}"
    return Fit(source, name, train, dev, (Test(regime, target, tested.test),))


def _kept(rows: Rows, mask: npt.NDArray[np.bool_]) -> Rows:
    """Keep some rows; all of them are the very same array, so that many fits of many rows share their memory."""
    return rows if mask.all() else rows[mask]


class _Content:
    """Digests of arrays of rows; an array that many fits share is read once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[int, tuple[weakref.ref[Rows], bytes]] = {}

    def of(self, rows: Rows) -> bytes:
        """Return the digest of the row numbers."""
        known = self._known.get(id(rows))
        if known is None or known[0]() is not rows:  # the id of an array that is gone may be another's now
            digest = hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).digest()
            known = self._known[id(rows)] = weakref.ref(rows), digest
        return known[1]


def _require_something(impossible: Sequence[ImpossiblePair], served: Collection[Regime]) -> None:
    lost = [pair for pair in impossible if pair.regime not in served]
    if lost:
        regimes = " and ".join(dict.fromkeys(pair.regime for pair in lost))
        raise InvalidInput(
            f"splits: nothing is left of the regime {regimes}, because the domains have the same speakers. What to "
            'do: splits.scheme = "speaker-folds" and no splits.test_only, so that domains are divided together; or '
            "regimes without it; or other speakers for one of the domains",
            [
                Problem(
                    f"{pair.source} to {pair.target}",
                    f"without the speakers of {pair.target} {', '.join(pair.folds[:3])} {pair.source} has no train or "
                    "no dev rows",
                )
                for pair in lost
            ],
        )


def _joined(tests: Sequence[Test]) -> tuple[Test, ...]:
    """Put the rows of equal regime and domain together."""
    together: dict[tuple[Regime, str], list[Rows]] = {}
    for test in tests:
        together.setdefault((test.regime, test.domain), []).append(test.rows)
    return tuple(
        Test(regime, domain, rows[0] if len(rows) == 1 else np.concatenate(rows))
        for (regime, domain), rows in together.items()
    )
