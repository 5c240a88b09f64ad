"""lhotse itself reads what is written, and what it writes is read."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import interchange
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput
from sibboleth.interchange import Asked

lhotse = pytest.importorskip("lhotse")


def supervision(recording: str, id: str, start: float, **more: object) -> object:
    return lhotse.SupervisionSegment(
        id=id, recording_id=recording, start=start, duration=0.5, speaker="anna", gender="F", language="nl", **more
    )


@pytest.fixture
def cuts(sounds: Path) -> object:
    """Two supervisions in one recording, none in another."""
    recordings = [lhotse.Recording.from_file(sounds / f"{name}.wav", recording_id=name) for name in ("a0", "b0")]
    one = supervision("a0", "a0-1", 0.1, text="een", custom={"emotion": "sad", "age": 31, "vector": {"x": 1}})
    word = [lhotse.supervision.AlignmentItem("twee", 0.35, 0.1)]
    two = supervision("a0", "a0-2", 0.3, text="twee", alignment={"word": word})
    supervisions = lhotse.SupervisionSet.from_segments([one, two])
    return lhotse.CutSet.from_manifests(lhotse.RecordingSet.from_recordings(recordings), supervisions)


def test_lhotse_hears_what_is_written_as_it_is_meant(cut: Corpus, tmp_path: Path) -> None:
    interchange.write(cut, tmp_path / "cuts.jsonl.gz", "lhotse")
    read = list(lhotse.CutSet.from_file(tmp_path / "cuts.jsonl.gz"))
    assert [one.id for one in read] == ["a0", "a1", "b0", "b1"]
    for one, row in zip(read, cut.table.rows(named=True), strict=True):
        (said,) = one.supervisions
        assert (said.speaker, said.text, said.language, said.gender) == tuple(
            row[name] for name in ("speaker", "text", "language", "sex")
        )
        assert said.custom["emotion"] == row["emotion"] and said.custom["age"] == row["age"]
        sound, rate = soundfile.read(row["audio"])
        heard = one.load_audio()[0]
        np.testing.assert_allclose(heard, sound[round(row["start"] * rate) : round(row["end"] * rate)], atol=1e-6)
    lhotse.validate(lhotse.CutSet.from_cuts(read))


def test_cuts_of_lhotse_are_read_plain_trimmed_and_as_pairs(cuts: object, tmp_path: Path, sounds: Path) -> None:
    cuts.to_file(tmp_path / "whole.jsonl.gz")  # type: ignore[attr-defined]
    cuts.trim_to_supervisions().to_file(tmp_path / "trimmed.jsonl")  # type: ignore[attr-defined]
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    recordings, supervisions, _ = cuts.decompose()  # type: ignore[attr-defined]
    recordings.to_file(pairs / "mini_recordings_train.jsonl.gz")
    supervisions.to_file(pairs / "mini_supervisions_train.jsonl.gz")
    asked = Asked(speaker="^(.)")  # of the recording in which nobody is said to speak
    for place in ("whole.jsonl.gz", "trimmed.jsonl", "pairs", "pairs/mini_supervisions_train.jsonl.gz"):
        assert interchange.recognised(str(tmp_path / place)) == "lhotse"
        back, found = interchange.read(str(tmp_path / place), "lhotse", asked)
        said = back.table.filter(pl.col("text").is_not_null()).sort("utterance")
        assert said.select("utterance", "start", "end", "text", "language", "sex", "emotion", "age").rows() == [
            ("a0-1", 0.1, 0.6, "een", "nl", "F", "sad", 31),
            ("a0-2", 0.3, 0.8, "twee", "nl", "F", None, None),
        ]
        assert said["segments"][1] == '[{"start": 0.05, "end": 0.15, "label": "twee", "tier": "word"}]'
        assert found.notes == ("fields that are no text, number or list: left out (vector)",)
        assert len(back.table) == (2 if place.startswith("trimmed") else 3)
        assert ("part" in back.table.columns) == place.startswith("pairs")


def test_what_is_no_plain_recording_is_refused_with_what_to_do(cuts: object, tmp_path: Path, sounds: Path) -> None:
    first = cuts[0]  # type: ignore[index]
    witness = tmp_path / "was-run"
    command = lhotse.utils.fastcopy(first.recording, sources=[lhotse.AudioSource("command", [0], f"touch {witness}")])
    soundfile.write(sounds / "two.wav", np.zeros((8000, 2)), 8000)
    stereo = lhotse.Recording.from_file(sounds / "two.wav").to_cut()
    strange = [
        first.perturb_speed(0.9),
        first.mix(first.with_id("other")),
        first.pad(3.0),
        lhotse.utils.fastcopy(first, recording=command),
        stereo.to_mono()[1],
    ]
    lhotse.CutSet.from_cuts(one.with_id(str(k)) for k, one in enumerate(strange)).to_file(tmp_path / "x.jsonl")
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write(
            '{"id": "y", "start": 0, "duration": 1, "channel": 0, "features": {"type": "fbank"}, "type": "MonoCut"}'
        )
    with pytest.raises(InvalidInput) as caught:
        interchange.read(str(tmp_path / "x.jsonl"), "lhotse", Asked())
    assert not witness.exists()
    told = {problem.row: problem.message for problem in caught.value.problems}
    expected = (
        "(Speed)",
        "MixedCut",
        "MixedCut",
        "a command, which is not run",
        "channel 1 alone",
        "without a recording",
    )
    assert set(told) == {1, 2, 3, 4, 5, 6}
    for row, words in enumerate(expected, start=1):
        assert words in told[row]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("custom", "x", "custom must be an object"),
        ("alignment", ["x"], "alignment must be an object"),
        ("alignment", {"word": "x"}, "alignment must have lists"),
        ("alignment", {"word": [["x", None, 1]]}, "alignment must have lists"),
        ("start", 10**400, "has no start and duration"),
        ("start", float("nan"), "has no start and duration"),
        ("id", None, "has no id"),
    ],
)
def test_a_supervision_that_lhotse_would_not_write_is_refused_with_its_line(
    field: str, value: object, said: str, cuts: object, tmp_path: Path
) -> None:
    cut = cuts[0].to_dict()  # type: ignore[index]
    cut["supervisions"][0] |= {field: value}
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(cut)}\n")
    with pytest.raises(InvalidInput, match=rf"x\.jsonl:1: {said}"):
        interchange.read(str(tmp_path / "x.jsonl"), "lhotse", Asked())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"supervisions": 5}, "supervisions must be a list"),
        ({"supervisions": ["x"]}, "supervisions and sources must be objects"),
        ({"recording": {"sources": {"type": "file"}}}, "sources must be a list"),
        ({"recording": {"sources": ["x"]}}, "supervisions and sources must be objects"),
        ({"recording": {"sources": [{"channels": 1}]}}, "channels must be a list"),
        ({"recording": {"transforms": True}}, "transforms must be a list"),
    ],
)
def test_a_cut_that_lhotse_would_not_write_is_refused_with_its_line(
    change: dict[str, object], said: str, cuts: object, tmp_path: Path
) -> None:
    cut = cuts[0].to_dict()  # type: ignore[index]
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(cut | change)}\n")
    with pytest.raises(InvalidInput, match=rf"x\.jsonl:1: {said}"):
        interchange.read(str(tmp_path / "x.jsonl"), "lhotse", Asked())


def test_lhotse_reads_kaldi_folders_that_are_written(cut: Corpus, tmp_path: Path) -> None:
    from lhotse.kaldi import load_kaldi_data_dir

    interchange.write(cut, tmp_path / "k", "kaldi")
    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "k", sampling_rate=8000)
    assert {one.id: one.sources[0].source for one in recordings} == dict(cut.table.select("utterance", "audio").rows())
    read = {one.id: (one.start, one.end, one.speaker, one.text or None, one.gender) for one in supervisions}
    assert read == {
        row["utterance"]: (row["start"], row["end"], row["speaker"], row["text"], row["sex"][0])
        for row in cut.table.rows(named=True)
    }
