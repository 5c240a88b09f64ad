"""Curves over the amount and the language of speech: pre-train on each, then ask every encoder every target."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from sibboleth import amounts, corpus, pretraining, runs, settings
from sibboleth import study as studies
from sibboleth.amounts import Amounts, AskedTarget, Point
from sibboleth.experiment import curves as results
from sibboleth.experiment import material, record
from sibboleth.experiment.curves import System
from sibboleth.experiment.material import Material
from sibboleth.progress import console
from sibboleth.recipes import check, points
from sibboleth.recipes.curve import LOG
from sibboleth.recipes.pretrain import ENCODER, pretrain
from sibboleth.recipes.run import run
from sibboleth.report import wording
from sibboleth.runs import RunDirectory
from sibboleth.study import EncoderSettings

START = "0h"
"""Folder of what pre-training began with, where no other encoder is that."""


@dataclass(frozen=True)
class Ahead:
    """What a data study is about to do; looks good on a terminal."""

    asked: Amounts
    finished: tuple[Point, ...]
    stuff: tuple[Material, ...]
    """Of each target."""
    heard: int
    """Labelled recordings that are among the speech to pre-train on."""

    def __rich__(self) -> RenderableType:
        """Say how many pre-trainings of how many hours, and how many studies."""
        asked, wanted = self.asked, self.asked.pretraining
        count, done = len(asked.points), len(self.finished)
        audio = wanted.training.steps * wanted.batches.seconds * wanted.batches.accumulate / 3600
        hours, languages = wording.listing([f"{one:g}" for one in asked.hours]), wording.listing([*asked.languages])
        studies = wording.count(len(self.stuff), "study", "studies")
        lines = [
            f"{wording.count(count, 'pre-training')}: {hours} h of {languages}{f'; {done} done' if done else ''}",
            f"  each of {wording.count(wanted.training.steps, 'step')}, about {audio:.2g} h of audio in batches of "
            f"{wanted.batches.seconds:g} s",
            f"{studies} of {count + len(asked.others)} encoders, then paired differences",
        ]
        for target, one in zip(asked.targets, self.stuff, strict=True):
            seconds, speakers = float(one.scan["seconds"].sum()), one.table["speaker"].n_unique()
            lines.append(
                f"  {target.called} ({target.kind}): {len(one.table):,} utterances, {seconds / 3600:.2g} h, "
                f"{speakers:,} speakers"
            )
        remark = [Text(_heard(self.heard), style="yellow")] if self.heard else []
        return Group(*map(Text, lines), *remark)


def curves(file: Path, *, output: Path | None = None, trust: bool = False) -> Path:
    """Pre-train on growing amounts of speech of several languages, and compare what the encoders are good for.

    One encoder is pre-trained for each language and amount (`OUTPUT/pretraining`), then one study is run for each
    target, of all of them beside the controls (`OUTPUT/studies`). All are ordinary: their files lie beside them for
    `sibboleth pretrain` and `sibboleth run`. The same command goes on after a stop.

    Args:
        file: File of the data study (TOML); `sibboleth preset show pretraining-data` is one.
        output: Folder of all this, of the tables and of the page; `runs/NAME` where not given.
        trust: Run the Python functions that it names (`python:FILE.py:FUNCTION`); without it such a file is refused.

    Returns:
        The path of the page. Raises `InvalidInput` for a file or manifest that cannot be used, `RefusedByAudit` for a
        leak that is not allowed by name, both before anything is pre-trained, and `Collapsed` where an encoder has
        learnt to give the same for everything.
    """
    from sibboleth.report import amounts as report

    asked = amounts.read(file)
    recipe = asked.pretraining
    named = (*pretraining.encoders(recipe.start, recipe.objective), *(one.name for one in asked.encoders))
    studies.require_trust(file, named, trust)
    directory = RunDirectory(output or Path("runs") / asked.name)
    directory.require_writable()
    speech = [(one, corpus.read(one.manifest, name=one.name, columns=one.columns or None)) for one in asked.speech]
    digests = {settings.name: read.digest for settings, read in speech}
    finished = points.finished(asked, directory, digests)
    stuff = tuple(_audited(asked, target) for target in asked.targets)
    if len(finished) < len(asked.points):
        _require_speech(asked)
    heard = _heard_before([read.table for _, read in speech], stuff)
    console.print(Ahead(asked, finished, stuff, heard), soft_wrap=False)
    facts: dict[str, Any] = {
        "kind": "curves",
        "name": asked.name,
        "question": asked.question,
        "status": "running",
        "command": f"sibboleth curves {file}" + (f" --output {output}" if output else ""),
        "started": runs.now(),
        "finished": None,
        "seed": asked.seed,
        "settings": asked.model_dump(mode="json"),
        "versions": record.versions(),
        "speech": digests,
        "heard": _heard(heard) if heard else "",
    }
    with directory.alone(), directory.recorded(facts):
        directory.clear(("curves", "differences"))
        (directory / report.PAGE).unlink(missing_ok=True)
        facts["pretrainings"] = [_pretrained(asked, point, directory) for point in asked.points]
        systems = [*map(_system, facts["pretrainings"]), *_begun(asked, directory)]
        facts["targets"] = [_asked(asked, target, systems, directory) for target in asked.targets]
        _compare(asked, facts, directory)
    return report.write(directory)


def _audited(asked: Amounts, target: AskedTarget) -> Material:
    """Gather and audit what a target's study works on, before anything is pre-trained for it."""
    from sibboleth.models import encoders as loading

    study = asked.study_of(target)
    stuff = material.gather(study)
    check.audited(stuff, check.fits(stuff), [loading.load(one) for one in study.encoders])
    return stuff


def _require_speech(asked: Amounts) -> None:
    """Raise `InvalidInput` where a manifest has less speech than the largest amount takes of it."""
    from sibboleth.models.pretraining import pieces

    largest = [asked.pretraining_of(Point(language, asked.hours[-1])) for language in asked.languages]
    every = sorted((one for wanted in largest for one in wanted.corpora), key=lambda one: one.hours or 0.0)
    most = {one.name: one for one in every}
    pieces.gather(largest[0].model_copy(update={"corpora": tuple(most.values())}))


def _heard_before(speech: Sequence[pl.DataFrame], stuff: Sequence[Material]) -> int:
    """Count the recordings of the studies that are among the speech to pre-train on."""
    heard = {path for table in speech for path in table["audio"]}
    return len({path for one in stuff for path in one.table["audio"]} & heard)


def _heard(count: int) -> str:
    return (
        f"{count:,} of the labelled recordings are among the speech to pre-train on: scores are of speech that an "
        "encoder may have heard, which favours the languages and amounts that have it"
    )


def _pretrained(asked: Amounts, point: Point, directory: RunDirectory) -> dict[str, Any]:
    """Pre-train one encoder, unless that is done; returns what is known of it."""
    place = points.place(directory, point)
    wanted = asked.pretraining_of(point)
    file = directory / "pretraining" / f"{point.name}.toml"
    runs.write_text(file, settings.written(wanted, f"{asked.name}: {point.hours:g} h of {point.language}"))
    if not points.complete(place):
        place_of = f": {asked.points.index(point) + 1} of {len(asked.points)}"
        console.print(Text.assemble((point.name, "bold"), place_of))
        pretrain(file, output=place.path, trust=True)  # as `curves` has made sure
    made, log = place.read(), pl.read_parquet(place / LOG)
    first, last = log.row(0, named=True), log.row(-1, named=True)
    return {
        "name": point.name,
        "language": point.language,
        "hours": point.hours,
        "used": made["hours"],
        "pieces": made["pieces"],
        "languages": made["languages"],
        "steps": int(last["step"]),
        "audio": last["audio seconds"] / 3600,
        "first_loss": first["loss"],
        "last_loss": last["loss"],
    }


def _system(made: dict[str, Any]) -> System:
    return System(made["name"], f"pretraining/{made['name']}/{ENCODER}", "pretrained", made["language"], made["hours"])


def _begun(asked: Amounts, directory: RunDirectory) -> list[System]:
    """Write what pre-training began with, where that is neither the untrained control nor a checkpoint."""
    settings = asked.pretraining.start
    if settings.filters == "random":
        return []
    from sibboleth.models.pretraining import preparation, start

    begin = start.start(settings, asked.seed)
    folder = directory / "pretraining" / START / ENCODER
    part = folder.with_name(f".part-{ENCODER}")
    start.build(begin, settings).save_pretrained(part)
    runs.write_text(part / "preprocessor_config.json", json.dumps(begin.preprocessor) + "\n")
    preparation.swap(part, folder)
    return [System(START, f"pretraining/{START}/{ENCODER}", "start")]


def _asked(asked: Amounts, target: AskedTarget, trained: Sequence[System], directory: RunDirectory) -> dict[str, Any]:
    """Run the study of a target; returns what is known of it."""
    spoken = {made.name: _language(directory, made) for made in trained}
    encoders = tuple(EncoderSettings(name=one.encoder, language=spoken[one.name]) for one in trained)
    file = directory / f"{target.called}.toml"
    about = f"{asked.name}: what the encoders of pretraining/ know of {target.column}"
    runs.write_text(file, settings.written(asked.study_of(target, encoders), about))
    which = f": study {asked.targets.index(target) + 1} of {len(asked.targets)}"
    console.print(Text.assemble((target.called, "bold"), which))
    folder = directory / "studies" / target.called
    run(file, output=folder, trust=True)  # as above
    made = RunDirectory(folder).read()
    return {
        "name": target.called,
        "column": target.column,
        "kind": target.kind,
        "labels": made["target"]["labels"],
        "metric": made["main_metric"],
        "chance": made["chance"],
        "domain": made["domain"],
        "domains": made["domains"],
        "regimes": made["study"]["regimes"],
        "corpora": [
            {name: one[name] for name in ("name", "utterances", "hours", "synthetic")} for one in made["corpora"]
        ],
        "speakers": sum(one["speakers"] for one in made["corpora"]),
        "systems": [vars(one) for one in _systems(asked, studies.read(file).encoders, trained)],
    }


def _language(directory: RunDirectory, made: System) -> str | None:
    if made.role != "pretrained":
        return None
    languages: list[str] = RunDirectory(directory / "pretraining" / made.name).read()["languages"]
    return languages[0] if len(languages) == 1 else "multi" if languages else None


def _systems(asked: Amounts, encoders: Sequence[EncoderSettings], trained: Sequence[System]) -> list[System]:
    """Name the encoders of a study, in its order, and say what each is there for."""
    begin = asked.controls[-1].name
    others = [one.name for one in encoders[len(trained) :]]
    short = wording.short_names(others)
    systems = [
        System(one.name, given.name, one.role, one.language, one.hours)
        for one, given in zip(trained, encoders, strict=False)
    ]
    for name in others:
        is_start = name == begin and not any(one.role == "start" for one in trained)
        is_control = name == "logmel" or name.startswith("untrained:")
        systems.append(System(short[name], name, "start" if is_start else "control" if is_control else "other"))
    return systems


def _compare(asked: Amounts, facts: dict[str, Any], directory: RunDirectory) -> None:
    """Write the tables of the data study from those of its runs."""
    scored, differences = [], []
    with console.status("comparing amounts and languages, utterance by utterance"):
        for target in facts["targets"]:
            found = results.found(
                RunDirectory(directory / "studies" / target["name"]),
                target["name"],
                [System(**one) for one in target["systems"]],
                asked.statistics,
                asked.seed,
            )
            scored.append(found[0])
            differences.append(found[1])
    runs.write_table(directory / "curves.parquet", pl.concat(scored))
    runs.write_table(directory / "differences.parquet", pl.concat(differences))
