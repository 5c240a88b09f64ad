"""The answer says no more than the numbers do."""

import math
from collections.abc import Callable

import polars as pl
import pytest

from sibboleth.report import wording
from sibboleth.report.answer import answer
from sibboleth.report.material import load
from sibboleth.runs import RunDirectory, write_table

MakeRun = Callable[..., RunDirectory]
MAIN = (pl.col("metric") == "uar") & (pl.col("slice") == "all") & (pl.col("rater") == "selected")


def change(run: RunDirectory, name: str, where: pl.Expr, **values: float) -> None:
    """Overwrite numbers in the rows of a table."""
    table = run.table(name)
    new = [
        pl.when(where).then(pl.lit(v)).otherwise(pl.col(k)).cast(table.schema[k]).alias(k) for k, v in values.items()
    ]
    write_table(run / f"{name}.parquet", table.with_columns(new))


def told(run: RunDirectory) -> str:
    found = answer(load(run))
    return " ".join([*found.lead, *found.more, *found.cautions]).replace("\N{NO-BREAK SPACE}", " ")


def one_pair(make_run: MakeRun) -> RunDirectory:
    run = make_run(findings=False, speakers=12)
    name = "microsoft/wavlm-base/linear"
    change(run, "scores", MAIN & (pl.col("run") == f"{name}/zero-shot/de>nl"), estimate=0.61, low=0.52, high=0.69)
    change(run, "scores", MAIN & (pl.col("run") == f"{name}/within/nl>nl"), estimate=0.72, low=0.64, high=0.8)
    pair = (pl.col("a_run") == f"{name}/within/nl>nl") & (pl.col("b_run") == f"{name}/zero-shot/de>nl")
    change(run, "comparisons", pair, difference=0.11, low=0.03, high=0.19)
    return run


def test_a_pair_is_told_in_full(make_run: MakeRun) -> None:
    assert (
        "Trained in de and tested in nl without any label of nl, wavlm-base reaches UAR 0.61 [0.52, 0.69]; "
        "trained in nl itself 0.72 [0.64, 0.80]: the difference is 0.11 [0.03, 0.19]."
    ) in told(one_pair(make_run))


def test_difference_is_turned_to_within_minus_zero_shot(make_run: MakeRun) -> None:
    run = one_pair(make_run)
    table = run.table("comparisons")
    swapped = table.rename({"a_run": "b_run", "b_run": "a_run", "low": "high", "high": "low"}).with_columns(
        -pl.col("difference", "low", "high")
    )
    before = told(run)
    write_table(run / "comparisons.parquet", swapped.select(table.columns))
    assert told(run) == before


def test_difference_that_includes_zero_says_so(make_run: MakeRun) -> None:
    run = one_pair(make_run)
    change(run, "comparisons", pl.col("a_run").str.contains("wavlm-base/linear/within/nl"), low=-0.02)
    assert "[−0.02, 0.19], an interval that includes no difference" in told(run)


def test_overlap_with_chance_is_said(make_run: MakeRun) -> None:
    run = one_pair(make_run)
    change(run, "scores", MAIN & pl.col("run").str.contains("zero-shot/de>nl"), low=0.2)
    assert "includes it in 1 (de → nl), where this run does not show that anything was recognised" in told(run)


def test_below_chance_is_said(make_run: MakeRun) -> None:
    run = one_pair(make_run)
    change(run, "scores", MAIN & pl.col("run").str.contains("zero-shot/de>nl"), estimate=0.1, low=0.05, high=0.2)
    assert "below chance in 1 (de → nl), where what was learned misleads" in told(run)


def test_control_that_is_not_beaten_is_named(make_run: MakeRun) -> None:
    run = one_pair(make_run)
    change(run, "comparisons", pl.col("b_run").str.starts_with("logmel"), p_holm=0.4)
    assert "wavlm-base is better in 0 of 2 paired comparisons (Holm, p < 0.05), not told apart in 2" in told(run)


def test_without_comparisons_overlap_is_told_as_overlap(make_run: MakeRun) -> None:
    text = told(make_run(comparisons=False))
    assert "no paired comparison of the two was made" in text
    assert "they were not compared in pairs" in text


@pytest.mark.parametrize(("speakers", "few"), [(4, True), (12, False)])
def test_few_speakers_are_said(make_run: MakeRun, speakers: int, few: bool) -> None:
    assert ("Few speakers: 4 speakers in each in test for de and nl" in told(make_run(speakers=speakers))) == few


def test_many_pairs_are_told_as_a_range_that_occurs(make_run: MakeRun) -> None:
    run = make_run(domains=("de", "en", "nl"))
    zero_shot = run.table("scores").filter(
        MAIN & pl.col("run").str.starts_with("microsoft/wavlm-base/linear/zero-shot")
    )
    text = told(run)
    for value in (zero_shot["estimate"].min(), zero_shot["estimate"].max()):
        assert f"{value:.2f} [" in text
    assert f"the median of 6 ordered pairs is {zero_shot['estimate'].median():.2f}" in text


def test_only_controls_is_said(make_run: MakeRun) -> None:
    assert "Only controls were run" in told(make_run(encoders={"logmel": 1, "untrained:a": 3}))


def test_no_control_is_said(make_run: MakeRun) -> None:
    assert "No control was run beside it" in told(make_run(encoders={"a/b": 3}))


def test_best_of_several_is_an_order_and_not_a_test(make_run: MakeRun) -> None:
    text = told(make_run(encoders={"a/one": 3, "b/three": 3, "logmel": 1}))
    assert "the best of 2 encoders on these same test speakers: an order, not a test" in text


def test_lower_is_better_where_it_is(make_run: MakeRun) -> None:
    run = make_run(kind="regression", regimes=("within",))
    run.write({**run.read(), "main_metric": "mae", "chance": None})
    found = load(run)
    best = min((s for s in found.main if not s.encoder.startswith(("logmel", "untrained"))), key=lambda s: s.estimate)
    assert found.better == -1 and str(best) in told(run)


def test_run_without_intervals_claims_nothing(make_run: MakeRun) -> None:
    text = told(make_run(nan_intervals=True, comparisons=False))
    assert "without intervals nothing can be said against it" in text and "nan" not in text.lower().split()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.6149, "0.61"), (-0.001, "0.00"), (-0.2, "−0.20"), (math.nan, "–"), (None, "–"), (1.0, "1.00")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert wording.number(value) == text


def test_estimates() -> None:
    assert wording.estimate(0.61, 0.52, 0.69) == "0.61 [0.52, 0.69]"
    assert wording.estimate(0.61, math.nan, math.nan) == "0.61 [no interval]"
    assert wording.estimate(math.nan, 0.1, 0.2) == "–"
    assert wording.p_value(0.0001) == "< 0.001" and wording.p_value(0.0123) == "0.012"


def test_encoders_are_shortened_only_as_far_as_they_stay_apart() -> None:
    names = ["facebook/wav2vec2-base", "other/wav2vec2-base", "microsoft/wavlm-base@abc", "python:/x/y.py:encode"]
    short = wording.short_names(names)
    assert len(set(short.values())) == 4
    assert short["microsoft/wavlm-base@abc"] == "wavlm-base" and short["python:/x/y.py:encode"] == "y.py:encode"
    assert short["facebook/wav2vec2-base"] == "facebook/wav2vec2-base"
