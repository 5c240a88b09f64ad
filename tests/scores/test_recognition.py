"""Tables about transcripts: counts, ratios, matched pairs, lost words, alignments, on cases worked by hand."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from sibboleth import predictions
from sibboleth.errors import SibbolethError
from sibboleth.scores import recognition, score
from sibboleth.scores.recognition import Transcripts
from sibboleth.targets import Target

TEXT = Target(name="text", kind="transcription")
Spoken = tuple[str, str, str, str, str]
"""Utterance, speaker, accent, reference, hypothesis."""


def answered(rows: Sequence[Spoken], run: str = "whisper", trial: int = 0) -> pl.DataFrame:
    return predictions.table({
        "run": run, "source": "model", "rater": run, "utterance": [row[0] for row in rows], "target": "text",
        "trial": trial, "label": [row[4] for row in rows], "value": 1.0,
    })  # fmt: skip


def known(rows: Sequence[Spoken]) -> dict[str, object]:
    reference = predictions.table({
        "run": "corpus", "source": "reference", "rater": "corpus", "utterance": [row[0] for row in rows],
        "target": "text", "label": [row[3] for row in rows], "value": 1.0,
    })  # fmt: skip
    slices = pl.DataFrame({"utterance": [row[0] for row in rows], "accent": [row[2] or None for row in rows]})
    return {"reference": reference, "clusters": {row[0]: row[1] for row in rows}, "slices": slices}


def transcripts(rows: Sequence[Spoken], answers: pl.DataFrame | None = None) -> Transcripts:
    facts = known(rows)
    reference = facts.pop("reference")
    given = answered(rows) if answers is None else answers
    return Transcripts.of(given, reference, TEXT, columns=["accent"], **facts)  # type: ignore[arg-type]


def invented(seed: int, speakers: int = 12, lost: str = "") -> list[Spoken]:
    """Three accents of which each has twice the errors of the one before; the last also loses one word."""
    draw = np.random.default_rng(seed)
    words = [f"w{k}" for k in range(12)]
    rows = []
    for k in range(speakers * 20):
        speaker = k % speakers
        accent = speaker % 3
        reference = draw.choice(words, draw.integers(1, 9)).tolist()
        chance = 0.04 * 2**accent
        said = [
            word if draw.random() > (0.8 if word == lost and accent == 2 else chance) else draw.choice(["", "x", "y z"])
            for word in reference
        ]
        name = ("north", "south", "west")[accent]
        rows.append((f"u{k:03d}", f"s{speaker}", name, " ".join(reference), " ".join(filter(None, said))))
    return rows


ROWS: list[Spoken] = [
    ("u1", "ann", "flemish", "ik ga naar huis", "ik ga huis"),
    ("u2", "ben", "flemish", "dag", "dag dag"),
    ("u3", "cem", "dutch", "het is mooi weer", "het is mooi meer"),
    ("u4", "dee", "dutch", "ja", "ja"),
    ("u5", "eva", "", "nee", "nee"),
    ("u6", "ann", "flemish", "", "euh"),
]


def test_counts_of_every_slice_add_up() -> None:
    table = recognition.counts(transcripts(ROWS))
    words = {row["slice"]: row for row in table.filter(unit="word").to_dicts()}
    kinds = ("hits", "substitutions", "deletions", "insertions", "length", "n", "clusters")
    assert [words["all"][kind] for kind in kinds] == [9, 1, 1, 2, 11, 6, 5]
    assert [words["accent=flemish"][kind] for kind in kinds] == [4, 0, 1, 2, 5, 3, 2]
    assert [words["accent=dutch"][kind] for kind in kinds] == [4, 1, 0, 0, 5, 2, 2]
    assert set(words) == {"all", "accent=flemish", "accent=dutch"}  # what has no accent is in no slice of it
    characters = table.filter(slice="all", unit="character").to_dicts()[0]
    assert characters["length"] == sum(len(row[3]) for row in ROWS)
    assert characters["insertions"] == len(" dag") + len("euh")


def test_groups_are_pooled_and_compared_with_the_best() -> None:
    facts = known(ROWS)
    reference = facts.pop("reference")
    settings = {"statistics": _statistics("accent")}
    table = score(answered(ROWS), reference, TEXT, **facts, **settings)  # type: ignore[arg-type]
    found = {(row["metric"], row["slice"]): row for row in table.to_dicts()}
    assert found["wer", "accent=flemish"]["estimate"] == pytest.approx(3 / 5)
    assert found["wer", "accent=dutch"]["estimate"] == pytest.approx(1 / 5)
    assert found["wer_mean", "accent=*"]["estimate"] == pytest.approx(2 / 5)
    assert found["wer_gap", "accent=flemish,accent=dutch"]["estimate"] == pytest.approx(2 / 5)
    ratio = found["wer_ratio", "accent=flemish,accent=dutch"]
    assert ratio["estimate"] == pytest.approx(3)
    assert ratio["clusters"] == 4 and ratio["n"] == 5
    assert {"cer_mean", "cer_gap", "cer_ratio"} < {metric for metric, _ in found}


def _statistics(*slices: str) -> object:
    from sibboleth.study import StatisticsSettings

    return StatisticsSettings(resamples=500, slices=slices)


def test_bootstrap_and_regression_agree_on_ratios() -> None:
    rows = invented(0, speakers=36)
    facts = known(rows)
    reference = facts.pop("reference")
    table = score(answered(rows), reference, TEXT, statistics=_statistics("accent"), **facts)  # type: ignore[arg-type]
    resampled = {row["slice"]: row for row in table.filter(metric="wer_ratio").to_dicts()}
    regressed = recognition.rate_ratios(transcripts(rows)).filter("best", metric="wer").to_dicts()
    assert [(row["group"], row["against"]) for row in regressed] == [("west", "north"), ("south", "north")]
    for row in regressed:
        other = resampled[f"accent={row['group']},accent=north"]
        assert row["ratio"] == pytest.approx(other["estimate"])
        assert np.log(row["high"] / row["low"]) == pytest.approx(np.log(other["high"] / other["low"]), rel=0.25)
        assert row["low"] < other["estimate"] < row["high"]
        assert (row["clusters"], row["against_clusters"]) == (12, 12)
    assert regressed[0]["low"] > 1.5 and regressed[0]["p_holm"] < 0.01


def test_ratios_are_of_all_pairs_and_corrected_over_them() -> None:
    table = recognition.rate_ratios(transcripts(invented(1))).filter(metric="wer")
    assert table.select("group", "against").rows() == [("west", "north"), ("south", "north"), ("west", "south")]
    assert (table["ratio"] >= 1).all()
    assert table["best"].to_list() == [True, True, False]
    smallest = table.sort("p").to_dicts()[0]
    assert smallest["p_holm"] == pytest.approx(min(1.0, 3 * smallest["p"]))


def test_a_group_with_one_speaker_or_without_words_or_errors() -> None:
    rows = [
        *ROWS,
        ("u7", "fay", "french", "bonjour", "bon jour"),
        ("u8", "gus", "silent", "", "x"),
        ("u9", "hal", "perfect", "goed zo", "goed zo"),
        ("u10", "ida", "perfect", "goed", "goed"),
    ]
    facts = known(rows)
    reference = facts.pop("reference")
    table = score(answered(rows), reference, TEXT, statistics=_statistics("accent"), **facts)  # type: ignore[arg-type]
    found = {(row["metric"], row["slice"]): row for row in table.to_dicts()}
    assert found["wer", "accent=french"]["estimate"] == 2
    assert np.isnan(found["wer", "accent=french"]["low"])
    assert np.isnan(found["wer", "accent=silent"]["estimate"])
    assert found["wer_gap", "accent=french,accent=perfect"]["estimate"] == 2
    assert np.isnan(found["wer_gap", "accent=french,accent=perfect"]["low"])
    assert np.isnan(found["wer_ratio", "accent=french,accent=perfect"]["estimate"])  # of nothing
    assert np.isnan(found["wer_mean", "accent=*"]["low"])
    ratios = recognition.rate_ratios(transcripts(rows)).filter(metric="wer")
    assert "silent" not in {*ratios["group"], *ratios["against"]}
    pairs = {(row["group"], row["against"]): row for row in ratios.to_dicts()}
    assert np.isnan(pairs["french", "perfect"]["ratio"])
    assert pairs["french", "dutch"]["ratio"] == pytest.approx(10)
    assert np.isnan(pairs["french", "dutch"]["low"]) and np.isnan(pairs["french", "dutch"]["p"])
    assert pairs["flemish", "dutch"]["low"] < 3 < pairs["flemish", "dutch"]["high"]


def test_matched_pairs_take_the_same_utterances_and_trials() -> None:
    rows = invented(2)
    worse = [(*row[:4], row[4].replace("w1", "v")) for row in rows[20:]]
    both = pl.concat([answered(rows), answered(worse, "other"), answered(rows, "whisper", 1)])
    table = recognition.compare_segments(transcripts(rows, both), [("whisper", "whisper", "other", "other")])
    row = table.filter(slice="all").to_dicts()[0]
    assert row["n"] == len(worse)
    assert row["a_errors"] < row["b_errors"]
    assert row["mean"] == pytest.approx((row["a_errors"] - row["b_errors"]) / row["segments"])
    assert row["p"] < row["p_holm"] < 0.001
    assert table["slice"].to_list() == ["all", "accent=north", "accent=south", "accent=west"]
    assert table.filter(pl.col("slice") != "all")["segments"].sum() == row["segments"]
    mirrored = recognition.compare_segments(transcripts(rows, both), [("other", "other", "whisper", "whisper")])
    assert mirrored["z"].to_list() == (-table["z"]).to_list()
    alike = recognition.compare_segments(transcripts(rows, both), [("whisper", "whisper", "whisper", "whisper")])
    assert alike["p"].is_nan().all()


def test_the_word_that_an_accent_loses_comes_first() -> None:
    table = recognition.lost_words(transcripts(invented(3, 18, "w7")))
    west = table.filter(group="west")
    first = west.to_dicts()[0]
    assert first["word"] == "w7"
    assert first["p_holm"] < 0.05 and first["low"] > 0.2
    assert first["heard"] in ("x", "y", "z") and first["deleted"] + first["heard_count"] <= first["lost"]
    assert (table["low"] <= table["difference"]).all() and (table["difference"] <= table["high"]).all()
    assert (west.filter(pl.col("word") != "w7")["p_holm"] > 0.05).all()
    said = {row["word"]: row["said"] + row["others_said"] for row in west.to_dicts()}
    every = " ".join(row[3] for row in invented(3, 18, "w7")).split()
    assert said == {word: every.count(word) for word in said}


def test_lost_words_by_hand() -> None:
    rows: list[Spoken] = []
    for k in range(10):  # huis: 6 of 10 lost in the north, 1 of 10 in the south; rare is said too seldom
        rows.append(
            (f"n{k}", f"s{k % 3}", "north", "huis rare" if k < 2 else "huis", ["hoes", "", "huis"][min(k // 3, 2)])
        )
        rows.append((f"z{k}", f"t{k % 2}", "south", "huis rare" if k < 2 else "huis", "huis" if k else "tuin"))
    table = recognition.lost_words(transcripts(rows))
    north = table.filter(group="north").to_dicts()
    assert [row["word"] for row in north] == ["huis"]
    row = north[0]
    assert (row["said"], row["lost"], row["deleted"], row["heard"], row["heard_count"]) == (10, 6, 3, "hoes", 3)
    assert (row["others_said"], row["others_lost"], row["clusters"], row["others_clusters"]) == (10, 1, 3, 2)
    assert row["difference"] == pytest.approx(0.5)
    south = table.filter(group="south").to_dicts()[0]
    assert (south["low"], south["high"]) == pytest.approx((-row["high"], -row["low"]))
    assert row["p_holm"] == pytest.approx(min(1, 2 * row["p"]))


def test_where_nothing_differs_few_words_seem_lost() -> None:
    rejected = []
    for seed in range(20):
        draw = np.random.default_rng(seed)
        hard = draw.beta(2, 8, 12)
        rows = []
        for k in range(240):
            words = draw.choice([f"w{n}" for n in range(10)], 5).tolist()
            said = ["x" if draw.random() < hard[k % 12] else word for word in words]
            rows.append((f"u{k}", f"s{k % 12}", "ab"[k % 2], " ".join(words), " ".join(said)))
        rejected.append((recognition.lost_words(transcripts(rows))["p_holm"] < 0.05).any())
    assert np.mean(rejected) <= 0.1


def test_the_worst_utterances_are_aligned() -> None:
    table = recognition.worst_alignments(transcripts(ROWS))
    assert table["utterance"].to_list() == ["u2", "u1", "u3", "u6"]
    assert table["wer"].to_list() == [1, 0.25, 0.25, None]
    assert table["alignment"].to_list()[1] == "REF: ik ga naar huis\nHYP: ik ga **** huis\n           D"
    assert recognition.worst_alignments(transcripts(ROWS), 2)["utterance"].to_list() == ["u2", "u1"]


def test_alignments_keep_columns_whatever_the_script() -> None:
    one = transcripts([("u", "s", "", "你 好 cafe\u0301 x", "你好 好 cafe x y")])
    lines = recognition.worst_alignments(one)["alignment"][0].split("\n")
    assert lines == ["REF: 你   好 cafe\u0301 x *", "HYP: 你好 好 cafe x y", "     S       S      I"]


def test_long_alignments_are_folded() -> None:
    rows: list[Spoken] = [("u", "s", "", " ".join(["woord"] * 40), "woord " * 30)]
    text = recognition.alignment(transcripts(rows).edits[0], width=60)
    blocks = text.split("\n\n")
    assert len(blocks) == 5
    assert all(len(line) <= 60 for line in text.split("\n"))
    assert text.count("*****") == 10


def test_names_and_order_change_nothing() -> None:
    rows = invented(4, lost="w3")
    order = np.random.default_rng(0).permutation(len(rows))
    renamed = {
        name: f"r{k:02d}" for k, name in enumerate(np.random.default_rng(1).permutation([f"s{n}" for n in range(12)]))
    }
    other = [(rows[k][0], renamed[rows[k][1]], *rows[k][2:]) for k in order]
    both = [pl.concat([answered(some), answered([(*row[:4], row[3]) for row in some], "b")]) for some in (rows, other)]
    first, second = (transcripts(some, table) for some, table in zip((rows, other), both, strict=True))
    pair = [("whisper", "whisper", "b", "b")]
    for make in (recognition.counts, recognition.rate_ratios, recognition.lost_words, recognition.worst_alignments):
        assert make(first).equals(make(second))  # type: ignore[operator]
    assert recognition.compare_segments(first, pair).equals(recognition.compare_segments(second, pair))


def test_without_answers_the_tables_are_empty_and_other_targets_are_refused() -> None:
    nothing = transcripts(ROWS, answered(ROWS).clear())
    for make in (recognition.counts, recognition.rate_ratios, recognition.lost_words, recognition.worst_alignments):
        assert make(nothing).is_empty()  # type: ignore[operator]
    assert recognition.compare_segments(nothing, []).is_empty()
    facts = known(ROWS)
    reference = facts.pop("reference")
    with pytest.raises(SibbolethError, match="target 'x' is of kind regression; these tables are of transcripts"):
        Transcripts.of(answered(ROWS), reference, Target(name="x", kind="regression"), **facts)  # type: ignore[arg-type]
