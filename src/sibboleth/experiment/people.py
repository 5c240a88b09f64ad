"""People beside the models of a run: the tables of `scores.people`, in every domain and dialect, one table each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import polars as pl

from sibboleth import metrics, predictions
from sibboleth.experiment import backgrounds
from sibboleth.experiment.listeners import Listeners
from sibboleth.experiment.material import Material
from sibboleth.experiment.panels import PEOPLE, VOTES, Part, Tables
from sibboleth.progress import track
from sibboleth.scores import people
from sibboleth.scores.groups import Name
from sibboleth.scores.people import listeners as who
from sibboleth.scores.people.effects import effects
from sibboleth.scores.people.panel import gather

DIALECT = backgrounds.DIALECT
TABLES = (
    *("people", "people-models", "people-groups"),
    *(f"people-{field.name}" for field in fields(people.Tables)),
)
"""Tables of a run with listeners: who they are, which models stand beside them, and what came out."""
MODELS: dict[str, type[pl.DataType]] = {
    "run": pl.String,
    "rater": pl.String,
    "encoder": pl.String,
    "method": pl.String,
    "regime": pl.String,
    "tuned": pl.Boolean,
    "control": pl.Boolean,
    "source": pl.String,
    "domain": pl.String,
    "of": pl.String,
    "sources": pl.Int64,
}


def tables(
    said: pl.DataFrame,
    listeners: Listeners,
    answered: pl.LazyFrame,
    runs: pl.DataFrame,
    scored: pl.DataFrame,
    reference: pl.DataFrame,
    stuff: Material,
) -> Tables:
    """Make every table of `TABLES` of what people `said` of what models `answered`; none where it is of transcripts."""
    timed = pl.col("start").is_not_null() | pl.col("end").is_not_null()
    about = said.filter(timed if stuff.target.kind == "segmentation" else ~timed)
    if stuff.target.kind == "transcription" or about.is_empty():
        return {}
    chosen = models(runs, scored, metrics.of(stuff.target)[0], stuff)
    work = _Work(about, _answers(answered, chosen, about), reference, stuff, listeners.people)
    found: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES[2:]}
    parts = [part for column in work.columns for part in work.parts(column)]
    for part in track(parts, "Putting people beside models", len(parts), "panels"):
        for name, frame in part.tables().items():
            found[f"people-{name}"].append(_placed(frame, part.axis, part.kind))
    if stuff.target.kind == "classification":
        found["people-effects"] += [_placed(work.effects(column), column, PEOPLE) for column in work.columns]
    known = listeners.people if listeners.people is not None else pl.DataFrame(schema={"rater": pl.String})
    joined = {name: pl.concat(frames, how="diagonal_relaxed") for name, frames in found.items() if frames}
    return {"people": known, "people-models": chosen, **joined}


def models(runs: pl.DataFrame, scored: pl.DataFrame, main: metrics.Metric[Any], stuff: Material) -> pl.DataFrame:
    """Choose what stands beside people: of each encoder, method, regime and domain the best source; rows of `MODELS`.

    It is the best over all that it is tested on, which flatters it; `sources` says among how many it was chosen. Draws
    of shots, budgets and alignments are left out, and target-selected where there is zero-shot.
    """
    asked = pl.col("shots").is_null() & pl.col("seconds").is_null() & pl.col("alignment").is_null()
    shown = set(stuff.study.regimes) - ({"target-selected"} if "zero-shot" in stuff.study.regimes else set())
    number = scored.filter(pl.col("metric") == main.name, pl.col("slice") == "all", pl.col("rater") == "selected")
    sign = 1 if main.higher_is_better else -1
    group = ["encoder", "method", "regime", "domain"]
    best = (
        runs.filter(asked, pl.col("regime").is_in(shown))
        .join(number.select("run", "rater", pl.col("estimate").fill_nan(None) * sign), on="run")
        .with_columns(pl.len().over(group).alias("sources"))
        .sort("estimate", "source", descending=[True, False], nulls_last=True)
        .unique(group, keep="first", maintain_order=True)
        .rename({"run": "of"})
        .with_columns(pl.concat_str("encoder", "method", "regime", separator="/").alias("run"))
    )
    return best.select(pl.col(name).cast(kind) for name, kind in MODELS.items()).sort(*group)


def _answers(answered: pl.LazyFrame, chosen: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return what the chosen models answered about what people heard, a run for all domains together."""
    named = chosen.lazy().select(pl.col("of").alias("run"), "rater", pl.col("run").alias("called"))
    heard = said.lazy().select("utterance").unique()
    rows = answered.filter(pl.col("source") == "model").join(named, on=["run", "rater"])
    found = rows.join(heard, on="utterance", how="semi").with_columns(pl.col("called").alias("run"))
    return found.select(list(predictions.SCHEMA)).collect()


@dataclass(frozen=True)
class _Work:
    said: pl.DataFrame
    models: pl.DataFrame
    reference: pl.DataFrame
    stuff: Material
    people: pl.DataFrame | None

    @cached_property
    def heard(self) -> pl.DataFrame:
        """Rows of the corpus table that people answered."""
        return self.stuff.table.join(self.said.select("utterance").unique(), on="utterance", how="semi")

    @cached_property
    def clusters(self) -> dict[str, str]:
        return dict(self.stuff.table.select("utterance", "speaker").iter_rows())

    @property
    def columns(self) -> list[str]:
        """Columns whose values are compared: the study's domain, and dialect where that is another division."""
        domain = self.stuff.study.domain
        dialects = self.heard[DIALECT].drop_nulls().unique().to_list()
        known = self.people is not None and any(
            backgrounds.years(self.people, str(one), self.stuff.study.listeners.names).count(backgrounds.EXPOSED)
            for one in dialects
        )
        pairs = self.heard.select(list(dict.fromkeys((domain, DIALECT)))).unique()
        same = len(pairs) == len(dialects) == pairs[domain].n_unique()
        return [domain] + ([DIALECT] if domain != DIALECT and not same and (len(dialects) > 1 or known) else [])

    def values(self, column: str) -> list[str]:
        return [str(one) for one in self.heard[column].drop_nulls().unique().sort()]

    @cached_property
    def votes(self) -> list[str]:
        """Runs of which it is not known who gave which answer: their only rater answers most items several times."""
        each = self.said.group_by("run", "rater", "utterance").agg(pl.col("trial").n_unique())
        runs = each.group_by("run").agg(pl.col("trial").median(), pl.col("rater").n_unique())
        return runs.filter(pl.col("trial") > 1, pl.col("rater") == 1)["run"].to_list()

    def parts(self, column: str) -> Iterator[Part]:
        """Yield every value of a column, people and votes apart."""
        for value in self.values(column):
            items = self.heard.filter(pl.col(column).cast(pl.String) == value)
            here = self.said.join(items.select("utterance"), on="utterance", how="semi")
            theirs = self.models.join(items.select("utterance"), on="utterance", how="semi")
            votes = pl.col("run").is_in(self.votes)
            for kind, answers in ((PEOPLE, here.filter(~votes)), (VOTES, here.filter(votes))):
                if len(answers):
                    yield Part(self.stuff, self.reference, self.people, column, value, kind, items, answers, theirs)

    def effects(self, column: str) -> pl.DataFrame:
        """Effects of the column, of all people and by what they know of each dialect or are grouped by."""
        people_only = self.said.filter(~pl.col("run").is_in(self.votes))
        values = self.values(column)
        found = [pl.DataFrame(schema=people.TABLES["effects"])]
        names = people_only.select("run", "rater").unique().sort("run", "rater").rows()
        if len(values) < 2 or not names:
            return found[0]
        confidence_level = self.stuff.study.statistics.confidence
        for version, kept in who.versions(names, self.people).items():
            panels = {}
            for value in values:
                items = self.heard.filter(pl.col(column).cast(pl.String) == value).select("utterance")
                answers = people_only.join(items, on="utterance", how="semi").join(
                    _frame(kept), on=["run", "rater"], how="semi"
                )
                if len(answers):
                    true = self.reference.join(items, on="utterance", how="semi")
                    panels[value] = gather(answers, true, self.stuff.target.labels, self.clusters)
            known = self.known(column, names)
            for background in ({}, known) if known else ({},):
                fitted = effects(panels, background, confidence_level)
                place = {"listeners": version, "domain": None, "group": None}
                marked = fitted.with_columns(pl.lit(text, pl.String).alias(name) for name, text in place.items())
                found.append(marked.select(list(found[0].columns)))
        return pl.concat(found)

    def known(self, column: str, names: Sequence[Name]) -> dict[str, Mapping[Name, str]]:
        """Return what may change the effect of a column: years of a dialect, and what the study groups by."""
        if self.people is None:
            return {}
        asked = self.stuff.study.listeners
        found: dict[str, Mapping[Name, str]] = {}
        raters = self.people["rater"].to_list()
        for value in self.values(column) if column == DIALECT else ():
            exposed = backgrounds.years(self.people, value, asked.names)
            said = {rater: text for rater, text in zip(raters, exposed, strict=True) if text is not None}
            if len(set(said.values())) > 1:
                found[f"years of {value}"] = {name: said[name[1]] for name in names if name[1] in said}
        return found | dict(who.backgrounds(names, self.people, asked.groups))


def _frame(names: Sequence[Name]) -> pl.DataFrame:
    return pl.DataFrame(list(names), schema={"run": pl.String, "rater": pl.String}, orient="row")


def _placed(frame: pl.DataFrame, column: str, kind: str) -> pl.DataFrame:
    """Put before a table the axis, the column that its domains are values of, and what kind of answers it is about."""
    marks = {"axis": column, "kind": kind}
    marked = frame.with_columns(pl.lit(text).alias(name) for name, text in marks.items())
    return marked.select(*marks, pl.exclude(*marks))
