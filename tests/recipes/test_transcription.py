"""A study of transcripts on made sounds whose letters are tones: curve, methods, budgets, rates, kills."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from polars.testing import assert_frame_equal

from sibboleth import study as studies
from sibboleth.errors import InvalidInput
from sibboleth.models.tuning import parts
from sibboleth.recipes.plan import plan
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

RATE = 16_000
HERTZ = {"a": 300, "b": 600, "c": 1200, "d": 2400}
STUDY = """
name = "tones"
domain = "language"
regimes = ["within", "zero-shot"]
[target]
kind = "transcription"
[[corpora]]
name = "made"
manifest = "manifest.csv"
{encoders}
{methods}
[training]
epochs = {epochs}
patience = {epochs}
learning_rate = 0.01
batch_seconds = 1
{training}
[splits]
folds = 2
dev = 0.34
{splits}
[statistics]
resamples = 200
"""
LOGMEL = '[[encoders]]\nname = "logmel"\n'
TINY = '[[encoders]]\nname = "untrained:tiny-wav2vec2"\n'


def tone(letter: str, random: np.random.Generator) -> np.ndarray:
    """Make a tone for a letter, and a hiss for the blank between words."""
    time = np.arange(int(random.uniform(0.08, 0.12) * RATE)) / RATE
    hiss = letter == " "
    sound = random.standard_normal(len(time)) if hiss else np.sin(2 * np.pi * HERTZ[letter] * time)
    return np.concatenate([sound * np.hanning(len(time)), np.zeros(int(0.04 * RATE))])


def tones(folder: Path, each: int = 8, extra: str = "") -> None:
    """Write two languages of six speakers each, who say two to four letters per utterance, each a word.

    One utterance has more text than it has frames, one no text, one only a dash.
    """
    random, rows = np.random.default_rng(3), []
    for speaker in range(12):
        language = "aa" if speaker < 6 else "bb"
        for number in range(each):
            letters = random.choice(list(HERTZ), random.integers(2, 5))
            sound = np.concatenate([np.zeros(800), *(tone(one, random) for one in " ".join(letters))])
            path = folder / f"{speaker}-{number}.wav"
            soundfile.write(path, 0.3 * sound + 0.003 * random.standard_normal(len(sound)), RATE)
            rows.append((path.name, f"s{speaker}", language, " ".join(letters).upper() + "."))
    for name, text in (("fast", "a" * 60), ("mute", ""), ("dash", "-")):
        soundfile.write(folder / f"{name}.wav", 0.3 * tone("a", random), RATE)
        rows.append((f"{name}.wav", "s0", "aa", text))
    text = "".join(f'{file},{speaker},{language},"{said}"\n' for file, speaker, language, said in rows)
    (folder / "manifest.csv").write_text("audio,speaker,language,text\n" + text + extra)


def study(
    folder: Path, encoders: str = LOGMEL, methods: str = "", epochs: int = 25, training: str = "", splits: str = ""
) -> Path:
    path = folder / "study.toml"
    path.write_text(STUDY.format(encoders=encoders, methods=methods, epochs=epochs, training=training, splits=splits))
    return path


def scores(directory: RunDirectory, metric: str = "wer") -> pl.DataFrame:
    """Main scores of selected raters beside what their runs are."""
    table = directory.table("scores").filter(metric=metric, slice="all", rater="selected")
    return table.join(directory.table("cells"), on="run")


def made(folder: Path, *settings: str, run_name: str = "run", **more: str | int) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        run(study(folder, *settings, **more), output=folder / run_name, trust=True)  # type: ignore[arg-type]
    return RunDirectory(folder / run_name)


HEAD = """
[[methods]]
name = "head"
[methods.training]
epochs = 12
learning_rate = [0.00001, 0.03]
select = "metric"
batch_seconds = 1
"""


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of the control, which hears tones well, with a budget and two learning rates."""
    folder = tmp_path_factory.mktemp("learnt")
    tones(folder)
    return made(folder, LOGMEL, HEAD, training='decay = "constant"', splits="seconds = [6]")


def test_tones_are_spelt(learnt: RunDirectory) -> None:
    found = scores(learnt).filter(method="ctc")
    whole = found.filter(pl.col("seconds").is_null())
    assert len(whole) == 4 and (whole["estimate"] < 0.15).all(), "of a frozen control, within and across"
    fewer = found.filter(seconds=6.0)
    assert len(fewer) == 4 and set(fewer["regime"]) == {"within(6 s)", "zero-shot(6 s)"}
    assert fewer["estimate"].mean() > whole["estimate"].mean(), "less speech, more errors"  # type: ignore[operator]


def test_a_transcript_is_one_row_with_its_text(learnt: RunDirectory) -> None:
    table = learnt.table("predictions")
    said = table.filter(pl.col("source") == "model", pl.col("rater") == "selected")
    counts = said.group_by("run", "utterance").len()
    assert (counts["len"] == 1).all() and (said["value"] == 1).all()
    assert set("".join(said["label"])) <= set("abcd ")
    true = table.filter(source="reference").join(
        learnt.table("utterances").select("utterance", "written"), on="utterance"
    )
    assert (true["label"] == true["written"].str.to_lowercase().str.strip_chars(" .")).all()


def test_dev_chooses_the_rate_that_learns_and_says_so(learnt: RunDirectory) -> None:
    chosen = learnt.table("selection").filter(pl.col("run").str.contains("/head/"))
    assert (chosen["learning_rate"] == 0.03).all() and (chosen["dev"] >= 0).all(), "dev is the WER, not its negative"
    log = learnt.table("learning").filter(method="head")
    assert set(log["learning_rate"]) == {0.00001, 0.03}
    per_fold = log.group_by("source", "fold").agg(pl.col("selected").sum(), pl.col("learning_rate").filter("selected"))
    assert (per_fold["selected"] == 1).all() and set(per_fold["learning_rate"].explode()) == {0.03}


def test_what_cannot_be_spelt_is_named(learnt: RunDirectory) -> None:
    record = learnt.read()
    reasons = {one["utterance"]: one["reason"] for one in record["excluded"]}
    assert reasons["made/mute"].startswith("no text in column 'text'")
    assert "leaves no text of -" in reasons["made/dash"]
    assert "for a text that needs 119" in reasons["made/fast"] and "not trained on" in reasons["made/fast"]
    tested = learnt.table("predictions").filter(pl.col("utterance") == "made/fast", source="model")
    assert tested.height, "it is tested as all others"
    assert record["transcripts"]["characters"] == [" ", "a", "b", "c", "d"] and not record["transcripts"]["unknown"]
    assert record["chance"] is None and record["main_metric"] == "wer"


def test_the_report_is_about_errors(learnt: RunDirectory) -> None:
    page = (learnt / "report.html").read_text()
    for words in ("lower is better", "Learning curves by budget", "Reference: <strong>", "Word by word", "REF: a"):
        assert words in page
    assert (learnt / "figures" / "budgets-within.svg").exists()


def test_the_report_says_for_whom(learnt: RunDirectory) -> None:
    """Languages are the domains here, so what one training answers to both is put together."""
    page = (learnt / "report.html").read_text()
    for words in ("For whom it errs", "WER by language, of what each training answers", "Matched pairs (MAPSSWE)"):
        assert words in page
    table = pl.read_csv(learnt / "tables" / "errors-by-group.csv")
    assert set(table["run"]) == {f"logmel/{m}/zero-shot/{s}>*" for m in ("ctc", "head") for s in ("aa", "bb")}
    home = table.filter(run="logmel/ctc/zero-shot/aa>*", group="aa").row(0, named=True)
    own = scores(learnt).filter(run="logmel/ctc/within/aa>aa").row(0, named=True)
    assert home["wer"] == pytest.approx(own["estimate"]) and home["clusters"] == own["clusters"] == 6
    assert (learnt / "figures" / "errors-by-domain.svg").exists()


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of a transformer: a curve over its layers, low-rank updates under masks, and every weight from audio."""
    folder = tmp_path_factory.mktemp("layered")
    tones(folder, each=4)
    lora = '[[methods]]\nname = "lora"\nlora = { rank = 2 }\n[methods.training]\nepochs = 2\nhead_first = 1\n'
    lora += 'decay = "tri-stage"\naugmentation = { time_mask = 0.65, feature_mask = 0.25, feature_mask_length = 8 }\n'
    whole = '[[methods]]\nname = "full"\ntrain = "encoder"\n[methods.training]\nepochs = 1\n'
    mixed = '[[methods]]\nname = "mixed"\nmix = true\n[methods.training]\nepochs = 2\n'
    return made(folder, TINY, lora + whole + mixed, 3)


def test_every_layer_answers_and_dev_takes_the_one_with_the_fewest_errors(layered: RunDirectory) -> None:
    table = layered.table("predictions").filter(pl.col("run").str.contains("/ctc/"))
    assert set(table["rater"]) == {*(f"layer-{k:02d}" for k in range(5)), "selected"}
    assert table.group_by("run", "rater").len()["len"].n_unique() == 2, "one answer per layer and utterance"
    selection = layered.table("selection").filter(pl.col("run").str.contains("/ctc/"))
    best = selection.filter("selected").join(
        selection.group_by("run", "fold").agg(pl.col("dev").min().alias("least")), on=["run", "fold"]
    )
    assert (best["dev"] == best["least"]).all() and len(best) == selection.select("run", "fold").n_unique()
    chosen = table.filter(rater="selected").join(
        table.filter(pl.col("rater") != "selected"), on=["run", "utterance", "layer"], suffix="_of_layer"
    )
    assert len(chosen) == len(table.filter(rater="selected")) and (chosen["label"] == chosen["label_of_layer"]).all()


def test_every_epoch_of_every_layer_is_logged(layered: RunDirectory) -> None:
    log = layered.table("learning").filter(method="ctc")
    assert set(log["layer"]) == set(range(5)) and set(log["epoch"]) == {1, 2, 3}
    chosen = log.filter("selected").select("source", "fold", "trial", "layer", choice=pl.col("epoch").cast(pl.Float64))
    said = layered.table("selection").filter(pl.col("run").str.contains("/ctc/within/"))
    assert len(chosen) == len(said) and len(chosen.join(said, on=["fold", "trial", "layer", "choice"], how="semi"))
    assert layered.table("learning").filter(pl.col("method") != "ctc")["layer"].unique().to_list() == [4]


def test_all_methods_transcribe(layered: RunDirectory) -> None:
    cells = layered.table("cells")
    assert set(cells.filter("tuned")["method"]) == {"lora", "full", "mixed"}
    assert set(cells.filter(~pl.col("tuned"))["method"]) == {"ctc"}
    methods = {row["method"]: row for row in layered.table("methods").to_dicts()}
    head = (64 + 1) * 6
    assert methods["mixed"]["trained"] == head + 5 and methods["lora"]["trained"] > head
    assert methods["full"]["trained"] > methods["lora"]["trained"] > methods["mixed"]["trained"]
    assert scores(layered)["estimate"].is_finite().all()


def test_a_run_that_was_stopped_comes_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tones(tmp_path, each=4)
    whole = made(tmp_path, LOGMEL, HEAD, 4)
    write, calls = parts.write, []

    def stopping(path: Path, part: parts.Part) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(path, part)

    monkeypatch.setattr(parts, "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, LOGMEL, HEAD, 4, run_name="cut")
    again = made(tmp_path, LOGMEL, HEAD, 4, run_name="cut")
    assert len(set(calls)) == len(calls) - 1, "only what was lost is done again"
    for name in ("predictions", "scores", "selection"):
        assert_frame_equal(whole.table(name), again.table(name))


def test_characters_that_no_training_text_has_are_told_and_count_as_errors(tmp_path: Path) -> None:
    tones(tmp_path, each=4)
    table = pl.read_csv(tmp_path / "manifest.csv").filter(pl.col("text").is_not_null(), pl.col("audio") != "dash.wav")
    speaker = pl.col("speaker").str.slice(1).cast(pl.Int64) % 6
    lists = table.select(
        pl.concat_str(pl.lit("made/"), pl.col("audio").str.strip_suffix(".wav")).alias("utterance"),
        part=pl.when(speaker < 3).then(pl.lit("train")).when(speaker < 4).then(pl.lit("dev")).otherwise(pl.lit("test")),
        has=pl.col("text").str.contains("D"),
    )
    kept = lists.filter(~(pl.col("has") & (pl.col("part") == "train")))
    kept.drop("has").write_csv(tmp_path / "lists.csv")
    text = study(tmp_path, LOGMEL, epochs=2).read_text().replace("folds = 2\n", 'scheme = "file"\nfile = "lists.csv"\n')
    (tmp_path / "study.toml").write_text(text)
    directory = RunDirectory(run(tmp_path / "study.toml", output=tmp_path / "run").parent)
    told = directory.read()["transcripts"]
    assert told["characters"] == [" ", "a", "b", "c"] and list(told["unknown"]) == ["d"] and told["unknown"]["d"] > 3
    assert set(lists.filter("has")["utterance"]) == set(told["unknown_utterances"])
    table = directory.table("predictions")
    assert not table.filter(source="model")["label"].str.contains("d").any()
    assert table.filter(source="reference")["label"].str.contains("d").any()


def test_a_plan_counts_its_trainings(tmp_path: Path) -> None:
    tones(tmp_path, each=2)
    found = plan(study(tmp_path, LOGMEL + TINY, HEAD, splits="seconds = [2]"), output=tmp_path / "run")
    fits = {line.encoder: line.fits for line in found.lines}
    assert fits == {
        "logmel + ctc": 8,
        "logmel + head": 16,
        f"{TINY.split(chr(34))[1]} + ctc": 8,
        **{f"{TINY.split(chr(34))[1]} + head": 16},
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": {"kind": "transcription", "labels": ["a", "b"]}}, "labels are of a classification"),
        ({"probe": {"kind": "linear"}}, "they have no other"),
        ({"target": {"kind": "classification"}, "probe": {"kind": "ctc"}}, "is of transcripts"),
        ({"target": {"kind": "transcription", "normalisation": "loud"}}, "normalisation must be one of none, basic"),
        ({"splits": {"balance": ["language"]}}, "splits.balance: it is of labels"),
        ({"training": {"class_weights": True}}, "training.class_weights: it is of labels"),
        ({"training": {"learning_rate": [0.1, 0.1]}}, "each candidate once"),
        ({"methods": [{"name": "ctc"}]}, "ctc is the name of a probe"),
        ({"splits": {"seconds": [10, 10]}}, "each once"),
    ],
)
def test_what_does_not_go_with_transcripts_is_said(settings: dict[str, object], words: str) -> None:
    base = {"name": "n", "corpora": [{"name": "c", "manifest": "m.csv"}], "target": {"kind": "transcription"}}
    with pytest.raises(ValueError, match=words):
        studies.Study.model_validate(base | settings)
    assert studies.Study.model_validate(base).target.column == "text"


def test_an_encoder_without_frames_cannot_transcribe(tmp_path: Path) -> None:
    tones(tmp_path, each=2)
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef voice(audio, rate):\n    return np.array([audio.std(), audio.max()], np.float32)\n"
    )
    with pytest.raises(InvalidInput, match="no frames to transcribe"):
        made(tmp_path, '[[encoders]]\nname = "python:mine.py:voice"\n')


def test_a_changed_table_of_accents_changes_what_is_asked_of_it(tmp_path: Path) -> None:
    """Domains of the old table are not answered for the new one; the record holds the digest of both."""
    tones(tmp_path, each=2)
    table = pl.read_csv(tmp_path / "manifest.csv").with_columns(accents=pl.col("language"))
    table.with_columns(pl.when(pl.col("speaker") == "s5").then(None).otherwise("accents").alias("accents")).write_csv(
        tmp_path / "manifest.csv"
    )
    file = study(tmp_path, LOGMEL, epochs=1)
    text = (
        file.read_text()
        .replace('"language"', '"accent"')
        .replace('"manifest.csv"', '"manifest.csv"\naccents = "a.csv"')
    )
    file.write_text(text)
    found = []
    for other in ("East", "West"):
        (tmp_path / "a.csv").write_text(f"said,accent,dialect\naa,North,\nbb,{other},\n")
        run(file, output=tmp_path / "run")
        directory = RunDirectory(tmp_path / "run")
        record = directory.read()
        assert record["domains"] == sorted(["North", other])
        assert set(directory.table("cells")["domain"]) == {"North", other}
        assert set(directory.table("group-scores")["slice"]) >= {"accent=North", f"accent={other}"}
        found.append((record["corpora"][0]["accents"], {one["file"] for one in record["cells"]}))
    (first, cells), (second, again) = found
    assert first["digest"] != second["digest"] and not cells & again, "their domains are others"
    assert first["utterances"] == second["utterances"] and first["utterances"]["not said"] == 0
    left = {one["utterance"]: one["reason"] for one in record["excluded"]}
    assert left["made/5-0"] == "no value in the domain column 'accent'"
    assert "Accent unknown" in (directory / "report.html").read_text()
