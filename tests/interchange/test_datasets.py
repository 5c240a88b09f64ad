"""The library itself reads what is written, and datasets that it saves, or that lie in its layouts, are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow
import pytest

from sibboleth import interchange
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput
from sibboleth.interchange import Asked

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_cache_of_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep out of the user's cache, and say nothing of progress."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def embedded(sounds: Path) -> Any:
    """A dataset of two rows with their sound inside, and a label as a number."""
    labels = datasets.ClassLabel(names=["angry", "sad"])
    kinds = {"speech": datasets.Audio(), "speaker_id": datasets.Value("int64"), "emotion": labels}
    features = datasets.Features({**kinds, "words": datasets.List(datasets.Value("string")), "face": datasets.Image()})
    rows = {
        "speech": [
            {"bytes": (sounds / f"{name}.wav").read_bytes(), "path": f"clips/{name}.wav"} for name in ("a0", "b0")
        ],
        "speaker_id": [3, 4],
        "emotion": [1, -1],
        "words": [["een", "twee"], []],
        "face": [{"bytes": b"png", "path": None}, None],
    }
    return datasets.Dataset(pyarrow.table(rows, schema=features.arrow_schema))


def test_saved_datasets_sound_becomes_files_by_content_and_labels_names(
    embedded: Any, tmp_path: Path, sounds: Path
) -> None:
    both = datasets.DatasetDict({"train": embedded, "validation": embedded.select([0])})
    both.save_to_disk(tmp_path / "both")
    embedded.save_to_disk(tmp_path / "one")
    asked = Asked(columns={"speaker": "speaker_id"}, embedded=tmp_path / "out" / "audio")
    for place in ("both", "one"):
        assert interchange.recognised(str(tmp_path / place)) == "datasets"
        back, found = interchange.read(str(tmp_path / place), "datasets", asked)
        rows = back.table.select("utterance", "speaker", "emotion", "words").rows()[:2]
        numbers = ("train-000001", "train-000002") if place == "both" else ("a0", "b0")
        assert rows == [(numbers[0], "3", "sad", ["een", "twee"]), (numbers[1], "4", None, [])]
        assert back.table["part"].to_list() == ["train", "train", "validation"] if place == "both" else True
        assert found.notes == ("columns of images, bytes and the like left out: face",)
        for written, name in zip(back.table["audio"], ("a0", "b0"), strict=False):
            assert Path(written).read_bytes() == (sounds / f"{name}.wav").read_bytes() and written.endswith(".wav")
    assert len(list((tmp_path / "out" / "audio").iterdir())) == 2  # the same sound is written once
    named, _ = interchange.read(str(tmp_path / "one"), "datasets", Asked(speaker="^(.)", embedded=tmp_path / "out"))
    assert named.table["speaker"].to_list() == ["a", "b"]


@pytest.mark.parametrize("which", ["spoken", "cut"])
def test_the_library_reads_what_is_written_and_nothing_is_lost(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    corpus: Corpus = request.getfixturevalue(which)
    place = tmp_path / "dataset"
    notes = interchange.write(corpus, place, "datasets")
    assert (which == "cut") == any("stay where they are" in note for note in notes)
    read = datasets.load_dataset(str(place), streaming=True)
    assert isinstance(read["train"].features["audio"], datasets.Audio)
    rows = [row for part in ("train", "test") for row in read[part].cast_column("audio", datasets.Audio(decode=False))]
    for row, audio in zip(rows, corpus.table["audio"], strict=True):
        sound = row["audio"]["bytes"] or Path(row["audio"]["path"]).read_bytes()
        assert sound == Path(audio).read_bytes()
    assert [row["arousal"] for row in rows] == [0.25, -1.5, None, 2.0] and rows[3]["text"] == "vier: vijf"
    back, _ = interchange.read(str(place), "datasets", Asked(embedded=tmp_path / "audio"))
    columns = [name for name in corpus.table.columns if name != "audio"]
    assert back.table.select(columns).equals(corpus.table.select(columns))
    sounds_of = [[Path(one).read_bytes() for one in table["audio"]] for table in (back.table, corpus.table)]
    assert sounds_of[0] == sounds_of[1]


def test_folders_of_recordings_with_metadata_or_a_folder_per_label(sounds: Path, tmp_path: Path) -> None:
    described = tmp_path / "described"
    for part, names in (("train", ("a0", "a1")), ("test", ("b0",))):
        (described / part).mkdir(parents=True)
        for name in names:
            (described / part / f"{name}.wav").write_bytes((sounds / f"{name}.wav").read_bytes())
        texts = {"a0": "een", "a1": '"één, twee"', "b0": ""}
        lines = [f"{name}.wav,{name[0]},{texts[name]}" for name in names]
        text = "\n".join(["file_name,speaker,text", *lines])
        (described / part / "metadata.csv").write_text(text, encoding="utf-8")
    assert interchange.recognised(str(described)) == "datasets"
    back, _ = interchange.read(str(described), "datasets", Asked())
    assert back.table.sort("utterance").select("utterance", "speaker", "text", "part").rows() == [
        ("a0", "a", "een", "train"),
        ("a1", "a", "één, twee", "train"),
        ("b0", "b", None, "test"),
    ]
    labelled = tmp_path / "labelled"
    for label, name in (("sad", "a0"), ("angry", "b0")):
        (labelled / label).mkdir(parents=True)
        (labelled / label / f"{name}.wav").write_bytes((sounds / f"{name}.wav").read_bytes())
    back, _ = interchange.read(str(labelled), "datasets", Asked(speaker="^(.)"))
    assert back.table.select("utterance", "speaker", "label").sort("utterance").rows() == [
        ("a0", "a", "sad"),
        ("b0", "b", "angry"),
    ]


def test_datasets_of_the_hub_by_name_subset_revision_and_stream(
    embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is not there in tests: what it is asked for is looked at, and a local dataset answers."""
    asked_for: list[tuple[object, ...]] = []

    def hub(name: str, subset: str | None, *, revision: str | None, streaming: bool) -> Any:
        asked_for.append((name, subset, revision, streaming))
        if subset is None:
            raise ValueError("Config name is missing. Please pick one among the available configs: ['nl', 'de']")
        return {"train": embedded.to_iterable_dataset() if streaming else embedded}

    monkeypatch.setattr(datasets, "load_dataset", hub)
    more = {"columns": {"speaker": "speaker_id"}, "embedded": tmp_path / "audio"}
    for streaming in (True, False):
        asked = Asked(subset=("nl",), streaming=streaming, rows=1, **more)  # type: ignore[arg-type]
        back, _ = interchange.read("owner/speech@v2", "datasets", asked)
        assert back.name == "speech@v2".partition("@")[0] and back.table["utterance"].to_list() == ["a0"]
    assert asked_for == [("owner/speech", "nl", "v2", True), ("owner/speech", "nl", "v2", False)]
    with pytest.raises(
        InvalidInput, match=r"is there in several configurations; choose one: --subset NAME .*'nl', 'de'"
    ):
        interchange.read("owner/speech", "datasets", Asked(**more))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="no such folder, and no name of a dataset of the hub"):
        interchange.read("./speech", "datasets", Asked())


def test_what_is_no_corpus_is_told(embedded: Any, tmp_path: Path) -> None:
    embedded.remove_columns(["speech"]).save_to_disk(tmp_path / "silent")
    with pytest.raises(InvalidInput, match="no column of recordings; there are: speaker_id, emotion, words, face"):
        interchange.read(str(tmp_path / "silent"), "datasets", Asked())
    embedded.save_to_disk(tmp_path / "anonymous")
    with pytest.raises(InvalidInput, match=r"--columns\.speaker speaker_id"):
        interchange.read(str(tmp_path / "anonymous"), "datasets", Asked(embedded=tmp_path / "audio"))
    assert not (tmp_path / "audio").exists()  # nothing is written for a corpus that there will not be
    column = [None, {"bytes": b"RIFF", "path": None}]
    rows = pyarrow.table(
        {"audio": column, "speaker": ["a", "b"]},
        schema=datasets.Features({"audio": datasets.Audio(), "speaker": datasets.Value("string")}).arrow_schema,
    )
    datasets.Dataset(rows).save_to_disk(tmp_path / "gaps")
    back, found = interchange.read(str(tmp_path / "gaps"), "datasets", Asked(embedded=tmp_path / "audio"))
    assert back.table["speaker"].to_list() == ["b"] and found.notes == ("1 rows without sound left out",)
    (tmp_path / "text").mkdir()
    pl.DataFrame({"sentence": ["a"]}).write_parquet(tmp_path / "text" / "train.parquet")
    with pytest.raises(InvalidInput, match="of no format that is known here"):
        interchange.recognised(str(tmp_path / "text"))
