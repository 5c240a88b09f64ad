"""`sibboleth score` on segments: every format says the same, people are scored against one another."""

import json
from pathlib import Path

import polars as pl
import pytest
from tests.listeners.test_export import Panel
from tests.recipes.test_score import number, page, warnings_of, write

from sibboleth import predictions, segments
from sibboleth.errors import InvalidInput
from sibboleth.recipes.score import Scored, score
from sibboleth.segments import Segments
from sibboleth.segments.table import table

TRUE = {"u1": [(1.0, 3.0, "sad")], "u2": [(0.0, 2.0, "happy")], "u3": [(2.0, 4.0, "angry")], "u4": [(1.0, 2.0, "sad")]}
HEARD = {"u1": [(1.5, 3.0, "sad")], "u2": [(0.0, 2.0, "sad")], "u3": [(1.5, 4.0, "angry")]}
SECONDS = dict.fromkeys(TRUE, 4.0)
FEW = {"resamples": 100}


def made(heard: dict[str, list[tuple[float, float, str]]], seconds: dict[str, float]) -> Segments:
    return Segments(table([(u, *one, None) for u, some in heard.items() for one in some]), seconds)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    column = segments.in_manifest(made(TRUE, SECONDS))
    column = column.with_columns(speaker=pl.Series(["anna", "anna", "bert", "carl"]), accent=pl.lit("nl"))
    column.write_csv(tmp_path / "manifest.csv")
    return tmp_path / "manifest.csv"


def shares(result: Scored) -> list[float]:
    return [number(result, name)["estimate"] for name in ("eder", "false_alarm", "missed", "confused", "overlap")]


@pytest.mark.parametrize("name", ["model.rttm", "model.json", "model.csv", "model", "labels"])
def test_every_format_says_the_same(manifest: Path, name: str) -> None:
    suffix = {"model": ".TextGrid", "labels": ".txt"}.get(name)
    known = SECONDS if suffix or name.endswith("json") else {}
    path = manifest.with_name(name)
    segments.write(made(HEARD, known), path, suffix)
    result = score((path,), reference=manifest, **FEW)
    assert shares(result) == pytest.approx([s / 16 for s in (4.0, 0.5, 1.5, 2.0, 0.0)])
    assert number(result, "frame_uar")["estimate"] == pytest.approx((1.5 / 3 + 0 + 1 + 8.5 / 9) / 4)
    assert number(result, "segment_f1")["estimate"] == pytest.approx(2 * 2 / (4 + 3))
    assert number(result, "boundary_error")["estimate"] == pytest.approx(0.5)  # the ends of u1 and u3 were heard right
    row = number(result, "eder")
    assert (row["n"], row["clusters"]) == (4, 3) and row["low"] < row["estimate"] < row["high"]
    shown = page(result)
    scale = result.segmentation.scale.filter(metric="eder", slice="all")  # type: ignore[union-attr]
    assert scale["estimate"].to_list() == pytest.approx([9 / 16, 7 / 16])
    assert "For scale" in shown and "EDER" in shown and "Errors in seconds" in shown and "16.00" in shown


def test_the_published_json_is_a_reference_whose_speakers_are_not_known(tmp_path: Path) -> None:
    zed = {
        u: {"duration": 4.0, "emotion": [{"emo": e, "start": a, "end": b} for a, b, e in s]} for u, s in TRUE.items()
    }
    reference = write(tmp_path / "ZED.json", json.dumps(zed))
    spoken = {f"wav/{u}.wav": [{"start": a, "end": b, "emotion": e} for a, b, e in s] for u, s in HEARD.items()}
    result = score((write(tmp_path / "speechbrain.json", json.dumps(spoken)),), reference=reference, **FEW)
    assert number(result, "eder")["estimate"] == pytest.approx(3 / 12)  # u4 was not answered
    assert "no speakers are known" in warnings_of(result) and "not u4" in warnings_of(result)
    assert any("known by the recording's name, such as wav/u1.wav" in note for note in result.notes)


def test_what_a_table_leaves_out_was_answered_without_segments(manifest: Path) -> None:
    rows = "utterance,start,end,label\nu1,1,3,sad\nu2,0,2,happy\nu3,2,4,proud\n"
    result = score((write(manifest.with_name("model.csv"), rows),), reference=manifest, **FEW)
    assert shares(result) == pytest.approx([3 / 16, 0, 1 / 16, 2 / 16, 0])
    told = warnings_of(result)
    assert "1 utterance of the reference not in model.csv, taken as answered without any segment: u4" in told
    assert "labels that the reference never has count as wrong: proud" in told


def test_neutral_is_no_label_unless_one_says_so(manifest: Path) -> None:
    tiled = {u: [(0.0, 1.0, "neutral"), *s] for u, s in TRUE.items() if u != "u2"} | {"u2": TRUE["u2"]}
    tiled = {u: [s for s in some if s != (0.0, 1.0, "neutral") or u != "u3"] for u, some in tiled.items()}
    reference, path = manifest.with_name("true.json"), manifest.with_name("model.json")
    segments.write(made(tiled, SECONDS), reference)
    segments.write(made(TRUE, SECONDS), path)
    assert number(score((path,), reference=reference, **FEW), "eder")["estimate"] == 0
    own = score((path,), reference=reference, background=("none",), **FEW)
    assert own.target.labels == ("angry", "happy", "neutral", "sad")
    assert number(own, "missed")["estimate"] == pytest.approx(2 / 16)


def test_a_collar_forgives_what_is_near(manifest: Path) -> None:
    segments.write(made(HEARD, SECONDS), manifest.with_name("model.json"))
    result = score((manifest.with_name("model.json"),), reference=manifest, collar=0.5, **FEW)
    # Within 0.5 s of a boundary nothing counts: of u2 1.5 s are confused, and 1 s is missed in u4 no more.
    assert number(result, "confused")["estimate"] == pytest.approx(1.0 / 9)
    assert number(result, "eder")["estimate"] == pytest.approx(1.0 / 9)
    with pytest.raises(InvalidInput, match="collar must be 0"):
        score((manifest.with_name("model.json"),), reference=manifest, collar=-1, **FEW)


def test_people_are_scored_against_one_another(manifest: Path) -> None:
    lines = ["utterance,listener,start,end,label"]
    for who, late in (("ann", 0.0), ("bob", 0.5), ("cleo", 1.0)):
        lines += [f"{u},{who},{a + late},{b},{e}" for u, s in TRUE.items() if u != "u4" for a, b, e in s]
    path = write(manifest.with_name("people.csv"), "\n".join(lines))
    result = score((path,), reference=manifest, people=True, output=manifest.with_name("out.csv"), **FEW)
    assert number(result, "eder", rater="ann")["estimate"] == 0
    assert number(result, "eder", rater="3 people")["estimate"] == pytest.approx((0 + 1.5 + 3.0) / 36)
    assert result.segmentation is not None
    ceiling = result.segmentation.among.filter(metric="eder", slice="all")
    pairs = {"ann": (1.5 + 3.0) / 24, "bob": (1.5 + 1.5) / 24, "cleo": (3.0 + 1.5) / 24, "3 people": 12 / 72}
    assert dict(ceiling.select("rater", "estimate").iter_rows()) == pytest.approx(pairs)
    assert ceiling.filter(rater="3 people").select("n", "clusters", "raters", "reference").row(0) == (
        18,
        2,
        3,
        "each of the others",
    )
    assert "the ceiling of agreement" in page(result)
    assert {file.name for file in result.written} >= {"out-seconds.csv", "out-among.csv"}
    seconds = pl.read_csv(manifest.with_name("out-seconds.csv")).filter(pl.col("rater") == "cleo")
    assert seconds.select("missed", "errors", "seconds").row(0) == pytest.approx((3.0, 3.0, 12.0))


def test_what_a_listening_test_exports_is_scored_alike(manifest: Path) -> None:
    from sibboleth import targets
    from sibboleth.listeners import export

    assert export.NONE in targets.BACKGROUND
    rows = [("L0001", u, a, b, e) for u, s in HEARD.items() for a, b, e in s]
    rows += [("L0001", "u4", 0.0, 4.0, export.NONE), ("L0001", "u4", None, None, "sad")]
    columns = dict(
        zip(("rater", "utterance", "start", "end", "label"), map(list, zip(*rows, strict=True)), strict=True)
    )
    common = {"run": "test", "source": "listener", "target": "emotion", "value": 1.0}
    answers = manifest.with_name("predictions.csv")
    predictions.table({**columns, **common}).write_csv(answers)
    result = score((answers,), reference=manifest, **FEW)
    assert result.target.name == "emotion"
    assert shares(result) == pytest.approx([s / 16 for s in (4.0, 0.5, 1.5, 2.0, 0.0)])
    assert "1 answer about whole utterances left out beside the segments" in result.notes
    predictions.read(answers).with_columns(utterance="own/" + pl.col("utterance")).write_csv(answers)
    as_studies_write = score((answers,), reference=manifest, **FEW)
    assert as_studies_write.scores.equals(result.scores) and any("called own/..." in n for n in as_studies_write.notes)


def test_what_cannot_be_scored_is_refused(manifest: Path) -> None:
    strange = write(manifest.with_name("letters.csv"), "utterance,start,end,label\nu1,1,3,s\n")
    with pytest.raises(InvalidInput, match="share no label: answers have s, the reference has angry"):
        score((strange,), reference=manifest, **FEW)
    elsewhere = write(manifest.with_name("others.csv"), "utterance,start,end,label\nx1,1,3,sad\n")
    with pytest.raises(InvalidInput, match="the ids do not meet"):
        score((elsewhere,), reference=manifest, **FEW)
    grids = Segments(table([("u1", 1.0, 3.0, "sad", "emotion"), ("u1", 0.0, 1.0, "s", "phone")]), {"u1": 4.0})
    segments.write(grids, manifest.with_name("grids"), ".TextGrid")
    with pytest.raises(InvalidInput, match="several tiers; choose one with --target: emotion, phone"):
        score((manifest.with_name("grids"),), reference=manifest, **FEW)
    found = score((manifest.with_name("grids"),), reference=manifest, target="emotion", **FEW)
    assert number(found, "eder")["estimate"] == 0
    with pytest.raises(InvalidInput, match="there is no reference"):
        score((strange,), kind="segmentation", **FEW)


def test_files_that_say_nothing_are_told_from_those_that_say_wrong(manifest: Path) -> None:
    line = "SPEAKER u1 1 1 2 <NA> <NA> sad <NA> <NA>\n"
    for text, message in (
        ("", "has no segments; a JSON file or a table can say which utterances were answered without any"),
        ("SPKR-INFO u1 1 <NA> <NA> <NA> unknown a <NA> <NA>\n", "begins with SPEAKER, and these with 'SPKR-INFO'"),
        (line.replace(" 1 1 2 ", " 1 -1 2 "), r"bad.rttm:1: \[start\] is before the beginning"),
    ):
        with pytest.raises(InvalidInput, match=message):
            score((write(manifest.with_name("bad.rttm"), text),), reference=manifest, **FEW)
    beyond = write(manifest.with_name("late.rttm"), line + line.replace(" 1 2 ", " 3 50 "))
    said = warnings_of(score((beyond,), reference=manifest, **FEW))
    assert "1 segment answered behind the end of the recording" in said
    assert "(u1 lasts 4 s, and is answered until 53 s)" in said
    twice = write(manifest.with_name("twice.rttm"), line + line.replace(" 1 2 ", " 2 1 "))
    both = [score((one,), reference=manifest, **FEW) for one in (twice, write(manifest.with_name("once.rttm"), line))]
    assert shares(both[0]) == shares(both[1])  # a segment inside another of its label says nothing more
    wrong = write(manifest.with_name("wrong.csv"), 'utterance,duration,segments\nu1,4,[]\nu2,4,"[{""start"": 1}]"\n')
    with pytest.raises(InvalidInput, match="wrong.csv:3: .label. utterance u2: a segment has no label"):
        score((manifest,), reference=wrong, **FEW)


def test_a_reference_of_paths_meets_answers_that_name_recordings(manifest: Path) -> None:
    path = manifest.with_name("model.csv")
    segments.write(made(HEARD, {}), path)
    named = pl.read_csv(manifest).with_columns(utterance="wav/" + pl.col("utterance") + ".wav")
    named.write_csv(manifest.with_name("paths.csv"))
    found = [score((path,), reference=manifest.with_name(name), **FEW) for name in ("manifest.csv", "paths.csv")]
    assert shares(found[0]) == shares(found[1]) and number(found[1], "eder")["clusters"] == 3


def test_unknown_lengths_are_told(tmp_path: Path) -> None:
    both = [write(tmp_path / f"{name}.rttm", "SPEAKER u 1 1 2 <NA> <NA> sad <NA> <NA>\n") for name in ("true", "model")]
    result = score((both[1],), reference=both[0], **FEW)
    assert "how long 1 utterance is, is not known (u)" in warnings_of(result)
    assert number(result, "eder")["estimate"] == 0


def test_marks_in_a_real_listening_test_are_scored(tmp_path: Path) -> None:
    panel = Panel(tmp_path)
    panel.take({"s": {"regions": [{"start": 0.5, "end": 0.9, "label": "sad"}]}})
    panel.take({"s": {"regions": []}}, PROLIFIC_PID="another")
    panel.tables().predictions.write_csv(tmp_path / "predictions.csv")
    segments.write(made({"own:s": [(0.3, 0.9, "sad")]}, {"own:s": 1.0}), tmp_path / "true.json")
    result = score((tmp_path / "predictions.csv",), reference=tmp_path / "true.json", target="emotion", **FEW)
    found = {rater: number(result, "missed", rater=rater)["estimate"] for rater in ("L0001", "L0002", "2 people")}
    assert found == pytest.approx({"L0001": 0.2, "L0002": 0.6, "2 people": 0.4})
    among = result.segmentation.among.filter(metric="eder", slice="all")  # type: ignore[union-attr]
    assert among["estimate"].to_list() == pytest.approx([0.4, 0.4, 0.4])
