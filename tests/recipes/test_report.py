"""The verb `report`."""

import importlib.util
import sys
from pathlib import Path

import pytest

from sibboleth import storage
from sibboleth.errors import SibbolethError
from sibboleth.recipes.report import report

_spec = importlib.util.spec_from_file_location("fake_run", Path(__file__).parents[1] / "report" / "fake_run.py")
assert _spec is not None and _spec.loader is not None
fake_run = importlib.util.module_from_spec(_spec)
sys.modules["fake_run"] = fake_run
_spec.loader.exec_module(fake_run)


def test_page_is_made_again_from_the_tables_alone(tmp_path: Path) -> None:
    run = fake_run.write_run(tmp_path / "run", fake_run.Fake(domains=("de",), encoders={"logmel": 1}))
    before = {p.name: p.read_bytes() for p in run.path.glob("*.parquet")}
    made = report(run.path, title="Another title", examples=2)
    text = made.read_text(encoding="utf-8")
    assert made == run.path / "report.html" and "<h1>Another title</h1>" in text
    assert text.count("<audio") == 0 and text.count("Answers to ") == 2
    assert {p.name: p.read_bytes() for p in run.path.glob("*.parquet")} == before


def test_what_a_killed_one_left_is_removed(tmp_path: Path) -> None:
    run = fake_run.write_run(tmp_path / "run", fake_run.Fake(domains=("de",), encoders={"logmel": 1}))
    left = [run.path / name / ".part-x.tex" for name in ("figures", "tables")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with storage.atomic(run.path / "figures" / "living.svg") as living:
        report(run.path)
        assert living.exists()
    assert not any(path.exists() for path in left)


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SibbolethError, match="not a run directory"):
        report(tmp_path)


def test_fewer_than_no_examples_are_refused(tmp_path: Path) -> None:
    run = fake_run.write_run(tmp_path / "run", fake_run.Fake(domains=("de",), encoders={"logmel": 1}))
    with pytest.raises(SibbolethError, match="examples is -1") as refused:
        report(run.path, examples=-1)
    assert refused.value.exit_code == 2 and not (run.path / "report.html").exists()
