"""The whole tool on speech of which the answer is known: what must transfer does, what must not does not."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpus
from sibboleth.corpora.synthetic import corpus as controlled
from sibboleth.corpora.synthetic.design import Design, best_possible_score
from sibboleth.errors import RefusedByAudit
from sibboleth.recipes.check import check
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

STUDY = """
name = "known"
domain = "language"
regimes = {regimes}
[target]
column = "emotion"
[[corpora]]
name = "controlled"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[splits]
{splits}
{more}
"""
ONCE = '["within", "zero-shot"]'
EVERY = """["within", "zero-shot", "two-stage", "few-shot"]
shots = [2, 8]"""
HEAD = """
[[methods]]
name = "head"
[training]
epochs = 60
batch_size = 16
learning_rate = 0.01
shot_steps = 60
"""


def spoken(folder: Path, splits: str = "folds = 4", regimes: str = ONCE, more: str = "", **design: object) -> Path:
    """Speak two languages and write the study beside them."""
    settings = {"languages": ("de", "en"), "speakers": 12, "accented": 0, "utterances": 4, **design}
    corpus.write(controlled.prepare(folder, Design(**settings)), folder / "manifest.csv")  # type: ignore[arg-type]
    (folder / "study.toml").write_text(STUDY.format(splits=splits, regimes=regimes, more=more))
    return folder / "study.toml"


def scores(folder: Path, **design: object) -> dict[str, dict[str, float]]:
    """Run the study and return UAR with its limits by run, e.g. `within/de>de`."""
    run(spoken(folder, **design), output=folder / "run")  # type: ignore[arg-type]
    wanted = (pl.col("metric") == "uar") & (pl.col("slice") == "all") & (pl.col("rater") == "selected")
    table = RunDirectory(folder / "run").table("scores").filter(wanted)
    return {row["run"].removeprefix("logmel/linear/"): row for row in table.iter_rows(named=True)}


def test_emotion_coded_alike_transfers_and_nothing_beats_the_best_possible_observer(tmp_path: Path) -> None:
    found = scores(tmp_path)
    best = best_possible_score(Design())["de"].uar
    assert set(found) == {"within/de>de", "within/en>en", "zero-shot/de>en", "zero-shot/en>de"}
    for name, row in found.items():
        assert row["low"] > 0.25, name
        assert row["low"] <= best, name


def test_permuted_emotions_fall_below_chance_until_a_second_stage_learns_them(tmp_path: Path) -> None:
    found = scores(tmp_path, coding={"en": "permuted"}, regimes=EVERY, more=HEAD)
    assert found["within/en>en"]["low"] > 0.25
    for pair in ("de>en", "en>de"):
        assert found[f"zero-shot/{pair}"]["high"] < 0.25
        none, two = (found[f"logmel/head/{regime}/{pair}"] for regime in ("zero-shot", "two-stage"))
        assert none["high"] < 0.25 < two["low"], pair
        curve = [found[f"logmel/head/few-shot({shots})/{pair}"]["estimate"] for shots in (2, 8)]
        assert none["estimate"] < curve[0] < curve[1], "few-shot curves rise"


def test_an_unrelated_cue_leaves_transfer_at_chance(tmp_path: Path) -> None:
    found = scores(tmp_path, coding={"en": "unrelated"})
    assert found["within/en>en"]["low"] > 0.25
    for name in ("zero-shot/de>en", "zero-shot/en>de"):
        assert found[name]["low"] <= 0.25 <= found[name]["high"], name


@pytest.mark.parametrize(
    ("leak", "splits", "finding"),
    [
        ("duplicate", "folds = 4", "identical-audio"),
        ("alias", 'scheme = "leave-one-speaker-out"', "shared-sessions"),
    ],
)
def test_a_planted_leak_is_found(tmp_path: Path, leak: str, splits: str, finding: str) -> None:
    study = spoken(tmp_path, splits, speakers=4, utterances=4, leak=leak)
    with pytest.raises(RefusedByAudit, match=finding):
        check(study)
