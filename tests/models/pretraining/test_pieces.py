"""Which speech there is: nested hours, long recordings, what cannot be used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth.errors import InvalidInput
from sibboleth.models.pretraining import pieces
from sibboleth.pretraining import Pretraining

Make = Callable[..., Pretraining]


def noise(samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(samples)


def names(made: Pretraining) -> list[str]:
    return pieces.gather(made).table["piece"].to_list()


def test_less_is_always_a_part_of_more_and_enough(make: Make) -> None:
    every = names(make())
    before: list[str] = []
    for seconds in (2, 5, 9, 14, 20):
        found = pieces.gather(make(hours=seconds / 3600))
        chosen = found.table["piece"].to_list()
        assert set(before) < set(chosen) < set(every)
        assert chosen == [name for name in every if name in chosen]
        assert seconds <= 3600 * found.hours < seconds + 2.5
        before = chosen


def test_the_seed_draws_and_other_rows_do_not(make: Make, manifest: Path) -> None:
    some = make(hours=6 / 3600)
    assert names(some) == names(some) != names(make(hours=6 / 3600, seed=1))
    rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    assert sorted(names(make(hours=6 / 3600))) == sorted(names(some))


def test_long_recordings_become_equal_parts(make: Make, tmp_path: Path, manifest: Path) -> None:
    soundfile.write(tmp_path / "long.wav", noise(8000 * 70), 8000)
    manifest.write_text("utterance,audio,speaker,start,end\na,long.wav,s,,\nb,long.wav,s,5,40\n")
    table = pieces.gather(make()).table
    assert table["piece"].to_list() == ["made/a#0", "made/a#1", "made/a#2", "made/b#0", "made/b#1"]
    assert table["start"].to_list() == pytest.approx([0, 70 / 3, 140 / 3, 5, 22.5])
    assert table["seconds"].to_list() == pytest.approx([70 / 3] * 3 + [17.5] * 2)


def test_what_cannot_be_used_is_left_out_with_the_reason(make: Make, tmp_path: Path, manifest: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    soundfile.write(tmp_path / "short.wav", noise(9000), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(30_000), 16_000)
    with manifest.open("a") as file:
        file.write("x,broken.wav,s,nl\ny,short.wav,s,nl\nz,silent.wav,s,nl\n")
    found = pieces.gather(make())
    assert len(found.table) == 14 and found.left_out["utterance"].to_list() == ["x", "y", "z"]
    unreadable, short, silent = found.left_out["reason"]
    assert "ormat" in unreadable and "batches.shortest" in short and "silent" in silent


def test_where_files_lie_does_not_change_what_they_are(make: Make, manifest: Path, tmp_path: Path) -> None:
    before = pieces.gather(make()).digest
    (tmp_path / "moved").mkdir()
    for file in [*tmp_path.glob("*.wav"), manifest]:
        (tmp_path / "moved" / file.name).write_bytes(file.read_bytes())
    corpus = {"name": "made", "manifest": str(tmp_path / "moved" / "manifest.csv")}
    assert pieces.gather(make(corpora=[corpus])).digest == before
    assert pieces.gather(make(hours=9 / 3600)).digest != before


def test_other_sound_under_the_same_name_is_other_speech(make: Make, tmp_path: Path) -> None:
    before = pieces.gather(make()).digest
    samples, rate = soundfile.read(tmp_path / "3.wav", dtype="float32")
    soundfile.write(tmp_path / "3.wav", samples[::-1], rate, subtype="FLOAT")
    assert pieces.gather(make()).digest != before


def test_more_than_there_is_and_nothing_at_all_are_refused(make: Make, manifest: Path) -> None:
    with pytest.raises(InvalidInput, match=r"has 0\.01 hours that can be used, not the 2 asked for; give fewer"):
        pieces.gather(make(hours=2.0))
    with pytest.raises(InvalidInput, match=r"no speech is left.*u0: shorter than batches\.shortest, 9 s"):
        pieces.gather(make(batches={"shortest": 9.0}))
    corpus = {"name": "made", "manifest": str(manifest), "keep": {"dialekt": ["x"]}}
    with pytest.raises(InvalidInput, match="no column 'dialekt', asked for by keep"):
        pieces.gather(make(corpora=[corpus]))
