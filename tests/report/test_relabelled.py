"""The table that says what became of each corpus's labels."""

import csv
from collections.abc import Callable

from sibboleth.report import relabelled
from sibboleth.report.results import load
from sibboleth.runs import RunDirectory

MakeRun = Callable[..., RunDirectory]


def test_each_corpus_has_a_table_of_what_its_labels_became(reported: RunDirectory) -> None:
    text = (reported / "report.html").read_text(encoding="utf-8")
    for corpus in ("de", "en", "nl"):
        assert f"{corpus}: its labels, in utterances" in text
    assert "calm, for one, is not neutral" in text and text.count("left out: not asked for") == 3
    with (reported / "tables" / "labels.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["corpus"] == "nl"]
    assert [(row["label"], row["here"], row["left_out"]) for row in rows] == [
        ("wut", "angry", "1"),
        ("happy", "happy", "1"),
        ("neutral", "neutral", "1"),
        ("sad", "sad", "1"),
        ("calm", "", "80"),
    ]
    assert sum(int(row["used"]) for row in rows) == load(reported).utterances.filter(corpus="nl").height


def test_rows_without_a_label_are_told_and_runs_of_earlier_versions_have_no_table(make_run: MakeRun) -> None:
    run = make_run(domains=("de",), encoders={"logmel": 1}, regimes=("within",))
    facts = run.read()
    facts["corpora"][0]["labels"] = [{"label": None, "here": None, "used": 0, "left_out": 1200}]
    run.write(facts)
    assert relabelled.became(load(run)).rows == (("de", "(no label)", "", "0", "1,200"),)
    del facts["corpora"][0]["labels"]
    run.write(facts)
    assert relabelled.became(load(run)).rows == ()
