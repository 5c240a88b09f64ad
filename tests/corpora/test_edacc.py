from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth import audio, corpora, corpus
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import prepare

ACCENT = "How would you describe your accent in English? (e.g. Italian, Glaswegian)"
OTHERS = "Do you speak any second languages? separate them with commas  (e.g., Mandarin,Catalan,French )"
BACKGROUND = f"""PARTICIPANT_ID,What is your gender?,"What’s your year of birth? (e.g., 1992)","{ACCENT}","{OTHERS}"
EDACC-C06-A,Male,1990,Southern British English,No
EDACC-C06-B,Female,1992,"Spanish, a bit American",Catalan
EDACC-C35-A,Female,,,
"""
DEV = """;; comment
EDACC-C06 1 EDACC-C06-A 0.00 1.27 <male,l1> C ELEVEN DASH <laugh> P ONE
EDACC-C06 1 EDACC-C06-B 1.00 1.50 <female,l2> IT'S <overlap> FINE
EDACC-C06 1 EDACC-C06-A 1.50 1.50 <male,l1> NO LENGTH
EDACC-C06 1 EDACC-C06-A 1.60 1.80 <male,l1> IGNORE_TIME_SEGMENT_IN_SCORING
"""
TEST = """EDACC-C35_P1 1 EDACC-C35-A 0.1 0.9 <female,l1> <laugh>
EDACC-C35_P2 1 EDACC-C35-A 0.1 0.9 <female,l1> AGAIN
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "edacc_v1.0"
    for name in ("data", "dev", "test"):
        (folder / name).mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(1).standard_normal(64000)
    for name in ("EDACC-C06", "EDACC-C35_P1", "EDACC-C35_P2"):
        soundfile.write(folder / "data" / f"{name}.wav", noise, 32000)
    (folder / "dev/stm").write_text(DEV)
    (folder / "test/stm").write_text(TEST)
    (folder / "linguistic_background.csv").write_text(BACKGROUND, encoding="utf-8")
    return folder


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("edacc", root).table
    assert table.select("utterance", "start", "end", "speaker", "session", "part", "sex", "native").rows() == [
        ("EDACC-C06-1", 0.0, 1.27, "EDACC-C06-A", "EDACC-C06", "dev", "male", True),
        ("EDACC-C06-2", 1.0, 1.5, "EDACC-C06-B", "EDACC-C06", "dev", "female", False),
        ("EDACC-C06-4", 1.6, 1.8, "EDACC-C06-A", "EDACC-C06", "dev", "male", True),
        ("EDACC-C35_P1-1", 0.1, 0.9, "EDACC-C35-A", "EDACC-C35", "test", "female", True),
        ("EDACC-C35_P2-1", 0.1, 0.9, "EDACC-C35-A", "EDACC-C35", "test", "female", True),
    ]
    assert table["text"].to_list() == ["C ELEVEN DASH P ONE", "IT'S FINE", None, None, "AGAIN"]
    assert table["transcript"][1] == "IT'S <overlap> FINE"
    assert table["scored"].to_list() == [True, True, False, True, True]
    assert table["overlap"].to_list() == [False, True, False, False, False]
    assert table["accent"].to_list() == ["England", "L1 Spanish", "England", None, None]
    assert table["other_languages"].to_list()[:2] == ["No", "Catalan"] and table["birth_year"][0] == "1990"


def test_its_segments_can_be_cut(root: Path) -> None:
    read = corpus.read(prepare("edacc", root)).table
    assert set(audio.scan(read)["status"]) == {"ok"}


def test_another_release_whose_people_are_called_otherwise(root: Path) -> None:
    (root / "test").rename(root / "Validation")
    (root / "linguistic_background.csv").rename(root.parent / "Linguistic_Background.csv")
    (root / "data/EDACC-C06.wav").rename(root / "data/EDACC-C06.flac")
    renamed = BACKGROUND.replace("EDACC-C06-A", "EAEC-C06P1").replace("EDACC-C06-B", "EAEC-C6P2")
    renamed = renamed.replace("PARTICIPANT_ID", " participant_ID").replace(",No\n", ",Ren\xe9\n").replace("’", "")
    (root.parent / "Linguistic_Background.csv").write_bytes(renamed.encode("latin-1"))
    (root / "dev/stm").write_bytes(b"\xef\xbb\xbf" + DEV.replace("1.27", "1,27").replace("\n", "\r\n").encode())
    table = corpora.prepare("edacc", root.parent).table.sort("utterance")
    assert table["accent"].to_list()[:3] == ["England", "L1 Spanish", "England"] and table["end"][0] == 1.27
    assert table["other_languages"][0] == "René" and set(table["part"]) == {"dev"}


@pytest.mark.parametrize(
    "header",
    [
        "participant_id,L1,Second_Languages",
        "Participant ID, First Language ,l2",
        "SPEAKER,first_language,other-languages",
        "speaker_id,What is your native language(s)?,L2s",
        "id,mother_tongue,second  language",
    ],
)
def test_columns_of_people_in_the_spellings_that_copies_have(root: Path, header: str) -> None:
    rows = "EDACC-C06-A,English,No\nEDACC-C06-B,Spanish,Catalan\nEDACC-C35-A,,\n"
    (root / "linguistic_background.csv").write_text(f"\ufeff{header}\n{rows}", encoding="utf-8")
    table = corpora.prepare("edacc", root).table
    assert table["first_language"].to_list() == ["English", "Spanish", "English", None, None]
    assert table["other_languages"].to_list()[:2] == ["No", "Catalan"]


def test_a_table_of_people_without_speakers_or_accents_says_which_columns_it_has(root: Path) -> None:
    (root / "linguistic_background.csv").write_text("who,l1\nEDACC-C06-A,English\n")
    with pytest.raises(InvalidInput, match=r"no column PARTICIPANT_ID; there are who, l1\. EdAcc's"):
        corpora.prepare("edacc", root)
    (root / "linguistic_background.csv").write_text("PARTICIPANT_ID,gender,l10\nEDACC-C06-A,x,y\n")
    with pytest.raises(
        InvalidInput, match=r"what accent people have or .* there are PARTICIPANT_ID, gender, l10\. Call"
    ):
        corpora.prepare("edacc", root)


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no dev/stm or test/stm in it or below\. EdAcc's folder has"):
        corpora.prepare("edacc", root / "data")
    (root / "data/EDACC-C35_P1.wav").unlink()
    (root / "dev/stm").write_text(DEV + "EDACC-C06 1 EDACC-C06-A 2.0 end <male,l1> X\nEDACC-C06 A WORD\n")
    with pytest.raises(InvalidInput, match=r"no recording data/EDACC-C35_P1\.wav; unpack data again") as caught:
        corpora.prepare("edacc", root)
    places = [(Path(problem.file).parent.name, problem.row) for problem in caught.value.problems]
    assert places == [("dev", 6), ("dev", 7), ("test", 1)]
    (root / "linguistic_background.csv").write_text("PARTICIPANT_ID,x\nme,1\n")
    with pytest.raises(InvalidInput, match="no speaker such as EDACC-C06-A"):
        corpora.prepare("edacc", root)
    (root / "linguistic_background.csv").unlink()
    with pytest.raises(InvalidInput, match=r"no linguistic_background\.csv there or in folders below"):
        corpora.prepare("edacc", root)
