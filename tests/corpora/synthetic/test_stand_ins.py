"""Stand-ins are spoken into published layouts, never into a corpus, and go on after a kill."""

import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from sibboleth import corpora, corpus
from sibboleth.corpora.synthetic import stand_ins
from sibboleth.corpora.synthetic.stand_ins import Folders, StandIns
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.settings import checked

PROGRAM = """
import sys
from pathlib import Path
from tests.corpora.synthetic.test_stand_ins import folders
from sibboleth.corpora.synthetic import stand_ins
stand_ins.prepare(folders(Path(sys.argv[1])), stand_ins.StandIns(per_label=10, mixes=12))
"""


def folders(root: Path) -> Folders:
    return Folders(**{field.name: root / field.name for field in fields(Folders)})


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".parquet" and path.name != "manifest.csv"
    }


def test_a_folder_that_may_be_the_corpus_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "zed").mkdir()
    (tmp_path / "zed" / "ZED.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"zed: holds other files.*stand_ins = false"):
        stand_ins.prepare(folders(tmp_path), StandIns())
    assert [path.name for path in tmp_path.iterdir()] == ["zed"]


@pytest.mark.parametrize("per_label", [5, 25, 130])
def test_amounts_that_ten_speakers_cannot_share_are_refused(per_label: int) -> None:
    with pytest.raises(SibbolethError, match="per_label"):
        checked(StandIns, per_label=per_label)


@pytest.mark.soak
def test_all_is_imported_with_the_right_counts_and_a_kill_changes_nothing(tmp_path: Path) -> None:
    asked = StandIns(per_label=10, mixes=12)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    stand_ins.prepare(folders(whole), asked)
    for name, speakers in (("esd", 10), ("pavoque", 1), ("iemocap", 10)):
        table = corpora.prepare(name, whole / name).table
        assert dict(table.group_by("emotion").len().rows()) == dict.fromkeys(("angry", "happy", "neutral", "sad"), 10)
        assert table["speaker"].n_unique() == speakers and table["synthetic"].null_count() == 0
    zed = corpora.prepare("zed", whole / "zed").table
    assert dict(zed.group_by("emotion").len().rows()) == dict.fromkeys(("angry", "happy", "sad"), 4)
    dialect = corpus.read(whole / "tianjin" / "manifest.csv").table
    assert len(dialect) == 32 and dialect["speaker"].n_unique() == 8 and dialect["synthetic"].null_count() == 0
    for seconds in (3, 6, 9):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(killed)])
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    stand_ins.prepare(folders(killed), asked)
    assert files(killed) == files(whole)
