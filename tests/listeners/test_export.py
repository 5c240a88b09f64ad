"""What people answered comes out as the table that models fill, and says nothing of who they are."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.listeners import small

from sibboleth import predictions
from sibboleth.listeners import admin, answering, export, words
from sibboleth.listeners.export import Export
from sibboleth.listeners.session import Course
from sibboleth.listeners.step import Answer
from sibboleth.listeners.store import Store

ROWS = ["rater", "utterance", "start", "end", "target", "trial", "label", "value"]


class Panel:
    """A test with its store, and what people say in it: changes to what most would, by item."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        made = small.drawn(**changes)
        self.course = Course(made, words.read("en"))
        self.store = Store(folder / "answers.sqlite", made.version)

    def take(self, said: dict[str, Any] | None = None, steps: int = 100, **people: str) -> str:
        with self.store.transaction():
            token = answering.begin(self.store, people, ["PROLIFIC_PID"])
        for _ in range(steps):
            listener = self.store.listener(token)
            assert listener is not None
            if listener.status == "finished":
                break
            step = self.course.step(listener).model_dump()
            item = self.course.planned(listener.form)[listener.due].item
            changes = (said or {}).get(item.key if item else step["show"], {})
            with self.store.transaction():
                answer = Answer.model_validate(small.answer(step, **changes))
                answering.give(self.store, self.course, token, answer)
        return token

    def tables(self) -> Export:
        return export.export(self.store, self.course)


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    return Panel(tmp_path)


def test_every_kind_of_answer_is_a_row_of_the_table(panel: Panel) -> None:
    regions = [{"start": 0.5, "end": 0.9, "label": "sad"}, {"start": 0.1, "end": 0.4, "label": "angry"}]
    panel.take({"a": {"labels": ["angry"], "confidence": 5}, "s": {"regions": regions}, "t": {"text": "Der Lappen"}})
    table = panel.tables().predictions
    assert table["source"].unique().to_list() == ["listener"] and table["run"].unique().to_list() == ["small"]
    assert table.select(ROWS).rows() == [
        ("L0001", "own:a", None, None, "emotion", 0, "angry", 1.0),
        ("L0001", "own:a", None, None, "emotion.confidence", 0, None, 5.0),
        ("L0001", "own:b", None, None, "emotion", 0, "sad", 1.0),
        ("L0001", "own:b", None, None, "emotion.confidence", 0, None, 3.0),
        ("L0001", "own:a", None, None, "emotion", 1, "sad", 1.0),  # a repeat is another trial
        ("L0001", "own:a", None, None, "emotion.confidence", 1, None, 3.0),
        ("L0001", "own:s", 0.1, 0.4, "emotion", 0, "angry", 1.0),
        ("L0001", "own:s", 0.5, 0.9, "emotion", 0, "sad", 1.0),
        ("L0001", "own:t", None, None, "text", 0, "Der Lappen", 1.0),
    ]


def test_several_labels_share_the_weight_and_none_is_a_label(tmp_path: Path) -> None:
    panel = Panel(tmp_path, parts=[{**small.EMOTION, "several": True, "none": True}, small.WHERE, small.WORDS])
    panel.take({"a": {"labels": ["angry", "sad"]}, "b": {"labels": []}, "s": {"regions": []}})
    table = panel.tables().predictions.filter((pl.col("target") == "emotion") & (pl.col("trial") == 0))
    assert table.select("utterance", "start", "end", "label", "value").rows() == [
        ("own:a", None, None, "angry", 0.5),
        ("own:a", None, None, "sad", 0.5),
        ("own:b", None, None, "none", 1.0),
        ("own:s", 0.0, 1.0, "none", 1.0),
    ]


def test_practice_and_catch_trials_are_told_apart_from_predictions(panel: Panel) -> None:
    panel.take({"c": {"labels": ["happy"]}})
    panel.take()
    tables = panel.tables()
    assert set(tables.predictions["utterance"]) == {"own:a", "own:b", "own:s", "own:t"}
    first = tables.answers.filter(pl.col("rater") == "L0001")
    assert first["role"].to_list() == ["practice", "item", "item", "catch", "repeat", "item", "item"]
    assert first["right"].to_list() == [False, True, False, True, True, None, True]
    assert (first["plays"].unique().to_list(), first["reaction"].unique().to_list()) == ([1], [1.25])
    assert tables.listeners["catch_failed"].to_list() == [False, True]
    assert tables.listeners["catch_wrong"].to_list() == [0, 1]


def test_listeners_have_their_background_and_no_more(panel: Panel) -> None:
    said = {"first": ["de", "nl"], "levels": {"en": 4}, "years": {"tianjin": 2.5}, "age": 37, "gender": "woman"}
    panel.take({"background": {"background": {**said, "hearing": "normal"}}})
    panel.take({"background": {"background": {"first": ["pl"], "age": 80}}}, steps=7)
    panel.take(steps=1)
    table = panel.tables().listeners
    assert table.drop("median_reaction", "mean_plays", "fetched_again", "form").to_dicts() == [
        {
            **{"rater": "L0001", "status": "finished", "reason": None, "answers": 5},
            **{"first_language": "de; nl", "age": "35-44", "gender": "woman", "hearing": "normal"},
            **{"headphone_trials": 0, "headphones_right": 0},
            **{"catch_trials": 1, "catch_wrong": 1, "catch_failed": True},
            **{"level.en": 4, "native.de": True, "native.nl": True, "native.pl": False, "years.tianjin": 2.5},
        },
        {
            **{"rater": "L0002", "status": "active", "reason": None, "answers": 0},
            **{"first_language": "pl", "age": "75 and over", "gender": None, "hearing": "unsaid"},
            **{"headphone_trials": 0, "headphones_right": 0},
            **{"catch_trials": 0, "catch_wrong": 0, "catch_failed": False},
            **{"level.en": None, "native.de": False, "native.nl": False, "native.pl": True, "years.tianjin": None},
        },
        {
            **{"rater": "L0003", "status": "active", "reason": None, "answers": 0},
            **dict.fromkeys(("first_language", "age", "gender", "hearing")),
            **{"headphone_trials": 0, "headphones_right": 0},
            **{"catch_trials": 0, "catch_wrong": 0, "catch_failed": False},
            **dict.fromkeys(("level.en", "native.de", "native.nl", "native.pl", "years.tianjin")),
        },
    ]


def test_no_table_says_who_somebody_is(panel: Panel, tmp_path: Path) -> None:
    token = panel.take(PROLIFIC_PID="5f3c2b1a9d8e7f6a5b4c3d2e")
    packed = export.archive(panel.tables())
    (tmp_path / "all.zip").write_bytes(packed)
    for frame in export.named(panel.tables()).values():
        text = frame.write_csv()
        assert "5f3c2b1a9d8e7f6a5b4c3d2e" not in text and token not in text and "2026" not in text
        assert not any(kind.is_temporal() for kind in frame.dtypes)


def test_who_withdrew_is_in_no_table_but_by_number(panel: Panel) -> None:
    panel.take()
    panel.take()
    with panel.store.transaction():
        panel.store.withdraw(1)
    tables = panel.tables()
    assert tables.predictions["rater"].unique().to_list() == tables.answers["rater"].unique().to_list() == ["L0002"]
    gone = tables.listeners.row(0, named=True)
    assert (gone["rater"], gone["status"], gone["answers"], gone["first_language"]) == ("L0001", "withdrawn", 0, None)


def test_a_test_that_nobody_took_gives_empty_tables(panel: Panel) -> None:
    tables = panel.tables()
    assert predictions.validate(tables.predictions).is_empty()
    assert tables.answers.is_empty() and tables.listeners.is_empty()


def test_live_agreement_is_that_of_a_library(panel: Panel) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    said = [("sad", "angry"), ("sad", "sad"), ("angry", "angry"), ("sad", "angry")]
    for one, other in said:
        panel.take({"a": {"labels": [one]}, "b": {"labels": [other]}})
    panel.take({"a": {"labels": ["happy"]}}, steps=9)  # stopped before b
    codes = [[0, 0, 1, 0, 2], [1, 0, 1, 1, None]]
    reliability = [[float("nan") if code is None else code for code in row] for row in zip(*codes, strict=True)]
    expected = krippendorff.alpha(reliability_data=reliability, level_of_measurement="nominal")
    part, *_ = admin.overview(panel.store, panel.course).parts
    assert part.agreement == f"{expected:.2f}"
    assert (part.answers, part.items, part.raters) == (9, 2, 4)


def test_the_overview_says_where_people_stopped(panel: Panel, tmp_path: Path) -> None:
    import sqlite3

    for steps in (1, 1, 5, 9, 100):
        panel.take(steps=steps)
    with panel.store.transaction():
        answering.begin(panel.store, {}, [])
    refused = panel.take({"consent": {"agreed": False}}, steps=1)
    assert panel.store.listener(refused) is not None
    with sqlite3.connect(tmp_path / "answers.sqlite") as other:
        other.execute("UPDATE answers SET at = at - 7200")
    found = admin.overview(panel.store, panel.course)
    assert found.stopped == (
        ("background", 2),
        ("emotion: item", 2),
        ("screened out: did not consent", 1),
    )
    counts = dict(found.counts)
    assert (counts["begun, not finished"], counts["finished"], counts["at it within the last hour"]) == ("5", "1", "1")
    assert counts["median minutes of who finished"] == f"{17 * 2.5 / 60:.1f}"
