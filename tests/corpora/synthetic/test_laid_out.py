"""What is laid out as a corpus is read by that corpus's importer, sound for sound, with what is known of each."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import audio, corpora, corpus, segments
from sibboleth.corpora.synthetic import laid_out
from sibboleth.corpora.synthetic.sentences import SENTENCES

EMOTIONS = ("angry", "happy", "neutral", "sad")


@pytest.fixture
def spoken(tmp_path: Path) -> pl.DataFrame:
    """Two women and two men who say two sentences in every emotion, in noise bursts that differ in length."""
    random, rows = np.random.default_rng(0), []
    (tmp_path / "audio").mkdir()
    for place, name in enumerate(("zh-f1", "zh-m1", "zh-f2", "zh-m2")):
        for number, emotion in enumerate((*EMOTIONS, *EMOTIONS)):
            path = tmp_path / "audio" / f"{name}-{number:03d}.flac"
            soundfile.write(path, random.normal(0, 0.1, 6400 + 160 * len(rows)), 16000, "PCM_16")
            rows.append((path.stem, str(path), name, place, emotion, number, "female" if name[3] == "f" else "male"))
    table = pl.DataFrame(
        rows, ["utterance", "audio", "speaker", "place", "emotion", "number", "sex"], orient="row"
    ).with_columns(language=pl.lit("zh"), synthetic=pl.lit("a machine"), accent=pl.lit(None, pl.String))
    return said(table, "zh")


def said(table: pl.DataFrame, language: str) -> pl.DataFrame:
    texts = [SENTENCES[language][number // 4 + 3].replace(" ", "" if language == "zh" else " ") for number in range(8)]
    told = pl.col("number").replace_strict(dict(enumerate(texts)), return_dtype=pl.String).alias("text")
    return table.with_columns(told, pl.lit(language).alias("language"))


def lengths(table: pl.DataFrame) -> list[float]:
    rows = table.select("audio", "start", "end").rows()
    return sorted(round(len(audio.read(path, 16000, start, end)[0]) / 16000, 3) for path, start, end in rows)


def test_esd(spoken: pl.DataFrame, tmp_path: Path) -> None:
    laid_out.esd(tmp_path / "esd", spoken)
    table = corpora.prepare("esd", tmp_path / "esd").table
    assert set(table["speaker"]) == {"0001", "0004", "0002", "0005"}, "women and men as ESD has them"
    assert set(table.group_by("speaker", "emotion").len()["len"]) == {2} and set(table["language"]) == {"zh"}
    assert set(table["text"]) == {"商店星期一九点开门。", "他把钥匙放进抽屉里。"}
    assert set(table.group_by("text").agg(pl.col("sentence").n_unique())["sentence"]) == {1}
    assert lengths(table) == lengths(corpus.complete(spoken))


def test_pavoque(spoken: pl.DataFrame, tmp_path: Path) -> None:
    mine = said(spoken.filter(sex="male"), "de")
    laid_out.pavoque(tmp_path / "pavoque", mine)
    table = corpora.prepare("pavoque", tmp_path / "pavoque").table
    assert len(table) == 16 and set(table.group_by("emotion").len()["len"]) == {4}
    assert table["utterance"].is_unique().all() and table["text"].n_unique() == 2
    assert soundfile.info(tmp_path / "pavoque/pavoque-sad.flac").samplerate == 44100
    assert lengths(table) == pytest.approx(lengths(corpus.complete(mine)), abs=0.002)


def test_iemocap(spoken: pl.DataFrame, tmp_path: Path) -> None:
    mine = said(spoken, "en")
    laid_out.iemocap(tmp_path / "iemocap", mine)
    table = corpora.prepare("iemocap", tmp_path / "iemocap").table
    assert set(table["session"]) == {"Ses01", "Ses02"} and table["speaker"].n_unique() == 4
    assert set(table.group_by("speaker", "emotion").len()["len"]) == {2}
    assert set(table.group_by("session", "scenario").len()["len"]) == {8}
    assert table["text"].null_count() == 0 and lengths(table) == lengths(corpus.complete(mine))
    seconds = table["dialogue_end"] - table["dialogue_start"]
    assert sorted(seconds.round(3)) == pytest.approx(lengths(table), abs=2e-3)
    heard = corpora.ratings("iemocap", tmp_path / "iemocap")
    assert heard is not None
    both = heard.filter(target="emotion").join(table, on="utterance")
    assert len(both) == 32 and (both["label"] == both["emotion"]).all()


def test_zed(spoken: pl.DataFrame, tmp_path: Path) -> None:
    laid_out.zed(tmp_path / "zed", said(spoken, "en"), tmp_path / "scratch", 12, 0)
    table = corpora.prepare("zed", tmp_path / "zed").table
    assert set(table["emotion"]) == {"angry", "happy", "sad"} and len(table) == 12
    found = segments.of_manifest(table, tmp_path)
    assert all(len(found.of(name)) == 1 for name in table["utterance"])
    assert table["duration"].to_list() == pytest.approx(
        [soundfile.info(path).duration for path in table["audio"]], abs=1e-3
    )


def test_a_dialect_is_a_plain_manifest_called_as_its_folder(spoken: pl.DataFrame, tmp_path: Path) -> None:
    laid_out.dialect(tmp_path / "tianjin", spoken)
    table = corpus.read(tmp_path / "tianjin" / "manifest.csv").table
    assert set(table["dialect"]) == {"tianjin"} and set(table["synthetic"]) == {"a machine"}
    assert lengths(table) == lengths(corpus.complete(spoken))


def test_what_is_there_is_left_and_lists_say_the_same_again(spoken: pl.DataFrame, tmp_path: Path) -> None:
    laid_out.esd(tmp_path / "esd", spoken)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "esd").rglob("*.wav")}
    (gone := next(iter(before))).unlink()
    laid_out.esd(tmp_path / "esd", spoken)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "esd").rglob("*.wav")}
    assert set(before) == set(after) and {path for path in before if before[path] != after[path]} == {gone}


def test_what_stands_in_for_a_corpus_is_called_synthetic(spoken: pl.DataFrame, tmp_path: Path) -> None:
    laid_out.esd(tmp_path / "esd", spoken)
    assert "synthetic" not in corpora.prepare("esd", tmp_path / "esd").table.columns
    (tmp_path / "esd" / corpora.STAND_IN).write_text(json.dumps({"synthetic": "a machine"}))
    assert set(corpora.prepare("esd", tmp_path / "esd").table["synthetic"]) == {"a machine"}
