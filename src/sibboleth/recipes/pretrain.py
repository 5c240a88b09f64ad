"""Pre-train an encoder on speech without labels; what comes out is an encoder for every other verb."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sibboleth import pretraining, runs
from sibboleth import study as studies
from sibboleth.errors import SibbolethError
from sibboleth.experiment import record
from sibboleth.progress import console, track
from sibboleth.recipes import curve
from sibboleth.recipes.curve import LOG
from sibboleth.runs import RunDirectory, write_table

if TYPE_CHECKING:
    from sibboleth.models.pretraining.preparation import Prepared
    from sibboleth.models.pretraining.watch import Vital
    from sibboleth.models.training import Training

ENCODER = "encoder"
"""Folder of the encoder in the run's."""
OFTEN = 20.0
"""Seconds between two drawings of the curve, at least."""
UNREADY = 0.1
"""Share of the steps before which an encoder that gives the same for everything is one that has not begun to learn."""


@dataclass(frozen=True)
class Pretrained:
    """Where the encoder is, and how it was made."""

    encoder: Path
    log: pl.DataFrame
    """`step`, `loss`, `learning rate`, `audio seconds` and signs of health."""
    hours: float
    """Of different speech."""

    def __rich__(self) -> str:
        """Say it in two lines."""
        first, last = self.log.row(0, named=True), self.log.row(-1, named=True)
        return (
            f"{last['step']:,.0f} steps over {last['audio seconds'] / 3600:.1f} h of audio ({self.hours:.1f} h of "
            f"different speech); loss {first['loss']:.3f} at first, {last['loss']:.3f} at last\n"
            f"The encoder is {self.encoder}: name it in a study, or give it to `sibboleth encode`."
        )


def pretrain(file: Path, *, output: Path | None = None, trust: bool = False) -> Pretrained | None:
    """Pre-train an encoder as a file says; the same command goes on after a stop.

    Args:
        file: Pre-training file (TOML).
        output: Folder for the encoder, its log and curve; `runs/NAME` where not given.
        trust: Run the Python functions that it names (`python:FILE.py:FUNCTION`); without it such a file is refused.

    Returns:
        Where the encoder is; None in all but the first of several processes. Raises `InvalidInput` for a file or
        manifest that cannot be used, and `Collapsed` where the encoder has learnt to give the same for everything.
    """
    asked = pretraining.read(file)
    studies.require_trust(file, pretraining.encoders(asked.start, asked.objective), trust)
    directory = RunDirectory(output or Path("runs") / asked.name)
    from sibboleth.models import training
    from sibboleth.models.pretraining import card, preparation

    place = training.accelerator(preparation.bfloat16(asked))
    first = bool(place.is_main_process)
    if first:
        directory.require_writable()
        _require_pretraining(directory)
    else:
        console.quiet = True  # one process tells of progress
    command = f"sibboleth pretrain {file}" + (f" --output {output}" if output else "") + " --trust" * trust
    keep = _Keeping(directory, {"kind": "pretraining", "name": asked.name, "status": "running", "command": command})
    with (
        directory.alone() if first else contextlib.nullcontext(),
        keep.recorded() if first else contextlib.nullcontext(),
    ):
        with place.main_process_first():
            prepared = preparation.prepare(asked, directory.path, place.num_processes)
        going = training.Run(
            prepared.objective,
            prepared.batches,
            prepared.schedule,
            directory.path,
            keep,
            prepared.fingerprint,
            place,
        )
        if first:
            keep.begin(_facts(asked, prepared, command), prepared, going.at)
        for _ in track(going, f"Pre-training {asked.name}", len(going), "steps"):
            pass
        if first:
            told = card.card(asked, prepared, going.at.rows[-1], record.versions())
            preparation.save(prepared, directory / ENCODER, told)
    place.wait_for_everyone()
    if not first:
        return None
    return Pretrained(directory / ENCODER, pl.read_parquet(directory / LOG), prepared.pieces.hours)


def _require_pretraining(directory: RunDirectory) -> None:
    """Raise `SibbolethError` where the folder is a study's: its record would be lost."""
    if (directory / "run.json").exists() and directory.read().get("kind") != "pretraining":
        raise SibbolethError(f"{directory.path}: holds the run of a study; choose another folder with --output")


class _Keeping:
    """Keeps the record, the log and the page, and watches for a collapse."""

    def __init__(self, directory: RunDirectory, facts: dict[str, Any]) -> None:
        self.directory, self.facts = directory, facts
        self.at: Training | None = None
        self.vitals: tuple[Vital, ...] = ()
        self.begun = self.written = time.monotonic()
        self.begun_at = self.steps = self.unready = 0

    def begin(self, facts: dict[str, Any], prepared: "Prepared", at: "Training") -> None:
        """Write what is known before the first step."""
        self.facts, self.at, self.vitals = facts, at, prepared.objective.vitals
        self.begun, self.begun_at, self.steps = time.monotonic(), at.step, prepared.schedule.steps
        self.unready = round(max(UNREADY, prepared.schedule.warm_up) * prepared.schedule.steps)
        self.write()

    def __call__(self, at: "Training") -> None:
        """Look at a new row of the log; raises `Collapsed` where the encoder has collapsed."""
        from sibboleth.models.pretraining.watch import watch

        watch(at.rows, self.vitals, self.unready)
        if time.monotonic() - self.written >= OFTEN:
            self.write()

    def write(self) -> None:
        """Write all three as things stand."""
        if self.at is not None and self.at.rows:
            write_table(self.directory / LOG, pl.DataFrame(self.at.rows, infer_schema_length=None))
        self.directory.write(self.facts)
        curve.draw(self.directory, self.facts, left=self._left())
        self.written = time.monotonic()

    def _left(self) -> float | None:
        """Tell from the pace so far how many seconds are left."""
        if self.at is None or self.at.step == self.begun_at:
            return None
        pace = (time.monotonic() - self.begun) / (self.at.step - self.begun_at)
        return pace * (self.steps - self.at.step)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Set the status by how it ends inside; what stops before training begins leaves an earlier record alone."""
        earlier = (self.directory / "run.json").exists()
        if not earlier:
            # What is prepared takes a while and is kept: from now on this folder is a run's.
            self.write()
        try:
            yield
        except BaseException as error:
            if self.at is not None or not earlier:
                self.facts |= {"status": _status(error), "told": str(error)}
                self.write()
            raise
        self.facts |= {"status": "complete", "finished": runs.now()}
        self.write()


def _status(error: BaseException) -> str:
    from sibboleth.models.pretraining.watch import Collapsed

    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "collapsed" if isinstance(error, Collapsed) else "failed"


def _facts(asked: pretraining.Pretraining, prepared: "Prepared", command: str) -> dict[str, Any]:
    """Say all that is known before anything is learnt."""
    table = prepared.pieces.table
    return {
        "kind": "pretraining",
        "name": asked.name,
        "status": "running",
        "command": command,
        "started": runs.now(),
        "finished": None,
        "seed": asked.seed,
        "settings": asked.model_dump(mode="json"),
        "versions": record.versions(),
        "vitals": [
            {"name": one.name, "meaning": one.meaning, "least": one.least, "most": one.most}
            for one in prepared.objective.vitals
        ],
        "start": {"name": prepared.begin.name, "identity": prepared.begin.identity},
        "hours": prepared.pieces.hours,
        "pieces": len(table),
        "languages": table["language"].drop_nulls().unique().sort().to_list(),
        "excluded": prepared.pieces.left_out.to_dicts(),
        **prepared.facts,
    }
