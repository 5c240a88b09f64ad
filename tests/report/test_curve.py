"""The page of a pre-training: what it says and draws, with few rows and many."""

import re
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from sibboleth.report import curve, figures
from sibboleth.report.curve import Sign, State

SIGNS = (
    Sign(name="clusters predicted", meaning="nearly every frame is taken for the same cluster", least=3.0),
    Sign(name="rank", meaning="frames lie on a line", least=1.5),
)


def rows(count: int) -> pl.DataFrame:
    step = 40.0 * np.arange(1, count + 1)
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "step": step,
            "loss": 5 * np.exp(-step / 5000) + 2,
            "accuracy": 0.5 - 0.4 * np.exp(-step / 6000),
            "clusters predicted": 80 - 60 * np.exp(-step / 2000),
            "rank": 30 + rng.normal(0, 2, count),
            "learning rate": np.minimum(step / 1600, 1) * 5e-4,
            "audio seconds": step * 60,
        }
    )


def page(path: Path, table: pl.DataFrame, state: State | None = None, title: str = "tiny") -> str:
    state = state or State(status="running", steps=25_000, left=3700)
    curve.write(table, path / "c.html", title=title, facts=["Speech: 3 h <of en>"], signs=SIGNS, state=state)
    return (path / "c.html").read_text(encoding="utf-8")


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)).split())


@pytest.mark.parametrize("count", [1, 2, 39, 500])
def test_every_number_is_drawn_and_told(tmp_path: Path, count: int) -> None:
    html = page(tmp_path, rows(count))
    told = re.findall(r'role="img" aria-label="([^"]*)"', html)
    assert [text.split(" over ")[0] for text in told] == [
        "Loss",
        "Learning rate",
        "Accuracy",
        "Clusters predicted",
        "Rank",
    ]
    assert f"over {count * 40:,} steps" in told[0] and told[3].endswith("A healthy encoder has at least 3.")
    assert html.count("<svg role") == 5 and "Beyond its limit, nearly every frame" in words(html)
    assert len(set(re.findall(r'\bid="([^"]+)"', html))) == len(re.findall(r'\bid="([^"]+)"', html))
    assert f"{rows(count)['loss'][-1]:.3g}" in words(html)
    for drawing in re.findall(r"<svg role.*?</svg>", html, flags=re.DOTALL):
        ElementTree.fromstring(re.sub(r"<svg role", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" role', drawing))
        assert figures.ORANGE.lower() in drawing.lower() or "Clusters" not in drawing


def test_nothing_is_fetched_run_or_unescaped(tmp_path: Path) -> None:
    html = page(tmp_path, rows(30), title="<b>&x")
    assert (
        "<script" not in html and "default-src 'none'" in html and "&lt;of en&gt;" in html and "&lt;b&gt;&amp;x" in html
    )
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html)


def test_only_a_running_one_reads_itself_again(tmp_path: Path) -> None:
    html = page(tmp_path, rows(100))
    assert '<meta http-equiv="refresh" content="20">' in html
    said = words(html)
    assert "4,000 of 25,000 steps (16%), 67 hours of audio heard, about 62 min to go" in said
    assert "reads itself again every 20 seconds" in said and '<progress max="25000" value="4000"' in html
    cases = {
        "complete": ("Complete", ""),
        "collapsed": ("The encoder has collapsed and was stopped", "rank is 1.2 & so on"),
        "interrupted": ("The same command goes on from the last saved state", ""),
        "failed": ("It was stopped by an error", "the disk is full"),
    }
    for status, (expected, told) in cases.items():
        html = page(tmp_path, rows(100), State(status=status, steps=25_000, told=told))  # type: ignore[arg-type]
        assert "refresh" not in html and expected in words(html) and told.replace("&", "&amp;") in html


def test_what_is_no_number_leaves_a_gap_and_is_beyond_its_limit(tmp_path: Path) -> None:
    table = rows(60).with_columns(
        rank=pl.when(pl.col("step") > 1500).then(float("nan")).otherwise(pl.col("rank")),
        loss=pl.when(pl.col("step") == 400).then(float("inf")).otherwise(pl.col("loss")),
        accuracy=pl.lit(None, pl.Float64),
    )
    html = page(tmp_path, table)
    said = words(html)
    assert "nan at least 1.5 beyond" in said and "80 at least 3 within" not in said and "at least 3 within" in said
    assert "In 23 of 60 rows it is no number" in html and "Accuracy: no number yet." in html and ">NaN<" not in html


def test_before_the_first_row_it_says_so(tmp_path: Path) -> None:
    assert "No numbers yet" in page(tmp_path, rows(1).head(0)) and "0 of 25,000 steps (0%)" in words(
        page(tmp_path, rows(0))
    )


def test_ticks_have_steps_and_the_audio_heard_until_then(tmp_path: Path) -> None:
    drawn = re.findall(r"<text[^>]*>(.*?)</text>", page(tmp_path, rows(500)), flags=re.DOTALL)
    said = " ".join(re.sub(r"<[^>]+>", " ", text).strip() for text in drawn)
    assert "5,000" in said and "83.3 h" in said and "20,000" in said and "333 h" in said
    few = " ".join(re.findall(r">([^<>]+)<", page(tmp_path, rows(1))))
    assert "40 min" in few


def test_small_numbers_on_an_axis_are_whole(tmp_path: Path) -> None:
    html = page(tmp_path, rows(60))
    panel = html[html.index("Learning rate over") :]
    panel = panel[: panel.index("</svg>")]
    assert ">0.0005<" in panel and ">0.00<" not in panel


def test_it_is_drawn_in_no_time(tmp_path: Path) -> None:
    page(tmp_path, rows(10))
    begun = time.process_time()
    page(tmp_path, rows(500))
    assert time.process_time() - begun < 1.0
