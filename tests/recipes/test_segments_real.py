"""Mixes of real speech: frame heads beat what needs no model, for speakers that they have not heard."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpus
from sibboleth.corpora import emodb, nemo, ravdess
from sibboleth.recipes.mix import mix
from sibboleth.recipes.run import run

STUDY = """
name = "mixes"
regimes = ["within"]
[target]
kind = "segmentation"
labels = ["angry", "happy", "sad"]
[[corpora]]
name = "emodb"
manifest = "mixes/manifest.csv"
[[encoders]]
name = "{encoder}"
[training]
epochs = {epochs}
learning_rate = [0.005, 0.02]
[splits]
folds = 3
"""


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("encoder", "epochs"), [("logmel", 20), ("sibboleth-tiny-multi", 6)])
def test_heads_beat_all_neutral_and_loud_speech(real_speech: Path, tmp_path: Path, encoder: str, epochs: int) -> None:
    manifest = corpus.write(emodb.prepare(real_speech / "emodb"), tmp_path / "emodb.csv")
    mix(manifest, output=tmp_path / "mixes", labels=("angry", "happy", "sad"))
    (tmp_path / "study.toml").write_text(STUDY.format(encoder=encoder, epochs=epochs), encoding="utf-8")
    run(tmp_path / "study.toml", output=tmp_path / "run")
    against = pl.read_parquet(tmp_path / "run" / "baseline-comparisons.parquet").filter(metric="eder")
    assert against["b_rater"].sort().to_list() == ["loud speech", "no segments"]
    assert against["high"].max() < -0.1
    assert against["p_holm"].max() < 0.05


POOLED = """
name = "pooled"
domain = "pool"
regimes = ["within"]
[target]
kind = "segmentation"
labels = ["angry", "happy", "sad"]
[[encoders]]
name = "logmel"
[probe]
kind = "frames"
context = [1.0]
per_speaker = true
[training]
epochs = 8
patience = 3
learning_rate = 0.003
[splits]
folds = 3
"""


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_on_speakers_own_scale_heads_beat_both_in_three_languages_at_once(real_speech: Path, tmp_path: Path) -> None:
    text = POOLED
    for name, module in (("emodb", emodb), ("nemo", nemo), ("ravdess", ravdess)):
        manifest = corpus.write(module.prepare(real_speech / name), tmp_path / f"{name}.csv")
        mix(manifest, output=tmp_path / name, labels=("angry", "happy", "sad"))
        mixed = tmp_path / name / "manifest.csv"
        pl.read_csv(mixed, infer_schema_length=0).with_columns(pl.lit("acted").alias("pool")).write_csv(mixed)
        text += f'[[corpora]]\nname = "{name}"\nmanifest = "{name}/manifest.csv"\n'
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    run(tmp_path / "study.toml", output=tmp_path / "run")
    against = pl.read_parquet(tmp_path / "run" / "baseline-comparisons.parquet").filter(metric="eder", slice="all")
    assert against["high"].max() < -0.1
    assert against["p_holm"].max() < 0.05
