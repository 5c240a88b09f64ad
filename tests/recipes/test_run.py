"""The main job, from a study file to a report, on small made sounds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from sklearn.metrics import balanced_accuracy_score

from sibboleth import predictions
from sibboleth.errors import InvalidInput, RefusedByAudit, SibbolethError
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

LABELS = ("high", "low")
STUDY = """
name = "tones"
domain = "language"
seeds = {seeds}
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[[encoders]]
name = "untrained:tiny-wav2vec2"
[probe]
{probe}
[splits]
folds = 3
dev = 0.34
[statistics]
resamples = 200
{more}
"""


def tones(folder: Path, flipped: tuple[str, ...] = (), speakers: int = 6, each: int = 4) -> Path:
    """Write buzzes of two pitches by several speakers of two languages; in `flipped` ones the labels are swapped."""
    rng = np.random.default_rng(5)
    rows = []
    for language in ("aa", "bb"):
        for speaker in range(speakers):
            for take in range(each):
                for label in LABELS:
                    pitch = (220 if label == "high" else 120) * rng.uniform(0.85, 1.15)
                    seconds = rng.uniform(0.4, 0.7)
                    time_axis = np.arange(int(16000 * seconds)) / 16000
                    tone = sum(np.sin(2 * np.pi * pitch * k * time_axis) / k for k in range(1, 8))
                    name = f"{language}{speaker}{label}{take}.wav"
                    (folder / "audio").mkdir(exist_ok=True)
                    noise = rng.normal(0, 0.02, len(time_axis))
                    soundfile.write(folder / "audio" / name, 0.1 * tone + noise, 16000, subtype="PCM_16")
                    given = LABELS[1 - LABELS.index(label)] if language in flipped else label
                    rows.append((f"audio/{name}", f"{language}-{speaker}", language, given, f"{pitch:.1f}"))
    table = pl.DataFrame(rows, schema=["audio", "speaker", "language", "pitch", "hertz"], orient="row")
    table.write_csv(folder / "manifest.csv")
    return folder / "manifest.csv"


def study(folder: Path, probe: str = "", more: str = "", seeds: int = 1) -> Path:
    path = folder / "study.toml"
    path.write_text(STUDY.format(probe=probe, more=more, seeds=seeds))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """One whole run."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        tones(folder)
        page = run(study(folder), output=folder / "run")
    assert page == folder / "run" / "report.html"
    return RunDirectory(folder / "run")


def main_scores(directory: RunDirectory, rater: str = "selected") -> pl.DataFrame:
    record = directory.read()
    wanted = (pl.col("metric") == record["main_metric"]) & (pl.col("slice") == "all") & (pl.col("rater") == rater)
    return directory.table("scores").filter(wanted).join(directory.table("cells"), on="run")


def test_every_promised_file_is_there_and_the_record_is_whole(finished: RunDirectory) -> None:
    for name in ("predictions", "scores", "comparisons", "cells", "selection", "utterances"):
        assert finished.table(name).height > 0, name
    record = finished.read()
    assert record["status"] == "complete"
    assert record["chance"] == 0.5
    assert record["domains"] == ["aa", "bb"]
    assert [one["kind"] for one in record["encoders"]] == ["control", "control"]
    assert all((finished / cell["file"]).exists() for cell in record["cells"])
    assert len(record["cells"]) == 4
    assert (finished / "report.html").stat().st_size > 10_000
    assert isinstance(json.loads((finished / "audit.json").read_text()), list)


def test_each_test_utterance_is_answered_once_by_every_rater_of_every_regime(finished: RunDirectory) -> None:
    table = predictions.validate(finished.table("predictions")).filter(pl.col("source") == "model")
    utterances = finished.table("utterances")
    cells = finished.table("cells")
    assert set(cells["regime"]) == {"within", "zero-shot", "target-selected"}
    for row in cells.iter_rows(named=True):
        mine = table.filter(pl.col("run") == row["run"])
        domain = utterances.filter(pl.col("language") == row["domain"])["utterance"].sort()
        for (rater,), some in mine.group_by("rater"):
            answered = some.unique(["utterance", "trial"])["utterance"].sort()
            assert answered.to_list() == domain.to_list(), (row["run"], rater)
        total = mine.group_by("utterance", "rater", "layer", "trial").agg(pl.col("value").sum())["value"]
        np.testing.assert_allclose(total, 1, atol=1e-6)


def test_scores_are_those_of_an_independent_metric(finished: RunDirectory) -> None:
    table = finished.table("predictions")
    truth = table.filter(pl.col("source") == "reference").select("utterance", truth="label")
    for row in main_scores(finished).iter_rows(named=True):
        mine = predictions.decide(table.filter((pl.col("run") == row["run"]) & (pl.col("rater") == "selected")))
        joined = mine.join(truth, on="utterance")
        assert row["estimate"] == pytest.approx(balanced_accuracy_score(joined["truth"], joined["label"]))
        assert row["clusters"] == 6
        assert row["low"] <= row["estimate"] <= row["high"]


def test_pitch_is_heard_within_and_across(finished: RunDirectory) -> None:
    scores = main_scores(finished).filter(pl.col("encoder") == "logmel")
    assert scores["estimate"].min() > 0.95


def test_the_layer_is_chosen_on_dev(finished: RunDirectory) -> None:
    """In every fold the selected layer is the best one on dev, the lower of equals."""
    layers = finished.table("selection").filter(pl.col("layer").is_not_null())
    for _, fold in layers.group_by("run", "fold"):
        best = fold.sort("dev", "layer", descending=[True, False])["layer"][0]
        assert fold.filter(pl.col("selected"))["layer"].to_list() == [best]


def test_a_code_turned_round_in_one_language_falls_below_chance(tmp_path: Path) -> None:
    tones(tmp_path, flipped=("bb",))
    run(study(tmp_path), output=tmp_path / "run")
    scores = main_scores(RunDirectory(tmp_path / "run")).filter(pl.col("encoder") == "logmel")
    assert scores.filter(pl.col("regime") == "within")["estimate"].min() > 0.95
    assert scores.filter(pl.col("regime") == "zero-shot")["high"].max() < 0.5


def test_the_mlp_probe_with_two_seeds_counts_each_utterance_in_both(tmp_path: Path) -> None:
    tones(tmp_path)
    probe = 'kind = "mlp"\nhidden = [8]\nlearning_rate = 0.01\nepochs = 15\nstandardise = true'
    run(study(tmp_path, probe, seeds=2), output=tmp_path / "run")
    scores = main_scores(RunDirectory(tmp_path / "run")).filter(pl.col("encoder") == "logmel")
    assert scores["estimate"].min() > 0.9
    assert set(scores["n"]) == {96}
    table = RunDirectory(tmp_path / "run").table("predictions").filter(pl.col("source") == "model")
    assert table["trial"].unique().sort().to_list() == [0, 1]


def test_a_regression_target_gets_ccc(tmp_path: Path) -> None:
    tones(tmp_path)
    path = study(tmp_path)
    text = path.read_text().replace('column = "pitch"', 'column = "hertz"\nkind = "regression"')
    path.write_text(text.replace('[[encoders]]\nname = "untrained:tiny-wav2vec2"\n', ""))
    run(path, output=tmp_path / "run")
    record = RunDirectory(tmp_path / "run").read()
    assert record["main_metric"] == "ccc"
    assert main_scores(RunDirectory(tmp_path / "run"))["estimate"].min() > 0.9


def test_the_same_study_again_changes_no_byte_and_trains_nothing(tmp_path: Path) -> None:
    tones(tmp_path)
    run(study(tmp_path), output=tmp_path / "run")
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "run/cells").iterdir()}
    scores = (tmp_path / "run" / "scores.parquet").read_bytes()
    run(study(tmp_path), output=tmp_path / "run")
    after = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "run/cells").iterdir()}
    assert after == before
    assert (tmp_path / "run" / "scores.parquet").read_bytes() == scores


def test_a_killed_run_goes_on_to_the_same_tables(
    tmp_path: Path, finished: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL as soon as the first cell is there; the second run keeps it and ends in equal tables."""
    tones(tmp_path)
    command = [sys.executable, "-m", "sibboleth", "run", str(study(tmp_path)), "--output", str(tmp_path / "run")]
    environment = {**os.environ, "SIBBOLETH_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "run").glob("cells/logmel*.parquet")) and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    process.wait()
    cells = [file for file in (tmp_path / "run" / "cells").iterdir() if file.name.count(".") == 1]
    kept = {file: file.stat().st_mtime_ns for file in cells}
    assert RunDirectory(tmp_path / "run").read()["status"] == "running"
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "cache"))
    run(tmp_path / "study.toml", output=tmp_path / "run")
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    for name in ("predictions", "scores", "comparisons"):
        assert RunDirectory(tmp_path / "run").table(name).equals(finished.table(name)), name


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_cleanly_and_says_that_it_goes_on(tmp_path: Path) -> None:
    tones(tmp_path)
    command = [sys.executable, "-m", "sibboleth", "run", str(study(tmp_path)), "--output", str(tmp_path / "run")]
    environment = {**os.environ, "SIBBOLETH_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "run.json").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, complaints
    assert "goes on" in complaints
    assert "Traceback" not in complaints
    assert RunDirectory(tmp_path / "run").read()["status"] == "interrupted"


def test_one_bad_file_never_loses_the_others(tmp_path: Path) -> None:
    manifest = tones(tmp_path)
    (tmp_path / "audio" / "aa0high0.wav").write_bytes(b"this is no sound")
    soundfile.write(tmp_path / "audio" / "bb1low2.wav", np.zeros(8000), 16000)
    run(study(tmp_path), output=tmp_path / "run")
    record = RunDirectory(tmp_path / "run").read()
    assert {Path(row["audio"]).name for row in record["excluded"]} == {"aa0high0.wav", "bb1low2.wav"}
    assert RunDirectory(tmp_path / "run").table("utterances").height == pl.read_csv(manifest).height - 2


def test_random_folds_are_refused_unless_allowed_by_name(tmp_path: Path) -> None:
    tones(tmp_path)
    text = study(tmp_path).read_text().replace("[splits]", '[splits]\nscheme = "random-folds"')
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(RefusedByAudit, match="shared-speakers"):
        run(tmp_path / "study.toml", output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "study.toml").write_text(
        text.replace('domain = "language"', 'domain = "language"\nallow = ["shared-speakers"]')
    )
    run(tmp_path / "study.toml", output=tmp_path / "run")
    findings = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert [f["allowed"] for f in findings if f["name"] == "shared-speakers"] == [True]


def test_soft_labels_from_columns_are_learnt_and_scored(tmp_path: Path) -> None:
    manifest = tones(tmp_path)
    table = pl.read_csv(manifest).with_columns(
        pl.when(pl.col("pitch") == "high").then(0.9).otherwise(0.2).alias("mood.high"),
        pl.when(pl.col("pitch") == "high").then(0.1).otherwise(0.8).alias("mood.low"),
    )
    table.write_csv(manifest)
    path = study(tmp_path)
    path.write_text(path.read_text().replace('column = "pitch"', 'column = "mood"'))
    run(path, output=tmp_path / "run")
    scores = RunDirectory(tmp_path / "run").table("scores")
    logmel = scores.filter(pl.col("run").str.starts_with("logmel/linear/within") & (pl.col("slice") == "all"))
    assert logmel.filter(pl.col("metric") == "uar")["estimate"].min() > 0.8
    assert logmel.filter(pl.col("metric") == "total_variation")["estimate"].max() < 0.2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('column = "pitch"', 'column = "emotion"', "no column 'emotion'"),
        ('domain = "language"', 'domain = "region"', "no column 'region'"),
        ('column = "pitch"', 'column = "pitch"\nlabels = ["high", "middle"]', "middle"),
        ('column = "pitch"', 'column = "pitch"\nkind = "regression"', "not a number"),
        ('manifest = "manifest.csv"', 'manifest = "manifest.csv"\nlabels = { loud = "high" }', "never is"),
        ('manifest = "manifest.csv"', 'manifest = "manifest.csv"\nkeep = { language = ["cc"] }', "keep leaves no row"),
        ('manifest = "manifest.csv"', 'manifest = "none.csv"', "none.csv"),
        ("logmel", "untrained:nonsense", "nonsense"),
    ],
)
def test_a_study_that_does_not_fit_its_corpora_is_told_why(tmp_path: Path, old: str, new: str, said: str) -> None:
    tones(tmp_path, speakers=3, each=1)
    path = study(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises((InvalidInput, SibbolethError), match=said):
        run(path, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def logmel_only(folder: Path, **changes: str) -> Path:
    """Write the study with one quick encoder; each change replaces a piece of text."""
    path = study(folder)
    text = path.read_text().replace('[[encoders]]\nname = "untrained:tiny-wav2vec2"\n', "")
    for change in changes.values():
        old, new = change.split(" => ")
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_an_encoder_that_fails_on_some_loses_only_those_and_tries_again(tmp_path: Path) -> None:
    """A transient failure is told, and is made good by the same command once its cause is gone."""
    tones(tmp_path)
    (tmp_path / "own.py").write_text(
        "import pathlib, numpy as np\n"
        f"broken = pathlib.Path({str(tmp_path / 'broken')!r})\n"
        "def encode(audio, rate):\n"
        "    if broken.exists() and abs(len(audio) - 8000) < 300: raise RuntimeError('out of memory')\n"
        "    frames = audio[: len(audio) // 160 * 160].reshape(-1, 160)\n"
        "    return np.abs(np.fft.rfft(frames, 512))[None, :, :24].astype(np.float32)\n"
    )
    path = logmel_only(tmp_path, encoder='name = "logmel" => name = "python:own.py:encode"')
    (tmp_path / "broken").touch()
    run(path, output=tmp_path / "run", trust=True)
    record = RunDirectory(tmp_path / "run").read()
    lost = {row["utterance"] for row in record["excluded"]}
    assert lost and all("out of memory" in row["reason"] for row in record["excluded"])
    run(path, output=tmp_path / "run", trust=True)
    assert {row["utterance"] for row in RunDirectory(tmp_path / "run").read()["excluded"]} == lost
    (tmp_path / "broken").unlink()
    run(path, output=tmp_path / "run", trust=True)
    assert RunDirectory(tmp_path / "run").read()["excluded"] == []
    assert set(main_scores(RunDirectory(tmp_path / "run"))["n"]) == {48}


def test_results_of_another_study_do_not_outlive_its_record(tmp_path: Path) -> None:
    tones(tmp_path)
    run(logmel_only(tmp_path), output=tmp_path / "run")
    (tmp_path / "own.py").write_text("def encode(audio, rate):\n    raise RuntimeError('never')\n")
    with pytest.raises(SibbolethError):
        run(logmel_only(tmp_path, encoder='"logmel" => "python:own.py:encode"'), output=tmp_path / "run", trust=True)
    left = {file.name for file in (tmp_path / "run").iterdir()}
    record = RunDirectory(tmp_path / "run").read()
    told = [encoder["name"] for encoder in record["encoders"]]
    assert ("scores.parquet" in left) == (told == ["logmel"]), (left, told)


def test_a_damaged_cell_is_made_again(tmp_path: Path) -> None:
    tones(tmp_path)
    run(logmel_only(tmp_path), output=tmp_path / "run")
    before = RunDirectory(tmp_path / "run").table("scores")
    for file in (tmp_path / "run" / "cells").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    run(logmel_only(tmp_path), output=tmp_path / "run")
    assert RunDirectory(tmp_path / "run").table("scores").equals(before)


def test_soft_and_hard_labelled_corpora_go_together_under_one_label_map(tmp_path: Path) -> None:
    for name in ("hard", "soft"):
        (tmp_path / name).mkdir()
        tones(tmp_path / name)
    table = pl.read_csv(tmp_path / "soft" / "manifest.csv")
    high = pl.col("pitch") == "high"
    table.select(
        pl.exclude("pitch"),
        pl.when(high).then(0.5).otherwise(0.1).alias("pitch.hoch"),
        pl.when(high).then(0.4).otherwise(0.1).alias("pitch.high"),
        pl.when(high).then(0.1).otherwise(0.8).alias("pitch.low"),
    ).write_csv(tmp_path / "soft" / "manifest.csv")
    path = logmel_only(tmp_path, manifest='"manifest.csv" => "hard/manifest.csv"', domain='"language" => "corpus"')
    path.write_text(
        path.read_text() + '[[corpora]]\nname = "soft"\nmanifest = "soft/manifest.csv"\nlabels = { hoch = "high" }\n'
    )
    run(path, output=tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    assert directory.read()["excluded"] == []
    assert set(main_scores(directory)["n"]) == {96}
    reference = directory.table("predictions").filter((pl.col("source") == "reference") & (pl.col("label") == "high"))
    assert {round(value, 6) for value in reference["value"]} == {1.0, 0.9, 0.2}


@pytest.mark.parametrize("kind", ["a file", "other files", "a file above"])
def test_a_place_where_no_run_can_be_is_refused_before_any_work(tmp_path: Path, kind: str) -> None:
    tones(tmp_path, speakers=3, each=1)
    output = tmp_path / "run"
    if kind == "other files":
        output.mkdir()
        (output / "thesis.tex").write_text("mine")
    else:
        output.write_text("mine")
    with pytest.raises(SibbolethError, match="--output"):
        run(logmel_only(tmp_path), output=output / "below" if kind == "a file above" else output)
    assert not (tmp_path / "run" / "run.json").exists()


def test_no_chance_level_is_claimed_where_domains_have_different_labels(tmp_path: Path) -> None:
    manifest = tones(tmp_path)
    third = (pl.col("language") == "bb") & (pl.int_range(pl.len()) % 3 == 0)
    table = pl.read_csv(manifest).with_columns(pl.when(third).then(pl.lit("odd")).otherwise("pitch").alias("pitch"))
    table.write_csv(manifest)
    run(logmel_only(tmp_path), output=tmp_path / "run")
    assert RunDirectory(tmp_path / "run").read()["chance"] is None
    assert "chance is" not in (tmp_path / "run" / "report.html").read_text()


def test_rows_that_keep_drops_are_counted(tmp_path: Path) -> None:
    tones(tmp_path)
    kept = 'manifest = "manifest.csv" => manifest = "manifest.csv"\nkeep = { language = ["aa"] }'
    path = logmel_only(tmp_path, manifest=kept)
    run(path, output=tmp_path / "run")
    excluded = RunDirectory(tmp_path / "run").read()["excluded"]
    assert len(excluded) == 48
    assert {row["reason"] for row in excluded} == {"keep asks for other values of 'language'"}
