"""The section of methods: what each trains and costs, and what it gains over the probe and the other methods."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from sibboleth.report import contrasts, plots, sections, significance, tuning, wording
from sibboleth.report.figures import INK, QUIET, Chart, Entry
from sibboleth.report.results import Results
from sibboleth.report.sections import MOST_PANELS, Panel, Section
from sibboleth.report.systems import Score, System
from sibboleth.report.tables import Part, Table, table

MOST_COLUMNS = 4
"""More domains than this are a range in the table of costs."""
ASIDE = 1.09
"""Factor by which the dots of one encoder stand to the right of those of the encoder before it."""
FAMILY = "methods, "
"""What the names of families begin with in which methods of one encoder are compared."""


def described(results: Results) -> list[tuple[str, str]]:
    """Say of each method of the study what it trains."""
    asked = (results.record.get("study") or {}).get("methods") or []
    return [(str(one["name"]), _described(one)) for one in asked]


def _described(asked: dict[str, Any]) -> str:
    if asked.get("as_is"):
        return "trains nothing: the model answers as it is"
    trained = {"encoder": ["every weight of the encoder"], "layers": ["its transformer layers"]}.get(
        str(asked.get("train")), []
    )
    if lora := asked.get("lora"):
        where = wording.listing([str(name) for name in lora["targets"]])
        trained.append(f"LoRA of rank {lora['rank']} and alpha {lora['alpha']:g} in {where}")
    if bottleneck := asked.get("bottleneck"):
        trained.append(f"a {bottleneck['placement']} bottleneck adapter (dim / {bottleneck['reduction']:g})")
    if asked.get("gate"):
        trained.append("weight gates")
    if asked.get("mix"):
        trained.append("a learned layer mix")
    sizes = "-".join(map(str, (asked.get("head") or {}).get("hidden") or ()))
    return "trains " + wording.listing([*trained, f"a head{f' ({sizes})' if sizes else ''}"])


def costs(results: Results) -> Table:
    """List what each system trains, how long that takes, and what it reaches within each domain."""
    known = {row["system"]: row for row in results.costs.to_dicts()}
    domains = [domain for _, domain in results.pairs("within")]
    several = domains if len(domains) <= MOST_COLUMNS else []
    rows = []
    for system in _shown(results):
        within = {s.domain: s for s in results.where(system.name, "within")}
        scores = [str(within[d]) if d in within else wording.MISSING for d in several]
        if domains and not several:
            scores = [_range(results, list(within.values()))]
        *cost, parts = _cost(known.get(system.name), system, results)
        rows.append((system.title, *cost, *scores, parts))
    reached = [f"within {domain}" for domain in several] or (["within, lowest to highest"] if domains else [])
    head = ("System", "Trained", "Share", "Layers", "Epoch", "Epochs", "In all", "Memory", *reached, "Parts")
    return table(
        "methods",
        f"What each method trains and costs, and {wording.metric(results.metric)} with its "
        f"{results.confidence:.0%} interval",
        f"methods.parquet; scores.parquet: metric {results.metric}, slice all, runs */within/*",
        head,
        rows if known else (),
        numeric=range(1, 8),
        numbers=results.costs.drop("system"),
    )


def _shown(results: Results) -> list[System]:
    """Fine-tuned systems, each encoder's behind its probe."""
    encoders = {one.encoder for one in results.tuned}
    return [one for one in results.systems if one.encoder in encoders]


def _cost(row: dict[str, Any] | None, system: System, results: Results) -> tuple[str, ...]:
    if row is None:
        return ("the probe", *[wording.MISSING] * 7) if not system.method else (wording.MISSING,) * 8
    depth = next(
        (int(e["layers"]) - 1 for e in results.record.get("encoders") or () if e["name"] == system.encoder), row["kept"]
    )
    layers = f"{row['kept']}" if row["kept"] == depth else f"{row['kept']} of {depth}"
    parts = ", ".join(f"{name} {size:,}" for name, size in json.loads(row["parts"]).items())
    return (
        f"{row['trained']:,}",
        f"{row['trained'] / row['total']:.1%}",
        layers + (f", trained above {row['lowest']}" if 0 < row["lowest"] < row["kept"] else ""),
        wording.duration(row["seconds_per_epoch"]),
        f"{row['epochs']:.0f}",
        wording.duration(row["seconds"]),
        wording.memory(row["memory"]),
        parts + (f"; matched to {row['matched']}" if row["matched"] else ""),
    )


def _range(results: Results, scores: Sequence[Score]) -> str:
    known = contrasts.finite(scores)
    return "{} to {}".format(*contrasts.ends(known, results)) if known else wording.MISSING


def measured(results: Results) -> str:
    """Say on what, and over how many trainings, times were taken; empty where none were."""
    if results.costs.is_empty():
        return ""
    where = " and ".join(
        f"{device} in {bits}" for device, bits in results.costs.select("device", "bits").unique().sort("device").rows()
    )
    fits = results.costs["fits"].unique().sort().to_list()
    many = f"{fits[0]}" if len(fits) == 1 else f"{fits[0]} to {fits[-1]}"
    return (
        f"Trained on {where}, {many} times each. Epochs are the mean, the time in all is the sum over these; memory is "
        "the peak of the process."
    )


def compared(results: Results) -> Table:
    """Sum up the paired comparisons of methods of one encoder, regime by regime."""
    frame = results.comparisons.filter(
        pl.col("family").str.starts_with(FAMILY) & (pl.col("metric") == results.metric) & (pl.col("slice") == "all")
    )
    known = {s.run: s for s in results.main}
    groups: dict[tuple[str, System, System], list[dict[str, Any]]] = {}
    for row in frame.to_dicts():
        a, b = known.get(row["a_run"]), known.get(row["b_run"])
        ours, theirs = results.system(a.system) if a else None, results.system(b.system) if b else None
        if a and ours and theirs:
            groups.setdefault((a.regime, ours, theirs), []).append({**row, "pair": a.name})
    regimes = results.every_regime
    order = sorted(groups, key=lambda key: (regimes.index(key[0]), *map(results.systems.index, key[1:])))
    starts = [i for i, key in enumerate(order) if not i or order[i - 1][0] != key[0]]
    parts = zip(starts, [*starts, len(order)][1:], strict=True)
    head = ("Regime", "Encoder", "A", "B", "A \N{MINUS SIGN} B", "A better", "B better", "Not told apart", "Mute")
    return table(
        "methods-compared",
        f"Methods of one encoder in pairs: {wording.metric(results.metric)}, the worst and the best difference for A, "
        f"and how many are clear after Holm's correction within a regime ({contrasts.CLEAR}). Mute could not have been",
        "comparisons.parquet: families methods, *",
        head,
        [_compared(results, *key, groups[key]) for key in order],
        numeric=(5, 6, 7, 8),
        numbers=frame.drop("flips", "p_floor", "p_holm_floor", "family_size"),
        shown=6,
        begin=1,
        parts=[Part(wording.capital(order[first][0]), first, last) for first, last in parts],
    )


def _compared(results: Results, regime: str, a: System, b: System, found: list[dict[str, Any]]) -> tuple[str, ...]:
    heard = [row for row in found if not significance.mute(row)]
    clear = [results.better * row["difference"] for row in heard if significance.significant(row)]
    counts = (sum(v > 0 for v in clear), sum(v < 0 for v in clear), len(heard) - len(clear), len(found) - len(heard))
    names = [row["pair"] for row in found] if len(found) > 1 else ()
    difference = contrasts.span(found, results, names).removeprefix("between ")
    methods = (one.method or "probe" for one in (a, b))
    return (regime, results.short(a.encoder), *methods, difference, *map(str, counts))


def by_parameters(results: Results) -> Section:
    """Draw scores by the number of trained parameters, a panel for each domain; a line for what trains none."""
    size = {name: count for name, count in results.costs.select("system", "trained").iter_rows() if count}
    scores = [s for system in _shown(results) for s in results.where(system.name, "within")]
    pairs = results.pairs("within")
    if not size or not scores or len(pairs) > MOST_PANELS:
        return Section()
    encoders = list(dict.fromkeys(one.encoder for one in results.tuned))
    # Methods of several encoders train about as many: a few percent set their dots side by side.
    aside = {one.name: ASIDE ** encoders.index(one.encoder) for one in results.tuned}
    shown = {name: trained * aside[name] for name, trained in size.items() if name in aside}
    rows = pl.DataFrame(
        [(s.domain, s.system, shown.get(s.system), s.estimate, s.low, s.high) for s in scores],
        schema={"domain": pl.String, "name": pl.String, "parameters": pl.Float64, **NUMBERS},
        orient="row",
    ).with_columns(pl.col(*NUMBERS).fill_nan(None), system=pl.col("name").map_elements(results.short, pl.String))
    axis = sections.bounds(rows, results.chance)
    panels = [_panel(results, domain, rows.filter(domain=domain), axis, shown) for _, domain in pairs]
    group = sections.drawn(
        panels,
        "methods-parameters",
        f"{wording.metric(results.metric)} by trained parameters, within",
        f"Dots are methods, horizontal lines the probes of the same encoders; bands and lines are "
        f"{results.confidence:.0%} intervals over speakers.",
        f"scores.parquet: metric {results.metric}, slice all, runs */within/*; methods.parquet: trained",
        plots.legend(results.systems, results.chance, shown=set(rows["name"]), dots=True),
    )
    return Section((group,))


NUMBERS = dict.fromkeys(("estimate", "low", "high"), pl.Float64)


def _panel(results: Results, domain: str, rows: pl.DataFrame, axis: tuple[float, float], size: dict[str, int]) -> Panel:
    metric = wording.metric(results.metric)

    def draw() -> Chart:
        return tuning.by_parameters(
            rows,
            results.systems,
            metric=metric,
            bounds=axis,
            chance=results.chance,
            extent=(min(size.values()), max(size.values())),
        )

    told = "; ".join(f"{r['system']} {wording.number(r['estimate'])}" for r in rows.to_dicts())
    return Panel(domain, f"{metric} by trained parameters, {domain}: {told}.", draw)


def training(results: Results) -> Section:
    """Draw the losses of each method by epoch, of both stages where there are two."""
    if results.learning.is_empty():
        return Section()
    wanted = results.learning.with_columns(pl.col("loss", "dev_loss").fill_nan(None))
    wanted = wanted.filter(pl.col("dev_loss").is_not_null())
    key = ["system", "stage", "epoch"]
    fits = [c for c in ("source", "then", "fold", "trial") if c in wanted.columns]
    pieces = []
    for what, column in (("dev", "dev_loss"), ("train", "loss")):
        spread = [pl.col(column).median().alias("loss"), pl.col(column).min().alias("low")]
        pieces.append(wanted.group_by(key).agg(*spread, pl.col(column).max().alias("high"), what=pl.lit(what)))
    trained = wanted.group_by("system", "stage").agg(pl.struct(fits).n_unique().alias("fits"))
    kept = wanted.group_by(key).agg(pl.col("selected").sum().alias("kept"))
    rows = pl.concat(pieces).join(kept, on=key).join(trained, on=["system", "stage"])
    rows = rows.with_columns(chosen=pl.col("kept") / pl.col("fits")).sort("what", *key)
    panels = [
        Panel(_stage(one, stage), _loss_text(_stage(one, stage), piece), _loss_chart(piece))
        for one in results.tuned
        for stage in (1, 2)
        if (piece := rows.filter(system=one.name, stage=stage)).height
    ]
    if not panels:
        return Section()
    group = sections.drawn(
        panels,
        "methods-losses",
        "Losses by epoch",
        "Lines are medians over the trainings that reached the epoch, the band runs from the lowest dev loss to the "
        "highest: a spread, not an interval. Few-shot has no dev set, and is not drawn. Each panel has its own axis.",
        "learning.parquet",
        (
            Entry("dev", INK),
            Entry("train", QUIET, "3,2"),
            Entry("epoch that dev chose (larger: in more trainings)", INK, "", "diamond", size=True),
        ),
        fold=True,
    )
    return Section((group,))


def _stage(system: System, stage: int) -> str:
    return system.short + (", second stage" if stage == 2 else "")


def _loss_text(title: str, piece: pl.DataFrame) -> str:
    dev = piece.filter(what="dev").sort("epoch")
    first, best = dev.row(0, named=True), dev.sort("loss", "epoch").row(0, named=True)
    return (
        f"Losses of {title} by epoch: median dev loss {wording.number(first['loss'])} after epoch {first['epoch']}, "
        f"lowest {wording.number(best['loss'])} after epoch {best['epoch']}."
    )


def _loss_chart(piece: pl.DataFrame) -> Callable[[], Chart]:
    return lambda: tuning.losses(piece)


def gains(results: Results, systems: Sequence[System]) -> list[str]:
    """Say what fine-tuning adds to the probes of the same encoders, by paired comparisons."""
    texts = []
    for one in systems:
        told = [_gain(results, one, regime) for regime in GAINS]
        if any(told):
            short = results.short(one.encoder)
            texts.append(
                f"Fine-tuning with {one.method} adds to the probe of {short}: {'; '.join(filter(None, told))}."
            )
    return texts


GAINS = ("within", "zero-shot")
"""Regimes under which a method is held against the probe."""


def against_probe(results: Results, system: System, regime: str) -> list[tuple[str, dict[str, Any]]]:
    """List the paired comparisons of a fine-tuned system with its encoder's probe, each with the name of its pair."""
    theirs = {s.pair: s for s in results.where(system.encoder, regime)}
    both = [(s, theirs[s.pair]) for s in results.where(system.name, regime) if s.pair in theirs]
    return [(a.name, row) for a, b in both if (row := results.compared(a, b)) is not None]


def _gain(results: Results, system: System, regime: str) -> str:
    found = against_probe(results, system, regime)
    if not found:
        return ""
    rows = [row for _, row in found]
    names = [name for name, _ in found] if len(found) > 1 else ()
    told = [f"{regime} {contrasts.span(rows, results, names)}", contrasts.verdict(results, rows, "the probe")]
    return ", ".join(filter(None, told))
