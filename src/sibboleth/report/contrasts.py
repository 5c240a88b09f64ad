"""What scores are held against: chance, controls and the other encoders."""

import math
from collections.abc import Sequence
from typing import Any

from sibboleth.report import significance, wording
from sibboleth.report.results import Results
from sibboleth.report.systems import Score, System
from sibboleth.schemes import OTHERS

CLEAR = f"p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}{significance.LEVEL}"


def finite(scores: Sequence[Score]) -> list[Score]:
    """Leave out scores that are undefined."""
    return [s for s in scores if math.isfinite(s.estimate)]


def bounded(scores: Sequence[Score]) -> list[Score]:
    """Leave out scores without an interval."""
    return [s for s in scores if math.isfinite(s.low) and math.isfinite(s.high)]


def sides(results: Results, judged: Sequence[Score], chance: float) -> tuple[list[Score], list[Score], list[Score]]:
    """Part scores into those whose interval lies above chance (better), includes it, and lies below it."""
    at = [s for s in judged if includes(s.low, s.high, chance)]
    off = [(results.better * (s.estimate - chance), s) for s in judged if not includes(s.low, s.high, chance)]
    return [s for gain, s in off if gain > 0], at, [s for gain, s in off if gain < 0]


def ends(scores: Sequence[Score], results: Results) -> tuple[Score, Score]:
    """Worst and best score."""
    ranked = sorted(scores, key=lambda s: results.better * s.estimate)
    return ranked[0], ranked[-1]


def includes(low: float, high: float, value: float) -> bool:
    """Whether an interval includes a value; one that is undefined excludes nothing."""
    return not (low > value or high < value)


def cases(scores: Sequence[Score]) -> str:
    """What scores are called together: domains, where each has one, or pairs."""
    return "domains" if all(s.source in (s.domain, OTHERS) for s in scores) else "pairs"


def against_chance(results: Results, scores: Sequence[Score]) -> list[str]:
    """Say where the interval lies above, at and below chance, or why no chance is known."""
    chance = results.chance
    if chance is None:
        return [text for text in (results.why_no_chance,) if text]
    if not scores:
        return []
    value = wording.number(chance)
    judged = bounded(scores)
    if not judged:
        return [f"Chance is {value}; without intervals nothing can be said against it."]
    above, at, below = sides(results, judged, chance)
    if len(scores) == 1:
        where = "above" if above else "below" if below else "not clear of"
        tail = ": the interval includes it, so this run does not show that anything was recognised" if at else ""
        return [f"This score is {where} chance, {value}{tail}."]
    lack = "" if len(judged) == len(scores) else f" that have one, of {len(scores)}"
    text = f"Chance is {value}: the interval lies above it in {len(above)} of {len(judged)} {cases(scores)}{lack}"
    if len(judged) == 1:
        text = f"Chance is {value}: of {len(scores)} {cases(scores)} only {judged[0].name} has an interval"
        text += ", and it lies above chance" if above else ""
    if at:
        text += f", and includes it in {len(at)} ({_names(at)}), where this run does not show that "
        text += "anything was recognised"
    if below:
        text += f"; it lies below chance in {len(below)} ({_names(below)}), where what was learned misleads"
    return [text + "."]


def _names(scores: Sequence[Score]) -> str:
    return wording.listing([s.name for s in scores])


def against_controls(results: Results, system: System, scores: Sequence[Score]) -> list[str]:
    """Say how the encoder stands beside each control, or that there was none."""
    controls = _controls(results, system)
    if system.control:
        said = [f"Only controls were run, and {system.short} is one: nothing here is about a pre-trained encoder."]
        return said + [text for control in controls for text in _versus(results, system, scores, control, "")]
    if not controls:
        return ["No control was run beside it, so it is not known what a baseline without pre-training reaches."]
    return [text for control in controls for text in _versus(results, system, scores, control, "a control")]


def _controls(results: Results, system: System) -> list[System]:
    """List each other control once: under the same method where it has it, else its probe, as runs are compared."""
    found: dict[str, System] = {}
    for one in results.systems:
        if one.control and one.encoder != system.encoder and one.method in ("", system.method):
            found[one.encoder] = one  # the probe comes first, and gives way to the method
    return list(found.values())


def against_others(results: Results, system: System, scores: Sequence[Score]) -> list[str]:
    """Say how the encoder stands beside the other encoders that are no controls."""
    others = [e for e in results.systems if not e.control and e.name != system.name]
    # Those that differ in one thing come first: only these were compared in pairs.
    others.sort(key=lambda e: e.encoder != system.encoder and e.method != system.method)
    told = [e for e in others if e.method or e.name != system.encoder]  # what it adds to its probe is said elsewhere
    texts = [text for other in told[:3] for text in _versus(results, system, scores, other, "")]
    if others:
        texts.append(
            f"{system.short} comes first here because its median is the best of "
            f"{wording.count(len(others) + 1, results.unit)} on these same test speakers: an order, not a test."
        )
    return texts


def _versus(results: Results, system: System, scores: Sequence[Score], other: System, what: str) -> list[str]:
    regime = scores[0].regime if scores else ""
    theirs = {s.pair: s for s in results.where(other.name, regime)}
    both = [(s, theirs[s.pair]) for s in scores if s.pair in theirs]
    if not finite([b for _, b in both]):
        return []
    low, high = ends(finite([b for _, b in both]), results)
    name = f"{other.short}, {what}," if what else other.short
    text = f"{name} reaches {low if len(both) == 1 else f'{low} to {high}'}"
    paired = [row for row in (results.compared(a, b) for a, b in both) if row is not None]
    if paired:
        return [f"{text}: {_told(results, system, other, paired)}."]
    overlap = sum(not (a.low > b.high or a.high < b.low) for a, b in both)
    return [
        f"{text}; the intervals of the two overlap in {overlap} of {len(both)}, and they were not compared in pairs."
    ]


def verdict(results: Results, paired: Sequence[dict[str, Any]], what: str) -> str:
    """Say in how many of some paired differences A is better or worse than `what`; empty where none could show it."""
    heard = [row for row in paired if not significance.mute(row)]
    if not heard:
        return ""
    better = sum(significance.significant(row) and results.better * row["difference"] > 0 for row in heard)
    worse = sum(significance.significant(row) and results.better * row["difference"] < 0 for row in heard)
    if len(paired) == 1:
        said = f"better than {what}" if better else f"worse than {what}" if worse else f"not told apart from {what}"
        return f"{said} (p {_p(paired[0])} after Holm)"
    counts = [
        f"{word} than {what} in {count} of {len(heard)}" for word, count in (("better", better), ("worse", worse))
    ]
    told = " and ".join(text for text, count in zip(counts, (better, worse), strict=True) if count)
    tail = f"; {len(paired) - len(heard)} more cannot tell" if len(heard) < len(paired) else ""
    return f"{told or f'in none of {len(heard)} told apart from {what}'} (Holm, {CLEAR}){tail}"


def unheard(paired: Sequence[dict[str, Any]]) -> list[str]:
    """Say why no verdict stands where one could be expected; nothing where each could show something."""
    silent = [row for row in paired if significance.mute(row)]
    return [f"Where no test is named, none could show a difference: {significance.why(silent[:1])}."] if silent else []


def _told(results: Results, system: System, other: System, paired: Sequence[dict[str, Any]]) -> str:
    """Say what the paired comparisons of two encoders show."""
    silent = [row for row in paired if significance.mute(row)]
    heard = [row for row in paired if not significance.mute(row)]
    why = significance.why(silent) if silent else ""
    if not heard:
        return f"{system.short} \N{MINUS SIGN} {other.short} is {span(paired, results)}; {why}"
    better = sum(significance.significant(row) and results.better * row["difference"] > 0 for row in heard)
    worse = sum(significance.significant(row) and results.better * row["difference"] < 0 for row in heard)
    if len(paired) == 1:
        verdict = "better" if better else "worse" if worse else "not told apart from it"
        return f"{system.short} is {verdict} (difference {span(paired, results)}, p {_p(paired[0])} after Holm)"
    text = f"{system.short} is better in {better} of {len(heard)} paired comparisons (Holm, {CLEAR})"
    same = len(heard) - better - worse
    text += f", worse in {worse}" if worse else ""
    text += f", not told apart in {same}" if same else ""
    return text + (f"; of {len(silent)} more none can tell: {why}" if silent else "")


def span(rows: Sequence[dict[str, Any]], results: Results, names: Sequence[str] = ()) -> str:
    """Write the smallest and the largest of paired differences, with what they are of where that is given."""
    texts = [wording.estimate(row["difference"], row["low"], row["high"]) for row in rows]
    if names:
        texts = [f"{text} ({name})" for text, name in zip(texts, names, strict=True)]
    order = sorted(range(len(rows)), key=lambda k: rows[k]["difference"] * results.better)
    return f"between {texts[order[0]]} and {texts[order[-1]]}" if len(rows) > 1 else texts[0]


def _p(row: dict[str, Any]) -> str:
    text = wording.p_value(row["p_holm"])
    return text if text.startswith("<") else f"= {text}"
