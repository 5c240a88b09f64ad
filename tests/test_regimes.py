"""Regimes of two trainings: what the second learns from, and that the first is the one that others need, too."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth.errors import InvalidInput
from sibboleth.splits import Fit, Fits, Fold, Regime, SplitSettings, fits, folds, single


def corpus(sizes: dict[str, dict[str, dict[str, int]]]) -> pl.DataFrame:
    """Make a table from the utterances of every label of every speaker of every domain."""
    rows = [
        (domain, f"{domain}/{speaker}", label)
        for domain, speakers in sizes.items()
        for speaker, labels in speakers.items()
        for label, count in labels.items()
        for _ in range(count)
    ]
    return pl.DataFrame(
        {
            "utterance": [f"{domain}/{number:04d}" for number, (domain, _, _) in enumerate(rows)],
            "audio": [f"/somewhere/{number}.wav" for number in range(len(rows))],
            "speaker": [speaker for _, speaker, _ in rows],
            "session": pl.Series([None] * len(rows), dtype=pl.String),
            "corpus": [domain for domain, _, _ in rows],
            "emotion": [label for _, _, label in rows],
        }
    )


def even(domains: str = "AB", speakers: int = 6, each: int = 4) -> pl.DataFrame:
    return corpus({d: {f"s{n}": {"angry": each, "sad": each} for n in range(speakers)} for d in domains})


def made(table: pl.DataFrame, *regimes: Regime, seed: int = 0, draws: int = 1, numbers: tuple[int, ...] = (1,)) -> Fits:
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    return fits(divided, regimes, table, target="emotion", shots=numbers, draws=draws, seed=seed)


def values(table: pl.DataFrame, column: str, rows: np.ndarray) -> list[str]:
    return table[column].gather(rows.tolist()).to_list()


def few(of: Fits, fold: str = "fold-1") -> dict[tuple[int, int], Fit]:
    """Return the few-shot fits from A to B that test one fold, by shots and draw."""
    stages = [(fit, fit.then) for fit in of if fit.source == "A" and fit.fold.startswith(f"{fold} then")]
    return {(then.shots, then.draw): fit for fit, then in stages if then and then.shots and then.domain == "B"}


def test_two_stage_goes_on_with_train_and_dev_of_the_fold_that_it_tests() -> None:
    table = even()
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    made_fits = fits(divided, ("two-stage",), table)
    assert [(fit.source, fit.fold) for fit in made_fits] == [
        (source, f"fold-{n} then {target} fold-{n}") for source, target in ("AB", "BA") for n in (1, 2, 3)
    ]
    for number, fit in enumerate(made_fits[:3]):
        first, second = divided["A"][number], divided["B"][number]
        assert fit.train is first.train and fit.dev is first.dev
        assert fit.then is not None and fit.then.domain == "B" and fit.then.shots is None
        assert fit.then.train is second.train and fit.then.dev is second.dev
        assert [(test.regime, test.domain, test.rows is second.test) for test in fit.tests] == [
            ("two-stage", "B", True)
        ]


def test_few_shot_goes_on_with_so_many_of_each_label_of_train_and_selects_on_none() -> None:
    table = even()
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    found = few(fits(divided, ("few-shot",), table, target="emotion", shots=(1, 4), draws=2))
    assert {key: fit.fold for key, fit in found.items()} == {
        (k, d): f"fold-1 then {k} of B fold-1, draw {d}" for k in (1, 4) for d in (0, 1)
    }
    for (count, _), fit in found.items():
        assert fit.then is not None and not len(fit.then.dev)
        assert set(fit.then.train.tolist()) <= set(divided["B"][0].train.tolist())
        assert Counter(values(table, "emotion", fit.then.train)) == {"angry": count, "sad": count}
        assert [(test.regime, test.domain) for test in fit.tests] == [(f"few-shot({count})", "B")]
        assert fit.tests[0].rows is divided["B"][0].test


def test_domains_of_the_same_speakers_who_are_divided_together_have_two_stages() -> None:
    table = even("AB", speakers=6).with_columns(speaker=pl.col("speaker").str.slice(2))
    found = made(table, "zero-shot", "two-stage", "few-shot")
    assert not found.impossible
    assert len({(fit.source, id(fit.train), id(fit.dev)) for fit in found}) == 2 * 3


def test_the_first_training_is_the_one_of_zero_shot_to_the_array() -> None:
    table = even("ABC", speakers=9)
    all_fits = made(table, "zero-shot", "two-stage", "few-shot", draws=2, numbers=(1, 2))
    assert len({(fit.source, id(fit.train), id(fit.dev)) for fit in all_fits}) == 3 * 3
    assert len(single(all_fits)) == 3 * 3
    assert len(all_fits) == 3 * 3 + 3 * 2 * 3 * (1 + 2 * 2)
    shared = table.with_columns(speaker=pl.col("speaker").str.replace("[BC]/s0", "A/s0"))
    problems = {
        (fit.source, id(fit.train), id(fit.dev)): (fit.source, fit.train.tobytes(), fit.dev.tobytes())
        for fit in made(shared, "zero-shot", "two-stage", "few-shot")
    }
    assert len(set(problems.values())) == len(problems)  # equal rows are one array


def test_speakers_who_are_tested_or_select_in_the_second_stage_are_barred_from_the_first() -> None:
    one = Fold("x", np.array([0, 1, 2, 3]), np.array([4, 5, 6]), np.array([7]))
    two = Fold("y", np.array([8]), np.array([9, 10]), np.array([11, 12]))
    people = [
        "test",
        "dev",
        "train",
        "q",
        "test two",
        "dev two",
        "r",
        "s",
        "train",
        "dev",
        "dev two",
        "test",
        "test two",
    ]
    table = pl.DataFrame({"utterance": [f"u{n}" for n in range(13)], "speaker": people, "emotion": ["x"] * 13})
    found = fits({"A": [one], "B": [two]}, ("two-stage", "few-shot"), table, target="emotion", shots=(1,))
    by_regime = {fit.tests[0].regime: fit for fit in found if fit.source == "A"}
    assert by_regime["two-stage"].train.tolist() == [2, 3]
    assert by_regime["few-shot(1)"].train.tolist() == [1, 2, 3]
    assert [fit.dev.tolist() for fit in by_regime.values()] == [[5, 6], [5, 6]]  # who selects twice gives nothing away
    assert by_regime["two-stage"].fold == "x without the speakers of B y then B y"
    assert by_regime["few-shot(1)"].fold == "x without the speakers of B y then 1 of B y, draw 0"


counted = st.dictionaries(st.sampled_from(["angry", "happy", "sad"]), st.integers(1, 6), min_size=1)


@settings(max_examples=25, deadline=None)
@given(speakers=st.lists(counted, min_size=4, max_size=8), seed=st.integers(0, 3), order=st.integers(0, 99))
def test_draws_are_nested_spread_over_speakers_and_of_names_alone(
    speakers: list[dict[str, int]], seed: int, order: int
) -> None:
    table = corpus({d: {f"s{n}": labels for n, labels in enumerate(speakers)} for d in "AB"})
    numbers = (1, 2, 3, 5)
    found = made(table, "few-shot", seed=seed, draws=2, numbers=numbers)
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    for fold in divided["B"]:
        of_fold = few(found, fold=fold.name)
        for (count, draw), fit in of_fold.items():
            assert fit.then is not None
            drawn = fit.then.train
            pool = table[fold.train.tolist()]
            for label in pool["emotion"].unique():
                mine = [row for row in drawn.tolist() if table["emotion"][row] == label]
                assert len(mine) == count
                per_speaker = Counter(table["speaker"][row] for row in mine)
                there = Counter(pool.filter(emotion=label)["speaker"])
                fewest = min(per_speaker[speaker] - (per_speaker[speaker] == n) * 99 for speaker, n in there.items())
                assert fewest < 0 or max(per_speaker.values()) - fewest <= 1
                assert len(per_speaker) == min(count, len(there))
            for more in numbers:
                if more > count and (more, draw) in of_fold:
                    then = of_fold[more, draw].then
                    assert then is not None and set(drawn.tolist()) <= set(then.train.tolist())
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=order)
    again = made(shuffled, "few-shot", seed=seed, draws=2, numbers=numbers)
    told = [(fit.fold, fit.then and values(table, "utterance", fit.then.train)) for fit in found]
    assert told == [(fit.fold, fit.then and values(shuffled, "utterance", fit.then.train)) for fit in again]


def test_draws_and_seeds_differ_and_the_same_seed_does_not() -> None:
    table = even(speakers=12)
    draws = [
        tuple(few(made(table, "few-shot", seed=seed, draws=5))[1, draw].heard[2].tolist())
        for seed in (0, 1)
        for draw in range(5)
    ]
    assert len(set(draws)) >= 8  # of 64 to choose from
    again = few(made(table, "few-shot", seed=0, draws=2))  # fewer draws are the first of more
    assert [tuple(again[1, draw].heard[2].tolist()) for draw in (0, 1)] == draws[:2]


def test_another_domain_changes_no_draw() -> None:
    small, large = even("AB", 6), even("ABC", 6)
    told = [
        {key: values(table, "utterance", fit.heard[2]) for key, fit in few(made(table, "few-shot", draws=3)).items()}
        for table in (small, large)
    ]
    assert all(told[1][key] == names for key, names in told[0].items())


def test_an_equal_draw_under_another_seed_is_another_fit() -> None:
    table = even(speakers=3, each=2)
    found = few(made(table, "few-shot", draws=2, numbers=(2,)))
    (one, other) = (found[2, draw] for draw in (0, 1))
    assert one.heard[2] is other.heard[2] and one.fold != other.fold


def test_a_number_that_a_label_does_not_have_in_every_fold_is_left_out_for_that_target() -> None:
    sizes = {d: {f"s{n}": {"angry": 4, "sad": 4} for n in range(6)} for d in "AB"}
    sizes["B"] = {name: {"angry": 4, "sad": 1} for name in sizes["B"]}
    table = corpus(sizes)
    found = made(table, "zero-shot", "few-shot", numbers=(2, 8))
    regimes = {(fit.source, test.regime) for fit in found for test in fit.tests}
    assert regimes == {
        ("A", "zero-shot"),
        ("B", "zero-shot"),
        ("A", "few-shot(2)"),
        ("B", "few-shot(2)"),
        ("B", "few-shot(8)"),
    }
    (lost,) = found.scarce
    assert (lost.target, lost.shots, lost.label) == ("B", (8,), "sad")
    assert len(lost.rows) < 8 and set(values(table, "emotion", lost.rows)) == {"sad"}
    assert single(found).scarce == found.scarce and {fit.then for fit in single(found)} == {None}


def test_more_shots_than_there_are_anywhere_say_what_to_do() -> None:
    table = even(each=1)
    with pytest.raises(
        InvalidInput, match=r"shots: no domain has so many.*What to do: shots = \[3\] or fewer"
    ) as caught:
        made(table, "within", "few-shot", numbers=(20, 10))
    assert [str(problem) for problem in caught.value.problems] == [
        f"domain '{name}': 3 train utterances of angry in fold-1, of 10 or more" for name in "AB"
    ]


def test_numbers_are_drawn_from_each_fifth_of_train() -> None:
    table = even(speakers=9).with_columns(emotion=pl.Series(np.random.default_rng(0).normal(size=144)))
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    fit = few(fits(divided, ("few-shot",), table, target="emotion", shots=(2,)))[2, 0]
    train = table["emotion"].gather(divided["B"][0].train.tolist()).to_numpy()
    drawn = table["emotion"].gather(fit.heard[2].tolist()).to_numpy()
    edges = np.quantile(train, [0.2, 0.4, 0.6, 0.8])
    assert np.bincount(np.searchsorted(edges, drawn)).tolist() == [2] * 5


def test_only_domains_that_train_have_a_second_training() -> None:
    table = even("ABC")
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3, test_only=("C",)), 0)
    found = fits(divided, ("zero-shot", "two-stage", "few-shot"), table, target="emotion", shots=(1,))
    assert {test.regime for fit in found for test in fit.tests if test.domain == "C"} == {"zero-shot"}
    others = folds(table, "corpus", "emotion", SplitSettings(scheme="leave-one-domain-out"), 0)
    with pytest.raises(InvalidInput, match="serve none of the regimes two-stage, few-shot: leave-one-domain-out"):
        fits(others, ("two-stage", "few-shot"), table, target="emotion", shots=(1,))
    with pytest.raises(InvalidInput, match="all regimes but within need two domains"):
        made(even("A"), "two-stage")


def test_a_pair_of_the_same_speakers_is_impossible_for_a_second_training_too() -> None:
    def fold(name: str, *rows: int) -> Fold:
        return Fold(name, *(np.array([row]) for row in rows))

    table = pl.DataFrame(
        {
            "utterance": [f"u{n}" for n in range(7)],
            "speaker": ["p", "q", "r", "s", "t", "u", "p"],
            "emotion": ["x"] * 7,
        }
    )
    divided = {"A": [fold("x", 0, 1, 2)], "B": [fold("x", 4, 5, 6)]}
    found = fits(divided, ("two-stage", "few-shot"), table, target="emotion", shots=(1,))
    assert {fit.source for fit in found} == {"B"}
    assert [(lost.source, lost.target, lost.regime) for lost in found.impossible] == [
        ("A", "B", "two-stage"),
        ("A", "B", "few-shot"),
    ]
    assert single(found).impossible == found.impossible
