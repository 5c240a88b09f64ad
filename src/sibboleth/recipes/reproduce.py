"""The anchor study as a whole: corpora, listening test, models, segments, dialect, and one page over all of it."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import corpora as importers
from sibboleth import corpus, runs, settings, study
from sibboleth.corpora.synthetic import stand_ins
from sibboleth.corpora.synthetic.stand_ins import Folders, StandIns
from sibboleth.errors import InvalidInput, Problem
from sibboleth.experiment import material, record
from sibboleth.experiment.anchor import asked as files
from sibboleth.experiment.anchor import outcome, studies
from sibboleth.experiment.anchor.asked import Reproduction
from sibboleth.listeners.test import ANSWERS
from sibboleth.progress import console
from sibboleth.recipes import check, listen_design, listen_simulate, mix
from sibboleth.recipes.run import run
from sibboleth.runs import RunDirectory

OUTPUT = Path("humans-vs-ssl")
FILE = "settings.toml"
IMPORTED = ("esd", "pavoque", "iemocap", "zed")
EMOTIONS = ("angry", "happy", "sad")
"""What segments are of."""
WRITTEN = "Written by `sibboleth reproduce` from settings.toml: change that. `sibboleth preset show {}` explains it."


def reproduce(*, corpora: Path | None = None, output: Path = OUTPUT) -> Path:
    """Reproduce Han et al. 2024, "Humans vs. self-supervised models", from corpora to report.

    Writes OUTPUT/settings.toml, unless it is there, and does what it says: manifests, a listening test of 144 and 24
    items and a dialect's, listeners (simulated until there are people's answers), a study of emotion, one of segments,
    one of the dialect, and a page that says of each claim of the study where it is seen and what came out. Without
    corpora a machine speaks stand-ins. The same command goes on after a stop.

    Args:
        corpora: Folder of the corpora, in folders esd, pavoque, iemocap, zed and dialect (with a manifest.csv); only
            for settings that are not there yet.
        output: Folder for all of it.

    Returns:
        The path of the page. Raises `InvalidInput` for settings or corpora that cannot be used.
    """
    from sibboleth.report import anchor as report

    directory = RunDirectory(output)
    directory.require_writable(begun=(FILE,))
    asked = files.read(_settings(output, corpora))
    facts = _facts(asked, output, corpora)
    with directory.alone(), directory.recorded(facts):
        _speak(asked, output)
        dialects = _manifests(asked, output)
        _write(asked, output, dialects)
        _listen(asked, output)
        for name in _names(asked):
            console.print(f"the study of {name}: {output / name}.toml")
            run(output / f"{name}.toml", output=output / name)
        stuff = material.gather(study.read(output / f"{studies.EMOTION}.toml"))
        outcome.write(asked, directory, stuff, check.fits(stuff))
    return report.write(directory)


def _settings(output: Path, folder: Path | None) -> Path:
    """Write the settings, unless they are there: for stand-ins, or for the corpora in a folder."""
    path = output / FILE
    if path.exists() and folder is not None:
        raise InvalidInput(f"{path}: is there already; change the paths in it, or choose another --output")
    if not path.exists():
        template = "reproduce-stand-ins.toml" if folder is None else "reproduce.toml"
        text = resources.files("sibboleth.recipes").joinpath(template).read_text(encoding="utf-8")
        runs.write_text(path, text if folder is None else _filled(text, folder.absolute()))
    return path


def _filled(text: str, folder: Path) -> str:
    """Put the corpora's folders into settings; what the study can do without, and is not there, is a comment."""
    places = {name: folder / name for name in IMPORTED} | {"dialect": folder / "dialect" / "manifest.csv"}
    lines = []
    for line in text.splitlines():
        absent = any(f"{{{name}}}" in line and not places[name].exists() for name in ("zed", "dialect"))
        for name, place in places.items():
            line = line.replace(f"{{{name}}}", place.as_posix())
        lines.append(f"# {line}" if absent else line)
    return "\n".join(lines) + "\n"


def _names(asked: Reproduction) -> tuple[str, ...]:
    """Return the studies that can be run."""
    parts = {studies.SEGMENTS: asked.corpora.zed, studies.DIALECT: asked.corpora.dialect}
    return (studies.EMOTION, *(name for name, there in parts.items() if there is not None))


def _facts(asked: Reproduction, output: Path, corpora: Path | None) -> dict[str, Any]:
    told = (f" --corpora {corpora}" if corpora else "") + (f" --output {output}" if output != OUTPUT else "")
    return {
        "kind": "reproduction",
        "name": "humans-vs-ssl",
        "status": "running",
        "command": f"sibboleth reproduce{told}",
        "started": runs.now(),
        "finished": None,
        "seed": asked.seed,
        "settings": asked.model_dump(mode="json"),
        "studies": list(_names(asked)),
        "versions": record.versions(),
    }


def _speak(asked: Reproduction, output: Path) -> None:
    """Speak stand-ins where that is asked; else see that the corpora are there."""
    where = {name: output / path for name in files.FOLDERS if (path := getattr(asked.corpora, name)) is not None}
    if asked.stand_ins:
        console.print("speaking stand-ins for the corpora, which no result about people can come of")
        folders = Folders(
            speech=where["esd"].parent / "speech",
            esd=where["esd"],
            pavoque=where["pavoque"],
            iemocap=where["iemocap"],
            zed=where.get("zed"),
            tianjin=where["dialect"].parent if "dialect" in where else None,
        )
        amount = {} if asked.size.per_label is None else {"per_label": asked.size.per_label}
        stand_ins.prepare(folders, settings.checked(StandIns, **amount, seed=asked.seed))
    absent = [
        Problem(str(output / FILE), f"{path} is not there", field=f"corpora.{name}")
        for name, path in where.items()
        if not path.exists()
    ]
    if absent:
        raise InvalidInput(
            "corpora are missing; say where they are. Who has no zed, or no dialect, leaves it out and does without "
            "segments, or without the dialect",
            absent,
        )


def _manifests(asked: Reproduction, output: Path) -> tuple[str, ...]:
    """Write the manifests, and mixes to learn segments from; returns the dialects of the dialect's corpus."""
    for name in IMPORTED:
        folder = getattr(asked.corpora, name)
        if folder is not None:
            made = importers.prepare(name, output / folder)
            if name == files.LANGUAGES["zh"]:  # half of it is English; the rest is what a dialect stands beside
                standard = pl.lit(studies.STANDARD).alias("dialect")
                made = replace(made, table=made.table.filter(language="zh").with_columns(standard))
            corpus.write(made, output / studies.manifest(name))
    if asked.corpora.zed is not None:
        for name in studies.MIXED:
            console.print(f"mixes of {name}, to learn segments from")
            mix.mix(
                output / studies.manifest(name),
                output=output / studies.mixes(name),
                labels=EMOTIONS,
                patterns=studies.PATTERNS,
                count=asked.size.mixes,
                seed=asked.seed,
            )
    if asked.corpora.dialect is None:
        return ()
    spoken = corpus.read(output / asked.corpora.dialect, name=studies.DIALECT)
    if empty := [
        name for name in ("emotion", "dialect") if name not in spoken.table.columns or not spoken.table[name].count()
    ]:
        raise InvalidInput(f"{output / asked.corpora.dialect}: a corpus of a dialect needs the column {empty[0]}")
    corpus.write(spoken, output / studies.manifest(studies.DIALECT))
    return tuple(spoken.table["dialect"].drop_nulls().unique().sort())


def _write(asked: Reproduction, output: Path, dialects: Sequence[str]) -> None:
    """Write the files of the studies and of the listening test."""
    made = {studies.EMOTION: studies.emotion(asked), studies.LISTENING: studies.listening(asked, dialects)}
    if asked.corpora.zed is not None:
        made[studies.SEGMENTS] = studies.segments(asked)
    if asked.corpora.dialect is not None:
        made[studies.DIALECT] = studies.dialect(asked, dialects)
    for name, one in made.items():
        about = WRITTEN.format(studies.preset_name(name))
        runs.write_text(output / f"{name}.toml", settings.written(one, about, chosen=True))


def _listen(asked: Reproduction, output: Path) -> None:
    """Draw the listening test, which stays as it is once people are asked; until they answered, simulate some."""
    test = output / studies.LISTENING
    if not (test / ANSWERS).exists():
        console.print(listen_design.design(output / f"{studies.LISTENING}.toml", output=test, force=True))
    if asked.people.ratings is None:
        listen_simulate.simulate(test, listeners=asked.people.simulated, seed=asked.seed)
