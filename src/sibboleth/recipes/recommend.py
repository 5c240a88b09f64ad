"""Recommend a source and a layer for every target, before any of its labels is seen."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import runs
from sibboleth import study as studies
from sibboleth.errors import SibbolethError
from sibboleth.experiment import cells, material, recommendation
from sibboleth.experiment.recommendation import MEASURES

EXPLANATION = (
    "Ranked by the mean place among the sources by five measures. Lower is better of three distances between the "
    "features of the domains: coral, of covariances; mmd, of means; proxy_a, 0 where a linear classifier cannot tell "
    "the domains apart and 2 where it always can. Higher is better of two that say how the source's own labels follow "
    "from its features: logme, their evidence; curve, the score of a linear probe for held-out speakers. The layer is "
    "the source's best by these two. Bold: the best of its column. No label of the target was used."
)


@dataclass(frozen=True)
class Recommendation:
    """Sources and layers in the order recommended, for each target and encoder; looks good on a terminal."""

    table: pl.DataFrame
    """Rows of `recommendation.RECOMMENDATION`."""
    output: Path

    def __rich__(self) -> RenderableType:
        """Show a table for each target, and how to read it."""
        shown = [
            _shown(str(target), str(encoder), rows)
            for (target, encoder), rows in self.table.group_by("target", "encoder", maintain_order=True)
        ]
        return Group(*shown, Text(EXPLANATION, style="dim"), Text(f"Written to {self.output}"))


def _shown(target: str, encoder: str, rows: pl.DataFrame) -> RenderableType:
    title = Text.assemble("To recognise ", (target, "bold"), f", with {encoder}")
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("rank", "source", "layer", "mean place", *MEASURES):
        made.add_column(name, justify="left" if name == "source" else "right")
    best = {name: rows[name].max() if better else rows[name].min() for name, better in MEASURES.items()}
    for row in rows.to_dicts():
        told = [
            Text(f"{row[name]:.3f}", style="bold" if row[name] == best[name] and len(rows) > 1 else "")
            for name in MEASURES
        ]
        made.add_row(str(row["rank"]), Text(row["source"]), str(row["layer"]), f"{row['score']:.1f}", *told)
    return made


def recommend(study: Path, *, output: Path | None = None, trust: bool = False) -> Recommendation:
    """Rank the sources of every target, each with a layer, from audio and the sources' own labels alone.

    Args:
        study: The study file (TOML); corpora need labels only where they are to be a source.
        output: Parquet file to write; `runs/NAME-recommendation.parquet` where not given.
        trust: Run the Python functions that it names (`python:FILE.py:FUNCTION`); without it such a file is refused.

    Returns:
        The recommendation. Raises `InvalidInput` for a study or manifest that cannot be used, and `SibbolethError`
        where no domain is left to learn from.
    """
    asked = studies.read(study)
    if not asked.encoders:
        raise SibbolethError(f"{study}: a recommendation needs at least one [[encoders]]")
    studies.require_trust(study, [one.name for one in asked.encoders], trust)
    from sibboleth.models import encoders as loading
    from sibboleth.models.cache import Cache
    from sibboleth.models.features import extract

    place = output or Path("runs") / f"{asked.name}-recommendation.parquet"
    stuff = material.gather(asked, unlabelled=True)
    cache = Cache()
    tables = []
    for settings in asked.encoders:
        encoder = loading.load(settings)
        found = cells.Aligned(extract(encoder, stuff.table, stuff.scan, cache), stuff.table["utterance"].to_list())
        pooling = settings.pooling or encoder.default_pooling
        tables.append(recommendation.table(settings.name, found, pooling, stuff))
    whole = pl.concat(tables)
    if whole.is_empty():
        raise SibbolethError(
            f"{study}: nothing to recommend: it takes two values of {asked.domain!r}, with "
            f"{recommendation.FEWEST} utterances each, one of which has labels and may train"
        )
    whole = whole.sort("target", maintain_order=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    runs.write_table(place, whole)
    return Recommendation(whole, place)
