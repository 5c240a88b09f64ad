"""What is true of simulated listeners is in what they answer."""

from typing import Any

import polars as pl
import pytest
from tests.listeners import small

from sibboleth.listeners import simulation, words
from sibboleth.listeners.export import Export
from sibboleth.listeners.session import Course
from sibboleth.listeners.test import Form, Item, Test

LABELS = ("angry", "happy", "neutral", "sad")


def heard(people: dict[str, Any]) -> Export:
    """Let 80 listeners hear 30 items in a dialect of Mandarin and 30 in none."""
    values = [{"language": "zh", "dialect": "tianjin"} if number % 2 else {"language": "zh"} for number in range(60)]
    items = tuple(
        Item(
            key=f"k{number}",
            part="emotion",
            role="item",
            audio="a",
            seconds=1.0,
            utterance=f"c/{number}",
            values=known,
            labels=LABELS,
            answer=LABELS[number % 4],
        )
        for number, known in enumerate(values)
    )
    part = {"name": "emotion", "labels": LABELS}
    form = Form(number=0, items=tuple(item.key for item in items))
    test = Test(version="v", settings=small.settings(parts=[part], people=people), items=items, forms=(form,))
    return simulation.simulate(Course(test, words.read("en")), 80, 0)


@pytest.fixture(scope="module")
def asked() -> Export:
    return heard({"dialects": ["Tianjin"]})


def test_half_have_heard_a_dialect_that_is_asked_about(asked: Export) -> None:
    years = asked.listeners["years.Tianjin"]
    assert (years > 0).sum() == 40 and (years == 0).sum() == 40
    assert set(asked.predictions["source"]) == {"simulated"}


def test_a_dialect_costs_who_has_not_heard_it_and_nobody_else(asked: Export) -> None:
    items = pl.col("utterance").str.slice(2).cast(pl.Int64) % 2 == 1
    told = asked.answers.join(asked.listeners.select("rater", "years.Tianjin"), on="rater").group_by(
        (pl.col("years.Tianjin") > 0).alias("exposed"), items.alias("dialect")
    )
    right = {(exposed, dialect): share for exposed, dialect, share in told.agg(pl.col("right").mean()).iter_rows()}
    assert right[False, True] < right[True, True] - 0.1
    assert abs(right[False, False] - right[True, False]) < 0.05


def test_who_has_heard_a_dialect_answers_as_if_none_were_asked_about(asked: Export) -> None:
    plain = heard({})
    exposed = asked.listeners.filter(pl.col("years.Tianjin") > 0)["rater"].implode()
    mine = pl.col("rater").is_in(exposed)
    assert plain.predictions.filter(mine).equals(asked.predictions.filter(mine))
    assert not [name for name in plain.listeners.columns if name.startswith("years.")]
