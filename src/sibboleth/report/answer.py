"""The answer in a few sentences, with its uncertainty, and no more certain than the numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sibboleth.report import contrasts, ladder, methods, segmentation, significance, wording
from sibboleth.report.contrasts import (
    CLEAR,
    against_chance,
    against_controls,
    against_others,
    bounded,
    cases,
    ends,
    finite,
    includes,
    sides,
    span,
)
from sibboleth.report.results import Results
from sibboleth.report.systems import Score, System
from sibboleth.schemes import OTHERS
from sibboleth.stats import FEW_CLUSTERS, coverage

FEW_PAIRS = 2
"""Up to so many pairs of domains are each told; more are told as a range."""
MOST_METHODS = 3
"""Methods of the best encoder that are told of, where its probe did best."""


@dataclass(frozen=True)
class Answer:
    """What the run says about what was asked."""

    lead: tuple[str, ...]
    errors: tuple[str, ...] = ()
    """What the audit found that can make these scores wrong; said before anything else."""
    more: tuple[str, ...] = ()
    cautions: tuple[str, ...] = field(default=())


def answer(results: Results) -> Answer:
    """Say how far the encoder that did best comes, against chance, controls and the other encoders."""
    best = _best(results)
    if best is None:
        return Answer(("No encoder has a score that stands for its run: see the tables below.",))
    across = _across(results, best)
    within = results.where(best.name, "within")
    lead = _transfer(results, best, across) if across else _within(results, best, within)
    errors = [f for f in results.findings if f.get("grade") == "error"]
    first = _verdict(results, best, across or within, [str(f["name"]) for f in errors])
    more = [
        *_softness(results),
        *segmentation.told(results, best, across or within),
        *against_chance(results, across or within),
        *against_controls(results, best, across or within),
        *against_others(results, best, across or within),
        *_tuned(results, best),
    ]
    return Answer((*first, *lead), tuple(map(_wrong, errors)), tuple(more), tuple(_cautions(results, best)))


def _tuned(results: Results, best: System) -> list[str]:
    """Say what fine-tuning adds to the best encoder, and how far second trainings on the target close the gap."""
    mine = [one for one in results.tuned if one.encoder == best.encoder] or results.tuned
    told = [best] if best.method else mine[:MOST_METHODS]
    paired = [row for one in told for regime in methods.GAINS for _, row in methods.against_probe(results, one, regime)]
    paired += ladder.tested(results, told)
    return [*methods.gains(results, told), *ladder.told(results, told), *contrasts.unheard(paired)]


def _verdict(results: Results, system: System, scores: Sequence[Score], errors: Sequence[str]) -> list[str]:
    """Sum up in one sentence where intervals lie beside chance; nothing where none is known or there are none."""
    judged = bounded(scores)
    if results.kind == "segmentation":
        return _beside(results, system, scores, errors)
    if results.chance is None or not judged:
        return []
    above, _, below = sides(results, judged, results.chance)
    side, found = ("below", below) if below and not above else ("above", above)
    lack = "" if len(judged) == len(scores) else f" with an interval, of {len(scores)}"
    where = f"{system.short} is {side} chance in {len(found)} of {len(judged)} {cases(judged)}{lack}"
    if len(scores) == 1:
        where = f"{system.short} is {side if found else 'not clear of'} chance"
    if errors:
        return [f"With {wording.listing(errors)} in the data, {where}."]
    claim = _claim(len(above), len(below), len(judged)) if scores[0].regime != "within" else ""
    if claim and scores[0].regime == "target-selected":
        claim = f"With {results.choices} chosen on labels of the tested {results.domain} {claim}"
    return [f"{wording.capital(claim)}: {where}." if claim else f"{where}."]


def _beside(results: Results, system: System, scores: Sequence[Score], errors: Sequence[str]) -> list[str]:
    """Sum up whether segments are better than those of baselines; nothing where none was compared."""
    judged = segmentation.outdone(results, scores)
    found, silent = judged.sides, judged.silent
    better = f"{system.short} is better than {wording.listing(judged.rivals)}"
    why = significance.why(silent) if silent else ""
    if not found:
        return [f"Whether {better} no test can tell here: {why}."] if silent else []
    where = f"{better} in {found.count(1)} of {len(found)} {cases(scores)} (Holm, {CLEAR})"
    where += f"; {len(silent)} more cannot tell: {why}" if silent else ""
    if errors:
        return [f"With {wording.listing(errors)} in the data, {where}."]
    claim = _claim(found.count(1), found.count(-1), len(found)) if scores[0].regime != "within" else ""
    if claim and scores[0].regime == "target-selected":
        claim = f"With {results.choices} chosen on labels of the tested {results.domain} {claim}"
    return [f"{wording.capital(claim)}: {where}." if claim else f"{where}."]


def _claim(above: int, below: int, judged: int) -> str:
    """Say how far it carries; what is not shown is not denied."""
    if above == judged:
        return "it carries"
    if 2 * above >= judged:
        return "it carries in part"
    if above:
        return "it is mostly not shown to carry"
    return "it does not carry, it misleads" if below == judged else "it is not shown to carry"


def _softness(results: Results) -> list[str]:
    if not results.soft:
        return []
    text = "Labels are soft: they are weights, and a hit counts with the weight of the label that was answered"
    if results.ceiling is None:
        return [f"{text}, so that even the best answers can stay below a perfect score."]
    best = wording.number(results.ceiling)
    return [f"{text}; over all utterances the best that any answers could reach is {best}, not a perfect score."]


def _wrong(finding: dict[str, Any]) -> str:
    """Say an error of the audit in its own words."""
    who = "The study allows" if finding.get("allowed") else "The audit found"
    return f"{who} {finding['name']}: {finding.get('effect') or finding.get('message') or 'see below.'}"


def _across(results: Results, system: System) -> list[Score]:
    """Zero-shot scores, or the target-selected ones of a run that has no others."""
    return results.where(system.name, "zero-shot") or results.where(system.name, "target-selected")


def _best(results: Results) -> System | None:
    """Take the encoder, controls only if there is nothing else, with the best median."""
    ranked = []
    for place, system in enumerate(results.systems):
        scores = [s for s in _across(results, system) or results.where(system.name, "within")]
        values = [s.estimate for s in scores if math.isfinite(s.estimate)]
        if values:
            ranked.append((system.control, -results.better * median(values), place, system))
    return min(ranked)[3] if ranked else None


def _transfer(results: Results, system: System, across: Sequence[Score]) -> list[str]:
    if len(across) <= FEW_PAIRS:
        return [_pair(results, system, score) for score in across]
    metric, at = wording.metric(results.metric), _on(results)
    within = finite(results.where(system.name, "within"))
    known = finite(across)
    lowest, highest = ends(known, results)
    domain = results.domain
    condition = (
        f"Tested {at} {wording.article(domain)} of which it never saw a label"
        if across[0].regime == "zero-shot"
        else f"Trained {at} {_elsewhere(results, across)}, with {results.choices} chosen on labels of the tested one"
    )
    lead = [
        f"{condition}, {system.short} reaches {metric} {_from_to(lowest, highest)}; "
        f"the median of {_of_what(results, across)} is {wording.number(median(s.estimate for s in known))}."
    ]
    if within:
        low, high = ends(within, results)
        lead.append(f"Trained {at} the tested {domain} itself, it reaches {_from_to(low, high)}.")
        lead += _costs(results, system, across)
    return lead


def _elsewhere(results: Results, across: Sequence[Score]) -> str:
    """Name the domains that trained."""
    if all(s.source == OTHERS for s in across):
        return f"all other {wording.plural(results.domain)}"
    return f"another {results.domain}"


def _of_what(results: Results, across: Sequence[Score]) -> str:
    """Name what a median is taken of: scores that are defined."""
    known = len(finite(across))
    many = f"{known}" if known == len(across) else f"the {known} (of {len(across)})"
    if all(s.source == OTHERS for s in across):
        lack = "" if known == len(across) else " that have a score"
        names = wording.plural(results.domain)
        return f"{many} {names}{lack}, each tested by a probe trained {_on(results)} all others,"
    return f"{many} ordered pairs" + ("" if known == len(across) else " that have a score")


def _from_to(worst: Score, best: Score) -> str:
    if worst is best:
        return f"{worst} ({worst.name})"
    return f"{worst} ({worst.name}) to {best} ({best.name})"


def _on(results: Results) -> str:
    return wording.preposition(results.domain)


def _pair(results: Results, system: System, score: Score) -> str:
    at, metric = _on(results), wording.metric(results.metric)
    source = f"all other {wording.plural(results.domain)}" if score.source == OTHERS else score.source
    condition = (
        f"Trained {at} {source} and tested {at} {score.domain} without any label of {score.domain}"
        if score.regime == "zero-shot"
        else f"Trained {at} {source}, selected and tested {at} {score.domain}"
    )
    text = f"{condition}, {system.short} reaches {metric} {score}"
    within = next((s for s in results.where(system.name, "within") if s.domain == score.domain), None)
    if within is None:
        return f"{text}."
    text += f"; trained {at} {score.domain} itself {within}"
    paired = results.compared(within, score)
    if paired is None:
        return f"{text} (no paired comparison of the two was made)."
    difference = wording.estimate(paired["difference"], paired["low"], paired["high"])
    open_ = includes(paired["low"], paired["high"], 0.0)
    verdict = ", an interval that includes no difference" if open_ else ""
    return f"{text}: the difference is {difference}{verdict}."


def _costs(results: Results, system: System, across: Sequence[Score]) -> list[str]:
    """Say what going across costs, by the paired differences."""
    within = {s.domain: s for s in results.where(system.name, "within")}
    rows = [(s, results.compared(within[s.domain], s)) for s in across if s.domain in within]
    found = [(s, row) for s, row in rows if row is not None]
    if not found:
        return ["No paired comparison of the two was made."]
    rows_found = [row for _, row in found]
    lies = f"The paired difference between the two lies {span(rows_found, results, [s.name for s, _ in found])}"
    silent = [row for row in rows_found if significance.mute(row)]
    heard = [row for row in rows_found if not significance.mute(row)]
    why = significance.why(silent) if silent else ""
    if not heard:
        return [f"{lies}; {why}."]
    clear = sum(significance.significant(row) and row["difference"] * results.better > 0 for row in heard)
    text = f"{lies}; after Holm's correction it is a loss ({CLEAR}) in {clear} of {len(heard)} {cases(across)}"
    return [f"{text}; of {len(silent)} more none can be called one: {why}." if silent else f"{text}."]


def _within(results: Results, system: System, within: Sequence[Score]) -> list[str]:
    if not within:
        return [f"{system.short} has no score within or across domains: see the tables below."]
    at, metric = _on(results), wording.metric(results.metric)
    if len(within) <= FEW_PAIRS:
        return [f"Trained and tested {at} {s.domain}, {system.short} reaches {metric} {s}." for s in within]
    low, high = ends(finite(within), results)
    domain = results.domain
    return [f"Trained and tested {at} one {domain} at a time, {system.short} reaches {metric} {_from_to(low, high)}."]


def _cautions(results: Results, system: System) -> list[str]:
    cautions = []
    fewest: dict[str, int] = {}
    for score in results.main:
        fewest[score.domain] = min(fewest.get(score.domain, score.clusters), score.clusters)
    few = {d: c for d, c in fewest.items() if 0 < c < FEW_CLUSTERS}
    if few:
        least, most = min(few.values()), max(few.values())
        who = wording.count(least, "speaker") if least == most else f"{least} to {most} speakers"
        tested = "is tested by" if len(few) == 1 else "are each tested by"
        cautions.append(
            f"{wording.listing(list(few))} {tested} {who} only. With {least} speaker{'s' * (least != 1)} "
            f"{coverage(least, results.confidence) or 'there is no interval'} (docs/statistics.md)."
        )
    if any(not (math.isfinite(s.low) and math.isfinite(s.high)) for s in results.main):
        cautions.append("Some scores have no interval: there were too few speakers, or the metric is undefined there.")
    cautions += [
        f"{wording.capital(str(f['message']))} {f['effect']}"
        for f in results.findings
        if f.get("name") == "one-speaker-domain"
    ]
    for tuned in (e for e in results.systems if e.fine_tuned):
        cautions.append(
            f"{tuned.short} is fine-tuned: it was trained with labels, "
            "so its scores are not those of a self-supervised encoder."
        )
    if results.record.get("status", "complete") != "complete":
        cautions.append(f"The run is {results.record['status']}: this page shows what was finished.")
    return cautions
