from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpora, predictions
from sibboleth.errors import InvalidInput

IMPROVISED = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t()
C-E4:\tNeutral; Sadness;\t(tired; (bored))
C-F1:\tAnger;\t()
A-E3:\tval 3; act 2; dom  2;\t()
A-E4:\tval 2; act 3; dom ;\t(mad)
A-F1:\tval 1; act 5; dom 5;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\txxx\t[2.5000, 2.0000, 4.5000]
C-E2:\tFrustration;\t()
C-E3:\tExcited; Other;\t(proud)
C-E3:\tOther;\t()
"""
SCRIPTED = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]
[0.0000 - 1.5000]\tSes05M_script02_2_M021\texc\t[4.0000, 4.0000, 3.3333]
C-E2:\t;\t()
"""
TEXTS = """Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me. [LAUGHTER]
M: Yeah.
Ses01F_impro01_MXX0 [008.2357-010.0100]: Hm.
Ses01F_impro01_M001 [010.0100-011.3925]: Caf\xe9?
"""
WAVS = (
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M001.wav",
    "Session5/sentences/wav/Ses05M_script02_2/Ses05M_script02_2_M021.wav",
    "Session1/dialog/wav/Ses01F_impro01.wav",
)


def put(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    texts = {
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": IMPROVISED,
        "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt": "Ses01F_impro01_F000 :Anger; ()\n",
        "Session1/dialog/MOCAP_head/Ses01F_impro01.txt": "Frame# Time pitch\n",
        "Session1/dialog/transcriptions/Ses01F_impro01.txt": TEXTS,
        "Session5/dialog/EmoEvaluation/Ses05M_script02_2.txt": SCRIPTED,
    }
    put(tmp_path, {name: text.encode("latin-1") for name, text in texts.items()})
    return put(tmp_path, dict.fromkeys(WAVS, b""))


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("iemocap", root).table
    assert table.select("utterance", "emotion", "speaker", "session", "sex", "scenario", "dialogue").rows() == [
        ("Ses01F_impro01_F000", "neutral", "Ses01F", "Ses01", "female", "improvised", "Ses01F_impro01"),
        ("Ses01F_impro01_M001", None, "Ses01M", "Ses01", "male", "improvised", "Ses01F_impro01"),
        ("Ses05M_script02_2_M021", "excited", "Ses05M", "Ses05", "male", "scripted", "Ses05M_script02_2"),
    ]
    assert table["audio"].to_list() == [str(root / name) for name in WAVS[:3]]
    assert table["text"].to_list() == ["Excuse me. [LAUGHTER]", "Café?", None]
    values = table.select("dialogue_start", "dialogue_end", "valence", "activation", "dominance")
    assert values.row(1) == (10.01, 11.3925, 2.5, 2.0, 4.5) and set(table["language"]) == {"en"}


def test_each_evaluator_counts_once_whatever_they_ticked_and_actors_do_not_judge_themselves(root: Path) -> None:
    table = corpora.ratings("iemocap", root)
    assert table is not None and predictions.validate(table).equals(table)
    assert set(table["source"]) == {"listener"} and set(table["rater"]) == {"E2", "E3", "E4"}
    emotions = table.filter(pl.col("target") == "emotion").select("utterance", "rater", "trial", "label", "value")
    assert emotions.sort("utterance", "rater", "trial", "label").rows() == [
        ("Ses01F_impro01_F000", "E2", 0, "neutral", 1.0),
        ("Ses01F_impro01_F000", "E3", 0, "neutral", 1.0),
        ("Ses01F_impro01_F000", "E4", 0, "neutral", 0.5),
        ("Ses01F_impro01_F000", "E4", 0, "sad", 0.5),
        ("Ses01F_impro01_M001", "E2", 0, "frustrated", 1.0),
        ("Ses01F_impro01_M001", "E3", 0, "excited", 0.5),
        ("Ses01F_impro01_M001", "E3", 0, "other", 0.5),
        ("Ses01F_impro01_M001", "E3", 1, "other", 1.0),
    ]
    scores = table.filter(pl.col("label").is_null()).select("rater", "target", "value").rows()
    assert sorted(scores) == [
        ("E3", "activation", 2.0),
        ("E3", "dominance", 2.0),
        ("E3", "valence", 3.0),
        ("E4", "activation", 3.0),
        ("E4", "valence", 2.0),
    ]


def test_a_wrapped_copy_in_other_case_with_decimal_commas_and_missing_audio(tmp_path: Path) -> None:
    head = "[0,0000 - 1,5000]  Ses02M_impro03_F000  HAP  [4,0000, 3,5000, 3,0000]\r\n"
    inside = "IEMOCAP_full_release/Session2"
    put(tmp_path, {f"{inside}/dialog/emoevaluation/Ses02M_impro03.TXT": b"\xef\xbb\xbf" + head.encode()})
    table = corpora.prepare("iemocap", tmp_path).table
    assert table.select("emotion", "valence", "activation", "dialogue_end").rows() == [("happy", 4.0, 3.5, 1.5)]
    assert table["audio"][0] == str(tmp_path / inside / "sentences/wav/Ses02M_impro03/Ses02M_impro03_F000.wav")
    put(tmp_path, {f"{inside}/elsewhere/Ses02M_impro03_F000.flac": b""})
    assert corpora.prepare("iemocap", tmp_path).table["audio"][0].endswith("elsewhere/Ses02M_impro03_F000.flac")


def test_what_is_not_iemocap_is_refused_by_line(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="IEMOCAP's folder has Session1/dialog/EmoEvaluation"):
        corpora.prepare("iemocap", tmp_path / "empty")
    evaluation = root / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    evaluation.write_text(IMPROVISED.replace("\tneu\t", "\tjoy\t").replace("2.0000, 4.5000", "2.0000"))
    with pytest.raises(InvalidInput, match="'joy' is none of IEMOCAP's emotions: ang, hap") as caught:
        corpora.prepare("iemocap", root)
    assert [problem.row for problem in caught.value.problems] == [3, 12]
    evaluation.write_text(IMPROVISED.replace("Frustration", "Boredom"))
    with pytest.raises(InvalidInput, match=r"Ses01F_impro01\.txt:13: 'Boredom' is none of the evaluators' emotions"):
        corpora.ratings("iemocap", root)
    evaluation.unlink()
    with pytest.raises(InvalidInput, match=r"Ses01F_impro01 has recordings, but no EmoEvaluation/Ses01F_impro01\.txt"):
        corpora.prepare("iemocap", root)
