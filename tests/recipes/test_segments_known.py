"""Mixes of the controlled corpus, in which it is known which emotion is coded when: what heads over frames find."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpus, metrics
from sibboleth import study as studies
from sibboleth.corpora.mixes.corpus import Mixing, prepare
from sibboleth.corpora.synthetic import corpus as controlled
from sibboleth.corpora.synthetic.design import Design
from sibboleth.experiment import baselines, material, tuned, tuned_inputs
from sibboleth.recipes import check
from sibboleth.runs import RunDirectory

STUDY = """
name = "known"
regimes = ["within"]
[target]
kind = "segmentation"
labels = ["angry", "happy", "sad"]
decoders = ["argmax", "median", "minimum", "weighed"]
[[corpora]]
name = "mixes"
manifest = "mixes/manifest.csv"
[[encoders]]
name = "logmel"
[training]
epochs = 8
patience = 3
learning_rate = 0.03
batch_seconds = 20
[splits]
folds = 2
dev = 0.34
[statistics]
resamples = 500
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of mixes of six voices, whose emotion is a colour that every frame has beside that of its phone."""
    pytest.importorskip("espeakng_loader")
    design = Design(languages=("en",), speakers=6, utterances=3, sentences=12, accented=0, coding={"en": "unrelated"})
    spoken = controlled.prepare(tmp_path / "spoken", design, workers=1)
    mixed = prepare(tmp_path / "mixes", spoken, Mixing(patterns=("n-e", "e-n", "n-e-n", "e")))
    corpus.write(mixed.corpus, tmp_path / "mixes" / "manifest.csv")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.toml"


def test_emotions_of_the_controlled_corpus_are_found_where_they_are(
    study: Path, tmp_path: Path, one_thread: None
) -> None:
    from sibboleth.models import encoders
    from sibboleth.models.cache import Cache

    asked = studies.read(study)
    stuff = material.gather(asked)
    fits = check.fits(stuff)
    (work,) = tuned.works(asked, asked.encoders[0], encoders.load(asked.encoders[0]), fits, stuff.out, stuff.background)
    given, directory = tuned_inputs.inputs(work, stuff, Cache()), RunDirectory(tmp_path / "run")
    for _ in tuned.solve(work.cells[0], work, given.inputs, stuff, directory):
        pass
    answers = pl.read_parquet(directory / work.cells[0].file(stuff)).drop("fold").filter(rater="selected")
    reference = material.reference(stuff)
    found = metrics.align(answers, reference, stuff.target).answers
    scores = {one.name: one(found) for one in metrics.of(stuff.target)}
    assert scores["boundary_error"] < 0.1
    assert scores["segment_f1"] > 0.2
    (run,) = answers["run"].unique()
    against = baselines.tables(
        stuff, fits, pl.DataFrame({"run": [run], "domain": ["mixes"], "regime": ["within"]}), answers, reference
    )
    differences = against["baseline-comparisons"].filter(metric="eder")
    assert differences["b_rater"].sort().to_list() == ["loud speech", "no segments"]
    assert differences["high"].max() < 0
