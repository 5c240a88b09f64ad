"""The main job: one study file in, a transfer report out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.text import Text

from sibboleth import engines, mirrors, predictions, scores
from sibboleth import study as studies
from sibboleth.audit import Finding
from sibboleth.errors import SibbolethError
from sibboleth.experiment import (
    aligning,
    baselines,
    listeners,
    listening,
    material,
    pairs,
    people,
    plan,
    pretrained,
    recognition,
    recommendation,
    stages,
    transcripts,
    tuned,
    tuned_plan,
    tuned_tables,
)
from sibboleth.experiment.cells import Cell
from sibboleth.experiment.listeners import Listeners
from sibboleth.experiment.material import Material
from sibboleth.experiment.record import Record, cell_table
from sibboleth.experiment.tuned import TunedCell
from sibboleth.progress import console, track
from sibboleth.recipes import check
from sibboleth.recipes.filling import Filling, add
from sibboleth.recipes.report import report
from sibboleth.runs import RunDirectory, atomic, write_table, write_text
from sibboleth.study import EngineName, Study

if TYPE_CHECKING:
    from sibboleth.models.encoders import Encoder


RESULTS = (
    *("predictions", "scores", "comparisons", "cells", "selection"),
    *("methods", "learning", "gaps", "pretrained", "erasure", "recommendation", "recommendation-score"),
    *("listeners", "listeners-scores", *people.TABLES),
    *recognition.TABLES,
    *baselines.TABLES,
)
"""Tables that a run makes anew; those of another study in the same directory must not outlive its record."""


def run(
    study: Path,
    *,
    output: Path | None = None,
    engine: EngineName | None = None,
    address: str | None = None,
    mirror: str | None = None,
    trust: bool = False,
) -> Path:
    """Encode, probe, score and report a study; the same command goes on with what is not done yet.

    Args:
        study: The study file (TOML).
        output: Run directory; `runs/NAME` where not given.
        engine: Where the work is done: `local`, on this machine, or `ray`; as the study says where not given.
        address: Of a Ray cluster: `auto` (that of this machine), `HOST:PORT` or `ray://HOST:PORT`; $RAY_ADDRESS where
            not given, and without that a cluster of this machine alone, which ends with the run.
        mirror: Address in an object store (`s3://BUCKET/PATH`, `gs://...`) in which the run directory stands, too: what
            is there is copied here first, and what is made here is copied there.
        trust: Run the Python functions that it names (`python:FILE.py:FUNCTION`); without it such a file is refused.

    Returns:
        The path of the report. Raises `InvalidInput` for a study or manifest that cannot be used, `RefusedByAudit` for
        a leak that the study does not allow by name, and `CellsFailed` where cells failed, after all others are done.
    """
    asked = studies.read(study)
    asked = asked if engine is None else asked.model_copy(update={"engine": engine})
    if address is not None and asked.engine != "ray":
        raise SibbolethError("--address is of a Ray cluster; give --engine ray, too")
    if not asked.encoders:
        raise SibbolethError(f"{study}: a run needs at least one [[encoders]]; `sibboleth check` needs none")
    studies.require_trust(study, [one.name for one in asked.encoders], trust)
    directory = RunDirectory(output or Path("runs") / asked.name, mirror)
    directory.require_writable()
    options = {"output": output, "engine": engine, "address": address, "mirror": mirror}
    command = f"sibboleth run {study}" + "".join(f" --{name} {one}" for name, one in options.items() if one)
    command += " --trust" * any(one.name.startswith(studies.CODE) for one in asked.encoders)
    with mirrors.opened(directory.path, mirror):
        filling, page = _done(asked, directory, command, address)
    filling.require_all(page)
    return page


def _done(asked: Study, directory: RunDirectory, command: str, address: str | None) -> tuple[Filling, Path]:
    """Do all of a run that can be done; returns its cells and the path of the report."""
    from sibboleth.models import encoders as loading
    from sibboleth.models.cache import Cache

    cache = Cache()
    stuff = material.gather(asked)
    aligning.require(stuff)
    asked_of_people = listeners.gather(stuff)
    fits = check.fits(stuff)
    stuff = transcripts.lettered(stuff, fits)
    encoders = [loading.load(settings) for settings in asked.encoders]
    findings = check.audited(stuff, fits, encoders)
    both = list(zip(asked.encoders, encoders, strict=True))
    work = [plan.work(asked, *pair, fits) for pair in both] if plan.pools(asked) else []
    tuning = [one for pair in both for one in tuned.works(asked, *pair, fits, stuff.out, stuff.background)]
    _tell(findings, encoders)
    more = tuned_plan.lines(stuff, tuning, cache, directory, probed=bool(work))
    planned = plan.of(stuff, work, cache, directory, fits, tuning=more)
    console.print(planned)
    record = Record.begin(directory, stuff, encoders, [plan.pooling(asked, *pair) for pair in both], command)
    if asked_of_people is not None:
        record.facts["listeners"] = list(asked_of_people.record)
        record.facts["listening_test"] = asked_of_people.conditions
    with directory.alone(), stages.told(directory):
        with record.until_done():
            directory.clear(RESULTS)
            found = json.dumps([one.record() for one in findings], indent=2, ensure_ascii=False)
            write_text(directory / "audit.json", found + "\n")
            write_table(directory / "utterances.parquet", stuff.table.with_columns(stuff.scan["seconds"]))
            with engines.opened(asked.engine, address, stuff, directory) as chosen:
                filling = Filling(stuff, cache, chosen, directory, record)
                filling.fill(work, tuning, planned)
            _tables(filling, asked_of_people)
        return filling, report(directory.path)


def _tables(filling: Filling, said: Listeners | None) -> None:
    """Make the tables of the run from the cells that are filled, and from what people said."""
    stuff, directory, trained = filling.material, filling.directory, filling.trained
    filled: list[Cell | TunedCell] = [*filling.probed, *trained]
    _score(stuff, filled, directory, filling.record)
    if said is not None:
        _beside(said, stuff, filled, directory, filling.record)
    if methods := [one for one in trained if not one.tuning.curve]:
        write_table(directory / "methods.parquet", tuned_tables.method_table(methods, stuff, directory))
    if trained:
        write_table(directory / "learning.parquet", tuned_tables.learning_table(trained, stuff, directory))


def _beside(
    said: Listeners, stuff: Material, filled: Sequence[Cell | TunedCell], directory: RunDirectory, record: Record
) -> None:
    """Score people, and put them beside the models on the same utterances."""
    heard = listeners.tested(said, stuff, filled)
    reference = material.reference(stuff)
    write_table(directory / "listeners.parquet", heard)
    write_table(directory / "listeners-scores.parquet", listeners.score(heard, reference, stuff))
    if stuff.target.kind == "segmentation":
        for name, rows in listeners.seconds(heard, reference, stuff).items():
            add(directory / f"{name}.parquet", rows)
    fits = [fit for cell in filled for fit in cell.fits]
    known = listening.heard(stuff, fits)["utterance"].implode()
    items = heard.select("utterance").unique()
    record.facts["heard_by_models"] = {
        "items": len(items),
        "known": len(items.filter(pl.col("utterance").is_in(known))),
    }
    answered = pl.scan_parquet(directory / "predictions.parquet")
    runs, scored = directory.table("cells"), directory.table("scores")
    for name, table in people.tables(heard, said, answered, runs, scored, reference, stuff).items():
        write_table(directory / f"{name}.parquet", table)


def _tell(findings: Sequence[Finding], encoders: Sequence["Encoder"]) -> None:
    """Print in a line each what the report will say in full."""
    for finding in findings:
        if finding.grade != "note":
            console.print(Text.assemble((finding.grade, "yellow"), f" {finding.name}: {finding.message}"))
    for encoder in encoders:
        for note in encoder.notes:
            console.print(Text.assemble(("note", "yellow"), f" {encoder.name}: {note}"))


def _score(stuff: Material, filled: Sequence[Cell | TunedCell], directory: RunDirectory, record: Record) -> None:
    """Join the cells into the tables of the run, cell by cell, so that memory does not grow with their number."""
    files = [directory / cell.file(stuff) for cell in filled]
    reference = material.reference(stuff)
    runs = cell_table(record.facts, filled)
    selection = pl.concat([pl.read_parquet(file.with_suffix(".selection.parquet")) for file in files])
    answers = [pl.scan_parquet(file).select(list(predictions.SCHEMA)) for file in files]
    with atomic(directory / "predictions.parquet") as temporary:
        pl.concat([*answers, reference.lazy()]).sink_parquet(temporary)
    clusters = dict(stuff.table.select("utterance", "speaker").iter_rows())
    statistics, seed = stuff.study.statistics, stuff.study.seed
    scored = [
        scores.score(
            some.collect(),
            reference,
            stuff.target,
            clusters=clusters,
            slices=stuff.table,
            statistics=statistics,
            seed=seed,
        )
        for some in track(answers, "Scoring, with intervals that resample speakers", len(answers), "cells")
    ]
    with console.status("comparing regimes and encoders, utterance by utterance"):
        leading = pl.concat([some.filter(pl.col("rater") == "selected") for some in answers]).collect()
        compared = scores.compare(
            leading,
            reference,
            stuff.target,
            pairs.pairs(runs),
            clusters=clusters,
            statistics=statistics,
            seed=seed,
        )
        if quartets := aligning.quartets(runs):
            closed = scores.gaps(
                leading, reference, stuff.target, quartets, clusters=clusters, statistics=statistics, seed=seed
            )
            write_table(directory / "gaps.parquet", closed)
        if matches := pretrained.matches(runs, record.facts["encoders"], stuff.table):
            held = scores.pretrained(
                leading, reference, stuff.target, matches, clusters=clusters, statistics=statistics, seed=seed
            )
            write_table(directory / "pretrained.parquet", held)
    if stuff.target.kind == "transcription":
        with console.status("counting errors by group of speakers"):
            answered = recognition.Answers(stuff, runs, leading, reference)
            for name, table in answered.tables().items():
                write_table(directory / f"{name}.parquet", table)
    if stuff.target.kind == "segmentation":
        with console.status("putting what needs no model beside models"):
            fits = [fit for cell in filled for fit in cell.fits]
            for name, table in baselines.tables(stuff, fits, runs, leading, reference).items():
                write_table(directory / f"{name}.parquet", table)
    write_table(directory / "cells.parquet", runs)
    write_table(directory / "selection.parquet", selection)
    write_table(directory / "scores.parquet", pl.concat(scored))
    if (directory / "recommendation.parquet").exists():
        held = recommendation.scored(
            directory.table("recommendation"), pl.concat(scored), runs, record.facts["main_metric"]
        )
        tested = scores.compare(
            leading,
            reference,
            stuff.target,
            recommendation.pairs(held),
            clusters=clusters,
            statistics=statistics,
            seed=seed,
        )
        write_table(directory / "recommendation-score.parquet", recommendation.bounded(held, tested))
    write_table(directory / "comparisons.parquet", compared)
