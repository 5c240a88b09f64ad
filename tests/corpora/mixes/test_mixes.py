"""A corpus of mixes: its folder and manifest, made again to the byte, also after a kill; refused where it cannot be."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from tests.corpora.mixes.conftest import AFTER, BEFORE, LABELS, LONG, RATE, make

from sibboleth import corpora, corpus
from sibboleth.audio.rechecking import digest
from sibboleth.corpora.mixes.corpus import Mixed, Mixing, prepare
from sibboleth.corpora.mixes.patterns import PATTERNS
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, SibbolethError


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(spoken: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mixed]:
    root = tmp_path_factory.mktemp("mixes")
    return root, prepare(root, spoken, Mixing())


def test_every_mix_is_what_its_row_says(made: tuple[Path, Mixed], spoken: Corpus) -> None:
    root, mixed = made
    said = {row["utterance"]: row for row in spoken.table.iter_rows(named=True)}
    table = mixed.corpus.table
    assert len(table) == 24 and set(table["pattern"]) == set(PATTERNS)
    assert "take" not in table.columns  # differs within a speaker, so that it is of no mix
    for row in table.iter_rows(named=True):
        sources = json.loads(row["sources"])
        uttered = [said[one["utterance"]] for one in sources]
        assert {one["speaker"] for one in uttered} == {row["speaker"]} and uttered[0]["age"] == row["age"]
        assert [one["digest"] for one in sources] == [digest(one["audio"]) for one in uttered]
        assert row["text"] == " ".join(one["text"] for one in uttered)
        told = json.loads(row["segments"])
        assert [one["label"] for one in told] == [one["emotion"] for one in uttered]
        assert row["emotion"] == "-".join(dict.fromkeys(one["label"] for one in told if one["label"] != "neutral"))
        samples, rate = soundfile.read(row["audio"])
        assert rate == RATE and soundfile.info(row["audio"]).subtype == "PCM_16"
        assert told[0]["start"] == 0 and told[-1]["end"] * rate == pytest.approx(len(samples), abs=1e-6)
        for one in told:
            assert one["end"] - one["start"] == pytest.approx(LONG + 0.05, abs=0.05)
            inside = samples[round(one["start"] * rate) + 1600 : round(one["end"] * rate) - 1600]
            assert 20 * np.log10(np.sqrt(np.mean(inside**2))) == pytest.approx(-26, abs=1.0)


def test_no_utterance_is_used_more_often_than_it_must(made: tuple[Path, Mixed]) -> None:
    _, mixed = made
    uses = mixed.uses.with_columns(pl.col("utterance").str.head(2).alias("speaker"))
    assert uses["mixes"].sum() == 4 * (2 + 2 + 3 + 1 + 2 + 4)
    ranges = uses.group_by("speaker", "label").agg(pl.col("mixes").max() - pl.col("mixes").min())
    assert ranges["mixes"].max() <= 1


def test_the_same_again_is_the_same_to_the_byte_and_another_order_too(
    made: tuple[Path, Mixed], spoken: Corpus, tmp_path: Path
) -> None:
    root, mixed = made
    backwards = Corpus("spoken", spoken.table.reverse(), spoken.source)
    again = prepare(tmp_path / root.name, backwards, Mixing())
    assert files(tmp_path / root.name) == files(root)
    assert again.corpus.table.drop("audio").equals(mixed.corpus.table.drop("audio"))
    other = prepare(tmp_path / "other", spoken, Mixing(seed=1))
    assert not other.corpus.table["sources"].equals(mixed.corpus.table["sources"])


def test_it_goes_on_after_a_kill(made: tuple[Path, Mixed], spoken: Corpus, tmp_path: Path) -> None:
    root, _ = made
    program = f"""
import os, signal
from pathlib import Path
from sibboleth import corpus
from sibboleth.corpora.mixes import corpus as mixes
def stop(items, *_):
    for number, item in enumerate(items):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield item
mixes.track = stop
mixes.prepare(Path({str(tmp_path)!r}), corpus.read(Path({str(spoken.source)!r})), mixes.Mixing())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode != 0
    begun = files(tmp_path / "audio")
    assert len(begun) == 3
    (tmp_path / "audio" / ".part-leftover").write_bytes(b"half")
    prepare(tmp_path, spoken, Mixing())
    assert files(tmp_path) == files(root)


def test_a_folder_with_anything_else_is_left_as_it_is(made: tuple[Path, Mixed], spoken: Corpus, tmp_path: Path) -> None:
    root, _ = made
    before = files(root)
    with pytest.raises(SibbolethError, match="other speech or other settings"):
        prepare(root, spoken, Mixing(seed=1))
    assert files(root) == before
    assert spoken.source is not None
    with pytest.raises(SibbolethError, match="no mixes.json"):
        prepare(spoken.source.parent, spoken, Mixing())
    (tmp_path / "mixes.json").write_text("{")
    with pytest.raises(SibbolethError, match="cannot be read"):
        prepare(tmp_path, spoken, Mixing())


def test_changed_speech_is_not_mixed_with_what_is_there(tmp_path: Path) -> None:
    source = corpus.read(make(tmp_path, speakers=2))
    prepare(tmp_path / "mixes", source, Mixing(count=2))
    file = tmp_path / "s0-sad-0.wav"
    samples, rate = soundfile.read(file)
    soundfile.write(file, samples / 2, rate)
    with pytest.raises(SibbolethError, match="other speech"):
        prepare(tmp_path / "mixes", source, Mixing(count=2))


def test_who_lacks_a_label_is_named_and_mixed_as_far_as_it_goes(tmp_path: Path) -> None:
    lacking = (("s0", "neutral"), ("s1", "sad"), ("s1", "happy"), *(("s2", label) for label in LABELS[:-1]))
    mixed = prepare(tmp_path / "mixes", corpus.read(make(tmp_path, lacking=lacking)), Mixing(count=60))
    told = " | ".join(mixed.notes)
    assert "s0 de: only in e, e1-e2 (no neutral)" in told
    assert "s1 de: only in n-e, e-n, n-e-n, e (no happy, no sad)" in told
    assert "s2 de: only in e (no neutral, no angry, no happy)" in told
    assert "s3" not in told
    table = mixed.corpus.table
    assert set(table.filter(pl.col("speaker") == "s0")["pattern"]) == {"e", "e1-e2"}
    assert table["pattern"].value_counts()["count"].to_list() == [10] * 6


def test_what_cannot_be_asked_for_is_named(spoken: Corpus, tmp_path: Path) -> None:
    for mixing, message in (
        (Mixing(label="mood"), "no column 'mood'.*emotion"),
        (Mixing(background="calm"), "no utterance is calm.*angry, happy, neutral, sad"),
        (Mixing(labels=("sad", "bored")), "no utterance is bored"),
        (Mixing(labels=("sad", "neutral")), "must differ"),
        (Mixing(labels=("sad",), patterns=("e1-e2",)), "no speaker has utterances for any of e1-e2"),
    ):
        with pytest.raises(InvalidInput, match=message):
            prepare(tmp_path / "mixes", spoken, mixing)
    assert not (tmp_path / "mixes").exists()


@pytest.mark.parametrize("name", ["emodb", "nemo", "ravdess"])
def test_real_speech_is_neither_clipped_nor_silent_and_does_not_click(
    name: str, real_speech: Path, tmp_path: Path
) -> None:
    source = corpora.prepare(name, real_speech / name)
    few = source.table["speaker"].unique().sort().head(2)
    source = Corpus(name, source.table.filter(pl.col("speaker").is_in(few.implode())))
    mixed = prepare(tmp_path, source, Mixing(count=12))
    for row in mixed.corpus.table.iter_rows(named=True):
        samples, rate = soundfile.read(row["audio"])
        assert 0.05 < np.abs(samples).max() < 0.9
        jumps = np.abs(np.diff(samples))
        for one in json.loads(row["segments"]):
            first, last = round(one["start"] * rate), round(one["end"] * rate)
            assert 10 * np.log10(np.mean(samples[first:last] ** 2)) == pytest.approx(-27, abs=3.5)
            if first:
                assert jumps[first - 170 : first + 170].max() < np.quantile(jumps, 0.999)


def test_the_silences_of_the_sources_are_gone(made: tuple[Path, Mixed]) -> None:
    _, mixed = made
    row = next(one for one in mixed.corpus.table.iter_rows(named=True) if one["pattern"] == "e")
    assert soundfile.info(row["audio"]).duration < BEFORE + LONG + AFTER - 0.3
