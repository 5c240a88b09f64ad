"""Plan a study: how many speakers and items it takes to see a difference, or what difference a design can show."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import runs
from sibboleth.errors import InvalidInput
from sibboleth.foreign import pilots
from sibboleth.foreign.pilots import Pilot
from sibboleth.metrics.classification import ACCURACY, UAR
from sibboleth.progress import track
from sibboleth.stats import planning
from sibboleth.stats.planning import Design, Model

Many = Parameter(consume_multiple=True)
ICC, ALIKE = 0.1, 0.5
"""Correlation within speakers and between systems that is assumed where nobody says it."""
METRICS = {"uar": UAR, "accuracy": ACCURACY}
RATES = {"uar": planning.uar, "accuracy": planning.accuracy}
CLASSES = 1000
"""Labels that can be planned for."""


@dataclass(frozen=True)
class Plan:
    """What the designs can do, and what was assumed."""

    model: Model
    difference: float | None
    wanted: float
    designs: pl.DataFrame
    """`speakers, items, answers`, with `power` and `expected` (the formula's), or `detectable`."""
    notes: tuple[str, ...]
    simulations: int
    written: tuple[Path, ...] = ()

    @property
    def smallest(self) -> dict[str, float] | None:
        """The design with the fewest answers that reaches the wanted power; None where none does."""
        if self.difference is None:
            return None
        reached = self.designs.filter(pl.col("power") >= self.wanted).sort("answers", "speakers")
        return reached.to_dicts()[0] if len(reached) else None

    def __rich__(self) -> RenderableType:
        """Show what was assumed, the table of speakers by items, and the smallest design."""
        parts: list[RenderableType] = [Text(note, style="dim") for note in self.notes]
        value = "detectable" if self.difference is None else "power"
        title = (
            f"smallest difference found with power {self.wanted:g}"
            if self.difference is None
            else f"power to find a difference of {self.difference:g} (bold: {self.wanted:g} or more)"
        )
        table = Table()
        table.add_column("speakers", justify="right")
        items = self.designs["items"].unique().sort().to_list()
        for count in items:
            table.add_column(f"{count} items each", justify="right")
        known = {(row["speakers"], row["items"]): row[value] for row in self.designs.to_dicts()}
        for speakers in self.designs["speakers"].unique().sort():
            table.add_row(str(speakers), *(self._cell(known[speakers, count]) for count in items))
        return Group(
            *parts,
            Text(title, style="italic"),
            table,
            *self._conclusion(),
            *(Text(f"written: {p}", style="dim") for p in self.written),
        )

    def _cell(self, value: float) -> Text:
        if math.isnan(value):
            return Text("-")
        enough = self.difference is not None and value >= self.wanted
        return Text(f"{value:.3f}" if self.difference is None else f"{value:.2f}", style="bold" if enough else "")

    def _conclusion(self) -> list[Text]:
        error = math.sqrt(self.wanted * (1 - self.wanted) / self.simulations)
        if self.difference is None:
            none = self.designs["detectable"].is_nan().any()
            return [Text("-: no difference up to a perfect score has this power", style="dim")] if none else []
        found = self.smallest
        if found:
            design = f"{found['speakers']} speakers with {found['items']} items each"
            said = f"smallest design: {design}, power {found['power']:.2f}"
        else:
            said = f"no design here reaches {self.wanted:g}: try more --speakers (items of the same speakers help less)"
        return [Text(said, style="bold"), Text(f"simulation error of a power: {error:.3f}", style="dim")]


def plan_power(
    *,
    difference: float | None = None,
    level: float | None = None,
    metric: Literal["uar", "accuracy"] = "uar",
    classes: int | None = None,
    speakers: Annotated[tuple[int, ...], Many] = (6, 10, 15, 20, 30, 50),
    items: Annotated[tuple[int, ...], Many] = (10, 20, 40),
    icc: float | None = None,
    correlation: float | None = None,
    between: bool = False,
    pilot: Path | None = None,
    reference: Path | None = None,
    raters: Annotated[tuple[str, ...], Many] = (),
    alpha: float = 0.05,
    power: float = 0.8,
    comparisons: int = 1,
    simulations: int = 400,
    seed: int = 0,
    output: Path | None = None,
) -> Plan:
    """Say how many speakers and items show a difference, by simulation through the tests that scores go through.

    Args:
        difference: of the metric between the two systems, e.g. 0.05; without it, what each design can detect.
        level: expected score of the worse one; from the pilot where there is one.
        metric: uar or accuracy.
        classes: number of labels, equally frequent (4); from the pilot where there is one.
        speakers: numbers of speakers to try; of each group, with --between.
        items: numbers of items of each speaker to try.
        icc: correlation of a system's answers within a speaker, 0 to 1, on the latent scale (0.1).
        correlation: correlation of the two systems' answers to one item, on the latent scale (0.5).
        between: the two have different speakers (accents, listeners of two languages); else they are paired.
        pilot: run directory, or predictions as `sibboleth score` reads them, to take all this from.
        reference: file with the reference and speakers of the pilot, if they stand in another one.
        raters: one or two raters of the pilot, as RATER, RUN or RUN/RATER.
        alpha: level of the test.
        power: wanted share of studies that find the difference.
        comparisons: tests in the family that Holm's correction is over.
        simulations: studies simulated for each design.
        seed: seed of the simulation.
        output: CSV or Parquet file for the table.

    Raises `InvalidInput` that names the argument.
    """
    _check(difference, level, icc, correlation, alpha, power, comparisons, simulations, seed, output)
    if not speakers or min(speakers) < 2 or not items or min(items) < 1:
        raise InvalidInput("--speakers are 2 or more, --items 1 or more")
    notes: list[str] = []
    found = None if pilot is None else pilots.read(pilot, reference, raters, METRICS[metric], notes)
    model, labels = _model(found, level, icc, correlation, classes, between, notes)
    _check_classes(labels, min(speakers) * min(items))
    if difference is not None:
        if not 0 < model.b + difference < 1:
            raise InvalidInput(f"--difference {difference:g} from a level of {model.b:.3g} leaves the range 0 to 1")
        model = replace(model, a=model.b + difference)
    notes.append(_told(model, difference, metric, labels, between, alpha, comparisons))
    designs = [
        Design(s, i, labels, not between, alpha, comparisons) for s in sorted(set(speakers)) for i in sorted(set(items))
    ]
    rate = RATES[metric]
    rows = []
    for design in track(designs, "Simulating studies", len(designs), "designs"):
        row = {"speakers": design.speakers, "items": design.items, "answers": design.speakers * design.items}
        if difference is None:
            least = planning.detectable(model, design, rate, power, simulations=simulations, seed=seed)
            rows.append(row | {"detectable": least})
        else:
            reached = planning.power(model, design, rate, simulations=simulations, seed=seed)
            rows.append(row | {"power": reached, "expected": planning.expected(model, design)})
    table = pl.DataFrame(rows)
    return Plan(model, difference, power, table, tuple(notes), simulations, _write(output, table))


def _check(
    difference: float | None,
    level: float | None,
    icc: float | None,
    correlation: float | None,
    alpha: float,
    power: float,
    comparisons: int,
    simulations: int,
    seed: int,
    output: Path | None,
) -> None:
    shares = {"--level": level, "--alpha": alpha, "--power": power}
    for name, value in shares.items():
        if value is not None and not 0 < value < 1:
            raise InvalidInput(f"{name} {value:g} must lie between 0 and 1")
    if difference is not None and not 0 < difference < 1:
        raise InvalidInput(f"--difference {difference:g} must lie between 0 and 1, as a share: 0.05 for 5 points")
    for name, value in {"--icc": icc, "--correlation": correlation}.items():
        if value is not None and not 0 <= value < 1:
            raise InvalidInput(f"{name} {value:g} must be 0 or more and below 1")
    for name, count, least in (
        ("--comparisons", comparisons, 1),
        ("--simulations", simulations, 100),
        ("--seed", seed, 0),
    ):
        if count < least:
            raise InvalidInput(f"{name} {count} must be {least} or more")
    if power <= alpha / comparisons:
        family = f" / {comparisons} comparisons" if comparisons > 1 else ""
        raise InvalidInput(
            f"--power {power:g} must be above --alpha {alpha:g}{family}: so often one is found where nothing differs"
        )
    if output is not None and output.suffix not in (".csv", ".parquet"):
        raise InvalidInput(f"{output}: the output ends in one of .csv, .parquet")


def _check_classes(labels: int, answers: int) -> None:
    """`answers` are those of the smallest design."""
    if labels < 2:
        raise InvalidInput(f"--classes {labels} must be 2 or more")
    if labels > CLASSES:
        raise InvalidInput(f"--classes {labels} must be {CLASSES} or fewer")
    if labels > answers:
        raise InvalidInput(
            f"{labels} labels cannot all occur in the {answers} answers of the smallest design: take fewer --classes,"
            " or more --speakers or --items"
        )


def _model(
    found: Pilot | None,
    level: float | None,
    icc: float | None,
    correlation: float | None,
    classes: int | None,
    between: bool,
    notes: list[str],
) -> tuple[Model, int]:
    """Put together what the pilot and the user say, the user's word counting more."""
    if found is None and level is None:
        raise InvalidInput("the expected score is missing: give --level (e.g. 0.6), or a --pilot to take it from")
    pilot, labels, systems = (None, 4, 0) if found is None else (found.model, found.labels, found.systems)
    own = (pilot.a_icc, pilot.b_icc) if pilot is not None and icc is None else (icc if icc is not None else ICC,) * 2
    if pilot is not None and systems == 2 and correlation is None:
        same, across = pilot.same_item, pilot.same_speaker
    else:
        same = ALIKE if correlation is None else correlation
        across = same * math.sqrt(own[0] * own[1])
    assumed = [f"--icc {ICC}"] if pilot is None and icc is None else []
    assumed += [f"--correlation {ALIKE}"] if systems < 2 and correlation is None and not between else []
    if assumed:
        notes.append(f"assumed, for want of a pilot: {' and '.join(assumed)}; the result leans on it")
    base = level if level is not None else min(pilot.a, pilot.b) if pilot is not None else math.nan
    chosen = classes if classes is not None else labels
    return Model(base, base, *own, same, across), chosen


def _told(
    model: Model, difference: float | None, metric: str, labels: int, between: bool, alpha: float, comparisons: int
) -> str:
    level = f"{model.b:.3f}" + (f" and {model.a:.3f}" if difference is not None else "")
    together = "" if between else f", {model.same_item:.2f} between systems on one item"
    family = f", Holm over {comparisons} comparisons" if comparisons > 1 else ""
    test = "the interval of the gap between two groups of speakers" if between else "the permutation test over speakers"
    icc = f"{model.a_icc:.2f}" if model.a_icc == model.b_icc else f"{model.a_icc:.2f} and {model.b_icc:.2f}"
    return (
        f"{metric} {level}, {labels} labels; latent correlations: {icc} within a speaker{together};"
        f" {test}, alpha {alpha:g}{family}"
    )


def _write(output: Path | None, table: pl.DataFrame) -> tuple[Path, ...]:
    if output is None:
        return ()
    if output.suffix == ".parquet":
        runs.write_table(output, table)
    else:
        runs.write_text(output, table.write_csv())
    return (output,)
