"""The page: every section from one run directory, in one file that needs nothing else."""

import json
import math
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from sibboleth import runs
from sibboleth.progress import track
from sibboleth.report import confusions, figures, listings, published, sections, significance, slices, wording
from sibboleth.report.answer import Answer, answer
from sibboleth.report.examples import EMBED_LIMIT, Players, examples
from sibboleth.report.exclusions import left_out
from sibboleth.report.results import Results, load
from sibboleth.report.sections import Section
from sibboleth.report.tables import Table
from sibboleth.runs import RunDirectory
from sibboleth.stats import ENOUGH_CLUSTERS, coverage

WIDEST_TEX = 1000
"""More rows than this and a table is written as CSV only: nobody prints it."""


@dataclass(frozen=True)
class Parts:
    """Everything that the template lays out."""

    answer: Answer
    sections: dict[str, Section]
    """Sections with figures."""
    tables: dict[str, Table]


def write(
    run: RunDirectory | Path,
    *,
    audio: Players | None = None,
    most_examples: int | None = None,
    title: str | None = None,
) -> Path:
    """Write report.html, figures/ and tables/ of a run; what is not given is taken from the study.

    Raises `SibbolethError` where the run has no scores yet.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(Path(run))
    results = load(run)
    asked = results.settings("report")
    players: Players = audio or asked.get("audio") or "link"
    most = int(asked.get("examples", 12)) if most_examples is None else most_examples
    heading = title or asked.get("title") or results.record.get("question") or results.record["name"]
    parts = _parts(results)
    for group in (group for section in parts.sections.values() for group in section.groups):
        figures.write(group, run / "figures")
    for table in parts.tables.values():
        if table.rows:
            table.write(run / "tables", tex=len(table.rows) <= WIDEST_TEX)
    html = (
        _environment()
        .get_template("template.html.j2")
        .render(
            title=heading,
            m=results,
            record=results.record,
            parts=parts,
            examples=examples(results, most, players),
            players=players,
            embed_limit=EMBED_LIMIT // 2**20,
            **_facts(results),
        )
    )
    runs.write_text(run / "report.html", html)
    return run / "report.html"


STEPS = {
    "layers": sections.layers,
    "transfer": sections.transfer,
    "confusions": confusions.by_encoder,
    "classes": slices.by_class,
    "slices": slices.by_column,
}
TABLES = (
    listings.corpora,
    listings.glance,
    listings.scores,
    listings.layers,
    listings.confusions,
    listings.slices,
    listings.comparisons,
    published.numbers,
    published.others,
    published.differences,
    listings.excluded,
    listings.encoders,
    listings.manifests,
    listings.cells,
)


def _parts(results: Results) -> Parts:
    drawn = {name: step(results) for name, step in track(STEPS.items(), "Drawing the report", len(STEPS), "sections")}
    tables = [make(results) for make in TABLES]
    return Parts(answer(results), drawn, {table.name: table for table in tables})


def _facts(results: Results) -> dict[str, Any]:
    record = results.record
    corpora = record.get("corpora") or []
    synthetic = [c["name"] for c in corpora if c.get("synthetic")]
    clusters = [s.clusters for s in results.main if s.clusters]
    return {
        "synthetic": synthetic,
        "all_synthetic": bool(corpora) and len(synthetic) == len(corpora),
        "regimes": [(r, results.explained(r)) for r in results.regimes],
        "metric": wording.metric(results.metric),
        "metric_long": wording.LONG.get(results.metric, wording.metric(results.metric)),
        "speakers": (min(clusters), max(clusters)) if clusters else None,
        "coverage": _coverage(min(clusters, default=0), results.confidence),
        "hours": sum(float(c.get("hours") or 0) for c in corpora),
        "study": json.dumps(record.get("study") or {}, indent=2, ensure_ascii=False),
        "confidence": f"{results.confidence:.0%}",
        "domains_name": wording.plural(results.domain),
        "widest_tex": WIDEST_TEX,
        "compared": [str(domain) for domain in record.get("domains") or results.domains],
        "mute": significance.notes(results.comparisons, results.resamples),
        "left_out": left_out(results),
        "excluded": len({x.get("utterance") or x.get("audio") for x in record.get("excluded") or []}),
        "remarks": [(str(e["name"]), list(e["notes"])) for e in record.get("encoders") or [] if e.get("notes")],
        "resamples": results.settings("statistics").get("resamples"),
        "protocol": published.block(results),
    }


def _coverage(speakers: int, confidence: float) -> str | None:
    """Say what intervals from so few speakers were measured to hold; None where they are enough."""
    measured = coverage(speakers, confidence) if speakers < ENOUGH_CLUSTERS else None
    return None if measured is None else f"With {speakers} speakers {measured} (docs/statistics.md)"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": wording.number, "listing": wording.listing, "kept": _kept}
    environment.globals |= {
        "style": Markup(_resource("style.css")),
        "svg": _svg,
        "bar": _bar,
        "sample": _sample,
        "count": wording.count,
    }
    return environment


_NUMBER = re.compile(r"\N{MINUS SIGN}?\d+\.\d+ \[[^\[\]]{3,20}\]")


def _kept(text: str) -> Markup:
    """Escape text and keep every number on one line with its interval."""
    return Markup(_NUMBER.sub(lambda m: f'<span class="n">{m[0]}</span>', str(escape(text))))


def _resource(name: str) -> str:
    return resources.files("sibboleth.report").joinpath(name).read_text(encoding="utf-8")


def _svg(figure: figures.Figure) -> Markup:
    """Put a drawing into the page; vl-convert has escaped its text, the text alternative is escaped here."""
    most = figure.width * (1.4 if figure.width < 340 else 1.08)
    opening = Markup('<svg role="img" aria-label="{}" viewBox="0 0 {:g} {:g}" style="--own:{:g}px;--most:{:g}px">')
    return opening.format(figure.alt, figure.width, figure.height, figure.width, most) + Markup(
        figure.inside + "</svg>"
    )


def _sample(entry: figures.Entry) -> Markup:
    return Markup(figures.sample(entry))


def _bar(numbers: tuple[float, float, float], reach: float) -> Markup:
    """Draw a difference and its interval on an axis from -reach to reach."""
    difference, low, high = numbers
    if not math.isfinite(difference):
        return Markup("")
    x, left, right = (80 + 75 * (v if math.isfinite(v) else difference) / reach for v in (difference, low, high))
    clear = "clear" if math.isfinite(low) and (low > 0 or high < 0) else "open"
    return Markup(
        '<svg class="bar {}" viewBox="0 0 160 12" width="160" height="12" aria-hidden="true">'
        '<path class="zero" d="M80 0V12"/><path d="M{:.1f} 6H{:.1f}"/><circle cx="{:.1f}" cy="6" r="3"/></svg>'
    ).format(clear, left, right, x)
