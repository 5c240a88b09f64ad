"""The section of learning curves by budget: the main metric by the seconds of audio that trained."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from sibboleth.report import plots, sections, wording
from sibboleth.report.figures import Chart, Group
from sibboleth.report.results import Results
from sibboleth.report.sections import MOST_PANELS, Panel, Section

ALL = "all"
"""Name of the place of what is trained on everything."""
NUMBERS = dict.fromkeys(("estimate", "low", "high"), pl.Float64)


def curves(results: Results) -> Section:
    """Draw, for each regime with budgets, every system's score by budget, a panel for each domain or pair."""
    rows = _rows(results)
    groups = [_group(results, regime, part) for (regime,), part in rows.group_by("regime", maintain_order=True)]
    return Section(tuple(groups))


def _rows(results: Results) -> pl.DataFrame:
    """List `panel, domain, regime, budget, system, name, estimate, low, high` of budgeted regimes and their whole."""
    titles = {one.name: one.short for one in results.systems}
    rows = [
        (sections.pair_title(*score.pair), score.domain, whole, place, titles[score.system], score.system, *numbers)
        for whole, budgets in results.budgets.items()
        for regime, place in [*((name, wording.seconds(size)) for name, size in budgets.items()), (whole, ALL)]
        for score in results.main
        if score.regime == regime
        for numbers in [(score.estimate, score.low, score.high)]
    ]
    head = dict.fromkeys(("panel", "domain", "regime", "budget", "system", "name"), pl.String)
    found = pl.DataFrame(rows, schema={**head, **NUMBERS}, orient="row")
    found = found.with_columns(pl.col(*NUMBERS).fill_nan(None))
    key = ["regime", "budget", "system", "name"]
    return sections.over_sources(found, key) if found["panel"].n_unique() > MOST_PANELS else found


def _group(results: Results, regime: Any, rows: pl.DataFrame) -> Group:
    metric, axis = wording.metric(results.metric), sections.bounds(rows, results.chance)
    places = [wording.seconds(size) for size in results.budgets[regime].values()] + [ALL]
    return sections.drawn(
        [
            _panel(results, title, rows.filter(panel=title), metric, axis, places)
            for title in rows["panel"].unique(maintain_order=True)
        ],
        f"budgets-{regime}",
        f"{wording.capital(regime)}: {metric} by the audio that trained",
        "Parts of the training speech, each within the next and from all speakers alike, and all of it; dev and test "
        f"are the same. {sections.spread(results, bool(rows['panel'].n_unique() > MOST_PANELS))}",
        f"scores.parquet: metric {results.metric}, slice all; cells.parquet: seconds",
        plots.legend(results.systems, results.chance, shown=set(rows["name"])),
    )


def _panel(
    results: Results, title: str, rows: pl.DataFrame, metric: str, axis: tuple[float, float], places: Sequence[str]
) -> Panel:
    def draw() -> Chart:
        known = plots.styles(results.systems)
        x = alt.X("budget:O", title="audio that trained", sort=list(places), axis=alt.Axis(labelAngle=0))
        scale = alt.Scale(domain=list(axis), zero=False, clamp=True)
        y = alt.Y("estimate:Q", title=metric, scale=scale, axis=plots.number_axis())
        base = alt.Chart(rows).encode(x=x, color=plots.colour_of(known))
        layers: list[Any] = [
            base.mark_area(opacity=0.13).encode(y=alt.Y("low:Q", title=metric), y2="high:Q"),
            base.mark_line(strokeWidth=1.8).encode(y=y, strokeDash=plots.dash_of(known)),
            base.mark_point(filled=True, size=30, opacity=1).encode(y=y),
        ]
        if results.chance is not None:
            layers.append(plots.chance_rule(results.chance, "y"))
        return alt.layer(*layers, width=plots.PANEL + 42, height=168)

    told = "; ".join(f"{r['system']}, {r['budget']} {wording.number(r['estimate'])}" for r in rows.head(24).to_dicts())
    return Panel(title, f"{metric} by the audio that trained, {title}: {told}.", draw)
