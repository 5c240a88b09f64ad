"""Panels: what people said of the items of one domain, or dialect, beside what models answered."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import polars as pl

from sibboleth import predictions
from sibboleth.experiment import backgrounds
from sibboleth.experiment.listeners import OF_WRONG_LABELS
from sibboleth.experiment.material import Material
from sibboleth.metrics.classification import OTHER
from sibboleth.scores import people, scoring
from sibboleth.scores.people import listeners as who
from sibboleth.targets import Target

PEOPLE, VOTES = "people", "votes"
"""Kinds of answers: of people who are told apart, or votes of a panel of whom it is not known who gave which."""
CROWD = "crowd"
"""Rater and group of the answer that most people gave."""
GROUPS: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("axis", "domain", "kind", "by", "value"), pl.String),
    "people": pl.Int64,
}
Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Part:
    """One value of a column: what people said of its items, and what models answered."""

    material: Material
    reference: pl.DataFrame
    listeners: pl.DataFrame | None
    axis: str
    value: str
    kind: str
    items: pl.DataFrame
    said: pl.DataFrame
    models: pl.DataFrame

    @cached_property
    def clusters(self) -> dict[str, str]:
        """Speaker of each item."""
        return dict(self.items.select("utterance", "speaker").iter_rows())

    @cached_property
    def true(self) -> pl.DataFrame:
        """Reference of what people heard."""
        heard = self.said.select("utterance").unique()
        return self.reference.join(heard, on="utterance", how="semi")

    @cached_property
    def target(self) -> Target:
        """The target with the labels that these items have."""
        target = self.material.target
        there = set(self.true.filter(pl.col("value") > 0)["label"].drop_nulls())
        return replace(target, labels=tuple(one for one in target.labels if one in there))

    def tables(self) -> Tables:
        """Put people beside models, count their groups, and score the crowd."""
        names = self.said.select("run", "rater").unique().sort("run", "rater").rows()
        known, by = self.known([rater for _, rater in names])
        study = self.material.study
        made = people.beside(
            pl.concat([self.said, self.models]),
            self.true,
            self.material.target,
            clusters=self.clusters,
            domains=dict.fromkeys(self.items["utterance"], self.value),
            listeners=known,
            by=by,
            statistics=study.statistics,
            seed=study.seed,
        )
        found = {field.name: getattr(made, field.name) for field in fields(made)}
        if self.target.kind != "segmentation":
            first = pl.col("trial") == pl.col("trial").min().over("run", "rater", "utterance")
            once = self.said if self.kind == VOTES else self.said.filter(first)
            found["scores"] = self.known_labels(pl.concat([found["scores"], self.crowd(once)]))
        return {**found, "groups": self.groups(known, by)}

    def known_labels(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Leave out what cannot be told of people where it is not known which wrong labels they said."""
        if not (self.said["label"] == OTHER).any():
            return scores
        theirs = pl.col("run").is_in([people.PEOPLE, *self.said["run"].unique()])
        return scores.filter(~(theirs & pl.col("metric").is_in(OF_WRONG_LABELS)))

    def known(self, raters: Sequence[str]) -> tuple[pl.DataFrame | None, list[str]]:
        """Return the people of this part with their backgrounds, and the columns that tell some of them apart."""
        everybody = self.listeners
        here = None if everybody is None else everybody.filter(pl.col("rater").is_in(raters))
        if here is None or here.is_empty():
            return None, []
        asked = self.material.study.listeners
        table = backgrounds.beside(here, self.items, asked.names)
        columns = (backgrounds.LANGUAGE, backgrounds.DIALECT, *asked.groups)
        return table, [name for name in columns if table[name].drop_nulls().n_unique() > 1]

    def groups(self, known: pl.DataFrame | None, by: Sequence[str]) -> pl.DataFrame:
        """Count people by background, also where all have the same."""
        rows = []
        if known is not None:
            for name in dict.fromkeys((backgrounds.LANGUAGE, backgrounds.DIALECT, *by)):
                counts = known.group_by(pl.col(name).cast(pl.String)).len().drop_nulls().sort(name)
                rows += [
                    (self.axis, self.value, self.kind, name, value, number) for value, number in counts.iter_rows()
                ]
        return pl.DataFrame(rows, schema=GROUPS, orient="row")

    def crowd(self, said: pl.DataFrame) -> pl.DataFrame:
        """Score the label that most people gave, or the mean of their numbers."""
        pooled = predictions.pool(said, CROWD).with_columns(pl.lit(people.PEOPLE).alias("run"))
        decided = predictions.decide(pooled).with_columns(
            pl.when(pl.col("label").is_null()).then("value").otherwise(1.0).alias("value")
        )
        study = self.material.study
        scored = scoring.score(
            decided, self.true, self.target, clusters=self.clusters, statistics=study.statistics, seed=study.seed
        )
        place = {"listeners": who.ALL, "domain": self.value, "group": CROWD}
        return scored.with_columns(pl.lit(text).alias(name) for name, text in place.items()).select(
            list(people.TABLES["scores"])
        )
