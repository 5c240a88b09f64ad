"""`sibboleth train` on transcripts, and with several learning rates: what is kept transcribes as its card says."""

from pathlib import Path

import polars as pl
import pytest
from tests.recipes.test_cache import shown
from tests.recipes.test_train import trained
from tests.recipes.test_train import write as labelled
from tests.recipes.test_transcription import HEAD, LOGMEL, study, tones

from sibboleth import study as studies
from sibboleth.errors import InvalidInput
from sibboleth.experiment import final, material
from sibboleth.models.tuning import parts
from sibboleth.recipes.predict import predict
from sibboleth.recipes.run import run
from sibboleth.recipes.score import score
from sibboleth.recipes.train import Trained, train
from sibboleth.recipes.transcribe import transcribe

pytestmark = pytest.mark.usefixtures("one_thread")

RATES = [0.00001, 0.03]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A recogniser of tones whose study has been run."""
    folder = tmp_path_factory.mktemp("kept")
    tones(folder, each=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        file = study(folder, LOGMEL, HEAD, 2)
        only = '[[corpora]]\nkeep = { language = ["aa"] }'
        file.write_text(file.read_text().replace(', "zero-shot"', "").replace("[[corpora]]", only))
        run(file, output=folder / "run")
        return trained(file, source="aa", output=folder / "model", run=folder / "run")


def dev(kept: Trained) -> pl.DataFrame:
    stuff = material.gather(studies.read(kept.model.parent / "study.toml"))
    some, (rows,) = final.narrowed(stuff, final.wanted(stuff.study, None, None, "aa", None))
    told = some.table[rows.dev].select("utterance", "audio", "speaker", "text")
    return told.filter(~pl.col("utterance").str.ends_with("fast"))  # too short for its text: nothing is chosen by it


def test_it_transcribes_its_dev_as_well_as_it_says(kept: Trained) -> None:
    place = kept.model.parent
    dev(kept).write_csv(place / "dev.csv")
    done = transcribe(str(kept.model), (place / "dev.csv",), output=place / "said.csv")
    scored = score((place / "said.csv",), normalise=kept.record.normalisation or "", resamples=100)
    (wer,) = scored.scores.filter(metric="wer", slice="all")["estimate"]
    (stage,) = kept.record.stages
    assert wer == pytest.approx(stage.dev) and wer < 0.6
    assert "--normalise basic" in shown(done)
    assert kept.record.characters == " abcd", "of the rows that train, in order"
    assert stage.utterances + stage.dev_utterances == 24, "of what is left out none trains: fast, mute, dash"


def test_dev_chooses_the_rate_and_that_is_said(kept: Trained) -> None:
    (stage,) = kept.record.stages
    assert stage.learning_rate == 0.03 and "learning rate 0.03, chosen by" in shown(kept)
    log = pl.read_parquet(kept.model / "training.parquet")
    assert log["learning_rate"].unique(maintain_order=True).to_list() == RATES
    chosen = log.filter("selected").row(0, named=True)
    assert log["selected"].sum() == 1 and (chosen["learning_rate"], chosen["epoch"]) == (0.03, stage.epoch)
    assert chosen["dev"] == log["dev"].min(), "the fewest errors, not the most"


def test_its_card_has_the_errors_of_the_study(kept: Trained) -> None:
    card = (kept.model / "README.md").read_text()
    scores = pl.read_parquet(kept.model.parent / "run" / "scores.parquet").filter(slice="all", rater="selected")
    cells = {
        name: f"{row['estimate']:.3f} ["
        for name in ("wer", "cer")
        for row in scores.filter(pl.col("run") == "logmel/head/within/aa>aa", metric=name).to_dicts()
    }
    assert "| regime | language | WER | CER | utterances | speakers |" in card
    (line,) = [line for line in card.splitlines() if line.startswith("| within | aa |")]
    assert cells["wer"] in line and cells["cer"] in line
    for words in ("automatic-speech-recognition", "sibboleth transcribe FOLDER", "5: ␣ a b c d", "chosen by dev among"):
        assert words in card
    assert "rather too low" in card


def test_predict_names_the_verb_that_takes_it(kept: Trained) -> None:
    with pytest.raises(InvalidInput, match="sibboleth transcribe"):
        predict(kept.model, (kept.model.parent / "0-0.wav",))


@pytest.mark.parametrize("rows", ["audio\n0-0.wav\n", "audio,text\n0-0.wav,\n", "audio,text\n0-0.wav,\n0-1.wav,a b\n"])
def test_rows_without_text_are_transcribed(rows: str, kept: Trained) -> None:
    file = kept.model.parent / "asked.csv"
    file.write_text(rows)
    done = transcribe(str(kept.model), (file,))
    assert done.table["hypothesis"][0] and done.excluded.is_empty()
    known = "a b" in rows
    assert done.table["reference"].to_list() == [None, "a b"] if known else "reference" not in done.table.columns
    assert "sibboleth score" not in shown(done) or known or "--normalise" in shown(done)


def test_each_rate_trains_from_the_start_and_is_not_trained_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of labels and of numbers of trainings: what a stop has left is gone on with, in both stages."""
    from tests.recipes.test_run import tones as pitches

    pitches(tmp_path, flipped=("bb",), each=2)
    monkeypatch.chdir(tmp_path)
    encoder, method = '[[encoders]]\nname = "logmel"', '[[methods]]\nname = "head"'

    def file(rates: object) -> Path:
        path = labelled(tmp_path, encoder, method, epochs=3)
        path.write_text(path.read_text().replace("learning_rate = 0.002", f"learning_rate = {rates}"))
        return path

    alone = trained(file(0.02), source="aa", then="bb", output=tmp_path / "alone")
    write, done = parts.write_weights, []

    def stopping(path: Path, several: object) -> None:
        done.append(path.name)
        if len(done) == 3:
            raise KeyboardInterrupt
        write(path, several)  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "write_weights", stopping)
    asked = file([0.000001, 0.02])
    with pytest.raises(KeyboardInterrupt):
        train(asked, source="aa", then="bb", output=tmp_path / "both")
    both = trained(asked, source="aa", then="bb", output=tmp_path / "both")
    assert done == ["stage-1-rate-0.pt", "stage-1-rate-1.pt", "stage-2.pt", "stage-2.pt"]
    assert [one.learning_rate for one in both.record.stages] == [0.02, 0.02]
    heads = [(one.model / "head.safetensors").read_bytes() for one in (alone, both)]
    assert heads[0] == heads[1], "as if there had been no other"
