from pathlib import Path

import pytest

from sibboleth.corpora import layouts
from sibboleth.errors import InvalidInput


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_of_one_recording_in_several_formats_the_best_counts_and_leftovers_none(tmp_path: Path) -> None:
    put(tmp_path, "a/x.mp3", "a/x.FLAC", "b/x.wav", "b/.y.wav", "__MACOSX/a/x.wav", "b/notes.txt")
    assert [str(file.relative_to(tmp_path)) for file in layouts.recordings(tmp_path)] == ["a/x.FLAC", "b/x.wav"]


def test_of_two_files_with_one_stem_the_nearer_counts(tmp_path: Path) -> None:
    put(tmp_path, "copy/deep/x.wav", "wav/x.wav")
    assert layouts.by_stem(tmp_path, layouts.recordings(tmp_path)) == {"x": tmp_path / "wav/x.wav"}
    put(tmp_path, "mp3/x.mp3", "a.txt")
    assert layouts.by_stem(tmp_path, layouts.files(tmp_path)) == {"a": tmp_path / "a.txt", "x": tmp_path / "wav/x.wav"}


def test_a_name_is_found_in_any_case_nearest_to_the_root(tmp_path: Path) -> None:
    put(tmp_path, "release/LABELS/a.txt", "release/more/labels/b.txt")
    assert layouts.find(tmp_path, "labels") == tmp_path / "release/LABELS"
    with pytest.raises(InvalidInput, match="no scores.json there or in folders below. It has scores.json"):
        layouts.need(tmp_path, "scores.json", "It has scores.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_the_encodings_that_people_save(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("Käse\r\nBrötchen\r".encode(encoding))
    assert layouts.text(tmp_path / "a.txt") == "Käse\nBrötchen\n"


def test_a_table_is_read_whatever_parts_its_values_and_however_its_header_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\nFile ;EMOTION; level\n x.wav;"a;b";3,5\n\ny.wav;;\n')
    rows = layouts.table(tmp_path / "a.csv", ["file", "emotion"])
    assert [(row.line, row["file"], row["emotion"], layouts.number(row["level"])) for row in rows] == [
        (3, "x.wav", "a;b", 3.5),
        (5, "y.wav", None, None),
    ]
    with pytest.raises(InvalidInput, match=r"columns speaker are missing; there are File, EMOTION, level"):
        layouts.table(tmp_path / "a.csv", ["speaker"])


def test_a_row_too_wide_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n1\t2\n1\t2\t3\n")
    with pytest.raises(InvalidInput, match=r"a\.tsv:3: has 3 values, the header 2"):
        layouts.table(tmp_path / "a.tsv", ["a", "b"])


def test_text_in_a_national_encoding_is_read_where_the_corpus_is_known_to_use_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("美丽\n".encode("gbk"))
    assert layouts.text(tmp_path / "a.txt", otherwise="gb18030") == "美丽\n"


def test_bytes_that_were_unpacked_are_decoded_as_files_are(tmp_path: Path) -> None:
    for data in ("één\r\n".encode(), "één\r\n".encode("utf-16"), "één\r\n".encode("latin-1")):
        (tmp_path / "a.txt").write_bytes(data)
        assert layouts.decoded(data) == layouts.text(tmp_path / "a.txt") == "één\n"


def test_a_byte_order_mark_is_no_text_even_where_what_follows_is_latin_1(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfcaf\xe9\n")
    assert layouts.text(tmp_path / "a.txt") == "café\n"
