"""The section of alignments: what each gains, what becomes of the gap, and how well a confound is still told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import polars as pl

from sibboleth import alignment as alignments
from sibboleth.report import wording
from sibboleth.report.results import Results
from sibboleth.report.tables import Part, Table, table

FEW = 2
"""Up to so many gaps are each told in the answer; more are counted."""
VANISHES, SHRINKS, STAYS = "vanishes", "shrinks", "stays"
SINKS = "closes, as within falls"
GROWS, OPEN, NONE = "grows", "not clear", "no gap before"

Contrast = Mapping[str, Any]


@dataclass(frozen=True)
class Aligned:
    """One aligned zero-shot run, and its contrasts by name."""

    system: str
    alignment: str
    source: str
    domain: str
    reached: str
    contrasts: Mapping[str, Contrast]

    @property
    def pair(self) -> str:
        """Write de → nl, on one line."""
        return f"{self.source}\N{NO-BREAK SPACE}\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}{self.domain}"

    def told(self, name: str) -> str:
        """Write a contrast with its interval; a dash where the study has none."""
        row = self.contrasts.get(name)
        return wording.MISSING if row is None else wording.estimate(row["estimate"], row["low"], row["high"])


def became(contrasts: Mapping[str, Contrast], better: int) -> str:
    """Say what became of the gap between within and zero-shot; empty where within was not trained.

    A gap is one where its interval lies above 0. It vanishes where the paired interval of what was closed lies above 0
    and that of what is left includes 0; where that is because within fell and zero-shot did not rise, that is said.
    """
    if "gap before" not in contrasts:
        return ""
    sides = {name: _side(row, better) for name, row in contrasts.items()}
    if sides["gap before"] != 1:
        return NONE
    if sides["gap closed"] == 1:
        if sides["within"] == -1 and sides["zero-shot"] != 1:
            return SINKS
        return SHRINKS if sides["gap after"] == 1 else VANISHES
    if sides["gap closed"] == -1:
        return GROWS
    return STAYS if sides["gap after"] == 1 else OPEN


def _side(row: Contrast, better: int) -> int:
    """Return 1 where an interval lies above 0 (better), -1 where below, 0 where it includes 0 or is not defined."""
    low, high = sorted((better * row["low"], better * row["high"]))
    return 1 if low > 0 else -1 if high < 0 else 0


def gains(results: Results) -> Table:
    """What each alignment gains in zero-shot, and what becomes of the gap to within."""
    found = _found(results)
    names = list(dict.fromkeys(one.alignment for one in found))
    rows = [
        (
            one.alignment,
            results.short(one.system),
            one.pair,
            one.reached,
            *(one.told(name) for name in ("zero-shot", "gap before", "gap after", "gap closed")),
            became(one.contrasts, results.better) or wording.MISSING,
        )
        for one in found
    ]
    ends = list(accumulate(sum(one.alignment == name for one in found) for name in names))
    head = (
        *("Alignment", "Encoder", "Trained \N{RIGHTWARDS ARROW} tested", "Zero-shot, aligned", "Gain"),
        *("Gap before", "Gap after", "Gap closed", "The gap"),
    )
    return table(
        "alignments",
        f"{wording.metric(results.metric)} of zero-shot under each alignment, and its gap to within, in pairs on the "
        "same utterances, speakers resampled; not corrected for how many there are",
        "gaps.parquet; aligned scores from scores.parquet",
        head,
        rows,
        numeric=(3, 4, 5, 6, 7),
        numbers=_optional(results, "gaps"),
        shown=6,
        begin=1,
        parts=[
            Part(f"{name}: {alignments.explained(name)}", first, last)
            for name, first, last in zip(names, [0, *ends], ends, strict=False)
        ],
    )


def confounds(results: Results) -> Table:
    """How well each confound is told before and after it is erased."""
    frame = _optional(results, "erasure")
    rows = []
    for (encoder, column), some in frame.group_by("encoder", "column", maintain_order=True) if len(frame) else ():
        stages = {row["stage"]: row for row in some.to_dicts()}
        one = next(iter(stages.values()))
        told = [
            wording.estimate(stages[s]["estimate"], stages[s]["low"], stages[s]["high"]) for s in ("before", "after")
        ]
        counts = (str(one["values"]), f"{one['n']:,}", wording.number(one["chance"]))
        erased = f"{one['rank']} of {one['dim']}"
        rows.append((results.short(str(encoder)), str(column), str(one["layer"]), *counts, *told, erased))
    head = ("Encoder", "Confound", "Layer", "Values", "n", "Chance", "Told before", "Told after", "Directions erased")
    return table(
        "erasure",
        "How well a linear probe tells the confound (balanced accuracy) before and after it is erased, of utterances "
        "that neither probe nor eraser has seen",
        "erasure.parquet",
        head,
        rows,
        numeric=range(2, len(head)),
        numbers=frame,
    )


def told(results: Results) -> list[str]:
    """Say for the answer, of each confound, whether the gap stays, shrinks or vanishes once it is erased.

    Of controls only where there is nothing else.
    """
    controls = {one.name for one in results.systems if one.control}
    gaps = [one for one in _found(results) if alignments.erased(one.alignment) and "gap before" in one.contrasts]
    gaps = [one for one in gaps if one.system not in controls] or gaps
    names = dict.fromkeys(one.alignment for one in gaps)
    return [_said(results, name, [one for one in gaps if one.alignment == name]) for name in names]


def _said(results: Results, name: str, some: Sequence[Aligned]) -> str:
    systems = list(dict.fromkeys(results.short(one.system) for one in some))
    start = f"With {alignments.erased(name)} erased from the features of {wording.listing(systems)}"
    what = f"within \N{MINUS SIGN} zero-shot in {wording.metric(results.metric)}"
    if len(some) <= FEW:
        pairs = [f"{one.pair} ({results.short(one.system)})" if len(systems) > 1 else one.pair for one in some]
        return f"{start}, {what} is, {'; '.join(map(_each, pairs, some, [results.better] * len(some)))}."
    counts = Counter(became(one.contrasts, results.better) for one in some)
    clear = len(some) - counts.pop(NONE, 0)
    if not clear:
        return f"{start}, nothing can be said of {what}: none of {len(some)} has a clear gap without it."
    verdicts = ", ".join(f"{count} {VERBS[kind][count > 1]}" for kind, count in counts.most_common())
    many = wording.count(clear, "clear gap")
    return f"{start}, of {many} ({what}; {len(some)} were looked at) {verdicts}."


def _each(pair: str, one: Aligned, better: int) -> str:
    numbers = f"{one.told('gap before')} before, {one.told('gap after')} after, {one.told('gap closed')} less"
    verdict = became(one.contrasts, better)
    return f"{pair}: {numbers}: {'there was no clear gap' if verdict == NONE else f'it {VERBS[verdict][0]}'}"


VERBS = {
    VANISHES: ("vanishes: what is left includes 0", "vanish: what is left includes 0"),
    SHRINKS: ("shrinks", "shrink"),
    STAYS: ("stays", "stay"),
    SINKS: ("closes only because within falls", "close only because within falls"),
    GROWS: ("grows", "grow"),
    OPEN: ("is neither clear any more nor clearly smaller", "are neither clear any more nor clearly smaller"),
}
"""What one gap does, and what several do."""


def _found(results: Results) -> tuple[Aligned, ...]:
    """List aligned zero-shot runs in the order of the study's alignments, systems and domains."""
    gaps = _optional(results, "gaps")
    if gaps.is_empty():
        return ()
    contrasts = {str(run): {row["contrast"]: row for row in some.to_dicts()} for (run,), some in gaps.group_by("run")}
    rows = results.aligned.filter(
        (pl.col("metric") == results.metric) & (pl.col("slice") == "all") & pl.col("leads")
    ).filter(pl.col("run").is_in(list(contrasts)))
    order = [str(name) for name in (results.record.get("study") or {}).get("alignment") or []]
    found = [
        Aligned(
            system=row["system"],
            alignment=row["alignment"],
            source=row["source"],
            domain=row["domain"],
            reached=wording.estimate(row["estimate"], row["low"], row["high"]),
            contrasts=contrasts[row["run"]],
        )
        for row in rows.to_dicts()
    ]
    systems = [one.name for one in results.systems]
    return tuple(
        sorted(found, key=lambda one: (order.index(one.alignment), systems.index(one.system), one.source, one.domain))
    )


def _optional(results: Results, name: str) -> pl.DataFrame:
    """Read a table that only a study with alignments has."""
    return results.run.table(name) if (results.run / f"{name}.parquet").exists() else pl.DataFrame()
