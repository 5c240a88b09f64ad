"""Fine-tuning in a study, on small made sounds: every regime, stages that train, kills that change nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.recipes.test_run import main_scores, tones

from sibboleth.errors import InvalidInput
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

STUDY = """
name = "tuned"
domain = "language"
regimes = ["within", "zero-shot", "target-selected", "two-stage", "few-shot"]
shots = [1, 8]
layer_mix = false
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[[encoders]]
name = "untrained:tiny-wav2vec2"
{methods}
[training]
epochs = {epochs}
learning_rate = 0.01
batch_seconds = 2
shot_steps = 60
{training}
[splits]
folds = 2
dev = 0.34
[statistics]
resamples = 200
"""
LOGMEL = '[[encoders]]\nname = "logmel"\n'
TINY = "untrained:tiny-wav2vec2"
METHODS = """
[[methods]]
name = "head"
[[methods]]
name = "lora"
lora = { rank = 4 }
"""


def study(folder: Path, methods: str = METHODS, epochs: int = 16, training: str = "", text: str = STUDY) -> Path:
    path = folder / "study.toml"
    path.write_text(text.format(methods=methods, epochs=epochs, training=training))
    return path


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run in which the second language has the labels the other way round."""
    folder = tmp_path_factory.mktemp("flipped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        tones(folder, flipped=("bb",))
        run(study(folder), output=folder / "run")
    return RunDirectory(folder / "run")


def of(directory: RunDirectory, method: str, regime: str) -> pl.DataFrame:
    found = main_scores(directory).filter(pl.col("method") == method, pl.col("regime") == regime)
    return found.sort("encoder", "source", "domain")


def estimates(directory: RunDirectory, encoder: str, method: str, regime: str) -> pl.Series:
    return of(directory, method, regime).filter(encoder=encoder)["estimate"]


def test_what_is_coded_the_other_way_round_is_learnt_in_the_second_stage(flipped: RunDirectory) -> None:
    zero, two = (estimates(flipped, "logmel", "head", regime) for regime in ("zero-shot", "two-stage"))
    assert (zero < 0.2).all(), "a flipped code falls below chance"
    assert (two > 0.9).all(), "the second stage learns it"
    zero, two = (estimates(flipped, TINY, "lora", regime) for regime in ("zero-shot", "two-stage"))
    assert (two > zero + 0.2).all()


def test_few_shot_curves_rise(flipped: RunDirectory) -> None:
    names = ("zero-shot", "few-shot(1)", "few-shot(8)")
    none, one, eight = (estimates(flipped, "logmel", "head", name) for name in names)
    assert (one > none + 0.3).all() and (eight >= one).all() and (eight > 0.9).all()
    none, eight = (estimates(flipped, TINY, "lora", name) for name in ("zero-shot", "few-shot(8)"))
    assert (eight > none + 0.2).all()


def test_the_second_stage_trains(flipped: RunDirectory) -> None:
    log = flipped.table("learning").filter(pl.col("stage") == 2, pl.col("shots").is_null())
    for _, told in log.group_by("encoder", "method", "source", "fold", "trial"):
        losses = told.sort("epoch")["dev_loss"]
        assert losses.n_unique() == len(losses) and losses[-1] < losses[0]
        assert told["selected"].sum() == 1


def test_each_system_says_what_it_trained(flipped: RunDirectory) -> None:
    table = flipped.table("methods").sort("encoder", "method")
    assert table.select("encoder", "method").rows() == [
        ("logmel", "head"),
        ("untrained:tiny-wav2vec2", "head"),
        ("untrained:tiny-wav2vec2", "lora"),
    ]
    head, layers, rank, inner = 2 * (64 + 1), 4, 4, 128
    lora = layers * rank * (4 * (64 + 64) + 2 * (64 + inner))
    assert [json.loads(text) for text in table["parts"][1:]] == [{"head": head}, {"lora": lora, "head": head}]
    assert table["trained"][2] == lora + head and (table["seconds"] > 0).all()


def test_every_utterance_is_answered_once_per_run_and_trial(flipped: RunDirectory) -> None:
    cells = flipped.table("cells").filter("tuned")
    answers = flipped.table("predictions").filter(pl.col("run").is_in(cells["run"].implode()))
    table = flipped.table("utterances")
    counts = answers.group_by("run").agg(pl.col("utterance").n_unique().alias("n"), pl.len().alias("rows"))
    joined = counts.join(cells, on="run").with_columns(
        per_domain=pl.col("domain").replace_strict(dict(table.group_by("language").len().iter_rows()))
    )
    assert (joined["n"] == joined["per_domain"]).all() and (joined["rows"] == 2 * joined["n"]).all()


def test_the_report_has_methods_ladder_and_learning_curves(flipped: RunDirectory) -> None:
    page = (flipped / "report.html").read_text()
    for heading in ("methods", "ladder", "shots"):
        assert f'id="{heading}"' in page


@pytest.mark.soak
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(["0-0-0/state.pt"], id="amid a second stage"),
        pytest.param(["0-0/state.pt", "0-0/.part-*", "0-0.first.pt"], id="amid the first"),
    ],
)
def test_a_killed_run_goes_on_to_equal_predictions(
    moments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones(tmp_path, flipped=("bb",), each=1)
    few = STUDY.replace(', "target-selected"', "").replace("shots = [1, 8]", "shots = [1]").replace(LOGMEL, "")
    few = few.replace("shot_steps = 60", "shot_steps = 6").replace("resamples = 200", "resamples = 100")
    lora = '[[methods]]\nname = "lora"\nlora = { rank = 4 }'
    file = study(tmp_path, lora, epochs=3, training="save = 0.001", text=few)
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "sibboleth", "run", str(file), "--output", str(tmp_path / "killed")]
    run(file, output=tmp_path / "whole")
    # Amid a training, while its state is written, after a first training, amid its second one.
    for wanted in moments:
        going = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not list(tmp_path.glob(f"killed/cells/*.parts/{wanted}")):
            assert going.poll() is None
            time.sleep(0.0005)
        going.send_signal(signal.SIGKILL)
        going.wait()
    run(file, output=tmp_path / "killed")
    for name in ("predictions", "scores", "selection", "comparisons"):
        whole, killed = (RunDirectory(tmp_path / output).table(name) for output in ("whole", "killed"))
        assert_frame_equal(whole, killed)
    assert not list(tmp_path.glob("killed/cells/*.parts"))


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ("", "two-stage and few-shot need"),
        ('[[methods]]\nname = "linear"', "is the name of a probe"),
        ('[[methods]]\nname = "a"\n[[methods]]\nname = "a"', "methods named twice: a"),
        ('[[methods]]\nname = "a"\nlayers = 9\nlora = {}', "layers = 9"),
        ('[[methods]]\nname = "a"\nlora = { targets = ["nose"] }', "nose"),
        ('[[methods]]\nname = "a"\nlora = { ranks = 3 }', "unknown key"),
        ('[[methods]]\nname = "a"\nmatch_parameters = "b"\nlora = {}', "there is no such method"),
    ],
)
def test_a_method_that_cannot_be_is_refused_before_any_work(methods: str, told: str, tmp_path: Path) -> None:
    tones(tmp_path, speakers=4, each=1)
    with pytest.raises(InvalidInput) as error:
        run(study(tmp_path, methods), output=tmp_path / "run")
    assert told in str(error.value)
    assert not (tmp_path / "run" / "cells").exists()
