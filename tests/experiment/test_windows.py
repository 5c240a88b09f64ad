"""Windows: long rows of segments are learnt and answered in parts, and come out whole."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import fits, metrics
from sibboleth import study as studies
from sibboleth.experiment import material, timelines, tuned, tuned_inputs, windows
from sibboleth.experiment.material import Material
from sibboleth.models.decoding.timelines import unpacked
from sibboleth.models.encoders import WINDOW
from sibboleth.recipes import check
from sibboleth.recipes.train import train
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit

RATE = 8_000
TONES = {"neutral": 200.0, "angry": 1500.0, "sad": 600.0}
STUDY = """
name = "long"
regimes = ["within"]
[target]
kind = "segmentation"
[[corpora]]
name = "long"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[[methods]]
name = "head"
[training]
epochs = 5
learning_rate = 0.05
batch_seconds = 30
[splits]
folds = 2
dev = 0.34
"""


def written(folder: Path, lengths: Sequence[float]) -> Path:
    """A study of recordings so long, a tone for each label, which changes every 1.7 to 5 seconds."""
    rows = []
    for number, seconds in enumerate(lengths):
        random = np.random.default_rng(number)
        edges = np.append(np.cumsum(random.uniform(1.7, 5.0, 60)), seconds)
        edges = np.unique(np.minimum(np.concatenate([[0.0], edges]), seconds))
        labels = [list(TONES)[(number + k) % 3] for k in range(len(edges) - 1)]
        at = np.arange(round(seconds * RATE)) / RATE
        tones = np.array([TONES[one] for one in labels])[np.searchsorted(edges[1:-1], at, side="right")]
        sound = 0.2 * np.sin(2 * np.pi * tones * at) + 0.005 * random.normal(size=len(at))
        soundfile.write(folder / f"u{number}.wav", sound, RATE)
        told = [{"start": a, "end": b, "label": one} for a, b, one in zip(edges[:-1], edges[1:], labels, strict=True)]
        rows.append((f"u{number}", f"u{number}.wav", f"s{number % 4}", json.dumps(told)))
    pl.DataFrame(rows, schema=["utterance", "audio", "speaker", "segments"], orient="row").write_csv(
        folder / "manifest.csv"
    )
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder / "study.toml"


@pytest.fixture(scope="module")
def stuff(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Six recordings of four speakers, three of them long."""
    file = written(tmp_path_factory.mktemp("long"), (41.0, 8.0, 63.5, 8.0, 9.0, 30.5))
    return material.gather(studies.read(file))


def test_what_is_cut_comes_out_whole_again(stuff: Material) -> None:
    cut = windows.of(stuff)
    assert {row: len(own) for row, own in cut.of.items()} == {0: 2, 2: 3, 5: 2}
    wide = windows.behind(stuff, cut)
    assert wide.table["utterance"].is_unique().all() and len(wide.table) == 6 + 7
    assert wide.scan["seconds"].tail(7).max() <= WINDOW and (wide.scan["status"] == "ok").all()  # type: ignore[operator]
    assert wide.table.head(6).equals(stuff.table)
    every = np.arange(6)
    rows = cut.rows(every)
    assert rows.tolist() == [6, 7, 1, 8, 9, 10, 3, 4, 11, 12]
    whole = list(unpacked(cut.joined(every, wide.truth()[rows])))
    for ours, true in zip(whole, unpacked(stuff.truth()), strict=True):
        assert ours.labels.tolist() == true.labels.tolist() and ours.seconds == pytest.approx(true.seconds)
        assert ours.starts == pytest.approx(true.starts) and ours.ends == pytest.approx(true.ends)


def test_a_moment_is_answered_by_the_window_in_which_it_is_farther_from_an_edge(stuff: Material) -> None:
    cut = windows.of(stuff)
    own = cut.of[0]
    answers = windows.behind(stuff, cut).truth()[own]
    answers[:, 3::3] = np.where(answers[:, 3::3] >= 0, np.arange(len(own))[:, None], -1.0)  # each says its number
    (whole,) = unpacked(cut.joined(np.array([0]), answers))
    assert whole.labels.tolist() == [0, 1] and whole.ends[0] == pytest.approx(whole.starts[1])
    assert whole.ends[0] == pytest.approx(41.0 / 2, abs=0.01)


def test_windows_stand_where_their_row_stood(stuff: Material) -> None:
    cut = windows.of(stuff)
    rows = [np.array(one) for one in ([0, 1], [2], [3], [4], [5])]
    fit = Fit(
        "long", "f0", rows[0], rows[1], (fits.Test("within", "long", rows[4]),), fits.Stage("long", rows[2], rows[3])
    )
    found = cut.fit(fit)
    assert (found.train.tolist(), found.dev.tolist()) == ([6, 7, 1], [8, 9, 10])
    assert found.tests[0].rows.tolist() == [11, 12]
    assert found.then is not None and (found.then.train.tolist(), found.then.dev.tolist()) == ([3], [4])
    assert cut.lost((0, 2, 5)) == ()  # rows that are cut are not encoded whole
    assert cut.lost((3, 9)) == (2, 3)  # one window less is a row less


def test_other_targets_have_no_windows(stuff: Material) -> None:
    other = replace(stuff, target=replace(stuff.target, kind="classification"))
    cut = windows.of(other)
    assert not cut.of and windows.behind(other, cut) is other
    answers = np.arange(12.0).reshape(6, 2)
    assert cut.joined(np.arange(6), answers) is answers


def test_long_rows_train_and_are_answered_to_their_end(tmp_path: Path, one_thread: None) -> None:
    from sibboleth.models import encoders
    from sibboleth.models.cache import Cache

    lengths = (40.0, 6.0, 6.0, 6.0, 6.0, 6.0)
    asked = studies.read(written(tmp_path, lengths))
    stuff = material.gather(asked)
    encoder = encoders.load(asked.encoders[0])
    head = tuned.works(asked, asked.encoders[0], encoder, check.fits(stuff), stuff.out, stuff.background)[1]
    given = tuned_inputs.inputs(head, stuff, Cache())
    assert given.missing == () and given.excluded.is_empty()
    cell = replace(head.cells[0], missing=given.missing)
    directory = RunDirectory(tmp_path / "run")
    assert list(tuned.solve(cell, head, given.inputs, stuff, directory))
    said = pl.read_parquet(directory / cell.file(stuff)).filter(rater="selected")
    ends = dict(said.filter(pl.col("label").is_null()).select("utterance", "end").iter_rows())
    assert ends == pytest.approx({f"long/u{k}": s for k, s in enumerate(lengths)})
    assert said.filter(pl.col("label").is_not_null(), utterance="long/u0")["end"].max() > WINDOW  # type: ignore[operator]
    aligned = metrics.align(said, material.reference(stuff), stuff.target)
    assert metrics.of(stuff.target)[0](aligned.answers) < 0.2
    trained = train(tmp_path / "study.toml", output=tmp_path / "model")
    assert trained is not None and sum(trained.record.label_seconds.values()) > 20
    assert timelines.outputs(stuff.target) == trained.record.labels
