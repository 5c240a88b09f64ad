"""Splits: how utterances are divided into folds of train, dev and test, and what is asked of these."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, ValidationInfo, field_validator, model_validator

from sibboleth import lists, schemes
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
    shots,
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
    "Regime",
    "Rows",
    "ScarceLabel",
    "Scheme",
    "SplitSettings",
    "Stage",
    "Test",
    "balanced",
    "fits",
    "folds",
    "shots",
    "single",
]

Scheme = Literal[
    "speaker-folds", "leave-one-speaker-out", "leave-one-session-out", "leave-one-domain-out", "random-folds", "file"
]


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
