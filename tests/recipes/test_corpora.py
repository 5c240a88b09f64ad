import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console

from sibboleth import cli, corpora
from sibboleth.corpora import savee
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpora import Described, Known, check, known


def sound() -> bytes:
    written = io.BytesIO()
    soundfile.write(written, 0.1 * np.sin(np.arange(800)), 16000, format="WAV")
    return written.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """All of SAVEE as it was published, 480 recordings."""
    data = sound()
    for speaker in savee.SPEAKERS:
        (tmp_path / speaker).mkdir()
        for letters, emotion in savee.EMOTIONS.items():
            for number in range(1, 31 if emotion == "neutral" else 16):
                (tmp_path / speaker / f"{letters}{number:02d}.wav").write_bytes(data)
    return tmp_path


def test_a_corpus_that_is_whole_agrees(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = check("savee", root)
    assert found.agrees and found.exit_code == 0 and found.differing.is_empty()
    assert dict(found.counts.select("what", "here").iter_rows()) == dict(corpora.card("savee").counts)
    cli.main(["corpus", "check", "savee", str(root)])
    assert "480 utterances, 4 speakers: all of it is there" in capsys.readouterr().out


def test_what_is_missing_more_or_has_no_audio_is_told_and_the_command_ends_with_1(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 16):
        (root / f"KL/su{number:02d}.wav").unlink()
    (root / "DC/a16.wav").write_bytes(sound())
    (root / "JE/f01.wav").write_bytes(b"")
    (root / "JE/f02.wav").write_bytes(sound()[:400])
    found = check("savee", root)
    assert found.differing.rows() == [
        ("utterances", 480, 466, -14),
        ("emotion.angry", 60, 61, 1),
        ("emotion.surprised", 60, 45, -15),
        ("speaker.DC", 120, 121, 1),
        ("speaker.KL", 120, 105, -15),
    ]
    assert found.unusable["utterance"].to_list() == ["JE_f01", "JE_f02"]
    assert "empty" in found.unusable["reason"][0] and "truncated" in found.unusable["reason"][1]
    with pytest.raises(SystemExit) as caught:
        cli.main(["corpus", "check", "savee", str(root)])
    told = capsys.readouterr().out
    assert caught.value.code == 1
    for word in ("not as published", "emotion surprised", "-15", "+1", "recordings without audio: 2", "JE/f01.wav"):
        assert word in told


def test_a_folder_that_cannot_be_read_ends_with_2_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, word in (
        ("savee", "SAVEE's folder has DC/a01.wav"),
        ("nobody", "no corpus is called"),
        ("Crema_D", "(crema-d?)"),
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(["corpus", "check", name, str(tmp_path)])
        assert caught.value.code == 2 and word in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="synthetic is made here"):
        check("synthetic", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_it_is_not_published_how_much_each_says_the_speakers_with_least_are_told(tmp_path: Path) -> None:
    for name in ("SM1_F1_A01", "SM1_F2_A02", "SF2_F1_H01"):
        (tmp_path / f"{name}.wav").write_bytes(sound())
    found = check("urdu", tmp_path)
    assert found.speakers.rows() == [("SF2", 1), ("SM1", 2)]
    assert "fewest utterances" in str(found) and "400" in str(found)


def test_a_corpus_without_published_counts_is_only_listened_to(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.wav").write_bytes(sound())
    (tmp_path / "validated.tsv").write_text("client_id\tpath\tsentence\tlocale\nc1\ta.mp3\tHoi.\tnl\n")
    found = check("common-voice", tmp_path)
    assert found.agrees and "nothing was published to compare with" in str(found)


def test_the_list_has_a_line_for_each_and_reads_well_on_a_narrow_terminal() -> None:
    listed = known()
    assert isinstance(listed, Known) and sorted(listed.cards) == sorted(corpora.MODULES)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(listed)
    lines = console.export_text().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in corpora.MODULES)
    assert any(line.startswith("emodb ") and "535" in line and "verified" in line for line in lines)
    assert any(line.startswith("synthetic ") and "made here" in line for line in lines)


def test_of_one_corpus_everything_is_told() -> None:
    one = known("ravdess")
    assert isinstance(one, Described)
    told = str(one)
    for word in (
        "CC BY-NC-SA 4.0",
        "Livingstone",
        "zenodo.1188976",
        "labels of emotion",
        "calm",
        "1,440",
        "each speaker",
    ):
        assert word in told
    with pytest.raises(InvalidInput, match="there are .*emodb"):
        known("nobody")


def test_real_files_beside_what_was_published(real_speech: Path) -> None:
    here = {name: check(name, real_speech / name) for name in ("emodb", "nemo", "ravdess", "zed")}
    counted = {name: dict(found.counts.select("what", "here").iter_rows()) for name, found in here.items()}
    assert [counted[name]["utterances"] for name in here] == [339, 252, 80, 180]
    assert [counted[name]["speakers"] for name in here] == [10, 9, 10, 73]
    assert here["zed"].differing.is_empty() and len(here["zed"].unusable) == 180  # labels alone, without recordings
    whole = pl.col("what").is_in([f"emotion.{emotion}" for emotion in ("angry", "happy", "neutral", "sad")])
    assert not here["emodb"].counts.filter(whole)["difference"].cast(bool).any()
    assert all(found.unusable.is_empty() for name, found in here.items() if name != "zed")
