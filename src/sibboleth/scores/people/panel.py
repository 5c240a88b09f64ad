"""Panel: the first answer of every rater about every item of a domain, as codes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import predictions as table
from sibboleth.metrics.alignment import ITEM
from sibboleth.scores.groups import Name
from sibboleth.scores.slices import Clusters

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Panel:
    """Who answered what; nothing here depends on names of raters or speakers."""

    labels: tuple[str, ...]
    """What is asked about, then whatever else people answered; for numbers the distinct values, ascending."""
    asked: int
    """How many of the labels the reference has."""
    items: pl.DataFrame
    """Columns `utterance, start, end`, sorted."""
    speakers: Codes
    """`[item]`."""
    speaker_names: tuple[str, ...]
    """Of each item."""
    truth: Codes
    """`[item]`: the reference's heaviest label, -1 where there is none."""
    raters: tuple[Name, ...]
    answers: Codes
    """`[item, rater]`: index of the label, `len(labels)` for any other, -1 for none."""
    votes: bool = False
    """Nobody knows who gave which answer: columns are votes, the counts of an item all that they say."""

    @property
    def right(self) -> Codes:
        """Whether each answer is right, `[item, rater]`; -1 without an answer or a reference."""
        there = (self.answers >= 0) & (self.truth >= 0)[:, None]
        return np.where(there, self.answers == self.truth[:, None], -1).astype(np.int64)

    @property
    def sizes(self) -> tuple[Array, Array]:
        """Answers about each speaker and of each rater who may be resampled, of whom votes have none."""
        there = (self.answers >= 0).astype(np.float64)
        raters = np.zeros(there.shape[1]) if self.votes else there.sum(axis=0)
        return np.bincount(self.speakers, there.sum(axis=1)).astype(np.float64), raters

    @property
    def counted(self) -> dict[str, int]:
        """Answers, speakers and raters, as the tables have them."""
        return {"n": int((self.answers >= 0).sum()), "clusters": self.speaker_count, "raters": len(self.raters)}

    @property
    def speaker_count(self) -> int:
        """Number of speakers."""
        return int(self.speakers.max(initial=-1)) + 1

    def of(self, names: Sequence[Name]) -> "Panel":
        """Return the panel of some of the raters, with the items that any of them answered."""
        wanted = set(names)
        raters = [k for k, name in enumerate(self.raters) if name in wanted]
        answers = self.answers[:, raters]
        return replace(self, raters=tuple(self.raters[k] for k in raters), answers=answers).about(
            np.asarray((answers >= 0).any(axis=1))
        )

    def about(self, items: npt.NDArray[np.bool_]) -> "Panel":
        """Return the panel of some of the items."""
        return replace(
            self,
            items=self.items.filter(pl.Series(items)),
            speakers=_in_order(self.speakers[items]),
            speaker_names=tuple(name for name, kept in zip(self.speaker_names, items, strict=True) if kept),
            truth=self.truth[items],
            answers=self.answers[items],
        )


def gather(
    answers: pl.DataFrame,
    reference: pl.DataFrame,
    labels: Sequence[str],
    clusters: Clusters,
    items: pl.DataFrame | None = None,
) -> Panel:
    """Gather the first answers of all raters about one target: rows of predictions, numbers or weighted labels.

    `items` are what a panel of models is about; one of people is about all that they answered. Of several labels the
    heaviest counts.
    """
    people = items is None
    answers, votes = _voters(answers) if people else (answers, False)
    numeric = answers["label"].null_count() == len(answers)
    first, true = (_first(frame, numeric) for frame in (answers, reference))
    asked = list(dict.fromkeys(true["said"].unique().sort())) if numeric else list(labels)
    said = first["said"].unique().drop_nulls().sort()
    if items is None:
        items = first.select(ITEM).unique().sort(ITEM)
        more = [label for label in said if label not in asked]
        asked_too = sorted({*asked, *more}, key=float) if numeric else [*asked, *more]
    else:
        asked_too = asked
    place = items.with_row_index("item")
    first = first.join(place, on=ITEM, nulls_equal=True).with_columns(code=_codes("said", asked_too))
    true = true.join(place, on=ITEM, nulls_equal=True).with_columns(code=_codes("said", asked_too))
    raters = first.select("run", "rater").unique().sort("run", "rater").with_row_index("who")
    first = first.join(raters, on=["run", "rater"])
    matrix = np.full((len(items), len(raters)), -1, dtype=np.int64)
    matrix[first["item"].to_numpy(), first["who"].to_numpy()] = first["code"].to_numpy()
    truth = np.full(len(items), -1, dtype=np.int64)
    truth[true["item"].to_numpy()] = np.where(true["code"] < len(asked_too), true["code"], -1)
    # People are resampled, so their order is one that names do not change; models keep that of their names.
    order = np.lexsort(matrix) if people and len(matrix) else np.arange(len(raters))
    names = raters.select("run", "rater").rows()
    speakers = [clusters.get(u) or f"\0{u}" for u in items["utterance"]]
    return Panel(
        tuple(asked_too),
        len(asked),
        items,
        _in_order(np.array(speakers, dtype=np.str_)),
        tuple(speakers),
        truth,
        tuple((names[k][0], names[k][1]) for k in order),
        matrix[:, order],
        votes,
    )


def alike(answered: npt.NDArray[np.bool_]) -> dict[tuple[bool, ...], list[int]]:
    """Group models by the items that they answered `[item, model]`; all items stand first, whoever answered them."""
    found: dict[tuple[bool, ...], list[int]] = {(True,) * len(answered): []}
    for k, there in enumerate(answered.T.tolist()):
        found.setdefault(tuple(there), []).append(k)
    return found


def _voters(answers: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """Give every vote a column of its own, where a rater stands for people of whom nobody knows who said what.

    That is the only rater of a run, with several answers to most items. Beside known listeners it is left out.
    """
    each = answers.group_by("run", "rater", *ITEM).agg(trials=pl.col("trial").n_unique())
    runs = each.group_by("run").agg(pl.col("trials").median() > 1, pl.col("rater").n_unique())
    several = runs.filter("trials", pl.col("rater") == 1)
    if several.is_empty():
        return answers, False
    known = answers.join(several, on="run", how="anti")
    if len(known):
        return known, False
    return answers.with_columns(rater=pl.format("{} {}", "rater", "trial"), trial=pl.lit(0, pl.Int32)), True


def _first(frame: pl.DataFrame, numeric: bool) -> pl.DataFrame:
    """Keep each rater's first trial of each item, with what was `said`."""
    said = pl.col("value").cast(pl.String) if numeric else pl.col("label")
    decided = frame if numeric else table.decide(frame.filter(pl.col("label").is_not_null(), pl.col("value") > 0))
    ordered = decided.sort(table.KEY).unique(["run", "rater", *ITEM], keep="first", maintain_order=True)
    return ordered.select("run", "rater", *ITEM, said.alias("said"))


def _codes(column: str, labels: Sequence[str]) -> pl.Expr:
    return pl.col(column).replace_strict(
        list(labels), list(range(len(labels))), default=len(labels), return_dtype=pl.Int64
    )


def _in_order(names: npt.NDArray[np.generic]) -> Codes:
    """Number names by where they first stand."""
    _, first, codes = np.unique(names, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes].astype(np.int64)
