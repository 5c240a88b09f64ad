"""Train the final model of a study: one encoder and one method, on all speakers of a domain but those of dev."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sibboleth import study as studies
from sibboleth.errors import SibbolethError
from sibboleth.experiment import final as finals
from sibboleth.experiment import material, tuned_inputs
from sibboleth.experiment.cells import Score
from sibboleth.experiment.final import Wanted
from sibboleth.progress import console, track
from sibboleth.runs import RunDirectory
from sibboleth.targets import FRAMED

if TYPE_CHECKING:
    from sibboleth.models.tuning.record import ModelRecord, StageRecord


@dataclass(frozen=True)
class Trained:
    """Where the model is, and what it is."""

    model: Path
    record: "ModelRecord"
    note: str | None = None
    """Why its card has no cross-validated scores."""

    def __rich__(self) -> str:
        """Say it in a few lines."""
        lines = []
        lower = self.record.kind in FRAMED
        for one in self.record.stages:
            dev = "not defined" if one.dev is None else f"{one.dev:.3f}"
            lines.append(
                f"{one.domain}: {one.utterances:,} utterances of {one.speakers} speakers; epoch {one.epoch} of "
                f"{one.epochs}{_rate(self.record, one)}, chosen by {one.dev_speakers} dev speakers "
                f"({self.record.metric} {dev}, rather too {'low' if lower else 'high'})"
            )
        lines += [f"no cross-validated scores on its card: {self.note}"] if self.note else []
        verb = {"transcription": "transcribe", "segmentation": "diarize"}.get(self.record.kind, "predict")
        lines.append(f"The model is {self.model} (its card: README.md): `sibboleth {verb} {self.model} AUDIO`")
        return "\n".join(lines)


def _rate(record: "ModelRecord", stage: "StageRecord") -> str:
    """Say which learning rate dev chose, where there were several."""
    training = record.method.training
    several = training is not None and len(training.rates) > 1
    return f" with learning rate {stage.learning_rate:g}" if several else ""


def train(
    study: Path,
    *,
    encoder: str | None = None,
    method: str | None = None,
    source: str | None = None,
    then: str | None = None,
    output: Path | None = None,
    run: Path | None = None,
    trust: bool = False,
) -> Trained | None:
    """Train the final model of a study; the same command goes on after a stop.

    Of several candidates for the learning rate the one is kept that dev likes best.

    Args:
        study: Study file (TOML) with [[methods]].
        encoder: Name of its encoder, where it has several.
        method: Name of its method, where it has several.
        source: Domain whose speakers it is trained on, all but those of dev (the share splits.dev, drawn by the seed).
        then: Domain on which it is trained further, in a second stage with a dev of its own.
        output: Folder for the model; `runs/STUDY-ENCODER-METHOD-SOURCE` where not given.
        run: Run directory of the study, whose scores go onto the model's card; `runs/NAME` where not given.
        trust: Run the Python function that it names as its encoder, where it does.

    Returns:
        Where the model is; None in all but the first of several processes. Raises `InvalidInput` for a study, encoder,
        method or domain that cannot be used.
    """
    asked = studies.read(study)
    wanted = finals.wanted(asked, encoder, method, source, then)
    studies.require_trust(study, [wanted.encoder.name], trust)
    from sibboleth.models import encoders as loading
    from sibboleth.models import training
    from sibboleth.models.cache import Cache
    from sibboleth.models.tuning import course, folder
    from sibboleth.models.tuning.final import Final

    place = training.accelerator(course.bfloat16(wanted.method.training or asked.training))
    first = bool(place.is_main_process)
    if not first:
        console.quiet = True  # one process tells of progress
    with place.main_process_first():
        loaded = loading.load(wanted.encoder)
        stuff, stages = finals.narrowed(material.gather(asked), wanted)
        work = finals.work(stuff, wanted, loaded, stages)
        directory = RunDirectory(output or Path("runs") / _name(asked.name, wanted, [one.domain for one in stages]))
        if first:
            folder.require_free(directory.path)
        given = tuned_inputs.inputs(work, stuff, Cache())
    stages = finals.encodable(stages, [*given.missing, *given.short], loaded.name)
    stuff, stages = finals.windowed(stuff, stages)
    mark = finals.fingerprint(stuff, work, given.inputs, stages)
    if there := folder.finished(directory.path, mark):
        return Trained(directory.path, there) if first else None
    scores, note = finals.crossvalidated(RunDirectory(run or Path("runs") / asked.name), stuff, work, stages)
    if note and run is not None:
        raise SibbolethError(f"--run: {note}")
    score, state = Score(stuff), directory / folder.STATE
    going = Final(work.tuning, loaded, given.inputs, stages, score, state, mark, place, score.better)
    done = None
    with directory.alone() if first else contextlib.nullcontext():
        title = f"Training {work.name} on {' and then on '.join(one.domain for one in stages)}"
        for _ in track(going, title, len(going), "epochs at most"):
            pass
        if first:
            record = finals.described(stuff, work, going, directory.path.name, scores)
            done = Trained(folder.save(directory.path, record, loaded, going.network, going.tried), record, note)
    place.wait_for_everyone()
    return done


def _name(study: str, wanted: Wanted, domains: Sequence[str]) -> str:
    """Name a model's folder."""
    words = "-".join([study, wanted.encoder.name, wanted.method.name, *domains])
    return re.sub(r"[^A-Za-z0-9.]+", "-", words)[:150].strip("-.")
