"""What a report is made of: the tables of one run directory, joined and ready to be shown."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from sibboleth.errors import SibbolethError
from sibboleth.report import significance, systems, wording
from sibboleth.report.systems import PLUS, Score, System
from sibboleth.runs import RunDirectory
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Kind

SCORE_COLUMNS = ("estimate", "low", "high", "n", "clusters")


CELLS = {"method": pl.String, "tuned": pl.Boolean, "alignment": pl.String, "shots": pl.Int32, "seconds": pl.Float64}
"""What cells.parquet says of methods; the answers of other tools have none of it."""


@dataclass(frozen=True)
class Results:
    """The record and the tables of one run."""

    run: RunDirectory
    record: dict[str, Any]
    scores: pl.DataFrame
    """scores.parquet beside system, encoder, method, control, regime, source and domain of its run."""
    aligned: pl.DataFrame
    """The same of runs whose features were aligned to the target domain; no other section shows them."""
    utterances: pl.DataFrame
    comparisons: pl.DataFrame
    """comparisons.parquet and baseline-comparisons.parquet beside `p_floor`, `p_holm_floor` and `family_size`."""
    selection: pl.DataFrame
    findings: list[dict[str, Any]]
    costs: pl.DataFrame
    """methods.parquet beside its system; empty where nothing was fine-tuned."""
    learning: pl.DataFrame
    """learning.parquet beside its system; empty where nothing was fine-tuned."""

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.record["name"])

    @property
    def target(self) -> str:
        """Name of the target."""
        return str(self.record["target"]["name"])

    @property
    def kind(self) -> Kind:
        """Kind of the target."""
        kind: Kind = self.record["target"]["kind"]
        return kind

    @property
    def labels(self) -> list[str]:
        """Labels in the order of figures; empty for numbers and transcripts."""
        return list(self.record["target"].get("labels") or [])

    @property
    def metric(self) -> str:
        """The metric that the answer is given in."""
        return str(self.record["main_metric"])

    @property
    def better(self) -> int:
        """1 where a higher value is better, else -1."""
        return 1 if wording.higher_is_better(self.metric) else -1

    @property
    def chance(self) -> float | None:
        """What guessing reaches in the main metric, where that is known."""
        chance = self.record.get("chance")
        return None if chance is None else float(chance)

    @property
    def soft(self) -> bool:
        """Whether the labels are weights instead of one for each utterance."""
        return bool(self.record.get("soft"))

    @property
    def ceiling(self) -> float | None:
        """The best that any answers could reach in the main metric over all utterances, where labels are soft."""
        ceiling = self.record.get("ceiling")
        return float(ceiling) if self.soft and ceiling is not None else None

    @property
    def why_no_chance(self) -> str:
        """Sentence that says why a classification has no chance level; empty where it has one."""
        if self.chance is not None or self.kind != "classification":
            return ""
        return (
            f"No chance level is shown: the {wording.plural(self.domain)} differ in which labels they have, "
            f"so guessing does not reach the same {wording.metric(self.metric)} in each."
        )

    @property
    def choices(self) -> str:
        """What dev chooses for a probe, and for a method where there are any."""
        chosen = {"mlp": "layer and epoch", "frames": "layer, epoch and decoder"}
        probe = chosen.get(str(self.settings("probe").get("kind")), "layer and penalty")
        return f"{probe} (of fine-tuning the epoch)" if self.tuned else probe

    @property
    def unit(self) -> str:
        """What a line of a table stands for: a system where there are methods, else an encoder."""
        return "system" if self.tuned else "encoder"

    @cached_property
    def tuned(self) -> list[System]:
        """Systems that were fine-tuned."""
        return [one for one in self.systems if one.method]

    @property
    def resamples(self) -> int:
        """How often speakers were resampled, and signs flipped."""
        return _resamples(self.record)

    @property
    def domain(self) -> str:
        """Name of the column whose values are compared."""
        return str(self.record.get("domain") or "domain")

    @property
    def confidence(self) -> float:
        """Coverage that the intervals aim at."""
        return float(self.settings("statistics").get("confidence", 0.95))

    def settings(self, group: str) -> dict[str, Any]:
        """One group of the study's settings, empty where the record has none."""
        return _settings(self.record, group)

    def explained(self, regime: str) -> str:
        """Say what a regime is in this study; empty for one that is not known."""
        splits = self.settings("splits")
        alike = not splits.get("schemes") and splits.get("dev_unit", "speaker") == "speaker"
        return wording.regime(regime, self.choices, str(splits.get("scheme", "")) if alike else "")

    @cached_property
    def domains(self) -> list[str]:
        """Values of the domain, in the order of the record."""
        known = [str(domain) for domain in self.record.get("domains") or []]
        seen = set(self.scores["source"].drop_nulls()) | set(self.scores["domain"].drop_nulls())
        return known + sorted(seen - set(known))

    @cached_property
    def regimes(self) -> list[str]:
        """Regimes that have scores, in the order of the design, without the many of few-shot and of budgets."""
        whole = pl.col("shots").is_null() & pl.col("seconds").is_null()
        seen = set(self.scores.filter(whole)["regime"].drop_nulls())
        return [r for r in wording.ORDER if r in seen] + sorted(seen - set(wording.ORDER))

    @cached_property
    def few_shot(self) -> dict[str, int]:
        """Few-shot regimes that have scores, with their shots, from few to many."""
        rows = self.scores.filter(pl.col("shots").is_not_null()).select("regime", "shots").unique()
        return dict(rows.sort("shots").iter_rows())

    @cached_property
    def budgets(self) -> dict[str, dict[str, float]]:
        """Budgeted regimes with their seconds, from few to many, by the regime whose training was cut."""
        rows = self.scores.filter(pl.col("seconds").is_not_null()).select("regime", "seconds").unique().sort("seconds")
        found: dict[str, dict[str, float]] = {}
        for regime, seconds in rows.iter_rows():
            found.setdefault(regime.partition("(")[0], {})[regime] = seconds
        return {regime: found[regime] for regime in self.regimes if regime in found}

    @property
    def every_regime(self) -> list[str]:
        """All regimes that have scores, those of few-shot and of budgets last."""
        return [*self.regimes, *self.few_shot, *(regime for several in self.budgets.values() for regime in several)]

    @cached_property
    def rungs(self) -> list[str]:
        """Regimes in the order of what they know of the target; few-shot with the most shots stands for all of it."""
        few = list(self.few_shot)[-1:]
        last = [r for r in ("two-stage", "within") if r in self.regimes]
        return [r for r in self.regimes if r not in last] + few + last

    @cached_property
    def systems(self) -> list[System]:
        """Systems that have scores: checkpoints in the order of the record, each with its methods, then controls."""
        rows = self.scores.filter(pl.col("system").is_not_null())
        rows = rows.select("system", "encoder", "method", "tuned", "control").unique()
        methods = [str(one["name"]) for one in (self.record.get("study") or {}).get("methods") or []]
        return systems.ordered(rows.to_dicts(), self.record.get("encoders") or [], methods)

    def system(self, name: str) -> System | None:
        """Find a system by its name."""
        return next((one for one in self.systems if one.name == name), None)

    def short(self, system: str) -> str:
        """Name of a system in figures."""
        return next((one.short for one in self.systems if one.name == system), system)

    @cached_property
    def main(self) -> list[Score]:
        """The main metric over everything, one score for each system, regime and pair of domains."""
        return self.headline(self.metric, "all")

    def headline(self, metric: str, part: str) -> list[Score]:
        """Scores of a metric and slice by the rater that answers for its run."""
        return _scores(self.scores.filter((pl.col("metric") == metric) & (pl.col("slice") == part) & pl.col("leads")))

    def where(self, system: str, regime: str) -> list[Score]:
        """Main scores of one system and regime, in the order of the domains."""
        return self._placed.get((system, regime), [])

    def pairs(self, regime: str) -> list[tuple[str, str]]:
        """Ordered pairs of source and target domain that a regime has scores for."""
        seen = {s.pair for s in self.main if s.regime == regime}
        return sorted(seen, key=lambda p: (self.domains.index(p[0]), self.domains.index(p[1])))

    def compared(self, a: Score, b: Score) -> dict[str, Any] | None:
        """Find the paired comparison of two main scores, turned so that the difference is a - b."""
        one, other = (a.run, a.rater), (b.run, b.rater)
        if (row := self._main_comparisons.get((one, other))) is not None:
            return row
        if (row := self._main_comparisons.get((other, one))) is not None:
            return {**row, "difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
        return None

    @cached_property
    def chosen(self) -> pl.DataFrame:
        """Layers that dev chose, `run, layer, folds` (folds and trials together), the most frequent first."""
        if "selected" in self.selection.columns:
            picked = self.selection.filter(pl.col("selected"))
        else:
            picked = self.selection.filter(pl.col("rater") == "selected")
        layers = picked.filter(pl.col("layer").is_not_null()).with_columns(pl.col("layer").cast(pl.Int64))
        counted = layers.group_by("run", "layer").agg(pl.len().alias("folds"))
        return counted.sort("run", "folds", "layer", descending=[False, True, False])

    @cached_property
    def _placed(self) -> dict[tuple[str, str], list[Score]]:
        """Main scores by system and regime."""
        found: dict[tuple[str, str], list[Score]] = {}
        for score in sorted(self.main, key=lambda s: (self.domains.index(s.source), self.domains.index(s.domain))):
            found.setdefault((score.system, score.regime), []).append(score)
        return found

    @cached_property
    def _main_comparisons(self) -> dict[tuple[tuple[str, str], tuple[str, str]], dict[str, Any]]:
        wanted = (pl.col("metric") == self.metric) & (pl.col("slice") == "all")
        rows = self.comparisons.filter(wanted).to_dicts()
        return {((row["a_run"], row["a_rater"]), (row["b_run"], row["b_rater"])): row for row in reversed(rows)}


def _settings(record: dict[str, Any], group: str) -> dict[str, Any]:
    return dict((record.get("study") or {}).get(group) or {})


def _resamples(record: dict[str, Any]) -> int:
    return int(_settings(record, "statistics").get("resamples", StatisticsSettings().resamples))


def load(run: RunDirectory) -> Results:
    """Read everything a report needs; raises `SibbolethError` where the run has no scores yet."""
    record = run.read()
    for field in ("name", "target", "main_metric"):
        if field not in record:
            raise SibbolethError(f"{run / 'run.json'}: {field!r} is missing; run the same command again")
    scores = run.table("scores").join(_cells(run), on="run", how="left")
    references = set(scores["reference"].drop_nulls())
    if "corpus" in references and len(references) > 1:
        scores = scores.filter(pl.col("reference") == "corpus")
    scores = scores.filter(pl.col("target") == record["target"]["name"])
    if scores.is_empty():
        raise SibbolethError(f"{run / 'scores.parquet'}: has no scores of the target {record['target']['name']!r}")
    scores = _leading(scores)
    return Results(
        run=run,
        record=record,
        scores=scores.filter(pl.col("alignment").is_null()),
        aligned=scores.filter(pl.col("alignment").is_not_null()),
        utterances=run.table("utterances"),
        comparisons=significance.with_floors(_compared(run), _resamples(record)),
        selection=_optional(run, "selection", SELECTION_COLUMNS),
        findings=_findings(run),
        costs=_named(_optional(run, "methods", COST_COLUMNS)).sort("encoder", "method"),
        learning=_named(_optional(run, "learning", LEARNING_COLUMNS)),
    )


COMPARISON_COLUMNS = (
    *("family", "a_run", "a_rater", "b_run", "b_rater", "metric", "slice"),
    *("difference", "low", "high", "p", "p_holm", "n", "clusters"),
)
SELECTION_COLUMNS = ("run", "rater", "fold", "trial", "layer", "dev")
COST_COLUMNS = (
    *("encoder", "method", "kept", "lowest", "trained", "total", "parts", "matched"),
    *("fits", "epochs", "seconds", "seconds_per_epoch", "memory", "device", "bits"),
)
LEARNING_COLUMNS = ("encoder", "method", "source", "then", "stage", "epoch", "loss", "dev_loss", "selected")


def _cells(run: RunDirectory) -> pl.DataFrame:
    """Read what each run stands for, with the name of its system."""
    cells = run.table("cells")
    cells = cells.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in CELLS.items() if name not in cells.columns
    )
    tuned = pl.col("tuned").fill_null(False)
    return cells.with_columns(
        tuned,
        pl.when(tuned).then(pl.concat_str("encoder", "method", separator=PLUS)).otherwise("encoder").alias("system"),
    )


def _named(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.concat_str("encoder", "method", separator=PLUS).alias("system"))


def _optional(run: RunDirectory, name: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """Read a table that a run without probes or comparisons does not have."""
    if not (run / f"{name}.parquet").exists():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return run.table(name)


def _compared(run: RunDirectory) -> pl.DataFrame:
    """Read paired comparisons, those with baselines of segments last."""
    found = _optional(run, "comparisons", COMPARISON_COLUMNS)
    if not (run / "baseline-comparisons.parquet").exists():
        return found
    beside = run.table("baseline-comparisons")
    return pl.concat([found, beside], how="diagonal_relaxed") if len(found) else beside


def _findings(run: RunDirectory) -> list[dict[str, Any]]:
    file = run / "audit.json"
    if not file.exists():
        return []
    try:
        findings: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SibbolethError(f"{file}: cannot be read ({error})") from None
    grades = ("error", "warning", "note")
    return sorted(findings, key=lambda f: grades.index(f["grade"]) if f["grade"] in grades else len(grades))


def _leading(scores: pl.DataFrame) -> pl.DataFrame:
    """Mark the rater that answers for its run: what dev selected, else the mix, else the run's only rater."""
    raters = scores.select("run", "rater").unique().with_columns(pl.len().over("run").alias("raters"))
    rank = pl.when(pl.col("rater") == "selected").then(0).when(pl.col("rater") == "mix").then(1).otherwise(2)
    ranked = raters.with_columns(rank.alias("rank")).filter((pl.col("rank") < 2) | (pl.col("raters") == 1))
    first = ranked.sort("rank", "rater").unique("run", keep="first").select("run", "rater", leads=True)
    return scores.join(first, on=["run", "rater"], how="left").with_columns(pl.col("leads").fill_null(False))


def _scores(frame: pl.DataFrame) -> list[Score]:
    fields = ("system", "regime", "source", "domain", "run", "rater")
    numbers = [pl.col(c).fill_null(float("nan")) for c in ("estimate", "low", "high")]
    counts = [pl.col(c).fill_null(0) for c in ("n", "clusters")]
    rows = frame.select(*(pl.col(f).fill_null("") for f in fields), *numbers, *counts)
    return [Score(*row) for row in rows.iter_rows()]
