"""What came out of a reproduction, as tables beside its studies: claims, conditions, folds and items."""

import polars as pl

from sibboleth import runs
from sibboleth.experiment.anchor import claims, conditions
from sibboleth.experiment.anchor.asked import LANGUAGES, Reproduction
from sibboleth.experiment.anchor.claims import Evidence
from sibboleth.experiment.anchor.studies import EMOTION, LISTENING
from sibboleth.experiment.material import Material
from sibboleth.listeners import test as tests
from sibboleth.runs import RunDirectory
from sibboleth.splits import Fits

ITEMS = {
    **dict.fromkeys(("part", "of", "label"), pl.String),
    **dict.fromkeys(("items", "speakers"), pl.Int64),
    "seconds": pl.Float64,
}
TABLES = ("claims", "conditions", "folds", "items")


def write(asked: Reproduction, directory: RunDirectory, stuff: Material, fits: Fits) -> None:
    """Write every table of `TABLES`; `stuff` and `fits` are of the study of emotion, whose run is complete."""
    run = RunDirectory(directory / EMOTION)
    test = tests.read(directory / LISTENING)
    roles = {language: asked.encoders.of(language).name for language in LANGUAGES}
    heard = {item.utterance for item in test.items if item.role == "item"}
    told = conditions.table(run, stuff, roles, heard)
    counted = claims.folds(stuff, fits)
    found = Evidence(asked, run, stuff, fits, test, told)
    for name, table in (
        ("claims", claims.table(found, counted)),
        ("conditions", told),
        ("folds", counted),
        ("items", _items(found)),
    ):
        runs.write_table(directory / f"{name}.parquet", table)


def _items(found: Evidence) -> pl.DataFrame:
    """Count the items of the listening test by part, value of the part's columns and label."""
    by = {part.name: part.by for part in found.test.settings.parts}
    rows = [
        (item.part, ", ".join(item.values[name] for name in by[item.part]), item.answer, item.speaker, item.seconds)
        for item in found.items
    ]
    every = pl.DataFrame(rows, schema=["part", "of", "label", "speaker", "seconds"], orient="row")
    counted = every.group_by("part", "of", "label", maintain_order=True).agg(
        pl.len().alias("items"), pl.col("speaker").n_unique().alias("speakers"), pl.col("seconds").sum()
    )
    return counted.select(pl.col(name).cast(kind) for name, kind in ITEMS.items())
