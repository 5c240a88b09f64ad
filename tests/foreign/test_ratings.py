"""People's answers from other tools: each format as its tool writes it, matched to a manifest, without their names."""

import json
from pathlib import Path

import polars as pl
import pytest

from sibboleth import predictions
from sibboleth.errors import InvalidInput
from sibboleth.foreign import naming
from sibboleth.recipes.listen_import import Written, listen_import
from sibboleth.recipes.score import score

SOUNDS = ("a/one.wav", "a/two.wav", "b/two.wav", "b/three.flac")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    labels = ("angry", "sad", "happy", "angry")
    rows = [f"{Path(s).with_suffix('')},{s},{s[0]},{e}" for s, e in zip(SOUNDS, labels, strict=True)]
    path = tmp_path / "manifest.csv"
    path.write_text("utterance,audio,speaker,emotion\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def imported(path: Path, manifest: Path, **more: object) -> Written:
    return listen_import((path,), manifest=manifest, output=path.parent / "ratings.csv", **more)  # type: ignore[arg-type]


def rows(written: Written, *columns: str) -> list[tuple[object, ...]]:
    return predictions.read(written.output).select(columns or ("rater", "utterance", "trial", "label", "value")).rows()


PLAIN = """stimulus,listener,label,intensity,start,end
one.wav,anna@example.org,angry,4,,
a/two.wav,anna@example.org,happy,,0.5,1.25
a/two.wav,bert,sad,2,,
one.wav,anna@example.org,sad,1,,
elsewhere.wav,bert,sad,1,,
three,bert,,,,
"""


def test_plain_columns(tmp_path: Path, manifest: Path) -> None:
    written = imported(write(tmp_path, "answers.csv", PLAIN), manifest, who=tmp_path / "who.csv")
    emotions = predictions.read(written.output).filter(pl.col("target") == "emotion")
    assert emotions.select("rater", "utterance", "start", "end", "trial", "label", "value").rows() == [
        ("r001", "a/one", None, None, 0, "angry", 1.0),
        ("r001", "a/one", None, None, 1, "sad", 1.0),
        ("r001", "a/two", 0.5, 1.25, 0, "happy", 1.0),
        ("r002", "a/two", None, None, 0, "sad", 1.0),
    ]
    beside = predictions.read(written.output).filter(pl.col("target") == "intensity")
    assert sorted(beside["value"]) == [1.0, 2.0, 4.0] and beside["label"].null_count() == 3
    assert set(emotions["source"]) == {"listener"} and set(emotions["run"]) == {"ratings"}
    assert "example" not in written.output.read_text(encoding="utf-8")
    assert "anna@example.org,r001" in (tmp_path / "who.csv").read_text(encoding="utf-8")
    assert written.imported.unmatched == ("elsewhere.wav",)
    assert written.imported.left_out == {"no answer given": 1, "the manifest has no such recording": 1}


def test_what_is_told_of_an_import(tmp_path: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(width=200).print(imported(write(tmp_path, "answers.csv", PLAIN), manifest))
    told = capsys.readouterr().out
    assert "emotion: 4 answers, 2 people, 2 utterances" in told and "intensity: 3 answers" in told
    assert "not in the manifest: elsewhere.wav" in told and "1 answer given again" in told
    Console(width=200).print(imported(write(tmp_path, "answers.csv", PLAIN), manifest, target="emotoin"))
    told = capsys.readouterr().out
    assert "has no column 'emotoin' (--target), so nothing says which answer is right" in told and "next" not in told


def test_a_column_for_each_label_and_names_that_stay(tmp_path: Path, manifest: Path) -> None:
    text = "file;rater;angry;sad\none.wav;Bo;0,75;0,25\nb/three.flac;Bo;0;1\n"
    written = imported(write(tmp_path, "wide.csv", text), manifest, keep_names=True)
    assert rows(written) == [
        ("Bo", "a/one", 0, "angry", 0.75),
        ("Bo", "a/one", 0, "sad", 0.25),
        ("Bo", "b/three", 0, "sad", 1.0),
    ]


def test_a_column_that_can_only_be_an_answer_comes_before_one_that_may_be_the_truth(
    tmp_path: Path, manifest: Path
) -> None:
    path = write(tmp_path, "answers.csv", "utterance,participant,emotion,response\na/one,b@x.org,angry,sad\n")
    written = imported(path, manifest, keep_names=True)
    assert rows(written, "rater", "label") == [("b@x.org", "sad")]
    assert written.imported.notes[0] == "answers: column 'response' of answers.csv"
    assert "mail addresses" in written.imported.notes[-1]
    assert rows(imported(path, manifest, question="emotion"), "label") == [("angry",)]


def test_labels_are_translated_and_numbers_are_numbers(tmp_path: Path, manifest: Path) -> None:
    text = "utterance,rater,label\na/one,x,Wut\na/two,x,Wut\n"
    path = write(tmp_path, "answers.csv", text)
    assert [row[3] for row in rows(imported(path, manifest, labels={"Wut": "angry"}))] == ["angry", "angry"]
    with pytest.raises(InvalidInput, match=r"share no label: answered is Wut.*--labels.Wut angry"):
        imported(path, manifest)
    path.write_text("utterance,rater,arousal\na/one,x,3\na/two,x,4.5\n", encoding="utf-8")
    numbers = imported(path, manifest, target="arousal", kind="regression")
    assert [row[3:] for row in rows(numbers)] == [(None, 3.0), (None, 4.5)]
    path.write_text("utterance,rater,arousal\na/one,x,much\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="no numbers"):
        imported(path, manifest, target="arousal", kind="regression")


@pytest.mark.parametrize(
    ("name", "utterance"),
    [
        ("a/one", "a/one"),
        ("one.mp3", "a/one"),
        ("https://lab.example/sounds/b/two.wav?token=1", "b/two"),
        ("C:\\data\\a\\two.wav", "a/two"),
        ("/data/local-files/?d=corpus/b/three.flac", "b/three"),
        ("/data/upload/3/0a1b2c3d-one.wav", "a/one"),
        ("s3://bucket/b/two.wav", "b/two"),
        ("four.wav", None),
    ],
)
def test_recordings_are_known_by_id_path_name_or_stem(name: str, utterance: str | None, manifest: Path) -> None:
    from sibboleth import corpus

    table = corpus.read(manifest, without_audio=True).table
    assert naming.Utterances(table).find([name]) == utterance


def test_a_name_of_several_utterances_is_an_error_with_its_line(tmp_path: Path, manifest: Path) -> None:
    path = write(tmp_path, "answers.csv", "utterance,rater,label\none,x,sad\ntwo.wav,x,sad\n")
    with pytest.raises(InvalidInput, match="a/two, b/two") as caught:
        imported(path, manifest)
    assert caught.value.problems[0].row == 3
    table = write(tmp_path, "names.csv", "name,utterance\ntwo.wav,b/two\n")
    assert [row[1] for row in rows(imported(path, manifest, names=table))] == ["a/one", "b/two"]


TASKS = [
    {
        "id": 1,
        "data": {"audio": "/data/upload/1/0a1b2c3d-one.wav", "text": "Hallo"},
        "annotations": [
            {
                "id": 11,
                "completed_by": {"id": 1, "email": "anna@example.org", "first_name": "Anna"},
                "was_cancelled": False,
                "result": [
                    {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": {"choices": ["angry"]}},
                    {"from_name": "quality", "to_name": "audio", "type": "rating", "value": {"rating": 4}},
                    {"from_name": "said", "to_name": "audio", "type": "textarea", "value": {"text": ["hallo", "du"]}},
                ],
            },
            {
                "id": 12,
                "completed_by": 2,
                "was_cancelled": False,
                "result": [
                    {
                        "from_name": "emotion",
                        "to_name": "audio",
                        "type": "labels",
                        "value": {"start": 0.25, "end": 1.5, "channel": 0, "labels": ["sad"]},
                    },
                    {
                        "from_name": "emotion",
                        "to_name": "audio",
                        "type": "labels",
                        "value": {"start": 1.5, "end": 2.0, "channel": 0, "labels": ["angry", "sad"]},
                    },
                ],
            },
            {"id": 13, "completed_by": 3, "was_cancelled": True, "result": []},
        ],
        "predictions": [{"model_version": "one", "result": []}],
    }
]


def test_label_studio_json(tmp_path: Path, manifest: Path) -> None:
    path = write(tmp_path, "export.json", TASKS)
    written = imported(path, manifest)
    assert rows(written, "rater", "start", "end", "trial", "label", "value") == [
        ("r001", None, None, 0, "angry", 1.0),
        ("r002", 0.25, 1.5, 0, "sad", 1.0),
        ("r002", 1.5, 2.0, 0, "angry", 1.0),
        ("r002", 1.5, 2.0, 0, "sad", 1.0),
    ]
    assert written.imported.left_out == {"skipped by the annotator": 1, "pre-annotations of a model": 1}
    assert written.imported.notes == ("other questions are not read: quality, said",)
    assert "anna" not in written.output.read_text(encoding="utf-8")
    assert rows(imported(path, manifest, target="q", question="quality"), "label", "value") == [(None, 4.0)]
    text = imported(path, manifest, target="text", kind="transcription", question="said")
    assert rows(text, "target", "label", "value") == [("text", "hallo du", 1.0)]
    with pytest.raises(InvalidInput, match="choose one with --question: emotion, quality, said"):
        imported(path, manifest, target="mood")


def test_label_studio_json_min_and_csv_say_the_same(tmp_path: Path, manifest: Path) -> None:
    about = {"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z", "lead_time": 3.5}
    records = [
        {"audio": "a/one.wav", "id": 1, "emotion": "angry", "annotator": 1, "annotation_id": 11, **about},
        {"audio": "a/one.wav", "id": 1, "emotion": "sad", "annotator": 2, "annotation_id": 12, **about},
        {
            "audio": "b/two.wav",
            "id": 2,
            "emotion": {"choices": ["happy", "sad"]},
            "annotator": 1,
            "annotation_id": 13,
            **about,
        },
        {"audio": "a/two.wav", "id": 3, "emotion": ["sad", "happy"], "annotator": 2, "annotation_id": 14, **about},
    ]
    short = imported(write(tmp_path, "min.json", records), manifest)
    expected = [
        ("r001", "a/one", 0, "angry", 1.0),
        ("r001", "b/two", 0, "happy", 1.0),
        ("r001", "b/two", 0, "sad", 1.0),
        ("r002", "a/one", 0, "sad", 1.0),
    ]
    assert rows(short) == expected
    assert short.imported.left_out == {"answers about regions, without their times here; export as JSON": 1}
    flat = [{k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in one.items()} for one in records]
    pl.DataFrame(flat).write_csv(tmp_path / "flat.csv", quote_style="non_numeric")
    written = imported(tmp_path / "flat.csv", manifest)
    assert rows(written) == expected and written.imported.left_out == short.imported.left_out


def test_webmushra(tmp_path: Path, manifest: Path) -> None:
    about = "session_test_id,email,age,session_uuid,trial_id"
    mushra = f"""{about},rating_stimulus,rating_score,rating_time,rating_comment
test,a@example.org,30,u1,page1,one,80,1200,
test,a@example.org,30,u1,page1,reference,100,1200,
test,b@example.org,31,u2,page1,one,60,900,
test,b@example.org,31,u2,page1,anchor35,10,900,
"""
    written = imported(write(tmp_path, "mushra.csv", mushra), manifest, target="quality")
    assert rows(written) == [("r001", "a/one", 0, None, 80.0), ("r002", "a/one", 0, None, 60.0)]
    assert written.imported.left_out == {"hidden references and anchors": 2}
    likert = """session_test_id,email,age,trial_id,stimuli_rating,stimuli,rating_time
test,a@example.org,30,three," angry ",C1,800
test,b@example.org,31,three," NA ",C1,700
"""
    written = imported(write(tmp_path, "lss.csv", likert), manifest)
    assert rows(written) == [("r001", "b/three", 0, "angry", 1.0)]
    assert written.imported.left_out == {"no answer given": 1}
    assert "told apart by email, age" in written.imported.notes[0]
    pairs = "session_test_id,email,trial_id,choice_reference,choice_non_reference,choice_answer,choice_time\n"
    path = write(tmp_path, "paired_comparison.csv", pairs + "test,a,page,one,two,reference,5\n")
    with pytest.raises(InvalidInput, match="1 a paired comparison says which of two is better"):
        imported(path, manifest)


TRIALS = [
    {"trial_type": "instructions", "trial_index": 0, "rt": 1000, "subject_id": "p1"},
    {"trial_type": "audio-button-response", "stimulus": "a/one.wav", "response": 0, "rt": 900, "subject_id": "p1"},
    {"trial_type": "audio-button-response", "stimulus": "a/two.wav", "response": 1, "rt": 700, "subject_id": "p1"},
    {"trial_type": "audio-button-response", "stimulus": "b/two.wav", "response": None, "rt": None, "subject_id": "p1"},
    {
        "trial_type": "html-button-response",
        "stimulus": '<audio controls src="b/three.flac"></audio>',
        "response": 1,
        "subject_id": "p1",
    },
]
BUTTONS = {"0": "angry", "1": "sad"}
HEARD = [("r001", "a/one", 0, "angry", 1.0), ("r001", "a/two", 0, "sad", 1.0), ("r001", "b/three", 0, "sad", 1.0)]


def test_jspsych(tmp_path: Path, manifest: Path) -> None:
    path = write(tmp_path, "data.json", [{**one, "trial_index": k} for k, one in enumerate(TRIALS)])
    written = imported(path, manifest, labels=BUTTONS)
    assert rows(written) == HEARD
    assert written.imported.left_out == {"instructions: no recording": 1, "no answer given": 1}
    pl.DataFrame(json.loads(path.read_text(encoding="utf-8"))).write_csv(tmp_path / "data.csv")
    assert rows(imported(tmp_path / "data.csv", manifest, labels=BUTTONS)) == HEARD
    lines = "\n".join(json.dumps(TRIALS) for _ in range(2))  # as JATOS puts sessions under each other
    again = rows(imported(write(tmp_path, "jatos.json", lines), manifest, labels=BUTTONS))
    assert [row[2] for row in again] == [0, 1, 0, 1, 0, 1]
    with pytest.raises(InvalidInput, match=r"answered is 0, 1.*--labels.0"):
        imported(path, manifest)


def test_jspsych_sliders_old_buttons_and_files_without_a_person(tmp_path: Path, manifest: Path) -> None:
    trials = [{"trial_type": "audio-slider-response", "stimulus": "one.wav", "response": 55, "trial_index": 1}]
    written = imported(write(tmp_path, "p7.json", trials), manifest, target="arousal", keep_names=True)
    assert rows(written) == [("p7", "a/one", 0, None, 55.0)] and "counts as one" in written.imported.notes[0]
    old = "trial_type,trial_index,stimulus,button_pressed,participant\naudio-button-response,1,one.wav,1,x\n"
    assert rows(imported(write(tmp_path, "six.csv", old), manifest, labels=BUTTONS))[0][3] == "sad"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "rater,label\nx,sad\n", "no column of recordings; name it with --utterance"),
        ("a.csv", "utterance,label\na/one,sad\n", "no column of people; name it with --rater"),
        ("a.csv", "utterance,rater\na/one,x\n", "no column of answers; name it with --question"),
        ("a.csv", "utterance,rater,label\na/one,,sad\n", "is empty"),
        ("a.csv", "utterance,rater,label,trial\na/one,x,sad,1\na/one,x,angry,1\n", "one trial has one answer"),
        ("a.csv", "utterance,rater,label\nnine,x,sad\n", "the manifest has none of the recordings"),
        ("a.json", "[{}", "is no JSON"),
        ("a.json", '[{"a": 1}]', "neither Label Studio's JSON nor jsPsych's"),
        ("a.json", '[{"data": {"n": 1}, "annotations": []}]', "no recording; say where it stands"),
        ("a.json", '[{"data": "one.wav", "annotations": []}]', "no recording; say where it stands"),
        (
            "a.json",
            '[{"data": {"audio": "one.wav"}, "annotations": true}]',
            ":1: annotations must be a list of objects",
        ),
        ("a.json", '[{"data": {"audio": "one.wav"}, "annotations": [{"result": [5]}]}]', ":1: result must be a list"),
        ("a.json", '[{"trial_type": "x", "stimulus": "\\ud800"}]', "is no JSON .it has half of a character"),
        ("a.json", "[" * 100_000, "is no JSON .it nests too deeply"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, text: str, said: str, tmp_path: Path, manifest: Path) -> None:
    with pytest.raises(InvalidInput, match=said):
        imported(write(tmp_path, name, text), manifest)
    assert not (tmp_path / "ratings.csv").exists()


def test_what_is_imported_can_be_scored(tmp_path: Path, manifest: Path) -> None:
    written = imported(write(tmp_path, "data.json", TRIALS), manifest, labels=BUTTONS)
    scored = score((written.output,), reference=manifest)
    accuracy = scored.scores.filter(pl.col("metric") == "accuracy", pl.col("slice") == "all")["estimate"]
    assert accuracy.to_list() == pytest.approx([2 / 3])
