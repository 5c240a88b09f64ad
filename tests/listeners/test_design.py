"""A drawn test: balanced, repeatable, and nothing in it that a model has learnt from."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth.errors import InvalidInput
from sibboleth.listeners import describing, design, sound
from sibboleth.listeners import test as tests
from sibboleth.listeners.drawing import HEARD, TESTED
from sibboleth.listeners.settings import ListeningTest
from sibboleth.listeners.sound import Sound
from sibboleth.listeners.test import AUDIO, Item, Test

LABELS = ("angry", "happy", "sad")
EMOTION = {"name": "emotion", "labels": LABELS, "by": ["language"], "count": 4}
RATE = 8000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Two languages, six speakers each, two recordings of every label: noise, louder if angry."""
    folder = tmp_path_factory.mktemp("audio")
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for language in ("de", "pl"):
        for speaker in range(6):
            for label in LABELS:
                for take in range(2):
                    name = f"{language}{speaker}{label}{take}"
                    loud = 0.2 if label == "angry" else 0.02
                    soundfile.write(folder / f"{name}.wav", loud * random.normal(size=RATE // 2), RATE)
                    rows.append(
                        {
                            "utterance": f"{language}/{name}",
                            "audio": str(folder / f"{name}.wav"),
                            "speaker": f"{language}/s{speaker}",
                            "language": language,
                            "emotion": label,
                            "text": f"{speaker} {take}",
                            "digest": f"digest of {name}",
                        }
                    )
    wide = pl.DataFrame(rows).with_columns(seconds=pl.lit(0.5), rate=pl.lit(RATE), dialect=pl.lit(None, pl.String))
    empty = [pl.lit(None, pl.Float64).alias(name) for name in ("start", "end")]
    return wide.with_columns(*empty, pl.lit(None, pl.String).alias("session"), pl.lit(False).alias(HEARD))


def settings(parts: list[dict[str, Any]] | None = None, **more: Any) -> ListeningTest:
    plain = {"name": "t", "corpora": [{"name": "c", "manifest": "c.csv"}], "parts": parts or [EMOTION], "forms": 4}
    return ListeningTest.model_validate({**plain, **more})


def drawn(table: pl.DataFrame, asked: ListeningTest) -> design.Design:
    return design.draw(asked, {part.name: table for part in asked.parts})


def made(folder: Path, table: pl.DataFrame, asked: ListeningTest) -> Test:
    return design.write(folder, drawn(table, asked))[0]


def of(items: list[Item] | tuple[Item, ...], part: str = "emotion", role: str = "item") -> list[Item]:
    return [item for item in items if item.part == part and item.role == role]


def test_every_label_of_every_language_has_its_number_of_as_many_speakers_as_can_be(table: pl.DataFrame) -> None:
    items = of(drawn(table, settings()).items)
    assert Counter((item.values["language"], item.answer) for item in items) == {
        (language, label): 4 for language in ("de", "pl") for label in LABELS
    }
    for language in ("de", "pl"):
        for label in LABELS:
            mine = {item.speaker for item in items if item.values["language"] == language and item.answer == label}
            assert len(mine) == 4, "four utterances of four speakers"
    assert all(item.labels == LABELS and item.digest and item.utterance for item in items)


def test_the_same_seed_draws_the_same_whatever_the_order_of_rows(table: pl.DataFrame) -> None:
    first = drawn(table, settings()).items
    assert drawn(table.sample(fraction=1.0, shuffle=True, seed=1), settings()).items == first
    other = drawn(table, settings(seed=1)).items
    assert {item.utterance for item in other} != {item.utterance for item in first}
    assert not {item.key for item in other} & {item.key for item in first}
    assert not {item.audio for item in other} & {item.audio for item in first}


def test_a_part_more_changes_nothing_before_it(table: pl.DataFrame, tmp_path: Path) -> None:
    part = {**EMOTION, "practice": 2, "repeats": 2}
    words = {"name": "words", "kind": "text", "target": "text", "by": ["language"], "count": 3}
    alone, both = made(tmp_path, table, settings([part])), made(tmp_path, table, settings([part, words]))
    assert [item for item in both.items if item.part == "emotion"] == list(alone.items)
    for one, two in zip(alone.forms, both.forms, strict=True):
        keys = {item.key for item in alone.items}
        assert [key for key in two.items if key in keys] == [key for key in one.items if key != "|"]
    emotion, text = ({item.utterance for item in of(both.items, name)} for name in ("emotion", "words"))
    assert not emotion & text and len(text) == 6, "nobody hears an utterance in two parts"
    assert all(item.labels == () and item.answer == item.answer.strip() for item in of(both.items, "words"))


def test_what_has_to_be_asked_about_twice_is_told(table: pl.DataFrame) -> None:
    both = drawn(table, settings([{**EMOTION, "count": 8}, {**EMOTION, "name": "again", "count": 8}]))
    assert any("part again: " in note and "in another part too" in note for note in both.notes)


def test_label_sets_may_differ_by_domain(table: pl.DataFrame) -> None:
    dialects = table.with_columns(
        emotion=pl.when(language="pl").then(pl.col("emotion").replace({"angry": "question"})).otherwise("emotion")
    )
    part = {"name": "emotion", "by": ["language"], "count": 4}
    items = of(drawn(dialects, settings([part])).items)
    sets = {item.values["language"]: item.labels for item in items}
    assert sets == {"de": ("angry", "happy", "sad"), "pl": ("happy", "question", "sad")}
    one_set = of(drawn(dialects, settings([{"name": "emotion", "count": 4}])).items)
    assert {item.labels for item in one_set} == {("angry", "happy", "question", "sad")}


def test_segments_may_be_marked_with_any_of_the_labels(table: pl.DataFrame) -> None:
    part = {"name": "where", "kind": "segments", "labels": ["angry", "happy", "sad", "neutral"], "count": 8}
    items = of(drawn(table, settings([part])).items, "where")
    assert Counter(item.answer for item in items) == dict.fromkeys(LABELS, 8), "24 items, 8 of each of three"
    assert {item.labels for item in items} == {("angry", "happy", "sad", "neutral")}


def test_practice_is_of_other_speakers_and_where_it_is_not_that_is_told(table: pl.DataFrame) -> None:
    few = {**EMOTION, "count": 1, "practice": 4}
    test = drawn(table, settings([few]))
    speakers = {item.speaker for item in of(test.items)}
    practice = of(test.items, role="practice")
    assert len(practice) == 4 and not speakers & {item.speaker for item in practice} and test.notes == []
    assert len({item.answer for item in practice}) == 3
    test = drawn(table, settings([{**EMOTION, "count": 10, "practice": 20}]))
    assert test.notes[0] == "part emotion: 12 utterances are left for practice, of 20 asked for"
    assert test.notes[1] == "part emotion: 12 practice items are of speakers who are heard in the part too"
    assert not {item.utterance for item in of(test.items)} & {
        item.utterance for item in of(test.items, role="practice")
    }


def test_a_catch_trial_asks_for_what_is_not_heard(table: pl.DataFrame) -> None:
    asked = settings([{**EMOTION, "by": []}], checks={"catch": 5})
    test = drawn(table, asked)
    catch = of(test.items, role="catch")
    answers = dict(zip(table["digest"], table["emotion"], strict=True))
    names = {sound.name(0, "sound", digest, None): label for digest, label in answers.items()}
    assert len(catch) == 5 and all(item.answer != names[item.audio] and item.answer in item.labels for item in catch)
    assert all((item.utterance, item.speaker, item.values, item.digest) == ("", "", {}, "") for item in catch)
    assert not {item.audio for item in catch} & {item.audio for item in of(test.items)}
    with pytest.raises(InvalidInput, match=r"checks.catch: .* no part of this test is a choice"):
        drawn(table, settings([{"name": "words", "kind": "text", "target": "text"}], checks={"catch": 1}))


def test_the_same_recording_under_two_names_is_drawn_once(table: pl.DataFrame) -> None:
    copies = table.with_columns(utterance=pl.col("utterance") + "-copy")
    items = of(drawn(pl.concat([table, copies]), settings([{**EMOTION, "count": 12}])).items)
    assert len(items) == 72 and len({item.digest for item in items}) == 72


def test_what_a_model_has_learnt_from_is_not_drawn_and_too_little_says_what_to_do(table: pl.DataFrame) -> None:
    heard = table.with_columns((pl.col("speaker").str.ends_with("s0")).alias(HEARD))
    items = of(drawn(heard, settings([{**EMOTION, "count": 10}])).items)
    assert len(items) == 60 and not any(item.speaker.endswith("s0") for item in items)
    with pytest.raises(
        InvalidInput, match=r"12 utterances of every label are asked for.*\[splits\] listening = "
    ) as all_of:
        drawn(heard, settings([{**EMOTION, "count": 12}]))
    assert len(all_of.value.problems) == 6
    assert str(all_of.value.problems[0]) == "de angry: has 10; 2 more are what a model of the study has learnt from"


def test_what_a_model_answers_is_drawn_before_what_none_does(table: pl.DataFrame) -> None:
    answered = table.with_columns((pl.col("speaker").str.ends_with("s0")).not_().alias(TESTED))
    items = of(drawn(answered, settings([{**EMOTION, "count": 10}])).items)
    assert len(items) == 60 and not any(item.speaker.endswith("s0") for item in items)
    more = of(drawn(answered, settings([{**EMOTION, "count": 12}])).items)
    assert len(more) == 72, "where there is not enough of it, everything counts"


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"by": ["accent"]}, "part 'emotion': by names accent, which no manifest has"),
        ({"keep": {"region": ["x"]}}, "part 'emotion': keep names region, which no manifest has"),
        ({"keep": {"language": ["fr"]}}, "part 'emotion': keep leaves no utterance; language has the values de, pl"),
        ({"repeats": 25}, "part 'emotion': repeats = 25, and each listener has 24 items"),
        ({"count": 13}, "part 'emotion': 13 utterances of every label are asked for; ask for fewer"),
    ],
)
def test_what_cannot_be_drawn_names_the_part_and_the_field(
    table: pl.DataFrame, part: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        drawn(table, settings([{**EMOTION, **part}]))


def test_no_name_tells_label_speaker_or_order(table: pl.DataFrame, tmp_path: Path) -> None:
    test = made(tmp_path, table, settings(checks={"headphones": True, "catch": 2}, level=-30))
    files = sorted((tmp_path / AUDIO).iterdir())
    assert {path.suffix for path in files} == {".wav"} and all(len(path.stem) == 16 for path in files)
    assert len({path.stat().st_mtime for path in files}) == 1
    assert {int(path.stem, 16) for path in files}, "hexadecimal digits"
    named = {item.audio: item for item in of(test.items)}
    mine = [named[path.stem] for path in files if path.stem in named]
    for told in (lambda item: item.answer, lambda item: item.speaker, lambda item: item.values["language"]):
        values = [told(item) for item in mine]
        changes = sum(a != b for a, b in zip(values, values[1:], strict=False))
        assert changes > len(set(values)), "in order of name, values are mixed"
    used = (
        {item.audio for item in test.items} | {name for trial in test.tones for name in trial.audio} | {test.loudness}
    )
    assert used == {path.stem for path in files}


def test_loudness_is_equalised_on_request_and_else_its_differences_are_told(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    plain = drawn(table, settings())
    test, sounds = design.write(tmp_path / "a", plain)
    notes = describing.notes(plain, sounds)
    assert any("loudness tells labels apart, angry has " in note for note in notes)
    levels = [item.loudness for item in of(test.items)]
    assert max(levels) - min(levels) > 15  # type: ignore[type-var, operator]
    even = drawn(table, settings(level=-32))
    test, sounds = design.write(tmp_path / "b", even)
    assert {item.loudness for item in of(test.items)} == {-32.0}
    for item in of(test.items):
        samples, rate = soundfile.read(tmp_path / "b" / AUDIO / f"{item.audio}.wav", dtype="float32")
        assert sound.loudness(samples, rate) == pytest.approx(-32, abs=0.05)
    assert not any("loudness" in note for note in describing.notes(even, sounds))
    short = [Sound("a", "c/one", -30, -12.3, 0.3), Sound("b", "c/two", -30, -14.3, 2.3), Sound("c", "c/3", -30, -12, 0)]
    (note,) = (note for note in describing.notes(drawn(table, settings(level=-12)), short) if "clip" in note)
    assert note == (
        "2 sounds would clip at -12 LUFS and lack up to 2.3 dB of it (c/two, c/one); level = -15 reaches all"
    )


def test_labels_that_a_voice_or_a_sentence_tells_are_told(table: pl.DataFrame, tmp_path: Path) -> None:
    tied = table.filter((pl.col("emotion") != "angry") | pl.col("speaker").str.ends_with("s0"))
    tied = tied.with_columns(text=pl.col("emotion"))
    plain = drawn(tied, settings([{**EMOTION, "count": 2}]))
    notes = describing.notes(plain, design.write(tmp_path, plain)[1])
    assert "part emotion, de: angry is spoken by one speaker alone, whose voice tells it" in notes
    assert any("part emotion, pl: 3 sentences of 6 items are spoken with one label alone" in note for note in notes)
    few = drawn(table.filter(pl.col("speaker").str.contains("s[01]")), settings())
    assert any("pl: 2 speakers; " in note for note in describing.notes(few, ()))


def test_the_version_is_that_of_all_else(table: pl.DataFrame, tmp_path: Path) -> None:
    test = made(tmp_path, table, settings())
    assert made(tmp_path, table, settings()) == test and len(test.version) == 16
    assert tests.version(test) == test.version
    assert made(tmp_path, table, settings(contact="me")).version != test.version
    low, high = describing.minutes(test)
    assert 4 + 24 * (1.3 * 0.5 + 4) / 60 == pytest.approx(low) == pytest.approx(high)
    counts = describing.counts(drawn(table, settings()))
    assert counts.rows()[0] == ("emotion", "de", "angry", 4, 4, 2.0) and len(counts) == 6
