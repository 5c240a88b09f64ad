"""Recommendations before any label of the target is seen, on made sounds."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.experiment import recommendation
from sibboleth.recipes.recommend import recommend
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

STUDY = """
name = "tones"
domain = "language"
seeds = 1
{more}
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[splits]
folds = 2
dev = 0.4
[statistics]
resamples = 100
"""
TILTS = {"aa": 1.0, "bb": 1.05, "cc": 3.0}
"""How steeply the spectrum of each language falls: aa and bb are alike, cc is another world."""


def manifest(folder: Path, odd: str | None = "cc") -> Path:
    """Write buzzes of two pitches in three languages; of `odd` the labels are turned round."""
    rng = np.random.default_rng(7)
    rows = []
    (folder / "audio").mkdir(parents=True)
    for language, tilt in TILTS.items():
        for speaker in range(5):
            for take in range(3):
                for label, middle in (("high", 220), ("low", 120)):
                    pitch = middle * rng.uniform(0.85, 1.15)
                    time_axis = np.arange(int(16000 * rng.uniform(0.4, 0.6))) / 16000
                    tone = sum(np.sin(2 * np.pi * pitch * k * time_axis) / k**tilt for k in range(1, 8))
                    name = f"audio/{language}{speaker}{label}{take}.wav"
                    soundfile.write(folder / name, 0.1 * tone + rng.normal(0, 0.01, len(time_axis)), 16000)
                    given = {"high": "low", "low": "high"}[label] if language == odd else label
                    rows.append((name, f"{language}-{speaker}", language, given))
    table = pl.DataFrame(rows, schema=["audio", "speaker", "language", "pitch"], orient="row")
    table.write_csv(folder / "manifest.csv")
    return folder / "manifest.csv"


def study(folder: Path, more: str = "") -> Path:
    (folder / "study.toml").write_text(STUDY.format(more=more))
    return folder / "study.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("recommended")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        manifest(folder)
        run(study(folder), output=folder / "run")
    return RunDirectory(folder / "run")


def test_the_source_that_sounds_alike_comes_first(tmp_path: Path) -> None:
    manifest(tmp_path)
    found = recommend(study(tmp_path), output=tmp_path / "told" / "recommendation.parquet")
    table = pl.read_parquet(tmp_path / "told" / "recommendation.parquet")
    assert table.equals(found.table)
    assert table.schema == recommendation.RECOMMENDATION
    first = dict(table.filter(rank=1).select("target", "source").iter_rows())
    assert first["aa"] == "bb"
    assert first["bb"] == "aa"
    assert table.group_by("target").len()["len"].to_list() == [2, 2, 2]
    near, far = (
        table.filter((pl.col("target") == "aa") & (pl.col("source") == source)).row(0, named=True)
        for source in ("bb", "cc")
    )
    assert near["coral"] < far["coral"]
    assert near["mmd"] < far["mmd"]
    assert near["proxy_a"] < far["proxy_a"]
    assert near["curve"] > 0.9


@pytest.mark.parametrize("spoilt", ["permuted", "deleted", "never asked for"])
def test_labels_of_the_target_change_nothing_to_the_bit(spoilt: str, tmp_path: Path) -> None:
    path = manifest(tmp_path)
    asked = study(tmp_path, "")
    before = recommend(asked, output=tmp_path / "a.parquet").table.filter(target="bb")
    table = pl.read_csv(path)
    mine = table["language"] == "bb"
    labels = table["pitch"].to_numpy().copy()
    if spoilt == "permuted":
        labels[mine.to_numpy()] = np.random.default_rng(0).permutation(labels[mine.to_numpy()])
        values = pl.Series("pitch", labels)
    else:
        new = None if spoilt == "deleted" else "middle"
        values = table.select(pl.when(mine).then(pl.lit(new)).otherwise("pitch").alias("pitch"))["pitch"]
    table.with_columns(values).write_csv(path)
    if spoilt == "never asked for":
        asked.write_text(asked.read_text().replace('column = "pitch"', 'column = "pitch"\nlabels = ["high", "low"]'))
    after = recommend(asked, output=tmp_path / "b.parquet").table.filter(target="bb")
    assert after.equals(before)


def test_a_domain_without_labels_is_a_target_and_no_source(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    table = pl.read_csv(path)
    for name in ("known", "unknown"):
        rows = table.filter((pl.col("language") == "cc") == (name == "unknown"))
        rows = rows if name == "known" else rows.drop("pitch")
        rows.write_csv(tmp_path / f"{name}.csv")
    asked = study(tmp_path)
    text = asked.read_text().replace('name = "made"\nmanifest = "manifest.csv"', 'name = "k"\nmanifest = "known.csv"')
    asked.write_text(text + '[[corpora]]\nname = "u"\nmanifest = "unknown.csv"\n')
    found = recommend(asked, output=tmp_path / "a.parquet").table
    assert set(found["target"]) == {"aa", "bb", "cc"}
    assert set(found["source"]) == {"aa", "bb"}


def test_a_run_writes_it_before_and_scores_it_after(finished: RunDirectory) -> None:
    table, scored = finished.table("recommendation"), finished.table("recommendation-score")
    assert set(table["target"]) == {"aa", "bb", "cc"}
    uar = finished.table("scores").filter((pl.col("metric") == "uar") & (pl.col("slice") == "all"))
    reached = dict(uar.filter(pl.col("rater") == "selected").select("run", "estimate").iter_rows())
    for row in scored.filter(measure="combined").to_dicts():
        first = table.filter((pl.col("target") == row["target"]) & (pl.col("rank") == 1)).row(0, named=True)
        assert (row["source"], row["layer"]) == (first["source"], first["layer"])
        others = [reached[f"logmel/linear/zero-shot/{s}>{row['target']}"] for s in TILTS if s != row["target"]]
        mine = reached[f"logmel/linear/zero-shot/{row['source']}>{row['target']}"]
        assert row["source_regret"] == pytest.approx(max(others) - mine)
        assert row["random_regret"] == pytest.approx(max(others) - np.mean(others))
        assert row["regret"] >= 0
        assert row["low"] <= row["source_regret"] <= row["high"]
        agreed = np.nan if min(others) == max(others) else 1 if mine == max(others) else -1
        assert row["kendall"] == pytest.approx(agreed, nan_ok=True)
    page = (finished / "report.html").read_text()
    assert "Which source, before any label" in page
    assert "the best source was recommended in" in page
    right = scored.filter((pl.col("measure") == "combined") & pl.col("target").is_in(["aa", "bb"]))
    assert right["source_regret"].to_list() == [0, 0]


def test_the_run_recommends_what_the_verb_does(finished: RunDirectory, tmp_path: Path) -> None:
    manifest(tmp_path)
    found = recommend(study(tmp_path), output=tmp_path / "a.parquet").table
    assert found.equals(finished.table("recommendation").sort("target", maintain_order=True))


def test_the_same_run_again_finds_what_it_recommended_and_makes_a_damaged_file_anew(tmp_path: Path) -> None:
    manifest(tmp_path)
    run(study(tmp_path), output=tmp_path / "run")
    before = RunDirectory(tmp_path / "run").table("recommendation")
    (kept,) = (tmp_path / "run" / "cells").glob("recommendation-logmel*.parquet")
    time = kept.stat().st_mtime_ns
    run(study(tmp_path), output=tmp_path / "run")
    assert kept.stat().st_mtime_ns == time
    kept.write_bytes(kept.read_bytes()[:100])
    run(study(tmp_path), output=tmp_path / "run")
    assert pl.read_parquet(kept).equals(before)
    assert RunDirectory(tmp_path / "run").table("recommendation").equals(before)


def test_of_two_languages_a_run_recommends_nothing(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    pl.read_csv(path).filter(pl.col("language") != "cc").write_csv(path)
    run(study(tmp_path), output=tmp_path / "run")
    assert not (tmp_path / "run" / "recommendation.parquet").exists()


def test_what_cannot_be_recommended_is_told(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    pl.read_csv(path).filter(pl.col("language") == "aa").write_csv(path)
    with pytest.raises(SibbolethError, match="two values of 'language'"):
        recommend(study(tmp_path), output=tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="no column 'region'"):
        asked = study(tmp_path)
        asked.write_text(asked.read_text().replace('domain = "language"', 'domain = "region"'))
        recommend(asked, output=tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()
