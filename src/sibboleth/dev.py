"""Dev: single utterances, of those that train or of those held out for test, where it has no whole speakers."""

from dataclasses import replace

import numpy as np
import polars as pl

from sibboleth.errors import InvalidInput, Problem
from sibboleth.schemes import Divided, Fold, Rows, codes, evenly


def from_train(rows: pl.DataFrame, divided: Divided, share: float, seed: int, keep: bool) -> Divided:
    """Draw dev anew from the utterances of train and dev, without regard to speakers; `keep` a dev that is there.

    As in s3prl, train gets the whole part of its share and dev the rest, of two or more utterances at least one each.
    """
    place = _places(rows)

    def drawn(fold: Fold, number: int) -> Fold:
        pool = np.concatenate([fold.train, fold.dev])
        if len(pool) < 2 or (keep and len(fold.dev)):
            return fold
        pool = pool[np.argsort(place[pool])]
        count = min(max(len(pool) - int((1 - share) * len(pool)), 1), len(pool) - 1)
        chosen = np.zeros(len(pool), dtype=bool)
        chosen[np.random.default_rng((seed, number)).permutation(len(pool))[:count]] = True
        return replace(fold, train=pool[~chosen], dev=pool[chosen])

    return {domain: [drawn(fold, j + 1) for j, fold in enumerate(some)] for domain, some in divided.items()}


def from_test(rows: pl.DataFrame, divided: Divided, share: float, seed: int) -> Divided:
    """Let a share of the utterances that each fold holds out select, the others test, and all else train.

    The share is of every label and, within it, of every speaker, as nearly as their numbers allow. Raises
    `InvalidInput` for a fold that holds out a single utterance.
    """
    place = _places(rows)
    kinds = np.stack([codes(rows["speaker"]), codes(rows["label"])])

    def drawn(domain: str, fold: Fold, number: int) -> Fold:
        if len(fold.test) < 2:
            message = f"{fold.name} holds out a single utterance, which cannot both select and test"
            raise InvalidInput('splits: dev_unit = "held-out" is impossible', [Problem(f"domain {domain!r}", message)])
        at = np.sort(place[fold.test])
        order = at[np.lexsort((np.random.default_rng((seed, number)).permutation(len(at)), *kinds[:, at]))]
        choosing = np.isin(at, evenly(order, share))
        train = np.concatenate([fold.train, fold.dev])
        number_of = rows["row"].to_numpy()[at]
        return replace(fold, train=train[np.argsort(place[train])], dev=number_of[choosing], test=number_of[~choosing])

    return {domain: [drawn(domain, fold, j + 1) for j, fold in enumerate(some)] for domain, some in divided.items()}


def _places(rows: pl.DataFrame) -> Rows:
    """Return the place in order of utterance of every row of the corpus table; undefined for those left out."""
    numbers = rows["row"].to_numpy()
    place = np.empty(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    place[numbers] = np.arange(len(rows))
    return place
