"""A study with alignments, from its file to its tables and page, on made sounds."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth.recipes.plan import plan
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

ALIGNMENTS = ("z-norm", "z-norm:speaker", "coral", "logit-adjustment", "erase:speaker", "erase:language")
STUDY = """
name = "tones"
domain = "language"
alignment = [{alignments}]
[target]
column = "pitch"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "logmel"
[splits]
folds = 3
dev = 0.34
[statistics]
resamples = 200
"""


def tones(folder: Path, languages: tuple[str, ...] = ("aa", "bb"), speakers: int = 6, each: int = 4) -> None:
    """Write buzzes of two pitches; each language after the first hears itself through another filter."""
    rng = np.random.default_rng(5)
    rows = []
    (folder / "audio").mkdir()
    for number, language in enumerate(languages):
        for speaker in range(speakers):
            for take in range(each):
                for label, middle in (("high", 220), ("low", 120)):
                    pitch = middle * rng.uniform(0.85, 1.15)
                    time_axis = np.arange(int(16000 * rng.uniform(0.4, 0.7))) / 16000
                    tone = sum(np.sin(2 * np.pi * pitch * k * time_axis) / k ** (1 + number / 2) for k in range(1, 8))
                    name = f"audio/{language}{speaker}{label}{take}.wav"
                    noise = rng.normal(0, 0.02, len(time_axis))
                    soundfile.write(folder / name, 0.1 * tone + noise, 16000, subtype="PCM_16")
                    rows.append((name, f"{language}-{speaker}", language, label))
    pl.DataFrame(rows, schema=["audio", "speaker", "language", "pitch"], orient="row").write_csv(
        folder / "manifest.csv"
    )


def study(folder: Path, alignments: tuple[str, ...] = ALIGNMENTS) -> Path:
    path = folder / "study.toml"
    path.write_text(STUDY.format(alignments=", ".join(f'"{name}"' for name in alignments)))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("aligned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        tones(folder)
        run(study(folder), output=folder / "run")
    return RunDirectory(folder / "run")


def test_every_alignment_answers_every_utterance_of_the_target_once(finished: RunDirectory) -> None:
    cells = finished.table("cells")
    table = finished.table("predictions").filter(pl.col("rater") == "selected")
    for name in ALIGNMENTS:
        mine = cells.filter(alignment=name)
        at_home = name not in ("coral", "logit-adjustment")
        assert set(mine["regime"]) == ({"zero-shot", "within"} if at_home else {"zero-shot"})
        assert set(mine["method"]) == {f"linear+{name}"}
        for run_name in mine["run"]:
            answered = table.filter(pl.col("run") == run_name)
            assert answered["utterance"].n_unique() == 48
            assert answered.height == 96
    assert set(cells.filter(pl.col("alignment").is_null())["method"]) == {"linear"}
    assert (
        not finished.table("scores")
        .filter(pl.col("run").str.contains("linear+", literal=True))
        .filter(pl.col("rater") == "mix")
        .height
    )


def test_gaps_are_the_differences_of_the_scores(finished: RunDirectory) -> None:
    scores = finished.table("scores").filter(
        (pl.col("metric") == "uar") & (pl.col("slice") == "all") & (pl.col("rater") == "selected")
    )
    uar = dict(scores.select("run", "estimate").iter_rows())
    gaps = finished.table("gaps")
    assert set(gaps["contrast"]) == {"zero-shot", "within", "gap before", "gap after", "gap closed"}
    found = {(row["run"], row["contrast"]): row for row in gaps.to_dicts()}
    for name in ALIGNMENTS:
        mine, plain = f"logmel/linear+{name}/zero-shot/aa>bb", "logmel/linear/zero-shot/aa>bb"
        home = "logmel/linear/within/bb>bb"
        after = home.replace("linear", f"linear+{name}") if name not in ("coral", "logit-adjustment") else home
        wanted = {
            "zero-shot": uar[mine] - uar[plain],
            "within": uar[after] - uar[home],
            "gap before": uar[home] - uar[plain],
            "gap after": uar[after] - uar[mine],
            "gap closed": uar[home] - uar[plain] - uar[after] + uar[mine],
        }
        for contrast, value in wanted.items():
            row = found[mine, contrast]
            assert row["estimate"] == pytest.approx(value, abs=1e-12)
            assert row["low"] <= row["estimate"] <= row["high"]
            assert (row["n"], row["clusters"]) == (48, 6)


def test_the_confound_is_told_before_and_not_after_it_is_erased(finished: RunDirectory) -> None:
    table = finished.table("erasure")
    language = table.filter(column="language")
    before, after = (language.filter(stage=stage)["estimate"][0] for stage in ("before", "after"))
    assert before > 0.9
    assert after < 0.75
    assert set(language["chance"]) == {0.5}
    assert set(language["rank"]) == {1}
    speaker = table.filter(column="speaker")
    assert set(speaker["chance"]) == {1 / 12}
    assert set(speaker["rank"]) == {11}
    assert speaker["low"].is_between(0, 1).all()


def test_the_same_study_again_trains_nothing_and_a_new_alignment_only_its_own(
    finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones(tmp_path)
    run(study(tmp_path, ("z-norm",)), output=tmp_path / "run")
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run" / "cells").iterdir()}
    (line,) = plan(study(tmp_path, ("z-norm", "coral")), output=tmp_path / "run").lines
    assert (line.cells, line.finished) == (6, 4)
    run(study(tmp_path, ("z-norm", "coral")), output=tmp_path / "run")
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run" / "cells").iterdir()}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 4
    plain = pl.col("run").str.starts_with("logmel/linear/")
    mine = RunDirectory(tmp_path / "run").table("scores").filter(plain)
    assert mine.equals(finished.table("scores").filter(plain))


def test_the_page_shows_alignments_in_a_section_of_their_own_and_the_answer_tells_of_erasure(
    finished: RunDirectory,
) -> None:
    page = (finished / "report.html").read_text()
    section = page[page.index('<h2 id="alignment">') : page.index('<h2 id="confusions">')]
    assert all(f"{name}: " in section for name in ALIGNMENTS)
    assert "those that are tested included" in section
    assert "11 of " in section
    assert "With speaker erased from the features of logmel" in page
    assert "linear+" not in page.replace(section, "").split('<h2 id="made">')[0]
    assert (finished / "tables" / "alignments.csv").exists()
    assert (finished / "tables" / "erasure.tex").exists()
