"""Second trainings: their leaks are found as those of the first, and what labels they use is told."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from sibboleth import splits
from sibboleth.audit import Finding
from sibboleth.splits import USUAL, Fit, SplitSettings, Stage, fits, folds

Audited = Callable[..., dict[str, Finding]]
STAGED = (*USUAL[:2], "two-stage", "few-shot")
A, B = 0, 120
"""First rows of the two domains; every six rows are a speaker's, three angry and three sad."""


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def two_stages(train: Sequence[int], dev: Sequence[int], test: Sequence[int], shots: int | None = None) -> Fit:
    """Train on four speakers of A, select on another, then go on with rows of B."""
    first = np.arange(A, A + 24), np.arange(A + 24, A + 30)
    tests = (splits.Test("two-stage" if shots is None else f"few-shot({shots})", "B", rows(*test)),)
    return Fit("A", "fold-1 then B fold-1", *first, tests, Stage("B", rows(*train), rows(*dev), shots))


def test_a_clean_study_of_all_regimes_has_only_notes_about_labels(table: pl.DataFrame, audited: Audited) -> None:
    table = table.with_columns(session="speaker")
    divided = folds(table, "corpus", "emotion", SplitSettings(), 0)
    made = fits(divided, STAGED, table, target="emotion", shots=(1, 2, 100), draws=2)
    found = audited(table, made, scarce=made.scarce)
    assert {name: finding.grade for name, finding in found.items()} == {
        "target-labels-train": "note",
        "too-few-shots": "note",
    }
    told = found["target-labels-train"]
    assert "zero-shot" not in told.message and told.effect.startswith("These scores are not zero-shot")
    assert told.message.startswith(
        "The regime two-stage trains on the labels of 240 utterances of the target domains, and chooses the epoch of "
        "that with the labels of "
    )
    drawn = {row for fit in made if fit.then and fit.then.shots for row in fit.then.train.tolist()}
    assert f"trains on 1, 2 utterances of each label of the target domain ({len(drawn)} utterances over" in told.message
    assert "chooses nothing with labels of the target" in told.message
    for name in "AB":
        assert f"few-shot(100) from all domains to {name} (angry has " in found["too-few-shots"].message


@pytest.mark.parametrize("shots", [None, 1])
def test_few_and_all_labels_are_told_apart(shots: int | None, table: pl.DataFrame, audited: Audited) -> None:
    stage = ([B, B + 3], [] if shots else [B + 6, B + 9])
    told = audited(table, (two_stages(*stage, [B + 12], shots),))["target-labels-train"]
    assert ("two-stage" in told.message, "few-shot" in told.message) == (shots is None, shots is not None)
    assert told.count == (2 if shots else 4)


@pytest.mark.parametrize(
    ("part", "where"), [("train", "train of the second stage"), ("dev", "dev of the second stage")]
)
def test_what_the_second_stage_shares_with_the_test_is_a_leak(
    part: str, where: str, table: pl.DataFrame, audited: Audited
) -> None:
    def leaking(row: int) -> tuple[Fit, ...]:
        train, dev = [B, B + 3], [B + 6, B + 9]
        (train if part == "train" else dev).append(row)
        return two_stages(train, dev, [B + 12, B + 13, B + 18]), two_stages([B + 30], [B + 36], [B + 42])

    table = table.with_columns(session="speaker")
    clean = audited(table, leaking(B + 24))
    assert not [name for name, finding in clean.items() if finding.grade == "error"]
    found = audited(table, leaking(B + 14))
    assert found["shared-speakers"].grade == "error"
    assert found["shared-speakers"].message == (
        f"Train and test share no speakers, dev and test share no speakers, {where} and test share speakers (1 of 2 in "
        "A fold-1 then B fold-1 tested on B (two-stage); in 1 of 2 tests)."
    )
    assert found["shared-speakers"].utterances == ("B/0132", "B/0133")
    assert "shared-sessions" in found and "shared-utterances" not in found
    assert audited(table, leaking(B + 13))["shared-utterances"].utterances == ("B/0133",)


@pytest.mark.parametrize("part", ["train", "dev"])
def test_copies_in_the_second_stage(part: str, table: pl.DataFrame, audited: Audited) -> None:
    fit = two_stages([B, B + 3], [B + 6, B + 9], [B + 12, B + 15])
    row = B if part == "train" else B + 9
    names = [f"{n:064d}" for n in range(len(table))]
    names[B + 15] = names[row]
    scan = table.select("utterance", pl.Series("digest", names), status=pl.lit("ok"))
    assert audited(table, (fit,), scan=scan)["identical-audio"].utterances == ("B/0135",)
    number = pl.int_range(pl.len())
    segments = table.with_columns(
        audio=pl.when(number == B + 15).then(pl.col("audio").gather(row)).otherwise("audio"),
        start=pl.when(number == row).then(0.0).when(number == B + 15).then(1.0),
        end=pl.when(number == row).then(4.0).when(number == B + 15).then(3.0),
    )
    assert audited(segments, (fit,))["overlapping-segments"].utterances == ("B/0135",)


def test_near_copies_in_the_second_stage(table: pl.DataFrame, audited: Audited) -> None:
    random = np.random.default_rng(0)
    prints = [random.integers(0, 2**32, 200, dtype=np.uint32) for _ in range(len(table))]
    prints[B + 15] = prints[B][20:]
    scan = table.select(
        "utterance",
        pl.Series("digest", [f"{n:064d}" for n in range(len(table))]),
        pl.Series("fingerprint", [one.tobytes() for one in prints], dtype=pl.Binary),
        status=pl.lit("ok"),
    )
    for shots in (None, 1):
        fit = two_stages([B, B + 3], [] if shots else [B + 6], [B + 12, B + 15], shots)
        assert audited(table, (fit,), scan=scan)["near-duplicate-audio"].utterances == ("B/0135",)


def test_sentences_of_the_second_stage(table: pl.DataFrame, audited: Audited) -> None:
    number = pl.int_range(pl.len())
    spoken = table.with_columns(text=pl.when(number.is_in([B, B + 15])).then(pl.lit("One sentence")).otherwise("text"))
    finding = audited(spoken, (two_stages([B, B + 3], [B + 6], [B + 12, B + 15]),))["shared-sentences"]
    assert finding.utterances == ("B/0135",) and "50% of the 2 test utterances" in finding.message


@pytest.mark.parametrize("heard", ["first", "second"])
def test_who_selects_the_second_stage_should_be_new_to_both(heard: str, table: pl.DataFrame, audited: Audited) -> None:
    fit = two_stages([B, B + 3], [B + 6, B + 9], [B + 12])
    assert "dev-shares-speakers" not in audited(table, (fit,))
    known = pl.col("speaker").gather(A if heard == "first" else B)
    same = table.with_columns(speaker=pl.when(pl.int_range(pl.len()) == B + 9).then(known).otherwise("speaker"))
    finding = audited(same, (fit, two_stages([B + 30], [B + 36], [B + 42])))["dev-shares-speakers"]
    assert finding.message == "Train and dev share speakers in 1 of 2 fits." and finding.utterances == ("B/0129",)


def test_labels_that_the_second_stage_lacks(table: pl.DataFrame, audited: Audited) -> None:
    finding = audited(table, (two_stages([B, B + 1], [B + 6, B + 7], [B + 12, B + 15]),))["missing-class"]
    assert finding.message == "A label of the domain is missing from train of the second stage in 1 of 1 fit."
    finding = audited(table, (two_stages([B, B + 3], [B + 6, B + 7], [B + 12, B + 15]),))["missing-class"]
    assert "missing from dev of the second stage in 1 of 1 fit." in finding.message


def test_shares_of_labels_are_compared_in_the_second_stage_once_and_not_with_few_shots(
    table: pl.DataFrame, audited: Audited
) -> None:
    angry, sad = (np.flatnonzero((table["emotion"] == label).to_numpy()) for label in ("angry", "sad"))
    train, dev = np.concatenate([angry[60:90], sad[60:66]]), np.concatenate([angry[90:94], sad[90:110]])
    test = splits.Test("two-stage", "B", np.array([B + 117, B + 110]))
    fit = Fit("A", "fold-1 then B fold-1", np.arange(24), np.arange(24, 30), (test,), Stage("B", train, dev))
    again = Fit("A", "fold-2 then B fold-1", np.arange(30, 54), np.arange(54, 60), (test,), Stage("B", train, dev))
    finding = audited(table, (fit, again))["label-shift"]
    assert "in the parts of 1 fold: A fold-1 then B fold-1 (sad is 17% of train, 83% of dev)" in finding.message
    few = Fit(*(fit.source, fit.fold, fit.train, fit.dev, fit.tests), Stage("B", train, dev[:0], 4))
    assert "label-shift" not in audited(table, (few,))


def test_draws_do_not_test_twice_and_their_rows_are_used(table: pl.DataFrame, audited: Audited) -> None:
    made = [two_stages([B + draw, B + 3], [], [B + 12, B + 15], 1) for draw in (0, 1)]
    made[1] = Fit("A", "again", made[1].train, made[1].dev, made[1].tests, Stage("B", rows(B + 1, B + 3), rows(), 1, 1))
    found = audited(table, tuple(made))
    assert "repeated-test" not in found
    assert found["unused-utterances"].count == len(table) - 30 - 3 - 2
    assert "repeated-test" in audited(table, (made[0], made[0]))
