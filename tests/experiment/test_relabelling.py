"""Which label of a study a corpus's label became, and how much of it is used."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import study
from sibboleth.experiment import material, relabelling

ASKED = '[target]\ncolumn = "emotion"\nlabels = ["neutral", "sad"]\n'


def gathered(folder: Path, rows: list[dict[str, Any]], corpus: str, asked: str = ASKED) -> list[dict[str, Any]]:
    made = [
        {"utterance": str(n), "audio": f"{n}.wav", "speaker": f"s{n % 2}", "duration": 2.0, **row}
        for n, row in enumerate(rows)
    ]
    pl.DataFrame(made, infer_schema_length=None).write_csv(folder / "one.csv")
    (folder / "study.toml").write_text(
        f'name = "s"\n{asked}\n[[corpora]]\nname = "one"\nmanifest = "one.csv"\n{corpus}', encoding="utf-8"
    )
    return relabelling.became(material.gather(study.read(folder / "study.toml"), without_audio=True), 0)


def test_calm_is_left_out_unless_the_study_says_what_it_is(tmp_path: Path) -> None:
    emotions = ["calm", "calm", "neutral", "sad", "sad", "sad", None]
    rows = [{"emotion": emotion} for emotion in emotions]
    assert gathered(tmp_path, rows, "") == [
        {"label": "sad", "here": "sad", "used": 3, "left_out": 0},
        {"label": "calm", "here": None, "used": 0, "left_out": 2},
        {"label": "neutral", "here": "neutral", "used": 1, "left_out": 0},
        {"label": None, "here": None, "used": 0, "left_out": 1},
    ]
    assert gathered(tmp_path, rows, 'labels = { calm = "neutral" }')[1] == {
        "label": "calm",
        "here": "neutral",
        "used": 2,
        "left_out": 0,
    }


def test_rows_that_keep_takes_away_are_not_counted_and_those_not_drawn_are_left_out(tmp_path: Path) -> None:
    rows = [{"emotion": "sad" if n % 2 else "neutral", "take": "a" if n < 8 else "b"} for n in range(12)]
    found = gathered(tmp_path, rows, 'keep = { take = ["a"] }\n[splits]\nper_label = 3')
    assert [(one["label"], one["used"], one["left_out"]) for one in found] == [("neutral", 3, 1), ("sad", 3, 1)]


def test_soft_labels_count_as_their_heaviest_before_and_after_they_are_added(tmp_path: Path) -> None:
    rows = [
        {"emotion.excited": 0.3, "emotion.happy": 0.3, "emotion.sad": 0.4},
        {"emotion.excited": 0.0, "emotion.happy": 0.2, "emotion.sad": 0.8},
    ]
    asked = '[target]\ncolumn = "emotion"\nlabels = ["happy", "sad"]\n'
    assert gathered(tmp_path, rows, 'labels = { excited = "happy" }', asked) == [
        {"label": "sad", "here": "happy", "used": 1, "left_out": 0},
        {"label": "sad", "here": "sad", "used": 1, "left_out": 0},
    ]


def test_of_segments_each_is_counted(tmp_path: Path) -> None:
    segments = [["angry", "none"], ["angry", "sad"], ["proud"]]
    rows = [
        {"segments": json.dumps([{"start": n, "end": n + 1, "label": one} for n, one in enumerate(several)])}
        for several in segments
    ]
    asked = '[target]\ncolumn = "segments"\nkind = "segmentation"\nlabels = ["angry", "low"]\nbackground = "quiet"\n'
    found = gathered(tmp_path, rows, 'labels = { none = "quiet", sad = "low" }', asked)
    assert found == [
        {"label": "angry", "here": "angry", "used": 2, "left_out": 0},
        {"label": "none", "here": "(background)", "used": 1, "left_out": 0},
        {"label": "proud", "here": None, "used": 0, "left_out": 1},
        {"label": "sad", "here": "low", "used": 1, "left_out": 0},
    ]


def test_texts_and_numbers_have_no_labels(tmp_path: Path) -> None:
    rows = [{"arousal": n / 2} for n in range(4)]
    assert gathered(tmp_path, rows, "", '[target]\ncolumn = "arousal"\nkind = "regression"\n') == []
