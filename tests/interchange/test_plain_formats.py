"""What every format promises, on those that need no library: nothing is lost that it can hold, nothing overwritten."""

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sibboleth import interchange, storage
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.interchange import Asked, Format

PLACES: dict[Format, str] = {"emobox": "data/mini", "kaldi": "data", "lhotse": "cuts.jsonl.gz", "nemo": "mini.json"}


def as_text(table: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Columns in the order of utterances, as text: a format may write 2.0 as 2."""
    ordered = table.sort("utterance").select(columns)
    numbers = [name for name, kind in ordered.schema.items() if kind.is_numeric() or name in ("age", "arousal")]
    return ordered.with_columns(pl.col(numbers).cast(pl.Float64)).with_columns(pl.all().cast(pl.String))


@pytest.mark.parametrize("which", ["spoken", "cut"])
@pytest.mark.parametrize("format", list(PLACES))
def test_a_round_trip_loses_nothing(format: Format, which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    corpus: Corpus = request.getfixturevalue(which)
    place = tmp_path / PLACES[format]
    interchange.write(corpus, place, format)
    assert interchange.recognised(str(place)) == format
    back, _ = interchange.read(str(place), format, Asked())
    columns = corpus.table.columns
    assert_frame_equal(as_text(back.table, columns), as_text(corpus.table, columns))


@pytest.mark.parametrize("format", list(PLACES))
def test_the_same_again_is_fine_and_something_else_is_never_overwritten(
    format: Format, spoken: Corpus, tmp_path: Path
) -> None:
    place = tmp_path / PLACES[format]
    interchange.write(spoken, place, format)
    interchange.write(spoken, place, format)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InvalidInput, match="is there already"):
        interchange.write(Corpus("other", spoken.table.head(3)), place, format)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("format", list(PLACES))
def test_what_fails_half_way_leaves_nothing(
    format: Format, spoken: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    place = tmp_path / "out" / PLACES[format]
    with pytest.raises(InvalidInput, match="No space left"):
        interchange.write(spoken, place, format)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_what_a_killed_process_left_is_no_hindrance_and_a_living_one_is(spoken: Corpus, tmp_path: Path) -> None:
    left = tmp_path / ".part-data"
    (left / "half").mkdir(parents=True)
    interchange.write(spoken, tmp_path / "data", "kaldi")
    assert not left.exists() and not (tmp_path / "data" / "half").exists()
    guard = storage.lock(tmp_path / ".part-other.lock")
    assert guard is not None
    with guard, pytest.raises(SibbolethError, match="another process"):
        interchange.write(spoken, tmp_path / "other", "kaldi")


def test_segments_of_words_are_kept_by_lhotse_and_ctm(
    spoken: Corpus, cut: Corpus, tmp_path: Path, sounds: Path
) -> None:
    said = '[{"start": 0.1, "end": 0.45, "label": "één", "tier": "word"}, {"start": 0.5, "end": 0.9, "label": "dag"}]'
    words = Corpus("words", spoken.table.with_columns(segments=pl.Series([said, "[]", None, None])))
    later = cut.table.with_columns(start=pl.col("start") + 0.05, segments=words.table["segments"])
    interchange.write(Corpus("later", later), tmp_path / "cuts.jsonl", "lhotse")
    back, _ = interchange.read(str(tmp_path / "cuts.jsonl"), "lhotse", Asked())
    assert back.table["segments"].to_list()[1:] == ["[]", None, None]
    assert sorted(json.loads(back.table["segments"][0]), key=lambda one: one["start"]) == json.loads(said)
    notes = interchange.write(words, tmp_path / "said.ctm", "ctm")
    assert (tmp_path / "said.ctm").read_text() == "a0 1 0.1 0.35 één\n"
    assert any("speaker" in note for note in notes)
    spoken_again, _ = interchange.read(str(tmp_path / "said.ctm"), "ctm", Asked(audio=sounds, speaker="^(.)"))
    (row,) = spoken_again.table.rows(named=True)
    assert (row["utterance"], row["speaker"], row["text"]) == ("a0", "a", "één")
    assert row["segments"] == '[{"start": 0.1, "end": 0.45, "label": "één", "tier": "word"}]'
