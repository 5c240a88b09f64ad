"""What is said of the study's claims is counted in what a reproduction made."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from tests import anchor

from sibboleth import study as studies
from sibboleth.experiment import material
from sibboleth.experiment.anchor import claims
from sibboleth.experiment.anchor.claims import CLAIMS, Evidence
from sibboleth.recipes import check


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The preset with 20 utterances of each emotion, whose audio is not looked at."""
    file = anchor.written(tmp_path_factory.mktemp("planned"), 0.1)
    file.write_text(file.read_text().replace("per_label = 500", "per_label = 20"), encoding="utf-8")
    stuff = material.gather(studies.read(file), without_audio=True)
    return stuff, check.fits(stuff)


def answers(stuff: Any, counted: pl.DataFrame) -> list[tuple[str, str]]:
    found = cast(Evidence, SimpleNamespace(stuff=stuff))
    return [ask(found, counted) for *_, ask in CLAIMS[:4]]


def test_folds_are_counted_within_each_language(planned: Any) -> None:
    counted = claims.folds(*planned)
    assert set(counted.group_by("corpus", "part").len()["len"]) == {5}
    sizes = {part: set(some["utterances"]) for (part,), some in counted.group_by("part")}
    assert sizes == {"train": {64}, "dev": {8}, "test": {8}}
    assert set(counted["least"]) | set(counted["most"]) == {16, 2}
    assert set(counted.filter(corpus="esd", part="train")["speakers"]) == {8}


def test_a_smaller_study_differs_and_says_its_numbers(planned: Any) -> None:
    told = answers(planned[0], claims.folds(*planned))
    assert {verdict for _, verdict in told} == {claims.OTHERWISE}
    assert [re.findall(r"\d+", gave) for gave, _ in told] == [
        ["80", "80", "80"],
        ["20", "12"],
        ["5", "16"],
        ["8", "8"],
    ]


def test_the_studys_own_folds_are_as_there(planned: Any) -> None:
    rows = [
        (corpus, f"fold-{fold}", part, 4 * each, 2, each, each)
        for corpus in ("esd", "iemocap", "pavoque")
        for fold in range(5)
        for part, each in (("train", 400), ("dev", 50), ("test", 50))
    ]
    counted = pl.DataFrame(rows, schema=claims.FOLDS, orient="row")
    *_, trained, tested = answers(planned[0], counted)
    assert trained == ("5 folds, in each 400 of each emotion train", claims.AS_THERE)
    assert tested == ("200 select, 200 test", claims.AS_THERE)
    less = counted.with_columns(pl.when(part="train").then(390).otherwise("least").alias("least"))
    assert answers(planned[0], less)[2] == (
        "5 folds, in each 390 to 400 of each emotion train",
        claims.OTHERWISE,
    )


def test_every_claim_of_the_documentation_is_asked() -> None:
    text = (Path(__file__).parents[3] / "docs" / "claims.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| (.+?) \|", text, flags=re.MULTILINE)
    assert [int(number) for number, _ in listed] == list(range(1, len(CLAIMS) + 1)) == list(range(1, 15))
