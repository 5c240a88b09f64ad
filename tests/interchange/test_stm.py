"""STM and CTM as NIST's tools have them."""

from pathlib import Path

import polars as pl
import pytest

from sibboleth import interchange
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput
from sibboleth.interchange import Asked

LINES = """;; a comment
a0 1 anna 0.10 0.40 <o,f0,female> een { twee / drie }
a0 1 anna 0.50 0.90 ignore_time_segment_in_scoring
b1 1 bert 0 2.5 vier
"""


def test_segments_are_utterances_and_recordings_are_found_by_name(sounds: Path) -> None:
    (sounds / "dev.stm").write_text(LINES, encoding="utf-8")
    assert interchange.recognised(str(sounds)) == interchange.recognised(str(sounds / "dev.stm")) == "stm"
    back, found = interchange.read(str(sounds / "dev.stm"), "stm", Asked())
    assert back.table.select("utterance", "start", "end", "speaker", "text", "subset").rows() == [
        ("a0", 0.1, 0.4, "anna", "een twee", "<o,f0,female>"),
        ("b1", 0.0, 2.5, "bert", "vier", None),
    ]
    assert back.table["audio"].to_list() == [str(sounds / "a0.wav"), str(sounds / "b1.wav")]
    assert any("left out" in note for note in found.notes)


def test_what_is_written_is_read_again_and_what_is_lost_is_told(cut: Corpus, tmp_path: Path, sounds: Path) -> None:
    notes = interchange.write(cut, tmp_path / "x.stm", "stm")
    assert any("no place for language, dialect, session, emotion, sex, age, arousal, part" in note for note in notes)
    assert any("1 utterances have no text" in note for note in notes)
    back, _ = interchange.read(str(tmp_path / "x.stm"), "stm", Asked(audio=sounds))
    columns = ["audio", "start", "end", "speaker", "text"]
    assert back.table.select(columns).rows() == cut.table.select(columns).rows()


def test_channels_that_are_heard_as_one_are_refused(sounds: Path) -> None:
    (sounds / "x.stm").write_text("a0 A anna 0 1 hi\na0 B bert 0 1 ho\nzz 1 carl 0 1 ha\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        interchange.read(str(sounds / "x.stm"), "stm", Asked())
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [(1, "channel"), (3, "file")]
    assert "remix 1" in str(caught.value) and "--audio FOLDER" in str(caught.value)


def test_names_with_blanks_are_refused(spoken: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot hold the blanks in the speaker 'an na'"):
        interchange.write(Corpus("x", spoken.table.with_columns(speaker=pl.lit("an na"))), tmp_path / "x.stm", "stm")
    with pytest.raises(InvalidInput, match="no column 'segments'"):
        interchange.write(spoken, tmp_path / "x.ctm", "ctm")
    assert list(tmp_path.glob("x.*")) == []
