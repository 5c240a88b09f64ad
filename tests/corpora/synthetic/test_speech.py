"""The speaking program: same answer whatever went before, and no way for it to take the tool down."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth.corpora.synthetic import speech, worker
from sibboleth.corpora.synthetic.worker import Script, Worker
from sibboleth.errors import MissingExtra, SibbolethError

pytest.importorskip("espeakng_loader")


@pytest.fixture
def script(tmp_path: Path) -> Script:
    words = ("The", "train", "to", "the", "city", "leaves", "at", "seven.")
    return Script(
        audio=str(tmp_path / "one.flac"),
        words=words,
        spoken=words,
        voice="gmw/en+f3",
        pitches=(50,) * len(words),
        spread=50,
        speed=165,
        level=-28.0,
        colour=(0.0, 0.0),
        seed=7,
    )


def read(script: Script) -> np.ndarray:
    samples, rate = soundfile.read(script.audio, dtype="int16")
    assert rate == 16_000
    return samples


def test_what_was_said_before_changes_nothing(script: Script, tmp_path: Path) -> None:
    german = replace(script, audio=str(tmp_path / "two.flac"), voice="gmw/de+m3", spoken=script.spoken[::-1], seed=3)
    first = replace(script, audio=str(tmp_path / "first.flac"))
    list(worker.speak([first, german, script], workers=1))
    assert np.array_equal(read(first), read(script))
    assert Path(first.audio).read_bytes() == Path(script.audio).read_bytes()


def test_segments_are_in_order_and_where_the_sound_is(script: Script) -> None:
    ((*found,),) = worker.speak([script], workers=1)
    samples = read(script) / 32768
    phones = [segment for segment in found if segment.tier == "phone"]
    words = [segment for segment in found if segment.tier == "word"]
    assert tuple(word.label for word in words) == script.words
    assert "".join(phone.label for phone in phones).startswith("ðətɹeɪn")
    for tier in (phones, words):
        assert all(a.end <= b.start + 1e-9 for a, b in zip(tier, tier[1:], strict=False))
        assert tier[0].start >= 0.05
        assert tier[-1].end <= len(samples) / 16_000
    loud = {
        phone.label: np.sqrt(np.mean(samples[int(phone.start * 16_000) : int(phone.end * 16_000)] ** 2))
        for phone in phones
    }
    assert loud["eɪ"] > 3 * loud["t"]
    edge = samples[: int(0.045 * 16_000)]
    assert 0 < np.sqrt(np.mean(edge**2)) < 10 ** (-65 / 20)


def test_level_and_colour_are_as_asked(script: Script, tmp_path: Path) -> None:
    coloured = replace(script, audio=str(tmp_path / "coloured.flac"), colour=(6.0, 0.0), level=-34.0)
    list(worker.speak([script, coloured], workers=1))
    plain, changed = read(script) / 32768, read(coloured) / 32768
    assert len(plain) == len(changed)

    def level(samples: np.ndarray) -> float:
        return 10 * np.log10(np.mean(samples**2))

    assert level(plain) - level(changed) == pytest.approx(6.0, abs=0.05)
    spectra = [10 * np.log10(np.abs(np.fft.rfft(samples)) ** 2 + 1e-9) for samples in (plain, changed)]
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(len(plain), 1 / 16_000) / 700)
    heard = mel < 1800
    gain, ripple = (spectra[1] - spectra[0])[heard], np.cos(2 * np.pi * mel / 700)[heard]
    assert np.polyfit(ripple, gain, 1)[0] == pytest.approx(6.0, abs=0.5)


def test_a_level_that_would_clip_is_lowered(script: Script) -> None:
    loud = replace(script, level=0.0)
    list(worker.speak([loud], workers=1))
    assert 0.9 < np.abs(read(loud)).max() / 32768 < 0.999


def test_an_unknown_voice_is_named_and_leaves_no_file(script: Script) -> None:
    with pytest.raises(SibbolethError, match="no voice 'xx'"):
        list(worker.speak([replace(script, voice="xx")], workers=1))
    assert not Path(script.audio).parent.joinpath("one.flac").exists()


def test_a_worker_that_was_killed_is_started_again() -> None:
    with Worker() as worker:
        before = worker.version()
        worker._process.kill()
        worker._process.wait()
        assert worker.version() == before


def test_a_task_that_kills_the_worker_twice_is_an_error_that_says_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(worker: Worker) -> "subprocess.Popen[str]":
        program = "import sys; sys.stdin.readline(); sys.exit('broken to pieces')"
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=worker._complaints,
            encoding="utf-8",
        )

    monkeypatch.setattr(Worker, "_start", dying)
    with Worker() as worker, pytest.raises(SibbolethError, match=r"died twice.*broken to pieces"):
        worker.version()


def test_a_long_path_to_the_data_is_survived(tmp_path: Path) -> None:
    import espeakng_loader

    long = tmp_path / ("a" * 100) / ("b" * 100)
    long.parent.mkdir()
    long.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    program = (
        "import sys; from pathlib import Path; from sibboleth.corpora.synthetic.speech import Espeak\n"
        "with Espeak(Path(sys.argv[1])) as e:\n"
        " print(len(e.speak(['Hello.'], 'gmw/en+f2', pitches=[50], spread=50, speed=165, seed=1).samples))"
    )
    lengths = {
        subprocess.run(
            [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
        ).stdout.strip()
        for path in (long, Path(espeakng_loader.get_data_path()))
    }
    assert len(lengths) == 1


def test_a_short_path_is_given_as_it_is(tmp_path: Path) -> None:
    with speech.short_path(Path("/data")) as path:
        assert path == Path("/data")
    long = Path("/" + "x" * 300)
    with speech.short_path(long) as path:
        assert len(str(path)) <= speech.LONGEST_PATH
    assert not path.exists()


def test_a_missing_extra_is_named_with_its_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sibboleth.corpora.synthetic import corpus as synthetic

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtra, match=r"the controlled corpus needs.*sibboleth\[speech\]"):
        synthetic.prepare(tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()
