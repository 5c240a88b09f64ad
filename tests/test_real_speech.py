"""The whole tool on small samples of real corpora."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth.errors import RefusedByAudit
from sibboleth.recipes.corpus import prepare
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

STUDY = """
name = "real"
regimes = ["within", "zero-shot"]
{more}
[target]
column = "emotion"
labels = ["angry", "happy", "neutral", "sad"]
[[encoders]]
name = "logmel"
[splits]
scheme = "{scheme}"
folds = 10
"""


def studied(folder: Path, real_speech: Path, corpora: list[str], scheme: str, more: str = "") -> Path:
    text = STUDY.format(scheme=scheme, more=more)
    for name in corpora:
        prepare(name, real_speech / name, output=folder / f"{name}.csv")
        text += f'[[corpora]]\nname = "{name}"\nmanifest = "{name}.csv"\n'
    (folder / f"{scheme}.toml").write_text(text)
    return folder / f"{scheme}.toml"


def uar(folder: Path) -> dict[str, float]:
    wanted = (pl.col("metric") == "uar") & (pl.col("slice") == "all") & (pl.col("rater") == "selected")
    return dict(RunDirectory(folder).table("scores").filter(wanted).select("run", "estimate").iter_rows())


def test_random_folds_flatter_and_are_refused_unless_allowed(real_speech: Path, tmp_path: Path) -> None:
    """Log-mel statistics know German emotions of unseen speakers near 0.8; random folds pretend to more."""
    run(studied(tmp_path, real_speech, ["emodb"], "leave-one-speaker-out"), output=tmp_path / "speakers")
    with pytest.raises(RefusedByAudit, match="shared-speakers"):
        run(studied(tmp_path, real_speech, ["emodb"], "random-folds"), output=tmp_path / "random")
    allowed = studied(tmp_path, real_speech, ["emodb"], "random-folds", 'allow = ["shared-speakers"]')
    run(allowed, output=tmp_path / "random")
    (speakers,), (random,) = uar(tmp_path / "speakers").values(), uar(tmp_path / "random").values()
    assert speakers >= 0.70
    assert random > speakers + 0.03


def test_three_corpora_make_a_transfer_matrix(real_speech: Path, tmp_path: Path) -> None:
    study = studied(tmp_path, real_speech, ["emodb", "nemo", "ravdess"], "speaker-folds")
    study.write_text(study.read_text().replace("folds = 10", "folds = 3"))
    page = run(study, output=tmp_path / "run").read_text()
    assert len(uar(tmp_path / "run")) == 9
    assert "shared-sentences" in page
    assert "emodb" in page and "nemo" in page and "ravdess" in page
