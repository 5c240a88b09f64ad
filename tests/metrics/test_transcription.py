import random

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth import texts
from sibboleth.metrics import transcription
from sibboleth.metrics.transcription import CER, DELETIONS, INSERTIONS, SUBSTITUTIONS, WER, Answers

PAIRS = [
    ("the quick brown fox", "the quick brown fox"),
    ("a dog ran away", "dog ran a way"),
    ("hello world", "hello whirled and more"),
    ("één twee drie", "een twee"),
]
words = st.lists(st.sampled_from(["ja", "nee", "zo'n", "huis", "huizen"]), max_size=6).map(" ".join)


def test_equals_jiwer_over_the_whole_corpus() -> None:
    reference, hypothesis = map(list, zip(*PAIRS, strict=True))
    answers = Answers(reference, hypothesis)
    assert WER(answers) == pytest.approx(jiwer.wer(reference, hypothesis))
    assert CER(answers) == pytest.approx(jiwer.cer(reference, hypothesis))
    measured = jiwer.process_words(reference, hypothesis)
    assert transcription.word_counts(answers).sum(axis=0).tolist() == [
        measured.hits,
        measured.substitutions,
        measured.deletions,
        measured.insertions,
    ]


ALPHABET = ["a", "b", "é", "e\u0301", "ß", "ñ", "\u0915\u093f", "你", "🙂", "zo'n", "huis", "huizen"]


def test_ten_thousand_random_pairs_equal_jiwer_one_by_one() -> None:
    draw = random.Random(0)
    reference = [" ".join(draw.choices(ALPHABET, k=draw.randint(0, 9))) for _ in range(10_000)]
    hypothesis = [
        draw.choice([text, "", " ".join(draw.choices(ALPHABET, k=draw.randint(0, 9))), text.replace("huis", "a huis")])
        for text in reference
    ]
    answers = Answers(reference, hypothesis)
    for counts, measure in (
        (transcription.word_counts, jiwer.process_words),
        (transcription.character_counts, jiwer.process_characters),
    ):
        found = [measure(*pair) for pair in zip(reference, hypothesis, strict=True)]
        theirs = np.array([[one.hits, one.substitutions, one.deletions, one.insertions] for one in found])
        assert (counts(answers) == theirs).all()
        assert (theirs[:, :3].sum(axis=1) == 0).sum() > 500  # empty references
    assert WER(answers) == pytest.approx(
        transcription.word_counts(answers)[:, 1:].sum() / sum(map(len, map(str.split, reference)))
    )


def test_two_normal_forms_of_unicode_differ_unless_normalised() -> None:
    composed, decomposed = "caf\u00e9 noir", "cafe\u0301 noir"
    assert WER(Answers([composed], [decomposed])) == 1 / 2
    assert CER(Answers([composed], [decomposed])) == 2 / 9  # another letter, and a mark of its own
    assert WER(Answers(*(texts.normalise([text], "basic") for text in (composed, decomposed)))) == 0


def test_counts_are_pooled_and_rates_never_averaged() -> None:
    answers = Answers(["a", "b c d e f g h i j"], ["x", "b c d e f g h i j"])
    assert WER(answers) == pytest.approx(1 / 10)
    assert WER(answers) != pytest.approx((1 + 0) / 2)


def test_parts_of_the_error_rate() -> None:
    answers = Answers(["a b c d e f g h"], ["x b d e f g h i"])
    assert transcription.word_counts(answers).tolist() == [[6, 1, 1, 1]]
    rates = [metric(answers) for metric in (SUBSTITUTIONS, DELETIONS, INSERTIONS)]
    assert rates == [0.125, 0.125, 0.125]
    assert sum(rates) == WER(answers)


def test_empty_hypothesis_deletes_every_word() -> None:
    answers = Answers(["a b c"], [""])
    assert (WER(answers), DELETIONS(answers), CER(answers)) == (1, 1, 1)


def test_empty_reference_counts_insertions_only_where_it_is_pooled() -> None:
    alone = Answers([""], ["a b"])
    assert np.isnan(WER(alone))  # not 2, the number of insertions, and not 0
    assert WER(Answers(["", "c d e f"], ["a b", "c d e f"])) == pytest.approx(2 / 4)
    assert transcription.word_counts(Answers([""], [""])).tolist() == [[0, 0, 0, 0]]
    assert np.isnan(WER(Answers([], [])))


def test_rates_above_one_are_possible() -> None:
    assert WER(Answers(["a"], ["x y z"])) == 3


def test_runs_of_blanks_are_one_blank() -> None:
    answers = Answers([" een  twee\tdrie\n"], ["een twee drie"])
    assert (WER(answers), CER(answers)) == (0, 0)


def test_blanks_are_characters() -> None:
    assert CER(Answers(["ab cd"], ["abcd"])) == pytest.approx(1 / 5)


@settings(deadline=None, max_examples=40)
@given(pairs=st.lists(st.tuples(words, words), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_properties(pairs: list[tuple[str, str]], seed: int) -> None:
    answers = Answers([r for r, _ in pairs], [h for _, h in pairs])
    order = np.random.default_rng(seed).permutation(len(pairs))
    for counts in (transcription.word_counts, transcription.character_counts):
        rows = counts(answers)
        assert (counts(answers.take(order)) == rows[order]).all()
        assert (rows >= 0).all()
    rows = transcription.word_counts(answers)
    assert rows[:, :3].sum(axis=1).tolist() == [len(r.split()) for r, _ in pairs]
    assert (rows[:, 0] + rows[:, 1] + rows[:, 3]).tolist() == [len(h.split()) for _, h in pairs]
    if rows[:, :3].sum():
        assert WER(answers) == pytest.approx(WER(answers.take(np.tile(order, 2))))
        assert WER(answers) == pytest.approx(jiwer.wer(list(answers.reference), list(answers.hypothesis)))
