"""What became of the labels of each corpus: which label of the study each is, and how much of it is used."""

from typing import Any

import polars as pl

from sibboleth.experiment import labels, timelines
from sibboleth.experiment.material import Material
from sibboleth.study import CorpusSettings

KINDS = ("classification", "segmentation")
"""Targets that have labels."""
BACKGROUND = "(background)"
"""What is said of segments that count as none."""


def became(material: Material, index: int) -> list[dict[str, Any]]:
    """Count a corpus's labels, the commonest first: utterances, or segments where the target has those.

    Returns `label` (as the corpus has it, null without one), `here` (the study's, null where it is not asked for),
    `used` and `left_out` (for whatever reason, but not what `keep` takes away); nothing for targets without labels.
    """
    if material.target.kind not in KINDS:
        return []
    settings, one = material.study.corpora[index], material.corpora[index]
    kept = one.table.filter(
        *(pl.col(name).cast(pl.String).is_in(values) for name, values in settings.keep.items())
    ).with_columns(pl.concat_str(pl.lit(f"{one.name}/"), "utterance").is_in(material.table["utterance"]).alias("=used"))
    count = _segments if material.target.kind == "segmentation" else _utterances
    counted = count(kept, settings, material)
    used = pl.col("=used")
    return (
        counted.group_by("label", "here")
        .agg(used.sum().alias("used"), (~used).sum().alias("left_out"))
        .sort(pl.col("used") + pl.col("left_out"), "label", "here", descending=[True, False, False], nulls_last=True)
        .to_dicts()
    )


def _utterances(kept: pl.DataFrame, settings: CorpusSettings, material: Material) -> pl.DataFrame:
    """Return `label`, `here` and `=used` of each utterance; of soft labels the heaviest."""
    target = material.target
    translated = labels.translated(kept, target.name, settings.labels, settings.name)
    said = labels.heaviest(kept, target.name)[target.name]
    here = labels.heaviest(translated, target.name)[target.name]
    return pl.DataFrame(
        {"label": said, "here": here.set(~here.is_in(list(target.labels)), None), "=used": kept["=used"]}
    )


def _segments(kept: pl.DataFrame, settings: CorpusSettings, material: Material) -> pl.DataFrame:
    """Return `label`, `here` and `=used` of each segment; an utterance without any has none of them."""
    target = material.target
    as_it_is = settings.model_copy(update={"labels": {}})
    table = timelines.canonical(kept, as_it_is, material.study.target)
    found = table.select("=used", pl.col(target.name).str.json_decode(timelines.SEGMENT).alias("segment"))
    flat = found.explode("segment").select("=used", pl.col("segment").struct.field("label")).drop_nulls("label")
    names = {one: settings.labels.get(one, one) for one in flat["label"].unique()}
    known = {**dict.fromkeys(target.background, BACKGROUND), **{one: one for one in target.labels}}
    here = {said: known.get(name) for said, name in names.items()}
    return flat.with_columns(pl.col("label").replace_strict(here, default=None, return_dtype=pl.String).alias("here"))
