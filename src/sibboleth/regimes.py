"""Regimes: the training problems that a study needs, over every pair of domains."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import draws as drawing
from sibboleth import schemes
from sibboleth.errors import InvalidInput, Problem
from sibboleth.fits import REGIMES, STAGED, Fit, Fits, ImpossiblePair, Regime, ScarceLabel, Stage, Test
from sibboleth.schemes import Fold, Rows

Stages = dict[tuple[Regime, str, str], Sequence[Stage]]
"""The second trainings that there can be, by regime, target and name of its fold."""


def fits(
    folds: Mapping[str, Sequence[Fold]],
    regimes: Sequence[Regime],
    table: pl.DataFrame,
    *,
    target: str | None = None,
    shots: Sequence[int] = (),
    draws: int = 1,
    seed: int = 0,
) -> Fits:
    """List the training problems that the regimes need over every ordered pair of domains.

    Every utterance of a domain is tested once per source and regime (few-shot: and draw), by a model that has neither
    trained nor been selected on its speaker: fold j of the target is tested by the source's fold of the same name,
    else by its fold j modulo their number, from which the target's test speakers are removed (and from train its dev
    speakers, where they select). A second training is on the train rows of the target's fold, all of them or `shots`
    of each label of the column `target` (of each of five quantile bins where it is a number), in `draws` draws. A draw
    is decided by the seed and the utterances' names, takes its first utterances from as many speakers as it can, and
    has the same draw of fewer shots in it. Equal training problems are one fit.

    A pair for which such a removal leaves nothing, in any fold, is left out under that regime, and so are numbers of
    shots that some label of the target does not have in every fold.

    Raises `InvalidInput` when this leaves nothing of a regime, or the folds serve none of the regimes.
    """
    speakers = schemes.codes(table["speaker"], unknown=-1) + 1
    stages: Stages = _whole(folds) if "two-stage" in regimes else {}
    scarce: list[ScarceLabel] = []
    if "few-shot" in regimes:
        assert target is not None and shots
        drawn, scarce = _drawn(folds, table, target, shots, draws, seed)
        stages |= drawn
    made: dict[tuple[object, ...], Fit] = {}
    shared = _Shared()
    problems = list(_problems(folds, regimes, speakers, stages))
    impossible = [one for one in problems if isinstance(one, ImpossiblePair)]
    for problem in problems:
        if isinstance(problem, ImpossiblePair):
            continue
        fit, key = shared.placed(problem)
        same = made.setdefault(key, replace(fit, tests=()))
        made[key] = replace(same, tests=_joined(same.tests + fit.tests))
    _require_something(
        impossible, scarce, {test.regime.partition("(")[0] for fit in made.values() for test in fit.tests}
    )
    if not made:
        raise InvalidInput(
            f"the folds serve none of the regimes {', '.join(regimes)}: leave-one-domain-out and domains that are only "
            "tested need zero-shot, some domain must train, and all regimes but within need two domains"
        )
    return Fits(sorted(made.values(), key=lambda fit: fit.source), impossible, scarce)


def _problems(
    folds: Mapping[str, Sequence[Fold]], regimes: Sequence[Regime], speakers: Rows, stages: Stages
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
            for regime in REGIMES[1:]:
                if regime in regimes:
                    usable = [pair for pair in tests if _serves(pair[1], target, regime, stages)]
                    yield from _pair(source, target, regime, usable, speakers, stages)


def _serves(tested: Fold, target: str, regime: Regime, stages: Stages) -> bool:
    """Say whether a fold of the target has what a regime takes from it beside its test."""
    if regime in STAGED:
        return bool(stages.get((regime, target, tested.name)))
    return regime != "target-selected" or len(tested.dev) > 0


def _pair(
    source: str,
    target: str,
    regime: Regime,
    tests: Sequence[tuple[Fold, Fold]],
    speakers: Rows,
    stages: Stages,
) -> Iterable[Fit | ImpossiblePair]:
    """Make the fits of all folds of a pair, or say that one of them cannot be made."""
    made = [_across(source, trained, target, tested, regime, speakers) for trained, tested in tests]
    empty = [
        (tested, np.setdiff1d(np.concatenate([trained.train, trained.dev]), np.concatenate([fit.train, fit.dev])))
        for (trained, tested), fit in zip(tests, made, strict=True)
        if not (len(fit.train) and len(fit.dev))
    ]
    if empty:
        rows = np.unique(np.concatenate([taken for _, taken in empty]))
        return [ImpossiblePair(source, target, regime, tuple(tested.name for tested, _ in empty), rows)]
    if regime in STAGED:
        each = zip(made, tests, strict=True)
        return [_after(fit, tested, one) for fit, (_, tested) in each for one in stages[regime, target, tested.name]]
    return made


def _across(source: str, trained: Fold, target: str, tested: Fold, regime: Regime, speakers: Rows) -> Fit:
    """Train on one domain and test on another, without the speakers who are tested; nor do those who select train."""
    selects = regime in ("target-selected", "two-stage")
    known = np.zeros(len(speakers) + 1, dtype=bool)
    dev = _without(known, trained.dev, tested.test, speakers)
    train = _without(known, trained.train, tested.dev if selects else schemes.NONE, speakers)
    name = trained.name
    if regime == "target-selected":
        name, dev = f"{trained.name} selected by {target} {tested.name}", tested.dev
    elif len(train) + len(dev) < len(trained.train) + len(trained.dev):
        name = f"{trained.name} without the speakers of {target} {tested.name}"
    return Fit(source, name, train, dev, (Test(regime, target, tested.test),))


def _without(known: npt.NDArray[np.bool_], rows: Rows, others: Rows, speakers: Rows) -> Rows:
    """Mark the speakers of other rows as known, and take out the rows of all known speakers.

    Where there are none it is the very same array, so that many fits of many rows share their memory.
    """
    known[speakers[others]] = True
    known[0] = False
    kept = ~known[speakers[rows]]
    return rows if kept.all() else rows[kept]


def _after(first: Fit, tested: Fold, stage: Stage) -> Fit:
    """Go on with a second training on the target that the first is tested on."""
    if stage.shots is None:
        return replace(first, fold=f"{first.fold} then {stage.domain} {tested.name}", then=stage)
    name = f"{first.fold} then {stage.shots} of {stage.domain} {tested.name}, draw {stage.draw}"
    test = Test(f"few-shot({stage.shots})", stage.domain, tested.test)
    return replace(first, fold=name, tests=(test,), then=stage)


def _whole(folds: Mapping[str, Sequence[Fold]]) -> Stages:
    """Make a second training of every fold that trains and selects."""
    return {
        ("two-stage", domain, fold.name): [Stage(domain, fold.train, fold.dev)]
        for domain, own in folds.items()
        for fold in own
        if len(fold.train) and len(fold.dev)
    }


def _drawn(
    folds: Mapping[str, Sequence[Fold]], table: pl.DataFrame, target: str, shots: Sequence[int], draws: int, seed: int
) -> tuple[Stages, list[ScarceLabel]]:
    """Draw the shots of every fold of every domain that others can go on with, and say which it has not."""
    train = {domain for domain, own in folds.items() if any(len(fold.train) for fold in own) and not own[0].source}
    keys = [drawing.keys(table["utterance"], seed, draw) for draw in range(draws)]
    speakers = schemes.codes(table["speaker"])
    drawn: Stages = {}
    scarce = []
    for domain in sorted(train) if len(train) > 1 else ():
        pools = {
            fold.name: drawing.Pool.of(table[target], fold.train)
            for fold in folds[domain]
            if len(fold.train) and len(fold.test)
        }
        if not pools:
            continue
        fold, (label, rows) = min(
            ((name, pool.rarest()) for name, pool in pools.items()), key=lambda one: len(one[1][1])
        )
        if lacking := tuple(count for count in shots if count > len(rows)):
            scarce.append(ScarceLabel(domain, lacking, label, fold, rows))
        for name, pool in pools.items():
            ranks = [pool.ranks(speakers, of_draw) for of_draw in keys]
            drawn["few-shot", domain, name] = [
                Stage(domain, pool.rows[of_draw < count], schemes.NONE, count, draw)
                for count in shots
                if count not in lacking
                for draw, of_draw in enumerate(ranks)
            ]
    return drawn, scarce


class _Shared:
    """Makes equal arrays of rows one array, so that many fits share their memory and equal problems are one."""

    def __init__(self) -> None:
        """Begin with none."""
        self._first: dict[bytes, Rows] = {}
        self._known: dict[int, Rows] = {}

    def placed(self, fit: Fit) -> tuple[Fit, tuple[object, ...]]:
        """Return the fit with shared arrays, and a key that equal training problems have in common."""
        fit = replace(fit, train=self._of(fit.train), dev=self._of(fit.dev))
        then = fit.then
        if then is not None:
            then = replace(then, train=self._of(then.train), dev=self._of(then.dev))
            fit = replace(fit, then=then)
        second = None if then is None else (then.domain, then.shots, then.draw)
        return fit, (fit.source, second, *map(id, fit.heard))

    def _of(self, rows: Rows) -> Rows:
        """Return the first array with these row numbers; one that many fits have already is not read again."""
        if self._known.get(id(rows)) is rows:
            return rows
        digest = hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).digest()
        found = self._first.setdefault(digest, rows)
        self._known[id(found)] = found
        return found


def _require_something(
    impossible: Sequence[ImpossiblePair], scarce: Sequence[ScarceLabel], served: Collection[str]
) -> None:
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
    if scarce and "few-shot" not in served:
        most = max(len(one.rows) for one in scarce)
        ways = [f"shots = [{most}] or fewer"] if most else []
        raise InvalidInput(
            "shots: no domain has so many utterances of every label to train on, in every fold, as the regime few-shot "
            f"is to go on with. What to do: {'; or '.join([*ways, 'target.labels without rare labels'])}",
            [
                Problem(
                    f"domain {one.target!r}",
                    f"{len(one.rows)} train utterances of {one.label} in {one.fold}, of {min(one.shots)} or more",
                )
                for one in scarce
            ],
        )


def _joined(tests: Sequence[Test]) -> tuple[Test, ...]:
    """Put the rows of equal regime and domain together."""
    together: dict[tuple[str, str], list[Rows]] = {}
    for test in tests:
        together.setdefault((test.regime, test.domain), []).append(test.rows)
    return tuple(
        Test(regime, domain, rows[0] if len(rows) == 1 else np.concatenate(rows))
        for (regime, domain), rows in together.items()
    )
