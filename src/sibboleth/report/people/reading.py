"""The tables of people beside models, and the names that the page has for people and models."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from sibboleth.report import wording
from sibboleth.report.results import Results
from sibboleth.report.systems import PLUS, System

ALL, ATTENTIVE, CROWD, VOTES = "all", "attentive", "crowd", "votes"
"""Listeners and groups of the tables: everybody, those who did not fail, what most said; kind of a panel's votes."""
PEOPLE = "people"
"""Run and kind of people in the tables."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """What one panel is about: a value of the axis, a column, and whether people are told apart there."""

    axis: str
    domain: str
    kind: str


@dataclass(frozen=True)
class Beside:
    """What a run's directory says of people beside its models."""

    results: Results

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        """Tables that were read, by name."""
        return {}

    def read(self, name: str) -> pl.DataFrame:
        """Read a table of the run; empty where it has none."""
        if name not in self.tables:
            known = self.results.run / f"{name}.parquet"
            self.tables[name] = self.results.run.table(name) if known.exists() else pl.DataFrame()
        return self.tables[name]

    @property
    def there(self) -> bool:
        """Whether people answered anything that stands beside models."""
        return not self.read("people-domains").is_empty()

    @cached_property
    def simulated(self) -> bool:
        """Whether the listeners are simulated: then nothing says people."""
        return self.there and bool((self.read("people-domains")["source"] == "simulated").any())

    @property
    def word(self) -> str:
        """Who answered."""
        return "simulated listeners" if self.simulated else "people"

    @property
    def one(self) -> str:
        """One of who answered."""
        return "simulated listener" if self.simulated else "person"

    @cached_property
    def columns(self) -> list[str]:
        """Columns whose values are compared, the study's domain first."""
        return self.read("people-domains")["axis"].unique(maintain_order=True).to_list() if self.there else []

    def places(self, column: str) -> list[Place]:
        """Panels of a column, in the order of the study's domains."""
        rows = self.read("people-domains").filter(pl.col("axis") == column)
        order = self.results.domains
        found = [Place(column, row["domain"], row["kind"]) for row in rows.to_dicts()]
        return sorted(
            found, key=lambda p: (order.index(p.domain) if p.domain in order else len(order), p.domain, p.kind)
        )

    def facts(self, place: Place) -> Row:
        """Labels, chance and counts of a panel."""
        return self.at("people-domains", place).to_dicts()[0]

    def at(self, name: str, place: Place) -> pl.DataFrame:
        """Rows of a table about one panel."""
        table = self.read(name)
        if table.is_empty():
            return table
        return table.filter(axis=place.axis, domain=place.domain, kind=place.kind)

    def title(self, place: Place) -> str:
        """Name a panel."""
        several = sum(one.domain == place.domain for one in self.places(place.axis)) > 1
        return f"{place.domain}, {'votes' if place.kind == VOTES else 'listeners'}" if several else place.domain

    def group(self, group: str, place: Place) -> str:
        """Name a group of people as the page does."""
        if group == CROWD:
            return "crowd: what most said"
        if group == ALL:
            number = self.facts(place)["people"]
            votes = self.facts(place)["answers"]
            who = wording.count(number, self.one, self.word)
            return f"{votes:,} votes of people" if place.kind == VOTES else who
        column, _, value = group.partition("=")
        names = {("dialect", "exposed"): "dialect-exposed", ("dialect", "not exposed"): "not dialect-exposed"}
        said = value if column == "language" else names.get((column, value), f"{column} {value}")
        rows = self.at("people-groups", place)
        count = rows.filter(by=column, value=value)["people"].to_list() if len(rows) else []
        return f"{said} ({count[0]})" if count else said

    @cached_property
    def models(self) -> list[dict[str, Any]]:
        """Models that stand beside people: a row per domain, with `system`, in the order of the page."""
        rows = self.read("people-models").to_dicts() if self.there else []
        order = [system.name for system in self.results.systems]
        for row in rows:
            row["system"] = row["encoder"] + (PLUS + row["method"] if row["tuned"] else "")
        known = [row for row in rows if row["system"] in order]
        return sorted(known, key=lambda row: (row["control"], order.index(row["system"]), wording.place(row["regime"])))

    def runs(self, place: Place) -> list[str]:
        """Models that answered a panel's items, in the order of the page."""
        scores = self.at("people-scores", place)
        there = set(scores["run"]) if len(scores) else set()
        return [run for run in dict.fromkeys(row["run"] for row in self.models) if run in there]

    def system(self, run: str) -> System | None:
        """Find the system of a model."""
        row = next((row for row in self.models if row["run"] == run), None)
        return None if row is None else self.results.system(row["system"])

    def model(self, run: str, place: Place | None = None) -> str:
        """Name a model: system, regime, and from where, where its panel has one source."""
        rows = [row for row in self.models if row["run"] == run]
        if not rows:
            return run
        name, regime = self.results.short(rows[0]["system"]), rows[0]["regime"]
        here = [row for row in rows if place is not None and row["domain"] == place.domain]
        foreign = [row["source"] for row in here if row["source"] != row["domain"]]
        return f"{name}, {regime}" + (f" from {foreign[0]}" if foreign else "")

    def score(self, place: Place, run: str, rater: str | None = None, **wanted: str) -> Row | None:
        """Find a score of a run or group of people: the main metric over everything unless another is named."""
        asked = {"metric": self.results.metric, "slice": "all", "listeners": ALL, **wanted}
        rows = self.at("people-scores", place).filter(run=run, **asked)
        rows = rows.filter(pl.col("rater") == rater) if rater is not None else rows.filter(pl.col("group").is_null())
        return rows.to_dicts()[0] if len(rows) else None

    def groups(self, place: Place) -> list[str]:
        """Groups of people that have scores: everybody first, the crowd last."""
        rows = self.at("people-scores", place).filter(pl.col("run") == PEOPLE, pl.col("listeners") == ALL)
        names = rows["group"].drop_nulls().unique(maintain_order=True).to_list()
        first = [ALL] if ALL in names else []
        last = [CROWD] if CROWD in names else []
        return first + [name for name in names if name not in (ALL, CROWD)] + last

    def labelled(self, place: Place) -> bool:
        """Whether it is known which wrong labels people said."""
        return self.score(place, PEOPLE, ALL, metric="macro_f1") is not None

    def best(self, place: Place, regime: str | None = None) -> str | None:
        """Find the model with the best score on a panel's items, controls only where there is nothing else."""
        found = []
        for run in self.runs(place):
            row, system = self.score(place, run), self.system(run)
            if row is None or system is None or not math.isfinite(row["estimate"]):
                continue
            if regime in (None, self.regime(run)):
                found.append((system.control, -self.results.better * row["estimate"], run))
        return min(found)[2] if found else None

    def regime(self, run: str) -> str:
        """Regime of a model."""
        return next((str(row["regime"]) for row in self.models if row["run"] == run), "")

    @property
    def failed(self) -> bool:
        """Whether some people failed, so that all is also told without them."""
        return self.there and ATTENTIVE in set(
            self.read("people-agreement").get_column("listeners", default=pl.Series([], dtype=pl.String))
        )
