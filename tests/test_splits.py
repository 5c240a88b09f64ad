"""Folds and regimes: nobody who is tested has trained or selected, and everything is tested once."""

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sibboleth.errors import InvalidInput
from sibboleth.schemes import codes
from sibboleth.splits import (
    OTHERS,
    REGIMES,
    USUAL,
    Fit,
    Fits,
    Fold,
    OwnScheme,
    SplitSettings,
    balanced,
    drawn,
    fits,
    folds,
)

LABELS = ("angry", "happy", "neutral", "sad")
OWN = get_args(OwnScheme)


def corpus_table(rows: list[tuple[str, str, str]], sessions: list[str | None] | None = None) -> pl.DataFrame:
    """Make a table from (domain, speaker, label)."""
    return pl.DataFrame(
        {
            "utterance": [f"{domain}/{number:04d}" for number, (domain, _, _) in enumerate(rows)],
            "audio": [f"/somewhere/{number:04d}.wav" for number in range(len(rows))],
            "speaker": [speaker for _, speaker, _ in rows],
            "session": pl.Series(sessions or [None] * len(rows), dtype=pl.String),
            "corpus": [domain for domain, _, _ in rows],
            "emotion": [label for _, _, label in rows],
        }
    )


def plain(speakers: dict[str, int], per_label: int = 3) -> pl.DataFrame:
    return corpus_table(
        [
            (domain, f"{domain}/s{number:02d}", label)
            for domain, count in speakers.items()
            for number in range(count)
            for label in LABELS
            for _ in range(per_label)
        ]
    )


@st.composite
def tables(draw: st.DrawFn, shared: bool = False) -> pl.DataFrame:
    """Two or three domains of unbalanced speakers; with `shared`, some speakers belong to several domains."""
    rows = []
    for domain in "ABC"[: draw(st.integers(2, 3))]:
        for number in range(draw(st.integers(4, 9))):
            bilingual = shared and number == 0
            speaker = "both" if bilingual else f"{domain}/s{number}"
            counts = draw(st.lists(st.integers(0, 4), min_size=4, max_size=4).filter(any))
            rows += [
                (domain, speaker, label) for label, count in zip(LABELS, counts, strict=True) for _ in range(count)
            ]
    return corpus_table(rows)


def ids(table: pl.DataFrame, rows: np.ndarray) -> list[str]:
    return table["utterance"].gather(rows.tolist()).to_list()


def speakers(table: pl.DataFrame, rows: np.ndarray) -> set[str]:
    return set(table["speaker"].gather(rows.tolist()))


def named(table: pl.DataFrame, divided: dict[str, tuple[Fold, ...]]) -> dict[str, list[tuple[object, ...]]]:
    return {
        domain: [(f.name, ids(table, f.train), ids(table, f.dev), ids(table, f.test)) for f in made]
        for domain, made in divided.items()
    }


def staged(divided: dict[str, tuple[Fold, ...]], table: pl.DataFrame) -> Fits:
    return fits(divided, REGIMES, table, target="emotion", shots=(1, 2), draws=2)


def assert_sound(table: pl.DataFrame, made: tuple[Fit, ...], divided: dict[str, tuple[Fold, ...]]) -> None:
    """Check what holds for every fit of a speaker-disjoint scheme."""
    tested: Counter[tuple[str, str, str, int, int]] = Counter()
    for fit in made:
        train, dev = speakers(table, fit.train), speakers(table, fit.dev)
        assert len(fit.train) and len(fit.dev) and fit.tests
        assert not train & dev
        draw = 0
        if fit.then is not None:
            draw, selecting = fit.then.draw, speakers(table, fit.then.dev)
            train |= speakers(table, fit.then.train)
            assert not train & selecting
            dev |= selecting
        for test in fit.tests:
            assert not (train | dev) & speakers(table, test.rows)
            tested.update((fit.source, test.regime, test.domain, draw, row) for row in test.rows.tolist())
    assert set(tested.values()) <= {1}
    for domain, of_domain in divided.items():
        rows = {row for fold in of_domain for row in fold.test.tolist()}
        assert rows == set(np.flatnonzero(table["corpus"] == domain).tolist())
        for source, regime in {(f.source, t.regime) for f in made for t in f.tests if t.domain == domain}:
            draws = 2 if regime.startswith("few-shot") else 1
            for draw in range(draws):
                assert {key[4] for key in tested if key[:4] == (source, regime, domain, draw)} == rows
    assert len({(f.source, f.fold) for f in made}) == len(made)
    problems = {(f.source, f.then and (f.then.shots, f.then.draw), *(rows.tobytes() for rows in f.heard)) for f in made}
    assert len(problems) == len(made)


@pytest.mark.parametrize("scheme", ["speaker-folds", "leave-one-speaker-out"])
@settings(max_examples=15, deadline=None)
@given(table=st.one_of(tables(), tables(shared=True)), seed=st.integers(0, 3))
def test_no_speaker_in_two_parts_and_every_row_tested_once(scheme: str, table: pl.DataFrame, seed: int) -> None:
    divided = folds(table, "corpus", "emotion", SplitSettings(scheme=scheme, folds=3), seed)
    for of_domain in divided.values():
        for fold in of_domain:
            parts = [speakers(table, rows) for rows in (fold.train, fold.dev, fold.test)]
            assert all(parts) and sum(map(len, parts)) == len(set.union(*parts))
    made = staged(divided, table)
    assert_sound(table, made, divided)
    both = {fold.name for of in divided.values() for fold in of if "both" in speakers(table, fold.test)}
    assert len(both) <= 1


@settings(max_examples=10, deadline=None)
@given(table=tables(shared=True), seed=st.integers(0, 9), scheme=st.sampled_from(["speaker-folds", "random-folds"]))
def test_neither_row_order_nor_names_change_anything(table: pl.DataFrame, seed: int, scheme: str) -> None:
    split = SplitSettings(scheme=scheme, folds=3)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=seed)
    renamed = table.with_columns(utterance="x" + pl.col("utterance"), speaker="y" + pl.col("speaker"))
    try:
        divided = folds(table, "corpus", "emotion", split, 0)
        made = staged(divided, table)
    except InvalidInput:
        return
    assert named(shuffled, folds(shuffled, "corpus", "emotion", split, 0)) == named(table, divided)
    for old, new in zip(divided.values(), folds(renamed, "corpus", "emotion", split, 0).values(), strict=True):
        assert [f.test.tolist() for f in old] == [f.test.tolist() for f in new]
        assert [f.dev.tolist() for f in old] == [f.dev.tolist() for f in new]
    told = [(f.source, f.fold, *(ids(table, rows) for rows in f.heard)) for f in made]
    again = staged(folds(shuffled, "corpus", "emotion", split, 0), shuffled)
    assert told == [(f.source, f.fold, *(ids(shuffled, rows) for rows in f.heard)) for f in again]


def test_random_folds_are_stratified_and_test_everything_once() -> None:
    table = corpus_table(
        [("A", "one", label) for label, n in zip(LABELS, (50, 20, 10, 5), strict=True) for _ in range(n)]
    )
    made = folds(table, "corpus", "emotion", SplitSettings(scheme="random-folds"), 0)["A"]
    for fold in made:
        counts = Counter(table["emotion"].gather(fold.test.tolist()))
        assert [counts[label] for label in LABELS] == [10, 4, 2, 1]
        assert set(table["emotion"].gather(fold.dev.tolist())) == set(LABELS)
        assert not {*fold.train} & {*fold.dev}
        assert len(fold.dev) == pytest.approx(0.2 * 68, abs=1)
    assert sorted(np.concatenate([f.test for f in made]).tolist()) == list(range(85))


def test_folds_of_an_unbalanced_corpus_are_stratified_better_than_by_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    random = np.random.default_rng(1)
    rows = []
    for number in range(30):
        share, size = random.dirichlet([2, 1, 0.5, 0.3]), random.integers(5, 80)
        rows += [("A", f"s{number:02d}", label) for label in random.choice(LABELS, size=size, p=share)]
    table = corpus_table(rows)
    whole = np.array([(table["emotion"] == label).sum() for label in LABELS])

    def worst(tests: list[np.ndarray]) -> float:
        shares = [[(table["emotion"].gather(t.tolist()) == label).sum() for label in LABELS] / whole for t in tests]
        return float(np.abs(np.array(shares) - 0.2).max())

    ours = folds(table, "corpus", "emotion", SplitSettings(), 0)["A"]
    theirs = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(table, table["emotion"], table["speaker"])
    assert worst([fold.test for fold in ours]) < 0.03
    assert worst([fold.test for fold in ours]) < worst([test for _, test in theirs])
    for fold in ours:
        assert len(fold.dev) / (len(fold.dev) + len(fold.train)) == pytest.approx(0.2, abs=0.03)
        assert set(table["emotion"].gather(fold.dev.tolist())) == set(LABELS)


def test_the_seed_matters_and_is_all_that_matters() -> None:
    table = plain({"A": 10})
    made = [named(table, folds(table, "corpus", "emotion", SplitSettings(), seed)) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]


def test_another_corpus_without_common_speakers_changes_no_fold() -> None:
    alone, both = plain({"A": 9}), plain({"A": 9, "B": 7})
    one = named(alone, folds(alone, "corpus", "emotion", SplitSettings(), 0))["A"]
    assert named(both, folds(both, "corpus", "emotion", SplitSettings(), 0))["A"] == one


def test_partners_of_a_dialogue_stay_in_one_fold() -> None:
    rows = [("A", f"s{n}", label) for n in range(10) for label in LABELS for _ in range(2)]
    table = corpus_table(rows, sessions=[f"Ses{int(speaker[1:]) // 2}" for _, speaker, _ in rows])
    for fold in folds(table, "corpus", "emotion", SplitSettings(), 0)["A"]:
        parts = [set(table["session"].gather(part.tolist())) for part in (fold.train, fold.dev, fold.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 5
    by_session = folds(table, "corpus", "emotion", SplitSettings(scheme="leave-one-session-out"), 0)["A"]
    assert [fold.name for fold in by_session] == [f"Ses{n}" for n in range(5)]
    assert all(len(speakers(table, fold.test)) == 2 for fold in by_session)


def test_a_session_that_everybody_shares_does_not_stop_folds_of_speakers() -> None:
    table = plain({"A": 6}).with_columns(session=pl.lit("monday"))
    assert len(folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)["A"]) == 3


def test_leave_one_domain_out_trains_on_the_others() -> None:
    table = plain({"A": 3, "B": 4, "C": 5})
    divided = folds(table, "corpus", "emotion", SplitSettings(scheme="leave-one-domain-out"), 0)
    made = fits(divided, USUAL, table)
    assert_sound(table, made, divided)
    assert {fit.source for fit in made} == {OTHERS}
    assert [(t.regime, t.domain) for fit in made for t in fit.tests] == [("zero-shot", d) for d in "ABC"]
    for fit, own in zip(made, "ABC", strict=True):
        assert set(table["corpus"].gather(fit.train.tolist())) == set("ABC") - {own}
        assert len(fit.dev) / (len(fit.dev) + len(fit.train)) == pytest.approx(0.2, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(
    speakers_of=st.lists(
        st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(any), min_size=1, max_size=3),
        min_size=2,
        max_size=4,
    ),
    dev=st.sampled_from([0.05, 0.2, 0.7]),
    seed=st.integers(0, 3),
)
def test_leave_one_domain_out_has_dev_and_train_with_the_fewest_speakers(
    speakers_of: list[list[list[int]]], dev: float, seed: int
) -> None:
    table = corpus_table(
        [
            (domain, f"{domain}{number}", label)
            for domain, several in zip("ABCD", speakers_of, strict=False)
            for number, counts in enumerate(several)
            for label, count in zip(LABELS, counts, strict=True)
            for _ in range(count)
        ]
    )
    total = sum(map(len, speakers_of))
    split = SplitSettings(scheme="leave-one-domain-out", dev=dev)
    if any(total - len(several) < 2 for several in speakers_of):
        with pytest.raises(InvalidInput, match="fewer than 2 speakers.*Add speakers or domains"):
            folds(table, "corpus", "emotion", split, seed)
        return
    divided = folds(table, "corpus", "emotion", split, seed)
    assert_sound(table, fits(divided, ("zero-shot",), table), divided)


def test_within_and_zero_shot_share_a_fit_and_are_tested_on_the_same_rows() -> None:
    table = plain({"A": 10, "B": 9, "C": 8})
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    made = fits(divided, ("within", "zero-shot"), table)
    assert len(made) == 3 * 3
    for fit in made:
        assert sorted((t.regime, t.domain) for t in fit.tests) == sorted(
            ("within" if d == fit.source else "zero-shot", d) for d in "ABC"
        )
    assert len(fits(divided, USUAL, table)) == 9 + 6 * 3


def test_sources_with_fewer_folds_test_each_target_once() -> None:
    table = plain({"A": 10, "B": 4})
    divided = folds(table, "corpus", "emotion", SplitSettings(scheme="leave-one-speaker-out"), 0)
    made = fits(divided, USUAL, table)
    assert_sound(table, made, divided)
    assert sum(fit.source == "B" and "selected" not in fit.fold for fit in made) == 4


def test_tested_speakers_are_taken_out_of_another_domains_training() -> None:
    one = Fold("x", np.array([0, 1, 2]), np.array([3]), np.array([4]))
    two = Fold("y", np.array([6]), np.array([7]), np.array([5]))
    table = pl.DataFrame({"speaker": ["p", "q", "r", "s", "t", "p", "u", "q"]})
    made = {fit.tests[0].regime: fit for fit in fits({"A": [one], "B": [two]}, USUAL[1:], table) if fit.source == "A"}
    assert made["zero-shot"].train.tolist() == [1, 2]
    assert made["zero-shot"].dev.tolist() == [3]
    assert made["target-selected"].train.tolist() == [2]
    assert made["target-selected"].dev.tolist() == [7]


def shared_domain() -> pl.DataFrame:
    """A and B have the same speakers, C has others."""
    table = plain({"A": 6, "B": 6, "C": 6})
    return table.with_columns(speaker=pl.col("speaker").str.replace("^B", "A"))


def test_an_impossible_pair_is_left_out_and_told_and_the_others_go_on() -> None:
    table = shared_domain()
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3, test_only=("B",)), 0)
    made = fits(divided, USUAL[:2], table)
    pairs = {(fit.source, test.regime, test.domain) for fit in made for test in fit.tests}
    across = {("C", "A"), ("A", "C"), ("C", "B")}
    assert pairs == {(d, "within", d) for d in "AC"} | {(s, "zero-shot", t) for s, t in across}
    (lost,) = made.impossible
    assert (lost.source, lost.target, lost.regime, lost.folds) == ("A", "B", "zero-shot", ("all",))
    assert {row[:1] for row in ids(table, lost.rows)} == {"A"}
    assert_sound(table, made, divided)
    together = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    assert fits(together, USUAL, table).impossible == ()


def test_one_impossible_fold_takes_the_whole_pair_out_of_the_regime() -> None:
    def fold(name: str, *rows: int) -> Fold:
        return Fold(name, *(np.array([row]) for row in rows))

    table = pl.DataFrame({"speaker": ["p", "q", "r", "s", "t", "u", "p"]})
    divided = {"A": [fold("x", 0, 1, 2), fold("y", 2, 1, 3)], "B": [fold("x", 4, 5, 6), fold("y", 6, 5, 4)]}
    made = fits(divided, ("zero-shot",), table)
    assert {(fit.source, fit.fold) for fit in made} == {("B", "x"), ("B", "y")}
    (lost,) = made.impossible
    assert (lost.source, lost.target, lost.folds, lost.rows.tolist()) == ("A", "B", ("x",), [0])


def test_a_regime_of_which_nothing_is_left_is_refused_with_what_to_do() -> None:
    table = shared_domain().filter(pl.col("corpus") != "C")
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3, test_only=("B",)), 0)
    with pytest.raises(InvalidInput, match=r"nothing is left of the regime zero-shot.*speaker-folds") as caught:
        fits(divided, USUAL[:2], table)
    assert [problem.file for problem in caught.value.problems] == ["A to B"]
    assert not fits(divided, ("within",), table).impossible


@pytest.mark.parametrize(
    ("count", "split", "told"),
    [
        (1, SplitSettings(), r"domain 'small': has 1 speaker\. .*test_only = \[\"small\"\]"),
        (
            2,
            SplitSettings(scheme="leave-one-speaker-out"),
            "has 2 speakers.*lists that train on one speaker and test the other.*random-folds",
        ),
        (4, SplitSettings(), "has 4 speakers.*splits.folds = 4 or splits.scheme = .leave-one-speaker-out"),
        (3, SplitSettings(folds=2), "has 3 speakers"),
    ],
)
def test_too_few_speakers_say_what_to_do(count: int, split: SplitSettings, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        folds(plain({"large": 10, "small": count}), "corpus", "emotion", split, 0)


def test_lists_set_two_speakers_apart(tmp_path: Path) -> None:
    table = plain({"pair": 2})
    first, second = table["speaker"].unique().sort()
    rows = [
        f"{utterance},{'test' if speaker == tested else 'train'},{tested}\n"
        for tested in (first, second)
        for utterance, speaker in table.select("utterance", "speaker").iter_rows()
    ]
    (tmp_path / "lists.csv").write_text("utterance,part,fold\n" + "".join(rows))
    split = SplitSettings(scheme="file", file=tmp_path / "lists.csv", dev_unit="utterance")
    for fold in folds(table, "corpus", "emotion", split, 0)["pair"]:
        heard = set(table["speaker"].gather([*fold.train, *fold.dev]))
        assert len(fold.dev) and heard.isdisjoint(table["speaker"].gather(fold.test)) and len(heard) == 1


def test_what_the_errors_advise_works() -> None:
    table = plain({"large": 10, "three": 3, "four": 4, "one": 1})
    for split in (
        SplitSettings(folds=3, test_only=("one",)),
        SplitSettings(scheme="leave-one-speaker-out", test_only=("one",)),
    ):
        divided = folds(table, "corpus", "emotion", split, 0)
        made = fits(divided, USUAL, table)
        assert_sound(table, made, divided)
        assert "one" not in {fit.source for fit in made}
        assert {t.regime for fit in made for t in fit.tests if t.domain == "one"} == {"zero-shot"}
    assert len(folds(plain({"A": 4}), "corpus", "emotion", SplitSettings(folds=2), 0)["A"]) == 2
    mixed = SplitSettings(scheme="random-folds")
    assert len(folds(plain({"one": 1}), "corpus", "emotion", mixed, 0)["one"]) == 5
    with pytest.raises(InvalidInput, match="test_only names zwei; the domains are four, large"):
        folds(table, "corpus", "emotion", SplitSettings(test_only=("zwei",)), 0)
    with pytest.raises(InvalidInput, match="serve none of the regimes within"):
        alone = plain({"A": 5})
        fits(folds(alone, "corpus", "emotion", SplitSettings(test_only=("A",)), 0), ("within",), alone)


def test_unknown_speakers_are_an_error_with_numbers() -> None:
    table = plain({"A": 5}).with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("speaker").alias("speaker")
    )
    with pytest.raises(InvalidInput, match="domain 'A': .*3 of 60 utterances have no speaker"):
        folds(table, "corpus", "emotion", SplitSettings(), 0)


def test_numbers_are_stratified_by_quantile() -> None:
    random = np.random.default_rng(0)
    table = plain({"A": 20}).with_columns(emotion=pl.Series(random.normal(size=240)))
    means = [
        table["emotion"].gather(fold.test.tolist()).mean()
        for fold in folds(table, "corpus", "emotion", SplitSettings(), 0)["A"]
    ]
    assert np.ptp(means) < 0.25


def test_balanced_draws_the_rarest_number_of_every_label() -> None:
    rows = [
        (d, f"{d}{n % 7}", label)
        for d, sizes in (("A", (9, 4, 30)), ("B", (2, 8, 5)))
        for label, size in zip("xyz", sizes, strict=True)
        for n in range(size)
    ]
    table = corpus_table(rows)
    drawn = balanced(table, "emotion", ["corpus"], 0)
    assert dict(drawn.group_by("corpus", "emotion").len().sort("corpus").select("corpus", "len").rows()) == {
        "A": 4,
        "B": 2,
    }
    assert drawn["utterance"].to_list() == sorted(drawn["utterance"])
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    assert set(balanced(shuffled, "emotion", ["corpus"], 0)["utterance"]) == set(drawn["utterance"])
    assert set(balanced(table, "emotion", ["corpus"], 1)["utterance"]) != set(drawn["utterance"])
    with pytest.raises(InvalidInput, match="no column region"):
        balanced(table, "emotion", ["region"], 0)
    with pytest.raises(InvalidInput, match="has no labels to balance"):
        balanced(table.with_columns(emotion=pl.lit(1.0)), "emotion", ["corpus"], 0)


def test_so_many_of_each_label_come_from_all_speakers_alike() -> None:
    sizes = {"s0": 30, "s1": 3, "s2": 9, "s3": 9}
    rows = [("A", f"A{name}", label) for label in LABELS for name, size in sizes.items() for _ in range(size)]
    table = corpus_table(rows + [("B", "Bs0", label) for label in LABELS for _ in range(4)])

    def by(table: pl.DataFrame, *columns: str) -> dict[object, int]:
        counted = table.group_by(columns).len().rows()
        return {row[0] if len(row) == 2 else row[:-1]: row[-1] for row in counted}

    made = drawn(table, "emotion", "corpus", SplitSettings(per_label=20), 0)
    assert by(made, "corpus", "emotion") == {(d, label): n for d, n in (("A", 20), ("B", 4)) for label in LABELS}
    of_speakers = by(made.filter(corpus="A"), "speaker", "emotion")
    assert all(n == 3 if speaker == "As1" else n in (5, 6) for (speaker, _), n in of_speakers.items())
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    assert set(drawn(shuffled, "emotion", "corpus", SplitSettings(per_label=20), 0)["utterance"]) == set(
        made["utterance"]
    )
    fewer = drawn(table, "emotion", "corpus", SplitSettings(per_label=9), 0)
    assert set(fewer["utterance"]) < set(made["utterance"])
    assert set(drawn(table, "emotion", "corpus", SplitSettings(per_label=20), 1)["utterance"]) != set(made["utterance"])
    assert drawn(table, "emotion", "corpus", SplitSettings(), 0).equals(table)
    with pytest.raises(InvalidInput, match="per_label: the target 'emotion' is a number"):
        drawn(table.with_columns(emotion=pl.lit(1.0)), "emotion", "corpus", SplitSettings(per_label=2), 0)


def test_partners_of_a_dialogue_are_drawn_as_one() -> None:
    sizes = {"s0": 20, "s1": 1, "s2": 6, "s3": 8}
    rows = [("A", f"A{name}", label) for label in LABELS for name, size in sizes.items() for _ in range(size)]
    sessions = ["x" if speaker in ("As0", "As1") else "y" for _, speaker, _ in rows]
    made = drawn(corpus_table(rows, sessions), "emotion", "corpus", SplitSettings(per_label=12), 0)
    assert set(made.group_by("session", "emotion").len()["len"]) == {6}
    assert dict(made.filter(emotion="sad").group_by("speaker").len().rows())["As1"] == 1


def test_a_scarce_label_brings_the_others_down_where_balance_is_asked_for() -> None:
    rows = [("A", f"s{n}", label) for label, size in (("x", 3), ("y", 9), ("z", 30)) for n in range(size)]
    table = corpus_table(rows)
    alone = drawn(table, "emotion", "corpus", SplitSettings(per_label=5), 0)
    both = drawn(table, "emotion", "corpus", SplitSettings(per_label=5, balance=("corpus",)), 0)
    assert dict(alone.group_by("emotion").len().rows()) == {"x": 3, "y": 5, "z": 5}
    assert dict(both.group_by("emotion").len().rows()) == {"x": 3, "y": 3, "z": 3}


def test_domains_can_have_schemes_of_their_own() -> None:
    table = plain({"A": 6, "B": 6, "C": 1}, per_label=6).with_columns(session=pl.col("speaker").str.slice(0, 3))
    split = SplitSettings(folds=3, schemes={"B": "leave-one-speaker-out", "C": "random-folds"})
    divided = folds(table, "corpus", "emotion", split, 0)
    assert {domain: len(made) for domain, made in divided.items()} == {"A": 3, "B": 6, "C": 3}
    for domain, scheme in (("A", "speaker-folds"), ("B", "leave-one-speaker-out"), ("C", "random-folds")):
        alone = table.filter(corpus=domain)
        same = folds(alone, "corpus", "emotion", SplitSettings(folds=3, scheme=scheme), 0)
        assert named(table, divided)[domain] == named(alone, same)[domain]
    made = fits(divided, USUAL, table)
    assert {(fit.source, test.domain) for fit in made for test in fit.tests} == {(s, t) for s in "ABC" for t in "ABC"}


def test_speakers_of_domains_with_other_schemes_are_still_kept_apart() -> None:
    table = plain({"A": 6, "B": 6}).with_columns(
        speaker=pl.when(pl.col("speaker").is_in(["A/s00", "B/s00"])).then(pl.lit("both")).otherwise("speaker")
    )
    split = SplitSettings(folds=3, schemes={"B": "leave-one-speaker-out"})
    divided = folds(table, "corpus", "emotion", split, 0)
    assert_sound(table, fits(divided, REGIMES, table, target="emotion", shots=(1,), draws=2), divided)


@settings(max_examples=25, deadline=None)
@given(table=tables(), seed=st.integers(0, 3), share=st.sampled_from([0.2, 0.5, 0.8]), scheme=st.sampled_from(OWN))
def test_dev_of_what_is_held_out(table: pl.DataFrame, seed: int, share: float, scheme: str) -> None:
    table = table.with_columns(session="speaker")
    split = SplitSettings(scheme=scheme, folds=3, dev=share)
    asked = split.model_copy(update={"dev_unit": "held-out"})
    try:
        before, after = (folds(table, "corpus", "emotion", one, seed) for one in (split, asked))
    except InvalidInput:
        return
    pairs = [pair for domain in before for pair in zip(before[domain], after[domain], strict=True)]
    for old, new in pairs:
        assert set(new.dev) | set(new.test) == set(old.test) and not set(new.dev) & set(new.test)
        assert set(new.train) == set(old.train) | set(old.dev)
        assert len(new.dev) and len(new.test)
        labels = table["emotion"].gather(old.test.tolist())
        for label in labels.unique():
            whole = labels.to_list().count(label)
            assert abs(table["emotion"].gather(new.dev.tolist()).to_list().count(label) - share * whole) <= 1
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=seed)
    assert named(shuffled, folds(shuffled, "corpus", "emotion", asked, seed)) == named(table, after)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scheme": "leave-one-domain-out", "schemes": {"A": "random-folds"}}, "divides all domains"),
        ({"scheme": "leave-one-domain-out", "dev_unit": "held-out"}, "does not go with"),
        ({"schemes": {"A": "random-folds"}, "test_only": ("A",)}, "A is only tested"),
        ({"schemes": {"A": "file"}}, "Input should be"),
        ({"per_label": 0}, "greater than or equal to 1"),
    ],
)
def test_splits_that_contradict_themselves_are_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SplitSettings(**given)


def test_a_scheme_for_no_domain_and_a_single_utterance_held_out_are_told() -> None:
    table = plain({"A": 4})
    with pytest.raises(InvalidInput, match=r"splits\.schemes names nemo; the domains are A"):
        folds(table, "corpus", "emotion", SplitSettings(schemes={"nemo": "random-folds"}), 0)
    single = corpus_table([("A", f"s{n}", "x") for n in range(4)])
    with pytest.raises(InvalidInput, match="s0 holds out a single utterance"):
        folds(single, "corpus", "emotion", SplitSettings(scheme="leave-one-speaker-out", dev_unit="held-out"), 0)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def listed(table: pl.DataFrame, file: Path, **more: object) -> dict[str, tuple[Fold, ...]]:
    return folds(table, "corpus", "emotion", SplitSettings(scheme="file", file=file), 0, **more)  # type: ignore[arg-type]


def test_fixed_lists_are_followed_to_the_letter(tmp_path: Path) -> None:
    table = corpus_table([("A", f"s{n}", "x") for n in range(6)])
    rows = ["A/0000,train,1", "0001,dev,1", "0002.wav,test,1", "0003,train,2", "0000,dev,2", "0001,TEST,2"]
    made = listed(table, write(tmp_path / "lists.csv", "utterance,part,fold\n" + "\n".join(rows) + "\n"))["A"]
    told = [(f.name, f.train.tolist(), f.dev.tolist(), f.test.tolist()) for f in made]
    assert told == [("1", [0], [1], [2]), ("2", [3], [0], [1])]


def test_every_problem_of_fixed_lists_is_told_with_its_row(tmp_path: Path) -> None:
    table = corpus_table([("A", "s", "x"), ("A", "t", "x"), ("B", "u", "x")]).with_columns(
        utterance=pl.Series(["A/0", "A/1", "B/1"]), audio=pl.lit("/nowhere/x.wav")
    )
    lines = [
        "utterance,part,fold",
        "0,train,1",
        "0,test,1",
        "1,dev,1",
        "nobody,dev,1",
        "A/1,test,1",
        "A/1,test,2",
        "gone,dev,2",
    ]
    with pytest.raises(InvalidInput) as caught:
        listed(table, write(tmp_path / "lists.csv", "\n".join(lines)), known=["A/gone"])
    told = {problem.row: problem.message for problem in caught.value.problems}
    assert told == {
        3: "'0' is in train and in test of 1",
        4: "'1' may be A/1 or B/1: write the whole id",
        5: "no utterance 'nobody' in the study's corpora",
        7: "'A/1' is tested in 1 and in 2; each utterance may be tested once",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("utterance,part\nA/0000,train\nA/0001,test\n", "trains but has no dev rows"),
        ("utterance,part\n", "are empty"),
        ("utterance,part\nA/0000,training camp\n", "2:.*part.* must be one of"),
        ("name,part\nA/0000,train\n", "no column names the utterance"),
        ("utterance\nA/0000\n", "no column says train, dev or test"),
    ],
)
def test_fixed_lists_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        listed(corpus_table([("A", "s", "x")] * 3), write(tmp_path / "lists.csv", text))


def test_a_domain_in_no_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no utterance of the domain 'B' is in the lists"):
        listed(
            corpus_table([("A", "s", "x"), ("B", "s", "x")]), write(tmp_path / "l.csv", "utterance,part\nA/0000,test\n")
        )


def test_the_settings_name_a_file_exactly_for_fixed_lists(tmp_path: Path) -> None:
    for wrong in ({"scheme": "file"}, {"file": "lists.csv"}):
        with pytest.raises(ValidationError, match="go together"):
            SplitSettings.model_validate(wrong)
    inside = SplitSettings.model_validate({"scheme": "file", "file": "lists.csv"}, context={"folder": tmp_path})
    assert inside.file == tmp_path / "lists.csv"


def test_fits_over_many_pairs_share_the_rows_that_are_the_same() -> None:
    table = plain({name: 6 for name in "ABCDE"})
    divided = folds(table, "corpus", "emotion", SplitSettings(folds=3), 0)
    made = fits(divided, USUAL, table)
    arrays = {id(rows) for fit in made for rows in (fit.train, fit.dev, *(test.rows for test in fit.tests))}
    assert len(made) == 5 * 3 + 5 * 4 * 3
    assert len(arrays) == 3 * 3 * 5


@pytest.mark.parametrize("scheme", ["leave-one-speaker-out", "leave-one-session-out"])
def test_leaving_out_one_of_very_many_is_refused_with_what_to_do(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = plain({"A": 30, "B": 10}).with_columns(session=pl.col("speaker"))
    split = SplitSettings.model_validate({"scheme": scheme})
    monkeypatch.setattr("sibboleth.schemes.MOST", 30 * 30 * 12 + 10 * 10 * 12)
    assert len(folds(table, "corpus", "emotion", split, 0)["A"]) == 30
    monkeypatch.setattr("sibboleth.schemes.MOST", 30 * 30 * 12 + 10 * 10 * 12 - 1)
    with pytest.raises(InvalidInput, match=r"makes 40 folds.*480 utterances.*What to do: .*speaker-folds"):
        folds(table, "corpus", "emotion", split, 0)


def test_numbers_of_values_are_sorted_and_every_unknown_is_its_own() -> None:
    for values in (["b", None, "a", None, "b"], ["b", None, "a", None, "b"] * 4, [2.5, None, -1.0, None, 2.5]):
        column = pl.Series(values)
        known = {value: place for place, value in enumerate(sorted({one for one in values if one is not None}))}
        told = [known.get(value, -1) for value in values]
        assert codes(column, unknown=-1).tolist() == told
        own = codes(column).tolist()
        assert [one for one, value in zip(own, values, strict=True) if value is not None] == [t for t in told if t >= 0]
        nulls = [one for one, value in zip(own, values, strict=True) if value is None]
        assert nulls == list(range(2, 2 + len(nulls)))
