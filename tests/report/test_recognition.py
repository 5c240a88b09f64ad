"""The section of whom recognisers err for: what it shows, and what it says that few speakers cannot support."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from sibboleth import predictions, scores
from sibboleth.experiment.record import CELLS
from sibboleth.report import page
from sibboleth.report.recognition import cautions, told, ungrouped
from sibboleth.report.results import load
from sibboleth.runs import RunDirectory, write_table
from sibboleth.scores import recognition
from sibboleth.scores.recognition import Transcripts
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

TEXT = Target(name="text", kind="transcription")
RUNS = ("a/ctc/within/c>c", "b/ctc/within/c>c")
WRONG = {"nl": 10, "be": 3, "sr": 2}
"""Every how many utterances of an accent an answer is wrong."""
SAID = "het is goed zo"


def written(folder: Path, speakers: dict[str, int], outcomes: dict[str, int] | None = None) -> RunDirectory:
    """Write a run of two encoders, whose speakers have these accents."""
    rows = [
        {"utterance": f"c/{accent}{k}-{j}", "speaker": f"{accent}{k}", "corpus": "c", "accent": accent, "text": SAID}
        for accent, many in speakers.items()
        for k in range(many)
        for j in range(12 + k % 3)
    ]
    utterances = pl.DataFrame(rows).with_columns(seconds=2.0, audio=pl.lit("/none.wav"))
    reference = answers("corpus", "reference", "corpus", utterances["utterance"].to_list(), [SAID] * len(rows))
    given = [
        answers(run, "model", "selected", utterances["utterance"].to_list(), [said(row, more) for row in rows])
        for more, run in enumerate(RUNS)
    ]
    facts = {"clusters": dict(utterances.select("utterance", "speaker").iter_rows()), "slices": utterances}
    found = Transcripts.of(pl.concat(given), reference, TEXT, columns=["accent"], **facts)  # type: ignore[arg-type]
    statistics = StatisticsSettings(resamples=200)
    pair = [(RUNS[0], "selected", RUNS[1], "selected")]
    paired = recognition.compare_segments(found, pair).select(pl.lit("encoders, within").alias("family"), pl.all())
    cells = [(run, run[0], run[0], False, "ctc", False, None, "within", "c", "c", None, None) for run in RUNS]
    tables = {
        "utterances": utterances,
        "predictions": pl.concat([*given, reference]),
        "cells": pl.DataFrame(cells, schema=CELLS, orient="row"),
        "scores": scores.score(pl.concat(given), reference, TEXT, statistics=statistics, **facts),  # type: ignore[arg-type]
        "counts": recognition.counts(found),
        "rate-ratios": recognition.rate_ratios(found),
        "words": recognition.lost_words(found),
        "matched-pairs": paired,
        "group-scores": pl.DataFrame(schema=scores.SCHEMA),
    }
    run = RunDirectory(folder / "run")
    run.path.mkdir()
    for name, table in tables.items():
        write_table(run / f"{name}.parquet", table)
    told = None if outcomes is None else {"table": "built-in", "digest": "0", "utterances": outcomes}
    corpus = {"name": "c", "utterances": len(rows), "speakers": sum(speakers.values()), "hours": 0.1, "accents": told}
    run.write({
        "name": "n", "status": "complete", "target": {"name": "text", "kind": "transcription", "labels": []},
        "main_metric": "wer", "chance": None, "domain": "corpus", "domains": ["c"], "corpora": [corpus],
        "study": {"statistics": {"slices": ["accent"], "resamples": 200}}, "encoders": [], "excluded": [],
        "versions": {"sibboleth": "1"}, "started": "", "finished": None, "question": "", "command": "",
        "seed": 0, "protocol": None,
    })  # fmt: skip
    (run / "audit.json").write_text(json.dumps([]))
    return run


def said(row: dict[str, str], more: int) -> str:
    number = 1 + int(row["utterance"].rpartition("-")[2]) + int(row["speaker"][2:])
    return "het is goed zo" if (number + more) % WRONG[row["accent"]] else "het was goed" + " zo" * more


def answers(run: str, source: str, rater: str, utterances: Sequence[str], texts: Sequence[str]) -> pl.DataFrame:
    return predictions.table({
        "run": run, "source": source, "rater": rater, "utterance": list(utterances), "target": "text",
        "label": list(texts), "value": 1.0,
    })  # fmt: skip


def test_many_speakers_need_no_warning(tmp_path: Path) -> None:
    run = written(tmp_path, {"nl": 6, "be": 7})
    assert not cautions(load(run))
    first, second = told(load(run))
    numbers = re.fullmatch(
        r"a, within c: (.*) \[(.*), (.*)\] times as many errors per word for be as for nl \(p (.*) after Holm\)\.",
        first,
    )
    assert numbers is not None and second.startswith("b, within c: ")
    row = run.table("rate-ratios").filter(metric="wer", run=RUNS[0]).row(0, named=True)
    assert [float(numbers[k]) for k in (1, 2, 3)] == pytest.approx([row["ratio"], row["low"], row["high"]], abs=0.005)


def test_the_page_shows_all_tables_and_the_best_and_worst(tmp_path: Path) -> None:
    run = written(tmp_path, {"nl": 6, "be": 7, "sr": 6}, {"known": 200, "not said": 30, "not in the table": 1200})
    page.write(run)
    text = (run / "report.html").read_text()
    for words in ("For whom it errs", "Matched pairs (MAPSSWE)", "Words that a group loses", "p is corrected"):
        assert words in text
    assert "Accent unknown" in text and "1,230 (30 not said, 1,200 not in the table)" in text
    table = pl.read_csv(run / "tables" / "errors-by-group.csv")
    assert len(table) == 6 and set(table["group"]) == {"nl", "be", "sr"}
    rates = run.table("scores").filter(metric="wer", slice="accent=sr", run=RUNS[1])["estimate"]
    assert table.filter(group="sr", run=RUNS[1])["wer"].item() == pytest.approx(rates.item())
    gap = pl.read_csv(run / "tables" / "group-gaps.csv").row(0, named=True)
    assert (gap["worst"], gap["best"]) == ("sr", "nl") and gap["gap_low"] < gap["gap_estimate"] < gap["gap_high"]
    words = pl.read_csv(run / "tables" / "lost-words.csv")
    assert words.sort("low", descending=True)["word"][0] == "is"


@pytest.mark.parametrize(
    ("speakers", "words"),
    [
        ({"nl": 1, "be": 1}, ["Every accent here is one voice", "cannot be told from the speaker"]),
        ({"nl": 1, "be": 7}, ["By accent, nl is one voice: there is no interval and no p"]),
        ({"nl": 2, "be": 7}, ["Groups of fewer than 6 speakers: accent nl (2). ", "do not trust its interval"]),
        ({"nl": 5, "be": 1, "sr": 1}, ["be and sr are each one voice", "accent nl (5)"]),
    ],
)
def test_what_few_speakers_cannot_support_is_said(tmp_path: Path, speakers: dict[str, int], words: list[str]) -> None:
    run = written(tmp_path, speakers)
    text = " ".join(cautions(load(run)))
    for said in words:
        assert said in text
    page.write(run)
    assert "What so few speakers cannot support" in (run / "report.html").read_text()
    if 1 in speakers.values():
        assert all("[no interval]" in one and "p " not in one.split("errors")[1] for one in told(load(run)))


def test_utterances_of_an_unknown_group_are_counted(tmp_path: Path) -> None:
    run = written(tmp_path, {"nl": 2, "be": 2})
    table = run.table("utterances")
    accent = pl.col("accent")
    for known, words in (("be", "is unknown, and that of the others is be: by accent there is"), ("", "in no group")):
        first = pl.col("utterance").str.ends_with("-1") if not known else accent != known
        write_table(run / "utterances.parquet", table.with_columns(pl.when(~first).then(accent).alias("accent")))
        (said,) = ungrouped(load(run))
        assert said.startswith("The accent of ") and words in said
    write_table(run / "counts.parquet", run.table("counts").filter(slice="all"))
    page.write(run)
    assert said in (run / "report.html").read_text(), "even where no groups are compared"


def test_a_single_voice_does_not_hide_a_group_that_can_be_judged(tmp_path: Path) -> None:
    run = written(tmp_path, {"nl": 6, "be": 7, "sr": 1})
    counts = run.table("counts").filter(unit="word").with_columns(right=pl.col("hits") / pl.col("length"))
    worst = counts.filter(pl.col("right") == pl.col("right").min().over("run"))
    assert worst["slice"].to_list() == ["accent=sr"] * 2, "of one speaker, who is the worst"
    assert all("for be as for nl (p " in one for one in told(load(run)))


def test_a_group_without_errors_is_no_divisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WRONG, "nl", 1000)
    run = written(tmp_path, {"nl": 1, "be": 1})
    table = run.table("rate-ratios").filter(metric="wer")
    assert table["ratio"].is_nan().all()
    assert re.search(r"WER 0\.\d\d for be, nl without error\.", told(load(run))[0])


def test_one_group_or_another_target_has_no_section(tmp_path: Path) -> None:
    run = written(tmp_path, {"nl": 6})
    page.write(run)
    text = (run / "report.html").read_text()
    assert "For whom it errs" not in text and "so few speakers" not in text
