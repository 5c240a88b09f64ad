from pathlib import Path

import pytest

from sibboleth import corpora, corpus
from sibboleth.corpora import rhasspy
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import prepare
from sibboleth.recipes.corpus_import import corpus_import

README = """# Voice Dataset ({name})

High quality recording of phonetically diverse prompts by a native {gender} Dutch speaker.

## Demographics

* Language: {language}
* Native speaker: yes
* Gender: {gender}
"""


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    flemish, dutch = tmp_path / "dataset-voice-flemishguy", tmp_path / "dataset-voice-nathalie-master"
    put(flemish, "nl_rhasspy_100_1602426809.wav", "nl_rhasspy_13_1602428076.wav", "nl_rhasspy_7_1602428000.wav")
    (flemish / "README.md").write_text(README.format(name="flemishguy", gender="male", language="Dutch (Flanders)"))
    (flemish / "metadata.csv").write_text(
        'nl_rhasspy_13_1602428076|Een "café"?\nnl_rhasspy_100_1602426809|Ik was moe.\n'
    )
    put(dutch, "audio/nl_rhasspy_100.webm", "verified/nl_rhasspy_100.flac")
    (dutch / "README.md").write_text(README.format(name="nathalie", gender="female", language="Dutch"))
    (dutch / "metadata.csv").write_text("nl_rhasspy_100|As it was shown.\n")
    (dutch / "verified" / "metadata.csv").write_text("nl_rhasspy_100|Ik was moe.\n")
    return tmp_path


def test_the_published_layouts_of_several_datasets(root: Path) -> None:
    table = corpora.prepare("rhasspy", root).table
    assert table.select("utterance", "speaker", "language", "text", "sex", "prompt", "accent").rows() == [
        ("flemishguy-nl_rhasspy_100_1602426809", "flemishguy", "nl-BE", "Ik was moe.", "male", "nl_100", "Belgium"),
        ("flemishguy-nl_rhasspy_13_1602428076", "flemishguy", "nl-BE", 'Een "café"?', "male", "nl_13", "Belgium"),
        ("flemishguy-nl_rhasspy_7_1602428000", "flemishguy", "nl-BE", None, "male", "nl_7", "Belgium"),
        ("nathalie-nl_rhasspy_100", "nathalie", "nl", "Ik was moe.", "female", "nl_100", None),
    ]
    assert table["audio"][3].endswith("nathalie-master/verified/nl_rhasspy_100.flac")
    assert len(corpus.read(prepare("rhasspy", root)).table) == 4


def test_one_dataset_without_its_readme_whose_opus_was_converted(root: Path) -> None:
    folder = root / "dataset-voice-nathalie-master"
    (folder / "README.md").unlink()
    (folder / "verified" / "metadata.csv").unlink()
    (folder / "verified" / "nl_rhasspy_100.flac").unlink()
    with pytest.raises(InvalidInput, match=r"its \.webm are not read: get the folder verified, or make FLAC of them"):
        corpora.prepare("rhasspy", folder)
    put(folder, "audio/nl_rhasspy_100.flac")
    (folder / "metadata.csv").write_bytes("\r\n nl_rhasspy_100.wav | E\xe9n caf\xe9.\r\n".encode("latin-1"))
    row = corpora.prepare("rhasspy", folder).table.row(0, named=True)
    assert (row["speaker"], row["language"], row["text"]) == ("nathalie", "nl", "Eén café.")


def test_what_is_none_is_refused(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no manifest\.tsv there or in folders below\. a voice dataset of Rhasspy"):
        corpora.prepare("rhasspy", root / "dataset-voice-nathalie-master" / "audio")
    path = root / "dataset-voice-flemishguy" / "metadata.csv"
    path.write_text(path.read_text() + "\nno bar\n")
    with pytest.raises(InvalidInput, match="expected name") as caught:
        corpora.prepare("rhasspy", root)
    assert [problem.row for problem in caught.value.problems] == [4]


def test_a_sample_whose_recordings_are_missing_is_refused_by_row(tmp_path: Path) -> None:
    put(tmp_path, "a/nl_rhasspy_1.flac")
    rows = "path\tspeaker\tgender\tlanguage\ttext\na/nl_rhasspy_1.wav\ta\tmale\tnl\tJa.\nb/x.flac\t\tmale\tnl\tNee.\n"
    (tmp_path / "manifest.tsv").write_text(rows)
    with pytest.raises(InvalidInput, match=r"no such recording: b/x\.flac") as caught:
        corpora.prepare("rhasspy", tmp_path)
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [(3, "path"), (3, "speaker")]


def test_the_layout_of_ljspeech(tmp_path: Path) -> None:
    root = tmp_path / "LJSpeech-1.1"
    put(root, "wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav", "wavs/LJ001-0003.wav")
    (root / "metadata.csv").write_text(
        'LJ001-0001|Of "1455".|Of "fourteen fifty-five".\nLJ001-0002|in being|in being\n'
    )
    table = corpora.prepare("rhasspy", root).table
    assert table.select("utterance", "speaker", "text", "text_in_words", "language").rows() == [
        ("LJSpeech-1.1-LJ001-0001", "LJSpeech-1.1", 'Of "1455".', 'Of "fourteen fifty-five".', None),
        ("LJSpeech-1.1-LJ001-0002", "LJSpeech-1.1", "in being", "in being", None),
        ("LJSpeech-1.1-LJ001-0003", "LJSpeech-1.1", None, None, None),
    ]
    with pytest.raises(InvalidInput, match=r"no column 'file_name'.*sibboleth corpus prepare rhasspy .*LJSpeech-1\.1"):
        corpus_import(str(root), output=tmp_path / "manifest.csv")


def test_lists_of_other_fields_or_of_other_recordings_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "wavs/a-1.flac")
    (tmp_path / "metadata.csv").write_text("wavs/a-1.wav|One.\nwavs/a-2.wav|Two.|Two.|neutral\n")
    with pytest.raises(InvalidInput, match=r"metadata\.csv:2: expected name\|text or name\|text\|text in words, not 4"):
        corpora.prepare("rhasspy", tmp_path)
    (tmp_path / "metadata.csv").write_text("b-1|One.\n")
    with pytest.raises(InvalidInput, match="names none of the recordings: it has b-1, recordings are called a-1"):
        corpora.prepare("rhasspy", tmp_path)
    (tmp_path / "metadata.csv").write_text("wavs/a-1.wav|One.\n")
    assert corpora.prepare("rhasspy", tmp_path).table["text"].to_list() == ["One."]


def test_real_files(real_speech: Path) -> None:
    table = corpora.prepare("rhasspy", real_speech / "nl_rhasspy").table
    counted = table.group_by("speaker", "sex", "language", "accent").len().sort("speaker").rows()
    assert counted == [("flemishguy", "male", "nl-BE", "Belgium", 60), ("nathalie", "female", "nl", None, 59)]
    assert all(rhasspy.CARD.counts[f"speaker.{name}"] > count for name, *_, count in counted)
    assert table["prompt"].n_unique() == 60 and table.select("prompt", "text").n_unique() == 60  # one text per prompt
