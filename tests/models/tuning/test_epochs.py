"""Batches of every epoch: all rows once, little padding, no company that lasts, the same from the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth.methods import TuningSettings
from sibboleth.models.tuning.epochs import Epochs, balanced, by_length, epochs

RANDOM = np.random.default_rng(3)
SECONDS = RANDOM.uniform(1, 8, 200)
LABELS = (np.arange(200) % 10 == 0).astype(np.int64)
ROWS = np.arange(0, 200, 2)


def plan(seed: int = 0, count: int = 3, processes: int = 1, **more: object) -> Epochs:
    return epochs(ROWS, SECONDS, LABELS, TuningSettings.model_validate(more), seed, count, processes)


def padded(batches: list[np.ndarray]) -> float:
    return sum(len(one) * SECONDS[one].max() for one in batches)


def test_each_epoch_has_every_row_once_in_other_company() -> None:
    made = plan(batch_seconds=40)
    begin, seen = 0, []
    for end in made.ends:
        batches = made.batches[begin:end]
        assert sorted(np.concatenate(batches)) == list(ROWS)
        seen.append({frozenset(one.tolist()) for one in batches})
        begin = end
    assert seen[0] != seen[1] != seen[2]
    assert all(len(one) * SECONDS[one].max() <= 40 for one in made.batches)


def test_little_is_padding() -> None:
    made = list(plan(batch_seconds=40, count=1).batches)
    at_random = [one for one in np.array_split(np.random.default_rng(0).permutation(ROWS), len(made))]
    heard = float(SECONDS[ROWS].sum())
    assert padded(made) < 1.15 * heard < 1.3 * heard < padded(at_random)


def test_a_batch_may_have_exactly_so_many_utterances() -> None:
    made = plan(batch_size=16, count=1)
    assert [len(one) for one in made.batches] == [16] * 6 + [4]


def test_the_seed_and_the_epoch_decide() -> None:
    one, same, other, more = plan(1), plan(1), plan(2), plan(1, count=5)
    assert [a.tolist() for a in one.batches] == [b.tolist() for b in same.batches]
    assert [a.tolist() for a in one.batches] != [b.tolist() for b in other.batches]
    assert [a.tolist() for a in one.batches] == [b.tolist() for b in more.batches[: len(one.batches)]]


@pytest.mark.parametrize(("accumulate", "processes"), [(4, 1), (1, 3), (2, 2)])
def test_steps_are_whole(accumulate: int, processes: int) -> None:
    made = plan(batch_seconds=30, accumulate=accumulate, processes=processes)
    assert len(made.batches) == made.steps * accumulate * processes
    per_epoch = made.ends[0] * accumulate * processes
    assert set(np.concatenate(made.batches[:per_epoch])) == set(ROWS)


def test_balanced_epochs_have_as_many_of_the_rare_label() -> None:
    drawn = balanced(ROWS, LABELS, np.random.default_rng(0))
    counts = np.bincount(LABELS[drawn])
    assert counts[0] == counts[1] == len(ROWS) // 2
    often = np.bincount(drawn)[ROWS[LABELS[ROWS] == 1]]
    assert often.max() - often.min() <= 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.2, 40), min_size=1, max_size=40), st.floats(1, 60))
def test_batches_for_answers_have_every_row_once_and_fit(lengths: list[float], most: float) -> None:
    seconds = np.array(lengths)
    made = by_length(np.arange(len(seconds)), seconds, most)
    assert sorted(np.concatenate(made).tolist()) == list(range(len(seconds)))
    assert all(len(one) == 1 or len(one) * seconds[one].max() <= most for one in made)
