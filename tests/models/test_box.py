"""The encoders in the box: small, loadable by anybody, described, and worth more than no training."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModel

from sibboleth import corpora
from sibboleth.audit import pretraining as histories
from sibboleth.corpora import synthetic
from sibboleth.corpora.synthetic.corpus import Design
from sibboleth.corpus import write
from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import box, load
from sibboleth.recipes.run import run
from sibboleth.study import EncoderSettings

NAMES = ("sibboleth-tiny-en", "sibboleth-tiny-multi", "sibboleth-tiny-nl")
MOST = 8 * 2**20
UNTRAINED = "untrained:sibboleth-tiny"
MIXED = '"shared-speakers", "shared-sessions", "label-speaker-confound"'
"""What is no leak where the speaker is what is asked for."""


def noise(seconds: float = 2.0) -> np.ndarray:
    return 0.05 * np.random.default_rng(0).standard_normal(int(16_000 * seconds)).astype(np.float32)


def test_all_three_are_there_and_small() -> None:
    assert box.names() == NAMES
    for name in NAMES:
        files = list((box.FOLDER / name).iterdir())
        assert sum(file.stat().st_size for file in files) < MOST, name


@pytest.mark.parametrize("name", NAMES)
def test_each_gives_what_transformers_gives_for_its_folder(name: str) -> None:
    model = AutoModel.from_pretrained(box.FOLDER / name, dtype=torch.float32).eval()
    audio = noise()
    with torch.inference_mode():
        plain = model(torch.from_numpy(audio)[None], output_hidden_states=True).hidden_states
    ours = load(EncoderSettings(name=name)).hidden_states(audio)
    for one, other in zip(ours, plain, strict=True):
        assert np.linalg.norm(one - other[0].numpy()) < 1e-5 * np.linalg.norm(one)


def test_each_is_another_than_the_untrained_and_than_the_others() -> None:
    identities = {load(EncoderSettings(name=name)).identity for name in (*NAMES, UNTRAINED)}
    assert len(identities) == 4


def test_their_languages_are_known_and_a_study_may_say_otherwise() -> None:
    assert [load(EncoderSettings(name=name)).language for name in NAMES] == ["en", "multi", "nl"]
    assert load(EncoderSettings(name=NAMES[0], language="en-GB")).language == "en-GB"


def test_an_error_names_them() -> None:
    with pytest.raises(SibbolethError, match="sibboleth-tiny-en, sibboleth-tiny-multi, sibboleth-tiny-nl"):
        load(EncoderSettings(name="sibboleth-tiny-fr"))


@pytest.mark.parametrize("name", NAMES)
def test_the_audit_knows_that_they_heard_no_corpus_and_no_labels(name: str) -> None:
    assert histories.history(name) is None
    assert not histories.trained_with_labels(name)
    assert load(EncoderSettings(name=name)).fine_tuned is False


@pytest.mark.parametrize("name", NAMES)
def test_their_cards_say_what_made_them_and_what_they_cannot_do(name: str) -> None:
    card = (box.FOLDER / name / "README.md").read_text(encoding="utf-8")
    for told in ("objective", "speech", "heard in training", "seed", "steps", "## Scores", "## Limits"):
        assert told in card, told


def beaten(folder: Path, manifest: Path, name: str, splits: str, domain: str, column: str, allow: str) -> pl.DataFrame:
    """Run a study and return, of each encoder in the box, the differences from the untrained architecture."""
    encoders = "".join(f'[[encoders]]\nname = "{one}"\n' for one in (*NAMES, UNTRAINED))
    study = folder / f"{name}.toml"
    study.write_text(
        f'name = "{name}"\ndomain = "{domain}"\nregimes = ["within"]\nallow = [{allow}]\n'
        f'[target]\ncolumn = "{column}"\n[[corpora]]\nname = "speech"\nmanifest = "{manifest}"\n'
        f'{encoders}[splits]\n{splits}\n[report]\naudio = "none"\n'
    )
    run(study, output=folder / name)
    compared = pl.read_parquet(folder / name / "comparisons.parquet").filter(
        (pl.col("metric") == "uar") & (pl.col("slice") == "all")
    )
    found = compared.filter(pl.col("b_run").str.starts_with(UNTRAINED) | pl.col("a_run").str.starts_with(UNTRAINED))
    sign = pl.when(pl.col("b_run").str.starts_with(UNTRAINED)).then(1).otherwise(-1)
    return found.select(
        "a_run",
        difference=sign * pl.col("difference"),
        low=pl.min_horizontal(sign * pl.col("low"), sign * pl.col("high")),
    )


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", ["emotion", "speaker"])
@pytest.mark.parametrize("speech", ["controlled", "real"])
def test_each_beats_the_same_architecture_untrained(
    speech: str, target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if speech == "controlled":
        made = synthetic.corpus.prepare(tmp_path / "speech", Design(languages=("en", "nl"), utterances=8))
        manifest = write(made, tmp_path / "speech" / "manifest.csv")
        whole = "folds = 4"
    else:
        root: Path = request.getfixturevalue("real_speech") / "emodb"
        manifest, whole = (
            write(corpora.prepare("emodb", root), tmp_path / "emodb.csv"),
            'scheme = "leave-one-speaker-out"',
        )
    splits, allow = (whole, "") if target == "emotion" else ('scheme = "random-folds"\nfolds = 4', MIXED)
    found = beaten(tmp_path, manifest, f"{speech}-{target}", splits, "corpus", target, allow)
    assert len(found) == 3
    assert (found["low"] > 0).all(), found.rows()
