"""audformat itself reads what is written, and what it writes, as audb publishes it, is read."""

import pickle
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from sibboleth import interchange
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput
from sibboleth.interchange import Asked

audformat = pytest.importorskip("audformat")


@pytest.fixture
def database(sounds: Path) -> object:
    """A database such as EmoDB's: speakers and texts in schemes, emotions in tables for train and test."""
    made = audformat.Database("mini", source="the tests", usage="research", languages=["deu"])
    made.splits["train"], made.splits["test"] = audformat.Split("train"), audformat.Split("test")
    made["speakers"] = audformat.MiscTable(pd.Index(["03", "08"], name="speaker"))
    for name, kind, values in (("gender", "str", ["male", "female"]), ("age", "int", [31, 34])):
        made["speakers"][name] = audformat.Column()
        made.schemes[name] = audformat.Scheme(kind)
        made["speakers"][name].scheme_id = name
        made["speakers"][name].set(values)
    made.schemes["speaker"] = audformat.Scheme("str", labels="speakers")
    made.schemes["emotion"] = audformat.Scheme(labels=["anger", "sadness"])
    made.schemes["transcription"] = audformat.Scheme(labels={"a01": "Der Lappen liegt.", "a02": "Das will sie."})
    files = [f"sounds/{name}.wav" for name in ("a0", "a1", "b0")]
    made["files"] = audformat.Table(audformat.filewise_index(files))
    for name, values in (("speaker", ["03", "03", "08"]), ("transcription", ["a01", "a02", "a01"])):
        made["files"][name] = audformat.Column(scheme_id=name)
        made["files"][name].set(values)
    made.schemes["duration"] = audformat.Scheme("time")
    made["files"]["duration"] = audformat.Column(scheme_id="duration")
    made["files"]["duration"].set(pd.to_timedelta([1.0, 1.5, 2.0], unit="s"))
    for part, chosen, labels in (("train", files[:2], ["anger", "sadness"]), ("test", files[2:], ["anger"])):
        table = f"emotion.{part}"
        made[table] = audformat.Table(audformat.filewise_index(chosen), split_id=part)
        made[table]["emotion"] = audformat.Column(scheme_id="emotion")
        made[table]["emotion"].set(labels)
    return made


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_files_with_speakers_and_texts_from_schemes(database: object, sounds: Path, storage: str) -> None:
    root = sounds.parent
    database.save(str(root), storage_format=storage)  # type: ignore[attr-defined]
    assert interchange.recognised(str(root)) == "audformat"
    back, found = interchange.read(str(root), "audformat", Asked())
    columns = ("speaker", "sex", "age", "text", "transcription", "emotion", "part", "language", "duration")
    assert back.table.select("utterance", *columns).rows() == [
        ("a0", "03", "male", 31, "Der Lappen liegt.", "a01", "anger", "train", "de", 1.0),
        ("a1", "03", "male", 31, "Das will sie.", "a02", "sadness", "train", "de", 1.5),
        ("b0", "08", "female", 34, "Der Lappen liegt.", "a01", "anger", "test", "de", 2.0),
    ]
    assert back.name == "mini" and found.notes == () and back.table["start"].null_count() == 3


def test_segments_and_tables_that_disagree(database: object, sounds: Path) -> None:
    root = sounds.parent
    index = audformat.segmented_index(["sounds/a0.wav"] * 2, [0, "0.5s"], ["0.5s", pd.NaT])
    database["turns"] = audformat.Table(index)  # type: ignore[index]
    database["turns"]["emotion"] = audformat.Column(scheme_id="emotion")  # type: ignore[index]
    database["turns"]["emotion"].set(["sadness", "anger"])  # type: ignore[index]
    database.save(str(root))  # type: ignore[attr-defined]
    back, found = interchange.read(str(root), "audformat", Asked())
    columns = ("start", "end", "speaker", "turns.emotion", "emotion.train.emotion")
    assert back.table.select("utterance", *columns).rows() == [
        ("a0-0.000-0.500", 0.0, 0.5, "03", "sadness", "anger"),
        ("a0-0.500", 0.5, None, "03", "anger", "anger"),
        ("a1", None, None, "03", None, "sadness"),
        ("b0", None, None, "08", None, None),
    ]
    assert "tables disagree about emotion" in found.notes[0]
    chosen, found = interchange.read(str(root), "audformat", Asked(subset=("files", "turns")))
    assert chosen.table["emotion"].to_list() == ["sadness", "anger", None, None] and found.notes == ()
    with pytest.raises(InvalidInput, match=r"has no table nope; there are emotion\.test"):
        interchange.read(str(root), "audformat", Asked(subset=("nope",)))


@pytest.mark.parametrize("which", ["spoken", "cut"])
def test_audformat_reads_what_is_written_and_nothing_is_lost(
    which: str, request: pytest.FixtureRequest, sounds: Path
) -> None:
    corpus: Corpus = request.getfixturevalue(which)
    corpus = Corpus(corpus.name, corpus.table.with_columns(transcription=pl.lit("besides text")))
    place = sounds.parent / "database"
    assert "4 recordings lie outside" in interchange.write(corpus, place, "audformat")[0]
    interchange.write(corpus, place, "audformat")
    read = audformat.Database.load(str(place), load_data=True)
    table = read["segments" if which == "cut" else "files"].df
    assert table["emotion"].to_list() == ["sad", "angry", "sad", "angry"]
    assert list(table.index.get_level_values("file")) == corpus.table["audio"].to_list()
    assert read.schemes["emotion"].labels == ["angry", "sad"] and read.languages == ["nld"]
    assert {name: read.splits[read[name].split_id].type for name in ("train", "test")} == {
        "train": "train",
        "test": "test",
    }
    back, _ = interchange.read(str(place), "audformat", Asked())
    columns = corpus.table.columns
    assert back.table.select(columns).equals(corpus.table.with_columns(pl.col("age").cast(back.table["age"].dtype)))


def test_beside_its_recordings_a_database_is_portable(spoken: Corpus, sounds: Path, tmp_path: Path) -> None:
    place = sounds.parent
    assert interchange.write(spoken, place, "audformat") == []
    interchange.write(spoken, place, "audformat")
    (place / "db.yaml").unlink()  # as a process leaves it that is killed before the last file
    interchange.write(spoken, place, "audformat")
    place.rename(tmp_path / "moved")
    assert audformat.Database.load(str(tmp_path / "moved")).is_portable
    back, _ = interchange.read(str(tmp_path / "moved"), "audformat", Asked())
    assert back.table["audio"][0] == str(tmp_path / "moved" / "sounds" / "a0.wav")
    with pytest.raises(InvalidInput, match="is there already"):
        interchange.write(Corpus("other", spoken.table.head(2)), tmp_path / "moved", "audformat")


class Bomb:
    """What a pickle may do when it is loaded."""

    def __init__(self, witness: Path) -> None:
        """Take the file that tells of it."""
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.witness,)  # type: ignore[return-value]


def test_nothing_that_could_run_code_is_loaded(database: object, sounds: Path, tmp_path: Path) -> None:
    root, witness = sounds.parent, tmp_path / "was-run"
    database.save(str(root))  # type: ignore[attr-defined]
    (root / "db.files.pkl").write_bytes(pickle.dumps(Bomb(witness)))
    interchange.read(str(root), "audformat", Asked())
    (root / "db.files.parquet").unlink()
    with pytest.raises(InvalidInput, match="is a pickle, which could run any code"):
        interchange.read(str(root), "audformat", Asked())
    header = (root / "db.yaml").read_text()
    (root / "db.yaml").write_text(header + f'meta: !!python/object/apply:pathlib.Path.touch ["{witness}"]\n')
    with pytest.raises(InvalidInput, match="is not the header of an audformat database"):
        interchange.read(str(root), "audformat", Asked())
    assert not witness.exists()
