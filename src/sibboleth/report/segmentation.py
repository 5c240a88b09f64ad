"""Segments: errors of models, baselines and people in seconds, by label as well, and what the answer says of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from sibboleth.metrics import segmentation
from sibboleth.report import contrasts, sections, significance, wording
from sibboleth.report.results import Results
from sibboleth.report.systems import Score, System
from sibboleth.report.tables import Table, table
from sibboleth.targets import BACKGROUND, Target

PARTS = segmentation.PARTS
FOUND = ("eder", "segment_f1", "boundary_error", "frame_uar", "eder_utterance_mean")
"""Metrics of the table about what was found."""
BASELINE = "baseline>"
"""Beginning of the runs of what needs no model."""
CEILING = "ceiling: one against the others"
"""What people answered against one another: no model is expected to be better."""
FEW = 3
"""Up to so many domains and comparisons are each told."""
Row = dict[str, Any]
LABEL_PARTS = ("missed", "confused", "false_alarm", "overlap")


@dataclass(frozen=True)
class Said:
    """Who answered: a system under a regime, a baseline, or people."""

    run: str
    rater: str
    name: str
    regime: str
    pair: str
    domain: str
    scores: dict[tuple[str, str], dict[str, Any]]
    """Rows of scores by metric and slice."""
    kind: Literal["model", "baseline", "people", "ceiling"] = "model"

    @property
    def model(self) -> bool:
        """Whether a system of the study answered, and no baseline and nobody who listened."""
        return self.kind == "model"

    def cell(self, metric: str, part: str = "all") -> str:
        """Write a score with its interval."""
        row = self.scores.get((metric, part))
        return wording.MISSING if row is None else wording.estimate(row["estimate"], row["low"], row["high"])


def read(results: Results, name: str) -> pl.DataFrame:
    """Read a table that only segments have; empty where the run has none."""
    known = results.kind == "segmentation" and (results.run / f"{name}.parquet").exists()
    return results.run.table(name) if known else pl.DataFrame()


def asked(results: Results) -> Target:
    """Return the target as answers are scored against it."""
    settings = results.settings("target")
    quiet = settings.get("background", BACKGROUND[0])
    background = () if quiet is None else tuple(dict.fromkeys((str(quiet), *BACKGROUND)))
    return Target(
        name=results.target,
        kind="segmentation",
        labels=tuple(results.labels),
        background=background,
        collar=float(settings.get("collar") or 0.0),
    )


def everybody(results: Results) -> list[Said]:
    """Name everybody whose segments were scored: systems by regime and pair; by domain baselines, people, ceiling."""
    if results.kind != "segmentation":
        return []
    lead = results.scores.filter(pl.col("leads"))
    found = []
    for system in results.systems:
        for regime in results.every_regime:
            for s in results.where(system.name, regime):
                mine = _by_metric(lead.filter(pl.col("run") == s.run))
                pair = sections.pair_title(s.source, s.domain)
                found.append(Said(s.run, s.rater, system.short, regime, pair, s.domain, mine))
    return [*found, *_others(read(results, "baselines"), "baseline", "baseline"), *_people(results), *_ceiling(results)]


def _by_metric(rows: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["metric"], row["slice"]): row for row in rows.to_dicts()}


def _others(rows: pl.DataFrame, regime: str, kind: Literal["baseline", "people"]) -> Iterator[Said]:
    if rows.is_empty():
        return
    for (run, rater), mine in rows.group_by("run", "rater", maintain_order=True):
        domain = str(run).rpartition(">")[2]
        yield Said(str(run), str(rater), str(rater), regime, domain, domain, _by_metric(mine), kind)


def listeners_called(results: Results) -> tuple[str, str]:
    """Say what one who listened is called, and several: simulated listeners are no people."""
    rows = read(results, "listeners")
    simulated = len(rows) > 0 and bool((rows["source"] == "simulated").any())
    return ("simulated listener", "simulated listeners") if simulated else ("person", "people")


def _people(results: Results) -> Iterator[Said]:
    """Name people, several of one run as a group."""
    rows = read(results, "listeners-scores")
    if rows.is_empty():
        return
    one, many = listeners_called(results)
    groups = rows.filter(pl.col("rater").str.contains(r"^\d+ people$"))
    for said in _others(groups if len(groups) else rows, wording.MISSING, "people"):
        yield replace(said, name=said.name.replace("people", many) if len(groups) else f"{one} {said.rater}")


def _ceiling(results: Results) -> Iterator[Said]:
    """Name people against one another, where two or more answered about the same."""
    rows = read(results, "people-ceiling")
    if rows.is_empty():
        return
    everybody = {"axis": results.domain, "listeners": "all", "group": "all", "crowd": "each", "run": "people"}
    for (domain,), mine in rows.filter(**everybody).group_by("domain", maintain_order=True):
        at = str(domain)
        scores = {(row["metric"], "all"): row for row in mine.to_dicts()}
        yield Said("people", CEILING, CEILING, wording.MISSING, at, at, scores, "ceiling")


def told(results: Results, system: System, scores: Sequence[Score]) -> list[str]:
    """Say what baselines reach in the main metric, and whether the system's scores are better."""
    rows = read(results, "baselines")
    if rows.is_empty():
        return []
    rows = rows.filter((pl.col("metric") == results.metric) & (pl.col("slice") == "all"))
    rows = rows.with_columns(pl.col("run").str.split(">").list.last().alias("domain"))
    judged = _judged(results)
    rivals = set(judged["b_rater"]) if len(judged) else set()
    tested = [domain for domain in results.domains if domain in {s.domain for s in scores}]
    texts = []
    for domain in tested[:FEW]:
        mine = rows.filter(pl.col("domain") == domain).to_dicts()
        plain = [_reaches(row) for row in mine if row["rater"] in rivals]
        scale = [_reaches(row) for row in mine if row["rater"] not in rivals]
        at = f"{wording.capital(wording.preposition(results.domain))} {domain}"
        text = f"{at} {wording.metric(results.metric)} without a model is {wording.listing(plain)}."
        known = "which knows what there is to be said, but not when"
        texts.append(f"{text} For scale: {wording.listing(scale)}, {known}." if scale else text)
    if len(tested) > FEW:
        texts.append(f"For {len(tested) - FEW} more {wording.plural(results.domain)} the table of errors says so.")
    return texts + [text for rival in sorted(rivals) for text in _against(results, system, scores, judged, rival)]


def _reaches(row: dict[str, Any]) -> str:
    return f"{wording.estimate(row['estimate'], row['low'], row['high'])} ({row['rater']})"


def _judged(results: Results) -> pl.DataFrame:
    """Return paired differences of models and baselines in the main metric."""
    if results.kind != "segmentation" or results.comparisons.is_empty():
        return results.comparisons.clear()
    plain = pl.col("b_run").str.starts_with(BASELINE)
    return results.comparisons.filter(plain, pl.col("metric") == results.metric, pl.col("slice") == "all")


def _paired(scores: Sequence[Score], judged: pl.DataFrame, rival: str) -> list[tuple[Score, Row]]:
    by = {row["a_run"]: row for row in judged.filter(pl.col("b_rater") == rival).to_dicts()}
    return [(s, by[s.run]) for s in scores if s.run in by and math.isfinite(by[s.run]["difference"])]


def _against(
    results: Results, system: System, scores: Sequence[Score], judged: pl.DataFrame, rival: str
) -> Iterator[str]:
    """Say in how many cases it is better than a baseline after Holm's correction, and by how much."""
    found = _paired(scores, judged, rival)
    if not found:
        return
    rows = [row for _, row in found]
    name = f"{system.short} \N{MINUS SIGN} {rival}"
    verdict = contrasts.verdict(results, rows, rival) or significance.why(rows)
    if len(found) > FEW:
        yield f"{name} lies {contrasts.span(rows, results, [s.name for s, _ in found])}: {verdict}."
        return
    each = [f"{s.name} {wording.estimate(row['difference'], row['low'], row['high'])}" for s, row in found]
    yield f"{name}: {wording.listing(each)}; {verdict}."


@dataclass(frozen=True)
class Outdone:
    """How scores stand to what needs no model."""

    rivals: tuple[str, ...]
    sides: tuple[int, ...]
    """Of each score that can be told: 1 where it is better than all of them, -1 where worse, else 0."""
    silent: tuple[Row, ...]
    """Comparisons that could not have shown a difference, whatever the answers."""


def outdone(results: Results, scores: Sequence[Score]) -> Outdone:
    """Say which scores are better or worse than all baselines, by Holm's p of the paired differences."""
    judged = _judged(results)
    rivals = sorted(set(judged["b_rater"])) if len(judged) else []
    sides: dict[str, list[int]] = {}
    silent: dict[str, Row] = {}
    for rival in rivals:
        for score, row in _paired(scores, judged, rival):
            if significance.mute(row):
                silent[score.run] = row
            side = int(math.copysign(significance.significant(row), row["difference"] * results.better))
            sides.setdefault(score.run, []).append(side)
    told = [several[0] if len(set(several)) == 1 else 0 for run, several in sides.items() if run not in silent]
    return Outdone(tuple(rivals), tuple(told), tuple(silent.values()))


def parts(results: Results) -> Table:
    """Parts of the errors of everybody, in seconds and as shares."""
    seconds = {(row["run"], row["rater"]): row for row in read(results, "error-seconds").to_dicts()}
    rows = []
    for one in everybody(results):
        mine = seconds.get((one.run, one.rater), {})
        cells = [_seconds(mine.get(part), one.cell(part)) for part in PARTS]
        rows.append((one.name, one.regime, one.pair, *cells, _length(mine.get("seconds"))))
    head = (wording.capital(results.unit), "Regime", "Trained \N{RIGHTWARDS ARROW} tested")
    return table(
        "error-parts",
        f"What the errors are: seconds, and their share of all that was heard, with {results.confidence:.0%} intervals",
        "scores.parquet, baselines.parquet, listeners-scores.parquet and people-ceiling.parquet: metrics false_alarm, "
        "missed, confused, overlap; error-seconds.parquet",
        (*head, *map(wording.metric, PARTS), "Of"),
        rows,
        numeric=range(3, 8),
        numbers=read(results, "error-seconds") if seconds else None,
        shown=24,
    )


def _seconds(value: float | None, share: str) -> str:
    if value is None:
        return share
    return f"{_length(value)}; {share}" if value > 0 else "0 s"


def _length(value: float | None) -> str:
    return wording.MISSING if value is None else f"{value:,.1f} s"


def found(results: Results) -> Table:
    """Segments that were found, and how far off their boundaries are."""
    rows = [(one.name, one.regime, one.pair, *(one.cell(metric) for metric in FOUND)) for one in everybody(results)]
    head = (wording.capital(results.unit), "Regime", "Trained \N{RIGHTWARDS ARROW} tested")
    return table(
        "segments-found",
        "Segments that were found (overlap of at least half of the union, one to one), the median distance of their "
        "boundaries, and frames",
        "scores.parquet, baselines.parquet, listeners-scores.parquet and people-ceiling.parquet: slice all",
        (*head, *map(wording.metric, FOUND)),
        rows,
        numeric=range(3, 8),
        shown=24,
    )


def by_label(results: Results) -> Table:
    """Errors of each label."""
    known = {(r["run"], r["rater"], r["label"]): r for r in read(results, "label-seconds").to_dicts()}
    rows = []
    for one in everybody(results) if known else []:
        for label in results.labels:
            row = known.get((one.run, one.rater, label))
            if row is None:
                continue
            of = f"label={label}"
            shares = {part: one.cell(part, of) for part in LABEL_PARTS}
            shares["right"] = one.cell("recall", of)
            shares["missed"] = one.cell("confusion", f"{of},answer={segmentation.NONE}")
            cells = [_seconds(row[part], shares[part]) for part in ("right", *LABEL_PARTS)]
            rows.append((one.name, one.regime, one.pair, label, _length(row["seconds"]), *cells))
    head = (wording.capital(results.unit), "Regime", "Trained \N{RIGHTWARDS ARROW} tested", "Label", "Of")
    return table(
        "label-errors",
        "Errors of each label: seconds and share of the label's seconds. Missed and confused are of the true label, "
        "false alarm and overlap of the label answered",
        "label-seconds.parquet; intervals from scores.parquet, baselines.parquet and listeners-scores.parquet: slices "
        "label=LABEL",
        (*head, "Right", *map(wording.metric, LABEL_PARTS)),
        rows,
        numeric=range(4, 10),
        numbers=read(results, "label-seconds") if rows else None,
    )
