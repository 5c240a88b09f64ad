"""Listeners: what people said of the utterances that a study tests, beside what models answer."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sibboleth import predictions, scores, texts
from sibboleth.errors import InvalidInput
from sibboleth.experiment import backgrounds, conditions
from sibboleth.experiment.material import Material
from sibboleth.listeners.test import FILE
from sibboleth.metrics.classification import OTHER
from sibboleth.scores.segmentation import error_seconds, label_seconds
from sibboleth.study import CorpusSettings
from sibboleth.targets import Target

if TYPE_CHECKING:
    from sibboleth.experiment.cells import Cell
    from sibboleth.experiment.tuned import TunedCell

PEOPLE = ("listener", "simulated")
"""Sources that are taken from a file of ratings."""
ANSWERS = "predictions.csv"
"""Answers in the folder of an export."""
WRITTEN = ("export", "simulated")
"""Folders in that of a listening test that have answers."""
OF_WRONG_LABELS = ("precision", "f1", "macro_f1")
"""Metrics that cannot be told where it is not known which wrong label people said."""
ANSWERED = ("utterance", "start", "end", "target", "rater", "trial")


@dataclass(frozen=True)
class Listeners:
    """Answers of people."""

    table: pl.DataFrame
    """Predictions, with the labels and ids of the study."""
    record: tuple[dict[str, Any], ...]
    """Of each file: `corpus, file, digest, answers, people, utterances`, and `elsewhere`, answers about others."""
    people: pl.DataFrame | None = None
    """A row for each `rater` of whom something is known, without what could say who they are."""
    conditions: dict[str, Any] | None = None
    """Of the listening test in which they answered, where that is known (`conditions.told`)."""


def gather(material: Material) -> Listeners | None:
    """Read the ratings that the study's corpora name, and who answered; None where they name none.

    A run of one name in two files is two groups of people. Raises `InvalidInput` for a file that cannot be used or has
    no answer about the target or an utterance of its corpus, and for people together with simulated listeners.
    """
    given = {one.name: one.ratings for one in material.study.corpora if one.ratings is not None}
    if not given:
        return None
    files = {name: table_of(path) for name, path in given.items()}
    read = {path: predictions.read(path) for path in dict.fromkeys(files.values())}
    named = [run for table in read.values() for run in table["run"].unique()]
    frames, record = [], []
    for settings in material.study.corpora:
        if settings.ratings is None:
            continue
        path = files[settings.name]
        table = _asked(read[path], path, settings, material)
        there = table.join(material.table.select("utterance"), on="utterance", how="semi")
        record.append(_told(settings.name, path, table, there))
        twice = pl.col("run").is_in([run for run in set(named) if named.count(run) > 1])
        run = pl.when(twice).then(pl.concat_str(pl.lit(f"{settings.name}/"), "run")).otherwise("run")
        frames.append(there.with_columns(run.alias("run")))
    every = pl.concat(frames).sort(predictions.KEY)
    if every["source"].n_unique() > 1:
        raise InvalidInput(
            "ratings: some are of people and some of simulated listeners, which are never mixed; use one"
        )
    folders = tuple(dict.fromkeys(path.parent for path in files.values()))
    known = backgrounds.read(material.study.listeners, folders, set(every["rater"]))
    return Listeners(every, tuple(record), known, conditions.read(material.study, folders))


def table_of(ratings: Path) -> Path:
    """Return the table of answers that is named by itself, or by the folder of an export.

    Raises `InvalidInput` for a folder without answers; of a drawn test it says where they are, or how they are written.
    """
    if not ratings.is_dir() or (ratings / ANSWERS).is_file():
        return ratings / ANSWERS if ratings.is_dir() else ratings
    if not (ratings / FILE).is_file():
        raise InvalidInput(f"ratings: {ratings} has no {ANSWERS}; name a table of answers, or the folder of an export")
    there = [folder for folder in WRITTEN if (ratings / folder / ANSWERS).is_file()]
    ways = " or ".join(f'ratings = "{ratings / folder}"' for folder in there)
    export = f"`sibboleth listen export {ratings}` writes what people answered to {ratings / WRITTEN[0]}"
    how = (
        ways
        if WRITTEN[0] in there
        else f"{export}; name that folder{f' (or {ways}, of simulated listeners)' * bool(ways)}"
    )
    raise InvalidInput(f"ratings: {ratings} is a listening test, and no answers to it: {how}")


def tested(listeners: Listeners, material: Material, cells: "Sequence[Cell | TunedCell]") -> pl.DataFrame:
    """Return the answers about what some model was tested on."""
    rows = {int(row) for cell in cells for fit in cell.fits for test in fit.tests for row in test.rows}
    heard = material.table["utterance"].gather(sorted(rows)).to_frame()
    return listeners.table.join(heard, on="utterance", how="semi", maintain_order="left")


def score(answers: pl.DataFrame, reference: pl.DataFrame, material: Material) -> pl.DataFrame:
    """Score people as models are scored, in each domain: a row of `scores.SCHEMA` each, and its `domain`.

    A run is called RUN>DOMAIN. Several people of one run are also one group, whose intervals resample them too.
    """
    study = material.study
    found = [pl.DataFrame(schema={**scores.SCHEMA, "domain": pl.String})]
    for domain, here in _by_domain(answers, material):
        table = scores.score(
            here,
            reference,
            material.target,
            clusters=dict(material.table.select("utterance", "speaker").iter_rows()),
            slices=material.table,
            statistics=study.statistics,
            seed=study.seed,
            groups=dict(_groups(here)),
        )
        partial = here.filter(pl.col("label") == OTHER)["run"].unique()
        told = ~(pl.col("run").is_in(partial.implode()) & pl.col("metric").is_in(OF_WRONG_LABELS))
        found.append(table.filter(told).with_columns(pl.lit(domain).alias("domain")))
    return pl.concat(found).sort("domain", maintain_order=True)


def seconds(answers: pl.DataFrame, reference: pl.DataFrame, material: Material) -> Mapping[str, pl.DataFrame]:
    """Return rows of error-seconds and label-seconds of people's segments, in each domain and together, by source."""
    found: dict[str, list[pl.DataFrame]] = {"error-seconds": [], "label-seconds": []}
    for _, here in _by_domain(answers, material):
        source = pl.lit(here["source"][0]).alias("source")
        asked = here, reference, material.target, dict(_groups(here))
        found["error-seconds"].append(error_seconds(*asked).with_columns(source))
        found["label-seconds"].append(label_seconds(*asked).with_columns(source))
    return {name: pl.concat(tables) for name, tables in found.items() if tables}


def _by_domain(answers: pl.DataFrame, material: Material) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each domain with what people said of it, as run RUN>DOMAIN."""
    domains = material.table.select("utterance", pl.col(material.study.domain).alias("domain"))
    for (domain,), mine in answers.join(domains, on="utterance").group_by("domain", maintain_order=True):
        yield str(domain), mine.with_columns(pl.concat_str("run", pl.lit(f">{domain}")).alias("run")).drop("domain")


def _groups(answers: pl.DataFrame) -> Iterator[tuple[tuple[str, str], list[tuple[str, str]]]]:
    raters = answers.select("run", "rater").unique().sort("run", "rater")
    for (run,), some in raters.group_by("run", maintain_order=True):
        if len(some) > 1:
            yield (str(run), f"{len(some)} people"), list(some.iter_rows())


def _asked(table: pl.DataFrame, path: Path, settings: CorpusSettings, material: Material) -> pl.DataFrame:
    """Return what people said of the target, in the study's names; ids may already be the study's."""
    said = _about(table.filter(pl.col("source").is_in(PEOPLE)), path, material.target)
    own = f"{settings.name}/"
    known = pl.col("utterance").is_in(material.table["utterance"].implode()) & pl.col("utterance").str.starts_with(own)
    utterance = pl.when(known).then("utterance").otherwise(pl.concat_str(pl.lit(own), "utterance"))
    named = said.with_columns(utterance.alias("utterance"), _label(said["label"], settings.labels, material))
    if named.join(material.table.select("utterance"), on="utterance", how="semi").is_empty():
        raise InvalidInput(
            f"{path}: no answer is about an utterance of the corpus {settings.name!r} that the study uses; ratings have"
            " the ids of its manifest"
        )
    return named.group_by(predictions.KEY, maintain_order=True).agg(pl.col("value").sum())


def _about(said: pl.DataFrame, path: Path, target: Target) -> pl.DataFrame:
    """Return the answers about the target; raises `InvalidInput` where there are none.

    Segments are marked of what a test calls emotion, and stand in a manifest's column of another name: where nothing
    has the target's name, all segments are about it.
    """
    there = said["target"].unique().sort()
    if target.kind == "segmentation":
        said = said.filter(pl.col("start").is_not_null() | pl.col("end").is_not_null())
        if target.name not in said["target"] and said["target"].n_unique() == 1:
            return said.with_columns(pl.lit(target.name).alias("target"))
    found = said.filter(pl.col("target") == target.name)
    if found.is_empty():
        what = "no segments by" if target.kind == "segmentation" else "no answer of"
        raise InvalidInput(
            f"{path}: {what} a listener about {target.name!r}; people were asked about {', '.join(there) or 'nothing'}"
        )
    return found


def _label(labels: pl.Series, names: Mapping[str, str], material: Material) -> pl.Series:
    if material.target.kind == "transcription":
        return pl.Series("label", texts.normalise(labels.fill_null("").to_list(), material.study.target.normalisation))
    return labels.replace(dict(names))


def _told(corpus: str, path: Path, table: pl.DataFrame, there: pl.DataFrame) -> dict[str, Any]:
    answers = there.select("run", *ANSWERED).n_unique()
    return {
        "corpus": corpus,
        "file": str(path),
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "answers": answers,
        "people": there.select("run", "rater").n_unique(),
        "utterances": there["utterance"].n_unique(),
        "elsewhere": table.select("run", *ANSWERED).n_unique() - answers,
    }
