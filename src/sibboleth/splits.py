"""Splits: how utterances are divided into folds of train, dev and test, and what is asked of these."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, ValidationInfo, field_validator, model_validator

from sibboleth import dev, draws, lists, schemes
from sibboleth.errors import InvalidInput
from sibboleth.fits import (
    REGIMES,
    STAGED,
    USUAL,
    Fit,
    Fits,
    ImpossiblePair,
    Regime,
    ScarceLabel,
    Stage,
    Test,
    single,
)
from sibboleth.regimes import fits
from sibboleth.schemes import NONE, OTHERS, Fold, Rows
from sibboleth.settings import Settings
from sibboleth.stratification import binned

__all__ = [
    "OTHERS",
    "REGIMES",
    "STAGED",
    "USUAL",
    "Fit",
    "Fits",
    "Fold",
    "ImpossiblePair",
    "OwnScheme",
    "Regime",
    "Rows",
    "ScarceLabel",
    "Scheme",
    "SplitSettings",
    "Stage",
    "Test",
    "balanced",
    "drawn",
    "fits",
    "folds",
    "single",
    "whole",
]

OwnScheme = Literal["speaker-folds", "leave-one-speaker-out", "leave-one-session-out", "random-folds"]
"""How one domain can be divided by itself."""
Scheme = Literal[
    "speaker-folds", "leave-one-speaker-out", "leave-one-session-out", "leave-one-domain-out", "random-folds", "file"
]


class SplitSettings(Settings):
    """How utterances are divided into train, dev and test."""

    scheme: Scheme = "speaker-folds"
    schemes: dict[str, OwnScheme] = {}
    """Another scheme for some domains: `{ pavoque = "random-folds" }`. Domains of one scheme are divided together."""
    folds: int = Field(5, ge=2)
    """Number of folds of `speaker-folds` and `random-folds`."""
    dev: float = Field(0.2, gt=0, lt=1)
    """Share of the utterances outside test that selects, whole speakers (or sessions) at a time."""
    dev_unit: Literal["speaker", "utterance", "held-out"] = "speaker"
    """`utterance` draws dev at random from all utterances outside test, as several published protocols do: it then has
    the speakers of train. Fixed lists keep the dev that they have. `held-out` draws it from what each fold holds out,
    of which `dev` is then a share: it has the speakers of test, a leak."""
    file: Path | None = None
    """Fixed lists: a CSV with columns `utterance`, `part` (train, dev, test) and, for several folds, `fold`."""
    balance: tuple[str, ...] = ()
    """Draw equally many utterances per label within each value of these columns, e.g. `["corpus"]`."""
    per_label: int | None = Field(None, ge=1)
    """Draw at most so many utterances per label within each value of `balance`, or of the domain where that is empty,
    from all speakers (and groups of those who share sessions) alike."""
    seconds: tuple[float, ...] = ()
    """Also train on so many seconds of audio only, `[600, 3600]`: nested subsets of the train rows of every fold, from
    all speakers alike, each a regime of its own, such as `within(600 s)`. Dev and test stay as they are."""
    test_only: tuple[str, ...] = ()
    """Domains that are only tested, never trained on, such as a corpus of one speaker."""
    listening: Path | None = None
    """Folder of a drawn listening test: what listeners judge, and the very same recordings, neither trains nor selects,
    so that models and people are asked about what both hear for the first time."""

    @field_validator("seconds")
    @classmethod
    def _budgets_differ(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < one < float("inf") for one in value) or len(set(value)) < len(value):
            raise ValueError("give numbers above 0, each once")
        return tuple(sorted(value))

    @field_validator("file", "listening")
    @classmethod
    def _beside_the_study(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else Path(folder) / value

    @model_validator(mode="after")
    def _file_goes_with_its_scheme(self) -> "SplitSettings":
        if (self.scheme == "file") != (self.file is not None):
            raise ValueError('scheme = "file" and file = "LISTS.csv" go together')
        return self

    @model_validator(mode="after")
    def _domains_can_be_divided(self) -> "SplitSettings":
        if self.scheme in ("file", "leave-one-domain-out"):
            if self.schemes:
                raise ValueError(f'schemes: scheme = "{self.scheme}" divides all domains; no domain has another')
            if self.dev_unit == "held-out":
                raise ValueError(f'dev_unit = "held-out" does not go with scheme = "{self.scheme}"')
        if both := sorted(set(self.schemes) & set(self.test_only)):
            raise ValueError(f"schemes: {', '.join(both)} is only tested (test_only), and is not divided")
        return self


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
    for field, names in (("test_only", settings.test_only), ("schemes", settings.schemes)):
        if unknown := sorted(set(names) - set(there)):
            raise InvalidInput(f"splits.{field} names {', '.join(unknown)}; the domains are {', '.join(there)}")
    by_scheme: dict[Scheme, list[str]] = {}
    for name in there:
        if name not in settings.test_only or settings.scheme in ("file", "leave-one-domain-out"):
            scheme: Scheme = settings.schemes.get(name, settings.scheme)
            by_scheme.setdefault(scheme, []).append(name)
    divided: schemes.Divided = {}
    for scheme, several in by_scheme.items():
        mine = rows.filter(pl.col("domain").is_in(several))
        divided |= _divided(mine, scheme, settings, seed, known)
    if settings.dev_unit == "utterance":
        divided = dev.from_train(rows, divided, settings.dev, seed, keep=settings.scheme == "file")
    elif settings.dev_unit == "held-out":
        divided = dev.from_test(rows, divided, settings.dev, seed)
    for name in settings.test_only:
        whole = [Fold("all", NONE, NONE, rows.filter(domain=name)["row"].to_numpy())]
        own = divided.get(name, whole)
        divided[name] = own if own[0].source else [replace(fold, train=NONE, dev=NONE) for fold in own]
    return {name: tuple(divided[name]) for name in there}


def _divided(
    rows: pl.DataFrame, scheme: Scheme, settings: SplitSettings, seed: int, known: Collection[str]
) -> schemes.Divided:
    """Divide domains that have the same scheme."""
    match scheme:
        case "file":
            assert settings.file is not None
            return schemes.listed(rows, lists.read(settings.file), known, settings.dev_unit == "utterance")
        case "random-folds":
            return schemes.at_random(rows, settings.folds, settings.dev, seed)
        case "leave-one-domain-out":
            trained = rows.filter(~pl.col("domain").is_in(settings.test_only))
            return schemes.without_each(rows, trained, settings.dev, seed)
        case _:
            column = "session" if scheme == "leave-one-session-out" else "speaker"
            count = settings.folds if scheme == "speaker-folds" else None
            return schemes.whole_groups(rows, column, count, settings.dev, seed)


def drawn(table: pl.DataFrame, target: str, domain: str, settings: SplitSettings, seed: int) -> pl.DataFrame:
    """Draw the utterances that `per_label` and `balance` ask for, in the order of the table; all where neither does.

    Raises `InvalidInput` as `balanced` does.
    """
    if settings.per_label is not None:
        _require_labels("per_label", table, target, settings.balance)
        columns = settings.balance or (domain,)
        table = table.filter(draws.ranks(table, target, columns, seed) < settings.per_label)
    return balanced(table, target, settings.balance, seed) if settings.balance else table


def whole(table: pl.DataFrame, domain: str, target: str, settings: SplitSettings, seed: int) -> dict[str, Fold]:
    """Divide every domain into train and dev alone, for a model that nothing is tested of.

    A speaker of several domains is in the same part in all of them. Raises `InvalidInput` for a domain that has no two
    speakers (or utterances, where dev is drawn from these), or whose speakers are unknown.
    """
    rows = _ordered(table, domain, target)
    divided: schemes.Divided = {}
    apart = []
    for name in rows["domain"].unique().sort():
        if settings.dev_unit == "speaker" and settings.schemes.get(name, settings.scheme) != "random-folds":
            apart.append(name)
        else:
            own = rows.filter(domain=name)
            every = {name: [Fold("whole", own["row"].to_numpy(), NONE, NONE)]}
            divided |= dev.from_train(own, every, settings.dev, seed, keep=False)
    divided |= schemes.whole(rows.filter(pl.col("domain").is_in(apart)), settings.dev, seed) if apart else {}
    found = {name: fold for name, (fold,) in sorted(divided.items())}
    if empty := [name for name, fold in found.items() if not (len(fold.train) and len(fold.dev))]:
        raise InvalidInput(f"splits: nothing is left to train on or to select with in {', '.join(empty)}; add speakers")
    return found


def balanced(table: pl.DataFrame, target: str, columns: Sequence[str], seed: int) -> pl.DataFrame:
    """Draw equally many utterances per label within each value of `columns`, as many as the rarest label there has.

    Which are drawn depends on the seed and the utterances' names, not on the order of the rows, which is kept.
    Raises `InvalidInput` when a column is missing or the target is a number.
    """
    _require_labels("balance", table, target, columns)
    shuffled = table.sort("utterance")[np.random.default_rng(seed).permutation(len(table))]
    cell = [*columns, target]
    ranked = shuffled.select(
        *{"utterance", *columns}, pl.int_range(pl.len()).over(cell).alias("_rank"), pl.len().over(cell).alias("_size")
    )
    drawn = ranked.filter(pl.col("_rank") < pl.col("_size").min().over(columns))
    return table.filter(pl.col("utterance").is_in(drawn["utterance"].implode()))


def _require_labels(field: str, table: pl.DataFrame, target: str, columns: Sequence[str]) -> None:
    if missing := [name for name in (*columns, target) if name not in table.columns]:
        raise InvalidInput(f"splits.{field}: there is no column {', '.join(missing)}")
    if table.schema[target].is_numeric():
        raise InvalidInput(f"splits.{field}: the target {target!r} is a number and has no labels to balance")


def _ordered(table: pl.DataFrame, domain: str, target: str) -> pl.DataFrame:
    """Keep what the schemes need, in order of utterance; `row` is the position in `table`."""
    if missing := [name for name in (domain, target) if name not in table.columns]:
        raise InvalidInput(f"there is no column {', '.join(missing)} to split by; there are {', '.join(table.columns)}")
    label = pl.col(target)
    if table.schema[target].is_numeric():
        label = binned(label).over(domain)
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
