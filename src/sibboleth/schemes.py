"""Schemes: the ways to divide utterances into folds of train, dev and test.

Every scheme takes the rows that `splits.folds` has put in order of utterance, with columns `utterance, row, domain,
label, speaker, session, audio`, and returns the folds of each domain.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.errors import InvalidInput, Problem
from sibboleth.stratification import Array, deal, linked, tabulate

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NONE = np.empty(0, dtype=np.int64)
OTHERS = "others"
"""Source of leave-one-domain-out: all domains but the one that tests."""
MUST = 100.0
"""Price of a part without any utterance of a domain, against squared differences of shares, which are below 1."""


@dataclass(frozen=True)
class Fold:
    """One division of one domain into row indices of the corpus table, each part in order of utterance."""

    name: str
    train: Rows
    """Empty, like dev, where the domain is only tested."""
    dev: Rows
    test: Rows
    source: str | None = None
    """Who trains where it is not the domain itself: `OTHERS`."""


Divided = dict[str, list[Fold]]

MOST = 2**27
"""Row numbers that all folds of leaving one out may hold: 1 GiB."""


def whole_groups(rows: pl.DataFrame, column: str, folds: int | None, dev: float, seed: int) -> Divided:
    """Keep speakers or sessions (`column`) whole: in `folds` stratified folds, or each one a fold.

    Domains that share speakers are divided together. Where there are enough of them, folds of speakers keep
    sessions whole too, so that partners in a dialogue stay together.
    """
    _require_known(rows, column)
    groups = codes(rows[column])
    if folds is not None:
        together = linked(groups, codes(rows["session"]))
        groups = groups if _too_few(rows, together, folds) else together
    if few := _too_few(rows, groups, folds):
        raise _refusal(few, column, folds)
    component = linked(groups, codes(rows["domain"]))
    if folds is None:
        _require_feasible(rows, groups, component, column)
    divided: Divided = {}
    for number in range(int(component.max(initial=-1)) + 1):
        inside = component == number
        part, local = rows.filter(inside), _renumbered(groups[inside])
        amounts = _Amounts.count(part, local)
        if folds is None:
            fold_of = np.arange(len(amounts.label))
            names = part[column].unique().sort().to_list()
        else:
            fold_of = amounts.folds(folds, seed)
            names = [f"fold-{number + 1}" for number in range(folds)]
        for j, name in enumerate(names):
            testing = fold_of == j
            choosing = amounts.dev(testing, dev, (seed, j + 1))
            for domain in part.filter(testing[local])["domain"].unique().sort():
                fold = _fold(part, domain, name, testing[local], choosing[local])
                if not (len(fold.train) and len(fold.dev)):
                    raise _refusal(_sizes(rows.filter(domain=domain), groups[rows["domain"] == domain]), column, folds)
                divided.setdefault(domain, []).append(fold)
    return divided


def at_random(rows: pl.DataFrame, folds: int, dev: float, seed: int) -> Divided:
    """Divide the utterances of each domain by label alone; speakers occur in every part."""
    divided: Divided = {}
    for domain in rows["domain"].unique().sort():
        part = rows.filter(domain=domain)
        if len(part) < max(folds, 3):
            message = f"has {len(part)} utterances, too few for {folds} folds"
            raise InvalidInput("splits: random folds are impossible", [Problem(f"domain {domain!r}", message)])
        random = np.random.default_rng(seed)
        order = np.lexsort((random.permutation(len(part)), codes(part["label"])))
        place = np.empty(len(part), dtype=np.int64)
        place[order] = np.arange(len(part))
        for j in range(folds):
            testing = place % folds == j
            rest = order[place[order] % folds != j]
            choosing = np.isin(np.arange(len(part)), evenly(rest, dev))
            divided.setdefault(domain, []).append(_fold(part, domain, f"fold-{j + 1}", testing, choosing))
    return divided


def without_each(rows: pl.DataFrame, trained: pl.DataFrame, dev: float, seed: int) -> Divided:
    """Test each domain of `rows` on all other domains of `trained`, without the speakers who are tested."""
    _require_known(trained, "speaker")
    divided: Divided = {}
    for number, domain in enumerate(rows["domain"].unique().sort()):
        tested = rows.filter(domain=domain)
        others = trained.filter(pl.col("domain") != domain).filter(
            ~pl.col("speaker").is_in(tested["speaker"].drop_nulls().unique().implode())
        )
        groups = codes(others["speaker"])
        if len(np.unique(groups)) < 2:
            message = (
                "the other domains have fewer than 2 speakers besides those who are tested: one must train and another "
                'select. Add speakers or domains, or use splits.scheme = "speaker-folds"'
            )
            raise InvalidInput("splits: leave-one-domain-out is impossible", [Problem(f"domain {domain!r}", message)])
        amounts = _Amounts.count(others, groups)
        choosing = amounts.dev(np.zeros(len(amounts.label), dtype=bool), dev, (seed, number + 1))[groups]
        train, select, test = (p["row"].to_numpy() for p in (others.filter(~choosing), others.filter(choosing), tested))
        divided[domain] = [Fold(f"without-{domain}", train, select, test, source=OTHERS)]
    return divided


def whole(rows: pl.DataFrame, dev: float, seed: int) -> Divided:
    """Train on all of every domain but the speakers who select; nothing is tested.

    Domains that share speakers are divided together.
    """
    _require_known(rows, "speaker")
    groups = codes(rows["speaker"])
    if few := {domain: size for domain, size in _sizes(rows, groups).items() if size < 2}:
        raise InvalidInput(
            "splits: one speaker must train and another select, and there is only one. What to do: add speakers, or "
            'draw dev from the utterances of the same one with splits.dev_unit = "utterance"',
            [Problem(f"domain {domain!r}", f"has {size} speaker") for domain, size in few.items()],
        )
    component = linked(groups, codes(rows["domain"]))
    divided: Divided = {}
    for number in range(int(component.max(initial=-1)) + 1):
        inside = component == number
        part, local = rows.filter(inside), _renumbered(groups[inside])
        amounts = _Amounts.count(part, local)
        nobody = np.zeros(len(amounts.label), dtype=bool)
        choosing = amounts.dev(nobody, dev, (seed, 0))
        for domain in part["domain"].unique().sort():
            divided[domain] = [_fold(part, domain, "whole", nobody[local], choosing[local])]
    return divided


def listed(rows: pl.DataFrame, table: pl.DataFrame, known: Collection[str], dev_later: bool = False) -> Divided:
    """Follow fixed lists (from `lists.read`); utterances in no list are left out.

    An utterance is found by its name in the list, else by the name of its file. `dev_later` accepts lists without dev.

    Raises `InvalidInput` with every row that names no utterance or several, and every utterance that is in two
    parts of a fold, or tested in two folds.
    """
    names = _Names(rows, known)
    part_of: dict[tuple[str, int], str] = {}
    tested_in: dict[int, str] = {}
    found: dict[tuple[str, str, str], list[int]] = {}
    domains = rows["domain"].to_list()
    problems = []
    for row in table.iter_rows(named=True):
        name, part, fold = row["utterance"], row["part"], row["fold"]
        position, message = names.find(name)
        if message and row["audio"] not in (None, name):
            by_file, not_found = names.find(row["audio"])
            position, message = (by_file, None) if not_found is None else (position, message)
        if position is not None:
            before = part_of.setdefault((fold, position), part)
            first = tested_in.setdefault(position, fold) if part == "test" else fold
            if before != part:
                message = f"{name!r} is in {before} and in {part} of {fold}"
            elif first != fold:
                message = f"{name!r} is tested in {first} and in {fold}; each utterance may be tested once"
            else:
                found.setdefault((domains[position], fold, part), []).append(position)
        if message:
            problems.append(Problem(row["source"], message, row["row"], "utterance"))
    if problems:
        raise InvalidInput("splits.file: the lists do not fit the corpora", problems)
    return _from_lists(rows, found, dev_later)


def _from_lists(rows: pl.DataFrame, found: Mapping[tuple[str, str, str], list[int]], dev_later: bool) -> Divided:
    divided: Divided = {}
    numbers = rows["row"].to_numpy()
    for domain in rows["domain"].unique().sort():
        names = sorted({fold for name, fold, _ in found if name == domain})
        if not names:
            raise InvalidInput(f"splits.file: no utterance of the domain {domain!r} is in the lists")
        for name in names:
            train, dev, test = (
                numbers[sorted(found.get((domain, name, part), []))] for part in ("train", "dev", "test")
            )
            if len(train) and not (len(dev) or dev_later):
                raise InvalidInput(
                    f"splits.file: {name} of the domain {domain!r} trains but has no dev rows, so that nothing could "
                    "choose the layer but the test; move whole speakers from train to dev, or draw dev from the "
                    'speakers of train with dev_unit = "utterance"'
                )
            divided.setdefault(domain, []).append(Fold(name, train if len(dev) or dev_later else NONE, dev, test))
    return divided


class _Names:
    """What the utterances may be called in a list: their id, it without the corpus, or the name of their file."""

    def __init__(self, rows: pl.DataFrame, known: Collection[str]) -> None:
        """Collect the names; `known` are utterances that the rows do not have."""
        self.ids = rows["utterance"].to_list()
        self.whole = {utterance: position for position, utterance in enumerate(self.ids)}
        self.elsewhere = {alias for utterance in known for alias in _aliases(utterance, None)}
        self.places: dict[str, list[int]] = {}
        for position, (utterance, audio) in enumerate(zip(self.ids, rows["audio"], strict=True)):
            for alias in _aliases(utterance, audio):
                self.places.setdefault(alias, []).append(position)

    def find(self, name: str) -> tuple[int | None, str | None]:
        """Return the position of an utterance, or what is wrong; neither for one known from elsewhere."""
        if name in self.whole:
            return self.whole[name], None
        stem = Path(name).stem
        hits = self.places.get(name) or self.places.get(stem) or []
        if len(hits) == 1:
            return hits[0], None
        if hits:
            return None, f"{name!r} may be {' or '.join(self.ids[hit] for hit in hits[:3])}: write the whole id"
        known = name in self.elsewhere or stem in self.elsewhere
        return None, None if known else f"no utterance {name!r} in the study's corpora"


def _aliases(utterance: str, audio: str | None) -> set[str]:
    short = utterance.partition("/")[2] or utterance
    file = set() if audio is None else {Path(audio).name, Path(audio).stem}
    return {utterance, short, Path(short).stem, *file}


def codes(column: pl.Series, unknown: int | None = None) -> Rows:
    """Number the values in sorted order from 0; every null is a value of its own, or `unknown`."""
    different = column.drop_nulls().unique().sort()
    if column.dtype == pl.String and len(different) < len(column) // 2:
        numbers = column.cast(pl.Enum(different)).to_physical().cast(pl.Int64)
    else:
        numbers = column.rank("dense").cast(pl.Int64) - 1
    known = numbers.fill_null(-1).to_numpy()
    null = column.is_null().to_numpy()
    return np.where(null, len(different) - 1 + np.cumsum(null) if unknown is None else unknown, known)


def evenly(order: Rows, share: float) -> Rows:
    """Take a share of some rows at even distances; at least one, and of several not all."""
    step = np.floor((np.arange(len(order)) + 1) * share + 0.5)
    chosen = order[np.diff(step, prepend=0.0) > 0] if step[-1] >= 1 else order[:1]
    return chosen[: len(order) - 1]


def _renumbered(groups: Rows) -> Rows:
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class _Amounts:
    """What every group holds."""

    label: Array
    """Utterances by label within domain `[group, stratum]`."""
    domain: Array
    """Utterances by domain `[group, domain]`."""

    @classmethod
    def count(cls, rows: pl.DataFrame, groups: Rows) -> "_Amounts":
        strata = codes(rows.select(pl.concat_str("domain", "label", separator="\x00")).to_series())
        return cls(tabulate(groups, strata), tabulate(groups, codes(rows["domain"])))

    def folds(self, folds: int, seed: int) -> Rows:
        """Return the fold of every group; two groups of a domain always stay outside its every fold."""
        present = (self.domain > 0).astype(np.float64)
        price = np.concatenate([np.ones(self.label.shape[1]), np.full(self.domain.shape[1], MUST)])
        for weight in (1, 100):
            number = np.repeat(present, weight, axis=1)
            counts = np.concatenate([self.label, self.domain, number], axis=1)
            needed = np.concatenate([price, np.zeros(number.shape[1])])
            fold_of = deal(counts, [1 / folds] * folds, np.tile(needed, (folds, 1)), (seed, 0))
            inside = np.stack([present[fold_of == fold].sum(axis=0) for fold in range(folds)])
            if (present.sum(axis=0) - inside >= 2).all():
                break
        return fold_of

    def dev(self, testing: Mask, share: float, seed: tuple[int, ...]) -> Mask:
        """Choose the groups that select among those that do not test: of two or more at least one, and not all."""
        rest = np.flatnonzero(~testing)
        number = (self.domain > 0).astype(np.float64)
        counts = np.concatenate([self.label, self.domain, number], axis=1)[rest]
        domains = np.concatenate([np.full(self.domain.shape[1], MUST), np.zeros(number.shape[1])])
        needed = np.stack([np.concatenate([np.full(self.label.shape[1], price), domains]) for price in (10.0, 1.0)])
        chosen = deal(counts, [1 - share, share], needed, seed) == 1
        if len(rest) > 1 and (chosen.all() or not chosen.any()):  # few groups, each the only one of its domain
            size = self.label[rest].sum(axis=1)
            chosen = np.arange(len(rest)) == np.argmin(np.abs(size / size.sum() - share))
        choosing = np.zeros(len(testing), dtype=bool)
        choosing[rest[chosen]] = True
        return choosing


def _fold(rows: pl.DataFrame, domain: str, name: str, testing: Mask, choosing: Mask) -> Fold:
    number, here = rows["row"].to_numpy(), (rows["domain"] == domain).to_numpy()
    train = here & ~testing & ~choosing
    return Fold(name, number[train], number[here & choosing], number[here & testing])


def _sizes(rows: pl.DataFrame, groups: Rows) -> dict[str, int]:
    counted = rows.select("domain", pl.Series("group", groups)).group_by("domain").agg(pl.col("group").n_unique())
    return dict(counted.sort("domain").rows())


def _too_few(rows: pl.DataFrame, groups: Rows, folds: int | None) -> dict[str, int]:
    """Find the domains whose groups cannot fill three parts in every fold, with their numbers of groups."""
    return {
        domain: size
        for domain, size in _sizes(rows, groups).items()
        if size < max(folds or 3, 3) or (folds and size - -(-size // folds) < 2)
    }


def _refusal(few: Mapping[str, int], column: str, folds: int | None) -> InvalidInput:
    problems = []
    for domain, size in few.items():
        message = f"has {size} {column}{'s' * (size != 1)}"
        ways = [f'splits.test_only = ["{domain}"] only tests it, by models of the other domains']
        if size >= 3 and folds is not None:
            ways.insert(0, f'splits.folds = {min(folds - 1, size)} or splits.scheme = "leave-one-{column}-out"')
        if size == 2:
            lists = f"lists that train on one {column} and test the other"
            ways.append(f'splits.scheme = "file" and splits.dev_unit = "utterance", with {lists}')
        ways.append('splits.scheme = "random-folds" with allow = ["shared-speakers"] mixes speakers, which flatters')
        problems.append(Problem(f"domain {domain!r}", f"{message}. What to do: {'; or '.join(ways)}"))
    wanted = f"{folds} folds of whole {column}s" if folds else f"leaving one {column} out"
    return InvalidInput(
        f"splits: too few {column}s for {wanted}: train, dev and test each need {column}s of their own, "
        f"at least {max(folds or 3, 3)} per domain",
        problems,
    )


def _require_feasible(rows: pl.DataFrame, groups: Rows, component: Rows, column: str) -> None:
    """Refuse to leave out one at a time where so many folds of so many rows would never be trained."""
    counted = pl.DataFrame({"component": component, "group": groups}).group_by("component")
    sizes = counted.agg(pl.col("group").n_unique().alias("groups"), pl.len().alias("rows"))
    held = int((sizes["groups"].cast(pl.Int64) * sizes["rows"].cast(pl.Int64)).sum())
    if held > MOST:
        folds = int(sizes["groups"].sum())
        raise InvalidInput(
            f"splits: leaving one {column} out makes {folds} folds, each trained on nearly all {len(rows)} utterances: "
            f"{held / folds:.0f} rows a fold, {8 * held / 1e9:.0f} GB for their lists alone. What to do: "
            'splits.scheme = "speaker-folds" with splits.folds = 10 leaves whole groups of speakers out and keeps '
            f"every test; or leave out few {column}s of a smaller manifest (corpora.keep)"
        )


def _require_known(rows: pl.DataFrame, column: str) -> None:
    unknown = rows.group_by("domain").agg(pl.col(column).is_null().sum().alias("null"), pl.len()).sort("domain")
    problems = [
        Problem(f"domain {domain!r}", f"{null} of {count} utterances have no {column}", field=column)
        for domain, null, count in unknown.rows()
        if null
    ]
    if problems:
        raise InvalidInput(
            f"splits: whole {column}s can only be kept apart where they are known. Fill the column {column!r} of the "
            'manifest, or use fixed lists (splits.scheme = "file") or "random-folds"',
            problems,
        )
