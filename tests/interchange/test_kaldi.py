"""Kaldi data folders as recipes write them, and lines that cannot be used."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth import interchange
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput
from sibboleth.interchange import Asked


@pytest.fixture
def data(sounds: Path) -> Path:
    """A folder of segments, whose paths start from that of the recipe, two above it."""
    folder = sounds.parent / "data" / "train"
    folder.mkdir(parents=True)
    files = {
        "wav.scp": "a0 sounds/a0.wav\nb1\tsounds/b1.wav\n",
        "segments": "anna-1 a0 0.10 0.90\nbert-1 b1 1 2.25\nbert-2 b1 2.25 -1\n",
        "utt2spk": "anna-1 anna\nbert-1 bert\nbert-2 bert\n",
        "spk2utt": "anna anna-1\nbert bert-1 bert-2\n",
        "text": "anna-1 een twee\nbert-2\n",
        "spk2gender": "anna f\nbert m\n",
        "utt2lang": "anna-1 nl\nbert-1 fr\n",
        "utt2accent": "bert-1 Gents plat\nnobody x\n",
        "utt2num_frames": "anna-1 80\n",
        "feats.scp": "anna-1 raw.ark:12\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def refused(data: Path) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        interchange.read(str(data), "kaldi", Asked())
    return caught.value


def test_segments_texts_languages_and_files_of_ones_own(data: Path, sounds: Path) -> None:
    back, found = interchange.read(str(data), "kaldi", Asked())
    rows = back.table.select("utterance", "start", "end", "speaker", "language", "text", "accent", "sex").rows()
    assert rows == [
        ("anna-1", 0.1, 0.9, "anna", "nl", "een twee", None, "female"),
        ("bert-1", 1.0, 2.25, "bert", "fr", None, "Gents plat", "male"),
        ("bert-2", 2.25, None, "bert", None, None, None, "male"),
    ]
    assert back.table["audio"].unique().sort().to_list() == [str(sounds / "a0.wav"), str(sounds / "b1.wav")]
    assert back.name == "train" and "num_frames" not in back.table.columns
    assert found.notes == ("1 lines of utt2accent are of no utterance here, such as nobody: left out",)
    assert interchange.recognised(str(data)) == interchange.recognised(str(data / "wav.scp")) == "kaldi"


def test_commands_are_refused_and_never_run(data: Path, tmp_path: Path) -> None:
    witness = tmp_path / "was-run"
    lines = [
        f"a0 touch {witness} |",
        "b1 flac -c -d -s /corpus/b1.flac |",
        "c raw.ark:123",
        "d -",
        f"e | touch {witness}",
    ]
    (data / "wav.scp").write_text("\n".join(lines), encoding="utf-8")
    problems = refused(data).problems
    assert not witness.exists()
    assert [problem.row for problem in problems] == [1, 2, 3, 4, 5]
    assert "is a command, which is not run" in problems[0].message
    assert "if it only decodes /corpus/b1.flac, write that path in its place" in problems[1].message
    assert "archive" in problems[2].message and "standard input" in problems[3].message


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("segments", "anna-1 a0 0.9 0.1\n", "ends before it starts"),
        ("segments", "anna-1 zz 0.1 0.9\n", "wav.scp has no recording 'zz'"),
        ("segments", "anna-1 a0 nan 0.9\n", "must be: UTTERANCE RECORDING START END"),
        ("wav.scp", "a0 sounds/a0.wav\na0 sounds/b1.wav\n", "'a0' stands in line 1 too"),
        ("wav.scp", "a0 sounds/gone.wav\nb1 sounds/b1.wav\n", "no such file: sounds/gone.wav"),
        ("wav.scp", "a0\n", "'a0' has no value"),
        ("wav.scp", "", "is empty"),
        ("utt2spk", "anna-1 anna\n", "2 of 3 utterances have no speaker, such as bert-1, bert-2"),
    ],
)
def test_lines_that_cannot_be_used_are_named(data: Path, file: str, text: str, told: str) -> None:
    (data / file).write_text(text, encoding="utf-8")
    assert told in str(refused(data))


def test_without_speakers_there_is_no_corpus(data: Path) -> None:
    (data / "utt2spk").unlink()
    assert "has no utt2spk" in str(refused(data))


def test_ids_sort_as_their_speakers_do_and_come_back_as_they_were(spoken: Corpus, tmp_path: Path) -> None:
    """Kaldi's tools want utterances sorted by bytes, and speakers sorted with them."""
    crossed = Corpus("x", spoken.table.with_columns(utterance=pl.Series(["4", "B", "1", "a"])))
    notes = interchange.write(crossed, tmp_path / "k", "kaldi")
    assert "utt2utterance has them as they were" in notes[0]
    lines = (tmp_path / "k" / "utt2spk").read_text().splitlines()
    assert lines == ["anna-4 anna", "anna-B anna", "bert-1 bert", "bert-a bert"]
    assert (tmp_path / "k" / "spk2utt").read_text() == "anna anna-4 anna-B\nbert bert-1 bert-a\n"
    assert (tmp_path / "k" / "spk2gender").read_text() == "anna f\nbert m\n"
    back, _ = interchange.read(str(tmp_path / "k"), "kaldi", Asked())
    assert sorted(back.table["utterance"]) == ["1", "4", "B", "a"]


def test_what_kaldi_cannot_hold_is_told(spoken: Corpus, tmp_path: Path) -> None:
    several = spoken.table.with_columns(text=pl.Series(["a  b", "c", "d", "e"]), sex=pl.Series(["f", "m", "m", "m"]))
    assert any("1 texts have" in note for note in interchange.write(Corpus("x", several), tmp_path / "k", "kaldi"))
    assert (tmp_path / "k" / "utt2sex").is_file() and not (tmp_path / "k" / "spk2gender").exists()
    blank = Corpus("x", spoken.table.with_columns(speaker=pl.lit("an na")))
    with pytest.raises(InvalidInput, match="cannot hold the blanks in the speaker 'an na'"):
        interchange.write(blank, tmp_path / "l", "kaldi")
    assert not (tmp_path / "l").exists()
