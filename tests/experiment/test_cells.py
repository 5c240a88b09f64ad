"""Cells: what is killed goes on layer by layer, to the same tables, and leaves nothing behind."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sibboleth import splits
from sibboleth.experiment import cells, parts
from sibboleth.experiment.cells import Cell
from sibboleth.experiment.material import Material
from sibboleth.models import probes
from sibboleth.models.probes import Probing
from sibboleth.probes import LinearProbe, MlpProbe
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit
from sibboleth.study import CorpusSettings, Study
from sibboleth.targets import Target

LABELS = ("angry", "happy", "sad")
ROWS, DIM = 60, 8
MLP = MlpProbe(hidden=(4,), learning_rate=(1e-2, 1e-1), epochs=3)


class Made:
    """Features of three layers."""

    layers = 3
    missing: tuple[int, ...] = ()

    def matrix(self, layer: int, pooling: str) -> np.ndarray:
        return np.random.default_rng(layer).normal(size=(ROWS, DIM)).astype(np.float32)


def material(kind: str = "classification") -> Material:
    names = [f"u{index:03d}" for index in range(ROWS)]
    values = [LABELS[index % 3] for index in range(ROWS)] if kind == "classification" else np.linspace(1, 5, ROWS)
    return Material(
        study=Study(name="s", corpora=(CorpusSettings(name="c", manifest=Path("c.csv")),)),
        corpora=(),
        table=pl.DataFrame({"utterance": names, "mood": values}),
        scan=pl.DataFrame({"utterance": names, "digest": names}),
        target=Target(name="mood", kind=kind, labels=LABELS if kind == "classification" else ()),  # type: ignore[arg-type]
        excluded=pl.DataFrame(),
    )


def cell(probe: LinearProbe | MlpProbe, kind: str = "classification") -> Cell:
    rows = np.arange(ROWS)
    home = splits.Test("within", "a", rows[40:50])
    fits = (
        Fit("a", "0", rows[:30], rows[30:40], (home, splits.Test("zero-shot", "b", rows[50:]))),
        Fit("a", "1", rows[10:45], rows[45:50], (splits.Test("within", "a", rows[:10]),)),
    )
    probing = Probing(kind=kind, probe=probe, pooling="mean", trials=2, seed=1, layer_mix=True)  # type: ignore[arg-type]
    return Cell("tiny", "identity", "a", fits, probing)


def tables(one: Cell, stuff: Material, directory: RunDirectory) -> list[pl.DataFrame]:
    path = directory / one.file(stuff)
    return [pl.read_parquet(path), pl.read_parquet(path.with_suffix(".selection.parquet"))]


def left(directory: RunDirectory) -> list[str]:
    return sorted(file.name for file in (directory.path / "cells").iterdir() if file.name.endswith("npz"))


@pytest.fixture(autouse=True)
def a_layer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "UNIT_FLOATS", ROWS * DIM)


@pytest.mark.parametrize(
    ("probe", "kind"), [(LinearProbe(), "classification"), (MLP, "classification"), (MLP, "regression")]
)
def test_a_cell_killed_anywhere_goes_on(
    probe: LinearProbe | MlpProbe, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any number of answers: no finished layer is probed again, and the tables are the same to the bit."""
    stuff, one = material(kind), cell(probe, kind)
    whole = RunDirectory(tmp_path / "whole")
    count = sum(1 for _ in cells.solve(one, Made(), stuff, whole))
    assert count == cells.steps(one, Made.layers)
    assert cells.finished(one, stuff, whole) and left(whole) == []
    probed: list[object] = []
    answers_of = Probing.answers_of

    def counting(self: Probing, unit: object, *rest: object) -> object:
        probed.append(unit)
        return answers_of(self, unit, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Probing, "answers_of", counting)
    for stop in range(1, count, 3):
        directory = RunDirectory(tmp_path / f"after-{stop}")
        probed.clear()
        for _ in itertools.islice(cells.solve(one, Made(), stuff, directory), stop):
            pass
        begun = list(probed)
        done = len(left(directory)) if (directory.path / "cells").exists() else 0
        assert not cells.finished(one, stuff, directory) and done >= len(begun) - 1
        assert sum(1 for _ in cells.solve(one, Made(), stuff, directory)) == count
        assert probed[len(begun) :] == [(0,), (1,), (2,), (None,)][done:]
        assert left(directory) == []
        for mine, other in zip(tables(one, stuff, directory), tables(one, stuff, whole), strict=True):
            assert mine.equals(other)


def test_a_broken_part_is_done_again(tmp_path: Path) -> None:
    stuff, one = material(), cell(MLP)
    whole, directory = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "other")
    list(cells.solve(one, Made(), stuff, whole))
    work = cells.solve(one, Made(), stuff, directory)
    for _ in range(10):
        next(work)
    work.close()
    for part in (directory.path / "cells").glob("*.part.npz"):
        part.write_bytes(part.read_bytes()[:-30])
    list(cells.solve(one, Made(), stuff, directory))
    for mine, other in zip(tables(one, stuff, directory), tables(one, stuff, whole), strict=True):
        assert mine.equals(other)


def test_parts_of_another_cell_stay(tmp_path: Path) -> None:
    stuff, one, other = material(), cell(LinearProbe()), cell(MLP)
    directory = RunDirectory(tmp_path)
    work = cells.solve(other, Made(), stuff, directory)
    for _ in range(9):
        next(work)
    kept = left(directory)
    list(cells.solve(one, Made(), stuff, directory))
    assert left(directory) == kept != []


def test_a_kill_just_before_cleaning_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuff, one, directory = material(), cell(LinearProbe()), RunDirectory(tmp_path)
    with monkeypatch.context() as context:
        context.setattr(parts, "remove", lambda path: None)
        list(cells.solve(one, Made(), stuff, directory))
    assert left(directory) != []
    assert cells.finished(one, stuff, directory) and left(directory) == []


def test_the_selection_says_what_dev_chose(tmp_path: Path) -> None:
    stuff, directory = material(), RunDirectory(tmp_path)
    for probe in (LinearProbe(), MLP):
        one = cell(probe)
        list(cells.solve(one, Made(), stuff, directory))
        _, selection = tables(one, stuff, directory)
        layers = selection.filter(pl.col("layer").is_not_null())
        if isinstance(probe, LinearProbe):
            assert set(layers["choice"]) <= set(probe.l2)
            assert layers["learning_rate"].is_null().all() and layers["weight_decay"].is_null().all()
            mix = selection.filter(pl.col("rater") == "mix")
            assert set(mix["weight_decay"]) <= set(probes.LINEAR_MIX.weight_decay)
        else:
            assert set(selection["learning_rate"]) <= set(MLP.learning_rate)
            assert set(selection["choice"]) <= {1.0, 2.0, 3.0}
        best = layers.group_by("run", "fold", "layer").agg(pl.col("dev").mean(), pl.col("selected").first())
        for (_, _), some in best.group_by("run", "fold"):
            assert some.filter("selected")["layer"].unique().to_list() == [
                some.sort("layer").sort("dev", descending=True, maintain_order=True)["layer"][0]
            ]
