"""Drawing: which utterances a part of the test asks about, and which ones are for practice."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from sibboleth import draws, stimuli
from sibboleth.errors import InvalidInput, Problem
from sibboleth.listeners.settings import PartSettings

LABEL, CELL, HEARD, TESTED = "=label", "=cell", "=heard", "=tested"
"""Columns put beside those of the manifest: what is drawn alike of, its number, whether a model has learnt from it, and
whether one answers it (only where there is a study)."""
AFRESH = 1
"""Number of the draw of what is not an item."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn for one part."""

    part: PartSettings
    pool: pl.DataFrame
    """All that could be drawn."""
    items: pl.DataFrame
    practice: pl.DataFrame
    labels: Mapping[tuple[str, ...], tuple[str, ...]]
    """What may be answered, for each value of `by`."""
    notes: tuple[str, ...]

    @property
    def utterances(self) -> set[str]:
        """Name all that is drawn."""
        return {*self.items["utterance"], *self.practice["utterance"]}


def pool(part: PartSettings, table: pl.DataFrame) -> pl.DataFrame:
    """Return the utterances that a part may be drawn from, one for each recording, in order of utterance.

    Raises `InvalidInput` for a column that the table does not have, or one whose values leave nothing.
    """
    for field, names in (("by", part.by), ("keep", tuple(part.keep))):
        if missing := [name for name in names if name not in table.columns]:
            there = ", ".join(name for name in table.columns if not name.startswith("="))
            raise InvalidInput(
                f"part {part.name!r}: {field} names {', '.join(missing)}, which no manifest has; there are {there}"
            )
    for name, values in part.keep.items():
        kept = table.filter(pl.col(name).cast(pl.String).is_in(values))
        if kept.is_empty():
            there = ", ".join(table[name].cast(pl.String).drop_nulls().unique().sort().head(20).to_list())
            raise InvalidInput(f"part {part.name!r}: keep leaves no utterance; {name} has the values {there}")
        table = kept
    label = pl.lit("") if part.kind == "text" else pl.col(part.target).cast(pl.String)
    table = table.with_columns(label.alias(LABEL), *(pl.col(name).cast(pl.String) for name in part.by))
    if part.kind == "choice" and part.labels:
        table = table.filter(pl.col(LABEL).is_in(part.labels))
    whole = table.drop_nulls([LABEL, *part.by]).sort("utterance")
    return whole.unique("digest", keep="first", maintain_order=True)


def draw(part: PartSettings, pool: pl.DataFrame, seed: int, used: Collection[str] = ()) -> Drawn:
    """Draw the items of a part and its practice.

    What other parts use, and what no model of a study answers, is only taken where it has to be. The draw follows from
    the seed, the part's name and the names of the utterances. Raises `InvalidInput` with every label of which there
    are too few, and how many are not drawn because a model has learnt from them.
    """
    own = int.from_bytes(hashlib.sha256(f"{seed}/{part.name}".encode()).digest()[:6])
    free, notes = pool.filter(~pl.col(HEARD)), []
    _require(part, pool, free)
    if TESTED in free.columns:
        free = _enough(part, free.filter(TESTED), free)
    fresh = _enough(part, free.filter(~pl.col("utterance").is_in(list(used))), free)
    items = stimuli.drawn(fresh, LABEL, part.count, columns=part.by, seed=own).sort(*part.by, LABEL, "utterance")
    items = items.with_columns((pl.struct(*part.by, LABEL).rank("dense") - 1).cast(pl.Int64).alias(CELL))
    if twice := len(set(items["utterance"]) & set(used)):
        notes.append(f"part {part.name}: {twice} utterances are asked about, or practised, in another part too")
    practice, note = _practice(part, pool, items, own, used)
    return Drawn(part, pool, items, practice, _labels(part, pool), (*notes, *note))


def rest(drawn: Drawn, seed: int, used: Collection[str], count: int) -> pl.DataFrame:
    """Draw utterances of a part's pool that are nothing yet, all labels in turn; fewer where there are no more."""
    left = drawn.pool.filter(~pl.col("utterance").is_in(list(used)))
    return _in_turn(left, seed).head(count)


def _require(part: PartSettings, pool: pl.DataFrame, free: pl.DataFrame) -> None:
    cell = [*part.by, LABEL]
    there = pool.group_by(cell).agg(pl.len(), pl.col(HEARD).sum().alias("heard")).sort(cell)
    few = there.filter(pl.col("len") - pl.col("heard") < part.count)
    if few.is_empty() and len(pool):
        return
    problems = [
        Problem(
            " ".join(str(value) for value in named if value) or "all",
            f"has {count - heard}" + (f"; {heard} more are what a model of the study has learnt from" if heard else ""),
        )
        for *named, count, heard in few.rows()
    ]
    each = "utterances" if part.kind == "text" else "utterances of every label"
    ways = "ask for fewer (count), or leave labels out (labels, keep)"
    if few["heard"].sum():
        ways += (
            "; or leave `study` out here and name this test in the study instead, [splits] listening = FOLDER, so that "
            "its models never learn from what is drawn"
        )
    raise InvalidInput(f"part {part.name!r}: {part.count} {each} are asked for; {ways}", problems)


def _labels(part: PartSettings, pool: pl.DataFrame) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Find what may be answered in each value of `by`: the part's labels that occur there, in their order.

    Of segments it is all of the part's labels, where it names them.
    """
    found: dict[tuple[str, ...], set[str]] = {}
    for *values, label in pool.select(*part.by, LABEL).unique().rows():
        found.setdefault(tuple(values), set()).add(label)
    if part.kind == "text" or (part.kind == "segments" and part.labels):
        return dict.fromkeys(found, part.labels)
    order = part.labels or sorted(set().union(*found.values()))
    return {values: tuple(label for label in order if label in there) for values, there in found.items()}


def _enough(part: PartSettings, some: pl.DataFrame, whole: pl.DataFrame) -> pl.DataFrame:
    """Return some utterances where they are enough for every cell of the whole, else the whole."""
    return some if _least(part, some, whole) >= part.count else whole


def _least(part: PartSettings, some: pl.DataFrame, whole: pl.DataFrame) -> int:
    """Count what the cell with the fewest utterances has, of those cells that the whole has."""
    cell = [*part.by, LABEL]
    counts = whole.select(cell).unique().join(some.group_by(cell).len(), on=cell, how="left")["len"].fill_null(0)
    return min(counts.to_list(), default=0)


def _practice(
    part: PartSettings, pool: pl.DataFrame, items: pl.DataFrame, seed: int, used: Collection[str]
) -> tuple[pl.DataFrame, Sequence[str]]:
    """Draw practice: other speakers first, other utterances in any case, all labels in turn."""
    left = pool.filter(~pl.col("utterance").is_in([*items["utterance"], *used]))
    others = left.filter(~pl.col("speaker").is_in(items["speaker"].unique().to_list()))
    same = left.join(others.select("utterance"), on="utterance", how="anti")
    found = pl.concat([_in_turn(some, seed) for some in (others, same)]).head(part.practice)
    notes = []
    if len(found) < part.practice:
        notes.append(f"part {part.name}: {len(found)} utterances are left for practice, of {part.practice} asked for")
    if known := len(found) - min(len(found), len(others)):
        notes.append(f"part {part.name}: {known} practice items are of speakers who are heard in the part too")
    return found, notes


def _in_turn(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Order utterances so that each beginning has about as many of every label, and as many speakers as can be."""
    if table.is_empty():
        return table
    ranks = pl.Series("=rank", draws.ranks(table, LABEL, (), seed, AFRESH))
    return table.with_columns(ranks).sort("=rank", LABEL, "utterance").drop("=rank")
