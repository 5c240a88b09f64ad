from pathlib import Path

import pytest

from sibboleth import corpora, corpus
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import prepare

INFO = """ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p238  22  F    NorthernIrish  Belfast
p248  23  F    Indian  \t
p280  25  F    Unknown    France (mic2 files unavailable)
p315  18  M    American  New  England (Text unavailable)
p326  26  M    Australian  English  Sydney
s5    24  F    British
"""


def put(root: Path, *names: str, text: str = "") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "VCTK-Corpus-0.92"
    for speaker in ("p225", "p238", "p248", "p326", "s5"):
        put(folder, *(f"wav48_silence_trimmed/{speaker}/{speaker}_003_mic{n}.flac" for n in (1, 2)))
        put(folder, f"txt/{speaker}/{speaker}_003.txt", text="Six spoons of fresh snow peas.\n")
    put(folder, *(f"wav48_silence_trimmed/{speaker}/{speaker}_003_mic1.flac" for speaker in ("p280", "p315", "p999")))
    put(folder, "wav48_silence_trimmed/p225/p225_004_mic2.flac")
    put(folder, "speaker-info.txt", text=INFO)
    put(folder, "txt/p225/p225_777.txt", text="Of no recording.")
    return folder


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("vctk", root).table
    assert table.select(
        "utterance", "sex", "age", "accent", "dialect", "region", "microphone", "microphones"
    ).rows() == [
        ("p225_003", "female", 23, "England", "Southern England", "Southern England", "mic1", 2),
        ("p225_004", "female", 23, "England", "Southern England", "Southern England", "mic2", 1),
        ("p238_003", "female", 22, "Northern Ireland", None, "Belfast", "mic1", 2),
        ("p248_003", "female", 23, "South Asia", None, None, "mic1", 2),
        ("p280_003", "female", 25, "France", None, "France", "mic1", 1),
        ("p315_003", "male", 18, "United States", None, "New England", "mic1", 1),
        ("p326_003", "male", 26, "Australia", None, "Sydney", "mic1", 2),
        ("p999_003", None, None, None, None, None, "mic1", 1),
        ("s5_003", "female", 24, "United Kingdom", None, None, "mic1", 2),
    ]
    assert table["text"].null_count() == 4 and table["text"][0] == "Six spoons of fresh snow peas."
    assert set(table["sentence"]) == {3, 4} and set(table["language"]) == {"en"}
    assert len(corpus.read(prepare("vctk", root)).table) == 9


def test_the_older_version_in_another_folder_and_case(tmp_path: Path) -> None:
    put(tmp_path, "my/VCTK-Corpus/WAV48/p225/P225_001.wav", "my/VCTK-Corpus/WAV48/p294/p294_001.wav")
    (tmp_path / "my/VCTK-Corpus/Txt/p225").mkdir(parents=True)
    (tmp_path / "my/VCTK-Corpus/Txt/p225/p225_001.TXT").write_bytes(b"Please call Ren\xe9e.\r\n")
    info = "ID,AGE,GENDER,ACCENTS,REGION\r\n 225,23,F,English,Yorkshire\r\n 294,33,female,American,San  Francisco\r\n"
    (tmp_path / "my/Speaker-Info.txt").write_text(info, encoding="utf-8-sig")
    table = corpora.prepare("vctk", tmp_path).table
    assert table.select("utterance", "text", "sex", "accent", "dialect", "region").rows() == [
        ("p225_001", "Please call Renée.", "female", "England", "Northern England", "Yorkshire"),
        ("p294_001", None, "female", "United States", None, "San Francisco"),
    ]
    assert "microphone" not in table.columns


def test_both_versions_in_one_folder_are_one_utterance_each(root: Path) -> None:
    put(root, "wav48/p225/p225_003.wav", "wav48/p225/p225_004.wav")
    table = corpora.prepare("vctk", root).table
    assert len(table) == 9 and [Path(file).name for file in table["audio"][:2]] == [
        "p225_003_mic1.flac",
        "p225_004.wav",
    ]


def test_what_is_not_vctk_is_refused(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no recordings in it or below\. VCTK's folder has"):
        corpora.prepare("vctk", root / "txt")
    with pytest.raises(InvalidInput, match=r"no speaker-info\.txt there or in folders below"):
        corpora.prepare("vctk", root / "wav48_silence_trimmed")
    put(root, "speaker-info.txt", text=INFO + "p226  twenty  M  English  Surrey\n")
    with pytest.raises(InvalidInput, match="expected ID, age, gender, accent and region") as caught:
        corpora.prepare("vctk", root)
    assert [problem.row for problem in caught.value.problems] == [9]
    put(root, "wav48_silence_trimmed/p225/p225_song.flac")
    with pytest.raises(InvalidInput, match="take it out of the folder"):
        corpora.prepare("vctk", root)
