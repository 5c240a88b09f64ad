"""Items on which people and models part, with how to listen to them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sibboleth.report import wording
from sibboleth.report.examples import Players, facts, player
from sibboleth.report.people.reading import ALL, Beside
from sibboleth.report.results import Results

SURE, WRONG = 2 / 3, 1 / 2
"""Share that is right from which on a side is sure, and below which it is wrong."""


@dataclass(frozen=True)
class Item:
    """One utterance."""

    utterance: str
    facts: str
    text: str
    reference: str
    people: tuple[tuple[str, bool], ...]
    """What people answered, and whether that is right."""
    models: tuple[tuple[str, bool], ...]
    shares: str
    audio: str
    embedded: bool


@dataclass(frozen=True)
class Parted:
    """Items that one side gets and the other does not."""

    title: str
    items: tuple[Item, ...]


def parted(results: Results, most: int, players: Players, left: int) -> list[Parted]:
    """Pick items where people are sure and models wrong, and the reverse; `left` bytes of audio may be embedded."""
    beside = Beside(results)
    table = beside.read("people-disputed")
    if table.is_empty() or most <= 0:
        return []
    everybody = (pl.col("listeners") == ALL) & pl.col("group").eq(ALL) & (pl.col("axis") == results.domain)
    mine = table.filter(everybody).unique("utterance", keep="first", maintain_order=True)
    sides = (
        (f"{wording.capital(beside.word)} are sure and right, models wrong", "people", "models"),
        (f"Models are right, {beside.word} wrong", "models", "people"),
    )
    given = _answered(beside)
    found = []
    for title, right, wrong in sides:
        known = mine.filter(pl.col(f"{right}_right") >= SURE, pl.col(f"{wrong}_right") < WRONG)
        rows = known.sort(pl.col("gap").abs(), "utterance", descending=[True, False]).head((most + 1) // 2).to_dicts()
        items = []
        for row in rows:
            one, size = _item(results, row, given, players, left)
            left -= size
            items.append(one)
        if items:
            found.append(Parted(title, tuple(items)))
    return found


def _answered(beside: Beside) -> pl.DataFrame:
    """Heaviest answers of people and of the models that stand beside them: `utterance, side, label`."""
    run = beside.results.run
    target = pl.col("target") == beside.results.target
    said = run.table("listeners").filter(target, pl.col("start").is_null())
    # Of people the first answer counts, as in the shares; a panel's votes are trials of its only rater.
    first = pl.col("trial") == pl.col("trial").min().over("run", "rater", "utterance")
    votes = pl.col("rater").n_unique().over("run") == 1
    people = said.filter(first | votes).select("utterance", "label", side=pl.lit("people"))
    names = beside.read("people-models").select(pl.col("of").alias("run"), "rater")
    heard = people.select("utterance").unique()
    answers = pl.scan_parquet(run / "predictions.parquet").filter(target).join(names.lazy(), on=["run", "rater"])
    key = ["run", "rater", "utterance", "trial"]
    models = (
        answers.join(heard.lazy(), on="utterance", how="semi")
        .sort("value", "label", descending=[True, False])
        .unique(key, keep="first", maintain_order=True)
        .select("utterance", "label", side=pl.lit("models"))
        .collect()
    )
    return pl.concat([people, models])


def _item(results: Results, row: dict[str, Any], given: pl.DataFrame, players: Players, left: int) -> tuple[Item, int]:
    known = results.utterances.filter(pl.col("utterance") == row["utterance"]).to_dicts()
    about = known[0] if known else {"utterance": row["utterance"]}
    audio, size = player(about, players, results.run.path, left)
    mine = given.filter(pl.col("utterance") == row["utterance"])
    sides = {side: mine.filter(side=side)["label"].to_list() for side in ("people", "models")}
    item = Item(
        utterance=row["utterance"],
        facts=facts(about, results),
        text=str(about.get("text") or ""),
        reference=row["reference"],
        people=_counted(sides["people"], row["reference"]),
        models=_counted(sides["models"], row["reference"]),
        shares=f"{row['people_right']:.0%} and {row['models_right']:.0%} right",
        audio=audio,
        embedded=size > 0,
    )
    return item, size


def _counted(answers: Sequence[str], right: str) -> tuple[tuple[str, bool], ...]:
    counts = sorted(Counter(answers).items(), key=lambda one: (-one[1], one[0]))
    return tuple((f"{label} \N{MULTIPLICATION SIGN}{number}", label == right) for label, number in counts)
