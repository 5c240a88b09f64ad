"""The plan of a run: what there is to do, before it is done."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sibboleth import memory
from sibboleth.experiment import aligning, calibration, cells
from sibboleth.experiment.cells import Cell
from sibboleth.experiment.cost import NONE, Span
from sibboleth.experiment.material import Material
from sibboleth.experiment.planned import Line, Plan, size
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit, Fits, single
from sibboleth.study import CODE, EncoderSettings, Study
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.probes import Probing

BYTES_PER_ROW = 6
"""Of a predictions table on disk, per utterance, label, layer and trial; it stands there twice."""
ROW_BYTES = 300
"""Of a predictions table in memory while a cell's is sorted and written, per utterance, label, layer and trial."""
MANY = 1000
"""Fits of one encoder from which on the plan says how to have fewer."""


@dataclass(frozen=True)
class Work:
    """One encoder and the cells it is to fill."""

    encoder: "Encoder"
    probing: "Probing"
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """That of its encoder."""
        return self.encoder.name


def pools(study: Study) -> bool:
    """Say whether the study's probe hears statistics over time; those over frames are trained as methods are."""
    return study.target.kind not in FRAMED


def pooling(study: Study, settings: EncoderSettings, encoder: "Encoder") -> str:
    """Say what the probe hears of an encoder."""
    return settings.pooling or encoder.default_pooling if pools(study) else "frames"


def work(study: Study, settings: EncoderSettings, encoder: "Encoder", fits: Fits) -> Work:
    """List the cells of an encoder's probe: one for every domain that trains, and those of each alignment."""
    from sibboleth.models.probes import Probing

    assert study.target.kind != "transcription" and study.target.kind != "segmentation"
    assert study.probe.kind != "ctc" and study.probe.kind != "frames"
    probing = Probing(
        kind=study.target.kind,
        probe=study.probe,
        pooling=settings.pooling or encoder.default_pooling,
        trials=study.seeds,
        seed=study.seed,
        layer_mix=study.layer_mix,
    )
    sources = cells.of_sources(single(fits)).items()
    mine = [Cell(settings.name, encoder.identity, source, some, probing) for source, some in sources]
    alone = replace(probing, layer_mix=False)
    for alignment in study.alignment:
        for source, some in sources:
            parts = aligning.tried(alignment, some)
            mine += [Cell(settings.name, encoder.identity, source, part, alone, alignment=alignment) for part in parts]
    return Work(encoder, probing, tuple(mine))


def of(
    material: Material,
    work: Sequence[Work],
    cache: "Cache",
    directory: RunDirectory,
    fits: Sequence[Fit],
    absent: Sequence[str] = (),
    tuning: Sequence[Line] = (),
    workers: int = 1,
) -> Plan:
    """Count cells, fits, hours of audio, forward passes, disk, memory and time of every encoder.

    Without audio neither what the cache has nor what is finished is known: all of it counts, and no time is measured.
    Of `absent` encoders (elsewhere, or code that is not trusted) only the passes over the audio are known. `tuning` are
    the lines of what is fine-tuned.
    """
    lines = [*(_line(material, one, cache, directory) for one in work), *tuning]
    lines += [_unknown(name, material, fits) for name in absent]
    speakers = material.table["speaker"].n_unique()
    domains = material.table[material.study.domain].n_unique()
    title = (
        f"{material.study.name}: {material.table.height} utterances, {_hours(material)}, {speakers} speakers, "
        f"{domains} domains ({material.study.domain})"
    )
    needed = sum(line.disk or 0 for line in lines)
    free = shutil.disk_usage(cache.folder).free
    room = f"cache ({cache.folder}) and tables will take {size(needed)} of {size(free)} free"
    notes = (room, *_notes(lines, material, absent))
    finish = _finish(material, work) if material.heard and not absent else None
    return Plan(title, tuple(lines), notes, needed <= free, finish, workers)


def _line(material: Material, work: Work, cache: "Cache", directory: RunDirectory) -> Line:
    encoder, mine = work.encoder, work.cells
    todo = [cell for cell in mine if not (material.heard and cells.finished(cell, material, directory))]
    done = len(mine) - len(todo) if material.heard else None
    if not todo:
        return Line(encoder.name, len(mine), done, 0, 0, 0.0, 0, NONE, {}, 0)
    passes, seconds, held = _missing(encoder, material, cache)
    rows = _rows(encoder, todo) * max(1, len(material.target.labels))
    known = _durations_known(material)
    return Line(
        encoder.name,
        len(mine),
        done,
        sum(len(cell.fits) for cell in todo),
        passes if known else None,
        seconds / 3600 if known else None,
        held + 2 * rows * BYTES_PER_ROW,
        encoded(encoder, material, seconds) if material.heard else None,
        _probed(material, encoder, todo) if material.heard else None,
        taken(encoder, material, passes) + _probing_bytes(material, encoder, todo) if material.heard else None,
    )


def _rows(encoder: "Encoder", todo: Sequence[Cell]) -> int:
    """Count utterances, layers and trials that are answered by all cells."""
    answers = sum(cells.steps(cell, encoder.layers) + len(cell.fits) for cell in todo) / len(todo)
    tested = sum(len(test.rows) for cell in todo for fit in cell.fits for test in fit.tests)
    return int(answers * tested / len(todo[0].fits))


def _probed(material: Material, encoder: "Encoder", todo: Sequence[Cell]) -> dict[str, Span]:
    """Estimate the time that each cell's probes take."""
    out, each = max(1, len(material.target.labels)), calibration.operation()
    return {
        cell.file(material): each * cell.probing.operations(encoder.layers, encoder.dim, out, cell.fits)
        for cell in todo
    }


def _probing_bytes(material: Material, encoder: "Encoder", todo: Sequence[Cell]) -> int:
    """Estimate what filling the largest cell takes: its features, and its table."""
    held = todo[0].probing.working_bytes(material.table.height, encoder.layers, encoder.dim)
    return held + _rows(encoder, todo) // len(todo) * max(1, len(material.target.labels)) * ROW_BYTES


def _unknown(name: str, material: Material, fits: Sequence[Fit]) -> Line:
    known = _durations_known(material)
    passes, seconds = _passes(material)
    return Line(
        name,
        len({fit.source for fit in fits}),
        None,
        len(fits),
        passes if known else None,
        seconds / 3600 if known else None,
        None,
        None,
        None,
    )


def _missing(encoder: "Encoder", material: Material, cache: "Cache") -> tuple[int, float, int]:
    """Return passes, seconds and bytes of what the cache has not; of everything where it cannot be asked."""
    from sibboleth.models import features

    if material.heard:
        missing = features.plan(encoder, material.table, material.scan, cache)
        return missing.passes, missing.seconds, missing.bytes
    different = material.table.select("audio", "start", "end").n_unique()
    return *_passes(material), different * encoder.layers * 2 * encoder.dim * 4


def _passes(material: Material) -> tuple[int, float]:
    """Count forward passes and seconds of all different utterances whose duration is known."""
    from sibboleth.models.encoders import WINDOW

    places = material.table.select("audio", "start", "end").with_columns(material.scan["seconds"]).unique()
    seconds = places["seconds"].drop_nulls()
    windows = (seconds / WINDOW).ceil().clip(1)
    return int(windows.sum()), float(seconds.sum())


def _durations_known(material: Material) -> bool:
    return material.scan["seconds"].null_count() == 0


def encoded(encoder: "Encoder", material: Material, seconds: float) -> Span | None:
    """Estimate how long it takes to encode so many seconds, in utterances of the usual length."""
    if not seconds:
        return NONE
    each = calibration.encoding(encoder, float(np.median(material.scan["seconds"].drop_nulls().to_numpy())))
    return None if each is None else each * seconds


def taken(encoder: "Encoder", material: Material, passes: int) -> int:
    """Return the memory that this process has taken so far, and what encoding takes beside it."""
    from sibboleth.models import encoding

    longest = material.scan["seconds"].max()
    assert isinstance(longest, float)
    return memory.peak() + (encoding.working_bytes(encoder, longest) if passes else 0)


def _finish(material: Material, work: Sequence[Work]) -> Span:
    """Estimate how long it takes to score every rater of every run, and to write the report."""
    each, scored = calibration.scoring(material)
    raters = 0.0
    for one in work:
        for cell in one.cells:
            named = cells.steps(cell, one.encoder.layers) / max(1, len(cell.fits)) + 1
            runs: Counter[tuple[str, str]] = Counter()
            for fit in cell.fits:
                for test in fit.tests:
                    runs[test.regime, test.domain] += len(test.rows)
            raters += named * sum(max(1.0, rows / scored) for rows in runs.values())
    return each * raters + calibration.REPORT


def _hours(material: Material) -> str:
    seconds = material.scan["seconds"]
    known = f"{seconds.sum() / 3600:.2f} hours"
    if not seconds.null_count():
        return known
    if seconds.null_count() == len(seconds):
        return "hours unknown"
    return f"{known} known (no duration of {seconds.null_count()} utterances)"


def _notes(lines: Sequence[Line], material: Material, absent: Sequence[str]) -> Iterator[str]:
    if any(line.tunes for line in lines):
        yield "fine-tuning takes so long at most: dev may stop it after any epoch"
    if material.excluded.height:
        yield f"{material.excluded.height} rows left out"
    if code := [name for name in absent if name.startswith(CODE)]:
        yield f"code, which is run only with --trust: {', '.join(code)}"
    if elsewhere := [name for name in absent if name not in code]:
        yield f"not on this machine, will be fetched by the run: {', '.join(elsewhere)}"
    if not material.heard:
        yield (
            "without audio it is not known what the cache has, what is done already, what audio cannot be used and how "
            "long it all takes"
        )
        if material.scan["seconds"].null_count():
            yield "durations are end - start, or a column duration or seconds of the manifest"
    singly = material.study.splits.scheme in ("leave-one-speaker-out", "leave-one-session-out")
    if singly and max((line.fits for line in lines), default=0) > MANY:
        yield (f'over {MANY} fits, each one trained for every layer: splits.scheme = "speaker-folds" needs far fewer')
