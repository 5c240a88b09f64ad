from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console

from sibboleth import corpus
from sibboleth.errors import InvalidInput
from sibboleth.progress import console
from sibboleth.recipes.corpus import describe, prepare

RATE = 16000


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two languages, three speakers, one duplicate, one bad file, one clipped, one stereo."""
    random = np.random.default_rng(0)
    sounds = [0.1 * random.standard_normal(RATE) for _ in range(6)]
    sounds[3] = sounds[0]
    sounds[4] = np.clip(sounds[4] * 20, -1, 1)
    for n, sound in enumerate(sounds):
        soundfile.write(tmp_path / f"{n}.wav", sound if n != 5 else np.stack([sound, sound], axis=1), RATE)
    (tmp_path / "6.wav").write_bytes(b"no sound")
    rows = {
        "audio": [f"{n}.wav" for n in range(7)],
        "speaker": ["s1", "s1", "s2", "s2", "s3", "s3", "s3"],
        "language": ["de", "de", "nl", "nl", "nl", None, "nl"],
        "emotion": ["happy", "sad", "happy", "happy", "sad", None, "sad"],
        "level": ["B1"] * 7,
    }
    pl.DataFrame(rows).write_csv(tmp_path / "m.csv")
    return tmp_path / "m.csv"


def test_counts_by_language_and_speaker_of_what_can_be_used(manifest: Path) -> None:
    one = describe(manifest)
    assert one.label == "emotion"
    language = one.groups["language"]
    assert language.drop("hours").rows() == [("de", 2, 1, 1, 1, 0), ("nl", 3, 2, 2, 1, 0), (None, 1, 1, 0, 0, 1)]
    assert language.columns == ["language", "utterances", "speakers", "hours", "happy", "sad", "unlabelled"]
    assert language["hours"].to_list() == pytest.approx([2 / 3600, 3 / 3600, 1 / 3600])
    assert one.groups["speaker"]["utterances"].to_list() == [2, 2, 2]
    assert "dialect" not in one.groups
    assert one.formats.select("rate", "channels", "utterances").rows() == [(RATE, 1, 5), (RATE, 2, 1)]


def test_what_is_wrong_with_the_audio_is_said(manifest: Path) -> None:
    one = describe(manifest)
    assert one.excluded["utterance"].to_list() == ["6"] and "cannot be read" in one.excluded["reason"][0]
    assert one.duplicates.rows() == [(1, "0", "s1", "happy"), (1, "3", "s2", "happy")]
    assert dict(one.remarks.select("remark", "example").iter_rows()) == {
        "clipped in more than 0.1% of the samples": "4",
        "several channels, which are averaged": "5",
    }
    assert one.measures.filter(measure="seconds").row(0) == ("seconds", 1.0, 1.0, 1.0)
    assert one.table["manifest level"].to_list() == ["B1"] * 7


def test_it_reads_well_on_a_terminal_and_as_text(manifest: Path) -> None:
    text = str(describe(manifest))
    for word in ("by language", "by speaker", "identical audio", "cannot be used", "unknown", "6 utterances"):
        assert word in text
    assert "\x1b" not in text and all(line == line.rstrip() for line in text.splitlines())
    console = Console(width=60, force_terminal=True, record=True, file=(manifest.parent / "terminal.txt").open("w"))
    console.print(describe(manifest))
    assert all(len(line) <= 60 for line in console.export_text().splitlines())
    console.file.close()


def test_labels_that_are_asked_for_or_absent(manifest: Path) -> None:
    assert describe(manifest, label="speaker").groups["language"].columns[4:] == ["s1", "s2", "s3"]
    assert describe(manifest, label="level").groups["speaker"]["B1"].to_list() == [2, 2, 2]
    with pytest.raises(InvalidInput, match="no column 'valence' to count; there are .*emotion"):
        describe(manifest, label="valence")
    with pytest.raises(InvalidInput, match="'nosuch'"):
        describe(manifest, columns={"speaker": "nosuch"})


def test_a_corpus_without_any_usable_audio_is_still_described(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    (tmp_path / "m.csv").write_text("audio,speaker\na.wav,s\n")
    one = describe(tmp_path / "m.csv")
    assert len(one.excluded) == 1 and "cannot be used" in str(one)


def unpack_ravdess(root: Path) -> None:
    (root / "Actor_01").mkdir(parents=True)
    for code in ("01", "04"):
        soundfile.write(root / f"Actor_01/03-01-{code}-01-01-01-01.wav", np.full(RATE, 0.1), RATE)


def test_a_prepared_manifest_can_be_read_moved_and_prepared_again(tmp_path: Path) -> None:
    unpack_ravdess(tmp_path / "r")
    path = prepare("ravdess", tmp_path / "r")
    assert path == tmp_path / "r" / "manifest.csv"
    assert corpus.read(path).table["emotion"].to_list() == ["neutral", "sad"]
    assert prepare("ravdess", tmp_path / "r") == path
    (tmp_path / "r").rename(tmp_path / "moved")
    assert describe(tmp_path / "moved" / "manifest.csv").excluded.is_empty()
    typed = prepare("ravdess", tmp_path / "moved", output=tmp_path / "lists" / "r.parquet")
    assert len(corpus.read(typed).table) == 2


def test_a_manifest_with_other_content_is_not_overwritten(tmp_path: Path) -> None:
    unpack_ravdess(tmp_path)
    path = prepare("ravdess", tmp_path)
    path.write_text(path.read_text().replace("sad", "bored"))
    edited = path.read_text()
    with pytest.raises(InvalidInput, match="move it away"):
        prepare("ravdess", tmp_path)
    assert path.read_text() == edited
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Actor_01", "manifest.csv"]


def test_what_a_copy_lacks_is_told_when_it_is_prepared(tmp_path: Path) -> None:
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav/03a01Fa.wav").write_bytes(b"")
    with console.capture() as caught:
        prepare("emodb", tmp_path)
    told = caught.get()
    assert f"1 of the 535 utterances that were published are here; sibboleth corpus check emodb {tmp_path}" in told
    assert "answers of listeners come with the corpus, and are not in this folder" in told


def test_real_corpora_go_through(real_speech: Path, tmp_path: Path) -> None:
    for name, count in (("emodb", 339), ("nemo", 252), ("ravdess", 80)):
        path = prepare(name, real_speech / name, output=tmp_path / f"{name}.csv")
        one = describe(path)
        assert len(one.table) == count and one.excluded.is_empty()
        assert one.groups["language"].height == 1


def test_copies_in_other_files_are_listed(tmp_path: Path, real_speech: Path) -> None:
    files = sorted((real_speech / "emodb" / "wav").iterdir())[:4]
    sound, rate = soundfile.read(files[1], dtype="float32")
    soundfile.write(tmp_path / "copy.mp3", 0.5 * sound[rate // 4 :], rate)
    rows = [f"{file},03" for file in (*files, tmp_path / "copy.mp3")]
    (tmp_path / "manifest.csv").write_text("audio,speaker\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = describe(tmp_path / "manifest.csv")
    assert len(found.near) == 1 and found.near["seconds"][0] > 0.5 and found.duplicates.is_empty()
    assert {Path(found.near[0, name]).stem for name in ("utterance", "other")} == {files[1].stem, "copy"}
    assert "the same sound in other files" in str(found) and "bandwidth" in str(found)
    assert "fingerprint" not in found.table.columns


def test_accents_are_told_from_what_speakers_say(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for n in range(4):
        soundfile.write(tmp_path / f"{n}.wav", 0.1 * random.standard_normal(RATE), RATE)
    said = ["Belgisch Nederlands,Gents", "netherlands", "zachte g", ""]
    rows = {"audio": [f"{n}.wav" for n in range(4)], "speaker": list("abcd"), "language": ["nl"] * 4, "accents": said}
    pl.DataFrame(rows).write_csv(tmp_path / "m.csv")
    assert "accent" not in describe(tmp_path / "m.csv").groups
    one = describe(tmp_path / "m.csv", accents="built-in")
    assert one.groups["accent"]["accent"].to_list() == ["Belgium", "Netherlands", None]
    assert one.groups["dialect"]["dialect"].to_list() == ["East Flanders", None]
    assert "accents: 2 known, 1 not in the table, 1 not said" in str(one)
    mine = tmp_path / "mine.csv"
    mine.write_text("said,accent,dialect\nzachte g,,the south\n", encoding="utf-8")
    assert describe(tmp_path / "m.csv", accents=str(mine)).groups["dialect"]["dialect"][1] == "the south"


def test_labels_and_speakers_that_are_written_in_several_ways_are_named(manifest: Path) -> None:
    table = pl.read_csv(manifest).with_columns(
        pl.Series("emotion", ["happy", "Sad", "Happy", "happy", "sad", None, "sad"]),
        pl.Series("speaker", ["s1", "s01", "s2", "s2", "s3", "s3", "s3"]),
    )
    table.write_csv(manifest)
    one = describe(manifest)
    assert [note.split(" differ")[0] for note in one.notes] == [
        "speaker: s01 and s1",
        "emotion: Happy and happy, Sad and sad",
    ]
    assert "written in one way" in str(one) or "write each in one way" in str(one)


def test_the_column_label_is_counted_where_there_is_no_emotion(manifest: Path) -> None:
    pl.read_csv(manifest).rename({"emotion": "label"}).write_csv(manifest)
    assert describe(manifest).label == "label"


def test_nothing_usable_shows_reasons_alone(manifest: Path) -> None:
    pl.read_csv(manifest).with_columns(start=pl.lit(500), end=pl.lit(900)).write_csv(manifest)
    text = str(describe(manifest))
    assert "0 utterances" in text and "levels" not in text and "cannot be used" in text
