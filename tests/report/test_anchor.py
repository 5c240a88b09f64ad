"""The page over a reproduction, from invented runs: every claim leads somewhere, and nothing passes for people."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.report import fake_run

from sibboleth.errors import SibbolethError
from sibboleth.experiment.anchor import claims, conditions
from sibboleth.experiment.anchor.outcome import ITEMS
from sibboleth.report import anchor, page
from sibboleth.runs import RunDirectory, write_table

ENCODERS = {"microsoft/wavlm-base": 3}


def row(**values: Any) -> dict[str, Any]:
    empty = dict.fromkeys(conditions.SCHEMA)
    known = {
        "condition": "CL",
        "method": "lora",
        "language": "de",
        "encoder": "e",
        "source": "pavoque",
        "domain": "esd",
    }
    return {**empty, **known, "run": "r", "tuned": True, "estimate": 0.41, "low": 0.3, "high": 0.52, **values}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("reproduction")
    fake = fake_run.Fake(domains=("de", "nl"), encoders=ENCODERS, methods=("lora", "lora+gate"), speakers=4)
    page.write(fake_run.write_run(folder / "emotion", fake))
    heard = pl.DataFrame({"utterance": ["de/1"], "source": ["simulated"]})
    write_table(folder / "emotion" / "listeners.parquet", heard)
    told = [
        (number, claim, published, f"gave <{number}>", "as there" if number < 10 else "otherwise", seen, link)
        for number, (claim, published, seen, link, _) in enumerate(claims.CLAIMS, 1)
    ]
    run = RunDirectory(folder)
    run.write(
        {
            "kind": "reproduction",
            "name": "humans-vs-ssl",
            "status": "complete",
            "command": "sibboleth reproduce",
            "started": "2024-01-01T00:00:00+00:00",
            "finished": "2024-01-01T01:00:00+00:00",
            "seed": 0,
            "studies": ["emotion"],
            "versions": {"sibboleth": "0"},
            "settings": {
                "encoders": {role: {"name": f"encoder-{role}", "layers": 1} for role in ("zh", "de", "en", "segments")}
            },
        }
    )
    write_table(run / "claims.parquet", pl.DataFrame(told, schema=claims.SCHEMA, orient="row"))
    several = [row(published=0.56, lowest_fold=0.33, highest_fold=0.745), row(condition="ZS", clips_published=None)]
    write_table(run / "conditions.parquet", pl.DataFrame(several, schema=conditions.SCHEMA))
    counted = [("esd", f"fold-{n}", "train", 56 + n, 8, 13, 15) for n in range(5)]
    write_table(run / "folds.parquet", pl.DataFrame(counted, schema=claims.FOLDS, orient="row"))
    asked = [("emotion", "zh", "angry", 12, 10, 27.4)]
    write_table(run / "items.parquet", pl.DataFrame(asked, schema=ITEMS, orient="row"))
    anchor.write(run)
    return run


@pytest.fixture(scope="module")
def text(made: RunDirectory) -> str:
    return (made / anchor.PAGE).read_text(encoding="utf-8")


def test_every_claim_stands_with_what_the_run_gave_and_a_link_that_leads_there(made: RunDirectory, text: str) -> None:
    found = re.findall(r'<tr id="claim-(\d+)">(.*?)</tr>', text, flags=re.DOTALL)
    assert [int(number) for number, _ in found] == list(range(1, 15))
    for number, cells in found:
        assert f"gave &lt;{number}&gt;" in cells, "texts are escaped"
        link = re.search(r'href="([^"]*)#([^"]+)"', cells)
        assert link is not None
        there = text if not link[1] else (made.path / link[1]).read_text(encoding="utf-8")
        assert f'id="{link[2]}"' in there, f"claim {number} leads nowhere"


def test_links_to_files_lead_to_files(made: RunDirectory, text: str) -> None:
    files = {link for link in re.findall(r'href="([^"#:]+)["#]', text)}
    assert "emotion/report.html" in files and "tables/conditions.csv" in files
    assert [link for link in sorted(files) if not (made.path / link).exists()] == []


def test_conditions_stand_beside_published_numbers(made: RunDirectory, text: str) -> None:
    assert "0.56 (0.33 to 0.74)" in text and "0.41 [0.30, 0.52]" in text
    table = pl.read_csv(made.path / "tables" / "conditions.csv")
    assert table["published"].to_list() == [0.56, None]


def test_speech_and_listeners_that_are_none_are_said_to_be(text: str) -> None:
    notice = re.search(r'<aside class="notice".*?</aside>', text, flags=re.DOTALL)
    assert notice is not None
    assert "The speech is synthetic" in notice[0] and "The listeners are simulated" in notice[0]


def test_the_lead_counts_the_claims(text: str) -> None:
    assert "Of the 12 claims about what the study did, 9 hold here as they stand, 3 differ, in size or numbers." in text


def test_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"kind": "curves"}))
    with pytest.raises(SibbolethError, match="not the folder of `sibboleth reproduce`"):
        anchor.write(RunDirectory(tmp_path))
