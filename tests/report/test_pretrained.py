"""The page says what pre-training on the tested language is worth, as plainly as the intervals allow."""

import html
import re
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from sibboleth.report import page, pretrained
from sibboleth.report.results import Results, load
from sibboleth.runs import RunDirectory, write_table
from sibboleth.scores import PRETRAINED

MakeRun = Callable[..., RunDirectory]
NL, EN = "lab/dutch", "lab/english"
Numbers = tuple[float, float, float]


def rows(
    method: str, domain: str | None, seconds: float | None = None, **contrasts: Numbers
) -> list[tuple[object, ...]]:
    about = (NL, EN, "nl", "en", method, "nl", domain, seconds)
    return [(*about, name.replace("_", " "), *numbers, 40, 10) for name, numbers in contrasts.items()]


def written(make_run: MakeRun, *several: list[tuple[object, ...]]) -> Results:
    run = make_run(
        kind="transcription", comparisons=False, encoders={NL: 3, EN: 3}, methods=("lora",), domains=("nl", "fr", "de")
    )
    table = pl.DataFrame([row for some in several for row in some], schema=PRETRAINED, orient="row")
    write_table(run / "pretrained.parquet", table)
    results = load(run)
    return replace(results, record={**results.record, "main_metric": "wer"})


HOME = rows("lora", "nl", difference=(-0.05, -0.08, -0.02))
AWAY = rows(
    "lora", "fr", difference=(0.01, -0.02, 0.04), gap_of_a=(0.6, 0.5, 0.7), gap_of_b=(0.54, 0.44, 0.64),
    gap=(0.06, -0.01, 0.13),
)  # fmt: skip


def test_each_domain_is_judged_by_its_interval_and_the_gaps_are_compared(make_run: MakeRun) -> None:
    first, second = pretrained.told(written(make_run, HOME, AWAY))
    assert first.startswith("Pre-trained on nl rather than en (dutch − english, lora, trained")
    assert "better (WER −0.05 [−0.08, −0.02])" in first
    assert "fr not told apart (WER 0.01 [−0.02, 0.04])" in first
    assert "0.60 [0.50, 0.70] with dutch and by 0.54 [0.44, 0.64] with english" in second
    assert second.endswith("differ by 0.06 [−0.01, 0.13], an interval that includes no difference.")


def test_a_worse_encoder_is_called_worse_and_nothing_is_judged_without_an_interval(make_run: MakeRun) -> None:
    nan = float("nan")
    worse = rows("lora", "nl", difference=(0.05, 0.02, 0.08))
    unknown = rows("lora", "fr", difference=(0.3, nan, nan), gap_of_a=(0.1, nan, nan), gap_of_b=(0.2, nan, nan),
                   gap=(-0.1, nan, nan))  # fmt: skip
    first, second = pretrained.told(written(make_run, worse, unknown))
    assert "worse (WER 0.05" in first
    assert "fr WER 0.30 [no interval]" in first
    assert second.endswith("differ by −0.10 [no interval].")


def test_fine_tuning_is_told_before_probes_and_whole_trainings_before_budgets(make_run: MakeRun) -> None:
    probe, cut = (
        rows("ctc", "nl", difference=(-0.5, -0.6, -0.4)),
        rows("lora", "nl", 600.0, difference=(-0.9, -1, -0.8)),
    )
    results = written(make_run, probe, cut, HOME)
    (only,) = pretrained.told(results)
    assert "lora" in only and "−0.05" in only
    assert len(pretrained.compared(results).rows) == 3
    assert "lora, 10 min" in [row[2] for row in pretrained.compared(results).rows]


def test_the_answer_and_a_section_of_the_page_carry_it(make_run: MakeRun) -> None:
    results = written(make_run, HOME, AWAY)
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.write(results.run).read_text(encoding="utf-8")))
    before = text[: text.index("Pre-trained on which language")]
    assert "Pre-trained on nl rather than en" in before
    assert pl.read_csv(results.run / "tables" / "pretrained.csv")["contrast"].to_list() == [
        "difference", "difference", "gap of a", "gap of b", "gap",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["classification", "transcription"])
def test_a_run_without_such_a_pair_says_nothing(make_run: MakeRun, kind: str) -> None:
    results = load(make_run(kind=kind, comparisons=kind == "classification"))
    assert pretrained.told(results) == []
    assert pretrained.compared(results).rows == ()


def test_of_many_pairs_the_first_are_told_and_the_rest_counted(make_run: MakeRun) -> None:
    several = [rows("lora", "nl", difference=(-0.05, -0.08, -0.02))] + [
        [(NL, f"other{k}", "nl", "en", *row[4:]) for row in HOME] for k in range(6)
    ]
    told = pretrained.told(written(make_run, *several))
    assert len(told) == pretrained.MOST + 1
    assert told[-1].startswith("3 more such pairs")
