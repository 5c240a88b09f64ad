"""By which columns people are put beside models."""

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from sibboleth.experiment.people import _Work
from sibboleth.study import ListenersSettings

TABLE = pl.DataFrame(
    {
        "utterance": ["a", "b", "c", "d"],
        "corpus": ["esd", "esd", "more", "more"],
        "dialect": ["standard", "tianjin", "standard", "tianjin"],
    }
)


@pytest.mark.parametrize(
    ("domain", "expected"), [("corpus", ["corpus", "dialect"]), ("dialect", ["dialect"])], ids=["beside", "itself"]
)
def test_dialects_are_compared_beside_a_domain_or_as_the_domain(domain: str, expected: list[str]) -> None:
    study = SimpleNamespace(domain=domain, listeners=ListenersSettings())
    stuff = cast(Any, SimpleNamespace(table=TABLE, study=study))
    work = _Work(TABLE.select("utterance"), pl.DataFrame(), pl.DataFrame(), stuff, None)
    assert work.columns == expected
