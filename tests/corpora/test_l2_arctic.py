from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpora, corpus, segments
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import prepare

PHONES = [
    (0.0, 0.1, "sil"),
    (0.1, 0.2, "DH, D, s"),
    (0.2, 0.3, "AH0"),
    (0.3, 0.4, "Z,sil,d"),
    (0.4, 0.45, "sil,EH,a"),
    (0.45, 0.6, "R,R*,s"),
    (0.6, 0.7, "AO1,err,s"),
    (0.7, 0.8, ""),
]


def put(root: Path, name: str, text: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


def grid(phones: list[tuple[float, float, str]] = PHONES) -> str:
    """Write tiers of words and phones in Praat's short form."""
    end = phones[-1][1]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "0", str(end), "<exists>", "2"]
    lines += ['"IntervalTier"', '"words"', "0", str(end), "1", "0", str(end), '"THE"']
    lines += ['"IntervalTier"', '"phones"', "0", str(end), str(len(phones))]
    return "\n".join([*lines, *(f'{start}\n{stop}\n"{label}"' for start, stop, label in phones), ""])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for speaker, sentence in (("ABA", "a0001"), ("ABA", "b0002"), ("HJK", "a0001"), ("YDCK", "a0209")):
        put(tmp_path, f"{speaker}/wav/arctic_{sentence}.wav")
        put(tmp_path, f"{speaker}/transcript/arctic_{sentence}.txt", "AUTHOR OF THE\nDANGER TRAIL ")
        put(tmp_path, f"{speaker}/textgrid/arctic_{sentence}.TextGrid", "by machine")
    put(tmp_path, "ABA/annotation/arctic_a0001.TextGrid", grid())
    put(tmp_path, "YDCK/annotation/arctic_a0209.TextGrid", grid([(0.0, 0.3, "K"), (0.3, 0.2, "IY1")]))
    put(tmp_path, "suitcase_corpus/wav/aba.wav")
    put(tmp_path, "suitcase_corpus/transcript/aba.txt", "there was a man")
    put(tmp_path, "suitcase_corpus/annotation/aba.TextGrid", grid([(0.0, 0.5, "sil")]))
    return tmp_path


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("l2-arctic", root).table
    assert table.select("utterance", "speaker", "sex", "l1", "accent", "part", "annotated", "errors").rows() == [
        ("ABA-arctic_a0001", "ABA", "male", "Arabic", "L1 Arabic", "read", True, 5),
        ("ABA-arctic_b0002", "ABA", "male", "Arabic", "L1 Arabic", "read", False, None),
        ("ABA-suitcase", "ABA", "male", "Arabic", "L1 Arabic", "suitcase", True, 0),
        ("HJK-arctic_a0001", "HJK", "female", "Korean", "L1 Korean", "read", False, None),
        ("YDCK-arctic_a0209", "YDCK", "female", "Korean", "L1 Korean", "read", True, None),  # published broken
    ]
    assert table["text"][0] == "AUTHOR OF THE DANGER TRAIL" and set(table["language"]) == {"en"}


def test_segments_are_the_phones_that_were_heard(root: Path) -> None:
    read = corpus.read(prepare("l2-arctic", root))
    found = segments.of_manifest(read.table, root)
    assert found.of("ABA-arctic_a0001") == [
        (0.1, 0.2, "D"),
        (0.2, 0.3, "AH"),
        (0.4, 0.45, "EH"),
        (0.45, 0.6, "R"),
        (0.6, 0.7, "ERR"),
    ]
    assert found.utterances == ["ABA-arctic_a0001", "ABA-suitcase"] and found.of("ABA-suitcase") == []


def test_archives_unpacked_into_folders_of_their_own_and_twice(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("l2arctic_release_v5.0")
    put(other, "aba/ABA/wav/ABA_arctic_a0001.FLAC")
    put(other, "aba/ABA/wav/copy/arctic_a0001.wav")
    put(other, "aba/ABA/Transcript/ABA_arctic_a0001.txt", "Caf\ufeffé")
    put(other, "__MACOSX/ABA/wav/._arctic_a0001.wav")
    put(other, "suitcase_corpus/suitcase_corpus/wav/ABA.wav")
    table = corpora.prepare("l2-arctic", other).table
    assert table["utterance"].to_list() == ["ABA-arctic_a0001", "ABA-suitcase"]
    assert table["audio"][0].endswith("ABA_arctic_a0001.FLAC")
    assert table["text"].null_count() == 1 and not table["annotated"].any()
    assert "segments" not in table.columns  # nothing was annotated


def test_other_folders_are_refused(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    put(empty, "ABA.zip")
    with pytest.raises(InvalidInput, match=r"unpack the speakers' archives, such as ABA\.zip\. L2-ARCTIC's folder has"):
        corpora.prepare("l2-arctic", empty)
    put(root, "XYZ/wav/arctic_a0001.wav")
    put(root, "ABA/wav/song.wav")
    with pytest.raises(InvalidInput, match="take it out of the folder") as caught:
        corpora.prepare("l2-arctic", root)
    assert [Path(problem.file).parts[-3] for problem in caught.value.problems] == ["ABA", "XYZ"]


def test_annotations_that_cannot_be_read_are_named(root: Path) -> None:
    put(root, "ABA/annotation/arctic_b0002.TextGrid", grid([(0.0, 0.3, "K"), (0.3, 0.2, "IY1")]))
    put(root, "HJK/annotation/arctic_a0001.TextGrid", "nothing")
    put(root, "HJK/annotation/arctic_a0007.TextGrid", "of no recording")
    with pytest.raises(InvalidInput, match="take them out of the folder or mend them") as caught:
        corpora.prepare("l2-arctic", root)
    told = [(Path(problem.file).parts[-3], problem.row) for problem in caught.value.problems]
    assert told == [("ABA", 23), ("HJK", 1)]


def test_the_speakers_are_balanced_as_published() -> None:
    from sibboleth.corpora import l2_arctic

    people = pl.DataFrame(list(l2_arctic.SPEAKERS.values()), schema=["sex", "l1"], orient="row")
    assert set(people.group_by("sex", "l1").len()["len"]) == {2} and len(people) == l2_arctic.CARD.counts["speakers"]
