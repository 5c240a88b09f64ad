"""People's ratings in a study: whose, about what, in whose labels; scored as models are, on what these test."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import predictions, runs
from sibboleth import study as studies
from sibboleth.corpora import votes
from sibboleth.errors import InvalidInput
from sibboleth.experiment import listeners, material
from sibboleth.experiment.material import Material
from sibboleth.recipes.check import check
from sibboleth.recipes.run import run

STUDY = """
name = "heard"
regimes = ["within"]
layer_mix = false
[target]
labels = ["angry", "sad"]
[[corpora]]
name = "one"
manifest = "one.csv"
labels = { Wut = "angry" }
ratings = "one-ratings.csv"
[[corpora]]
name = "two"
manifest = "two.csv"
ratings = "two-ratings.csv"
[[encoders]]
name = "logmel"
[splits]
folds = 3
dev = 0.34
[statistics]
resamples = 200
"""
SPEAKERS = ("s0", "s1", "s2", "s3")


def said(folder: Path, name: str, rows: list[tuple[str, str, str]], source: str = "listener") -> None:
    raters, utterances, labels = zip(*rows, strict=True)
    about = {"run": "ratings", "source": source, "target": "emotion", "value": 1.0}
    columns = {"rater": list(raters), "utterance": list(utterances), "label": list(labels)}
    runs.write_text(folder / f"{name}-ratings.csv", predictions.table({**about, **columns}).write_csv())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two corpora of eight utterances by four speakers; all listeners of `one` are right, none of `two`."""
    for name, angry in (("one", "Wut"), ("two", "angry")):
        rows = ["utterance,audio,speaker,emotion"]
        rows += [f"{s}{e},{name}-{s}{e}.wav,{s},{e}" for s in SPEAKERS for e in (angry, "sad")]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    right = [(who, f"{s}{e}", e) for who in ("r001", "r002") for s in SPEAKERS for e in ("Wut", "sad")]
    wrong = [("r001", f"two/{s}{e}", "bored") for s in SPEAKERS for e in ("angry", "sad")]
    said(tmp_path, "one", [*right, ("r001", "elsewhere", "sad")])
    said(tmp_path, "two", wrong)
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def gathered(folder: Path) -> Material:
    return material.gather(studies.read(folder / "study.toml"), without_audio=True)


def test_answers_have_the_studys_ids_and_labels_and_groups_of_one_name_stay_apart(folder: Path) -> None:
    found = listeners.gather(gathered(folder))
    assert found is not None and predictions.validate(found.table).equals(found.table)
    counted = found.table.group_by("run", "rater").len().sort("run", "rater").rows()
    assert counted == [("one/ratings", "r001", 8), ("one/ratings", "r002", 8), ("two/ratings", "r001", 8)]
    assert set(found.table.filter(pl.col("run") == "one/ratings")["label"]) == {"angry", "sad"}
    assert {"one/s0Wut", "two/s0angry"} <= set(found.table["utterance"])
    told = [{name: one[name] for name in ("corpus", "answers", "people", "elsewhere")} for one in found.record]
    assert told == [
        {"corpus": "one", "answers": 16, "people": 2, "elsewhere": 1},
        {"corpus": "two", "answers": 8, "people": 1, "elsewhere": 0},
    ]


def test_the_record_changes_with_what_people_said(folder: Path) -> None:
    before = listeners.gather(gathered(folder))
    said(folder, "two", [("r001", "s0sad", "sad")])
    after = listeners.gather(gathered(folder))
    assert before is not None and after is not None
    assert before.record[0]["digest"] == after.record[0]["digest"]
    assert before.record[1]["digest"] != after.record[1]["digest"]


def test_people_are_scored_per_domain_and_as_a_group_on_what_models_test(folder: Path) -> None:
    stuff = gathered(folder)
    found = listeners.gather(stuff)
    assert found is not None
    rows = np.flatnonzero(stuff.table["speaker"] != "one/s0")
    cell = SimpleNamespace(fits=[SimpleNamespace(tests=[SimpleNamespace(rows=rows)])])
    answers = listeners.tested(found, stuff, [cell])  # type: ignore[list-item]
    assert len(answers) == 2 * 6 + 8
    table = listeners.score(answers, material.reference(stuff), stuff)
    uar = table.filter(pl.col("metric") == "uar", pl.col("slice") == "all").sort("domain", "rater")
    assert uar.select("domain", "run", "rater", "estimate", "n", "raters").rows() == [
        ("one", "one/ratings>one", "2 people", 1.0, 12, 2),
        ("one", "one/ratings>one", "r001", 1.0, 6, 1),
        ("one", "one/ratings>one", "r002", 1.0, 6, 1),
        ("two", "two/ratings>two", "r001", 0.0, 8, 1),
    ]


def test_what_needs_the_wrong_labels_is_not_told_where_they_are_unknown(folder: Path) -> None:
    heard = {f"{s}{e}": {e: 15, "(other)": 5} for s in SPEAKERS for e in ("angry", "sad")}
    runs.write_text(folder / "two-ratings.csv", votes.table("panel", "all", "emotion", heard).write_csv())
    stuff = gathered(folder)
    found = listeners.gather(stuff)
    assert found is not None
    table = listeners.score(found.table, material.reference(stuff), stuff)
    panel = table.filter(pl.col("run") == "panel>two")
    assert set(panel["metric"]) == {"uar", "accuracy", "recall", "confusion"}
    assert panel.filter(pl.col("metric") == "uar")["estimate"].to_list() == pytest.approx([0.75])
    assert "f1" in set(table.filter(pl.col("domain") == "one")["metric"])


def test_a_study_without_ratings_has_no_listeners(folder: Path) -> None:
    text = "\n".join(line for line in STUDY.splitlines() if not line.startswith("ratings"))
    (folder / "study.toml").write_text(text, encoding="utf-8")
    assert listeners.gather(gathered(folder)) is None


def test_ratings_may_be_the_folder_of_an_export_with_its_people(folder: Path) -> None:
    export = folder / "export"
    export.mkdir()
    (folder / "one-ratings.csv").rename(export / "predictions.csv")
    (export / "listeners.csv").write_text(
        "rater,email,hearing\nr001,a@example.org,normal\nr009,,loss\n", encoding="utf-8"
    )
    (folder / "study.toml").write_text(STUDY.replace("one-ratings.csv", "export"), encoding="utf-8")
    found = listeners.gather(gathered(folder))
    assert found is not None and found.people is not None
    assert found.people.rows(named=True) == [{"rater": "r001", "hearing": "normal"}]
    assert found.record[0]["file"].endswith("predictions.csv") and found.record[0]["answers"] == 16
    assert found.conditions is None  # no test.json above it


def test_people_and_simulated_listeners_are_never_mixed(folder: Path) -> None:
    said(folder, "two", [("s1", "s0sad", "sad")], source="simulated")
    with pytest.raises(InvalidInput, match="some are of people and some of simulated listeners"):
        check(folder / "study.toml", without_audio=True)


def test_ratings_that_cannot_be_used_are_refused_before_a_run(folder: Path) -> None:
    said(folder, "two", [("r001", "nobody", "sad")])
    with pytest.raises(InvalidInput, match="no answer is about an utterance of the corpus 'two'"):
        check(folder / "study.toml", without_audio=True)
    said(folder, "two", [("r001", "s0sad", "sad")], source="model")
    with pytest.raises(InvalidInput, match="no answer of a listener about 'emotion'"):
        listeners.gather(gathered(folder))
    (folder / "two-ratings.csv").unlink()
    with pytest.raises(InvalidInput, match="two-ratings.csv: no such file"):
        listeners.gather(gathered(folder))


def test_a_run_keeps_them_beside_its_own_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sibboleth.recipes.run.report", lambda path: path)  # drawing takes longer than all else
    rng = np.random.default_rng(3)
    for name, angry in (("one", "Wut"), ("two", "angry")):
        for speaker in SPEAKERS:
            for emotion in (angry, "sad"):
                noise = rng.normal(0, 0.3 if emotion == angry else 0.03, 6000).clip(-1, 1)
                soundfile.write(folder / f"{name}-{speaker}{emotion}.wav", noise, 16000)
    run(folder / "study.toml", output=folder / "run")
    directory = runs.RunDirectory(folder / "run")
    answers, scored = directory.table("listeners"), directory.table("listeners-scores")
    assert set(answers["utterance"]) == set(directory.table("predictions")["utterance"])
    assert set(scored["domain"]) == {"one", "two"} and set(answers["source"]) == {"listener"}
    assert "listener" not in set(directory.table("predictions")["source"])
    assert [one["corpus"] for one in directory.read()["listeners"]] == ["one", "two"]


def marked(folder: Path, target: str, rows: list[tuple[str, str, float | None, float | None, str]]) -> None:
    """Write segments that one listener marked about `target`, times of None for whole utterances."""
    names = ("rater", "utterance", "start", "end", "label")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    about = {"run": "test", "source": "listener", "target": target, "value": 1.0}
    runs.write_text(folder / "one-ratings.csv", predictions.table({**about, **columns}).write_csv())


def segmented(folder: Path, lines: str = "") -> Path:
    """A study of segments, whose column is called otherwise than what a listening test asks."""
    rows = ["utterance,audio,speaker,duration,segments"]
    rows += [f'{s},{s}.wav,{s},4.0,"[{{""start"": 1.0, ""end"": 3.0, ""label"": ""sad""}}]"' for s in SPEAKERS]
    rows += [f'{s}x,{s}x.wav,{s},4.0,"[{{""start"": 0.0, ""end"": 4.0, ""label"": ""angry""}}]"' for s in SPEAKERS]
    (folder / "one.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    text = STUDY[: STUDY.index("[[corpora]]")].replace("labels", 'kind = "segmentation"\nlabels')
    corpus = '[[corpora]]\nname = "one"\nmanifest = "one.csv"\nratings = "one-ratings.csv"\n'
    (folder / "study.toml").write_text(text + corpus + lines, encoding="utf-8")
    return folder


def test_segments_that_a_test_calls_emotion_are_about_the_column_of_segments(folder: Path) -> None:
    about = [("r1", "s0", 1.5, 3.0, "sad"), ("r1", "s1", 1.0, 2.5, "sad"), ("r2", "one/s0", 1.0, 3.0, "angry")]
    marked(segmented(folder), "emotion", [*about, ("r1", "s2", None, None, "sad")])
    stuff = gathered(folder)
    found = listeners.gather(stuff)
    assert found is not None and found.table["target"].unique().to_list() == ["segments"]
    assert found.table.select("rater", "utterance", "start", "end").rows() == [
        ("r1", "one/s0", 1.5, 3.0),
        ("r1", "one/s1", 1.0, 2.5),
        ("r2", "one/s0", 1.0, 3.0),
    ]
    seconds = listeners.seconds(found.table, material.reference(stuff), stuff)
    total = seconds["error-seconds"].filter(rater="2 people").row(0, named=True)
    assert total["missed"] == pytest.approx(1.0) and total["confused"] == pytest.approx(2.0)
    assert total["seconds"] == pytest.approx(12.0) and total["source"] == "listener"
    sad = seconds["label-seconds"].filter(rater="2 people", label="sad").row(0, named=True)
    assert (sad["seconds"], sad["right"], sad["missed"], sad["confused"]) == pytest.approx((6.0, 3.0, 1.0, 2.0))


def test_answers_about_whole_utterances_are_no_segments(folder: Path) -> None:
    marked(segmented(folder), "segments", [("r1", "s0", None, None, "sad")])
    with pytest.raises(InvalidInput, match="no segments by a listener about 'segments'; people were asked about seg"):
        listeners.gather(gathered(folder))


def test_the_folder_of_a_test_says_where_its_answers_are(folder: Path) -> None:
    (folder / "study.toml").write_text(STUDY.replace("one-ratings.csv", "listening/one"), encoding="utf-8")
    drawn = folder / "listening" / "one"
    drawn.mkdir(parents=True)
    with pytest.raises(InvalidInput, match="listening/one has no predictions.csv; name a table of answers"):
        listeners.gather(gathered(folder))
    (drawn / "test.json").write_text("{}")
    with pytest.raises(InvalidInput, match=f"no answers to it: `sibboleth listen export {drawn}` writes"):
        listeners.gather(gathered(folder))
    for name, way in (
        ("simulated", "name that folder .or ratings = "),
        ("export", f'it: ratings = "{drawn}/export" or'),
    ):
        (drawn / name).mkdir()
        (drawn / name / "predictions.csv").write_text("")
        with pytest.raises(InvalidInput, match=way):
            listeners.gather(gathered(folder))
