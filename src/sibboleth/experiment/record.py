"""The record of a run: `run.json`, from which it can be redone."""

import contextlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import accents, metrics, protocols, runs
from sibboleth.experiment import cells, relabelling, transcripts
from sibboleth.experiment.cells import Cell, run_name
from sibboleth.experiment.material import Material
from sibboleth.experiment.tuned import TunedCell
from sibboleth.metrics import classification
from sibboleth.runs import RunDirectory
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.encoders import Encoder

PACKAGES = ("sibboleth", "numpy", "polars", "scipy", "soundfile", "soxr", "torch", "transformers")


class Record:
    """What `run.json` says, written at every change."""

    def __init__(self, directory: RunDirectory, facts: dict[str, Any]) -> None:
        """Take the first state; `until_done` writes it."""
        self.directory = directory
        self.facts = facts

    @classmethod
    def begin(
        cls,
        directory: RunDirectory,
        material: Material,
        encoders: Sequence["Encoder"],
        pooling: Sequence[str],
        command: str,
    ) -> "Record":
        """Write down everything that is known before anything is computed."""
        study, target = material.study, material.target
        facts = {
            "name": study.name,
            "question": study.question,
            "status": "running",
            "command": command,
            "started": runs.now(),
            "finished": None,
            "seed": study.seed,
            "study": study.model_dump(mode="json"),
            "protocol": protocols.read(study.protocol).model_dump(mode="json") if study.protocol else None,
            "versions": versions(),
            "corpora": [_corpus(material, index) for index in range(len(material.corpora))],
            "encoders": [_encoder(one, how) for one, how in zip(encoders, pooling, strict=True)],
            "target": {"name": target.name, "kind": target.kind, "labels": list(target.labels)},
            "main_metric": metrics.of(target)[0].name,
            "chance": chance(material),
            **soft(material),
            **transcripts.told(material),
            "domain": study.domain,
            "domains": material.table[study.domain].unique().sort().to_list(),
            "planned": [],
            "cells": [],
            "failed": [],
            "excluded": material.excluded.to_dicts(),
        }
        return cls(directory, facts)

    def plan(
        self,
        works: Mapping[str, Sequence[tuple[Cell | TunedCell, int]]],
        material: Material,
        expected: Mapping[str, Any],
    ) -> None:
        """Take down all cells that are to be filled, work by work, how many steps each takes, and what is expected.

        These are seconds: of `cells` by their files, of `encoding` by work, and of the `finish`.
        """
        seconds = expected["cells"]
        self.facts["expected"] = {name: expected[name] for name in ("encoding", "finish")}
        self.facts["planned"] = [
            {
                "file": cell.file(material),
                "work": work,
                "encoder": cell.encoder,
                "method": cell.method,
                "source": cell.source,
                "steps": steps,
                "seconds": seconds.get(cell.file(material)),
            }
            for work, mine in works.items()
            for cell, steps in mine
        ]
        self.directory.write(self.facts)

    def rename(self, files: Mapping[str, str]) -> None:
        """Note what files of planned cells are called where an encoder has turned out to fail on rows."""
        if any(planned != file for planned, file in files.items()):
            for one in self.facts["planned"]:
                one["file"] = files.get(one["file"], one["file"])
            self.directory.write(self.facts)

    def cell(self, file: str, encoder: str, source: str, seconds: float | None) -> None:
        """Note a finished cell; no seconds where an earlier run had finished it."""
        self.facts["cells"].append({"file": file, "encoder": encoder, "source": source, "seconds": seconds})
        self.directory.write(self.facts)

    def fail(self, rows: Sequence[dict[str, str | None]]) -> None:
        """Note cells that failed."""
        self.facts["failed"] += list(rows)
        self.directory.write(self.facts)

    def exclude(self, rows: Sequence[dict[str, str]]) -> None:
        """Note utterances that were left out later than the scan."""
        self.facts["excluded"] += list(rows)
        self.directory.write(self.facts)

    @contextlib.contextmanager
    def until_done(self) -> Iterator[None]:
        """Write the record, and set its status by how the work inside ends."""
        with self.directory.recorded(self.facts):
            yield


def chance(material: Material) -> float | None:
    """Return what an answer that ignores the speech reaches in the main metric.

    None for transcripts and segmentations, and where domains have different labels: UAR is the mean over the labels
    that a domain has, so that there is then no one such number.
    """
    if material.target.kind == "regression":
        return 0.0
    if material.target.kind in FRAMED:
        return None
    sets = material.table.group_by(material.study.domain).agg(pl.col(material.target.name).unique().sort())
    different = {tuple(labels) for labels in sets[material.target.name]}
    return 1 / len(material.target.labels) if len(different) == 1 else None


def soft(material: Material) -> dict[str, Any]:
    """Say whether labels are weights, and what the best answers, each row's heaviest label, would score."""
    if material.target.kind != "classification":
        return {"soft": False, "ceiling": None}
    truth = material.truth()
    if bool(np.isin(truth, (0.0, 1.0)).all()):
        return {"soft": False, "ceiling": None}
    heaviest = np.eye(truth.shape[1])[truth.argmax(axis=1)]
    main = metrics.of(material.target)[0]
    return {"soft": True, "ceiling": main(classification.Answers(material.target.labels, truth, heaviest))}


def _corpus(material: Material, index: int) -> dict[str, Any]:
    corpus = material.corpora[index]
    mine = (material.table["corpus"] == corpus.name).to_numpy()
    seconds = material.scan.filter(mine)["seconds"].sum()
    synthetic = "synthetic" in corpus.table.columns and bool(corpus.table["synthetic"].is_not_null().any())
    return {
        "name": corpus.name,
        "manifest": str(corpus.source),
        "digest": corpus.digest,
        "utterances": int(mine.sum()),
        "speakers": material.table.filter(mine)["speaker"].n_unique(),
        "hours": seconds / 3600,
        "synthetic": synthetic,
        "accents": _accents(material, index, mine),
        "labels": relabelling.became(material, index),
    }


def _accents(material: Material, index: int, mine: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    """Say by which table accents were told, and what became of those of the rows that are used; None where none was."""
    table = material.study.corpora[index].accents
    if table is None:
        return None
    counts = material.table.filter(mine)[accents.OUTCOME].value_counts()
    found = dict(counts.iter_rows())
    outcomes = {outcome: found.get(outcome, 0) for outcome in accents.OUTCOMES}
    return {"table": table, "digest": accents.digest(table), "utterances": outcomes}


def _encoder(encoder: "Encoder", pooling: str) -> dict[str, Any]:
    return {
        "name": encoder.name,
        "language": encoder.language,
        "identity": encoder.identity,
        "kind": encoder.kind,
        "fine_tuned": encoder.fine_tuned,
        "precision": encoder.precision,
        "layers": encoder.layers,
        "dim": encoder.dim,
        "rate": encoder.rate,
        "pooling": pooling,
        "notes": list(encoder.notes),
    }


def versions() -> dict[str, str]:
    """Return the versions of what determines the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def cell_table(facts: dict[str, Any], filled: Sequence[Cell | TunedCell]) -> pl.DataFrame:
    """Say what each `run` in predictions and scores stands for."""
    known = {one["name"]: one for one in facts["encoders"]}
    rows = {
        run_name(cell.encoder, cell.method, test, cell.source): (
            cell.encoder,
            known[cell.encoder]["language"],
            known[cell.encoder]["kind"] == "control",
            cell.method,
            isinstance(cell, TunedCell) and not cell.tuning.curve,
            cell.alignment,
            test.regime,
            cell.source,
            test.domain,
            None if fit.then is None else fit.then.shots,
            fit.budget,
        )
        for cell in filled
        for fit in cells.without(cell.fits, cell.missing, cell.encoder)
        for test in fit.tests
    }
    return pl.DataFrame([(run, *row) for run, row in sorted(rows.items())], schema=CELLS, orient="row")


CELLS = {
    "run": pl.String,
    "encoder": pl.String,
    "encoder_language": pl.String,
    "control": pl.Boolean,
    "method": pl.String,
    "tuned": pl.Boolean,
    "alignment": pl.String,
    "regime": pl.String,
    "source": pl.String,
    "domain": pl.String,
    "shots": pl.Int32,
    "seconds": pl.Float64,
}
