import json
from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpora, corpus, predictions
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import prepare

NAMES = {"train": ["000010011", "000010035"], "test": ["000030012"]}
DETAIL = {
    "text": "WE CALL IT BEAR",
    "accuracy": [7.0, 9.0, 8.0, 8.0, 9.0],
    "completeness": [1.0, 1.0, 1.0, 0.75, 1.0],
    "fluency": [10.0, 9.0, 8.0, 8.0, 10.0],
    "prosodic": [10.0, 9.0, 7.0, 8.0, 9.0],
    "total": [7.6, 9.0, 7.9, 8.0, 9.1],
    "words": [],
}
MEAN = {"text": "WE CALL IT BEAR", "accuracy": 8, "completeness": 10.0, "fluency": 9, "prosodic": 9, "total": 8}


def put(root: Path, name: str, text: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "speechocean762"
    for part, names in NAMES.items():
        speakers = sorted({name[1:5] for name in names})
        for name in names:
            put(folder, f"WAVE/SPEAKER{name[1:5]}/{name}.WAV")
        lines = {
            "wav.scp": [f"{name}\tWAVE/SPEAKER{name[1:5]}/{name}.WAV" for name in names],
            "text": [f"{name}\tWE CALL IT BEAR" for name in names],
            "utt2spk": [f"{name}\t{name[1:5]}" for name in names],
            "spk2age": [f"{speaker}\t6" for speaker in speakers],
            "spk2gender": [f"{speaker}\t{'m' if speaker == '0001' else 'f'}" for speaker in speakers],
        }
        for name, listed in lines.items():
            put(folder, f"{part}/{name}", "\n".join([*listed, ""]))
    put(folder, "resource/scores.json", json.dumps({"000010011": MEAN, "000030012": {**MEAN, "accuracy": 3}}))
    put(folder, "resource/scores-detail.json", json.dumps({"000010011": DETAIL}))
    return folder


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("speechocean762", root).table
    columns = ("utterance", "speaker", "part", "sex", "age", "accent", "text", "accuracy", "completeness")
    assert table.select(columns).rows() == [
        ("000010011", "0001", "train", "male", 6, "L1 Mandarin", "WE CALL IT BEAR", 8, 10),
        ("000010035", "0001", "train", "male", 6, "L1 Mandarin", "WE CALL IT BEAR", None, None),
        ("000030012", "0003", "test", "female", 6, "L1 Mandarin", "WE CALL IT BEAR", 3, 10),
    ]
    assert len(corpus.read(prepare("speechocean762", root)).table) == 3 and (root / "ratings.csv").is_file()


def test_experts_are_rows_on_the_scale_of_the_sentences_scores(root: Path) -> None:
    said = corpora.ratings("speechocean762", root)
    assert said is not None and predictions.validate(said).equals(said) and len(said) == 5 * 5
    mine = said.filter(pl.col("target") == "accuracy").select("rater", "label", "value").rows()
    assert mine == [(f"expert-{n}", None, score) for n, score in enumerate(DETAIL["accuracy"], start=1)]
    pooled = predictions.pool(said, "all").select("target", "value").rows()
    assert dict(pooled) == pytest.approx(
        {"accuracy": 8.2, "completeness": 9.5, "fluency": 9, "prosodic": 8.6, "total": 8.32}
    )
    (root / "resource/scores-detail.json").unlink()
    assert corpora.ratings("speechocean762", root) is None


def test_an_older_release_in_a_folder_of_its_own_and_as_flac(root: Path) -> None:
    (root / "resource/scores.json").rename(root / "Scores.json")
    (root / "test/utt2spk").unlink()
    (root / "test/text").unlink()
    (root / "test/spk2age").write_text("SPEAKER0003 6,5\r\n", encoding="utf-8-sig")
    wav = root / "WAVE/SPEAKER0003/000030012.WAV"
    wav.rename(wav.with_suffix(".flac"))
    row = corpora.prepare("speechocean762", root.parent).table.filter(pl.col("part") == "test").row(0, named=True)
    assert (row["speaker"], row["age"], row["text"], row["accuracy"]) == ("0003", 6.5, "WE CALL IT BEAR", 3)
    assert row["audio"].endswith(".flac")


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no wav\.scp in it or below\. speechocean762's folder has WAVE/"):
        corpora.prepare("speechocean762", root / "WAVE")
    (root / "WAVE/SPEAKER0001/000010035.WAV").unlink()
    with pytest.raises(InvalidInput, match="unpack WAVE again") as caught:
        corpora.prepare("speechocean762", root)
    assert [(Path(problem.file).parent.name, problem.row) for problem in caught.value.problems] == [("train", 2)]
    put(root, "resource/scores-detail.json", json.dumps({"000010011": {**DETAIL, "fluency": 9}}))
    with pytest.raises(InvalidInput, match="000010011: expected a list of numbers"):
        corpora.ratings("speechocean762", root)
    put(root, "resource/scores.json", '{"000010011": 8}')
    with pytest.raises(InvalidInput, match="an object with one for each sentence is expected"):
        corpora.prepare("speechocean762", root)
    put(root, "resource/scores.json", "{")
    with pytest.raises(InvalidInput, match="is no JSON"):
        corpora.prepare("speechocean762", root)
