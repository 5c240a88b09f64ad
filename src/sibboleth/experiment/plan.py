"""The plan of a run: what there is to do, before it is done."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from sibboleth.experiment import aligning, cells
from sibboleth.experiment.cells import Cell
from sibboleth.experiment.material import Material
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fit, Fits, single
from sibboleth.study import CODE, EncoderSettings, Study
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder
    from sibboleth.models.probes import Probing

TRIAL_SECONDS = 2.0
"""Audio that is encoded to see how fast an encoder is here."""
BYTES_PER_ROW = 6
"""Of a predictions table on disk, per utterance, label, layer and trial; it stands there twice."""
SHARE_OF_PEAK = 0.25
"""Of the speed of a matrix product that probes reach."""
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


@dataclass(frozen=True)
class Line:
    """What one encoder has to do; null where it is unknown."""

    encoder: str
    cells: int
    finished: int | None
    fits: int
    """Training problems of the cells that are not finished."""
    forward_passes: int | None
    hours: float | None
    disk: int | None
    """Bytes that the cache and the run's tables will take."""
    minutes: float | None
    """To encode and to probe."""


@dataclass(frozen=True)
class Plan:
    """What a run would do; it prints as a table."""

    title: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    fits_on_disk: bool

    def __rich__(self) -> Table:
        """Show a row for every encoder, and the notes below."""
        table = Table(title=Text(self.title), title_justify="left", caption_justify="left")
        table.caption = Text("; ".join(self.notes))
        if not self.fits_on_disk:
            table.caption.append("; this is more disk than there is", "bold red")
        for name in ("encoder", "cells", "done", "fits", "forward passes", "hours to encode", "disk", "time about"):
            table.add_column(name, justify="left" if name == "encoder" else "right", overflow="fold")
        for line in self.lines:
            table.add_row(
                Text(line.encoder),
                str(line.cells),
                _told(line.finished),
                str(line.fits),
                _told(line.forward_passes),
                "unknown" if line.hours is None else f"{line.hours:.2f}",
                "unknown" if line.disk is None else _size(line.disk),
                _duration(line.minutes),
            )
        return table


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
) -> Plan:
    """Count cells, fits, hours of audio, forward passes, disk and time of every encoder.

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
    room = f"cache ({cache.folder}) and tables will take {_size(needed)} of {_size(free)} free"
    return Plan(title, tuple(lines), (room, *_notes(lines, material, absent, bool(tuning))), needed <= free)


def _line(material: Material, work: Work, cache: "Cache", directory: RunDirectory) -> Line:
    encoder, mine = work.encoder, work.cells
    todo = [cell for cell in mine if not (material.heard and cells.finished(cell, material, directory))]
    done = len(mine) - len(todo) if material.heard else None
    if not todo:
        return Line(encoder.name, len(mine), done, 0, 0, 0.0, 0, 0.0)
    passes, seconds, size = _missing(encoder, material, cache)
    out = max(1, len(material.target.labels))
    answers = sum(cells.steps(cell, encoder.layers) + len(cell.fits) for cell in todo) / len(todo)
    rows = answers * sum(len(test.rows) for cell in todo for fit in cell.fits for test in fit.tests) / len(todo[0].fits)
    known = _durations_known(material)
    return Line(
        encoder.name,
        len(mine),
        done,
        sum(len(cell.fits) for cell in todo),
        passes if known else None,
        seconds / 3600 if known else None,
        size + int(2 * rows * out * BYTES_PER_ROW),
        _minutes(material, encoder, todo, seconds) if material.heard else None,
    )


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


def _minutes(material: Material, encoder: "Encoder", todo: Sequence[Cell], seconds: float) -> float | None:
    fast = speed(encoder) if seconds else 1.0
    out = max(1, len(material.target.labels))
    operations = sum(cell.probing.operations(encoder.layers, encoder.dim, out, cell.fits) for cell in todo)
    return None if fast is None else (seconds / fast + operations / _operations_per_second()) / 60


def _operations_per_second() -> float:
    """Measure how fast this machine multiplies matrices as probes do."""
    matrix = np.random.default_rng(0).normal(size=(384, 384))
    matrix @ matrix
    begun = time.perf_counter()
    for _ in range(4):
        matrix @ matrix
    return SHARE_OF_PEAK * 4 * 2 * 384**3 / (time.perf_counter() - begun)


def speed(encoder: "Encoder") -> float | None:
    """Measure seconds of audio encoded per second, on noise, after one pass to warm up; None where it fails."""
    noise = np.random.default_rng(0).normal(0, 0.1, int(TRIAL_SECONDS * encoder.rate)).astype(np.float32)
    encoder.prepare()
    try:
        encoder.hidden_states(noise)
        begun = time.perf_counter()
        encoder.hidden_states(noise)
    except Exception:  # a callable may fail on noise and work on speech; what it fails on is told when it is encoded
        return None
    return TRIAL_SECONDS / (time.perf_counter() - begun)


def _hours(material: Material) -> str:
    seconds = material.scan["seconds"]
    known = f"{seconds.sum() / 3600:.2f} hours"
    if not seconds.null_count():
        return known
    if seconds.null_count() == len(seconds):
        return "hours unknown"
    return f"{known} known (no duration of {seconds.null_count()} utterances)"


def _notes(lines: Sequence[Line], material: Material, absent: Sequence[str], tuned: bool) -> Iterator[str]:
    if tuned:
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


def _told(count: int | None) -> str:
    return "unknown" if count is None else str(count)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _duration(minutes: float | None) -> str:
    if minutes is None:
        return "unknown"
    if minutes == 0:
        return "-"
    if minutes < 1:
        return "under a minute"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
