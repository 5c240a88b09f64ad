"""Copies: the same sound on both sides of a test, in other files, encodings or cuts."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import soxr

from sibboleth import audio, splits
from sibboleth.audit import Finding
from sibboleth.splits import Fit

Audited = Callable[..., dict[str, Finding]]


def prints(count: int, seed: int = 0, frames: int = 90) -> list[bytes]:
    random = np.random.default_rng(seed)
    return [random.integers(1, 2**32, frames, dtype=np.uint32).astype("<u4").tobytes() for _ in range(count)]


def worn(one: bytes, share: float, seed: int = 0) -> bytes:
    """Flip a share of the bits."""
    frames = np.frombuffer(one, "<u4")
    flips = np.random.default_rng(seed).random((len(frames), 32)) < share
    return (frames ^ np.packbits(flips, axis=1).view(">u4")[:, 0].astype("<u4")).tobytes()


def scanned(table: pl.DataFrame, heard: list[bytes]) -> pl.DataFrame:
    digests = [hashlib.sha256(one).hexdigest() for one in heard]
    return table.select("utterance", pl.Series("digest", digests), pl.Series("fingerprint", heard, pl.Binary))


def test_a_copy_across_parts_is_an_error_with_its_pair(table: pl.DataFrame, audited: Audited) -> None:
    heard = prints(len(table))
    assert audited(table, scan=scanned(table, heard)) == {}
    heard[100] = worn(heard[3], 0.05)  # A/0003 trains, A/0100 tests
    findings = audited(table, scan=scanned(table, heard))
    assert set(findings) == {"near-duplicate-audio"}
    found = findings["near-duplicate-audio"]
    assert found.grade == "error" and found.utterances == ("A/0100",)
    assert "copies of 1 utterance in test" in found.message and "in 1 of 2 tests" in found.message
    assert "A/0003 and A/0100 (2.2 s, " in found.message


def test_a_copy_within_a_test_is_a_warning_and_within_train_nothing(table: pl.DataFrame, audited: Audited) -> None:
    heard = prints(len(table))
    heard[101] = worn(heard[100], 0.05)
    found = audited(table, scan=scanned(table, heard))
    assert set(found) == {"near-duplicate-test"} and found["near-duplicate-test"].grade == "warning"
    assert found["near-duplicate-test"].utterances == ("A/0100", "A/0101")
    heard = prints(len(table))
    heard[1] = worn(heard[2], 0.05)
    assert audited(table, scan=scanned(table, heard)) == {}


def test_the_very_same_audio_is_not_reported_twice(table: pl.DataFrame, audited: Audited) -> None:
    heard = prints(len(table))
    heard[100] = heard[3]
    assert set(audited(table, scan=scanned(table, heard))) == {"identical-audio", "duplicate-audio"}
    heard[110] = worn(heard[3], 0.05)
    found = audited(table, scan=scanned(table, heard))
    assert found["near-duplicate-audio"].utterances == ("A/0110",)
    assert found["near-duplicate-test"].utterances == ("A/0100", "A/0110")


def test_overlapping_segments_of_a_file(table: pl.DataFrame, audited: Audited) -> None:
    def cut(spans: dict[int, tuple[float, float]]) -> pl.DataFrame:
        times = [spans.get(n, (10.0 * n, 10.0 * n + 4)) for n in range(len(table))]
        start, end = (pl.Series([time[side] for time in times], dtype=pl.Float64) for side in (0, 1))
        return table.with_columns(audio=pl.lit("/x/hour.wav"), start=start, end=end)

    assert audited(cut({})) == {}
    found = audited(cut({100: (32.0, 36.0)}))["overlapping-segments"]  # row 3 trains on 30 to 34 s
    assert found.grade == "error" and found.utterances == ("A/0100",)
    assert "A/0003 and A/0100 (2.0 s)" in found.message
    assert audited(cut({100: (33.8, 36.0)})) == {}  # the padding of a segmenter
    assert "overlapping-segments" in audited(cut({100: (33.7, 34.2)}))  # more than half of it
    assert "overlapping-segments" in audited(cut({100: (0.0, 100.0)}))
    other = cut({100: (32.0, 36.0)}).with_columns(audio=pl.concat_str(pl.lit("/x/"), "utterance"))
    assert audited(other) == {}


def test_a_whole_file_holds_all_its_segments(table: pl.DataFrame, audited: Audited) -> None:
    rows = pl.int_range(pl.len())
    mixed = table.with_columns(
        audio=pl.when(rows == 100).then(pl.lit("/x/3.wav")).otherwise("audio"),
        start=pl.when(rows == 100).then(1.0),
        end=pl.when(rows == 100).then(3.0),
    )
    assert audited(mixed)["overlapping-segments"].utterances == ("A/0100",)


@pytest.mark.parametrize("side", ["train", "dev"])
def test_real_speech_that_was_re_encoded(real_speech: Path, tmp_path: Path, side: str, audited: Audited) -> None:
    files = sorted((real_speech / "emodb" / "wav").iterdir())[:30]
    sound, rate = soundfile.read(files[4], dtype="float32")
    soundfile.write(tmp_path / "copy.mp3", soxr.resample(sound[rate // 5 :], rate, 22050), 22050)
    paths = [*files, tmp_path / "copy.mp3"]
    table = pl.DataFrame({"utterance": [path.stem for path in paths], "audio": [str(path) for path in paths]})
    table = table.with_columns(
        corpus=pl.lit("emodb"),
        speaker=pl.lit("03"),
        emotion=pl.col("utterance").str.slice(5, 1),
        start=pl.lit(None, pl.Float64),
        end=pl.lit(None, pl.Float64),
    )
    part = np.arange(30)
    train, dev = (part, part[:0]) if side == "train" else (part[5:], part[:5])
    fit = Fit("emodb", "fold-1", train, dev, (splits.Test("within", "emodb", np.array([30])),))
    finding = audited(table, (fit,), scan=audio.scan(table))["near-duplicate-audio"]
    assert finding.utterances == ("copy",) and files[4].stem in finding.message


def test_a_recording_that_could_not_be_read_is_nobodys_partner(table: pl.DataFrame, audited: Audited) -> None:
    heard = prints(len(table))
    heard[100] = worn(heard[3], 0.05)
    scan = scanned(table, heard)
    for lost in (0, 50):  # before the copies, and between them; nothing was heard of it
        unread = pl.when(pl.int_range(pl.len()) == lost)
        broken = scan.with_columns(
            unread.then(None).otherwise(pl.col(name)).alias(name) for name in ("digest", "fingerprint")
        )
        for end in (100, 3):  # whichever of the two has the last code
            digests = broken["digest"].to_list()
            digests[end] = "f" * 64
            found = audited(table, scan=broken.with_columns(pl.Series("digest", digests)))["near-duplicate-audio"]
            assert "A/0003 and A/0100 (2.2 s, " in found.message
