"""The page of a data study, from invented numbers."""

import itertools
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sibboleth.errors import SibbolethError
from sibboleth.experiment.curves import DIFFERENCES, POINTS
from sibboleth.report import amounts, figures, growth, plots
from sibboleth.report.systems import System
from sibboleth.runs import RunDirectory, write_table

HOURS = (0.5, 2.0, 8.0)
OTHERS = (("0h", "start"), ("logmel", "control"), ("untrained:tiny-hubert", "control"))
DOMAINS = ("de", "nl")


def study(
    folder: Path,
    *,
    hours: tuple[float, ...] = HOURS,
    clusters: int = 12,
    p: float = 0.001,
    domains: tuple[str, ...] = DOMAINS,
    regimes: tuple[str, ...] = ("within", "zero-shot"),
    slope: float = 0.05,
    **facts: Any,
) -> RunDirectory:
    """Write a folder of `sibboleth curves` in which scores rise by `slope` from one amount to the next."""
    run = RunDirectory(folder)
    settings = {
        "languages": {"en": ["english"], "nl": ["dutch"], "both": ["english", "dutch"]},
        "hours": list(hours),
        "probe": {"kind": "linear"},
        "splits": {"scheme": "speaker-folds"},
        "statistics": {"resamples": 2000, "confidence": 0.95},
        "pretraining": {
            "start": {"architecture": "tiny-hubert", "checkpoint": None, "filters": "mel"},
            "objective": {"kind": "hubert", "hours": 2.0},
            "batches": {"seconds": 32.0, "accumulate": 1},
            "training": {"steps": 1000},
        },
    }
    made = [(f"{language}-{h:g}h", language, h) for language in settings["languages"] for h in hours]  # type: ignore[attr-defined]
    target = {
        "name": "emotion",
        "column": "emotion",
        "kind": "classification",
        "labels": ["angry", "sad"],
        "metric": "uar",
        "chance": 0.5,
        "domain": "language",
        "domains": list(domains),
        "regimes": list(regimes),
        "corpora": [{"name": "made", "utterances": 96, "hours": 0.1, "synthetic": True}],
        "speakers": clusters,
        "systems": [],
    }
    points, differences = [], []
    for regime, domain in itertools.product(regimes, (None, *(domains if len(domains) > 1 else ()))):
        level = {name: 0.5 + slope * hours.index(h) for name, _, h in made} | {name: 0.45 for name, _ in OTHERS}
        roles = [(n, "pretrained", language, h) for n, language, h in made] + [(n, r, None, None) for n, r in OTHERS]
        for name, role, language, h in roles:
            interval = level[name], level[name] - 0.04, level[name] + 0.04
            row = (*interval, 96, clusters, 3, 0.75, f"pretraining/{name}/encoder")
            points.append(("emotion", regime, domain, "uar", name, role, language, h, *row))
        pairs = [("amount", f"{g}-{b:g}h", f"{g}-{a:g}h") for g in settings["languages"] for a, b in _steps(hours)]
        pairs += [
            ("language", f"{a}-{h:g}h", f"{b}-{h:g}h")
            for h in hours
            for a, b in itertools.combinations(settings["languages"], 2)
        ]
        pairs += [("other", n, other) for n, _, _ in made for other, _ in OTHERS]
        for question, a, b in pairs:
            gap = level[a] - level[b]
            family = f"emotion, {regime}: {question}" + (", each language" if domain else "")
            row = (gap, gap - 0.03, gap + 0.03, p / 10, p, 96, clusters, family)  # type: ignore[assignment]
            differences.append(("emotion", regime, question, domain, "uar", a, b, *row))
    write_table(run / "curves.parquet", pl.DataFrame(points, schema=POINTS, orient="row"))
    write_table(run / "differences.parquet", pl.DataFrame(differences, schema=DIFFERENCES, orient="row"))
    known = {"used": 1.0, "pieces": 10, "languages": ["en"], "steps": 1000, "audio": 8.9}
    run.write(
        {
            "kind": "curves",
            "name": "data",
            "question": "How much <speech>?",
            "status": "complete",
            "command": "sibboleth curves data.toml",
            "started": "2026-01-01T00:00:00",
            "finished": "2026-01-02T00:00:00",
            "seed": 0,
            "settings": settings,
            "versions": {"sibboleth": "1"},
            "heard": "",
            "pretrainings": [
                {"name": n, "language": g, "hours": h, **known, "used": h, "first_loss": 3.0, "last_loss": 2.0}
                for n, g, h in made
            ],
            "targets": [target],
            **facts,
        }
    )
    return run


def _steps(hours: tuple[float, ...]) -> list[tuple[float, float]]:
    return [*itertools.pairwise(hours), *([(hours[0], hours[-1])] if len(hours) > 2 else [])]


def said(run: RunDirectory) -> list[str]:
    found = amounts.load(run)
    points, differences = (frame.filter(regime="within") for frame in (found.points, found.differences))
    return growth.sentences(growth.Told("within", growth.whole(points), growth.whole(differences), "uar"))


def test_sentences_say_what_more_speech_does(tmp_path: Path) -> None:
    told = said(study(tmp_path))
    assert told[0] == (
        "From 0.5 h to 8 h of en UAR goes from 0.50 [0.46, 0.54] to 0.60 [0.56, 0.64]: a paired difference of "
        "0.10 [0.07, 0.13], p = 0.001 after Holm, so more speech is better. Step by step: 0.5 to 2 h "
        "0.05 [0.02, 0.08] (p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.05); 2 to 8 h 0.05 [0.02, 0.08] "
        "(p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.05)."
    )
    assert told[3].startswith("With 8 h: en 0.60 [0.56, 0.64], nl 0.60")
    assert told[4].startswith("0h (what pre-training began with) reaches 0.45")


def test_a_fall_is_called_one(tmp_path: Path) -> None:
    assert "so more speech is worse" in said(study(tmp_path, slope=-0.05))[0]


def test_no_difference_is_claimed_without_a_small_p(tmp_path: Path) -> None:
    told = said(study(tmp_path, p=0.3))
    assert "so the two are not told apart" in told[0]
    assert not any("0.05)" in text for text in told)


def test_where_p_cannot_be_small_the_interval_is_to_be_read(tmp_path: Path) -> None:
    run = study(tmp_path, clusters=4, p=0.5)
    assert "no answers could have made p small: read the interval" in said(run)[0]
    assert "with 4 speakers no p below 0.125 is possible" in amounts.write(run).read_text()


def test_more_flips_than_resamples_stand_behind_large_families(tmp_path: Path) -> None:
    """27 x 3 paired differences have 40 flips each: with 2,000 their p could not have stayed below 0.05."""
    found = amounts.load(study(tmp_path, clusters=40, p=0.5))
    row = found.differences.filter(pl.col("domain").is_not_null(), question="other", regime="within")
    assert len(row) == 54
    assert row["p_floor"].unique().to_list() == pytest.approx([1 / (81 * 40 + 1)])


def test_the_page_has_every_target_and_regime(tmp_path: Path) -> None:
    html = amounts.write(study(tmp_path)).read_text()
    assert html.count("<h2") == 6
    assert "How much &lt;speech&gt;?" in html and "<speech>" not in html
    for title in ("all languages", "de", "nl"):
        assert html.count(f"<h4>{title}</h4>") == 2
    for what in ("heard 17.8 times over, 8 h 1.11 times", "mel filters included", "another seed of pre-training"):
        assert what.split(",")[0] in html
    table = pl.read_csv(tmp_path / "tables" / "curves-emotion-within.csv")
    assert (
        table["estimate"].to_list()
        == pl.read_parquet(tmp_path / "curves.parquet").filter(regime="within")["estimate"].to_list()
    )
    glance = pl.read_csv(tmp_path / "tables" / "curves-at-a-glance.csv")
    assert len(glance) == 12
    assert (tmp_path / "figures" / "curves-emotion-zero-shot.svg").exists()


def test_one_amount_and_one_domain_make_a_page_too(tmp_path: Path) -> None:
    run = study(tmp_path, hours=(8.0,), domains=("de",), regimes=("within",))
    html = amounts.write(run).read_text()
    assert html.count("<h4>de</h4>") == 1
    assert not any(text.startswith("From") for text in said(run))


def test_labelled_speech_that_was_heard_is_told(tmp_path: Path) -> None:
    assert (
        "7 of the labelled recordings"
        in amounts.write(study(tmp_path, heard="7 of the labelled recordings")).read_text()
    )


def test_uneven_audio_is_told(tmp_path: Path) -> None:
    run = study(tmp_path)
    record = run.read()
    assert not any(text.startswith("Audio per step") for text in growth.not_equal(record))
    record["pretrainings"][0]["audio"] = 7.0
    assert any("7 to 8.9 h" in text for text in growth.not_equal(record))


def test_the_folder_of_a_study_is_refused(tmp_path: Path) -> None:
    run = study(tmp_path, kind="pretraining")
    with pytest.raises(SibbolethError, match="not the folder of `sibboleth curves`"):
        amounts.write(run)


@pytest.mark.parametrize("hours", [HOURS, (2.0,)])
def test_the_chart_follows_the_schema(hours: tuple[float, ...]) -> None:
    rows = pl.DataFrame(
        [("en", h, 0.5, 0.4, 0.6) for h in hours] + [("logmel", None, 0.5, None, None)],
        schema=["system", "hours", "estimate", "low", "high"],
        orient="row",
    )
    encoders = [System("en", "en", False, 1), System("logmel", "logmel", True, 1)]
    chart = plots.amounts(rows, encoders, metric="UAR", bounds=(0.0, 1.0), chance=0.5)
    assert chart.configure(**figures.CONFIG).to_dict(validate=True)["$schema"]
    drawn = figures.panel(lambda: chart, "title", "text", "name")
    for h in hours:
        assert f">{h:g}</text>" in drawn.inside
