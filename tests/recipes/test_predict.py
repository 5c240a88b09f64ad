"""`sibboleth predict`: files, folders or a manifest in, labels with probabilities out."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from polars.testing import assert_frame_equal
from tests.recipes.test_run import tones
from tests.recipes.test_train import write

from sibboleth.cli import main
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models.tuning import folder
from sibboleth.recipes.predict import predict
from sibboleth.recipes.score import score
from sibboleth.recipes.train import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tones, and a model that was trained on the first language."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(place / "cache"))
        tones(place)
        train(write(place, epochs=6), source="aa", output=place / "model")
    return place


@pytest.fixture(autouse=True)
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = {path.name for path in made.iterdir()}
    monkeypatch.chdir(made)
    yield made
    for path in made.iterdir():
        if path.name not in before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_manifest_is_labelled_and_its_answers_can_be_scored(here: Path) -> None:
    table = pl.read_csv("manifest.csv").with_row_index("utterance")
    table.select("utterance", "audio").write_csv("asked.csv")
    done = predict(Path("model"), (Path("asked.csv"),), output=Path("said.csv"))
    written = pl.read_csv("said.csv", schema_overrides={"utterance": pl.String})
    assert written.columns == ["utterance", "audio", "prediction", "p_high", "p_low"]
    assert_frame_equal(written, done.table, check_exact=True)
    assert written["utterance"].to_list() == table["utterance"].cast(pl.String).to_list()
    np.testing.assert_allclose(written["p_high"] + written["p_low"], 1)
    assert ((written["p_high"] > 0.5) == (written["prediction"] == "high")).all()

    table.write_csv("truth.csv")
    scored = score((Path("said.csv"),), reference=Path("truth.csv"), target="pitch", resamples=100).scores
    accuracy = scored.filter(metric="accuracy", slice="all")["estimate"].item()
    assert accuracy == pytest.approx((written["prediction"] == table["pitch"]).mean()) and accuracy > 0.8


def test_files_and_folders_are_named_by_what_they_do_not_share() -> None:
    whole = predict(Path("model"), (Path("audio"),)).table
    assert len(whole) == 96 and whole["utterance"].to_list() == sorted(whole["utterance"])
    assert "aa0high0" in whole["utterance"].to_list()
    several = (Path("audio/bb1low2.wav"), Path("audio/aa0high0.wav"), Path("audio/aa0high0.wav"))
    few = predict(Path("model"), several).table
    assert few["utterance"].to_list() == ["bb1low2", "aa0high0"], "each once, in the order given"
    both = few.join(whole, on="utterance", suffix="_in_company")
    assert both["p_high"].to_list() == both["p_high_in_company"].to_list()

    for speaker in ("one", "two"):
        Path("nested", speaker, ".hidden").mkdir(parents=True)
        shutil.copy("audio/aa0high0.wav", f"nested/{speaker}/a.wav")
        shutil.copy("audio/aa0high0.wav", f"nested/{speaker}/.hidden/a.wav")
        Path("nested", speaker, "notes.txt").write_text("nothing to hear")
    assert predict(Path("model"), (Path("nested"),)).table["utterance"].to_list() == ["one/a", "two/a"]
    samples, rate = soundfile.read("audio/aa0high0.wav")
    soundfile.write("nested/one/a.flac", samples, rate)
    found = predict(Path("model"), (Path("nested/one"),)).table
    assert found["utterance"].to_list() == ["a.flac", "a.wav"], "suffixes where names would be alike without"
    assert found["p_high"][0] == pytest.approx(found["p_high"][1], abs=1e-4)


def test_the_api_says_the_same_as_the_command() -> None:
    model = folder.load("model")
    audio, rate = soundfile.read("audio/bb2high1.wav", dtype="float32")
    said = model.predict(audio, rate)
    (row,) = predict(Path("model"), (Path("audio/bb2high1.wav"),)).table.to_dicts()
    assert said.label == row["prediction"] and said.weights["high"] == pytest.approx(row["p_high"], abs=1e-6)
    assert said.value == max(said.weights.values())


def test_what_cannot_be_heard_is_left_out_with_its_reason() -> None:
    Path("bad").mkdir()
    shutil.copy("audio/aa0high0.wav", "bad/good.wav")
    Path("bad/broken.wav").write_bytes(b"RIFF but no sound")
    Path("bad/empty.wav").write_bytes(b"")
    soundfile.write("bad/silent.wav", np.zeros(16_000), 16_000)
    soundfile.write("bad/short.wav", 0.1 * np.ones(160), 16_000)
    done = predict(Path("model"), (Path("bad"),), output=Path("said.csv"))
    assert done.table["utterance"].to_list() == ["good"] and pl.read_csv("said.csv").height == 1
    reasons = dict(done.excluded.select("utterance", "reason").iter_rows())
    assert set(reasons) == {"broken", "empty", "silent", "short"}
    assert "empty" in reasons["empty"] and "too short" in reasons["short"] and "silent" in reasons["silent"]
    Path("bad/good.wav").unlink()
    with pytest.raises(InvalidInput, match="no audio can be labelled") as error:
        predict(Path("model"), (Path("bad"),))
    assert "bad/short.wav" in str(error.value)


def test_long_recordings_and_other_rates_are_labelled_too() -> None:
    samples, rate = soundfile.read("audio/aa0high0.wav")
    long = np.tile(samples, 1 + 40 * rate // len(samples))
    soundfile.write("long.wav", long, rate)
    soundfile.write("fast.wav", np.repeat(np.stack([samples, samples], 1), 3, axis=0), 3 * rate)
    table = predict(Path("model"), (Path("long.wav"), Path("fast.wav"), Path("audio/aa0high0.wav"))).table
    assert table["prediction"].to_list() == ["high"] * 3
    in_memory = folder.load("model").predict(long, rate)
    assert in_memory.weights["high"] == pytest.approx(table["p_high"][0], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "audio"], "nowhere: no such folder"),
        (["audio", "audio"], "audio: not a trained model"),
        (["model"], "audio"),
        (["model", "nowhere.wav", "neither"], "nowhere.wav: no such file or folder"),
        (["model", "nowhere.csv"], "nowhere.csv"),
        (["model", "manifest.csv", "audio"], "a manifest goes alone"),
        (["model", "model/encoder"], "no file in it ends as sound files do"),
        (["model", "study.toml"], "no audio can be labelled"),
        (["model", "audio", "--output", "said.json"], "said.json: answers are written as .csv"),
        (["model", "columns.csv"], "column 'audio' is missing"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what(
    arguments: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "columns.csv").write_text("utterance,path\n1,audio/aa0high0.wav\n")
    with pytest.raises(SystemExit) as ended:
        main(["predict", *arguments])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_the_terminal_shows_label_and_probability(capsys: pytest.CaptureFixture[str]) -> None:
    main(["predict", "model", "audio/aa0high0.wav", "audio/aa0low0.wav"])
    shown = capsys.readouterr().out
    (row,) = predict(Path("model"), (Path("audio/aa0low0.wav"),)).table.to_dicts()
    assert "aa0low0" in shown and f"{row['p_low']:.3f}" in shown
    main(["predict", "model", "audio", "--output", "said.csv"])
    shown = capsys.readouterr().out
    assert "... and 76 more" in shown and "written: said.csv" in shown


def test_a_study_of_numbers_gives_numbers(here: Path) -> None:
    file = write(here, epochs=15)
    text = file.read_text().replace('column = "pitch"', 'column = "hertz"\nkind = "regression"')
    (here / "numbers.toml").write_text(text.replace('name = "tuned"', 'name = "numbers"'))
    train(here / "numbers.toml", source="aa", output=here / "numbers")
    table = predict(here / "numbers", (here / "manifest.csv",)).table
    assert table.columns == ["utterance", "audio", "prediction"]
    truth = pl.read_csv("manifest.csv")["hertz"].to_numpy()
    said = table["prediction"].to_numpy()
    assert np.corrcoef(said, truth)[0, 1] > 0.5 and 80 < said.mean() < 250
    with pytest.raises(SibbolethError, match="not finished|not a trained"):
        folder.load(here / "cache")
