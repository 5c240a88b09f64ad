"""Backgrounds of listeners: what a run takes of their table, and who is native or exposed of which items."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth.errors import InvalidInput
from sibboleth.experiment import backgrounds
from sibboleth.study import ListenersSettings

RATERS = ("L0001", "L0002", "L0003")
TABLE = """rater,name,email,first_language,native.de,years.tianjin,level.English,catch_failed,median_reaction
L0001,Anna,anna@example.org,de,true,0,native,false,1.5
L0002,Ben,ben@example.org,zh; de,true,12,fluent,true,2.5
L0003,Cem,cem@example.org,zh,false,,,no,
L0004,Dora,dora@example.org,zh,false,3,,false,1.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "listeners.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def items(language: str | None = "zh", dialect: str | None = "tianjin") -> pl.DataFrame:
    columns = {"language": [language], "dialect": [dialect]}
    return pl.DataFrame(columns, schema={"language": pl.String, "dialect": pl.String})


def test_only_named_columns_of_people_who_answered_are_taken(folder: Path) -> None:
    known = backgrounds.read(ListenersSettings(), [folder], RATERS)
    assert known is not None
    assert known["rater"].to_list() == list(RATERS)
    assert {"name", "email"} & set(known.columns) == set()
    assert known["catch_failed"].to_list() == [False, True, False]
    more = backgrounds.read(ListenersSettings(groups=("name",)), [folder], RATERS)
    assert more is not None and "name" in more.columns  # asked for by the study


def test_native_and_exposed_are_told_by_the_items(folder: Path) -> None:
    known = backgrounds.read(ListenersSettings(), [folder], RATERS)
    assert known is not None
    told = backgrounds.beside(known, items(), {})
    assert told["language"].to_list() == ["non-native", "native", "native"]
    assert told["dialect"].to_list() == ["not exposed", "exposed", "not exposed"]
    assert backgrounds.beside(known, items("de", None), {})["language"].to_list() == ["native", "native", "non-native"]
    assert backgrounds.beside(known, items("de", None), {})["dialect"].null_count() == 3


def test_a_language_that_nobody_calls_so_is_unknown_unless_the_study_names_it(folder: Path) -> None:
    known = backgrounds.read(ListenersSettings(), [folder], RATERS)
    assert known is not None
    assert backgrounds.beside(known, items("cmn"), {})["language"].null_count() == 3
    told = backgrounds.beside(known, items("cmn"), {"cmn": ("ZH",)})
    assert told["language"].to_list() == ["non-native", "native", "native"]
    nobody = backgrounds.beside(known, items("pl"), {"pl": ("Polish",)})
    assert nobody["language"].to_list() == ["non-native"] * 3


def test_items_of_several_languages_tell_nothing_of_who_is_native(folder: Path) -> None:
    known = backgrounds.read(ListenersSettings(), [folder], RATERS)
    assert known is not None
    both = pl.concat([items("zh"), items("de")])
    assert backgrounds.beside(known, both, {})["language"].null_count() == 3


def test_what_cannot_be_used_is_refused_with_the_way_out(folder: Path, tmp_path: Path) -> None:
    assert backgrounds.read(ListenersSettings(), [tmp_path / "elsewhere"], RATERS) is None
    with pytest.raises(InvalidInput, match="no table of people to group by"):
        backgrounds.read(ListenersSettings(groups=("native.de",)), [tmp_path / "elsewhere"], RATERS)
    with pytest.raises(InvalidInput, match=r"no column 'musician', of listeners\.groups; there are rater"):
        backgrounds.read(ListenersSettings(groups=("musician",)), [folder], RATERS)
    with pytest.raises(InvalidInput, match="no such file"):
        backgrounds.read(ListenersSettings(people=tmp_path / "absent.csv"), [folder], RATERS)
    other = tmp_path / "other"
    other.mkdir()
    (other / "listeners.csv").write_text(TABLE, encoding="utf-8")
    with pytest.raises(InvalidInput, match="rater 'L0001' also has a row in"):
        backgrounds.read(ListenersSettings(), [folder, other], RATERS)
