"""The report of segments: timelines, parts of the errors, and EDER beside what needs no model."""

import base64
import hashlib
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sibboleth import scores
from sibboleth.report import answer, confusions, example_timelines, page, results, segmentation, timelines
from sibboleth.runs import RunDirectory, write_table


@pytest.fixture
def run(segmented: RunDirectory) -> RunDirectory:
    """A run with its report."""
    return segmented


class Words(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.silent = False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.silent = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.silent = False

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.parts).split())


def read(run: RunDirectory) -> Words:
    return Words((run / "report.html").read_text(encoding="utf-8"))


def test_the_answer_stands_beside_what_needs_no_model(run: RunDirectory) -> None:
    words = read(run).words
    table = run.table("baselines").filter(pl.col("metric") == "eder", pl.col("slice") == "all")
    known = {(r["run"], r["rater"]): r for r in table.to_dicts()}
    for domain in ("de", "nl"):
        nothing, oracle = (known[f"baseline>{domain}", r] for r in ("no segments", "each utterance's label throughout"))
        said = [f"{r['estimate']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" for r in (nothing, oracle)]
        assert f"In {domain} EDER without a model is {said[0]} (no segments). For scale: {said[1]}" in words
    assert "It carries: wavlm is better than no segments in 2 of 2 pairs (Holm, p < 0.05)." in words.replace(
        "\xa0", " "
    )
    assert "better than no segments in 2 of 2 (Holm" in words
    assert "emotion diarization error rate (EDER)" in words and "UAR: the mean" not in words
    assert "Darker is better (lower)." in words


def test_without_a_gain_the_answer_says_so(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(shutil.copytree(run.path, tmp_path / "other"))
    compared = run.table("baseline-comparisons")
    turned = compared.with_columns(-pl.col("difference"), low=-pl.col("high"), high=-pl.col("low"))
    write_table(other / "baseline-comparisons.parquet", turned)
    said = answer.answer(results.load(other))
    lead = said.lead[0].replace("\xa0", " ")
    assert lead == "It does not carry, it misleads: wavlm is better than no segments in 0 of 2 pairs (Holm, p < 0.05)."
    assert any("worse than no segments in 2 of 2 (Holm" in text for text in said.more)


def test_an_interval_beside_no_difference_is_no_verdict_where_p_is_not(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(shutil.copytree(run.path, tmp_path / "other"))
    compared = run.table("baseline-comparisons")
    write_table(other / "baseline-comparisons.parquet", compared.with_columns(p_holm=pl.lit(0.2)))
    said = answer.answer(results.load(other))
    assert said.lead[0].startswith("It is not shown to carry: wavlm is better than no segments in 0 of 2 pairs (Holm")
    assert any("in none of 2 told apart from no segments" in text for text in said.more)
    write_table(
        other / "baseline-comparisons.parquet",
        compared.with_columns(pl.lit(4, pl.Int64).alias("clusters"), p=pl.lit(0.125), p_holm=pl.lit(1.0)),
    )
    said = answer.answer(results.load(other))
    why = "with 4 speakers no p below 0.125 is possible; after Holm's correction over 4 comparisons none can reach 0.05"
    assert (
        said.lead[0]
        .replace("\xa0", " ")
        .startswith(f"Whether wavlm is better than no segments no test can tell here: {why}")
    )


def test_errors_in_seconds_add_up(run: RunDirectory) -> None:
    parts = pl.read_csv(run / "tables" / "error-parts.csv")
    labels = pl.read_csv(run / "tables" / "label-errors.csv")
    names = ["false_alarm", "missed", "confused", "overlap"]
    for one in parts.to_dicts():
        mine = labels.filter(pl.col("run") == one["run"], pl.col("rater") == one["rater"])
        assert mine.select(pl.sum_horizontal(pl.col(names).sum())).item() == pytest.approx(one["errors"])
    html = read(run)
    row = parts.filter(pl.col("run") == "a/wavlm/frames/within/de>de").row(0, named=True)
    assert f"{row['missed']:.1f} s; {row['missed'] / row['seconds']:.2f} [" in html.words
    assert "2 simulated listeners" in html.words and "2 people" not in html.words
    for name in ("error-parts-within", "error-parts-zero-shot", "label-errors-within", "layers-within"):
        assert (run / "figures" / f"{name}.svg").exists()


def test_every_model_stands_beside_baselines_among_the_comparisons(run: RunDirectory) -> None:
    shown = pl.read_csv(run / "tables" / "comparisons.csv")
    assert len(shown.filter(pl.col("b_run").str.starts_with("baseline>"))) == 8
    assert "Models against no segments, within" in read(run).words and "no segments, nl" in read(run).words


def test_one_simulated_listener_is_called_one(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(shutil.copytree(run.path, tmp_path / "other"))
    scored = run.table("listeners-scores").filter(pl.col("rater") == "p0")
    write_table(other / "listeners-scores.parquet", scored)
    names = [one.name for one in segmentation.everybody(results.load(other)) if one.kind == "people"]
    assert names == ["simulated listener p0"]


def test_listeners_stand_beside_models_with_the_ceiling_between_them(run: RunDirectory) -> None:
    words = read(run).words
    top = run.table("people-ceiling").filter(metric="eder").row(0, named=True)
    written = f"{top['estimate']:.2f} [{top['low']:.2f}, {top['high']:.2f}]"
    people = run.table("people-scores").filter(metric="eder", slice="all", run="people").row(0, named=True)
    reach = f"{people['estimate']:.2f} [{people['low']:.2f}, {people['high']:.2f}]"
    assert f"simulated listeners reach EDER {reach} ( {written} against one another), and wavlm, within" in words
    assert f"ceiling: one against the others {written}" in words
    parts = (run / "figures" / "error-parts-within.svg").read_text()
    assert "ceiling: one against the others" in parts and "stroke-dasharray" in parts
    assert "Simulated listeners are shown on what they heard." in words and "Model minus" not in words
    for name in ("people-language", "people-labels"):
        assert (run / "figures" / f"{name}.svg").exists()
    assert "The ceiling scores each simulated listener against each of the others as the reference" in words


def test_errors_of_each_label_have_intervals_and_those_of_listeners(run: RunDirectory) -> None:
    known = run.table("listeners-scores").filter(pl.col("rater") == "2 people")
    rows = run.table("label-seconds").filter(source="simulated", rater="2 people", label="angry").to_dicts()
    assert len(rows) == 1
    table = segmentation.by_label(results.load(run))
    cells = next(row for row in table.rows if row[0] == "2 simulated listeners" and row[3] == "angry")
    for part, cell in zip(("missed", "confused", "false_alarm"), cells[6:9], strict=True):
        share = rows[0][part] / rows[0]["seconds"]
        if share == 0:
            assert cell == "0 s"
            continue
        metric, of = ("confusion", "label=angry,answer=(none)") if part == "missed" else (part, "label=angry")
        one = known.filter(metric=metric, slice=of).row(0, named=True)
        assert one["estimate"] == pytest.approx(share) and one["low"] < share < one["high"]
        assert cell == f"{rows[0][part]:.1f} s; {share:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
    assert any("label, simulated listeners: angry missed" in (a.get("aria-label") or "") for _, a in read(run).tags)


def test_confusions_are_of_seconds_and_know_no_label(run: RunDirectory) -> None:
    words = read(run).words
    assert "Share of the seconds of each reference label (rows sum to 1), with seconds below" in words
    known = run.table("label-seconds").filter(pl.col("run").str.starts_with("a/wavlm/frames/within"))
    angry = known.filter(pl.col("label") == "angry").select(pl.col("right", "seconds").sum()).row(0)
    pooled = confusions.shares(results.load(run)).filter(regime="within", system="a/wavlm", label="angry")
    assert pooled.filter(answer="angry")["estimate"].item() == pytest.approx(angry[0] / angry[1])
    assert pooled["estimate"].sum() == pytest.approx(1)
    assert "wavlm & within & (none)" in (run / "tables" / "confusions.tex").read_text()


def test_timelines_show_everybody_above_one_another(run: RunDirectory) -> None:
    fake = sys.modules["fake_segments"]
    html = (run / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r'<figure class="timeline".*?</figure>', html, re.DOTALL)
    assert len(figures) == 6
    worst = scores.worst(
        run.table("predictions").filter(pl.col("run").str.starts_with("a/") & (pl.col("rater") == "selected")),
        run.table("predictions").filter(pl.col("source") == "reference"),
        fake.TARGET,
    )["utterance"].to_list()
    shown = [re.findall(r"<code>(.*?)</code>", one)[0] for one in figures]
    assert shown[:4] == worst[:4] and not set(shown[4:]) & set(worst[:4])
    german = next(one for one in figures if "<code>de:" in one)
    for name in ("reference", "wavlm, within", "wavlm, zero-shot from nl", "logmel, within", "simulated listener p0"):
        assert f'aria-label="{name}: ' in german
    utterance = re.findall(r"<code>(.*?)</code>", german)[0]
    start, end, label = fake.true_of(utterance)[0]
    assert f"<title>{label} {start:.2f}&ndash;{end:.2f} s</title>" in german
    dutch = next(one for one in figures if "<code>nl:" in one)
    assert "simulated listener" not in dutch


@pytest.mark.parametrize("players", ["link", "embed", "none"])
def test_players_are_linked_embedded_or_none(run: RunDirectory, players: Any) -> None:
    block = example_timelines.block(results.load(run), 6, players)
    assert block is not None and len(block.every) == 6
    assert all(bool(one.audio) == (players != "none") for one in block.every)
    assert all(one.audio.startswith("data:audio/flac") == (players == "embed") for one in block.every)
    assert block.embedded == (6 if players == "embed" else 0)
    assert all(max(one.peaks) == 1 and one.outline for one in block.every)


def test_only_the_page_s_own_script_may_run(run: RunDirectory) -> None:
    html = (run / "report.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.replace("&#39;", "'")


def test_a_run_without_audio_listeners_and_baselines_still_has_timelines(tmp_path: Path) -> None:
    run = sys.modules["fake_segments"].write_run(tmp_path, audio=False, heard=False, domains=("de",))
    for name in ("baselines", "baseline-comparisons", "error-seconds", "label-seconds"):
        (run / f"{name}.parquet").unlink()
    page.write(run)
    found = read(run)
    assert "The run has no confusion counts." in found.words and "without a model" not in found.words
    assert not [tag for tag, _ in found.tags if tag == "audio"]
    assert "0.2" in (run / "tables" / "error-parts.csv").read_text()
    assert len([1 for tag, a in found.tags if tag == "figure" and a.get("class") == "timeline"]) == 6


def test_overlapping_segments_lie_above_one_another_and_ticks_are_round() -> None:
    row = timelines.Row("a", ((0.0, 2.0, "x"), (1.0, 3.0, "y"), (2.0, 4.0, "x")))
    drawn = timelines.Timeline("u", 4.0, "", (), (row,))
    assert [(b.left, b.width, b.top, b.height) for b in drawn.bars(row)] == [
        (0, 500, 0, 10),
        (250, 500, 10, 10),
        (500, 500, 0, 10),
    ]
    assert drawn.ticks == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    for seconds in (0.3, 0.97, 1.0, 7.3, 61.0, 10_800.0):
        ticks = timelines.Timeline("u", seconds, "", (), ()).ticks
        assert 3 <= len(ticks) <= 10 and ticks[-1] <= seconds
