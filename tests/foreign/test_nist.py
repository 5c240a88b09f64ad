"""Transcripts in NIST's formats, held to what sclite counts in the same files."""

import random
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
from tests.nist import program

from sibboleth.errors import InvalidInput
from sibboleth.foreign import nist, outputs
from sibboleth.recipes.score import Scored, score

STM = """\
;; a comment
news A anna 0.00 2.00 <o,f0,female> de kat zat
news A bert 2.00 4.50 <o,f0,male> op { de / het } mat @
news A inter_segment_gap 4.50 5.00 <o,,> IGNORE_TIME_SEGMENT_IN_SCORING
talk 1 cara 0.50 3.00 dag wereld
"""
CTM = """\
;; file channel begin duration word confidence
news A 0.10 0.30 de 0.99
news A 0.50 0.30 kat 0.80
news A 1.90 0.30 zit
news A 2.60 0.20 op
news A 3.00 0.20 de
news A 4.60 0.10 uh
talk 1 0.80 0.30 dag
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, *, answers: bool, reference: outputs.File | None = None) -> tuple[outputs.File, list[str]]:
    notes: list[str] = []
    return nist.read(path, notes, answers=answers, reference=reference), notes


def counts(result: Scored) -> tuple[int, ...]:
    assert result.recognition is not None
    row = result.recognition.counts.filter(pl.col("slice") == "all").to_dicts()[0]
    return tuple(int(row[name]) for name in ("substitutions", "deletions", "insertions"))


def sclite(folder: Path, *files: str) -> tuple[int, ...]:
    """Return the substitutions, deletions and insertions that sclite counts."""
    command = [program("sclite"), *files, "-o", "rsum", "stdout"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
    said = done.stdout.decode("latin-1")
    (totals,) = re.findall(r"^\s*\|\s*Sum\s*\|(.*)\|$", said, re.MULTILINE)
    numbers = [int(number) for number in re.findall(r"\d+", totals)]
    return tuple(numbers[3:6])


def test_an_stm_is_segments_with_speakers(tmp_path: Path) -> None:
    file, notes = read(write(tmp_path / "ref.stm", STM), answers=False)
    assert file.frame.select("utterance", "speaker", "subset", "text").rows() == [
        ("news-0.000-2.000", "anna", "<o,f0,female>", "de kat zat"),
        ("news-2.000-4.500", "bert", "<o,f0,male>", "op de mat"),
        ("talk", "cara", None, "dag wereld"),
    ]
    assert file.rows == [2, 3, 5]
    assert notes == [
        "1 segment of ref.stm left out, as it asks",
        "WARNING: 1 place of ref.stm with alternatives, of which the first was taken",
    ]


def test_words_of_a_ctm_belong_to_the_segment_of_their_middle(tmp_path: Path) -> None:
    reference, _ = read(write(tmp_path / "ref.stm", STM), answers=False)
    file, notes = read(write(tmp_path / "sys.ctm", CTM), answers=True, reference=reference)
    assert file.frame.rows() == [
        ("news-0.000-2.000", "de kat"),
        ("news-2.000-4.500", "zit op de"),
        ("talk", "dag"),
    ]
    assert notes == ["WARNING: 1 word of sys.ctm in no segment of the reference left out: uh (news, 4.65 s)"]


def test_words_may_come_in_any_order_and_of_alternatives_the_first_counts(tmp_path: Path) -> None:
    others = "f 1 * * <ALT_BEGIN>\nf 1 2 0.1 c\nf 1 * * <ALT>\nf 1 2 0.1 x\nf 1 * * <ALT_END>\n"
    text = f"f 1 1.0 0.1 b\nf 1 0.5 0.1 a\n{others}f 1 3 0.1 d\n"
    file, notes = read(write(tmp_path / "s.ctm", text), answers=True)
    assert file.frame.rows() == [("f", "a b c d")]
    assert "1 place of s.ctm with alternatives" in notes[0]


def test_a_ctm_is_cut_by_a_manifests_times(tmp_path: Path) -> None:
    manifest = "utterance,audio,start,end,text\nu1,wav/news.flac,0,2,de kat zat\nu2,wav/news.flac,2,4.5,op de mat\n"
    reference = outputs.open_file(write(tmp_path / "manifest.csv", manifest))
    file, _ = read(write(tmp_path / "sys.ctm", CTM), answers=True, reference=reference)
    assert file.frame.rows() == [("u1", "de kat"), ("u2", "zit op de"), ("talk", "dag")]
    whole = outputs.open_file(write(tmp_path / "whole.csv", "utterance,text\nnews,de kat\ntalk,dag\n"))
    file, _ = read(tmp_path / "sys.ctm", answers=True, reference=whole)
    assert file.frame.rows() == [("news", "de kat zit op de uh"), ("talk", "dag")]


def test_an_utterance_of_which_nothing_was_recognised_is_answered_by_nothing(tmp_path: Path) -> None:
    reference = write(tmp_path / "ref.stm", "f 1 s 0 1 een twee\nf 1 s 1 2 drie vier\n")
    hypothesis = write(tmp_path / "sys.ctm", "f 1 0.1 0.1 een\nf 1 0.3 0.1 twee\n")
    result = score((hypothesis,), reference=reference, resamples=100)
    assert counts(result) == (0, 2, 0)
    assert "1 empty transcript answered" in "\n".join(result.notes)


def test_counts_of_stm_and_ctm_are_those_of_sclite(tmp_path: Path) -> None:
    draws = random.Random(3)
    words = ["een", "twee", "drie", "vier", "vijf", "zes", "zeven"]
    stm, ctm = [], []
    for name in ("aa", "bb", "cc"):
        for k in range(6):
            said = [draws.choice(words) for _ in range(draws.randint(1, 6))]
            stm.append(f"{name} 1 spk_{name} {2 * k:.2f} {2 * k + 2:.2f} {' '.join(said)}")
            heard = [draws.choice(words) if draws.random() < 0.3 else w for w in said if draws.random() < 0.85]
            for j, word in enumerate(heard):
                ctm.append(f"{name} 1 {2 * k + 0.1 + 0.3 * j:.2f} 0.20 {word}")
    reference = write(tmp_path / "ref.stm", "\n".join(stm) + "\n")
    hypothesis = write(tmp_path / "sys.ctm", "\n".join(ctm) + "\n")
    mine = counts(score((hypothesis,), reference=reference, normalise="none", resamples=100))
    theirs = sclite(tmp_path, "-r", "ref.stm", "stm", "-h", "sys.ctm", "ctm")
    # sclite weighs a substitution more than Levenshtein does, so kinds may differ where the number of errors does not
    assert sum(theirs) >= sum(mine) and sum(theirs) - sum(mine) <= 2 and sum(mine) > 20


def test_trn_against_trn_has_sclites_ids_and_errors(tmp_path: Path) -> None:
    reference = write(tmp_path / "ref.trn", "de kat zat (anna_1)\nop de mat (anna_2)\n\ndag wereld (bert_1)\n")
    hypothesis = write(tmp_path / "sys.trn", "de kat zit (anna_1)\nop mat (anna_2)\n(bert_1)\n")
    result = score((hypothesis,), reference=reference, normalise="none", resamples=100)
    assert counts(result) == (1, 3, 0)
    assert counts(result) == sclite(tmp_path, "-r", "ref.trn", "trn", "-h", "sys.trn", "trn", "-i", "spu_id")


def test_trn_beside_a_manifest_with_speakers_and_accents(tmp_path: Path) -> None:
    manifest = "utterance,speaker,accents,language,text\nu1,s1,Vlaams,nl,'k heb 21 euro\nu2,s2,Twents,nl,da's goed\n"
    one = write(tmp_path / "one.trn", "ik heb eenentwintig euro (u1)\ndat is goed (u2)\n")
    two = write(tmp_path / "two.trn", "ik heb eenentwintig (u1)\ndat is goed (u2)\n")
    reference = write(tmp_path / "manifest.csv", manifest)
    asked = {"by": ("accent",), "accents": "built-in", "normalise": "dutch"}
    result = score((one, two), reference=reference, resamples=100, **asked)
    rows = result.scores.filter(pl.col("metric") == "wer").select("rater", "slice", "estimate").rows()
    assert ("one", "accent=Belgium", 0.0) in rows and ("two", "accent=Belgium", 0.25) in rows
    assert ("two", "accent=Netherlands", 0.0) in rows
    assert "manifest.csv: accents: 2 known" in result.notes


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("a.trn", "fine (u1)\nno id\nwords ()\n{ a / b (u2)\n", [2, 3, 4]),
        ("a.stm", "f 1 s 0 1 fine\nf 1 s 0\nf 1 s x 1 a\nf 1 s 2 1 a\nf 1 s -1 1 a\n", [2, 3, 4, 5]),
        ("a.ctm", "f 1 0 1 fine\nf 1 0 1\nf 1 0 x a\nf 1 -2 1 a\nf 1 inf 1 a\n", [2, 3, 4, 5]),
    ],
)
def test_every_line_that_cannot_be_is_named(tmp_path: Path, name: str, text: str, places: list[int]) -> None:
    with pytest.raises(InvalidInput, match=f"{name}: {len(places)} lines cannot be taken apart") as caught:
        read(write(tmp_path / name, text), answers=True)
    assert [problem.row for problem in caught.value.problems] == places


def test_files_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    for suffix in nist.SUFFIXES:
        with pytest.raises(InvalidInput, match="has no transcripts"):
            read(write(tmp_path / f"empty{suffix}", ";; nothing\n\n"), answers=True)
    (tmp_path / "latin.trn").write_bytes("caf\u00e9 (u)\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read(tmp_path / "latin.trn", answers=True)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(tmp_path / "absent.ctm", answers=True)
    with pytest.raises(InvalidInput, match="a CTM has no utterances; give the reference as STM, trn or manifest"):
        read(write(tmp_path / "a.ctm", CTM), answers=False)


def test_doubled_utterances_are_refused(tmp_path: Path) -> None:
    reference = write(tmp_path / "ref.trn", "a (u1)\nb (u2)\n")
    with pytest.raises(InvalidInput) as caught:
        score((write(tmp_path / "s.trn", "a (u1)\nb (u2)\nc (u1)\n"),), reference=reference)
    assert {problem.row for problem in caught.value.problems} == {1, 3}


def test_channels_tell_segments_apart(tmp_path: Path) -> None:
    reference, _ = read(write(tmp_path / "r.stm", "f A s1 0 1 ja\nf B s2 0 1 nee\n"), answers=False)
    assert reference.frame["utterance"].to_list() == ["f-A", "f-B"]
    file, _ = read(write(tmp_path / "s.ctm", "f a 0.1 0.1 ja\nf b 0.1 0.1 nee\n"), answers=True, reference=reference)
    assert file.frame.rows() == [("f-A", "ja"), ("f-B", "nee")]
