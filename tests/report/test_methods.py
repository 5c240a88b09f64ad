"""Fine-tuning on the page: systems, what they cost, the ladder of regimes and learning curves."""

import html
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sibboleth.report import (
    contrasts,
    figures,
    ladder,
    listings,
    methods,
    page,
    plots,
    sections,
    shots,
    tuning,
    wording,
)
from sibboleth.report.answer import answer
from sibboleth.report.results import load
from sibboleth.report.systems import System
from sibboleth.runs import RunDirectory, write_table

fake_run: Any = sys.modules["fake_run"]  # imported by conftest.py
MakeRun = Callable[..., RunDirectory]
ALL = ("within", "zero-shot", "target-selected", "few-shot", "two-stage")
TUNED: dict[str, Any] = {
    "encoders": {"logmel": 1, "microsoft/wavlm-base": 3},
    "regimes": ALL,
    "methods": ("lora", "full", "bottleneck"),
    "speakers": 12,
    "findings": False,
}
MAIN = (pl.col("metric") == "uar") & (pl.col("slice") == "all") & (pl.col("rater") == "selected")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an encoder with three methods, every regime, two languages."""
    fake = fake_run.Fake(domains=("de", "nl"), **TUNED)
    run: RunDirectory = fake_run.write_run(tmp_path_factory.mktemp("tuned") / "run", fake)
    return run.path


@pytest.fixture(scope="module")
def shown(written: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A copy of that run with its page, to be read."""
    run = RunDirectory(shutil.copytree(written, tmp_path_factory.mktemp("shown") / "run"))
    page.write(run)
    return run


@pytest.fixture
def tuned(written: Path, tmp_path: Path) -> RunDirectory:
    """A copy of that run, to be changed."""
    return RunDirectory(shutil.copytree(written, tmp_path / "run"))


def set_score(run: RunDirectory, name: str, estimate: float) -> None:
    """Overwrite the main score of a run."""
    table, mine = run.table("scores"), MAIN & (pl.col("run") == name)
    there = [
        pl.when(mine).then(estimate + shift).otherwise(column).alias(column)
        for column, shift in (("estimate", 0.0), ("low", -0.05), ("high", 0.05))
    ]
    write_table(run / "scores.parquet", table.with_columns(there))


def set_difference(run: RunDirectory, family: str, **values: float) -> None:
    """Overwrite numbers in the comparisons of a family."""
    table = run.table("comparisons")
    mine = pl.col("family") == family
    new = [pl.when(mine).then(pl.lit(v)).otherwise(pl.col(k)).alias(k) for k, v in values.items()]
    write_table(run / "comparisons.parquet", table.with_columns(new))


def words(run: RunDirectory) -> str:
    text = (run / "report.html").read_text(encoding="utf-8").split("<body>")[1]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", text)).replace("\N{NO-BREAK SPACE}", " ").split())


def section(run: RunDirectory, name: str) -> str:
    text = (run / "report.html").read_text(encoding="utf-8")
    return text.split(f'aria-labelledby="{name}"')[1].split("</section>")[0]


def test_an_encoder_and_its_methods_are_systems_in_the_order_of_the_study(tuned: RunDirectory) -> None:
    results = load(tuned)
    assert [one.name for one in results.systems] == [
        "microsoft/wavlm-base",
        "microsoft/wavlm-base + lora",
        "microsoft/wavlm-base + full",
        "microsoft/wavlm-base + bottleneck",
        "logmel",
    ]
    assert {one.encoder for one in results.tuned} == {"microsoft/wavlm-base"}
    assert results.unit == "system" and len({one.short for one in results.systems}) == 5


def test_page_of_a_tuned_run_has_its_sections_and_one_of_probes_has_none(
    shown: RunDirectory, reported: RunDirectory
) -> None:
    text = (shown / "report.html").read_text(encoding="utf-8")
    for name in ("methods", "ladder", "shots"):
        assert text.count(f'<h2 id="{name}">') == text.count(f'href="#{name}"') == 1
        assert f'<h2 id="{name}">' not in (reported / "report.html").read_text(encoding="utf-8")
    assert "Systems an encoder's name alone is its probe" in words(shown)
    assert "few-shot trained and selected in the source domain, then trained on" in words(shown)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert re.findall(r'<th scope="col"[^>]*>Encoder</th>', section(shown, "answer")) == []


def test_costs_stand_beside_scores_and_what_is_unknown_is_a_dash(tuned: RunDirectory) -> None:
    rows = {row[0].replace("\N{NO-BREAK SPACE}", " "): row[1:] for row in methods.costs(load(tuned)).rows}
    probe, lora, full, matched = (rows[f"wavlm-base{name}"] for name in ("", " · lora", " · full", " · bottleneck"))
    assert probe[0] == "the probe" and set(probe[1:7]) == {"–"} and probe[7] != "–"
    assert lora[:7] == ("985,300", "1.0%", "2", "42 s", "11", "1 h 23 min", "3.2 GB")
    assert lora[-1] == "lora 884,736, head 100,564"
    assert full[6] == "–"
    assert matched[-1].endswith("matched to lora")
    within = load(tuned).where("microsoft/wavlm-base + lora", "within")
    assert lora[7:9] == tuple(map(str, within))
    written = methods.costs(load(tuned)).numbers
    assert written["trained"].to_list() == tuned.table("methods").sort("encoder", "method")["trained"].to_list()
    assert methods.measured(load(tuned)).startswith("Trained on cpu in float32, 10 times each.")


def test_layers_that_were_cut_off_or_left_as_they_are_are_said(tuned: RunDirectory) -> None:
    write_table(tuned / "methods.parquet", tuned.table("methods").with_columns(kept=pl.lit(1), lowest=pl.lit(0)))
    assert {row[3] for row in methods.costs(load(tuned)).rows} == {"–", "1 of 2"}
    write_table(tuned / "methods.parquet", tuned.table("methods").with_columns(kept=pl.lit(2), lowest=pl.lit(1)))
    assert {row[3] for row in methods.costs(load(tuned)).rows} == {"–", "2, trained above 1"}


def test_methods_are_summed_up_in_pairs_of_one_encoder(tuned: RunDirectory) -> None:
    set_difference(tuned, "methods, within", difference=0.1, low=0.02, high=0.2, p=0.001, p_holm=0.01)
    set_difference(tuned, "methods, zero-shot", difference=-0.1, low=-0.2, high=-0.01, p=0.001, p_holm=0.2)
    rows = {(row[0], row[2], row[3]): row[4:] for row in methods.compared(load(tuned)).rows}
    assert rows["within", "lora", "probe"][1:] == ("2", "0", "0", "0")
    assert rows["zero-shot", "full", "probe"][1:] == ("0", "0", "2", "0")
    assert rows["within", "lora", "probe"][0].startswith("0.10 [0.02, 0.20] (de) and 0.10 [0.02, 0.20] (nl)")
    assert ("two-stage", "full", "lora") in rows and not any(row[0] == "few-shot(1)" for row in rows)


def test_layer_curves_show_probes_alone(tuned: RunDirectory) -> None:
    for group in sections.layers(load(tuned)).groups:
        assert not any("lora" in entry.text for entry in group.legend)
    assert set(load(tuned).scores.filter(pl.col("rater").str.starts_with("layer"))["tuned"]) == {False}
    assert set(listings.layers(load(tuned)).numbers["method"]) == {"linear"}


def test_few_shot_has_no_matrix_but_stands_in_the_table(shown: RunDirectory) -> None:
    drawn = {file.stem for file in (shown / "figures").glob("*.svg")}
    assert {"transfer-two-stage", "shots-wavlm-base", "ladder-wavlm-base", "methods-parameters"} <= drawn
    assert not any("few-shot" in name for name in drawn)
    regimes = pl.read_csv(shown / "tables" / "scores.csv")["regime"].unique()
    assert {"few-shot(1)", "few-shot(2)", "few-shot(4)"} <= set(regimes)
    assert load(shown).rungs == ["zero-shot", "target-selected", "few-shot(4)", "two-stage", "within"]


def gap(run: RunDirectory, zero: float, middle: float, within: float, low: float) -> list[float | None]:
    """Set three rungs of one pair and the interval of the gap; return what two-stage closes of it."""
    name = "microsoft/wavlm-base/lora"
    set_score(run, f"{name}/zero-shot/de>nl", zero)
    set_score(run, f"{name}/two-stage/de>nl", middle)
    set_score(run, f"{name}/within/nl>nl", within)
    set_difference(run, "within - zero-shot", difference=within - zero, low=low, high=within - zero + 0.1)
    written = ladder.listed(load(run)).numbers
    return written.filter(method="lora", source="de", domain="nl", regime="two-stage")["closed"].to_list()


def test_share_of_the_gap_that_is_closed(tuned: RunDirectory) -> None:
    assert gap(tuned, 0.4, 0.6, 0.8, low=0.3) == pytest.approx([0.5])
    assert gap(tuned, 0.4, 0.9, 0.8, low=0.3) == pytest.approx([1.25])
    assert gap(tuned, 0.4, 0.3, 0.8, low=0.3) == pytest.approx([-0.25])
    assert gap(tuned, 0.4, 0.6, 0.8, low=-0.1) == [None]  # a gap that may be none has no share
    assert gap(tuned, 0.8, 0.7, 0.4, low=-0.5) == [None]


def test_ladder_says_what_is_closed_with_paired_tests(tuned: RunDirectory) -> None:
    set_difference(tuned, "within - zero-shot", low=0.01, high=0.5, difference=0.2)
    set_difference(tuned, "two-stage against zero-shot", difference=0.1, p=0.001, p_holm=0.01)
    set_difference(tuned, "two-stage against within", difference=-0.1, p=0.001, p_holm=0.01)
    set_difference(tuned, "few-shot(4) against zero-shot", difference=0.01, p=0.5, p_holm=1.0)
    told = ladder.told(load(tuned), load(tuned).tuned)
    assert len(told) == 3
    for text in told:
        plain = text.replace("\N{NO-BREAK SPACE}", " ")
        assert "of the gap from zero-shot to within" in plain and "in none of 2 told apart from zero-shot" in plain
        assert "better than zero-shot in 2 of 2 (Holm, p < 0.05), worse than within in 2 of 2" in plain


def test_tests_that_could_show_nothing_are_not_counted_as_nothing_found(make_run: MakeRun) -> None:
    run = make_run(**{**TUNED, "speakers": 4})
    told = ladder.told(load(run), load(run).tuned)
    assert len(told) == 3 and not any("Holm, p" in text for text in told)
    said = answer(load(run)).more
    assert said[-1].startswith("Where no test is named, none could show a difference: with 4 speakers no p below")
    assert all(cell.endswith("(mute)") for row in shots.gains(load(run)).rows for cell in row[1:])


def test_gains_by_shots_are_medians_of_paired_differences(tuned: RunDirectory) -> None:
    table = tuned.table("comparisons").filter(pl.col("family") == "few-shot(2) against zero-shot")
    lora = table.filter(pl.col("a_run").str.contains("/lora/"))
    clear = lora.filter((pl.col("p_holm") < 0.05) & (pl.col("difference") > 0)).height
    row = next(row for row in shots.gains(load(tuned)).rows if row[0].endswith("lora"))
    assert row[2] == f"{wording.number(lora['difference'].median())} ({clear} of 2)"  # type: ignore[arg-type]


def test_answer_says_what_fine_tuning_adds_and_what_second_trainings_close(tuned: RunDirectory) -> None:
    for pair in ("de>nl", "nl>de"):
        set_score(tuned, f"microsoft/wavlm-base/full/zero-shot/{pair}", 0.9)
    set_difference(tuned, "methods, zero-shot", difference=0.2, low=0.1, high=0.3, p=0.001, p_holm=0.01)
    told = " ".join((*answer(load(tuned)).lead, *answer(load(tuned)).more)).replace("\N{NO-BREAK SPACE}", " ")
    assert "wavlm-base · full is above chance" in told
    assert "Fine-tuning with full adds to the probe of wavlm-base: within between" in told
    assert (
        "zero-shot between 0.20 [0.10, 0.30] (de → nl) and 0.20 [0.10, 0.30] (nl → de), better than the probe in"
        in told
    )
    assert "wavlm-base · full: few-shot(4) closes" in told or "few-shot(4) has no gap to close" in told
    assert "the best of 4 systems on these same test speakers" in told


def test_controls_are_told_of_once_under_the_method_that_was_compared() -> None:
    several = [
        System(f"{n} + {m}" if m else n, f"{n} {m}", n != "a", 3, False, m) for n in "abc" for m in ("", "x", "y")
    ]

    class Fake:
        systems = [one for one in several if one.name != "c + x"]

    chosen = contrasts._controls(Fake(), several[1])  # type: ignore[arg-type]
    assert [one.name for one in chosen] == ["b + x", "c"]
    assert [one.name for one in contrasts._controls(Fake(), several[0])] == ["b", "c"]  # type: ignore[arg-type]


def test_answer_without_methods_is_silent_about_them(reported: RunDirectory) -> None:
    assert not any("ine-tuning" in text for text in answer(load(reported)).more)


def test_aligned_runs_stand_beside_and_change_no_other_number(tuned: RunDirectory) -> None:
    before = load(tuned)
    cells, scores = tuned.table("cells"), tuned.table("scores")
    zero = (pl.col("regime") == "zero-shot") & ~pl.col("tuned")
    aligned = cells.filter(zero).with_columns(run=pl.col("run") + " coral", alignment=pl.lit("coral"))
    theirs = scores.with_columns(run=pl.col("run") + " coral", estimate=pl.lit(0.99)).join(
        aligned, on="run", how="semi"
    )
    write_table(tuned / "cells.parquet", pl.concat([cells, aligned]))
    write_table(tuned / "scores.parquet", pl.concat([scores, theirs]))
    after = load(tuned)
    assert after.main == before.main and after.systems == before.systems
    assert set(after.aligned["alignment"]) == {"coral"} and after.aligned.height == theirs.height


def test_runs_from_before_there_were_methods_are_read(make_run: MakeRun) -> None:
    run = make_run(domains=("de",), encoders={"logmel": 1}, regimes=("within",), slices=False)
    cells = run.table("cells")
    page.write(run)
    first = (run / "report.html").read_bytes()
    write_table(run / "cells.parquet", cells.drop("tuned", "alignment", "shots").rename({"method": "probe"}))
    page.write(run)
    assert (run / "report.html").read_bytes() == first


def test_order_of_the_rows_changes_nothing(shown: RunDirectory, tuned: RunDirectory) -> None:
    first = (shown / "report.html").read_text(encoding="utf-8")
    for name in ("scores", "cells", "methods", "learning", "selection"):
        write_table(tuned / f"{name}.parquet", tuned.table(name).reverse())
    page.write(tuned)
    again = (tuned / "report.html").read_text(encoding="utf-8")
    assert again.replace(str(tuned.path.resolve()), str(shown.path.resolve())) == first


def test_systems_are_told_apart_in_every_figure() -> None:
    several = [
        System(f"{name} + {method}" if method else name, f"{name} {method}", name == "logmel", 3, False, method)
        for name in ("a", "b", "c", "logmel")
        for method in (("", "lora", "full", "gate") if name != "logmel" else ("", "head"))
    ]
    known = plots.styles(several)
    assert len({(style.colour, style.symbol) for style in known.values()}) == len(several)
    assert len({known[f"a {method}"].colour for method in ("", "lora", "full")}) == 1
    assert {known[f"{name} lora"].symbol for name in "abc"} == {known["a lora"].symbol}
    alone = plots.styles([one for one in several if one.encoder == "a"])
    assert len({style.colour for style in alone.values()}) == 4
    legend = plots.legend(several, None, shown={"b", "b + full"}, dots=True)
    assert [(entry.text, entry.colour) for entry in legend] == [
        ("b ", known["b "].colour),
        ("b full", known["b full"].colour),
    ]


def shot_rows() -> pl.DataFrame:
    regimes = {
        "zero-shot": 0,
        "few-shot(1)": 1,
        "few-shot(3)": 3,
        "few-shot(16)": 16,
        "two-stage": None,
        "within": None,
    }
    rows = [("one", shots, regime, 0.5 if shots is not None else 0.8) for regime, shots in regimes.items()]
    frame = pl.DataFrame(rows, schema=["system", "shots", "regime", "estimate"], orient="row")
    return frame.with_columns(low=pl.col("estimate") - 0.1, high=pl.col("estimate") + 0.1)


def test_shots_are_on_a_scale_of_doublings_with_zero_before_it() -> None:
    systems = (System("one", "one", False, 3),)
    wanted = {"metric": "UAR", "bounds": (0.2, 1.0), "chance": 0.25, "shots": (1, 3, 16)}
    chart = tuning.by_shots(shot_rows(), systems, ends=("two-stage", "within"), **wanted)  # type: ignore[arg-type]
    assert chart.configure(**figures.CONFIG).to_dict(validate=True)["$schema"]
    drawn = figures.panel(lambda: chart, "t", "alt", "name").inside
    labels = re.findall(r">([^<>]+)</text>|>([^<>]+)</tspan>", drawn)
    assert {"0", "1", "3", "16", "two", "stage", "within"} <= {a or b for a, b in labels}


def test_other_charts_follow_the_schema() -> None:
    systems = (System("one", "one", False, 3), System("one + lora", "one lora", False, 3, False, "lora"))
    scored = pl.DataFrame(
        {"system": ["one", "one lora"], "parameters": [None, 1e6], "estimate": [0.5, 0.6]}, schema_overrides={}
    ).with_columns(low=pl.lit(0.4), high=pl.lit(0.7))
    losses = pl.DataFrame({"what": ["dev", "train"], "epoch": [1, 1], "loss": [1.0, 0.9], "low": 0.9, "high": 1.1})
    for chart in (
        tuning.by_parameters(scored, systems, metric="UAR", bounds=(0, 1), chance=0.5, extent=(1e6, 1e6)),
        tuning.losses(losses.with_columns(chosen=pl.lit(0.5))),
    ):
        assert chart.configure(**figures.CONFIG).to_dict(validate=True)["$schema"]


def test_many_pairs_are_summed_up_by_target(tuned: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ladder, shots):
        monkeypatch.setattr(module, "MOST_PANELS", 1)
        step = ladder.steps if module is ladder else shots.curves
        (group,) = step(load(tuned)).groups
        assert [panel.title for panel in group.panels] == ["de, all sources", "nl, all sources"]
        assert "a spread, not an interval" in group.caption


def test_losses_are_drawn_for_both_stages(tuned: RunDirectory) -> None:
    (group,) = methods.training(load(tuned)).groups
    titles = [panel.title.replace("\N{NO-BREAK SPACE}", " ") for panel in group.panels]
    assert titles[:2] == ["wavlm-base · lora", "wavlm-base · lora, second stage"] and len(titles) == 6
    assert group.fold and "lowest" in group.panels[0].alt
    (tuned / "learning.parquet").unlink()
    assert methods.training(load(tuned)).groups == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.23, "4.2 s"), (42.4, "42 s"), (60, "1 min"), (84, "1 min 24 s"), (7512, "2 h 5 min"), (None, "–")],
)
def test_durations_are_written_as_people_say_them(seconds: float | None, text: str) -> None:
    assert wording.duration(seconds) == text


def test_bytes_are_written_in_decimal_units() -> None:
    assert [wording.memory(size) for size in (3_221_225_472, 870_000_000, None)] == ["3.2 GB", "870 MB", "–"]


def test_methods_are_described_by_what_they_train(tuned: RunDirectory) -> None:
    record = tuned.read()
    asked = [
        {"name": "lora", "train": "head", "lora": {"rank": 8, "alpha": 16.0, "targets": ["attention"]}, "mix": True},
        {"name": "full", "train": "encoder", "head": {"hidden": [128, 16]}},
        {"name": "bottleneck", "bottleneck": {"placement": "parallel", "reduction": 16.0}, "gate": {}},
    ]
    tuned.write({**record, "study": {**record["study"], "methods": asked}})
    told = dict(methods.described(load(tuned)))
    assert told["lora"] == "trains LoRA of rank 8 and alpha 16 in attention, a learned layer mix and a head"
    assert told["full"] == "trains every weight of the encoder and a head (128-16)"
    assert told["bottleneck"].startswith("trains a parallel bottleneck adapter (dim / 16)")
