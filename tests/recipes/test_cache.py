"""`sibboleth cache`: see, verify and empty."""

import math
import os
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console

from sibboleth import audio, corpus
from sibboleth.errors import SibbolethError
from sibboleth.models.recognition.kept import Kept
from sibboleth.models.shards import opened
from sibboleth.progress import console
from sibboleth.recipes import encode as encoding
from sibboleth.recipes.cache import bytes_of, clear, export, prune, size, verify
from sibboleth.recipes.encode import encode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "one.wav", 0.1 * np.random.default_rng(0).standard_normal(12_000), 16_000)
    (tmp_path / "manifest.csv").write_text("audio,speaker\none.wav,s\n")
    for name in ("logmel", "untrained:tiny-wav2vec2"):
        encode(name, tmp_path / "manifest.csv", folder=tmp_path / "cache")
    return tmp_path / "cache"


def test_size_lists_every_encoder(folder: Path, tmp_path: Path) -> None:
    held = {one.encoder: one for one in size(folder=folder).encoders}
    assert set(held) == {"logmel", "untrained:tiny-wav2vec2"}
    assert (held["logmel"].utterances, held["logmel"].layers, held["logmel"].dim) == (1, 1, 131)
    assert sum(one.bytes for one in held.values()) == sum(f.stat().st_size for f in folder.rglob("*.features"))


@pytest.mark.parametrize("verb", [size, verify, partial(prune, to="0"), partial(clear, "all")])
def test_what_is_no_cache_is_told_and_one_never_used_is_empty(
    verb: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("words")
    with pytest.raises(SibbolethError, match=r"is no folder.*--folder"):
        verb(folder=file)
    with pytest.raises(SibbolethError, match="no such folder"):
        verb(folder=tmp_path / "nothing")
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "unused"))
    assert any(word in shown(verb()) for word in ("is empty", "nothing can go"))
    monkeypatch.setenv("SIBBOLETH_CACHE", str(file))
    with pytest.raises(SibbolethError, match=r"is no folder.*SIBBOLETH_CACHE"):
        verb()


def test_verify_removes_what_is_corrupt(folder: Path) -> None:
    assert verify(folder=folder).title == "every file is sound"
    path = next(folder.rglob("*.features"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert verify(folder=folder).title == "1 corrupt files of 2 were removed"
    assert len(size(folder=folder).encoders) == 1


def test_clear_removes_one_encoder_by_name_or_identity(folder: Path) -> None:
    with pytest.raises(SibbolethError, match="it holds: logmel, untrained:tiny-wav2vec2"):
        clear("wavlm", folder=folder)
    assert [one.encoder for one in clear("logmel", folder=folder).encoders] == ["logmel"]
    (left,) = size(folder=folder).encoders
    clear(left.identity[:12], folder=folder)
    assert size(folder=folder).encoders == ()


def test_clear_leaves_files_of_a_newer_version_and_says_so(folder: Path) -> None:
    older = list(folder.rglob("*.features"))
    newer = [path.with_name(f"{'0' * 32}.features") for path in older]
    for path, name in zip(older, newer, strict=True):
        name.write_bytes(path.read_bytes().replace(b"features 1", b"features 2"))
    older[0].unlink()
    for _ in range(2):
        assert "2 files of a newer sibboleth are left alone" in shown(clear("all", folder=folder))
        assert sorted(folder.rglob("*.features")) == sorted(newer)


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Encode one recording after another, so that each has a file of its own; returns the cache."""
    rng = np.random.default_rng(0)
    rows = ["utterance,audio,speaker"]
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(12_000), 16_000)
        rows.append(f"{name},{name}.wav,s")
        (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
        encode("logmel", tmp_path / "manifest.csv", folder=tmp_path / "cache")
    return tmp_path / "cache"


def files(folder: Path) -> list[Path]:
    """Return the shards, those used longest ago first."""
    return sorted(folder.rglob("*.features"), key=lambda path: path.stat().st_mtime)


def shown(what: object) -> str:
    wide = Console(width=200)
    with wide.capture() as said:
        wide.print(what)
    return " ".join(said.get().split())


def test_prune_shows_first_and_removes_only_when_told(several: Path) -> None:
    assert len(files(several)) == 3
    for age, path in zip((90, 30, 0), files(several), strict=True):
        os.utime(path, (path.stat().st_mtime - age * 86_400,) * 2)
    found = prune(unused_for=60, folder=several)
    assert "--yes" in shown(found)
    assert [row[3] for row in found.rows] == [1]
    assert len(files(several)) == 3
    assert "were removed" in shown(prune(unused_for=60, yes=True, folder=several))
    assert len(files(several)) == 2
    assert "nothing can go" in shown(prune(unused_for=60, yes=True, folder=several))
    assert len(size(folder=several).encoders) == 1


def test_prune_to_a_size_takes_what_was_used_longest_ago(several: Path) -> None:
    for age, path in zip((9, 5, 1), files(several), strict=True):
        os.utime(path, (path.stat().st_mtime - age * 86_400,) * 2)
    newest = files(several)[-1]
    prune(to=f"{newest.stat().st_size}", yes=True, folder=several)
    assert files(several) == [newest]
    prune(to="1GB", yes=True, folder=several)
    assert files(several) == [newest]


def test_prune_finds_what_has_lost_its_audio(several: Path, tmp_path: Path) -> None:
    assert prune(gone=True, folder=several).rows == ()
    (tmp_path / "b.wav").unlink()
    soundfile.write(tmp_path / "c.wav", 0.2 * np.random.default_rng(9).standard_normal(9_000), 16_000)
    assert [row[2:4] for row in prune(gone=True, yes=True, folder=several).rows] == [("its audio is gone", 2)]
    (tmp_path / "few.csv").write_text("audio,speaker\na.wav,s\n")
    (left,) = files(several)
    assert opened(left).digests == audio.scan(corpus.read(tmp_path / "few.csv").table)["digest"].to_list()


def test_prune_keeps_what_no_scan_knows(several: Path, tmp_path: Path) -> None:
    (tmp_path / "b.wav").unlink()
    for path in several.glob("scans.sqlite*"):
        path.unlink()
    (tmp_path / "few.csv").write_text("audio,speaker\na.wav,s\n")
    audio.scan(corpus.read(tmp_path / "few.csv").table, store=several / "scans.sqlite")
    found = prune(gone=True, yes=True, folder=several)
    assert (found.rows, found.unknown) == ((), 2)
    assert "2 files hold audio that no scan from here knows" in shown(found)
    assert len(files(several)) == 3
    (tmp_path / "a.wav").unlink()
    assert [row[3] for row in prune(gone=True, yes=True, folder=several).rows] == [1]
    assert len(files(several)) == 2


def test_audio_that_is_there_under_another_name_is_not_gone(several: Path, tmp_path: Path) -> None:
    (tmp_path / "b.wav").rename(tmp_path / "moved.wav")
    assert [row[3] for row in prune(gone=True, folder=several).rows] == [1]
    (tmp_path / "few.csv").write_text("audio,speaker\nmoved.wav,s\n")
    audio.scan(corpus.read(tmp_path / "few.csv").table, store=several / "scans.sqlite")
    assert prune(gone=True, folder=several).rows == ()


def test_using_features_keeps_them_from_being_pruned(several: Path, tmp_path: Path) -> None:
    for path in files(several):
        os.utime(path, (0, 0))
    encode("logmel", tmp_path / "manifest.csv", folder=several)
    assert prune(unused_for=1, folder=several).rows == ()


def test_prune_refuses_what_it_cannot_understand(several: Path) -> None:
    with pytest.raises(SibbolethError, match="--gone"):
        prune(folder=several)
    with pytest.raises(SibbolethError, match="no size"):
        prune(to="much", folder=several)
    for days in (-1, math.nan, math.inf):
        with pytest.raises(SibbolethError, match="number of days"):
            prune(unused_for=days, folder=several)
    (several / "scans.sqlite").unlink()
    with pytest.raises(SibbolethError, match="cannot tell which audio is gone"):
        prune(gone=True, folder=several)
    assert len(files(several)) == 3
    assert [bytes_of(text) for text in ("20GB", "1.5 kb", "7", "2M")] == [20 * 10**9, 1500, 7, 2 * 10**6]


def test_features_are_exported_for_other_tools(several: Path, tmp_path: Path) -> None:
    encode("logmel", tmp_path / "manifest.csv", output=tmp_path / "expected.npz", folder=several)
    expected = np.load(tmp_path / "expected.npz")
    done = export("logmel", tmp_path / "manifest.csv", tmp_path / "out.npz", folder=several)
    assert "3 utterances, layers 0 of 131 with logmel" in shown(done)
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["utterance"].tolist() == ["a", "b", "c"]
        assert arrays["layer"].tolist() == [0]
        assert arrays.files == expected.files
        np.testing.assert_array_equal(arrays["mean"], expected["mean"])
        np.testing.assert_array_equal(arrays["std"], expected["std"])
    export("logmel", tmp_path / "manifest.csv", tmp_path / "out.parquet", folder=several)
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table["utterance"].to_list() == ["a", "b", "c"]
    np.testing.assert_array_equal(table["std"].to_numpy(), expected["std"][:, 0])


def test_frames_are_shown_pruned_and_exported(several: Path, tmp_path: Path) -> None:
    manifest, output = tmp_path / "manifest.csv", tmp_path / "frames.parquet"
    with pytest.raises(SibbolethError, match="--frames LAYER"):
        export("logmel", manifest, output, frames=True, folder=several)
    with console.capture() as said:
        encode("logmel", manifest, frames=(0,), folder=several)
    assert "of it frames" in said.get()
    (held,) = size(folder=several).encoders
    assert held.frames == "0"
    assert held.frame_bytes == sum(path.stat().st_size for path in several.rglob("*.frames"))
    export("logmel", manifest, output, frames=True, folder=several)
    table = pl.read_parquet(output)
    means = np.stack([some["values"].to_numpy().mean(axis=0) for some in table.partition_by("utterance")])
    encode("logmel", manifest, output=tmp_path / "expected.npz", folder=several)
    np.testing.assert_allclose(means, np.load(tmp_path / "expected.npz")["mean"][:, 0], rtol=1e-4, atol=1e-5)
    assert table["seconds"].max() < 0.76
    with pytest.raises(SibbolethError, match=r"\.parquet"):
        export("logmel", manifest, tmp_path / "out.npz", frames=True, folder=several)
    prune(to="0", yes=True, folder=several)
    assert size(folder=several).encoders == ()


def test_frames_that_do_not_fit_on_the_disk_are_refused_before_any_work(
    several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(encoding.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10))
    with pytest.raises(SibbolethError, match=r"MB of it frames.*are free"):
        encode("logmel", tmp_path / "manifest.csv", frames=(0,), folder=several)
    assert not list(several.rglob("*.frames"))


def test_what_is_not_in_the_cache_is_not_exported(several: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "d.wav", 0.1 * np.random.default_rng(7).standard_normal(12_000), 16_000)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text() + "d,d.wav,s\n")
    done = export("logmel", manifest, tmp_path / "out.npz", folder=several)
    assert (done.utterances, done.excluded["utterance"].to_list()) == (3, ["d"])
    with pytest.raises(SibbolethError, match="holds no encoder 'wavlm'"):
        export("wavlm", manifest, tmp_path / "out.npz", folder=several)
    with pytest.raises(SibbolethError, match="layers 0 to 0, not 4"):
        export("logmel", manifest, tmp_path / "out.npz", layer=(4,), folder=several)
    with pytest.raises(SibbolethError, match=r"\.npz or \.parquet"):
        export("logmel", manifest, tmp_path / "out.mat", folder=several)


def test_verify_finds_audio_that_changed_behind_size_and_time(several: Path, tmp_path: Path) -> None:
    assert "all audio is as it was" in verify(audio=True, folder=several).remarks[0]
    path = tmp_path / "b.wav"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-101:-1] = bytes(range(100))
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert encode("logmel", tmp_path / "manifest.csv", folder=several).encoded == 0
    (told,) = verify(audio=True, folder=several).remarks
    assert "b.wav" in told
    assert encode("logmel", tmp_path / "manifest.csv", folder=several).encoded == 1


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with features of one encoder and transcripts of two recognisers; one has lines that tell nothing."""
    monkeypatch.setenv("SIBBOLETH_CACHE", str(tmp_path / "cache"))
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(12_000), 16_000)
    (tmp_path / "manifest.csv").write_text("audio,speaker\na.wav,s\n")
    encode("logmel", tmp_path / "manifest.csv")
    (digest,) = audio.scan(corpus.read(tmp_path / "manifest.csv").table, store=tmp_path / "cache" / "scans.sqlite")[
        "digest"
    ]
    for letter, name in ("a", "one/ctc"), ("b", "two/whisper"):
        kept = Kept(letter * 64, name)
        with kept.adding() as adding:
            adding.add(digest, "de kat")
            adding.add("0" * 64, "zit")
    with kept.path.open("a") as stream:
        stream.write(kept.path.read_text().strip().splitlines()[-1].replace("zit", "zat") + '\n{"recogn')
    return tmp_path / "cache"


def test_transcripts_are_shown_mended_and_removed(texts: Path) -> None:
    held = {one.encoder: one.utterances for one in size().encoders}
    assert held == {"logmel": 1, "one/ctc": 2, "two/whisper": 2}
    assert "two/whisper (transcripts)" in shown(size())
    before = Kept("b" * 64, "two/whisper").read()
    assert before["0" * 64] == "zit", "what was changed is passed over"
    assert verify().title == "2 corrupt transcripts were removed"
    assert verify().title == "every file is sound"
    assert Kept("b" * 64, "two/whisper").read() == before
    assert [one.encoder for one in clear("two/whisper").encoders] == ["two/whisper"]
    assert [one.encoder for one in clear("aaaaaaaaaaaa").encoders] == ["one/ctc"]
    assert [one.encoder for one in size().encoders] == ["logmel"] and Kept("a" * 64, "one/ctc").read() == {}


def test_transcripts_are_pruned_as_a_whole_but_not_while_somebody_adds_to_them(texts: Path, tmp_path: Path) -> None:
    first, second = (texts / "transcripts" / f"{letter * 64}.jsonl" for letter in "ab")
    os.utime(first, (first.stat().st_mtime - 90 * 86_400,) * 2)
    assert [row[0] for row in prune(unused_for=60).rows] == ["one/ctc"] and first.exists()
    with Kept("a" * 64, "one/ctc").adding():
        assert prune(unused_for=60, yes=True).busy == ("one/ctc",) and first.exists()
        with pytest.raises(SibbolethError, match="in use"):
            clear("one/ctc")
    Kept("a" * 64, "one/ctc").read()
    assert not prune(unused_for=60).rows, "it has just been used"
    assert not prune(gone=True).rows
    (tmp_path / "a.wav").unlink()
    assert {row[0] for row in prune(gone=True).rows} == {"logmel"}, "of the other recording no scan knows"
    assert {row[0] for row in prune(to="0", yes=True).rows} == {"logmel", "one/ctc", "two/whisper"}
    assert not first.exists() and not second.exists()
    assert "is empty" in shown(clear("all"))
