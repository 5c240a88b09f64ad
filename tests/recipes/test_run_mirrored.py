"""A run in an object store: one machine begins it, another goes on."""

from pathlib import Path

import pytest
from tests.recipes.test_run import logmel_only, tones

from sibboleth import mirrors
from sibboleth.errors import SibbolethError
from sibboleth.experiment import cells
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

TABLES = ("predictions", "scores", "comparisons", "cells")


def test_another_machine_goes_on_with_a_run_and_ends_with_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones(tmp_path)
    study = logmel_only(tmp_path)
    alone = run(study, output=tmp_path / "alone").parent
    monkeypatch.setenv("SIBBOLETH_CACHE", f"file://{tmp_path}/bucket/cache")
    store = f"file://{tmp_path}/bucket/runs/tones"
    solve, filled = cells.solve, []

    def stopped(cell, *given):  # type: ignore[no-untyped-def]
        filled.append(cell.source)
        if len(filled) == 2:
            raise KeyboardInterrupt
        return solve(cell, *given)

    monkeypatch.setattr(cells, "solve", stopped)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a"))
    with pytest.raises(KeyboardInterrupt):
        run(study, output=tmp_path / "a/run", mirror=store)
    there = {path.name for path in (tmp_path / "bucket/runs/tones").rglob("*") if path.is_file()}
    assert "run.json" in there and mirrors.LEASE not in there and "scores.parquet" not in there

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    page = run(study, output=tmp_path / "b/run", mirror=store)
    assert filled == ["aa", "bb", "bb"], "the cell that was filled is not filled again"
    for name in TABLES:
        assert RunDirectory(page.parent).table(name).equals(RunDirectory(alone).table(name)), name
    assert f"--mirror {store}" in RunDirectory(page.parent).read()["command"]
    here = {path.relative_to(page.parent): path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    place = tmp_path / "bucket/runs/tones"
    assert here == {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_an_address_that_nobody_knows_stops_before_anything_is_read(tmp_path: Path) -> None:
    tones(tmp_path, speakers=3, each=1)
    with pytest.raises(SibbolethError, match="s4://bucket/run: cannot be reached"):
        run(logmel_only(tmp_path), output=tmp_path / "run", mirror="s4://bucket/run")
    assert not (tmp_path / "run").exists()
