"""The page: every section from one run directory, in one file that needs nothing else."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sibboleth import runs
from sibboleth.progress import track
from sibboleth.report import (
    alignment,
    budgets,
    confusions,
    contrasts,
    error_figures,
    example_timelines,
    figures,
    ladder,
    listings,
    methods,
    people,
    pretrained,
    published,
    recognition,
    recognition_tables,
    recommendation,
    relabelled,
    sections,
    segmentation,
    shots,
    significance,
    slices,
    timelines,
    wording,
)
from sibboleth.report.answer import Answer, answer
from sibboleth.report.examples import EMBED_LIMIT, Players, examples
from sibboleth.report.exclusions import left_out
from sibboleth.report.results import Results, load
from sibboleth.report.sections import Section
from sibboleth.report.tables import Table
from sibboleth.report.templates import environment
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
    shown = examples(results, most, players)
    segments = example_timelines.block(results, most, players)
    left = EMBED_LIMIT - sum(len(one.audio) for one in shown if one.embedded)
    left -= sum(len(one.audio) for one in segments.every) if segments and segments.embedded else 0
    script, digest = timelines.script()
    html = (
        environment()
        .get_template("template.html.j2")
        .render(
            title=heading,
            m=results,
            record=results.record,
            parts=parts,
            examples=shown,
            segments=segments,
            script=script,
            digest=digest,
            people=people.block(results, most, players, max(left, 0)),
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
    "parameters": methods.by_parameters,
    "losses": methods.training,
    "ladder": ladder.steps,
    "shots": shots.curves,
    "budgets": budgets.curves,
    "errors": error_figures.of_segments,
    "confusions": confusions.by_system,
    "classes": slices.by_class,
    "slices": slices.by_column,
    "whom": recognition.by_domain,
    **people.STEPS,
}
TABLES = (
    listings.corpora,
    relabelled.became,
    listings.glance,
    listings.scores,
    listings.layers,
    methods.costs,
    methods.compared,
    ladder.listed,
    shots.gains,
    alignment.gains,
    alignment.confounds,
    recommendation.cases,
    recommendation.measures,
    recommendation.ranks,
    pretrained.compared,
    recognition_tables.by_group,
    recognition_tables.gaps,
    recognition_tables.matched,
    recognition_tables.lost_words,
    segmentation.parts,
    segmentation.by_label,
    segmentation.found,
    *people.TABLES,
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
    said = answer(results)
    said = replace(said, more=(*pretrained.told(results), *said.more, *people.lead(results), *alignment.told(results)))
    return Parts(said, drawn, {table.name: table for table in tables})


def _facts(results: Results) -> dict[str, Any]:
    record = results.record
    corpora = record.get("corpora") or []
    synthetic = [c["name"] for c in corpora if c.get("synthetic")]
    clusters = [s.clusters for s in results.main if s.clusters]
    return {
        "synthetic": synthetic,
        "all_synthetic": bool(corpora) and len(synthetic) == len(corpora),
        "regimes": _regimes(results),
        "methods": methods.described(results),
        "measured": methods.measured(results),
        "recommended": recommendation.told(results),
        "climbed": ladder.told(results, results.tuned),
        "unheard": contrasts.unheard(ladder.tested(results, results.tuned)),
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
        "mute": significance.notes(results.comparisons),
        "errs": recognition.told(results),
        "unsupported": recognition.cautions(results),
        "ungrouped": recognition.ungrouped(results),
        "left_out": left_out(results),
        "excluded": len({x.get("utterance") or x.get("audio") for x in record.get("excluded") or []}),
        "remarks": [(str(e["name"]), list(e["notes"])) for e in record.get("encoders") or [] if e.get("notes")],
        "resamples": results.settings("statistics").get("resamples"),
        "protocol": published.block(results),
    }


def _regimes(results: Results) -> list[tuple[str, str]]:
    """Explain each regime, few-shot once for all its shots."""
    told = {r: results.explained(r) for r in results.regimes}
    if results.few_shot:
        several = ", ".join(map(str, results.few_shot.values()))
        told["few-shot"] = f"{results.explained('few-shot')}; here {several}"
    for regime, budgeted in results.budgets.items():
        sizes = ", ".join(map(wording.seconds, budgeted.values()))
        told[f"{regime}(…)"] = f"as {regime}, trained on so much audio only: {sizes}"
    return sorted(told.items(), key=lambda one: wording.place(one[0].partition("(")[0]))


def _coverage(speakers: int, confidence: float) -> str | None:
    """Say what intervals from so few speakers were measured to hold; None where they are enough."""
    measured = coverage(speakers, confidence) if speakers < ENOUGH_CLUSTERS else None
    return None if measured is None else f"With {speakers} speakers {measured} (docs/statistics.md)"
