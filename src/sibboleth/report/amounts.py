"""The page of a data study: curves over hours of speech, a line for each language, for every target."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import runs
from sibboleth.errors import SibbolethError
from sibboleth.report import amount_tables, figures, growth, plots, sections, significance, wording
from sibboleth.report.figures import DASHES, SYMBOLS, Chart, Entry, Group
from sibboleth.report.page import WIDEST_TEX
from sibboleth.report.sections import Panel
from sibboleth.report.systems import System
from sibboleth.report.tables import Table
from sibboleth.report.templates import environment
from sibboleth.runs import RunDirectory
from sibboleth.scores.comparison import FLIPS

PAGE = "curves.html"


@dataclass(frozen=True)
class Asked:
    """One target and regime, ready to be shown."""

    target: dict[str, Any]
    regime: str
    explained: str
    told: growth.Told
    said: list[str]
    figure: Group
    scores: Table
    differences: Table
    mute: list[str]

    @property
    def first(self) -> bool:
        """Whether it is the target's first regime."""
        return bool(self.target["regimes"][0] == self.regime)


@dataclass(frozen=True)
class Found:
    """The record and the tables of a data study."""

    run: RunDirectory
    record: dict[str, Any]
    points: pl.DataFrame
    differences: pl.DataFrame

    @property
    def resamples(self) -> int:
        """How often speakers were resampled."""
        return int(self.record["settings"]["statistics"]["resamples"])

    @property
    def confidence(self) -> float:
        """Coverage that the intervals aim at."""
        return float(self.record["settings"]["statistics"]["confidence"])


def load(run: RunDirectory) -> Found:
    """Read a data study; raises `SibbolethError` where it is not complete."""
    record, differences = run.read(), run.table("differences")
    if record.get("kind") != "curves":
        raise SibbolethError(f"{run.path}: is not the folder of `sibboleth curves`")
    resamples = int(record["settings"]["statistics"]["resamples"])
    parts = [significance.with_floors(part, _flips(part, resamples)) for part in _compared(differences)]
    empty = significance.with_floors(differences.clear(), resamples)
    return Found(run, record, run.table("curves"), pl.concat(parts) if parts else empty)


def _compared(differences: pl.DataFrame) -> list[pl.DataFrame]:
    """Part differences into those that were compared together."""
    return differences.partition_by("target", "regime", "question", maintain_order=True)


def _flips(compared: pl.DataFrame, resamples: int) -> int:
    """Say how many sign flips stand behind each p."""
    return max(resamples, FLIPS * len(compared))


def write(run: RunDirectory) -> Path:
    """Write curves.html, figures/ and tables/ of a data study; raises `SibbolethError` where it is not complete."""
    found = load(run)
    asked = [one for target in found.record["targets"] for one in _asked(found, target)]
    made, glance = amount_tables.made(found.record), amount_tables.glance([(one.target, one.told) for one in asked])
    for one in asked:
        figures.write(one.figure, run / "figures")
    for each in (made, glance, *(each for one in asked for each in (one.scores, one.differences))):
        if each.rows:
            each.write(run / "tables", tex=len(each.rows) <= WIDEST_TEX)
    record = found.record
    corpora = {one["name"]: one for target in record["targets"] for one in target["corpora"]}
    html = (
        environment()
        .get_template("amounts.html.j2")
        .render(
            title=record["question"] or record["name"],
            m=found,
            record=record,
            asked=asked,
            made=made,
            glance=glance,
            equal=growth.held_equal(record),
            unequal=growth.not_equal(record),
            corpora=list(corpora.values()),
            synthetic=[one["name"] for one in corpora.values() if one["synthetic"]],
            confidence=f"{found.confidence:.0%}",
            languages=", ".join(
                f"{name} ({' + '.join(drawn)})" for name, drawn in record["settings"]["languages"].items()
            ),
            hours=", ".join(f"{one:g}" for one in record["settings"]["hours"]),
            settings=json.dumps(record["settings"], indent=2, ensure_ascii=False),
            widest_tex=WIDEST_TEX,
            plural=wording.plural,
        )
    )
    runs.write_text(run / PAGE, html)
    return run / PAGE


def _asked(found: Found, target: dict[str, Any]) -> Iterator[Asked]:
    mine = found.points.filter(pl.col("target") == target["name"])
    bounds = sections.bounds(mine, target["chance"])
    settings = found.record["settings"]
    choices = "layer and epoch" if settings["probe"]["kind"] == "mlp" else "layer and penalty"
    for regime in target["regimes"]:
        points = mine.filter(pl.col("regime") == regime)
        if points.is_empty():
            continue
        differences = found.differences.filter((pl.col("target") == target["name"]) & (pl.col("regime") == regime))
        told = growth.Told(regime, growth.whole(points), growth.whole(differences), target["metric"])
        yield Asked(
            target,
            regime,
            wording.regime(regime, choices, settings["splits"]["scheme"]),
            told,
            growth.sentences(told),
            _figure(found, target, regime, points, bounds),
            amount_tables.scores(target, regime, points),
            amount_tables.differences_of(target, regime, differences),
            [note for part in _compared(differences) for note in significance.notes(part)],
        )


def _figure(
    found: Found, target: dict[str, Any], regime: str, points: pl.DataFrame, bounds: tuple[float, float]
) -> Group:
    systems = _encoders(points)
    metric = wording.metric(target["metric"])
    panels = []
    for domain in amount_tables.domains_of(target, points):
        part = points.filter(pl.col("domain").eq_missing(domain))
        shown = part.select(
            pl.coalesce("language", "name").alias("system"),
            "hours",
            *(pl.col(c).fill_nan(None) for c in amount_tables.NUMBERS),
        )
        panels.append(
            Panel(
                amount_tables.tested(target, domain),
                _text(target, domain, part),
                _curve(shown, systems, metric, bounds, target["chance"]),
            )
        )
    return sections.drawn(
        panels,
        f"curves-{target['name']}-{regime}",
        f"{wording.capital(regime)}: {metric} by hours of speech",
        f"Bands are {found.confidence:.0%} intervals over speakers. Horizontal lines were not pre-trained here.",
        f"curves.parquet: target {target['name']}, regime {regime}",
        _legend(systems, points, target["chance"]),
    )


def _curve(
    shown: pl.DataFrame, systems: list[System], metric: str, bounds: tuple[float, float], chance: float | None
) -> Any:
    def draw() -> Chart:
        return plots.amounts(shown, systems, metric=metric, bounds=bounds, chance=chance)

    return draw


def _encoders(points: pl.DataFrame) -> list[System]:
    """List the lines: languages, then what is horizontal."""
    trained = points.filter(pl.col("role") == "pretrained")["language"].unique(maintain_order=True)
    others = points.filter(pl.col("role") != "pretrained").select("name", "role").unique(maintain_order=True)
    lines = [System(name, name, False, 1) for name in trained]
    return lines + [System(name, name, role != "other", 1) for name, role in others.iter_rows()]


def _legend(systems: list[System], points: pl.DataFrame, chance: float | None) -> tuple[Entry, ...]:
    known = plots.styles(systems)
    roles = {row["name"]: row for row in points.filter(pl.col("role") != "pretrained").to_dicts()}
    symbols = iter(list(SYMBOLS) * len(systems))
    entries = []
    for one in systems:
        colour, dash, _ = known[one.short]
        if one.name in roles:
            drawn = "" if dash == DASHES[0] else ",".join(map(str, dash))
            entries.append(Entry(growth.title(roles[one.name]), colour, drawn))
        else:
            entries.append(Entry(one.name, colour, "", next(symbols)))
    if chance is not None:
        entries.append(Entry(f"chance ({chance:.2f})", figures.ORANGE, "1,3"))
    return tuple(entries)


def _text(target: dict[str, Any], domain: str | None, part: pl.DataFrame) -> str:
    rows = part.to_dicts()
    values = "; ".join(f"{row['name']} {wording.number(row['estimate'])}" for row in rows[:24])
    where = amount_tables.tested(target, domain)
    return f"{wording.metric(target['metric'])} of {target['column']} by hours of speech, {where}: {values}."
