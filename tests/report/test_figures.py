"""Charts and tables: what is drawn is what is in the rows."""

import re
from xml.etree import ElementTree

import polars as pl
import pytest

from sibboleth.report import confusions, figures, plots, sections
from sibboleth.report.results import load
from sibboleth.report.systems import System
from sibboleth.report.tables import latex, table
from sibboleth.runs import RunDirectory

ENCODERS = (System("a/deep", "deep", False, 4), System("logmel", "logmel", True, 1))


def curve_rows() -> pl.DataFrame:
    rows = [{"system": "deep", "layer": i, "estimate": 0.4 + i / 10, "low": 0.3, "high": 0.8} for i in range(4)]
    rows.append({"system": "logmel", "layer": 0, "estimate": 0.5, "low": None, "high": None})
    return pl.DataFrame(rows).with_columns(chosen=pl.when(pl.col("layer") == 3).then(1.0).otherwise(0.0))


def test_charts_follow_the_schema() -> None:
    cells = pl.DataFrame(
        {"source": ["a"], "domain": ["a"], "estimate": [0.5], "text": ["0.50"], "interval": [""], "ink": ["#fff"]}
    )
    dots = pl.DataFrame({"system": ["deep"], "value": ["x"], "estimate": [0.5], "low": [0.4], "high": [0.6]})
    answers = cells.rename({"source": "label", "domain": "answer"})
    for chart in (
        plots.curves(curve_rows(), ENCODERS, metric="UAR", bounds=(0, 1), chance=0.25),
        plots.matrix(cells, ["a"], ["a"], chance=0.25, extent=(0.1, 0.9), better=1),
        plots.matrix(cells, ["a"], ["a"], chance=None, extent=(0.1, 0.9), better=-1),
        plots.confusion(answers, ["a"], ["a", "(other)"]),
        plots.intervals(dots, ENCODERS, ["x"], metric="UAR", bounds=(0, 1), chance=0.25),
    ):
        assert chart.configure(**figures.CONFIG).to_dict(validate=True)["$schema"]


def test_chance_and_single_layer_controls_are_lines() -> None:
    drawn = figures.panel(
        lambda: plots.curves(curve_rows(), ENCODERS, metric="UAR", bounds=(0, 1), chance=0.25), "t", "alt", "name"
    )
    assert figures.ORANGE in drawn.inside
    known = plots.styles(ENCODERS)
    assert drawn.inside.count(f'stroke="{known["logmel"][0]}"') >= 1
    assert known["logmel"][1] != known["deep"][1]


def test_figure_files_are_one_whole_drawing_in_a_font_that_is_everywhere(reported: RunDirectory) -> None:
    for file in (reported / "figures").glob("*.svg"):
        text = file.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert set(re.findall(r'font-family="([^"]*)"', text)) == {figures.FONT}
        assert b"LiberationSans" in file.with_suffix(".pdf").read_bytes()
        sizes = [float(s) for s in re.findall(r'font-size="([\d.]+)(?:px)?"', text)]
        assert min(sizes) >= 9


def test_text_in_small_panels_stays_readable_on_a_phone(reported: RunDirectory) -> None:
    results = load(reported)
    for group in sections.layers(results).groups:
        assert all(panel.width <= 340 for panel in group.panels)


def test_pooled_confusions_are_counts_over_counts(reported: RunDirectory) -> None:
    answers = reported.table("predictions").filter(pl.col("source") == "model")
    decided = answers.sort("value", descending=True).unique(["run", "utterance"], keep="first")
    truth = reported.table("utterances").select("utterance", "emotion")
    runs = reported.table("cells").select("run", "regime", system="encoder")
    expected = (
        decided.join(truth, on="utterance")
        .join(runs, on="run")
        .group_by("system", "regime", "emotion", "label")
        .agg(pl.len().alias("expected"))
        .rename({"label": "answer", "emotion": "label"})
    )
    shares = confusions.shares(load(reported))
    both = shares.join(expected, on=["system", "regime", "label", "answer"], how="left").fill_null(0)
    assert both["count"].to_list() == both["expected"].to_list()
    rows = shares.group_by("system", "regime", "label").agg(pl.col("estimate").sum())
    assert rows["estimate"].to_list() == pytest.approx([1.0] * rows.height)


def test_many_pairs_are_summed_up_by_target(reported: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MOST_PANELS", 4)
    groups = {g.name: g for g in sections.layers(load(reported)).groups}
    assert [p.title for p in groups["layers-zero-shot"].panels] == [
        "de, all sources",
        "en, all sources",
        "nl, all sources",
    ]
    assert "a spread, not an interval" in groups["layers-zero-shot"].caption


def test_ink_reads_on_its_background() -> None:
    assert plots.ink(0.95, (0.0, 1.0)) == "#ffffff" and plots.ink(0.1, (0.0, 1.0)) == figures.INK
    assert plots.ink(0.3, (-0.25, 0.75), 0.25) == figures.INK and plots.ink(-0.2, (-0.25, 0.75), 0.25) == "#ffffff"
    assert plots.ink(None, (0.0, 1.0)) == plots.ink(float("nan"), (0.0, 1.0)) == figures.QUIET


def test_latex_is_escaped_and_ruled() -> None:
    made = table(
        "t", "50% of a_b & {c}", "file", ("x#", "y"), [("a&b", "0.61 [0.52, 0.69]"), ("\\^~", "−1")], numeric=(1,)
    )
    text = made.latex()
    assert r"\begin{tabular}{lr}" in text and r"\toprule" in text and r"\bottomrule" in text
    assert r"a\&b & 0.61 [0.52, 0.69] \\" in text and r"50\% of a\_b \& \{c\}" in text and r"x\# & y \\" in text
    assert r"\textbackslash{}\textasciicircum{}\textasciitilde{} & $-$1 \\" in text


def test_long_tables_break_across_pages() -> None:
    made = table("t", "c", "file", ("x",), [(str(i),) for i in range(60)])
    assert r"\begin{longtable}{l}" in made.latex() and r"\endhead" in made.latex()


def test_latex_leaves_plain_text_alone() -> None:
    assert latex("Zero-shot, wavlm [0.1]") == "Zero-shot, wavlm [0.1]"
