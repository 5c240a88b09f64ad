"""A whole data study, tiny: pre-trained, stopped half-way, gone on with, and its numbers counted again."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console
from sklearn.metrics import balanced_accuracy_score

from sibboleth import predictions
from sibboleth.errors import InvalidInput, RefusedByAudit, SibbolethError
from sibboleth.experiment.curves import DIFFERENCES, POINTS
from sibboleth.recipes import curves as recipe
from sibboleth.recipes.curves import curves
from sibboleth.runs import RunDirectory
from sibboleth.stats import holm

SECOND = 1 / 3600
FILE = """
name = "data"
question = "How much?"
hours = [{hours}]
domain = "language"
regimes = ["within", "zero-shot"]
[languages]
aa = ["first"]
both = ["first", "second"]
[[speech]]
name = "first"
manifest = "speech.csv"
keep = {{ language = ["aa"] }}
[[speech]]
name = "second"
manifest = "speech.csv"
keep = {{ language = ["bb"] }}
[pretraining.start]
architecture = "tiny-hubert"
[pretraining.objective]
kind = "hubert"
targets = [{{ features = "mfcc", clusters = 4 }}]
[pretraining.batches]
seconds = 4
shortest = 0.5
[pretraining.training]
steps = {steps}
warm_up = 0.9
precision = "float32"
[[corpora]]
name = "labelled"
manifest = "labelled.csv"
{corpus}
[[targets]]
column = "{column}"
[splits]
folds = 2
dev = 0.34
[probe]
l2 = [0.1, 10.0]
[statistics]
resamples = 200
"""
USUAL = {"hours": f"{4 * SECOND}, {8 * SECOND}", "steps": "2", "column": "pitch", "corpus": ""}


def speak(folder: Path) -> None:
    """Write buzzes: some to pre-train on, others of two pitches by several speakers of two languages."""
    rng = np.random.default_rng(5)
    (folder / "audio").mkdir(parents=True)

    def buzz(name: str, pitch: float, seconds: float) -> str:
        time = np.arange(int(16000 * seconds)) / 16000
        tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 8))
        soundfile.write(folder / "audio" / name, 0.1 * tone + rng.normal(0, 0.02, len(time)), 16000, subtype="PCM_16")
        return f"audio/{name}"

    speech, labelled = [], []
    for language in ("aa", "bb"):
        for number in range(12):
            path = buzz(f"{language}-{number}.wav", rng.uniform(90, 300), rng.uniform(0.8, 1.2))
            speech.append((path, f"{language}-s{number}", language))
        for speaker in range(6):
            for label, middle in (("high", 220), ("low", 120)):
                for take in range(3):
                    name = f"{language}{speaker}{label}{take}.wav"
                    path = buzz(name, middle * rng.uniform(0.7, 1.4), rng.uniform(0.4, 0.6))
                    labelled.append((path, f"{language}-{speaker}", language, label))
    names = ["audio", "speaker", "language", "pitch"]
    pl.DataFrame(speech, schema=names[:3], orient="row").write_csv(folder / "speech.csv")
    pl.DataFrame(labelled, schema=names, orient="row").write_csv(folder / "labelled.csv")


def write(folder: Path, **changes: str) -> Path:
    path = folder / "data.toml"
    path.write_text(FILE.format(**USUAL | changes))
    return path


def weights(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return when the weights of each encoder were written, and what they are."""
    found = sorted(folder.glob("pretraining/*/encoder/*.safetensors"))
    return {file.parts[-3]: (file.stat().st_mtime_ns, file.read_bytes()) for file in found}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, dict[str, tuple[int, bytes]], str]:
    """A data study that was stopped in its third pre-training, and again before its first study.

    Returns it with the weights of the first two encoders as the first stop left them, and how the record called that.
    """
    folder = tmp_path_factory.mktemp("made")
    speak(folder)
    file = write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        patch.setattr("sibboleth.recipes.run.report", lambda path: path / "report.html")  # drawn in other tests
        pretrain, count = recipe.pretrain, iter(range(3))

        def stopped(file: Path, *, output: Path | None = None, trust: bool = False) -> object:
            if next(count) == 2:
                raise KeyboardInterrupt
            return pretrain(file, output=output, trust=trust)

        patch.setattr(recipe, "pretrain", stopped)
        with pytest.raises(KeyboardInterrupt):
            curves(file, output=folder / "out")
        status = RunDirectory(folder / "out").read()["status"]
        early = weights(folder / "out")
        patch.setattr(recipe, "pretrain", pretrain)
        page = curves(file, output=folder / "out")
    assert page == folder / "out" / "curves.html"
    return RunDirectory(folder / "out"), early, status


Made = tuple[RunDirectory, dict[str, tuple[int, bytes]], str]
NAMES = [f"aa-{4 * SECOND:g}h", f"aa-{8 * SECOND:g}h", f"both-{4 * SECOND:g}h", f"both-{8 * SECOND:g}h"]


def test_what_was_pretrained_before_a_stop_is_not_pretrained_again(made: Made) -> None:
    directory, early, status = made
    assert status == "interrupted"
    assert sorted(early) == NAMES[:2]
    late = weights(directory.path)
    assert sorted(late) == NAMES
    assert {name: late[name] for name in early} == early
    assert len({content for _, content in late.values()}) == 4
    assert directory.read()["status"] == "complete"


def test_points_are_those_of_the_study_and_of_an_independent_metric(made: Made) -> None:
    directory, _, _ = made
    points = directory.table("curves")
    assert dict(points.schema) == POINTS
    whole = points.filter(pl.col("domain").is_null() & (pl.col("regime") == "within"))
    assert whole["name"].to_list() == [*NAMES, "logmel", "untrained:tiny-hubert"]
    assert whole["role"].to_list() == ["pretrained"] * 4 + ["control", "start"]
    study = RunDirectory(directory / "studies" / "pitch")
    cells, table = study.table("cells"), study.table("predictions")
    truth = table.filter(pl.col("source") == "reference").select("utterance", truth="label")
    scores = study.table("scores").filter(metric="uar", slice="all", rater="selected").join(cells, on="run")
    for row in points.filter(regime="within").iter_rows(named=True):
        runs = cells.filter(encoder=row["encoder"], regime="within")
        runs = runs if row["domain"] is None else runs.filter(domain=row["domain"])
        mine = predictions.decide(table.filter(pl.col("run").is_in(runs["run"].implode()), rater="selected"))
        answered = mine.join(truth, on="utterance")
        assert row["estimate"] == pytest.approx(balanced_accuracy_score(answered["truth"], answered["label"]))
        assert row["n"] == len(answered)
        if row["domain"] is not None:
            own = scores.filter(encoder=row["encoder"], regime="within", domain=row["domain"]).row(0, named=True)
            assert [row[n] for n in ("low", "high", "clusters")] == pytest.approx(
                [own[n] for n in ("low", "high", "clusters")]
            )


def test_the_only_source_of_a_domain_answers_for_zero_shot(made: Made) -> None:
    directory, _, _ = made
    study = RunDirectory(directory / "studies" / "pitch")
    own = study.table("scores").filter(metric="uar", slice="all", rater="selected").join(study.table("cells"), on="run")
    points = directory.table("curves").filter(pl.col("domain").is_not_null(), regime="zero-shot")
    both = points.join(own.filter(regime="zero-shot"), on=["encoder", "domain"])
    assert len(both) == len(points) == 12
    np.testing.assert_allclose(both["estimate"], both["estimate_right"])
    assert both["clusters"].to_list() == [6] * 12


def test_differences_are_paired_and_corrected_by_family(made: Made) -> None:
    directory, _, _ = made
    table = directory.table("differences")
    assert dict(table.schema) == DIFFERENCES
    points = directory.table("curves").select("regime", "domain", "name", "estimate")
    for side in "ab":
        table = table.join(
            points.rename({"name": side, "estimate": f"of_{side}"}), on=["regime", "domain", side], nulls_equal=True
        )
    assert len(table) == len(directory.table("differences"))
    np.testing.assert_allclose(table["difference"], table["of_a"] - table["of_b"], atol=1e-12)
    one = table.filter(pl.col("domain").is_null(), regime="within")
    few, many, few_of_both, many_of_both = NAMES
    asked = {name: set(one.filter(question=name).select("a", "b").iter_rows()) for name in one["question"].unique()}
    assert asked["amount"] == {(many, few), (many_of_both, few_of_both)}
    assert asked["language"] == {(few, few_of_both), (many, many_of_both)}
    assert asked["other"] == {(name, other) for name in NAMES for other in ("logmel", "untrained:tiny-hubert")}
    for (_, _, _, single), part in table.group_by("target", "regime", "question", pl.col("domain").is_null()):
        np.testing.assert_allclose(part["p_holm"], holm(part["p"].to_numpy()), err_msg=str(single))
        assert part["family"].n_unique() == 1


def test_the_page_says_what_was_found_and_leads_to_the_rest(made: Made) -> None:
    directory, _, _ = made
    html = (directory / "curves.html").read_text()
    assert 'href="studies/pitch/report.html"' in html
    for name in NAMES:
        assert f'href="pretraining/{name}/curve.html"' in html
        assert (directory / "pretraining" / name / "curve.html").exists()
    for name in ("curves-pitch-within", "differences-pitch-zero-shot", "curves-at-a-glance", "pretrainings"):
        assert f"tables/{name}.csv" in html
        assert (directory / "tables" / f"{name}.csv").exists()
    assert (directory / "figures" / "curves-pitch-within.pdf").exists()


def test_the_same_command_again_says_the_same(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _, _ = made
    monkeypatch.setenv("SIBBOLETH_CACHE", str(directory.path.parent / "cache"))
    monkeypatch.setattr("sibboleth.recipes.run.report", lambda path: path)
    before = weights(directory.path), directory.table("curves"), directory.table("differences")
    curves(directory.path.parent / "data.toml", output=directory.path)
    after = weights(directory.path), directory.table("curves"), directory.table("differences")
    assert after[0] == before[0]
    assert after[1].equals(before[1]) and after[2].equals(before[2])


def test_encoders_of_another_making_are_not_taken(made: Made) -> None:
    directory, _, _ = made
    folder = directory.path.parent
    try:
        with pytest.raises(SibbolethError, match=r"pre-trained otherwise \(training\)"):
            curves(write(folder, steps="3"), output=directory.path)
        (folder / "speech.csv").write_text((folder / "speech.csv").read_text().replace("aa-s1,", "aa-s2,"))
        with pytest.raises(SibbolethError, match="made with other speech"):
            curves(write(folder), output=directory.path)
    finally:
        write(folder)
    assert directory.read()["status"] == "complete"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"column": "mood"}, InvalidInput, "no column 'mood'"),
        ({"hours": "3"}, InvalidInput, "not the 3 asked for"),
        ({"corpus": 'keep = { language = ["cc"] }'}, InvalidInput, "keep leaves no row"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_pretrained(
    tmp_path: Path, changes: dict[str, str], error: type[Exception], message: str
) -> None:
    speak(tmp_path)
    with pytest.raises(error, match=message):
        curves(write(tmp_path, **changes), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_leak_stops_it_before_anything_is_pretrained(tmp_path: Path) -> None:
    speak(tmp_path)
    rows = pl.read_csv(tmp_path / "labelled.csv")
    twins = rows.filter(pl.col("speaker") == "aa-0").with_columns(speaker=pl.lit("aa-1"))
    pl.concat([rows.filter(pl.col("speaker") != "aa-1"), twins]).with_columns(
        utterance=pl.concat_str("audio", "speaker")
    ).write_csv(tmp_path / "labelled.csv")
    with pytest.raises(RefusedByAudit):
        curves(write(tmp_path), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labelled_recordings_that_are_pretrained_on_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speak(tmp_path)
    speech = pl.read_csv(tmp_path / "speech.csv")
    some = pl.read_csv(tmp_path / "labelled.csv").select(speech.columns).head(7)
    pl.concat([speech, some]).write_csv(tmp_path / "speech.csv")

    def stopped(file: Path, *, output: Path | None = None, trust: bool = False) -> object:
        raise KeyboardInterrupt

    heard = io.StringIO()
    monkeypatch.setattr(recipe, "pretrain", stopped)
    monkeypatch.setattr(recipe, "console", Console(file=heard, width=300))
    with pytest.raises(KeyboardInterrupt):
        curves(write(tmp_path), output=tmp_path / "out")
    told = heard.getvalue()
    assert "7 of the labelled recordings are among the speech to pre-train on" in told
    assert "4 pre-trainings: 0.00111111 and 0.00222222 h of aa and both" in told
    assert "1 study of 6 encoders" in told
