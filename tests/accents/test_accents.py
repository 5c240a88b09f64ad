from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sibboleth import accents
from sibboleth.errors import InvalidInput

OURS = accents.taxonomy()


def labels(language: str | None, **columns: str) -> tuple[str | None, str | None]:
    told = columns if language is None else {"language": language, **columns}
    ((accent, dialect),) = accents.derive(pl.DataFrame([told]), OURS).table.select("accent", "dialect").rows()
    return accent, dialect


@pytest.mark.parametrize(
    ("said", "accent", "dialect"),
    [
        ("netherlands", "Netherlands", None),  # Common Voice up to 7: a code
        ("belgium", "Belgium", None),
        ("Nederlands Nederlands", "Netherlands", None),  # Common Voice from 8: a name, or several, or free text
        ("Belgisch Nederlands", "Belgium", None),
        ("Nederlands van Curaçao", "Curaçao", None),
        ("Nederlands van Curac\u0327ao", "Curaçao", None),
        ("Vlaams", "Belgium", None),
        ("West-Vlaams", "Belgium", "West Flanders"),
        ("Belgisch Nederlands,West-Vlaams", "Belgium", "West Flanders"),
        ("ik kom uit Gent, maar spreek Vlaams", "Belgium", "East Flanders"),
        ("licht Oost-Vlaams accent", "Belgium", "East Flanders"),
        ("Nederlands Nederlands|Twents", "Netherlands", "Overijssel"),
        ("Limburgs", None, "Limburg"),  # of which country nobody said
        ("Belgisch Nederlands,Limburgs", "Belgium", "Limburg"),
        ("Nederlands-Limburgs", "Netherlands", "Dutch Limburg"),
        ("Vlaams, Antwerps, Gents", "Belgium", None),
        ("Nederlands Nederlands,Belgisch Nederlands", None, None),
        ("geen Vlaams", None, None),
        ("zachte g", None, None),
        ("other", None, None),
        ("", None, None),
    ],
)
def test_dutch_in_common_voices_own_words(said: str, accent: str | None, dialect: str | None) -> None:
    assert labels("nl", accents=said) == (accent, dialect)
    assert labels("nl-BE", accent=said) == (accent, dialect)


def test_names_with_commas_in_brackets_are_one_name() -> None:
    said = "India and South Asia (India, Pakistan, Sri Lanka)"
    assert labels("en", accents=said) == ("South Asia", None)
    assert labels("en", accents=f"{said},United States English") == (None, None)


def test_a_word_within_another_name_does_not_count() -> None:
    assert labels("en", accents="Latin American") == (None, None)
    assert labels("en", accents="American") == ("United States", None)
    assert labels("nl", accents="Noord-Hollands") == ("Netherlands", "Holland")


@pytest.mark.parametrize("language", ["Arabic", "Mandarin", "Hindi", "Korean", "Spanish", "Vietnamese"])
def test_first_languages_of_l2_arctic(language: str) -> None:
    assert labels("en", first_language=language) == (f"L1 {language}", None)
    assert labels(None, L1=language) == (f"L1 {language}", None)


def test_edacc_says_accent_and_first_language() -> None:
    assert labels("en", accent="Nigerian English", l1="Yoruba") == ("Nigeria", None)
    assert labels("en", raw_accent="Southern British English", accent="Southern British English") == ("England", None)
    assert labels("en", accent="Vietnamese", l1="Vietnamese") == ("L1 Vietnamese", None)
    assert labels("en", accent="", l1="Catalan") == ("L1 Catalan", None)


def test_what_is_not_known_is_counted_by_reason() -> None:
    said = ["Vlaams", None, "zachte g", "zachte g", "Limburgs", "netherlands,belgium", "raar"]
    found = accents.derive(pl.DataFrame({"locale": ["nl"] * 7, "accents": said}), OURS)
    assert found.counts == {"known": 1, "dialect alone": 1, "several": 1, "not in the table": 3, "not said": 1}
    assert found.unknown == {"zachte g": 2, "raar": 1}
    told = list(found.notes())
    assert told[0] == "accents: 1 known, 1 dialect alone, 1 several, 3 not in the table, 1 not said"
    assert told[1].startswith("not in the table of accents: 'zachte g' (2); 'raar' (1)")
    assert found.table["accent"].to_list() == ["Belgium", None, None, None, None, None, None]


def test_users_extend_the_table(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("said,accent,dialect,anywhere\nzachte g,,South,yes\nVlaams,Flanders,,\n", encoding="utf-8")
    rows = pl.DataFrame({"language": ["nl"] * 3, "accents": ["met een zachte g", "Vlaams", "Gents"]})
    found = accents.derive(rows, accents.taxonomy(mine))
    rows = found.table.select("accent", "dialect").rows()
    assert rows == [(None, "South"), ("Flanders", None), ("Belgium", "East Flanders")]


def test_a_users_row_holds_for_the_language_it_names_or_for_all(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("language,said,accent,dialect\nnl en,Vlaams,Flanders,\n", encoding="utf-8")
    rows = pl.DataFrame({"language": ["nl", "en", "de"], "accents": ["Vlaams"] * 3})
    assert accents.derive(rows, accents.taxonomy(mine)).table["accent"].to_list() == ["Flanders", "Flanders", None]


def test_a_table_that_cannot_be_used_says_why_and_where(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("said,accent\nx,y\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="columns dialect are missing; there are: said, accent"):
        accents.taxonomy(mine)
    mine.write_text("said,accent,dialect,anywhere\n!,y,,\nx,y,,maybe\nX,z,,\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        accents.taxonomy(mine)
    assert [(p.row, p.field) for p in caught.value.problems] == [(2, "said"), (3, "anywhere"), (4, "said")]
    with pytest.raises(InvalidInput, match="cannot be read"):
        accents.taxonomy(tmp_path / "absent.csv")
    with pytest.raises(InvalidInput, match="no column says anything of accents; known by name are accents, raw_accent"):
        accents.derive(pl.DataFrame({"utterance": ["a"]}), OURS)


def test_labels_stay_when_they_are_derived_again() -> None:
    labels_of = {(place.accent, place.dialect) for place in OURS.places.values()}
    for language in ("nl", "en", "de", "fr", None):
        for accent, dialect in labels_of:
            assert labels(language, accent=accent or "", dialect=dialect or "") == (accent, dialect)


def test_only_distinctive_names_may_stand_anywhere() -> None:
    for (language, said), place in OURS.places.items():
        assert language in ("", "nl", "en", "de", "fr") and said == accents.folded(said)
        assert place.accent or place.dialect
    assert not [name for _, name in OURS.anywhere if len(name) < 4 or name in ("nederlands", "english", "deutsch")]


@given(said=st.lists(st.sampled_from(["Vlaams", "Gents", "niet", "Limburgs", "belgium", "us", "(", ")", ",", "|"])))
def test_order_of_what_is_said_and_case_do_not_matter(said: list[str]) -> None:
    text = " , ".join(one for one in said if one not in "(),|")
    other = " , ".join(one.upper() for one in reversed(said) if one not in "(),|")
    assert labels("nl", accents=text) == labels("nl", accents=other)
    labels("nl", accents=" ".join(said))  # whatever the brackets


def test_each_row_says_what_became_of_its_accent() -> None:
    rows = pl.DataFrame({"locale": ["nl"] * 5, "accents": ["Vlaams", "Limburgs", "Vlaams,Twents", "zachte g", ""]})
    found = accents.derive(rows, OURS)
    assert found.table[accents.OUTCOME].to_list() == list(accents.OUTCOMES)
    assert found.counts == dict.fromkeys(accents.OUTCOMES, 1)


def test_the_digest_is_of_the_bytes_of_both_tables(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("said,accent,dialect\nplat,Netherlands,Twente\n")
    first = accents.digest(mine)
    assert first != accents.digest() == accents.digest("built-in") and first == accents.digest(str(mine))
    mine.write_text("said,accent,dialect\nplat,Belgium,Ghent\n")
    assert accents.digest(mine) != first
    with pytest.raises(InvalidInput, match="cannot be read"):
        accents.digest(tmp_path / "none.csv")
