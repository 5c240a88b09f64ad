"""Segments of people beside those of models: on the same items, and against one another."""

import polars as pl
import pytest

from sibboleth import predictions
from sibboleth.metrics import segmentation
from sibboleth.metrics.alignment import align
from sibboleth.scores import people
from sibboleth.scores.people.segmented import EACH
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

TARGET = Target(name="segments", kind="segmentation", labels=("angry", "sad"), background=("calm", "none"))
SECONDS = 10.0
ITEMS = [f"s{k}_{take}" for k in range(4) for take in "ab"]
CLUSTERS = {one: one[:2] for one in ITEMS}


def rows(run: str, rater: str, source: str, said: dict[str, tuple[float, float, str] | None]) -> pl.DataFrame:
    """Predictions of one segment, or none, in each utterance, and how long each is."""
    flat = [(u, *one) for u, one in said.items() if one]
    flat += [(u, 0.0, SECONDS, None) for u in said]  # type: ignore[misc]
    columns = dict(zip(("utterance", "start", "end", "label"), map(list, zip(*flat, strict=True)), strict=True))
    about = {"run": run, "rater": rater, "source": source, "target": "segments", "value": 1.0}
    return predictions.table({**about, **columns})


TRUE = rows("corpus", "corpus", "reference", {u: (2.0, 8.0, "angry" if u[1] in "01" else "sad") for u in ITEMS})
HEARD = ITEMS[:6]
EARLY = rows("test", "early", "listener", {u: (1.0, 7.0, "angry" if u[1] in "01" else "sad") for u in HEARD})
LATE = rows("test", "late", "listener", {u: (3.0, 9.0, "angry" if u[1] == "0" else "sad") for u in HEARD})
MUTE = rows("test", "mute", "listener", {u: (0.0, SECONDS, "none") for u in HEARD})
MODEL = rows("m", "selected", "model", {u: (2.0, 8.0, "angry") for u in ITEMS})


def beside(*answers: pl.DataFrame) -> people.Tables:
    settings = StatisticsSettings(resamples=100)
    return people.beside(pl.concat(answers), TRUE, TARGET, clusters=CLUSTERS, statistics=settings)


def eder(answers: pl.DataFrame, reference: pl.DataFrame) -> float:
    return segmentation.EDER(align(answers, reference, TARGET).answers)  # type: ignore[arg-type]


def test_people_and_models_are_scored_on_what_people_heard() -> None:
    made = beside(EARLY, LATE, MUTE, MODEL)
    scores = made.scores.filter(metric="eder", slice="all")
    known = {(row["run"], row["rater"]): row["estimate"] for row in scores.to_dicts()}
    assert known["test", "early"] == pytest.approx(0.2)
    assert known["test", "late"] == pytest.approx((0.2 * 4 + 0.7 * 2) / 6)  # two utterances with the wrong label
    assert known["test", "mute"] == pytest.approx(0.6)
    assert known["m", "selected"] == pytest.approx(0.6 * 2 / 6)  # of eight items it is wrong in four, of six in two
    assert known["people", "all"] == pytest.approx(sum(known["test", r] for r in ("early", "late", "mute")) / 3)
    paired = made.differences.filter(metric="eder", slice="all").to_dicts()
    assert [(row["a_run"], row["b_rater"], row["n"]) for row in paired] == [("m", "all", 6)]
    assert paired[0]["difference"] == pytest.approx(known["m", "selected"] - known["people", "all"])
    overview = made.domains.to_dicts()[0]
    counts = {name: overview[name] for name in ("items", "speakers", "people", "models", "answers", "chance")}
    assert counts == {"items": 6, "speakers": 3, "people": 3, "models": 1, "answers": 18, "chance": None}


def test_the_ceiling_is_each_against_each_of_the_others() -> None:
    made = beside(EARLY, LATE, MODEL)
    ceiling = {row["metric"]: row for row in made.ceiling.to_dicts()}
    as_reference = EARLY.with_columns(source=pl.lit("reference"))
    assert ceiling["eder"]["estimate"] == pytest.approx(eder(LATE, as_reference))
    assert ceiling["eder"]["low"] < ceiling["eder"]["estimate"] < ceiling["eder"]["high"]
    assert {row["crowd"] for row in ceiling.values()} == {EACH} and ceiling["eder"]["n"] == 12
    parts = sum(ceiling[part]["estimate"] for part in segmentation.PARTS)
    assert parts == pytest.approx(ceiling["eder"]["estimate"])
    again = beside(LATE, EARLY, MODEL).ceiling
    assert again.drop("low", "high").equals(made.ceiling.drop("low", "high"))


def test_one_person_has_no_ceiling_and_nobody_failed_agreement() -> None:
    made = beside(EARLY, MODEL)
    assert made.ceiling.is_empty() and made.agreement.is_empty() and made.consistency.is_empty()
    assert len(made.scores.filter(run="people", metric="eder", slice="all")) == 1
