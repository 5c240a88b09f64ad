"""Split lists in the layouts in which people publish them."""

import re
from pathlib import Path

import polars as pl
import pytest

from sibboleth import lists
from sibboleth.errors import InvalidInput


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def rows(table: pl.DataFrame) -> list[tuple[str, str, str]]:
    return sorted(table.select("fold", "part", "utterance").rows())


def test_one_file_in_any_format_and_with_any_known_name(tmp_path: Path) -> None:
    wanted = [("fold-1", "dev", "b"), ("fold-1", "test", "c"), ("fold-1", "train", "a")]
    files = [
        write(tmp_path / "1.csv", "utterance,part\na,train\nb,dev\nc,test\n"),
        write(tmp_path / "2.csv", "\ufeffFile;Split;age\na;Training;3\nb;valid;4\nc;TEST;5\n"),
        write(tmp_path / "3.tsv", "key\tsubset\na\ttrain\nb\teval\nc\ttest\n"),
        write(
            tmp_path / "4.jsonl",
            '{"wav": "a", "part": "train"}\n{"wav": "b", "part": "val"}\n{"wav": "c", "part": "test"}',
        ),
    ]
    pl.read_csv(files[0]).write_parquet(tmp_path / "5.parquet")
    for file in [*files, tmp_path / "5.parquet"]:
        assert rows(lists.read(file)) == wanted


def test_columns_of_other_types_are_read_as_text_or_told(tmp_path: Path) -> None:
    table = pl.DataFrame({"utterance": [b"a", b"b"], "part": ["train", "test"], "speaker": [["x"], ["y"]]})
    table.write_parquet(tmp_path / "l.parquet")
    assert rows(lists.read(tmp_path / "l.parquet")) == [("fold-1", "test", "b"), ("fold-1", "train", "a")]
    table.with_columns(pl.Series("utterance", [b"a", b"\xff"])).write_parquet(tmp_path / "l.parquet")
    with pytest.raises(InvalidInput, match=r"l.parquet:2: \[utterance\] is empty"):
        lists.read(tmp_path / "l.parquet")


def test_folders_of_parts_of_folds_and_of_corpora(tmp_path: Path) -> None:
    flat, per_part, per_fold = tmp_path / "flat", tmp_path / "per_part", tmp_path / "per_fold"
    for part in ("train", "dev", "test"):
        write(flat / f"{part}.csv", f"file\n{part}0.wav\n")
    assert rows(lists.read(flat)) == [("fold-1", p, f"{p}0.wav") for p in ("dev", "test", "train")]
    for corpus in ("CN_ESD", "EN_IEMOCAP"):
        for part in ("train", "eval", "test"):
            for fold in (0, 1):
                write(per_part / corpus / part / f"metadata_fold{fold}.csv", f"file,answer\n{part}{fold}.wav,Sad\n")
    read = lists.read(per_part)
    assert read["corpus"].unique().sort().to_list() == ["CN_ESD", "EN_IEMOCAP"]
    assert read["label"].unique().to_list() == ["Sad"]
    assert rows(read.filter(corpus="CN_ESD"))[0] == ("fold-0", "dev", "eval0.wav")
    assert len(read) == 12
    write(per_fold / "label_map.csv", "a,b\n1,2\n")
    for fold in (1, 2):
        for part in ("train", "test"):
            line = f'{{"key": "e-{part}{fold}", "wav": "downloads/{part}{fold}.wav", "emo": "anger"}}\n'
            write(per_fold / f"fold_{fold}" / f"emodb_{part}_fold_{fold}.jsonl", line)
            write(per_fold / f"fold_{fold}" / f"emodb_{part}_fold{fold}.jsonl", line)
    assert rows(lists.read(per_fold))[:2] == [("fold-1", "test", "e-test1"), ("fold-1", "train", "e-train1")]
    assert len(lists.read(per_fold)) == 4


def test_a_list_without_fold_belongs_to_all_of_them(tmp_path: Path) -> None:
    write(tmp_path / "test.csv", "utterance\nt\n")
    write(tmp_path / "train_fold1.csv", "utterance\na\n")
    write(tmp_path / "train_fold2.csv", "utterance\nb\n")
    wanted = [("fold-1", "test", "t"), ("fold-1", "train", "a"), ("fold-2", "test", "t"), ("fold-2", "train", "b")]
    assert rows(lists.read(tmp_path)) == wanted


def test_a_pattern_with_a_slash_is_of_the_whole_path() -> None:
    files = ["/data/anna/angry/1.wav", "D:\\data\\bert\\sad\\1.wav", None]
    assert lists.speakers(files, r"([^/]+)/[^/]+/[^/]+$").to_list() == ["anna", "bert", None]


def test_speakers_come_from_the_name_of_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "l.csv",
        "file,part\nx/Ses02F_script02_1_M017.wav,train\nx/Ses01M_impro_F003.wav,test\nodd.wav,test\n",
    )
    assert lists.read(file, r"Ses(\d+).*_([FM])\d+")["speaker"].to_list() == ["02-M", "01-F", None]
    assert lists.read(file, r"Ses\d+")["speaker"].to_list() == ["Ses02", "Ses01", None]
    with pytest.raises(InvalidInput, match="not a regular expression"):
        lists.read(file, "(")
    with pytest.raises(InvalidInput, match="matches no file name, e.g. x/Ses02F"):
        lists.read(file, "nobody")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("l.csv", "utterance,part\na,train\n,test\n", "l.csv:3: [utterance] is empty"),
        ("l.csv", "utterance,part\na,lost\n", "l.csv:2: [part] must be one of train"),
        ("l.csv", "utterance,part,speaker\na,train,x\na,train,y\n", "l.csv:3: [utterance] a stands twice in train"),
        ("l.jsonl", '{"utterance": "a", "part": "train"}\n[1]\n{\n', "l.jsonl:3: is not a JSON object"),
        ("l.csv", "", "cannot be read as a table"),
        ("l.csv", "utterance,part\n", "the split lists are empty"),
        ("folder/words.csv", "utterance\na\n", "no split lists in it"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(tmp_path: Path, name: str, text: str, told: str) -> None:
    file = write(tmp_path / name, text)
    with pytest.raises(InvalidInput, match=re.escape(told)):
        lists.read(file if file.parent == tmp_path else file.parent)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file or folder"):
        lists.read(tmp_path / "nowhere")
