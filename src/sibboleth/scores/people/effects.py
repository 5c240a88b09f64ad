"""Effects of the domain (a dialect, a language) and of listeners' background on being right, as odds ratios."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from scipy import special

from sibboleth.scores.groups import Name
from sibboleth.scores.people.panel import Array, Codes, Panel
from sibboleth.stats.mixed import CrossedLogistic

SCHEMA: dict[str, type[pl.DataType]] = {
    "effect": pl.String,
    "column": pl.String,
    "level": pl.String,
    "against": pl.String,
    "within": pl.String,
    "odds_ratio": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "df": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "raters": pl.Int64,
}
DOMAIN = "domain"
Cell = tuple[str, str]
"""Domain and background."""
ANYBODY = ""
"""Background of listeners where none is asked about."""


def effects(
    panels: Mapping[str, Panel], backgrounds: Mapping[str, Mapping[Name, str]], confidence: float
) -> pl.DataFrame:
    """Fit right ~ domain x background with crossed random intercepts, once per column of backgrounds; `SCHEMA` rows.

    `panels` are people's, one per domain; `backgrounds` each column's value of each listener. Effects are of one level
    against the column's first, `within` a level of the other; the interaction is the ratio of two odds ratios.
    `stats.mixed` has the model; docs/statistics.md says what its intervals are and when not to believe them.
    """
    columns = backgrounds or {ANYBODY: {}}
    found = [row for column, values in columns.items() for row in _fitted(panels, column, values, confidence)]
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def _fitted(
    panels: Mapping[str, Panel], column: str, values: Mapping[Name, str], confidence: float
) -> Iterator[tuple[object, ...]]:
    rows = _answers(panels, values if column else None)
    domains, backgrounds = (rows[name].unique().sort().to_list() for name in (DOMAIN, "background"))
    if len(domains) < 2 and len(backgrounds) < 2:
        return
    cells = list(rows.select(DOMAIN, "background").unique().sort(DOMAIN, "background").iter_rows())
    codes = {name: _codes(rows, [name]) for name in ("listener", "item", "speaker")}
    groupings = [codes["listener"], codes["item"]]
    if codes["speaker"].max() < codes["item"].max():
        groupings.append(codes["speaker"])
    groupings += _within(rows, "listener", DOMAIN) + _within(rows, "speaker", "background")
    design = np.array([cells.index(cell) for cell in rows.select(DOMAIN, "background").iter_rows()])
    right = rows["right"].to_numpy()
    fitted = CrossedLogistic(right.astype(bool), design, groupings).fit()
    hits = np.bincount(design, right, minlength=len(cells))
    settled = (hits > 0) & (hits < np.bincount(design, minlength=len(cells)))
    for effect, level, against, within, used, signs in _contrasts(cells, domains, backgrounds):
        terms = np.zeros(len(cells))
        terms[[cells.index(cell) for cell in used]] = signs
        there = rows.filter(np.isin(design, [cells.index(cell) for cell in used]))
        freedom = _freedom(there, len(used))
        known = bool(settled[[cells.index(cell) for cell in used]].all())
        numbers = _ratio(terms, fitted.odds, fitted.covariance, freedom, confidence, known)
        counts = (there["speaker"].n_unique(), there["listener"].n_unique())
        named = DOMAIN if effect == DOMAIN else column
        yield effect, named, level, against, within, *numbers, freedom, len(there), *counts


def _answers(panels: Mapping[str, Panel], values: Mapping[Name, str] | None) -> pl.DataFrame:
    """Return every answer to an item with a reference: domain, background, listener, item, speaker, right."""
    frames = []
    for domain, panel in sorted(panels.items()):
        right = panel.right
        item, who = np.nonzero(right >= 0)
        background = [ANYBODY if values is None else values.get(name) for name in panel.raters]
        frames.append(
            pl.DataFrame(
                {
                    DOMAIN: [domain] * len(item),
                    "background": pl.Series([background[k] for k in who], dtype=pl.String),
                    "listener": [str(panel.raters[k]) for k in who],
                    "item": [f"{domain} {k}" for k in item],
                    "speaker": [panel.speaker_names[k] for k in item],
                    "right": right[item, who],
                }
            )
        )
    return pl.concat(frames).drop_nulls("background")


def _within(rows: pl.DataFrame, unit: str, column: str) -> list[Codes]:
    """Return units crossed with a column, where some unit has several of its values: a slope for each unit."""
    several = rows.group_by(unit).agg(pl.col(column).n_unique())[column].max()
    return [_codes(rows, [unit, column])] if isinstance(several, int) and several > 1 else []


def _codes(rows: pl.DataFrame, columns: Sequence[str]) -> Codes:
    return rows.select(pl.struct(columns).rank("dense") - 1).to_series().cast(pl.Int64).to_numpy()


def _contrasts(
    cells: Sequence[Cell], domains: Sequence[str], backgrounds: Sequence[str]
) -> Iterator[tuple[str, str, str, str, list[Cell], list[int]]]:
    """Yield effect, level, against, within, and the cells with their signs."""
    first, usual = domains[0], backgrounds[0]
    wanted: list[tuple[str, str, str, str, list[Cell], list[int]]] = []
    for background in backgrounds:
        wanted += [(DOMAIN, d, first, background, [(d, background), (first, background)], [1, -1]) for d in domains[1:]]
    for domain in domains:
        wanted += [("background", b, usual, domain, [(domain, b), (domain, usual)], [1, -1]) for b in backgrounds[1:]]
    for d in domains[1:]:
        for b in backgrounds[1:]:
            used = [(d, b), (first, b), (d, usual), (first, usual)]
            wanted.append(("interaction", f"{d}, {b}", f"{first}, {usual}", "", used, [1, -1, -1, 1]))
    yield from (contrast for contrast in wanted if set(contrast[4]) <= set(cells))


def _freedom(rows: pl.DataFrame, cells: int) -> float:
    """Degrees of freedom of a contrast of cells: that of speakers or of listeners, the smaller, at least 1.

    Of units that are in one cell each there are as many means as cells; of units that are in all there is one.
    """
    each = []
    for unit in ("speaker", "listener"):
        there = rows.group_by(unit).agg(pl.struct(DOMAIN, "background").n_unique().alias("cells"))["cells"].to_list()
        each.append(len(there) - cells // max(there))
    return float(max(min(each), 1))


def _ratio(
    terms: Array, odds: Array, covariance: Array, freedom: float, confidence: float, known: bool
) -> tuple[float, float, float, float]:
    """Return odds ratio, limits and p; NaN where a cell has no right or no wrong answer."""
    error = float(np.sqrt(terms @ covariance @ terms))
    if not known or not error > 0:
        return float("nan"), float("nan"), float("nan"), float("nan")
    log = float(terms @ odds)
    step = float(special.stdtrit(freedom, (1 + confidence) / 2)) * error
    ratio, low, high = (float(np.exp(log + sign * step)) for sign in (0, -1, 1))
    return ratio, low, high, float(2 * special.stdtr(freedom, -abs(log) / error))
