from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

NAMES = ("03a01Fa", "08a02Wb", "09b10Ld", "10a04Ea", "11b01Ab", "12a05Tc", "16b09Nb")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "wav").mkdir()
    for name in NAMES:
        (tmp_path / f"wav/{name}.wav").write_bytes(b"")
    (tmp_path / "wav/._03a01Fa.wav").write_bytes(b"")
    rows = [f"{n}\xa0\xa0\t{name}.wav\t{90 + n},50\xa0\xa0\t{n},00\xa0" for n, name in enumerate(NAMES[:-1], start=1)]
    text = "Nr.\tSatz\terkannt\tnatuerlich\n" + "\n".join(rows) + "\n"
    (tmp_path / "erkennung.txt").write_text(text, encoding="latin-1")
    return tmp_path


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("emodb", root).table
    assert table["utterance"].to_list() == list(NAMES)
    assert table["emotion"].to_list() == ["happy", "angry", "bored", "disgusted", "fearful", "sad", "neutral"]
    assert table["speaker"].to_list() == ["03", "08", "09", "10", "11", "12", "16"]
    assert table["sex"].to_list() == ["male", "female", "female", "male", "male", "male", "female"]
    assert set(table["language"]) == {"de"}
    first, last = table.row(0, named=True), table.row(-1, named=True)
    assert first["text"] == "Der Lappen liegt auf dem Eisschrank." and first["take"] == "a" and first["age"] == 31
    assert (first["recognition"], first["naturalness"]) == (0.915, 0.01)
    assert last["recognition"] is None and last["naturalness"] is None


def test_other_folders_are_refused_with_the_layout_that_is_expected(root: Path, tmp_path: Path) -> None:
    for wrong in (root / "wav", root / "nowhere"):
        with pytest.raises(InvalidInput, match="EmoDB's folder has wav/"):
            corpora.prepare("emodb", wrong)
    (root / "wav/17a01Fa.wav").write_bytes(b"")
    (root / "wav/holiday.wav").write_bytes(b"")
    with pytest.raises(InvalidInput, match="take it out") as caught:
        corpora.prepare("emodb", root)
    assert len(caught.value.problems) == 2


def test_a_damaged_list_of_judgements_is_refused_by_line(root: Path) -> None:
    path = root / "erkennung.txt"
    path.write_text(path.read_text(encoding="latin-1").replace("92,50", "viele"), encoding="latin-1")
    with pytest.raises(InvalidInput) as caught:
        corpora.prepare("emodb", root)
    assert [problem.row for problem in caught.value.problems] == [3]
    path.unlink()
    with pytest.raises(InvalidInput, match="recognised"):
        corpora.prepare("emodb", root)


def test_real_files(real_speech: Path) -> None:
    table = corpora.prepare("emodb", real_speech / "emodb").table
    assert len(table) == 339 and table["speaker"].n_unique() == 10 and table["text"].n_unique() == 10
    assert table["recognition"].null_count() == 0 and table["recognition"].min() >= 0.8
    assert table["naturalness"].is_between(0, 1).all()
    assert dict(table["emotion"].value_counts().iter_rows()) == {"angry": 127, "happy": 71, "neutral": 79, "sad": 62}


def test_sentences_are_those_published(real_speech: Path) -> None:
    lines = (real_speech / "emodb" / "sentences.tsv").read_text(encoding="utf-8").splitlines()
    published = {code: text.lower() for code, text in (line.split("\t") for line in lines)}
    table = corpora.prepare("emodb", real_speech / "emodb").table
    assert {code: text.lower() for code, text in table.select("sentence", "text").unique().iter_rows()} == published
