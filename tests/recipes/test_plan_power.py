import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from scipy.stats import norm

from sibboleth.cli import main
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.metrics.classification import ACCURACY, UAR
from sibboleth.recipes.plan_power import Plan, plan_power
from sibboleth.stats import planning
from sibboleth.stats.planning import Design, Model

ALIKE = Model(a=0.7, b=0.6, a_icc=0.1, b_icc=0.1, same_item=0.5, same_speaker=0.05)
ALONE = Model(a=0.7, b=0.6, a_icc=0.0, b_icc=0.0, same_item=0.0, same_speaker=0.0)


def page(plan: Plan) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(plan)
    return capture.get()


def test_formula_is_that_of_two_proportions_where_all_answers_are_independent() -> None:
    design = Design(speakers=30, items=12)
    n = 360
    error = math.sqrt((0.7 * 0.3 + 0.6 * 0.4) / n)
    assert planning.expected(ALONE, design) == pytest.approx(norm.cdf(0.1 / error - norm.ppf(0.975)))
    assert planning.expected(ALIKE, replace(design, paired=False, comparisons=5)) < planning.expected(ALONE, design)


def test_formula_is_mcnemars_where_only_items_are_shared() -> None:
    model = replace(ALONE, same_item=0.6)
    both = planning.pair(0.7, 0.6, 0.6)
    only_a, only_b = 0.7 - both, 0.6 - both
    # Connor (1987), Sample size for testing differences in proportions for the paired-sample design.
    error = math.sqrt((only_a + only_b - 0.1**2) / 240)
    assert planning.expected(model, Design(20, 12)) == pytest.approx(norm.cdf(0.1 / error - norm.ppf(0.975)))


def test_two_latent_numbers() -> None:
    for r in (-0.9, -0.3, 0.0, 0.5, 0.9):  # Sheppard's formula
        assert planning.pair(0.5, 0.5, r) == pytest.approx(0.25 + math.asin(r) / (2 * math.pi), abs=1e-4)
        assert planning.tetrachoric(0.7, 0.4, planning.pair(0.7, 0.4, r)) == pytest.approx(r, abs=0.01)


@pytest.mark.parametrize(
    ("model", "design"),
    [
        (ALONE, Design(30, 12)),
        (replace(ALONE, same_item=0.6), Design(30, 8)),
        (ALIKE, Design(40, 12)),
        (ALIKE, Design(40, 20, comparisons=4)),
        (ALIKE, Design(60, 16, paired=False)),
    ],
)
def test_simulated_power_agrees_with_the_formula_where_speakers_are_many(model: Model, design: Design) -> None:
    expected = planning.expected(model, design)
    assert 0.2 < expected < 0.98
    found = planning.power(model, design, planning.accuracy, simulations=400)
    assert found == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / 400) + 0.03)


def test_nothing_is_found_more_often_than_alpha_where_nothing_is() -> None:
    same = replace(ALIKE, a=0.6)
    for design in (Design(8, 12), Design(20, 12), Design(20, 12, paired=False), Design(12, 8, alpha=0.2)):
        found = planning.power(same, design, planning.uar, simulations=400)
        assert found <= design.alpha + 3 * math.sqrt(design.alpha * (1 - design.alpha) / 400)


def test_power_grows_with_speakers_items_and_difference_and_falls_with_the_family() -> None:
    def power(model: Model = ALIKE, **design: int) -> float:
        return planning.power(model, Design(**{"speakers": 20, "items": 12} | design), planning.uar, simulations=200)

    assert power(speakers=10) < power() < power(speakers=40)
    assert power(items=6) < power() < power(items=40)
    assert power(replace(ALIKE, a=0.65)) < power() < power(replace(ALIKE, a=0.8))
    assert power(comparisons=20) < power()
    assert power(replace(ALIKE, same_item=0.0, same_speaker=0.0)) < power(replace(ALIKE, same_item=0.9))
    # Few speakers cannot reach any level, whatever the difference.
    assert planning.power(replace(ALIKE, a=0.99), Design(5, 40), planning.uar, simulations=100) == 0


def test_what_is_detectable_is_found_with_the_wanted_power() -> None:
    design = Design(20, 12)
    least = planning.detectable(ALIKE, design, planning.uar, 0.8, simulations=300)
    found = planning.power(replace(ALIKE, a=ALIKE.b + least), design, planning.uar, simulations=600, seed=9)
    assert found == pytest.approx(0.8, abs=0.08)
    assert math.isnan(planning.detectable(ALIKE, Design(4, 12), planning.uar, 0.8, simulations=100))


def test_a_model_is_found_again_in_its_own_answers() -> None:
    rng = np.random.default_rng(0)
    model = Model(0.75, 0.6, 0.2, 0.1, 0.5, 0.1)
    shared, rest = model.covariances()
    speaker = rng.multivariate_normal([0, 0], shared, size=(800, 1))
    latent = speaker + rng.multivariate_normal([0, 0], rest, size=(800, 30))
    right = (latent < norm.ppf([0.75, 0.6])).astype(float).reshape(-1, 2)
    found = planning.fit(right[:, 0], right[:, 1], np.repeat(np.arange(800), 30))
    for name in ("a", "b", "a_icc", "b_icc", "same_item", "same_speaker"):
        assert getattr(found, name) == pytest.approx(getattr(model, name), abs=0.03), name


def test_correlations_of_small_pilots_are_not_too_low_on_average() -> None:
    model = Model(0.7, 0.6, 0.2, 0.2, 0.5, 0.15)
    shared, rest = model.covariances()
    found = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        speaker = rng.multivariate_normal([0, 0], shared, size=(8, 1))
        right = (speaker + rng.multivariate_normal([0, 0], rest, size=(8, 20)) < norm.ppf([0.7, 0.6])).astype(float)
        fitted = planning.fit(right[..., 0].ravel(), right[..., 1].ravel(), np.repeat(np.arange(8), 20))
        found.append((fitted.a_icc, fitted.same_item, fitted.same_speaker))
    assert np.mean(found, axis=0) == pytest.approx([0.2, 0.5, 0.15], abs=0.04)


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_right_and_wrong_answers_by_label_score_as_a_confusion_matrix(classes: int) -> None:
    for parts, _ in planning.simulate(ALIKE, Design(9, 7, classes), 3, seed=1):
        right, wrong = parts[:, :classes], parts[:, classes:]
        matrix = np.zeros((9, classes, classes + 1))
        matrix[:, np.arange(classes), np.arange(classes)] = right
        matrix[:, :, classes] = wrong
        confusion = matrix.reshape(9, -1)
        assert parts.sum(axis=1).tolist() == [7] * 9
        asked = (right + wrong).sum(axis=0)
        assert asked.max() - asked.min() <= 1
        for own, metric in ((planning.uar, UAR), (planning.accuracy, ACCURACY)):
            assert own(parts) == pytest.approx(metric.rate(confusion))
            assert own(parts.sum(axis=0)) == pytest.approx(metric.rate(confusion.sum(axis=0)))


def test_many_labels_take_little_memory() -> None:
    tracemalloc.start()
    try:
        made = plan_power(level=0.6, difference=0.2, classes=1000, speakers=(20,), items=(50,), simulations=100)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0 <= made.designs["power"].item() <= 1
    assert most < 2**28  # confusion matrices of the speakers would be 160 MB each, and their swaps gigabytes


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0.6, "alpha": 0.9, "power": 0.95},
        {"level": 0.6, "power": 0.999999},
        {"level": 0.25, "power": 0.051},
        {"level": 0.99999999},
        {"level": 1e-9},
        {"level": 0.6, "icc": 0.0, "correlation": 0.0},
        {"level": 0.6, "icc": 0.99, "correlation": 0.99},
        {"level": 0.6, "icc": 0.0, "correlation": 0.9999999999},
        {"level": 0.6, "difference": 0.39999, "items": (1,), "speakers": (4,)},
        {"level": 0.6, "difference": 0.2, "items": (1,), "speakers": (2,), "classes": 2, "between": True},
        {"level": 0.6, "between": True, "alpha": 0.99, "power": 0.995},
        {"level": 0.6, "comparisons": 10_000},
    ],
)
@pytest.mark.parametrize("metric", ["uar", "accuracy"])
def test_odd_wishes_are_planned_for(options: dict[str, object], metric: str) -> None:
    made = plan_power(**{"speakers": (6,), "items": (4,), "simulations": 100, "metric": metric} | options)  # type: ignore[arg-type]
    value = made.designs["power" if "difference" in options else "detectable"].item()
    assert math.isnan(value) or 0 <= value <= 1
    assert page(made)


def test_a_plan() -> None:
    def plan() -> Plan:
        return plan_power(
            level=0.6, difference=0.2, speakers=(12, 8, 20), items=(8, 20), simulations=100, correlation=0.5, icc=0.1
        )

    made = plan()
    assert made.designs.columns == ["speakers", "items", "answers", "power", "expected"]
    assert made.designs.select("speakers", "items").rows() == [(s, i) for s in (8, 12, 20) for i in (8, 20)]
    reached = made.designs.filter(pl.col("power") >= 0.8)
    assert made.smallest is not None and made.smallest["answers"] == reached["answers"].min()
    assert made.designs.equals(plan().designs)
    text = page(made)
    assert f"smallest design: {made.smallest['speakers']} speakers with {made.smallest['items']} items each" in text
    assert "simulation error" in text and "assumed" not in text
    none = plan_power(level=0.6, difference=0.01, speakers=(6,), items=(4,), simulations=100)
    assert none.smallest is None and "no design here reaches 0.8" in page(none)
    assert "assumed, for want of a pilot: --icc 0.1 and --correlation 0.5" in page(none)


def test_a_plan_without_a_difference_says_what_can_be_detected(tmp_path: Path) -> None:
    made = plan_power(
        level=0.6, speakers=(5, 12, 24), items=(12,), simulations=100, metric="accuracy", output=tmp_path / "plan.csv"
    )
    few, some, many = made.designs["detectable"]
    assert math.isnan(few) and 0 < many < some < 0.4
    assert "smallest difference found with power 0.8" in page(made) and "-: no difference" in page(made)
    assert pl.read_csv(tmp_path / "plan.csv").height == 3


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    """Two systems' answers about 12 speakers, 20 items each; B is right less often."""
    rng = np.random.default_rng(0)
    labels = ["angry", "happy", "sad"]
    lines = ["utterance,speaker,emotion,system,prediction"]
    for k in range(240):
        latent = rng.normal(0, 0.7) if k % 20 == 0 else latent  # noqa: F821
        item = rng.normal()
        for system, skill in (("A", 0.8), ("B", 0.2)):
            right = latent + 0.7 * item + 0.6 * rng.normal() < skill
            lines.append(f"u{k},s{k // 20},{labels[k % 3]},{system},{labels[(k + (not right)) % 3]}")
    path = tmp_path / "pilot.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_pilot_gives_levels_labels_and_correlations(pilot: Path) -> None:
    made = plan_power(pilot=pilot, difference=0.1, speakers=(12,), items=(20,), simulations=100)
    answers = pl.read_csv(pilot)
    b = answers.filter(pl.col("system") == "B").select((pl.col("emotion") == pl.col("prediction")).mean()).item()
    assert made.model.b == pytest.approx(b)
    assert made.model.same_item > 0.3 and made.model.a_icc > 0
    assert any("240 answers about 12 speakers" in note for note in made.notes)
    assert any("3 labels" in note for note in made.notes)
    one = plan_power(
        pilot=pilot, raters=("A",), correlation=0.4, difference=0.05, speakers=(12,), items=(20,), simulations=100
    )
    assert one.model.same_item == 0.4 and one.model.b > made.model.b


def test_a_bad_pilot_is_refused(pilot: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no rater is called so; there are pilot/A, pilot/B"):
        plan_power(pilot=pilot, raters=("C",))
    lone = tmp_path / "lone.csv"
    lone.write_text(
        "\n".join(
            ",".join(f for i, f in enumerate(line.split(",")) if i != 1) for line in pilot.read_text().splitlines()
        )
    )
    with pytest.raises(InvalidInput, match="needs the speaker of every utterance"):
        plan_power(pilot=lone, difference=0.1)
    with pytest.raises(SibbolethError, match="not a run directory"):
        plan_power(pilot=tmp_path, difference=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give --level"),
        ({"level": 60.0}, "--level 60 must lie between 0 and 1"),
        ({"level": 0.6, "difference": 5.0}, "as a share: 0.05 for 5 points"),
        ({"level": 0.6, "difference": 0.5}, "leaves the range 0 to 1"),
        ({"level": 0.6, "icc": 1.0}, "--icc 1 must be 0 or more and below 1"),
        ({"level": 0.6, "classes": 1}, "--classes 1 must be 2 or more"),
        ({"level": 0.6, "classes": 1001}, "--classes 1001 must be 1000 or fewer"),
        ({"level": 0.6, "classes": 61}, "61 labels cannot all occur in the 60 answers of the smallest design"),
        ({"level": 0.6, "power": 0.02}, "--power 0.02 must be above --alpha 0.05: so often"),
        ({"level": 0.6, "power": 0.01, "comparisons": 5}, "above --alpha 0.05 / 5 comparisons"),
        ({"level": 0.6, "speakers": (1,)}, "--speakers are 2 or more"),
        ({"level": 0.6, "comparisons": 0}, "--comparisons 0 must be 1 or more"),
        ({"level": 0.6, "output": Path("x.xlsx")}, "ends in one of .csv, .parquet"),
    ],
)
def test_arguments_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        plan_power(**options)  # type: ignore[arg-type]


def test_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"--level": "0.6", "--difference": "0.3", "--items": "10", "--simulations": "100"}
    main(["plan-power", "--between", "--speakers", "8", "16", *(word for pair in options.items() for word in pair)])
    shown = capsys.readouterr().out
    assert "the interval of the gap between two groups of speakers" in " ".join(shown.split())
    with pytest.raises(SystemExit) as stopped:
        main(["plan-power", "--level", "60"])
    assert stopped.value.code == 2
    assert "must lie between 0 and 1" in capsys.readouterr().err
