"""People beside models: all tables, per domain, with and without listeners who failed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.metrics.alignment import ITEM
from sibboleth.scores import comparison, scoring
from sibboleth.scores.groups import Name
from sibboleth.scores.people import listeners as who
from sibboleth.scores.people import segmented
from sibboleth.scores.people.agreement import SCHEMA as AGREEMENT
from sibboleth.scores.people.agreement import agree
from sibboleth.scores.people.ceiling import SCHEMA as CEILING
from sibboleth.scores.people.ceiling import ceiling
from sibboleth.scores.people.confidence import SCHEMA as CONFIDENCE
from sibboleth.scores.people.confidence import confidence
from sibboleth.scores.people.consistency import SCHEMA as CONSISTENCY
from sibboleth.scores.people.consistency import consistency
from sibboleth.scores.people.disputed import SCHEMA as DISPUTED
from sibboleth.scores.people.disputed import disputed
from sibboleth.scores.people.effects import SCHEMA as EFFECTS
from sibboleth.scores.people.effects import effects
from sibboleth.scores.people.panel import Panel, gather
from sibboleth.scores.slices import Clusters
from sibboleth.stats import Resampler
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

EVERYWHERE = "all"
"""The domain of all items together, where their labels are the same everywhere."""
PEOPLE = "people"
"""Run by which groups of listeners go in the tables."""
PLACE: dict[str, type[pl.DataType]] = {"listeners": pl.String, "domain": pl.String, "group": pl.String}
"""Which listeners (all, or the attentive), which items, and which group of listeners a row is about."""
DOMAINS: dict[str, type[pl.DataType]] = {
    "domain": pl.String,
    "source": pl.String,
    "labels": pl.List(pl.String),  # type: ignore[dict-item]
    "chance": pl.Float64,
    "items": pl.Int64,
    "speakers": pl.Int64,
    "people": pl.Int64,
    "models": pl.Int64,
    "answers": pl.Int64,
}


@dataclass(frozen=True)
class Tables:
    """What came out; docs/design.md has the columns."""

    domains: pl.DataFrame
    agreement: pl.DataFrame
    scores: pl.DataFrame
    differences: pl.DataFrame
    ceiling: pl.DataFrame
    consistency: pl.DataFrame
    confidence: pl.DataFrame
    effects: pl.DataFrame
    disputed: pl.DataFrame


@dataclass(frozen=True)
class _Domain:
    name: str
    target: Target
    people: pl.DataFrame
    models: pl.DataFrame
    reference: pl.DataFrame


def beside(
    predictions: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    *,
    clusters: Clusters,
    domains: Mapping[str, str] | None = None,
    listeners: pl.DataFrame | None = None,
    by: Sequence[str] = (),
    statistics: StatisticsSettings | None = None,
    seed: int = 0,
) -> Tables:
    """Put people (source listener or simulated) beside models, on the items that people answered.

    `clusters` has each utterance's speaker, `domains` its domain (one, `all`, where not given), `listeners` a row per
    `rater` with columns to group `by`, and with `excluded` or `catch_failed` who failed. Every domain is scored with
    the labels its own reference has; items without a domain are left out. Numbers have agreement, scores and
    differences; ceiling, consistency, confidence, effects and disputed items are of labels. Segments have scores,
    differences, and the ceiling of `segmented`. Raises `InvalidInput`.
    """
    if target.kind == "transcription":
        raise InvalidInput("transcripts are not compared here: `sibboleth score --people` does")
    settings = statistics or StatisticsSettings()
    about = predictions.filter(pl.col("target") == target.name)
    kind = who.source(about)
    people = about.filter(pl.col("source") == kind)
    names: list[Name] = [
        (run, rater) for run, rater in people.select("run", "rater").unique().sort("run", "rater").rows()
    ]
    known = None if listeners is None else who.checked(listeners, names)
    groups = who.groups(names, known, by)
    parts = list(_domains(people, about.filter(pl.col("source") == "model"), reference, target, domains))
    work = _Work(clusters, settings, seed, groups, who.backgrounds(names, known, by))
    versions = who.versions(names, known)
    places: dict[str, list[_Place]] = {version: [] for version in versions}
    for part in parts:
        panels = {version: work.panel(part, kept) for version, kept in versions.items()}
        named = work.named(panels, versions)
        for version, scored in work.scored(part, named).items():
            places[version].append(_Place(part, panels[version], named[version], scored))
    found = [work.tables(version, there, len(parts) == 1) for version, there in places.items()]
    joined = {name: pl.concat([tables[name] for tables in found]) for name in found[0]}
    overview = pl.DataFrame([work.overview(part, kind) for part in parts], schema=DOMAINS, orient="row")
    return Tables(overview, **joined)


def _domains(
    people: pl.DataFrame,
    models: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    domains: Mapping[str, str] | None,
) -> Iterator[_Domain]:
    """Yield every domain that people answered, with its own labels; then all together, where these are the same."""
    item = _item(target)
    heard = people.select(item).unique()
    true = reference.filter(pl.col("target") == target.name).join(heard, on=item, how="semi", nulls_equal=True)
    if true.is_empty():
        raise InvalidInput(f"no item that people answered has a reference about {target.name!r}; compare their names")
    beside_people = models.join(heard, on=item, how="semi", nulls_equal=True)
    named = sorted({domains[u] for u in true["utterance"] if u in domains}) if domains else [EVERYWHERE]
    label_sets = set()
    for name in named:
        rows = [frame if not domains else frame.filter(_in(domains, name)) for frame in (people, beside_people, true)]
        asked = _asked(rows[2], target)
        label_sets.add(asked.labels)
        yield _Domain(name, asked, rows[0], rows[1], rows[2])
    if len(named) > 1 and len(label_sets) == 1:
        yield _Domain(EVERYWHERE, _asked(true, target), people, beside_people, true)


def _in(domains: Mapping[str, str], name: str) -> pl.Expr:
    return pl.col("utterance").is_in([utterance for utterance, domain in domains.items() if domain == name])


def _asked(reference: pl.DataFrame, target: Target) -> Target:
    """Return the target with the labels that the reference has, in the target's order."""
    there = set(reference.filter(pl.col("value") > 0)["label"].drop_nulls())
    order = target.labels or tuple(sorted(there))
    return replace(target, labels=tuple(label for label in order if label in there))


def _item(target: Target) -> list[str]:
    """Name the columns that say what an answer is about; all segments of an utterance are one answer."""
    return ["utterance"] if target.kind == "segmentation" else list(ITEM)


@dataclass(frozen=True)
class _Place:
    """A domain as one version's listeners heard it."""

    domain: _Domain
    panel: Panel
    named: who.Groups
    scored: pl.DataFrame


@dataclass(frozen=True)
class _Work:
    clusters: Clusters
    settings: StatisticsSettings
    seed: int
    groups: who.Groups
    backgrounds: Mapping[str, Mapping[Name, str]]

    def panel(self, part: _Domain, kept: Sequence[Name]) -> Panel:
        """Gather what some of the listeners answered."""
        people, true = _only(part.people, kept), part.reference
        if part.target.kind == "segmentation":
            people, true = segmented.heard(people), segmented.heard(true)
        return gather(people, true, part.target.labels, self.clusters)

    def named(self, panels: Mapping[str, Panel], versions: Mapping[str, Sequence[Name]]) -> dict[str, who.Groups]:
        """Return the groups of each version's listeners who answered; no version without any."""
        found: dict[str, who.Groups] = {}
        for version, kept in versions.items():
            panel, there = panels[version], set(kept)
            groups = {EVERYWHERE: list(kept)} | {g: [n for n in ns if n in there] for g, ns in self.groups.items()}
            answered = there if panel.votes else there & set(panel.raters)
            groups = {group: [n for n in names if n in answered] for group, names in groups.items()}
            found[version] = {group: names for group, names in groups.items() if names}
        return {version: groups for version, groups in found.items() if groups}

    def tables(self, version: str, places: Sequence[_Place], only: bool) -> dict[str, pl.DataFrame]:
        """Make every table for some of the listeners; `only` where there is one domain."""
        found: dict[str, list[pl.DataFrame]] = {name: [_empty(name)] for name in TABLES}
        panels: dict[str, Panel] = {}
        for place in places:
            part, panel, named = place.domain, place.panel, place.named
            if not panel.votes and (part.name != EVERYWHERE or only):
                panels[part.name] = panel
            for name, frame in (("scores", place.scored), ("differences", self.compared(part, named))):
                found[name].append(_placed(name, frame, version, part.name, None))
            for group, names in named.items():
                for name, frame in self.grouped(part, panel, names).items():
                    found[name].append(_placed(name, frame, version, part.name, group))
        if panels and places[0].domain.target.kind == "classification":
            fitted = effects(panels, self.backgrounds, self.settings.confidence)
            found["effects"].append(_placed("effects", fitted, version, None, None))
        return {name: pl.concat(frames) for name, frames in found.items()}

    def scored(self, part: _Domain, named: Mapping[str, who.Groups]) -> dict[str, pl.DataFrame]:
        """Score groups, listeners and models with all metrics; who is alone has the same rows in each version."""
        groups = {
            (PEOPLE, f"{version} {group}"): names for version, here in named.items() for group, names in here.items()
        }
        everybody = list(dict.fromkeys(name for names in groups.values() for name in names))
        found = scoring.score(
            pl.concat([_only(part.people, everybody), part.models]),
            part.reference,
            part.target,
            clusters=self.clusters,
            statistics=self.settings,
            seed=self.seed,
            groups=groups,
        )
        models = part.models.select("run", "rater").unique().rows()
        versions: dict[str, pl.DataFrame] = {}
        for version, here in named.items():
            alone = _only(found, [*here[EVERYWHERE], *models])
            together = _only(found, [(PEOPLE, f"{version} {group}") for group in here])
            together = together.with_columns(pl.col("rater").str.strip_prefix(f"{version} "))
            group = pl.when(pl.col("run") == PEOPLE).then("rater")
            versions[version] = pl.concat([alone, together]).with_columns(group=group)
        return versions

    def compared(self, part: _Domain, named: who.Groups) -> pl.DataFrame:
        """Compare models with groups."""
        models = part.models.select("run", "rater").unique().sort("run", "rater").rows()
        return comparison.compare(
            pl.concat([_only(part.people, named[EVERYWHERE]), part.models]),
            part.reference,
            part.target,
            [(f"{part.name} {group}", *model, PEOPLE, group) for group in named for model in models],
            clusters=self.clusters,
            statistics=self.settings,
            seed=self.seed,
            groups={(PEOPLE, group): names for group, names in named.items()},
        ).with_columns(group="b_rater")

    def grouped(self, part: _Domain, everybody: Panel, names: Sequence[Name]) -> dict[str, pl.DataFrame]:
        """Make the tables about one group of a panel."""
        if part.target.kind == "segmentation":
            said = _only(part.people, names)
            settings = self.clusters, self.settings, self.seed
            return {"ceiling": segmented.ceiling(said, part.reference, part.target, names, *settings)}
        panel = everybody if everybody.votes else everybody.of(names)
        resampler = Resampler(self.settings.resamples, self.settings.confidence, self.seed)
        found = {"agreement": agree(panel, resampler)}
        if part.target.kind == "classification":
            models = gather(part.models, part.reference, panel.labels, self.clusters, panel.items)
            found["ceiling"] = ceiling(panel, models, resampler)
            found["consistency"] = consistency(panel, models, resampler)
            found["confidence"] = confidence(panel, part.models, resampler)
            found["disputed"] = disputed(panel, part.models, part.reference, part.target)
        return found

    def overview(self, part: _Domain, kind: str) -> tuple[object, ...]:
        """Count what a domain has."""
        item = _item(part.target)
        items = part.people.select(item).unique()
        speakers = {self.clusters.get(u) or f"\0{u}" for u in items["utterance"]}
        labels = list(part.target.labels)
        raters = (frame.select("run", "rater").n_unique() for frame in (part.people, part.models))
        chance = 1 / len(labels) if labels and part.target.kind == "classification" else None
        answers = len(part.people)
        if part.target.kind == "segmentation":
            answers = part.people.select("run", "rater", "utterance", "trial").n_unique()
        return part.name, kind, labels, chance, len(items), len(speakers), *raters, answers


TABLES: dict[str, dict[str, type[pl.DataType]]] = {
    "agreement": PLACE | AGREEMENT,
    "scores": PLACE | scoring.SCHEMA,
    "differences": PLACE | comparison.COMPARISON,
    "ceiling": PLACE | CEILING,
    "consistency": PLACE | CONSISTENCY,
    "confidence": PLACE | CONFIDENCE,
    "effects": PLACE | EFFECTS,
    "disputed": PLACE | DISPUTED,
}
"""Columns of each table, as docs/design.md describes them."""


def _empty(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema=TABLES[name])


def _only(frame: pl.DataFrame, names: Sequence[Name]) -> pl.DataFrame:
    wanted = pl.DataFrame(list(names), schema={"run": pl.String, "rater": pl.String}, orient="row")
    return frame.join(wanted, on=["run", "rater"], how="semi", maintain_order="left")


def _placed(name: str, frame: pl.DataFrame, version: str, domain: str | None, group: str | None) -> pl.DataFrame:
    """Say which listeners, items and (unless the rows do) which group the rows of a table are about."""
    values = {"listeners": version, "domain": domain} | ({} if "group" in frame.columns else {"group": group})
    placed = frame.with_columns(pl.lit(value, pl.String).alias(column) for column, value in values.items())
    return placed.select(list(TABLES[name]))
