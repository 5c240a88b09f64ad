"""`sibboleth corpus mix`: from a manifest to a manifest, on the command line too."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.corpora.mixes.conftest import make

from sibboleth import cli, corpus
from sibboleth.errors import InvalidInput
from sibboleth.recipes.mix import Mixes, mix


def shown(made: Mixes) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(made)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_manifest_can_be_read_and_the_table_says_what_there_is(tmp_path: Path) -> None:
    manifest = make(tmp_path, speakers=2, lacking=(("s1", "neutral"),))
    made = mix(manifest, output=tmp_path / "mixes", patterns=("n-e", "e"), count=6)
    table = corpus.read(made.manifest).table
    assert made.table.drop("minutes").rows() == [("n-e", 3, 1), ("e", 3, 1)]  # who lacks neutral is in as many
    assert len(table) == 6 and all(Path(file).is_file() for file in table["audio"])
    said = shown(made)
    assert "neutral: 2 utterances, each in 1 to 2 mixes" in said
    assert "s1 de: only in e (no neutral)" in said
    before = made.manifest.read_bytes()
    again = mix(manifest, output=tmp_path / "mixes", patterns=("n-e", "e"), count=6)
    assert again.manifest.read_bytes() == before
    made.manifest.write_text("audio,speaker\n")
    with pytest.raises(InvalidInput, match="says something else"):
        mix(manifest, output=tmp_path / "mixes", patterns=("n-e", "e"), count=6)


def test_the_command_line_takes_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = make(tmp_path, speakers=2)
    output = str(tmp_path / "mixes")
    arguments = ["corpus", "mix", str(manifest), "--background", "neutral", "--output", output, "--count", "4"]
    arguments += ["--labels", "angry", "sad"]
    cli.main([*arguments, "--patterns", "n-e", "n-e1-n-e2", "--pause", "0.1", "--seed", "3"])
    assert "n-e1-n-e2" in capsys.readouterr().out
    assert len(corpus.read(tmp_path / "mixes" / "manifest.csv").table) == 4


def test_arguments_that_make_no_sense_are_named(tmp_path: Path) -> None:
    manifest = make(tmp_path, speakers=1)
    with pytest.raises(InvalidInput) as told:
        mix(manifest, output=tmp_path / "new", patterns=("n-x",), count=0, pause=-1)
    assert all(name in str(told.value) for name in ("patterns", "count", "pause", "n-x"))
    assert not (tmp_path / "new").exists()
