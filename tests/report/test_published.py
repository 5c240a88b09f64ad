"""The block of a published protocol: right numbers beside right numbers, and differences that are really there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sibboleth import protocols
from sibboleth.report import page, published
from sibboleth.report.results import Results, load
from sibboleth.runs import RunDirectory, write_table

MakeRun = Callable[..., RunDirectory]
WAV2VEC = "facebook/wav2vec2-base"
FOLLOWED = {
    "layer_mix": True,
    "probe": {"kind": "linear", "l2": [0.1, 1.0]},
    "splits": {"scheme": "leave-one-session-out", "dev": 0.2, "dev_unit": "utterance", "balance": []},
}


def of_protocol(run: RunDirectory, name: str = "superb-er", **changes: Any) -> RunDirectory:
    """Turn an invented run on a domain `iemocap` into one that follows a protocol; `changes` are of the record."""
    record = run.read()
    record["protocol"] = protocols.read(name).model_dump(mode="json")
    record["study"] |= FOLLOWED | {"domain": "corpus"}
    record["domain"] = "corpus"
    record["corpora"] = [{"name": "iemocap", "utterances": 5531, "speakers": 10, "hours": 7.0, "synthetic": False}]
    record["excluded"] = []
    for key, value in changes.items():
        record[key] = {**record[key], **value} if isinstance(value, dict) else value
    run.write(record)
    mixed = {"estimate": 0.60, "low": 0.57, "high": 0.62, "rater": "mix", "metric": "accuracy", "slice": "all"}
    scores = run.table("scores")
    chosen = scores.filter(
        (pl.col("rater") == "selected") & (pl.col("metric") == "accuracy") & (pl.col("slice") == "all")
    )
    mix = chosen.filter(pl.col("run").str.starts_with(WAV2VEC)).with_columns(
        pl.lit(value).alias(key) for key, value in mixed.items()
    )
    write_table(run / "scores.parquet", pl.concat([scores, mix.select(scores.columns)]))
    (run / "audit.json").write_text("[]")
    return run


@pytest.fixture
def iemocap(make_run: MakeRun) -> RunDirectory:
    return make_run(domains=("iemocap",), regimes=("within",), encoders={"logmel": 1, WAV2VEC: 5, "lab/own": 3})


def marks(results: Results) -> dict[str, str]:
    return {what: mark for what, mark, _, _ in published.differences(results).rows}


def test_published_and_own_numbers_stand_beside_each_other(iemocap: RunDirectory) -> None:
    results = load(of_protocol(iemocap))
    table = published.numbers(results)
    rows = {row[0]: row for row in table.rows}
    assert rows["wav2vec2-base"][1:4] == (
        "0.63 (folds 0.61 to 0.69)",
        "0.60 [0.57, 0.62]",
        "−0.03 [−0.06, −0.01]",
    )
    bar = table.bars[[row[0] for row in table.rows].index("wav2vec2-base")]
    assert bar == pytest.approx((0.60 - 0.6343, 0.57 - 0.6343, 0.62 - 0.6343))
    assert rows["own"][1] == rows["own"][3] == "–"
    wanted = (pl.col("encoder") == WAV2VEC) & (pl.col("rater") == "selected") & (pl.col("metric") == "accuracy")
    chosen = results.scores.filter(wanted & (pl.col("slice") == "all")).row(0, named=True)
    csv = table.numbers.filter(encoder=WAV2VEC).row(0, named=True)
    assert csv["selected"] == chosen["estimate"]
    assert csv["published"] == 0.6343
    assert (csv["lowest_fold"], csv["highest_fold"]) == (0.6099, 0.6862)
    assert csv["url"].startswith("https://github.com/superbbenchmark/")
    others = {row[0] for row in published.others(results).rows}
    assert "microsoft/wavlm-large" in others and WAV2VEC not in others


def test_a_run_that_follows_may_be_compared_and_says_what_still_differs(iemocap: RunDirectory) -> None:
    results = load(of_protocol(iemocap))
    block = published.block(results)
    assert block is not None and block.comparable
    assert {what for what, mark in marks(results).items() if mark == "differs"} == {
        "Training",
        "Choice on dev",
        "Averaging",
    }
    assert "training, choice on dev and averaging" in block.verdict


FORBID: list[tuple[dict[str, Any], str]] = [
    ({"corpora": [{"name": "iemocap", "utterances": 3000, "speakers": 10, "synthetic": False}]}, "Material"),
    ({"corpora": [{"name": "iemocap", "utterances": 5531, "speakers": 8, "synthetic": False}]}, "Material"),
    ({"corpora": [{"name": "iemocap", "utterances": 5531, "speakers": 10, "synthetic": True}]}, "Speech"),
    ({"study": {"splits": {**FOLLOWED["splits"], "scheme": "speaker-folds"}}}, "Test folds"),
    ({"study": {"splits": {**FOLLOWED["splits"], "balance": ["corpus"]}}}, "Balance"),
    ({"target": {"labels": ["angry", "sad"]}}, "Labels"),
    ({"soft": True}, "Labels"),
    (
        {"excluded": [{"utterance": "iemocap/x", "audio": "x.wav", "reason": "label exc is not asked for"}]},
        "Labels",
    ),
]


@pytest.mark.parametrize(("changes", "what"), FORBID, ids=[f"{what}-{i}" for i, (_, what) in enumerate(FORBID)])
def test_another_task_or_test_forbids_comparing(iemocap: RunDirectory, changes: dict[str, Any], what: str) -> None:
    results = load(of_protocol(iemocap, **changes))
    block = published.block(results)
    assert block is not None and not block.comparable
    assert {name for name, mark in marks(results).items() if mark == "other task or test"} == {what}
    assert "may not be compared" in block.verdict and what.lower() in block.verdict


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"study": {"splits": {**FOLLOWED["splits"], "dev_unit": "speaker"}}}, "Dev"),
        ({"study": {"probe": {"kind": "mlp", "hidden": [128, 16], "learning_rate": 1e-4}}}, "Probe"),
        ({"study": {"layer_mix": False}}, "Layers"),
        ({"corpora": [{"name": "iemocap", "utterances": 5530, "speakers": 10, "synthetic": False}]}, "Material"),
    ],
)
def test_another_way_of_the_same_task_is_to_be_kept_in_mind(
    iemocap: RunDirectory, changes: dict[str, Any], what: str
) -> None:
    results = load(of_protocol(iemocap, **changes))
    block = published.block(results)
    assert block is not None and block.comparable
    assert marks(results)[what] == "differs"
    assert what.lower() in block.verdict


def test_a_leak_that_only_the_run_has_forbids_comparing(iemocap: RunDirectory) -> None:
    run = of_protocol(iemocap)
    finding = {"name": "shared-speakers", "grade": "error", "message": "m", "allowed": True}
    (run / "audit.json").write_text(json.dumps([finding]))
    results = load(run)
    assert marks(results)["Leaks into test"] == "other task or test"


def test_another_corpus_has_nothing_to_compare_with(iemocap: RunDirectory) -> None:
    corpora = [{"name": "emodb", "utterances": 535, "speakers": 10, "hours": 0.4, "synthetic": False}]
    run = of_protocol(iemocap, corpora=corpora)
    block = published.block(load(run))
    assert block is not None and not block.comparable
    assert "they are of iemocap" in block.verdict and "emodb" in block.verdict
    assert published.numbers(load(run)).rows == ()
    page.write(run)


def test_numbers_of_several_layer_rules_meet_their_own(iemocap: RunDirectory) -> None:
    """Leaving one session out, SUPERB's number meets the weighted sum and EmoBox's the last layer."""
    results = load(of_protocol(iemocap, "iemocap-loso"))
    rows = {row[0]: row for row in published.numbers(results).rows}
    assert rows["wav2vec2-base (weighted sum)"][2] == "0.60 [0.57, 0.62]"
    assert rows["wav2vec2-base (last layer)"][1] == "0.58"
    assert rows["own"][2] == rows["own"][4]
    assert marks(results)["Origin of the numbers"] == "differs"


def test_a_leaking_corpus_leads_the_flaws(iemocap: RunDirectory) -> None:
    corpora = [{"name": "emodb", "utterances": 535, "speakers": 10, "hours": 0.4, "synthetic": False}]
    block = published.block(load(of_protocol(iemocap, "emobox", corpora=corpora)))
    assert block is not None
    assert block.flaws[0].startswith("In emodb all 10 speakers of the test also train")


def test_the_page_shows_the_block_and_its_tables(iemocap: RunDirectory) -> None:
    run = of_protocol(iemocap)
    html = page.write(run).read_text()
    assert '<h2 id="protocol">Published protocol: SUPERB emotion recognition (ER)</h2>' in html
    assert "shares its eight speakers" in html
    assert 'href="https://arxiv.org/abs/2105.01051"' in html
    for name in ("published", "published-others", "protocol-differences"):
        assert (run / "tables" / f"{name}.csv").exists(), name
        assert (run / "tables" / f"{name}.tex").exists(), name


def test_without_a_protocol_there_is_no_block(iemocap: RunDirectory) -> None:
    html = page.write(iemocap).read_text()
    assert 'id="protocol"' not in html
    assert not (Path(iemocap.path) / "tables" / "published.csv").exists()
