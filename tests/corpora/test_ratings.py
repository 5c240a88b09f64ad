"""What listeners said of public corpora, in the layouts in which it was published."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth import corpora, predictions
from sibboleth.corpora import crema_d_ratings, votes
from sibboleth.errors import InvalidInput
from sibboleth.progress import console
from sibboleth.recipes.corpus import prepare
from sibboleth.recipes.score import score

SHARES = {"03a01Fa": "90,00", "08a02Wb": "95,24", "09b10Ld": "100,00", "10a04Ea": "33,00", "13a05Tc": "45,00"}


@pytest.fixture
def emodb(tmp_path: Path) -> Path:
    root = tmp_path / "emodb"
    (root / "wav").mkdir(parents=True)
    for name in [*SHARES, "16b09Nb"]:
        (root / f"wav/{name}.wav").write_bytes(b"")
    rows = [f"{n}  \t{name}.wav\t{share}     \t50,00     " for n, (name, share) in enumerate(SHARES.items(), start=1)]
    text = "Nr.\tSatz\terkannt\tnatuerlich\n" + "\n".join(rows) + "\n"
    (root / "erkennung.txt").write_text(text, encoding="latin-1")
    return root


def test_emodb_shares_become_the_votes_that_they_were(emodb: Path) -> None:
    table = corpora.ratings("emodb", emodb)
    assert table is not None and predictions.validate(table).equals(table)
    counts = table.group_by("utterance", "label").len().sort("utterance", "label").rows()
    assert counts == [  # 33 % is no share of 20 or 21 listeners, and 16b09Nb is not in the list
        ("03a01Fa", "(other)", 2),
        ("03a01Fa", "happy", 18),
        ("08a02Wb", "(other)", 1),
        ("08a02Wb", "angry", 20),
        ("09b10Ld", "bored", 20),
        ("13a05Tc", "(other)", 11),
        ("13a05Tc", "sad", 9),
    ]
    assert set(table["source"]) == {"listener"} and set(table["rater"]) == {"emodb-panel"}


def test_prepare_writes_them_beside_the_manifest_and_they_can_be_scored(emodb: Path) -> None:
    with console.capture() as said:
        manifest = prepare("emodb", emodb)
    assert "81 answers of listeners about 4 utterances" in said.get()
    written = (emodb / "ratings.csv").read_bytes()
    assert prepare("emodb", emodb) == manifest and (emodb / "ratings.csv").read_bytes() == written
    scored = score((emodb / "ratings.csv",), reference=manifest)
    recall = scored.scores.filter(pl.col("metric") == "recall").select("slice", "estimate")
    assert dict(recall.iter_rows())["label=sad"] == pytest.approx(9 / 20)
    assert dict(recall.iter_rows())["label=angry"] == pytest.approx(20 / 21)
    assert any("precision and F1 are too high" in note for note in scored.notes)
    (emodb / "ratings.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidInput, match="ratings.csv: is there already"):
        prepare("emodb", emodb)
    assert (emodb / "ratings.csv").read_text(encoding="utf-8") == "mine"


def test_votes_score_as_a_listener_at_random_and_pool_to_the_crowds_shares() -> None:
    table = votes.table("run", "panel", "emotion", {"a": {"sad": 3, "angry": 1}, "b": {"sad": 2, "angry": 0}})
    pooled = predictions.pool(table, "crowd").select("utterance", "label", "value").rows()
    assert pooled == [("a", "angry", 0.25), ("a", "sad", 0.75), ("b", "sad", 1.0)]


RESPONSES = """"","localid","pos","ans","ttr","queryType","numTries","clipNum","questNum","subType","clipName",\
"sessionNums","respEmo","respLevel","dispEmo","dispVal","dispLevel"
"1","7",1,"A_80",900,1,0,1,1,4,"1001_IEO_ANG_HI",5,"A","80","A","HI",80
"2","7",2,"S_20",900,2,0,1,1,4,"1001_IEO_ANG_HI",5,"S","20","A","HI",80
"3","8",1,"D_50",900,1,0,1,1,4,"1001_IEO_ANG_HI",6,"D","50","A","HI",80
"4","8",2,"N_50",900,1,0,2,2,4,"1001_IEO_NEU_XX",6,"N","50","N","XX",0
"""
FIRST = """"","localid","sessionNums","queryType","questNum","pos","ttr","numTries","clipNum","clipName"
"1","8",6,1,1,1,12000,0,1,"1001_IEO_ANG_HI"
"2","8",6,1,2,2,3000,0,2,"1001_IEO_NEU_XX"
"""
VOTES = """"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"
"100001",2,1,0,0,0,0,"1001_IEO_ANG_HI",3,0.67,"A"
"200001",0,0,0,0,0,3,"1001_IEO_ANG_HI",3,1,"S"
"""


def test_crema_d_single_answers_to_the_voice_alone_without_slow_ones(tmp_path: Path) -> None:
    (tmp_path / "finishedResponses.csv").write_text(RESPONSES, encoding="utf-8")
    every = crema_d_ratings.ratings(tmp_path)
    assert every is not None and len(predictions.validate(every)) == 3
    (tmp_path / "finishedEmoResponses.csv").write_text(FIRST, encoding="utf-8")
    table = crema_d_ratings.ratings(tmp_path)
    assert table is not None
    assert table.select("rater", "utterance", "trial", "label").rows() == [
        ("7", "1001_IEO_ANG_HI", 0, "angry"),
        ("8", "1001_IEO_NEU_XX", 0, "neutral"),
    ]


def test_crema_d_votes_where_single_answers_are_not_there(tmp_path: Path) -> None:
    assert crema_d_ratings.ratings(tmp_path) is None
    (tmp_path / "processedResults").mkdir()
    path = tmp_path / "processedResults/tabulatedVotes.csv"
    path.write_text(VOTES, encoding="utf-8")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "finishedResponses.csv").write_text(pointer, encoding="utf-8")
    table = crema_d_ratings.ratings(tmp_path)
    assert table is not None and table["label"].to_list() == ["angry", "angry", "disgusted"]
    path.write_text(VOTES.replace(",2,1,", ",2,viele,"), encoding="utf-8")
    with pytest.raises(InvalidInput, match="votes of '1001_IEO_ANG_HI' are no numbers"):
        crema_d_ratings.ratings(tmp_path)
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="no columns A, D, F"):
        crema_d_ratings.ratings(tmp_path)


def test_real_files(real_speech: Path) -> None:
    """On average as many recognise an emotion as the published list says."""
    table = corpora.ratings("emodb", real_speech / "emodb")
    manifest = corpora.prepare("emodb", real_speech / "emodb").table
    assert table is not None and table["utterance"].n_unique() == len(manifest)
    hits = table.with_columns(hit=pl.col("label") != "(other)").group_by("utterance").agg(pl.col("hit").mean())
    both = manifest.join(hits, on="utterance")
    assert float((both["recognition"] - both["hit"]).abs().max()) <= 5.1e-5  # type: ignore[arg-type]
