"""Alignments and segments: against jiwer's counts, NIST's sclite, and cases worked by hand."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import nist

from sibboleth.metrics import transcription
from sibboleth.metrics.edits import DELETION, INSERTION, SUBSTITUTION, Edit, sclite_edits, segments, word_edits
from sibboleth.metrics.transcription import Answers
from sibboleth.stats import matched_pairs

COSTS = {"equal": 0, "substitute": SUBSTITUTION, "delete": DELETION, "insert": INSERTION}
LETTERS = {"equal": "C", "substitute": "S", "delete": "D", "insert": "I"}
texts = st.lists(st.sampled_from(["ja", "nee", "één", "huis", "huizen"]), max_size=7)

REFERENCE = """de kat zit op de mat en slaapt
ik ga morgen naar de markt om brood te kopen
het regent al de hele dag in gent
hij heeft één huis en twee tuinen

wat zeg je nu weer
wij gaan straks met de trein naar zee
de bakker op de hoek verkoopt ook taart
ja
nee dat weet ik echt niet meer"""
A = """de kat zat op de mat en slaapt
ik ga morgen naar markt om brood te kopen
het regent al de hele dag in gent
hij heeft een huis en twee tuin
euh
wat zeg je
wij gaan straks de trein naar de zee
de bakker op de hoek verkoopt ook taart
ja ja
nee dat weet ik echt niet meer"""
B = """de kat zit op mat slaapt
ik ga naar de mark om een brood kopen
het regende hele dag in gent nu
hij heeft één huis en twee tuinen

wat zegt je nu meer
wij gaan met trein naar zee
de bakker op de hoek koopt ook kaart

nee dat weet ik niet"""
REPORTED = {"segments": 13, "mean": -0.692, "deviation": 1.494, "z": -1.671}


def spoken(text: str) -> list[list[str]]:
    return [line.split() for line in text.split("\n")]


def random_texts(seed: int, count: int, vocabulary: int) -> tuple[nist.Texts, nist.Texts, nist.Texts]:
    """References of every length, and two recognisers that replace, drop and add words, now and then many."""
    draw = random.Random(seed)
    known = [f"é{k}" for k in range(vocabulary)]

    def recognised(text: list[str], errors: float) -> list[str]:
        found = []
        for word in text:
            chance = draw.random()
            if chance > 1.6 * errors:
                found.append(word)
            elif chance > 0.6 * errors:
                found.append(draw.choice(known))
            found += draw.choices(known, k=draw.choice([0, 0, 0, 0, 0, 0, 1, 2]))
        return found if draw.random() > 0.1 else []

    reference = [draw.choices(known, k=draw.choice([0, 1, 2, 5, 10, 25])) for _ in range(count)]
    return reference, [recognised(text, 0.1) for text in reference], [recognised(text, 0.15) for text in reference]


def paired(reference: nist.Texts, a: nist.Texts, b: nist.Texts) -> dict[str, float]:
    found = [
        pair
        for true, *said in zip(reference, a, b, strict=True)
        for pair in segments(*(sclite_edits(true, text) for text in said))
    ]
    return matched_pairs(np.array([x - y for x, y in found], dtype=np.int64))._asdict()


def test_words_are_aligned_as_they_are_counted() -> None:
    answers = Answers(["a b  c", "", "x y", ""], ["a x c d", "q r", "", ""])
    assert word_edits(answers) == [
        [Edit("equal", "a", "a"), Edit("substitute", "b", "x"), Edit("equal", "c", "c"), Edit("insert", "", "d")],
        [Edit("insert", "", "q"), Edit("insert", "", "r")],
        [Edit("delete", "x", ""), Edit("delete", "y", "")],
        [],
    ]
    assert word_edits(Answers([], [])) == []


@settings(deadline=None, max_examples=60)
@given(pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_both_alignments_spell_both_sides(pairs: list[tuple[list[str], list[str]]]) -> None:
    answers = Answers([" ".join(r) for r, _ in pairs], [" ".join(h) for _, h in pairs])
    counted = transcription.word_counts(answers)
    for (reference, hypothesis), fewest, counts in zip(pairs, word_edits(answers), counted, strict=True):
        cheapest = sclite_edits(reference, hypothesis)
        for edits in (fewest, cheapest):
            assert [edit.reference for edit in edits if edit.kind != "insert"] == reference
            assert [edit.hypothesis for edit in edits if edit.kind != "delete"] == hypothesis
            assert all((edit.kind == "equal") == (edit.reference == edit.hypothesis) for edit in edits)
        kinds = [edit.kind for edit in fewest]
        assert [kinds.count(kind) for kind in ("equal", "substitute", "delete", "insert")] == counts.tolist()
        costs = [sum(COSTS[edit.kind] for edit in edits) for edits in (cheapest, fewest)]
        assert costs[0] <= costs[1]
        assert sum(edit.kind != "equal" for edit in cheapest) >= counts[1:].sum()


def test_segments_end_where_both_have_two_adjacent_words_right() -> None:
    reference = list("abcdefgh")

    def between(a: str, b: str) -> list[tuple[int, int]]:
        return segments(sclite_edits(reference, list(a)), sclite_edits(reference, list(b)))

    assert between("abcdefgh", "abcdefgh") == []
    assert between("xbcdefgh", "abcdefgh") == [(1, 0)]
    assert between("abxdefgh", "abcdxfgh") == [(1, 1)]  # one right word between is not enough
    assert between("abxdefgh", "abcdexgh") == [(1, 0), (0, 1)]  # two are
    assert between("axcdqefgh", "abcdefgh") == [(1, 0), (1, 0)]
    assert between("axcqdefgh", "abcdefgh") == [(2, 0)]  # right words with something added between are not adjacent
    assert between("abcdefghq", "") == [(1, 8)]
    empty = sclite_edits([], ["q"])
    assert segments(empty, sclite_edits([], [])) == [(1, 0)]
    assert segments([], []) == []


def test_differences_that_do_not_vary_have_no_test() -> None:
    for same in ([], [2], [0, 0, 0], [1, 1]):
        found = matched_pairs(np.array(same, dtype=np.int64))
        assert np.isnan(found.z) and np.isnan(found.p)
        assert found.segments == len(same)
    found = matched_pairs(np.array([1, 0, 2, -1, 1]))
    assert (found.mean, found.deviation) == (pytest.approx(0.6), pytest.approx(np.std([1, 0, 2, -1, 1], ddof=1)))
    assert found.z == pytest.approx(0.6 / (found.deviation / np.sqrt(5)))
    mirrored = matched_pairs(np.array([-1, 0, -2, 1, -1]))
    assert (mirrored.z, mirrored.p) == (-found.z, found.p)


def test_mapsswe_is_what_sctk_reports() -> None:
    """Debian's sctk 2.4.10-20151007-1312Z+dfsg2-3.1: `sc_stats -p -t mapsswe -v` of these texts, to three decimals."""
    found = paired(spoken(REFERENCE), spoken(A), spoken(B))
    assert {name: round(found[name], 3) for name in REPORTED} == REPORTED


def test_mapsswe_equals_the_installed_sctk(tmp_path: Path) -> None:
    assert nist.matched_pairs(tmp_path, spoken(REFERENCE), spoken(A), spoken(B)) == pytest.approx(REPORTED)
    for seed, vocabulary in enumerate((5, 30, 2000)):
        reference, a, b = random_texts(seed, 300, vocabulary)
        reported = nist.matched_pairs(tmp_path, reference, a, b)
        ours = paired(reference, a, b)
        assert {name: ours[name] for name in reported} == pytest.approx(reported, abs=0.000501)
        assert len(reported) == 4


def test_alignments_equal_those_of_the_installed_sclite(tmp_path: Path) -> None:
    for seed, vocabulary in enumerate((3, 8, 100)):
        reference, hypothesis, _ = random_texts(seed, 400, vocabulary)
        theirs = nist.align(tmp_path, reference, "a", hypothesis)
        ours = [sclite_edits(*both) for both in zip(reference, hypothesis, strict=True)]
        assert ["".join(LETTERS[edit.kind] for edit in edits) for edits in ours] == theirs
