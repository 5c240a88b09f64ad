from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

ACTORS = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
VOTES = '"","A","D","F","H","N","S","fileName"\n"100001",2,1,0,0,0,0,"1001_IEO_ANG_HI"\n'


def put(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    recordings = ("AudioMP3/1001_IEO_ANG_HI.mp3", "AudioWAV/1001_IEO_ANG_HI.wav", "AudioWAV/1091_MTI_NEU_XX.wav")
    tables = {"VideoDemographics.csv": ACTORS, "processedResults/tabulatedVotes.csv": VOTES}
    files = {**dict.fromkeys(recordings, ""), "VideoFlash/1001_IEO_ANG_HI.flv": "", **tables}
    return put(tmp_path / "CREMA-D-master", files)


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("crema-d", root).table
    assert table.select("utterance", "speaker", "emotion", "level", "sex", "age", "race", "ethnicity").rows() == [
        ("1001_IEO_ANG_HI", "1001", "angry", "high", "male", 51.0, "Caucasian", "Not Hispanic"),
        ("1091_MTI_NEU_XX", "1091", "neutral", None, "female", None, None, None),
    ]
    assert table["audio"][0] == str(root / "AudioWAV/1001_IEO_ANG_HI.wav")
    assert table["text"].to_list() == ["It's eleven o'clock.", "Maybe tomorrow it will be cold."]


def test_what_the_crowd_heard_comes_with_it_wherever_the_folder_lies(root: Path) -> None:
    for place in (root, root.parent):
        table = corpora.ratings("crema-d", place)
        assert table is not None and table["label"].to_list() == ["angry", "angry", "disgusted"]
        assert set(table["utterance"]) <= set(corpora.prepare("crema-d", place).table["utterance"])
    assert corpora.ratings("crema-d", root / "AudioWAV") is None


def test_recordings_alone_in_another_format(tmp_path: Path) -> None:
    put(tmp_path, {"crema/1040_ITH_SAD_X.flac": "", "crema/1002_dfa_fea_lo.FLAC": ""})
    table = corpora.prepare("crema-d", tmp_path).table
    assert table.select("emotion", "level", "sex", "age").rows() == [
        ("fearful", "low", "female", None),
        ("sad", None, "male", None),
    ]


def test_what_is_not_crema_d_is_refused_by_file(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no recordings.*CREMA-D's folder has AudioWAV"):
        corpora.prepare("crema-d", tmp_path / "empty")
    put(root, {"AudioWAV/1092_IEO_ANG_HI.wav": "", "AudioWAV/1001_IEO_JOY_HI.wav": ""})
    with pytest.raises(InvalidInput, match="take it out") as caught:
        corpora.prepare("crema-d", root)
    assert len(caught.value.problems) == 2
