"""The answer says no more than the numbers do."""

import json
import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from sibboleth.report import significance, wording
from sibboleth.report.answer import answer
from sibboleth.report.results import load
from sibboleth.runs import RunDirectory, write_table
from sibboleth.stats import Resampler

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
    return " ".join([*found.lead, *found.errors, *found.more, *found.cautions]).replace("\N{NO-BREAK SPACE}", " ")


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


def test_what_p_cannot_show_is_said_instead_of_a_count_of_nothing(make_run: MakeRun) -> None:
    # Five speakers: p >= 2/32, so nothing can be found; 12 speakers: random flips, p >= 1/2001.
    domains = ("de", "en", "nl", "zh")
    text = told(make_run(domains=domains, speakers=5))
    why = (
        "with 5 speakers no p below 0.062 is possible; after Holm's correction over 36 comparisons none can reach 0.05"
    )
    assert f"; {why}: read the intervals." in text
    assert "it is a loss" not in text and "not told apart" not in text and "is better in" not in text
    assert "wavlm-base − logmel is between" in text


def test_enough_speakers_are_counted(make_run: MakeRun) -> None:
    text = told(make_run(domains=("de", "en", "nl", "zh"), speakers=12))
    assert "is possible" not in text and "it is a loss (p < 0.05) in " in text and " of 12 pairs" in text


def test_floor_of_p_is_that_of_the_test_itself() -> None:
    for clusters, resamples in ((2, 100), (6, 100), (7, 100), (8, 100), (3, 2000), (11, 4096)):
        sums = np.column_stack([np.ones(clusters), np.ones(clusters)])
        other = sums * [0.0, 1.0]
        *_, p = Resampler(resamples).difference(sums, other, lambda s: s[..., 0] / s[..., 1])
        floor = pl.select(significance.smallest_p(pl.lit(clusters), pl.lit(resamples))).item()
        assert p >= floor and p == pytest.approx(floor, rel=0.0 if 2**clusters <= resamples else 5.0)


def test_only_comparisons_with_too_few_speakers_are_mute() -> None:
    rows = {"family": ["f"] * 3, "metric": ["uar"] * 3, "p": [0.001, 0.2, math.nan], "clusters": [20, 4, 20]}
    frame = significance.with_floors(pl.DataFrame(rows).with_columns(p_holm=pl.Series([0.002, 0.2, None])), 2000)
    assert frame["p_holm_floor"].to_list() == pytest.approx([2 / 2001, 0.125, None])
    assert [significance.mute(row) for row in frame.to_dicts()] == [False, True, False]
    assert significance.notes(frame) == [
        "F, 1 of 3 comparisons: with 4 speakers no p below 0.125 is possible; after Holm's correction over 2 "
        "comparisons none can reach 0.05: read the intervals."
    ]
    many = pl.DataFrame({"family": "f", "metric": "uar", "p": [0.4] * 200, "p_holm": 1.0, "clusters": 40})
    # `scores.compare` makes as many flips as a large family needs: each of these could have shown a difference.
    assert significance.notes(significance.with_floors(many, 2000)) == []
    one = significance.with_floors(many.head(1).with_columns(clusters=5), 2000)
    assert significance.notes(one) == [
        "F: with 5 speakers no p below 0.062 is possible, so it cannot reach 0.05: read the interval."
    ]


def test_undefined_scores_are_not_counted_in_the_median(make_run: MakeRun) -> None:
    run = make_run(domains=("de", "en", "nl"))
    gone = pl.col("run") == "microsoft/wavlm-base/linear/zero-shot/de>nl"
    change(run, "scores", MAIN & gone, estimate=math.nan, low=math.nan, high=math.nan)
    assert "the median of the 5 (of 6) ordered pairs that have a score is" in told(run)


def leave_one_out(run: RunDirectory) -> RunDirectory:
    """Turn zero-shot into leave-one-domain-out: one source, `others`."""
    table = run.table("cells").filter((pl.col("regime") != "zero-shot") | (pl.col("source") == _next(pl.col("domain"))))
    elsewhere = pl.when(pl.col("regime") == "zero-shot").then(pl.lit("others")).otherwise("source")
    write_table(run / "cells.parquet", table.with_columns(elsewhere.alias("source")))
    for name in ("scores", "selection"):
        write_table(run / f"{name}.parquet", run.table(name).join(table.select("run"), on="run", how="semi"))
    return run


def _next(domain: pl.Expr) -> pl.Expr:
    return domain.replace_strict({"de": "en", "en": "nl", "nl": "de"})


def test_leave_one_domain_out_is_not_called_pairs(make_run: MakeRun) -> None:
    run = leave_one_out(make_run(domains=("de", "en", "nl"), regimes=("within", "zero-shot")))
    text = told(run)
    assert "the median of 3 languages, each tested by a probe trained in all others, is 0." in text
    assert "pairs" not in text.replace("in pairs", "") and "of 3 domains" in text


def test_leave_one_out_with_two_tested_domains(make_run: MakeRun) -> None:
    run = leave_one_out(make_run(domains=("de", "en", "nl"), regimes=("within", "zero-shot")))
    write_table(run / "scores.parquet", run.table("scores").filter(~pl.col("run").str.ends_with(">nl")))
    assert "Trained in all other languages and tested in de without any label of de" in told(run)


@pytest.mark.parametrize(("probe", "chosen"), [("linear", "layer and penalty"), ("mlp", "layer and epoch")])
def test_what_dev_chooses_depends_on_the_probe(make_run: MakeRun, probe: str, chosen: str) -> None:
    run = make_run(domains=("de", "en", "nl"), regimes=("within", "target-selected"), probe=probe)
    assert f"Trained in another language, with {chosen} chosen on labels of the tested one" in told(run)


def test_the_only_interval_is_named(make_run: MakeRun) -> None:
    run = one_pair(make_run)
    change(run, "scores", MAIN & pl.col("run").str.contains("zero-shot/nl>de"), low=math.nan, high=math.nan)
    text = told(run)
    assert "That is" not in text
    assert "Chance is 0.25: of 2 pairs only de → nl has an interval, and it lies above chance." in text


def test_no_chance_level_is_explained_and_nothing_is_held_against_it(make_run: MakeRun) -> None:
    run = one_pair(make_run)
    run.write({**run.read(), "chance": None})
    text = told(run)
    assert "No chance level is shown: the languages differ in which labels they have" in text
    assert "above" not in text and "below chance" not in text and "Chance is" not in text
    assert "carr" not in text


def with_zero_shot(run: RunDirectory, *low_high: tuple[float, float]) -> RunDirectory:
    """Give the zero-shot scores of the best encoder these intervals, in order."""
    table = run.table("scores")
    names = table.filter(MAIN & pl.col("run").str.contains("wavlm-base/linear/zero-shot"))["run"].sort()
    for name, (low, high) in zip(names, low_high, strict=True):
        change(run, "scores", MAIN & (pl.col("run") == name), estimate=(low + high) / 2, low=low, high=high)
    return run


ABOVE, AT, BELOW = (0.5, 0.7), (0.2, 0.9), (0.1, 0.2)


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([ABOVE] * 6, "It carries: wavlm-base is above chance in 6 of 6 pairs."),
        ([ABOVE] * 3 + [AT] * 3, "It carries in part: wavlm-base is above chance in 3 of 6 pairs."),
        ([ABOVE, AT, AT, AT, AT, BELOW], "It is mostly not shown to carry: wavlm-base is above chance in 1 of 6 pairs"),
        ([AT] * 6, "It is not shown to carry: wavlm-base is above chance in 0 of 6 pairs."),
        ([ABOVE] * 5 + [(math.nan, math.nan)], "It carries: wavlm-base is above chance in 5 of 5 pairs with an"),
    ],
)
def test_answer_opens_with_what_the_intervals_say(
    make_run: MakeRun, intervals: list[tuple[float, float]], verdict: str
) -> None:
    run = with_zero_shot(make_run(domains=("de", "en", "nl"), findings=False), *intervals)
    assert told(run).startswith(verdict)


def test_below_chance_everywhere_is_called_misleading(make_run: MakeRun) -> None:
    run = make_run(encoders={"microsoft/wavlm-base": 2}, findings=False)
    text = told(with_zero_shot(run, BELOW, BELOW))
    assert text.startswith("It does not carry, it misleads: wavlm-base is below chance in 2 of 2 pairs.")


def test_nothing_is_said_to_carry_where_nothing_was_carried(make_run: MakeRun) -> None:
    one = told(make_run(domains=("de",), regimes=("within",), findings=False))
    assert one.startswith("wavlm-base is above chance. Trained and tested in de")
    assert "This score is above chance, 0.25." in one and "carr" not in one
    three = told(make_run(domains=("de", "en", "nl"), regimes=("within",), findings=False))
    assert three.startswith("wavlm-base is above chance in 3 of 3 domains. ") and "carr" not in three


def test_target_selected_alone_says_whose_labels_chose(make_run: MakeRun) -> None:
    text = told(make_run(regimes=("target-selected",), findings=False))
    assert text.startswith("With layer and penalty chosen on labels of the tested language it carries")


def test_errors_of_the_audit_come_before_everything_they_touch(make_run: MakeRun) -> None:
    run = make_run(findings=True)
    found = answer(load(run))
    assert found.errors == (
        "The study allows identical-audio: A copy in train and test lets the probe recall instead of recognise: "
        "scores are too high.",
    )
    assert found.lead[0].startswith("With identical-audio in the data, wavlm-base is above chance in ")
    assert "It carries" not in told(run)


def test_a_domain_of_one_speaker_is_to_be_read_with_care(make_run: MakeRun) -> None:
    run = make_run(findings=False)
    finding = {"name": "one-speaker-domain", "grade": "warning", "message": "1 domain spoken by one speaker: nl."}
    (run / "audit.json").write_text(json.dumps([{**finding, "effect": "The result is about this voice."}]))
    assert "1 domain spoken by one speaker: nl. The result is about this voice." in answer(load(run)).cautions


def test_soft_labels_bound_what_can_be_reached(make_run: MakeRun) -> None:
    run = make_run(findings=False)
    assert "soft" not in told(run)
    run.write({**run.read(), "soft": True, "ceiling": 0.731})
    assert "Labels are soft: they are weights" in told(run)
    assert "the best that any answers could reach is 0.73, not a perfect score." in told(run)
    run.write({**run.read(), "ceiling": None})
    assert "so that even the best answers can stay below a perfect score." in told(run)
    run.write({**run.read(), "soft": False, "ceiling": 0.731})
    assert "0.731" not in told(run) and "soft" not in told(run)


def test_articles_fit_the_domain(make_run: MakeRun) -> None:
    run = make_run(domains=("de", "en", "nl"))
    run.write({**run.read(), "domain": "accent"})
    assert "Tested in an accent of which it never saw a label" in told(run)


def test_fine_tuned_encoders_are_said(make_run: MakeRun) -> None:
    assert "wavlm-base is fine-tuned: it was trained with labels" in told(
        make_run(fine_tuned=("microsoft/wavlm-base",))
    )
    assert "fine-tuned" not in told(make_run())


def test_without_comparisons_overlap_is_told_as_overlap(make_run: MakeRun) -> None:
    text = told(make_run(comparisons=False))
    assert "no paired comparison of the two was made" in text
    assert "they were not compared in pairs" in text


@pytest.mark.parametrize(("speakers", "few"), [(4, True), (12, False)])
def test_few_speakers_are_said(make_run: MakeRun, speakers: int, few: bool) -> None:
    assert ("de and nl are each tested by 4 speakers only." in told(make_run(speakers=speakers))) == few


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
    best = min((s for s in found.main if not s.system.startswith(("logmel", "untrained"))), key=lambda s: s.estimate)
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
