"""Items for listeners: balanced, repeatable, and never what a model that answers about them has heard."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.test_splits import plain

from sibboleth import splits, stimuli
from sibboleth.errors import InvalidInput
from sibboleth.splits import Fit, SplitSettings, Stage, fits, folds


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def fit(train: np.ndarray, dev: np.ndarray, test: np.ndarray, then: Stage | None = None) -> Fit:
    return Fit("A", "fold-1", train, dev, (splits.Test("within", "A", test),), then)


def test_what_an_answering_model_has_heard_is_left_out() -> None:
    clean = fit(rows(0, 1), rows(2), rows(3, 4))
    assert stimuli.unheard([clean]).tolist() == [3, 4]
    assert stimuli.unheard([clean, fit(rows(3), rows(4), rows(0, 1))]).tolist() == [0, 1, 3, 4], "folds of their own"
    assert stimuli.unheard([clean, fit(rows(0, 3), rows(1), rows(3, 4))]).tolist() == [4]
    assert stimuli.unheard([fit(rows(0), rows(1), rows(3, 4), Stage("A", rows(5), rows(4)))]).tolist() == [3]
    assert stimuli.unheard([]).tolist() == []


def test_every_test_item_of_a_clean_study_can_be_judged() -> None:
    table = plain({"A": 6, "B": 6})
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    assert len(stimuli.unheard(fits(divided, ("within", "zero-shot", "two-stage"), table))) == len(table)


def test_each_label_and_speaker_has_its_share_whatever_the_order_of_rows() -> None:
    table = plain({"A": 6, "B": 9}, per_label=5)
    made = stimuli.drawn(table, "emotion", 12, columns=["corpus"], seed=1)
    assert set(made.group_by("corpus", "emotion").len()["len"]) == {12}
    assert {count for counts in [Counter(made.filter(corpus="A")["speaker"])] for count in counts.values()} == {8}
    assert max(made.filter(corpus="B").group_by("speaker", "emotion").len()["len"]) == 2
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    again = stimuli.drawn(shuffled, "emotion", 12, columns=["corpus"], seed=1)
    assert set(again["utterance"]) == set(made["utterance"])
    other = stimuli.drawn(table, "emotion", 12, columns=["corpus"], seed=2)
    assert set(other["utterance"]) != set(made["utterance"])
    fewer = stimuli.drawn(table, "emotion", 6, columns=["corpus"], seed=1)
    assert set(fewer["utterance"]) < set(made["utterance"])


def test_they_come_from_the_rows_that_are_allowed() -> None:
    table = plain({"A": 6}, per_label=5)
    allowed = np.arange(0, len(table), 2)
    made = stimuli.drawn(table, "emotion", 8, rows=allowed, seed=0)
    assert set(made["utterance"]) <= set(table["utterance"].gather(allowed.tolist()))


def test_too_few_of_a_label_are_told_with_their_number() -> None:
    table = plain({"A": 3, "B": 6}, per_label=2)
    with pytest.raises(InvalidInput, match="12 utterances of every label") as caught:
        stimuli.drawn(table, "emotion", 12, columns=["corpus"], seed=0)
    assert [str(problem.file) for problem in caught.value.problems] == [
        f"A {label}" for label in ("angry", "happy", "neutral", "sad")
    ]


def test_eight_of_each_emotion_of_zed_are_of_eight_people_each(real_speech: Path) -> None:
    listed = json.loads((real_speech / "zed" / "ZED.json").read_text())
    table = pl.DataFrame(
        [(name, name.rpartition("_")[0], one["emotion"][0]["emo"]) for name, one in listed.items()],
        schema=["utterance", "speaker", "emotion"],
        orient="row",
    ).with_columns(session=pl.lit(None, pl.String))
    made = stimuli.drawn(table, "emotion", 8, seed=0)
    assert Counter(made["emotion"]) == {"angry": 8, "happy": 8, "sad": 8}
    per_emotion = made.group_by("emotion").agg(pl.col("speaker").n_unique())
    assert (per_emotion["speaker"] == 8).all()
