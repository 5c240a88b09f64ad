import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth import texts
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.metrics.transcription import CER, WER, Answers

SETTLED = ("none", "basic", "dutch", "german", "mandarin")
"""Those that change nothing when they are applied again."""
NAMES = (*SETTLED, "english")
WORDS = st.lists(
    st.sampled_from(
        [
            *(
                "'k",
                "da's",
                "zo'n",
                "één",
                "twee",
                "honderd",
                "honderdvijf",
                "duizend",
                "negentien",
                "uh",
                "ĳs",
                "café",
            ),
            *(
                "21",
                "1e",
                "20ste",
                "1999",
                "2.000",
                "3,5",
                "€ 3,50",
                "€1",
                "12%",
                "14:30",
                "14u",
                "½",
                "3½",
                "-5",
                "007",
            ),
            *(
                "3. Mai",
                "geht's",
                "zwo",
                "hundert",
                "zweihunderteins",
                "Straße",
                "ẞ",
                "dritten",
                "o.a.",
                "U.S.A.",
                "°C",
            ),
            *(
                "２０２４年",
                "两",
                "〇",
                "你好，",
                "10,000",
                "ﬁ",
                "ǰ",
                "J̌",
                "İ",
                "Σ",
                "'",
                "'t's",
                "-",
                "&",
                "+1",
                ",-",
                "'da",
            ),
            *(
                "16-jarige",
                "1.2.3",
                "5.",
                "u",
                "tweeentwintig",
                "eur",
                "euro",
                "%",
                "$",
                "km",
                "Ω",
                "Å",
                "e\u0301",
                "=\u0338",
            ),
        ]
    ),
    max_size=7,
)


@pytest.mark.parametrize("name", SETTLED)
@settings(deadline=None, max_examples=150)
@given(words=WORDS, free=st.text(max_size=12), joint=st.sampled_from([" ", "", "-", "'"]))
def test_a_second_time_changes_nothing(name: str, words: list[str], free: str, joint: str) -> None:
    text = joint.join([*words, free])
    (once,) = texts.normalise([text], name)
    assert texts.normalise([once], name) == [once]


@pytest.mark.parametrize("name", NAMES[1:])
@settings(deadline=None, max_examples=150)
@given(words=WORDS, free=st.text(max_size=12))
def test_both_unicode_forms_come_out_alike(name: str, words: list[str], free: str) -> None:
    text = " ".join([*words, free])
    composed, taken_apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    both = [texts.normalise([form], name) for form in (composed, taken_apart)]
    assert both[0] == both[1]
    counts = [Answers(side, ["een ander"]) for side in both]
    assert repr(WER(counts[0])) == repr(WER(counts[1])) and repr(CER(counts[0])) == repr(CER(counts[1]))


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25)
@given(lines=st.lists(WORDS.map(" ".join), max_size=5))
def test_each_text_is_normalised_by_itself(name: str, lines: list[str]) -> None:
    assert texts.normalise(lines[::-1], name)[::-1] == texts.normalise(lines, name)
    assert texts.normalise(lines + lines, name) == 2 * texts.normalise(lines, name)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_nothing(name: str) -> None:
    assert texts.normalise([], name) == []
    assert texts.normalise([""], name) == [""]
    assert texts.changed([""], texts.named(name)).is_empty()


@pytest.mark.parametrize("name", SETTLED[1:])
def test_what_comes_out_has_single_blanks_and_no_punctuation(name: str) -> None:
    (said,) = texts.normalise([" A,  b\t–c! \n(d) ’e’ "], name)
    assert said == " ".join(said.split()) == "a b c d e"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Hello, WORLD!", "hello world"),
        ("don't don\u2019t", "dont dont"),
        ("medisch-ethisch", "medisch ethisch"),
        ("  a\t b ", "a b"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("naïve Übung ß", "naïve übung ß"),
        ("\u0915\u093f\u0924\u093e\u092c", "\u0915\u093f\u0924\u093e\u092c"),  # Hindi: its marks are letters
        ("你好，世界。", "你好 世界"),
        ("5 € (100%)", "5 100"),
        ("¿Qué? «sí»", "qué sí"),
        ("...", ""),
    ],
)
def test_basic_normalisation(text: str, plain: str) -> None:
    assert texts.normalise([text], "basic") == [plain]
    assert texts.normalise([plain], "basic") == [plain]


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(SibbolethError, match="'whisper'; there are none, basic, english, dutch, german, mandarin"):
        texts.normalise(["x"], "whisper")


def test_what_was_changed_is_listed_most_particular_first() -> None:
    listed = texts.changed(["Ik heb 21 euro.", "'k heb 21 euro.", "ik heb 21 euro."], texts.named("dutch"))
    assert listed.columns == list(texts.CHANGED)
    rows = listed.select("written", "counted_as", "times", "rule").rows()
    assert rows == [
        ("21", "eenentwintig", 3, "dutch"),
        ("'k", "ik", 1, "dutch"),
        ("euro.", "euro", 3, "basic"),
        ("Ik", "ik", 1, "basic"),
    ]
    assert listed["example"][1] == "'k heb 21 euro."
    assert texts.changed(["twee honderd uh mensen"], texts.named("dutch")).select("written", "counted_as").rows() == [
        ("twee honderd uh", "tweehonderd")
    ]
    assert texts.changed(["geheel gelijk"], texts.named("basic")).is_empty()
    assert texts.changed(["Niets. Gebeurt."], texts.named("none")).is_empty()


def test_in_mandarin_a_division_into_characters_is_no_particular_change() -> None:
    listed = texts.changed(["你好，我2岁。"], texts.named("mandarin"))
    assert listed.filter(pl.col("rule") == "mandarin").select("written", "counted_as").rows() == [("2", "二")]


def test_what_is_outside_a_vocabulary_is_counted() -> None:
    found = texts.outside(["ça va", "c\u0327a\u0300 alors", ""], "abcdefghijklmnopqrstuvwxyz")
    assert found.rows() == [("ç", 2, 2, "ça va"), ("à", 1, 1, "c\u0327a\u0300 alors")]
    words = texts.outside(["een twee twee", "twee drie"], {"een"}, words=True)
    assert words.rows() == [("twee", 3, 2, "een twee twee"), ("drie", 1, 1, "twee drie")]
    assert texts.outside([], "").is_empty() and texts.outside(["abc"], "abc").is_empty()


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_users_extend_a_table_and_take_rows_back(tmp_path: Path) -> None:
    mine = table(tmp_path / "mine.csv", "written,spoken\nGoesting,zin\nmekaar,mekaar\nallee,\nKaffée,koffie\n")
    told = ["Allee, goesting in kaffée met mekaar, da's goed"]
    assert texts.normalise(told, "dutch", mine) == ["zin in koffie met mekaar dat is goed"]
    assert texts.normalise(["Goesting in da"], "dutch") == ["goesting in dat"]


def test_a_table_that_cannot_be_used_says_why_and_where(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="columns spoken are missing; there are: written, said"):
        texts.named("dutch", table(tmp_path / "a.csv", "written,said\na,b\n"))
    with pytest.raises(InvalidInput) as caught:
        texts.named("dutch", table(tmp_path / "b.csv", "written,spoken\ntwee woorden,x\n,y\nik,u\nik,u\n"))
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [
        (2, "written"),
        (3, "written"),
        (5, "written"),
    ]
    with pytest.raises(InvalidInput, match="counts as 'dat', but 'dat' counts as 'zulks'"):
        texts.named("dutch", table(tmp_path / "c.csv", "written,spoken\ndat,zulks\n"))
    with pytest.raises(InvalidInput, match="'tweehonderd' is a number, whose spellings are known"):
        texts.named("dutch", table(tmp_path / "d.csv", "written,spoken\ntweehonderd,veel\n"))
    with pytest.raises(InvalidInput, match="'basic' has no spellings"):
        texts.named("basic", tmp_path / "e.csv")
    with pytest.raises(InvalidInput, match="cannot be read"):
        texts.named("german", tmp_path / "absent.csv")
    with pytest.raises(InvalidInput, match="letters and blanks alone"):
        texts.named("dutch", table(tmp_path / "f.csv", "written,spoken\nhalf,1/2\n"))
