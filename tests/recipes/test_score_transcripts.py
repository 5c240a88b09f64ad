"""What `sibboleth score` says of transcripts beyond their WER."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.recipes.test_score import page, warnings_of, write

from sibboleth.recipes.score import score

NEXT = ("comparisons", "counts", "rate-ratios", "matched-pairs", "words", "alignments")


@pytest.fixture
def transcripts(tmp_path: Path) -> Path:
    """Two systems, 12 speakers of three accents; one speaker alone has a fourth."""
    draw = np.random.default_rng(0)
    words = ["huis", "tuin", "deur", "water", "brood", "straat"]
    lines = ["utterance,system,speaker,accent,text,hypothesis"]
    for k in range(156):
        speaker = k % 13
        accent = "frisian" if speaker == 12 else ("gent", "leiden", "luik")[speaker % 3]
        text = draw.choice(words, 4).tolist()
        for system, chance in (("large", 0.1), ("small", 0.3)):
            lost = chance * (2 if accent == "luik" else 1)
            said = ["hoes" if draw.random() < lost else word for word in text]
            lines.append(f"u{k},{system},s{speaker},{accent},{' '.join(text)},{' '.join(said)}")
    return write(tmp_path / "asr.csv", "\n".join(lines) + "\n")


def test_groups_systems_words_and_alignments_are_shown(transcripts: Path) -> None:
    result = score((transcripts,), by=("accent",), resamples=200)
    shown = page(result, width=110)
    assert "accent: luik to leiden" in shown or "accent: luik to gent" in shown
    assert "Matched pairs (MAPSSWE)" in shown
    assert "Words lost" not in shown and "REF:" not in shown
    assert "more: --show counts --show words --show alignments" in shown
    assert "groups of one speaker have no intervals: accent=frisian" in warnings_of(result)
    assert "accent=gent (4), accent=leiden (4), accent=luik (4)" in warnings_of(result)
    assert result.recognition is not None
    row = result.recognition.ratios.filter(pl.col("group") == "frisian").to_dicts()[0]
    assert row["ratio"] > 0 and np.isnan(row["low"])
    every = page(
        score((transcripts,), by=("accent",), show=("counts", "words", "alignments"), resamples=200), width=110
    )
    for said in ("Words lost more often", "Substitutions", "REF: ", "HYP: ", "hoes"):
        assert said in every
    assert "more:" not in every


def test_the_tables_are_written_beside_the_scores(transcripts: Path, tmp_path: Path) -> None:
    for suffix, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        output = tmp_path / f"out{suffix}"
        result = score((transcripts,), by=("accent",), resamples=200, output=output)
        assert [path.name for path in result.written] == [output.name, *(f"out-{name}{suffix}" for name in NEXT)]
        counts = read(tmp_path / f"out-counts{suffix}").filter(pl.col("unit") == "word", pl.col("slice") == "all")  # type: ignore[operator]
        wer = result.scores.filter(pl.col("metric") == "wer", pl.col("slice") == "all").sort("rater")["estimate"]
        errors = counts["substitutions"] + counts["deletions"] + counts["insertions"]
        assert (errors / counts["length"]).to_list() == pytest.approx(wer.to_list())


def test_one_system_without_groups_has_counts_and_alignments(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "utterance,speaker,text,hypothesis\nu1,s1,dag jan,dag\nu2,s2,ja,ja\n")
    result = score((file,), resamples=100, output=tmp_path / "s.csv", show=("alignments",))
    assert [path.name for path in result.written] == ["s.csv", "s-counts.csv", "s-alignments.csv"]
    shown = page(result)
    assert "REF: dag jan\nHYP: dag ***" in "\n".join(line.rstrip() for line in shown.splitlines())
    assert "1 error in 2 words" in shown
    assert "Matched pairs" not in shown and "regression" not in shown


def test_the_page_of_transcripts_fits_a_narrow_terminal(transcripts: Path) -> None:
    result = score((transcripts,), by=("accent",), show=("counts", "words"), resamples=100)
    assert max(map(len, page(result, width=80).splitlines())) <= 80


def test_labels_have_none_of_it(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "utterance,prediction,label,speaker\nu1,a,a,s\nu2,b,a,t\n")
    assert score((file,), resamples=100).recognition is None
