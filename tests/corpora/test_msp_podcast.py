from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpora, predictions
from sibboleth.errors import InvalidInput

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
CONSENSUS = (
    HEADER
    + "MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,127,Male,Test1\n"
    + "MSP-PODCAST_0023_0041.wav,X,5.0,3.0,4.4,Unknown,Unknown,Train\n"
    + "MSP-PODCAST_0023_0042.wav,C,5.0,3.0,4.4,12,Female,Development\n"
)
LINES = (
    ("WORKER0000001", "Neutral", "Neutral,Confused", "1.000000", "4.000000", "1.000000"),
    ("WORKER0000002", "Other-Curious", "", "2.000000", "5.000000", "3.000000"),
)
EXPECTED = [("WORKER0000001", "neutral", 1.0, 4.0, 1.0), ("WORKER0000002", "other", 2.0, 5.0, 3.0)]


def put(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "Labels/labels_consensus.csv": CONSENSUS,
        "Audios/MSP-PODCAST_0001_0008.wav": "",
        "Audios/MSP-PODCAST_0023_0041.wav": "",
        "Audios/MSP-PODCAST_0099_0001.wav": "",
        "Transcripts/MSP-PODCAST_0001_0008.txt": "So this is\nhow it went.\n",
        "Previous_releases_information/v1.6/label/labels_concensus.csv": HEADER,
    }
    return put(tmp_path, files)


def answers(table: pl.DataFrame | None) -> list[tuple[object, ...]]:
    assert table is not None and predictions.validate(table).equals(table)
    assert set(table["source"]) == {"listener"} and set(table["utterance"]) == {"MSP-PODCAST_0001_0008"}
    wide = table.with_columns(said=pl.coalesce("label", pl.col("value").cast(pl.String))).pivot(
        "target", index="rater", values="said"
    )
    return [
        (row["rater"], row["emotion"], *(float(row[name]) for name in ("activation", "valence", "dominance")))
        for row in wide.sort("rater").iter_rows(named=True)
    ]


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("msp-podcast", root).table
    assert table.select("utterance", "emotion", "speaker", "session", "sex", "part", "text").rows() == [
        ("MSP-PODCAST_0001_0008", "neutral", "127", "0001", "male", "test1", "So this is how it went."),
        ("MSP-PODCAST_0023_0041", None, "unknown-0023", "0023", None, "train", None),
        ("MSP-PODCAST_0023_0042", "contemptuous", "12", "0023", "female", "dev", None),
    ]
    assert table.select("activation", "valence", "dominance").row(0) == (2.2, 4.0, 2.6)
    assert table["audio"][2] == str(root / "Audios/MSP-PODCAST_0023_0042.wav")


def test_files_in_another_case_are_those_of_the_table(root: Path) -> None:
    (root / "Audios").rename(root / "audio")
    (root / "audio/MSP-PODCAST_0001_0008.wav").rename(root / "audio/msp-podcast_0001_0008.FLAC")
    (root / "Transcripts/MSP-PODCAST_0001_0008.txt").rename(root / "Transcripts/msp-podcast_0001_0008.TXT")
    row = corpora.prepare("msp-podcast", root).table.row(0, named=True)
    assert row["audio"] == str(root / "audio/msp-podcast_0001_0008.FLAC")
    assert (row["utterance"], row["text"]) == ("MSP-PODCAST_0001_0008", "So this is how it went.")


@pytest.mark.parametrize("release", ["2.0", "1.6", "1.12", "labels.txt"])
def test_workers_answers_are_ratings_in_every_release(root: Path, release: str) -> None:
    assert corpora.ratings("msp-podcast", root) is None
    name = "MSP-PODCAST_0001_0008.wav"
    detail = [f"{worker}; {major}; {second}; A:{a}; V:{v}; D:{d};" for worker, major, second, a, v, d in LINES]
    worker = {"2.0": "WorkerID", "1.6": "Workers"}.get(release)
    if worker:
        rows = [f'{name},{w},{major},"{second}",{a},{v},{d}' for w, major, second, a, v, d in LINES]
        header = f"FileName,{worker},EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom"
        put(root, {"Labels/labels_detailed.csv": "\n".join([header, *rows]) + "\n"})
    elif release == "1.12":
        rows = [f'{name},"{line}"' for line in detail]
        put(root, {"Labels/labels_detailed.csv": "\n".join(["FileName,EmoDetail", *rows]) + "\n"})
    else:
        put(root, {"Labels/labels.txt": "\n".join(["", f"{name}; N; A:1.5; V:4.5; D:2.0;", *detail]) + "\n"})
    assert answers(corpora.ratings("msp-podcast", root)) == EXPECTED


def test_who_answered_twice_has_two_trials_and_what_is_no_number_is_left_out(root: Path) -> None:
    line = "MSP-PODCAST_0001_0008.wav,WORKER1,Happy,,nan?,4,5\n"
    header = "FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom\n"
    put(root, {"Labels/labels_detailed.csv": "﻿" + header + line + line})
    table = corpora.ratings("msp-podcast", root)
    assert table is not None and len(predictions.validate(table)) == 6
    assert set(table["target"]) == {"emotion", "valence", "dominance"} and set(table["trial"]) == {0, 1}


def test_an_older_wrapped_release_with_other_separators(tmp_path: Path) -> None:
    text = HEADER.replace(",", ";") + "MSP-PODCAST_0002_0001.wav;h;2,25;4;;;Female;Validation\n"
    put(tmp_path, {"MSP/labels/Labels_Concensus.csv": text, "MSP/audio/MSP-PODCAST_0002_0001.flac": ""})
    row = corpora.prepare("msp-podcast", tmp_path).table.row(0, named=True)
    assert (row["emotion"], row["activation"], row["dominance"], row["part"]) == ("happy", 2.25, None, "dev")
    assert row["speaker"] == "unknown-0002" and row["audio"].endswith("MSP-PODCAST_0002_0001.flac")


def test_what_is_not_msp_podcast_is_refused_by_row(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        InvalidInput, match="no labels_concensus.csv or labels_consensus.csv there.*MSP-Podcast's folder"
    ):
        corpora.prepare("msp-podcast", tmp_path / "empty")
    put(root, {"Labels/labels_consensus.csv": CONSENSUS.replace(",N,2.2", ",Q,many")})
    with pytest.raises(InvalidInput, match=r"'Q' is none of A, S, H") as caught:
        corpora.prepare("msp-podcast", root)
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [(2, "EmoClass"), (2, "EmoAct")]
    put(root, {"Labels/labels_detailed.csv": "FileName,Worker\na,b\n"})
    with pytest.raises(InvalidInput, match="no columns WorkerID, EmoClass_Major, EmoAct"):
        corpora.ratings("msp-podcast", root)
