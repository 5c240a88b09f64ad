"""Pretraining: what the table, a name and a folder tell about an encoder."""

import csv
import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from sibboleth.audit import Finding
from sibboleth.audit.pretraining import history, recognised, trained_with_labels

Audited = Callable[..., dict[str, Finding]]


def rows(name: str) -> list[dict[str, str]]:
    text = resources.files("sibboleth.audit").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_the_table_is_well_made() -> None:
    known = {row["corpus"] for row in rows("corpora.csv")} | {"not published", "all corpora of EmoBox"}
    seen = set()
    for row in rows("encoders.csv"):
        assert None not in row and row["source"].startswith("https://") and row["pattern"] not in seen
        seen.add(row["pattern"])
        re.compile(row["pattern"])
        assert row["pattern"] == row["pattern"].lower() and row["family"] and row["heard"]
        assert {part for cell in (row["heard"], row["labelled"]) for part in cell.split(";") if part} <= known, row
        assert not row["labelled"] or row["labels"]
        assert row["hours"] == "" or row["hours"].isdigit()
    for row in rows("corpora.csv"):
        assert recognised(row["corpus"]) == row["corpus"]


@pytest.mark.parametrize(
    ("name", "corpora", "labels"),
    [
        ("facebook/wav2vec2-base", {"LibriSpeech"}, ""),
        ("facebook/wav2vec2-base@main", {"LibriSpeech"}, ""),
        ("facebook/wav2vec2-base-960h", {"LibriSpeech"}, "transcripts"),
        ("facebook/wav2vec2-large-960h-lv60-self", {"Libri-Light", "LibriSpeech"}, "transcripts"),
        ("facebook/wav2vec2-base-de-voxpopuli-v2", {"VoxPopuli"}, ""),
        ("facebook/wav2vec2-base-10k-voxpopuli", {"VoxPopuli"}, ""),
        ("facebook/wav2vec2-base-10k-voxpopuli-ft-pl", {"VoxPopuli"}, "transcripts"),
        ("facebook/wav2vec2-large-xlsr-53-dutch", {"Multilingual LibriSpeech", "Common Voice", "BABEL"}, "transcripts"),
        ("microsoft/wavlm-large", {"Libri-Light", "GigaSpeech", "VoxPopuli"}, ""),
        ("TencentGameMate/chinese-hubert-large", {"WenetSpeech"}, ""),
        ("GroNLP/wav2vec2-dutch-large", {"LibriSpeech", "Spoken Dutch Corpus"}, ""),
        ("superb/hubert-large-superb-er", {"Libri-Light", "IEMOCAP"}, "emotions"),
        ("openai/whisper-large-v3", {"not published"}, "transcripts"),
        ("emotion2vec/emotion2vec_base", {"IEMOCAP", "MELD", "MEAD", "CMU-MOSEI", "MSP-Podcast"}, ""),
    ],
)
def test_checkpoints_in_the_table(name: str, corpora: set[str], labels: str) -> None:
    found = history(name)
    assert found is not None and set(found.heard) == corpora and found.labels == labels
    assert trained_with_labels(name) == bool(labels)


@pytest.mark.parametrize("name", ["logmel", "untrained:wav2vec2-base", "python:mine.py:encode", "me/my-model", ""])
def test_nothing_is_known_of_controls_and_strangers(name: str) -> None:
    assert history(name) is None


@pytest.mark.parametrize(
    ("name", "corpus"),
    [
        ("common_voice_17_0", "Common Voice"),
        ("mozilla-foundation/common_voice_11_0", "Common Voice"),
        ("CommonVoice-nl", "Common Voice"),
        ("librispeech_asr", "LibriSpeech"),
        ("EN_IEMOCAP", "IEMOCAP"),
        ("msp-podcast", "MSP-Podcast"),
        ("emodb", "EmoDB"),
        ("cgn", "Spoken Dutch Corpus"),
        ("controlled", None),
        ("my-own-recordings", None),
        ("scenarios", None),
    ],
)
def test_corpora_are_recognised_by_any_spelling(name: str, corpus: str | None) -> None:
    assert recognised(name) == corpus


def test_an_encoder_that_heard_the_tested_corpus(table: pl.DataFrame, audited: Audited) -> None:
    encoders = ["facebook/wav2vec2-xls-r-300m", "facebook/mms-1b-all", "facebook/wav2vec2-base", "me/mine", "logmel"]
    named = table.with_columns(corpus=pl.col("corpus").replace({"A": "voxpopuli-nl", "B": "home"}))
    found = audited(named, encoders=encoders)
    heard = found["encoder-heard-test-corpus"]
    assert heard.grade == "warning"
    assert "facebook/wav2vec2-xls-r-300m was trained on VoxPopuli (voxpopuli-nl) without labels" in heard.message
    assert "facebook/mms-1b-all was trained on VoxPopuli (voxpopuli-nl) with its transcripts" in heard.message
    assert "https://arxiv.org/abs/2111.09296" in heard.message and "wav2vec2-base" not in heard.message
    assert found["labelled-encoder"].message.startswith("1 encoder trained with labels: facebook/mms-1b-all (transcr")
    assert found["unknown-encoder"].grade == "note" and "me/mine" in found["unknown-encoder"].message
    assert not {"encoder-heard-test-corpus", "unknown-encoder"} & set(audited(table, encoders=encoders))


def test_emotion_models_and_the_corpora_of_emobox(table: pl.DataFrame, audited: Audited) -> None:
    named = table.with_columns(corpus=pl.col("corpus").replace({"A": "emodb", "B": "ravdess"}))
    encoders = ["emotion2vec/emotion2vec_plus_seed", "speechbrain/emotion-diarization-wavlm-large"]
    message = audited(named, encoders=encoders)["encoder-heard-test-corpus"].message
    assert "plus_seed was trained on EmoDB (emodb) with its emotions" in message
    assert "diarization-wavlm-large was trained on RAVDESS (ravdess) with its emotions" in message
    assert "diarization-wavlm-large was trained on EmoDB" not in message


def folder(path: Path, config: dict[str, object], card: str = "") -> str:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    if card:
        (path / "README.md").write_text(card, encoding="utf-8")
    return str(path)


def test_a_folder_says_where_it_comes_from(tmp_path: Path, table: pl.DataFrame, audited: Audited) -> None:
    copied = folder(
        tmp_path / "copy", {"_name_or_path": "facebook/hubert-base-ls960", "architectures": ["HubertModel"]}
    )
    assert history(copied) == history("facebook/hubert-base-ls960") and not trained_with_labels(copied)
    corpora = "- mozilla-foundation/common_voice_17_0\n- emodb\n"
    card = f"---\nlanguage: nl\nbase_model: facebook/wav2vec2-xls-r-300m\ndatasets:\n{corpora}---\n# Mine\n"
    tuned = folder(tmp_path / "tuned", {"architectures": ["Wav2Vec2ForSequenceClassification"]}, card)
    found = history(tuned)
    assert found is not None and {"VoxPopuli", "Common Voice", "EmoDB"} <= set(found.heard)
    assert set(found.labelled) == {"Common Voice", "EmoDB"} and trained_with_labels(tuned)
    named = table.with_columns(corpus=pl.col("corpus").replace({"A": "emodb"}))
    assert "EmoDB (emodb) with its labels" in audited(named, encoders=[tuned])["encoder-heard-test-corpus"].message
    listed = folder(tmp_path / "inline", {"architectures": ["WavLMModel"]}, "---\ndatasets: [emodb, 'tess']\n---\n")
    inline = history(listed)
    assert inline is not None and inline.heard == ("EmoDB", "TESS") and inline.labels == ""


def test_a_broken_folder_is_only_unknown(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[1, 2")
    (tmp_path / "README.md").write_bytes(b"\xff\xfe---")
    assert history(str(tmp_path)) is None and not trained_with_labels(str(tmp_path))
