"""The page of a pre-training: how its loss and its signs of health went on, drawn again while it runs."""

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import altair as alt
import jinja2
import numpy as np
import polars as pl

from sibboleth import runs
from sibboleth.report import figures, wording
from sibboleth.report.figures import BLUE, ORANGE, Figure
from sibboleth.report.plots import PANEL
from sibboleth.report.templates import environment

Status = Literal["running", "complete", "collapsed", "interrupted", "failed"]
REFRESH = 20
"""Seconds after which a browser reads the page of a running pre-training again."""
MARKED = 40
"""With no more rows than this each has a dot."""
TICKS = 4
STEP, HEARD, LOSS, RATE = "step", "audio seconds", "loss", "learning rate"
MEANINGS = {
    LOSS: "What is made smaller. How low it gets says little by itself: compare runs of one objective.",
    RATE: "Rises during the warm-up, then falls to zero.",
    "accuracy": "Share of hidden frames whose cluster is told right.",
}


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A number that a healthy encoder keeps above or below a limit."""

    name: str
    meaning: str
    """What is wrong when it is beyond the limit."""
    least: float | None = None
    most: float | None = None

    @property
    def limit(self) -> str:
        """Say what a healthy encoder has."""
        bounds = [("at least", self.least), ("at most", self.most)]
        return " and ".join(f"{word} {_short(value)}" for word, value in bounds if value is not None)

    def healthy(self, value: float | None) -> bool:
        """Tell whether a value is within the limits; what is no number is not."""
        if value is None or not math.isfinite(value):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a pre-training stands."""

    status: Status
    steps: int
    """That it will take in all."""
    left: float | None = None
    """Seconds until it is done, where that can be told."""
    told: str = ""
    """What an error said that stopped it."""


@dataclass(frozen=True)
class _Panel:
    figure: Figure
    meaning: str
    limit: str
    first: str
    last: str
    healthy: bool | None
    """None where it has no limit."""


def write(
    rows: pl.DataFrame, path: Path, *, title: str, facts: Sequence[str], signs: Sequence[Sign], state: State
) -> Path:
    """Write the page of a training's log, one file that needs nothing else.

    rows has `step, loss, learning rate, audio seconds` and any other numbers, and may be empty; `signs` say which of
    these have limits. While the training runs the page reloads itself.
    """
    known = {sign.name: sign for sign in signs}
    names = [name for name in rows.columns if name not in (STEP, HEARD)]
    order = [*(name for name in (LOSS, RATE) if name in names), *(n for n in names if n not in (LOSS, RATE))]
    panels = [_panel(rows, name, known.get(name), number) for number, name in enumerate(order)] if len(rows) else []
    step = int(rows[STEP][-1]) if len(rows) else 0
    html = _template().render(
        title=title,
        facts=facts,
        panels=panels,
        state=state,
        step=step,
        share=min(1.0, step / state.steps),
        left=_duration(state.left),
        hours=float(rows[HEARD][-1]) / 3600 if len(rows) else 0.0,
        drawn=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        refresh=REFRESH if state.status == "running" else None,
    )
    runs.write_text(path, html)
    return path


@cache
def _template() -> jinja2.Template:
    return environment().get_template("curve.html.j2")


def _panel(rows: pl.DataFrame, name: str, sign: Sign | None, number: int) -> _Panel:
    values = pl.col(name).cast(pl.Float64)
    seen = rows.select(
        pl.col(STEP).cast(pl.Float64), value=pl.when(values.is_finite()).then(values), hours=pl.col(HEARD) / 3600
    )
    title = wording.capital(name)
    figure = figures.panel(lambda: _chart(seen, sign), title, _alternative(seen, name, sign), f"curve{number}")
    known = rows[name].drop_nulls()
    first, last = (known[0], known[-1]) if len(known) else (None, None)
    meaning = MEANINGS.get(name, "") if sign is None else f"Beyond its limit, {sign.meaning}."
    limit = "" if sign is None else sign.limit
    return _Panel(figure, meaning, limit, _short(first), _short(last), None if sign is None else sign.healthy(last))


def _chart(seen: pl.DataFrame, sign: Sign | None) -> figures.Chart:
    last = float(seen[STEP].max() or 1.0)  # type: ignore[arg-type]
    scale = alt.Scale(domain=[0, last], nice=False)
    x = alt.X(f"{STEP}:Q", title="steps, and audio heard until then", scale=scale, axis=_axis(seen, last))
    limits = [] if sign is None else [value for value in (sign.least, sign.most) if value is not None]
    known = [value for value in seen["value"].drop_nulls() if value is not None] + limits
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[low - room, high + room], nice=False, zero=False),
        axis=alt.Axis(format=".3~g", tickCount=5, domain=False, ticks=False),
    )
    point = {"size": 22, "filled": True, "color": BLUE} if len(seen) <= MARKED else False
    line = alt.Chart(seen.select(STEP, "value")).mark_line(color=BLUE, strokeWidth=1.6, point=point).encode(x=x, y=y)
    layers: list[Any] = [line]
    if limits:
        rule = alt.Chart(pl.DataFrame({"value": limits})).mark_rule(color=ORANGE, strokeDash=[5, 3], strokeWidth=1.6)
        layers.append(rule.encode(y=alt.Y("value:Q")))
    return alt.layer(*layers, width=PANEL + 60, height=140)


def _axis(seen: pl.DataFrame, last: float) -> alt.Axis:
    """Write steps at round places, and under them how much was heard until then."""
    size = 10 ** math.floor(math.log10(last / TICKS)) if last > TICKS else 1
    size = next(size * by for by in (1, 2, 5, 10) if size * by * TICKS >= last)
    ticks = np.arange(0, last + 1e-9, size)
    steps, hours = (np.concatenate([[0.0], seen[name].to_numpy()]) for name in (STEP, "hours"))
    unit, factor = ("h", 1.0) if hours[-1] >= 1 else ("min", 60.0)
    heard = ",".join(f"'{v:g}':'{_short(float(np.interp(v, steps, hours)) * factor)} {unit}'" for v in ticks)
    return alt.Axis(
        values=ticks.tolist(),
        labelExpr=f"[format(datum.value, ','), {{{heard}}}['' + datum.value]]",
        grid=False,
        labelFlush=False,
    )


def _alternative(seen: pl.DataFrame, name: str, sign: Sign | None) -> str:
    known = seen.drop_nulls()
    if known.is_empty():
        return f"{wording.capital(name)}: no number yet."
    first, last = known.row(0, named=True), known.row(-1, named=True)
    lowest, highest = (known.sort("value").row(place, named=True) for place in (0, -1))
    said = (
        f"{wording.capital(name)} over {wording.count(int(last[STEP]), 'step')} and {last['hours']:.2g} hours: "
        f"{_short(first['value'])} at step {first[STEP]:,.0f}, {_short(last['value'])} at step {last[STEP]:,.0f}; "
        f"lowest {_short(lowest['value'])}, highest {_short(highest['value'])}."
    )
    missing = len(seen) - len(known)
    said += f" In {missing} of {len(seen)} rows it is no number." if missing else ""
    return said if sign is None else f"{said} A healthy encoder has {sign.limit}."


def _short(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return wording.MISSING if value is None else str(value)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if value < 0 else text


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return "less than a minute"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
