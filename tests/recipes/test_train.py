"""`sibboleth train`: a study in, a model in a folder out; one process or two, killed or not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score
from tests.recipes.test_run import tones

from sibboleth import splits, study
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.experiment import final, material
from sibboleth.models.tuning import record
from sibboleth.recipes.predict import predict
from sibboleth.recipes.run import run
from sibboleth.recipes.train import Trained, train

pytestmark = pytest.mark.usefixtures("one_thread")

STUDY = """
name = "tuned"
domain = "language"
regimes = ["within", "zero-shot", "two-stage"]
layer_mix = false
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
{encoders}
{methods}
[training]
epochs = {epochs}
learning_rate = 0.002
batch_seconds = 3
{training}
[splits]
folds = 2
dev = 0.34
{splits}
[statistics]
resamples = 200
"""
LOGMEL, TINY = '[[encoders]]\nname = "logmel"', '[[encoders]]\nname = "untrained:tiny-wav2vec2"'
HEAD, LORA = '[[methods]]\nname = "head"', '[[methods]]\nname = "lora"\nlora = { rank = 4 }'
BOTH = f"{LOGMEL}\n{TINY}", f"{HEAD}\n{LORA}"


def write(
    place: Path, encoders: str = TINY, methods: str = LORA, epochs: int = 8, training: str = "", splits: str = ""
) -> Path:
    file = place / "study.toml"
    file.write_text(STUDY.format(encoders=encoders, methods=methods, epochs=epochs, training=training, splits=splits))
    return file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tones in which the second language has the labels the other way round."""
    tones(tmp_path, flipped=("bb",))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(file: Path, **options: object) -> Trained:
    done = train(file, **options)  # type: ignore[arg-type]
    assert done is not None
    return done


def uar(model: Path, manifest: Path, language: str) -> float:
    table = pl.read_csv(manifest).filter(language=language)
    table.write_csv(manifest.with_name("asked.csv"))
    said = predict(model, (manifest.with_name("asked.csv"),)).table
    assert len(said) == len(table)
    return float(balanced_accuracy_score(table["pitch"], said["prediction"]))


def test_a_model_is_trained_on_all_but_dev_and_answers_as_its_dev_score_says(here: Path) -> None:
    done = trained(write(here), source="aa")
    assert done.model == Path("runs/tuned-untrained-tiny-wav2vec2-lora-aa")
    (stage,) = done.record.stages
    assert (stage.domain, stage.speakers, stage.dev_speakers) == ("aa", 4, 2)
    assert (stage.utterances, stage.dev_utterances) == (32, 16)
    assert stage.dev is not None and stage.dev > 0.8
    assert done.record.label_counts == {"high": 16, "low": 16}
    assert not (done.model / "state").exists() and "predict" in done.__rich__()
    log = pl.read_parquet(done.model / "training.parquet")
    assert log["selected"].sum() == 1 and log.filter("selected")["epoch"].item() == stage.epoch

    stuff = material.gather(study.read(here / "study.toml"))
    asked = final.wanted(stuff.study, None, None, "aa", None)
    kept, (rows,) = final.narrowed(stuff, asked)
    dev = kept.table[rows.dev]
    assert not set(dev["speaker"]) & set(kept.table[rows.train]["speaker"])
    dev.select("utterance", "audio").write_csv("dev.csv")
    said = predict(done.model, (Path("dev.csv"),)).table
    assert balanced_accuracy_score(dev["pitch"], said["prediction"]) == pytest.approx(stage.dev)
    truth = said.select(pl.when(dev["pitch"] == "high").then("p_high").otherwise("p_low")).to_series()
    assert -np.log(truth.to_numpy()).mean() == pytest.approx(stage.dev_loss, abs=1e-5)
    assert uar(done.model, here / "manifest.csv", "bb") < 0.3, "there the labels are the other way round"


def test_a_second_stage_goes_on_on_another_domain(here: Path) -> None:
    done = trained(write(here), source="aa", then="bb", output=here / "out")
    assert [one.domain for one in done.record.stages] == ["aa", "bb"]
    assert uar(done.model, here / "manifest.csv", "bb") > 0.8
    assert "stage 2 | language bb" in (done.model / "README.md").read_text()


def test_the_card_has_the_scores_of_the_studys_run_if_it_was_the_same(here: Path) -> None:
    file = write(here, LOGMEL, HEAD, epochs=3)
    run(file)
    done = trained(file, encoder="logmel", method="head", source="aa")
    assert done.note is None
    scores = pl.read_parquet("runs/tuned/scores.parquet").filter(metric="uar", slice="all", rater="selected")
    card = (done.model / "README.md").read_text()
    for regime, language in (("within", "aa"), ("zero-shot", "bb")):
        (row,) = scores.filter(pl.col("run") == f"logmel/head/{regime}/aa>{language}").to_dicts()
        interval = f"{row['estimate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        assert f"| {regime} | {language} | {interval} | {row['n']} | {row['clusters']} |" in card
    assert [one.regime for one in done.record.scores] == ["within", "zero-shot"]
    assert not (done.model / "encoder").exists()

    twice = trained(file, encoder="logmel", method="head", source="aa", then="bb")
    assert [(one.regime, one.domain) for one in twice.record.scores] == [("two-stage", "bb")]

    other = write(here, LOGMEL, HEAD, epochs=2)
    done = trained(other, encoder="logmel", method="head", source="aa", output=here / "other")
    assert done.record.scores == () and done.note is not None and "another training" in done.note
    with pytest.raises(SibbolethError, match="--run: .*another training"):
        train(other, encoder="logmel", method="head", source="aa", output=here / "third", run=Path("runs/tuned"))
    assert not (here / "third").exists()


def test_the_same_command_says_what_is_there_and_another_is_refused(here: Path) -> None:
    file = write(here, LOGMEL, HEAD, epochs=2)
    first = trained(file, source="aa", output=here / "out")
    before = (here / "out" / "head.safetensors").stat().st_mtime_ns
    again = trained(file, source="aa", output=here / "out")
    assert again.record == first.record and (here / "out" / "head.safetensors").stat().st_mtime_ns == before
    with pytest.raises(SibbolethError, match="holds a model of other settings"):
        train(file, source="bb", output=here / "out")
    assert (here / "out" / "head.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "--encoder is needed; there are: logmel, untrained:tiny-wav2vec2"),
        ({"encoder": "logmell"}, "--encoder 'logmell' is not in the study; there are: logmel"),
        ({"encoder": "logmel"}, "--method is needed; there are: head, lora"),
        ({"encoder": "logmel", "method": "lore"}, "--method 'lore' is not in the study"),
        ({"encoder": "logmel", "method": "head"}, "--source is needed; there are: aa, bb"),
        ({"encoder": "logmel", "method": "head", "source": "cc"}, "--source 'cc' is not in the study"),
        ({"encoder": "logmel", "method": "head", "source": "aa", "then": "cc"}, "--then 'cc' is not in the study"),
        ({"encoder": "logmel", "method": "head", "source": "aa", "then": "aa"}, "which is the source"),
        ({"encoder": "logmel", "method": "lora", "source": "aa"}, "no layers that method 'lora' could train"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(options: dict[str, str], told: str, here: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        train(write(here, *BOTH), **options)  # type: ignore[arg-type]
    assert told in str(error.value)
    assert not (here / "runs").exists()


def test_a_domain_that_is_only_tested_never_trains(here: Path) -> None:
    file = write(here, LOGMEL, HEAD, epochs=1, splits='test_only = ["bb"]')
    with pytest.raises(InvalidInput, match="'bb' is not in the study; there are: aa"):
        train(file, source="bb")
    assert trained(file).record.stages[0].domain == "aa", "the only one need not be named"


def test_folders_with_other_things_in_them_stay_as_they_are(here: Path) -> None:
    file = write(here, LOGMEL, HEAD, epochs=1)
    for name, told in (("mine.txt", "holds other files"), ("run.json", "holds a run")):
        place = here / name.partition(".")[0]
        place.mkdir()
        (place / name).write_text("{}")
        with pytest.raises(SibbolethError, match=told):
            train(file, source="aa", output=place)
        assert [path.name for path in place.iterdir()] == [name]
    with pytest.raises(SibbolethError, match="is a file"):
        train(file, source="aa", output=file)
    with pytest.raises(InvalidInput, match=r"no \[\[methods\]\]"):
        train(_without_methods(here))


def _without_methods(place: Path) -> Path:
    file = place / "plain.toml"
    text = STUDY.format(encoders=LOGMEL, methods="", epochs=1, training="", splits="")
    file.write_text(text.replace(', "two-stage"', ""))
    return file


@pytest.mark.soak
def test_two_processes_are_one_with_twice_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tones(tmp_path, flipped=("bb",))
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, epochs=8, training="patience = 3")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    options = ["--source", "aa", "--then", "bb", "--output", "both"]
    done = subprocess.run(
        [*command, "-m", "sibboleth", "train", str(file), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Training untrained:tiny-wav2vec2 + lora on aa and then on bb") == 1
    trained(
        write(tmp_path, epochs=8, training="patience = 3\naccumulate = 2"),
        source="aa",
        then="bb",
        output=tmp_path / "one",
    )
    one, both = (pl.read_parquet(tmp_path / place / "training.parquet") for place in ("one", "both"))
    assert one.select("stage", "epoch", "selected").equals(both.select("stage", "epoch", "selected"))
    np.testing.assert_allclose(one["dev_loss"], both["dev_loss"], rtol=1e-3)
    manifest = tmp_path / "manifest.csv"
    assert uar(tmp_path / "both", manifest, "bb") == uar(tmp_path / "one", manifest, "bb") > 0.5
    assert record.read(tmp_path / "both").stages[0].dev_speakers == 2
    assert not (tmp_path / "both" / "state").exists()


def test_speakers_of_several_domains_are_on_the_same_side_in_all() -> None:
    rows = [
        (f"{domain}{speaker}{take}", f"{domain}{speaker}{take}.wav", f"s{speaker}", None, domain, "ab"[take % 2])
        for domain, speakers in (("x", range(8)), ("y", range(4, 12)), ("z", range(20, 26)))
        for speaker in speakers
        for take in range(4)
    ]
    names = ["utterance", "audio", "speaker", "session", "domain", "label"]
    table = pl.DataFrame(rows, schema=names, orient="row", schema_overrides={"session": pl.String})
    settings = splits.SplitSettings(dev=0.25)
    found = splits.whole(table, "domain", "label", settings, 1)
    speakers = table["speaker"].to_numpy()
    heard = {name: set(speakers[fold.train]) for name, fold in found.items()}
    chosen = {name: set(speakers[fold.dev]) for name, fold in found.items()}
    assert not (heard["x"] | heard["y"]) & (chosen["x"] | chosen["y"])
    for name, fold in found.items():
        assert len(fold.train) + len(fold.dev) == (table["domain"] == name).sum() and not len(fold.test)
        assert 1 <= len(chosen[name]) <= 3
    alone = splits.whole(table.filter(pl.col("domain") == "z"), "domain", "label", settings, 1)["z"]
    names_of = table.filter(pl.col("domain") == "z")["utterance"]
    assert names_of.gather(alone.dev).to_list() == table["utterance"].gather(found["z"].dev).to_list()
    shuffled = table.sample(fraction=1, shuffle=True, seed=3)
    again = splits.whole(shuffled, "domain", "label", settings, 1)
    assert set(shuffled["utterance"].gather(again["x"].dev)) == set(table["utterance"].gather(found["x"].dev))


def test_one_speaker_cannot_both_train_and_select() -> None:
    rows = [(f"u{take}", f"{take}.wav", "s", None, "x", "ab"[take % 2]) for take in range(10)]
    names = ["utterance", "audio", "speaker", "session", "domain", "label"]
    table = pl.DataFrame(rows, schema=names, orient="row", schema_overrides={"session": pl.String})
    with pytest.raises(InvalidInput, match="dev_unit"):
        splits.whole(table, "domain", "label", splits.SplitSettings(), 0)
    found = splits.whole(table, "domain", "label", splits.SplitSettings(dev_unit="utterance"), 0)["x"]
    assert (len(found.train), len(found.dev)) == (8, 2)
    mixed = splits.SplitSettings.model_validate({"schemes": {"x": "random-folds"}})
    assert len(splits.whole(table, "domain", "label", mixed, 0)["x"].dev) == 2


def test_nothing_of_this_machine_is_in_what_may_be_published(here: Path) -> None:
    done = trained(write(here, LOGMEL, HEAD, epochs=1), source="aa", output=here / "out")
    for path in done.model.rglob("*"):
        if path.suffix in (".json", ".md"):
            assert str(here) not in path.read_text()
    assert json.loads((done.model / "sibboleth.json").read_text())["study"]["corpora"][0]["manifest"] == "manifest.csv"
