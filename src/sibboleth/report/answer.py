"""The answer in a few sentences, with its uncertainty, and no more certain than the numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from sibboleth.report import wording
from sibboleth.report.material import Encoder, Material, Score

CLEAR = "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.05"
FEW_PAIRS = 2
"""Up to so many pairs of domains are each told; more are told as a range."""


@dataclass(frozen=True)
class Answer:
    """What the run says about what was asked."""

    lead: tuple[str, ...]
    more: tuple[str, ...] = ()
    cautions: tuple[str, ...] = field(default=())


def answer(material: Material) -> Answer:
    """Say how far the encoder that did best comes, against chance, controls and the other encoders."""
    best = _best(material)
    if best is None:
        return Answer(("No encoder has a score that stands for its run: see the tables below.",))
    across = _across(material, best)
    within = material.where(best.name, "within")
    lead = _transfer(material, best, across) if across else _within(material, best, within)
    more = [
        *_against_chance(material, best, across or within),
        *_against_controls(material, best, across or within),
        *_against_others(material, best, across or within),
    ]
    return Answer(tuple(lead), tuple(more), tuple(_cautions(material, best)))


def _across(material: Material, encoder: Encoder) -> list[Score]:
    """Zero-shot scores, or the target-selected ones of a run that has no others."""
    return material.where(encoder.name, "zero-shot") or material.where(encoder.name, "target-selected")


def _best(material: Material) -> Encoder | None:
    """Take the encoder, controls only if there is nothing else, with the best median."""
    ranked = []
    for place, encoder in enumerate(material.encoders):
        scores = [s for s in _across(material, encoder) or material.where(encoder.name, "within")]
        values = [s.estimate for s in scores if math.isfinite(s.estimate)]
        if values:
            ranked.append((encoder.control, -material.better * median(values), place, encoder))
    return min(ranked)[3] if ranked else None


def _transfer(material: Material, encoder: Encoder, across: Sequence[Score]) -> list[str]:
    if len(across) <= FEW_PAIRS:
        return [_pair(material, encoder, score) for score in across]
    metric, at = wording.metric(material.metric), _on(material)
    within = _finite(material.where(encoder.name, "within"))
    lowest, highest = _ends(_finite(across), material)
    domain = material.domain
    condition = (
        f"Tested {at} a {domain} of which it never saw a label"
        if across[0].regime == "zero-shot"
        else f"Trained {at} another {domain}, with layer and penalty chosen on labels of the tested one"
    )
    lead = [
        f"{condition}, {encoder.short} reaches {metric} {_from_to(lowest, highest)}; "
        f"the median of {len(across)} ordered pairs is {wording.number(median(s.estimate for s in _finite(across)))}."
    ]
    if within:
        low, high = _ends(within, material)
        lead.append(f"Trained {at} the tested {domain} itself, it reaches {_from_to(low, high, one=True)}.")
        lead += _costs(material, encoder, across)
    return lead


def _finite(scores: Sequence[Score]) -> list[Score]:
    return [s for s in scores if math.isfinite(s.estimate)]


def _from_to(worst: Score, best: Score, one: bool = False) -> str:
    name = (lambda s: s.domain) if one else _pair_name
    if worst is best:
        return f"{worst} ({name(worst)})"
    return f"{worst} ({name(worst)}) to {best} ({name(best)})"


def _pair_name(score: Score) -> str:
    if score.source == score.domain:
        return score.domain
    return f"{score.source}\N{NO-BREAK SPACE}\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}{score.domain}"


def _ends(scores: Sequence[Score], material: Material) -> tuple[Score, Score]:
    ranked = sorted(scores, key=lambda s: material.better * s.estimate)
    return ranked[0], ranked[-1]


def _on(material: Material) -> str:
    return wording.preposition(material.domain)


def _pair(material: Material, encoder: Encoder, score: Score) -> str:
    at, metric = _on(material), wording.metric(material.metric)
    condition = (
        f"Trained {at} {score.source} and tested {at} {score.domain} without any label of {score.domain}"
        if score.regime == "zero-shot"
        else f"Trained {at} {score.source}, selected and tested {at} {score.domain}"
    )
    text = f"{condition}, {encoder.short} reaches {metric} {score}"
    within = next((s for s in material.where(encoder.name, "within") if s.domain == score.domain), None)
    if within is None:
        return f"{text}."
    text += f"; trained {at} {score.domain} itself {within}"
    paired = material.compared(within, score)
    if paired is None:
        return f"{text} (no paired comparison of the two was made)."
    difference = wording.estimate(paired["difference"], paired["low"], paired["high"])
    open_ = _includes(paired["low"], paired["high"], 0.0)
    verdict = ", an interval that includes no difference" if open_ else ""
    return f"{text}: the difference is {difference}{verdict}."


def _includes(low: float, high: float, value: float) -> bool:
    """Whether an interval includes a value; one that is undefined excludes nothing."""
    return not (low > value or high < value)


def _costs(material: Material, encoder: Encoder, across: Sequence[Score]) -> list[str]:
    """Say what going across costs, by the paired differences."""
    within = {s.domain: s for s in material.where(encoder.name, "within")}
    rows = [(s, material.compared(within[s.domain], s)) for s in across if s.domain in within]
    found = [(s, row) for s, row in rows if row is not None]
    if not found:
        return ["No paired comparison of the two was made."]
    ranked = sorted(found, key=lambda item: item[1]["difference"] * material.better)
    texts = [
        f"{wording.estimate(row['difference'], row['low'], row['high'])} ({_pair_name(s)})"
        for s, row in (ranked[0], ranked[-1])
    ]
    clear = sum(_significant(row) and row["difference"] * material.better > 0 for _, row in found)
    span = f"between {texts[0]} and {texts[1]}" if len(ranked) > 1 else texts[0]
    return [
        f"The paired difference between the two lies {span}; "
        f"after Holm's correction it is a loss ({CLEAR}) in {clear} of {len(found)} pairs."
    ]


def _significant(row: dict[str, float]) -> bool:
    return row["p_holm"] is not None and row["p_holm"] < 0.05


def _against_chance(material: Material, encoder: Encoder, scores: Sequence[Score]) -> list[str]:
    chance = material.chance
    if chance is None or not scores:
        return []
    judged = [s for s in scores if math.isfinite(s.low) and math.isfinite(s.high)]
    if not judged:
        return [f"Chance is {wording.number(chance)}; without intervals nothing can be said against it."]
    sign = material.better
    above = [s for s in judged if not _includes(s.low, s.high, chance) and sign * (s.estimate - chance) > 0]
    below = [s for s in judged if not _includes(s.low, s.high, chance) and sign * (s.estimate - chance) < 0]
    at = [s for s in judged if _includes(s.low, s.high, chance)]
    value = wording.number(chance)
    if len(judged) == 1:
        where = "above" if above else "below" if below else "not clear of"
        tail = ": the interval includes it, so this run does not show that anything was recognised" if at else ""
        return [f"That is {where} chance, {value}{tail}."]
    text = f"Chance is {value}: the interval lies above it in {len(above)} of {len(judged)} {_cases(scores)}"
    if at:
        text += (
            f", and includes it in {len(at)} ({_names(at)}), where this run does not show that anything was recognised"
        )
    if below:
        text += f"; it lies below chance in {len(below)} ({_names(below)}), where what was learned misleads"
    return [text + "."]


def _cases(scores: Sequence[Score]) -> str:
    return "domains" if all(s.source == s.domain for s in scores) else "pairs"


def _names(scores: Sequence[Score]) -> str:
    return wording.listing([_pair_name(s) for s in scores])


def _against_controls(material: Material, encoder: Encoder, scores: Sequence[Score]) -> list[str]:
    controls = [e for e in material.encoders if e.control and e.name != encoder.name]
    if encoder.control:
        said = [f"Only controls were run, and {encoder.short} is one: nothing here is about a pre-trained encoder."]
        return said + [text for control in controls for text in _versus(material, encoder, scores, control, "")]
    if not controls:
        return ["No control was run beside it, so it is not known what a baseline without pre-training reaches."]
    return [text for control in controls for text in _versus(material, encoder, scores, control, "a control")]


def _against_others(material: Material, encoder: Encoder, scores: Sequence[Score]) -> list[str]:
    others = [e for e in material.encoders if not e.control and e.name != encoder.name]
    texts = [text for other in others[:3] for text in _versus(material, encoder, scores, other, "")]
    if others:
        texts.append(
            f"{encoder.short} comes first here because its median is the best of "
            f"{wording.count(len(others) + 1, 'encoder')} on these same test speakers: an order, not a test."
        )
    return texts


def _versus(material: Material, encoder: Encoder, scores: Sequence[Score], other: Encoder, what: str) -> list[str]:
    regime = scores[0].regime if scores else ""
    theirs = {s.pair: s for s in material.where(other.name, regime)}
    both = [(s, theirs[s.pair]) for s in scores if s.pair in theirs]
    if not _finite([b for _, b in both]):
        return []
    low, high = _ends(_finite([b for _, b in both]), material)
    name = f"{other.short}, {what}," if what else other.short
    reach = str(low) if len(both) == 1 else f"{low} to {high}"
    text = f"{name} reaches {reach}"
    paired = [row for row in (material.compared(a, b) for a, b in both) if row is not None]
    if paired:
        better = sum(_significant(row) and material.better * row["difference"] > 0 for row in paired)
        if len(paired) == 1:
            row = paired[0]
            difference = wording.estimate(row["difference"], row["low"], row["high"])
            verdict = "better" if better else "not told apart from it"
            return [f"{text}: {encoder.short} is {verdict} (difference {difference}, p {_p(row)} after Holm)."]
        return [
            f"{text}: {encoder.short} is better in {better} of {len(paired)} paired comparisons (Holm, {CLEAR})"
            f"{_rest(material, paired, better)}."
        ]
    overlap = sum(not (a.low > b.high or a.high < b.low) for a, b in both)
    return [
        f"{text}; the intervals of the two overlap in {overlap} of {len(both)}, and they were not compared in pairs."
    ]


def _rest(material: Material, paired: Sequence[dict[str, float]], better: int) -> str:
    worse = sum(_significant(row) and material.better * row["difference"] < 0 for row in paired)
    same = len(paired) - better - worse
    texts = [f"worse in {worse}"] if worse else []
    texts += [f"not told apart in {same}"] if same else []
    return "".join(f", {text}" for text in texts)


def _p(row: dict[str, float]) -> str:
    text = wording.p_value(row["p_holm"])
    return text if text.startswith("<") else f"= {text}"


def _within(material: Material, encoder: Encoder, within: Sequence[Score]) -> list[str]:
    if not within:
        return [f"{encoder.short} has no score within or across domains: see the tables below."]
    at, metric = _on(material), wording.metric(material.metric)
    if len(within) <= FEW_PAIRS:
        return [f"Trained and tested {at} {s.domain}, {encoder.short} reaches {metric} {s}." for s in within]
    low, high = _ends(_finite(within), material)
    domain = material.domain
    return [
        f"Trained and tested {at} one {domain} at a time, {encoder.short} reaches {metric} {_from_to(low, high, True)}."
    ]


def _cautions(material: Material, encoder: Encoder) -> list[str]:
    cautions = []
    fewest: dict[str, int] = {}
    for score in material.main:
        fewest[score.domain] = min(fewest.get(score.domain, score.clusters), score.clusters)
    few = {d: c for d, c in fewest.items() if 0 < c < wording.FEW_CLUSTERS}
    if few:
        least, most = min(few.values()), max(few.values())
        who = wording.count(least, "speaker") if least == most else f"{least} to {most} speakers"
        each = " in each" if len(few) > 1 else ""
        cautions.append(
            f"Few speakers: {who}{each} in test for {wording.listing(list(few))}. Intervals that resample fewer than "
            f"{wording.FEW_CLUSTERS} speakers tend to be too narrow."
        )
    if any(not (math.isfinite(s.low) and math.isfinite(s.high)) for s in material.main):
        cautions.append("Some scores have no interval: there were too few speakers, or the metric is undefined there.")
    errors = [str(f["name"]) for f in material.findings if f.get("grade") == "error"]
    if errors:
        cautions.append(
            f"The audit found {wording.count(len(errors), 'error')} that can make scores wrong "
            f"({wording.listing(errors)}): see below."
        )
    if material.record.get("status", "complete") != "complete":
        cautions.append(f"The run is {material.record['status']}: this page shows what was finished.")
    return cautions
