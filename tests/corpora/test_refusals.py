import os
import re
import subprocess
from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput
from sibboleth.progress import console
from sibboleth.recipes.corpus import prepare

RECORDINGS = (
    "common-voice",
    "crema-d",
    "emodb",
    "esd",
    "fsdd",
    "l2-arctic",
    "ravdess",
    "shemo",
    "vctk",
    "cgn",
    "pavoque",
)


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def refused(name: str, root: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        corpora.prepare(name, root)
    return str(caught.value)


def command(told: str) -> str:
    return told.partition("To make FLAC of them: ")[2].partition("\n")[0]


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_of_a_kind_that_is_not_read_are_counted(tmp_path: Path, name: str) -> None:
    put(tmp_path, "b/y.M4A", "b/z.m4a", "c/x.amr")
    (tmp_path / "validated.tsv").write_text("client_id\tpath\tsentence\na\ty.mp3\tYes.\n")
    told = refused(name, tmp_path)
    assert f"{tmp_path}: no recordings in it or below" in told
    assert "Not read as they are: 2 .m4a and 1 .amr, such as b/y.M4A. To make FLAC of them: find " in told


@pytest.mark.parametrize("endings", [(".m4a",), (".M4a", ".aac")])
def test_the_command_that_is_given_makes_a_folder_that_is_read(tmp_path: Path, endings: tuple[str, ...]) -> None:
    root, tools = tmp_path / "it's 1st; a \\folder", tmp_path / "bin"
    names = ("03a01Fa", "03a01Wa")
    put(root, *(f"wav/{name}{ending}" for name, ending in zip(names, endings * 2, strict=False)))
    put(tools, "ffmpeg")
    (tools / "ffmpeg").write_text('#!/bin/sh\ncp "$3" "$4"\n')  # -nostdin -i SOURCE TARGET
    (tools / "ffmpeg").chmod(0o755)
    run = command(refused("emodb", root))
    subprocess.run(run, shell=True, check=True, env={"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"})
    assert corpora.prepare("emodb", root).table["utterance"].to_list() == list(names)


def test_recordings_that_are_passed_over_beside_others_are_told(tmp_path: Path) -> None:
    put(tmp_path, "wav/03a01Fa.wav", "wav/03a01Wa.m4a", "m4a/03a01Fa.m4a")
    with console.capture() as said:
        prepare("emodb", tmp_path)
    told = " ".join(said.get().split())
    assert "Not read as they are: 1 .m4a, such as wav/03a01Wa.m4a. To make FLAC of them: find " in told
    assert re.search(r"-iname '\*\.m4a' -exec sh -c ", told)


def test_archives_that_were_not_unpacked_are_named(tmp_path: Path) -> None:
    put(tmp_path, *(f"Actor_{number:02d}.zip" for number in range(1, 25)))
    told = refused("ravdess", tmp_path)
    assert "unpack Actor_01.zip, Actor_02.zip, Actor_03.zip and 21 more. RAVDESS's folder has" in told


def test_of_several_corpora_in_one_folder_the_one_that_is_meant_is_told_and_the_others_are_counted(
    tmp_path: Path,
) -> None:
    put(tmp_path, *(f"emodb/wav/03a0{sentence}Fa.wav" for sentence in (1, 2, 4)))
    put(tmp_path, *(f"RAVDESS/Actor_{actor:02d}/03-01-01-01-01-01-{actor:02d}.wav" for actor in range(1, 25)))
    put(tmp_path, *(f"loose-{number}.mp3" for number in range(5)))
    with pytest.raises(InvalidInput) as caught:
        corpora.prepare("emodb", tmp_path)
    assert caught.value.summary.endswith(f"; give the folder of this corpus alone: {tmp_path / 'emodb'}")
    places = {Path(problem.file): problem.message.partition(": not a name")[0] for problem in caught.value.problems}
    actor = "03-01-01-01-01-01"
    assert places == {
        tmp_path / "RAVDESS": f"24 .wav, such as {actor}-01.wav, {actor}-02.wav, {actor}-03.wav and 21 more",
        tmp_path: "5 .mp3, such as loose-0.mp3, loose-1.mp3, loose-2.mp3 and 2 more",
    }
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("name", ["crema-d", "emodb", "esd", "fsdd", "l2-arctic", "pavoque", "vctk"])
def test_hundreds_of_files_of_another_corpus_are_one_line(tmp_path: Path, name: str) -> None:
    put(tmp_path, *(f"other/talk-{number}.wav" for number in range(200)))
    told = refused(name, tmp_path)
    assert "; none of the 200 recordings here is of this corpus\n" in told or name == "pavoque"
    assert "other: 200 .wav, such as talk-0.wav, talk-1.wav, talk-10.wav and 197 more: " in told
    assert len(told.splitlines()) == 2


def test_recordings_that_lie_with_those_of_another_emotion_are_counted(tmp_path: Path) -> None:
    put(tmp_path, *(f"0011/Angry/0011_{number:06d}.wav" for number in range(1, 6)), "0011/Happy/0011_000701.wav")
    told = refused("esd", tmp_path)
    assert "5 .wav, such as 0011_000001.wav, 0011_000002.wav, 0011_000003.wav and 2 more: lies in Angry" in told
