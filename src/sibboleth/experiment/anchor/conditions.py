"""The study's conditions: what a run gave in each, beside what the study's logs say.

`published.csv` has accuracies per fold as the released logs have them (github.com/zhan7721/Crosslingual_SER): of the
test sets (`folds`), and of the 48 clips per language that people heard (`clips`; there is one value where only a figure
tells, and no method, since it is not said which). Test sets are balanced, so accuracy there is UAR here.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from statistics import mean

import polars as pl

from sibboleth import scores
from sibboleth.experiment import material
from sibboleth.experiment.anchor.asked import LANGUAGES
from sibboleth.experiment.material import Material
from sibboleth.runs import RunDirectory

ORDER = ("ML", "ZS", "CL", "TL", "TLen", "2SFT")
"""Conditions in the study's words, and ZS, zero-shot, which it has not."""
NUMBERS = ("estimate", "low", "high")
SCHEMA: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("condition", "method", "language", "encoder", "source", "domain", "run"), pl.String),
    "tuned": pl.Boolean,
    **dict.fromkeys(("published", "lowest_fold", "highest_fold", "estimate", "low", "high"), pl.Float64),
    **dict.fromkeys(("n", "clusters"), pl.Int64),
    **dict.fromkeys(("clips_published", "clips_estimate", "clips_low", "clips_high"), pl.Float64),
    "clips": pl.Int64,
}
"""A row per condition: UAR of all that is tested, and of the items of the listening test (clips)."""


@dataclass(frozen=True)
class Published:
    """Accuracies of one condition, as the logs have them."""

    condition: str
    method: str
    encoder: str
    source: str
    domain: str
    accuracies: tuple[float, ...]


def published(which: str) -> list[Published]:
    """Return what is known of test sets (`folds`) or of what people heard (`clips`)."""
    text = (resources.files("sibboleth.experiment.anchor") / "published.csv").read_text(encoding="utf-8")
    return [
        Published(
            row["condition"],
            row["method"],
            row["encoder"],
            row["source"],
            row["domain"],
            tuple(map(float, row["accuracies"].split())),
        )
        for row in csv.DictReader(text.splitlines())
        if row["set"] == which
    ]


def condition(regime: str, language: str, source: str, domain: str) -> str | None:
    """Name the condition of a regime and an encoder's language; None where the study has no such one."""
    own, native = source == domain, LANGUAGES[language] == source
    if regime == "within" and own:
        return "ML" if native else "TLen" if domain == LANGUAGES["en"] else "TL"
    named = {"zero-shot": "ZS", "target-selected": "CL", "two-stage": "2SFT"}
    return named.get(regime) if native and not own else None


def table(run: RunDirectory, stuff: Material, roles: Mapping[str, str], items: set[str]) -> pl.DataFrame:
    """Return what a run of the study of emotion gave in each condition; `roles` say which encoder a language has."""
    cells, scored = run.table("cells"), run.table("scores")
    wanted = scored.filter(metric="uar", slice="all", rater="selected")
    number = wanted.select("run", *(pl.col(name).fill_nan(None) for name in NUMBERS), "n", "clusters")
    rows = []
    for row in cells.join(number, on="run").iter_rows(named=True):
        for language in (one for one, name in roles.items() if name == row["encoder"]):
            named = condition(row["regime"], language, row["source"], row["domain"])
            if named is not None and row["alignment"] is None:
                rows.append({**row, "condition": named, "language": language})
    heard = _clips(run, stuff, [row["run"] for row in rows], items)
    known = {_key(one): one.accuracies for one in published("folds")}
    clips = {_key(one): one.accuracies for one in published("clips")}
    filled = []
    for row in rows:
        key = row["condition"], row["method"], row["language"], row["source"], row["domain"]
        of_clips = clips.get((key[0], "", *key[2:]), ())
        folds = known.get(key, ())
        filled.append(
            {
                **row,
                "published": mean(folds) if folds else None,
                "lowest_fold": min(folds, default=None),
                "highest_fold": max(folds, default=None),
                "clips_published": mean(of_clips) if of_clips else None,
                **heard.get(row["run"], {}),
            }
        )
    found = pl.DataFrame([{name: row.get(name) for name in SCHEMA} for row in filled], schema=SCHEMA)
    rank = pl.col("condition").replace_strict({name: place for place, name in enumerate(ORDER)}, return_dtype=pl.Int8)
    return found.sort(rank, "domain", "source", "language", "method")


def _key(one: Published) -> tuple[str, str, str, str, str]:
    return one.condition, one.method, one.encoder, one.source, one.domain


def _clips(run: RunDirectory, stuff: Material, runs: list[str], items: set[str]) -> dict[str, dict[str, float]]:
    """Score runs on the items of the listening test alone."""
    answered = (
        pl.scan_parquet(run / "predictions.parquet")
        .filter(pl.col("run").is_in(runs), pl.col("rater") == "selected", pl.col("utterance").is_in(items))
        .collect()
    )
    if answered.is_empty():
        return {}
    scored = scores.score(
        answered,
        material.reference(stuff).filter(pl.col("utterance").is_in(items)),
        stuff.target,
        clusters=dict(stuff.table.select("utterance", "speaker").iter_rows()),
        statistics=stuff.study.statistics.model_copy(update={"slices": ()}),
        seed=stuff.study.seed,
    ).filter(metric="uar", slice="all")
    scored = scored.with_columns(pl.col(name).fill_nan(None) for name in NUMBERS)
    return {
        row["run"]: {"clips": row["n"], **{f"clips_{name}": row[name] for name in NUMBERS}}
        for row in scored.iter_rows(named=True)
    }
