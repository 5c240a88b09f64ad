"""What a report is made of: the tables of one run directory, joined and ready to be shown."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from sibboleth.errors import SibbolethError
from sibboleth.report import significance, wording
from sibboleth.runs import RunDirectory
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Kind

SCORE_COLUMNS = ("estimate", "low", "high", "n", "clusters")


@dataclass(frozen=True)
class Score:
    """One number with its uncertainty and where it comes from."""

    encoder: str
    regime: str
    source: str
    domain: str
    run: str
    rater: str
    estimate: float
    low: float
    high: float
    n: int
    clusters: int

    def __str__(self) -> str:
        """Write 0.61 [0.52, 0.69]."""
        return wording.estimate(self.estimate, self.low, self.high)

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target domain."""
        return self.source, self.domain

    @property
    def name(self) -> str:
        """Write de → nl, on one line; nl where it trained itself."""
        if self.source == self.domain:
            return self.domain
        return f"{self.source}\N{NO-BREAK SPACE}\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}{self.domain}"


@dataclass(frozen=True)
class Encoder:
    """One encoder as the page shows it."""

    name: str
    short: str
    control: bool
    layers: int
    fine_tuned: bool = False

    @property
    def title(self) -> str:
        """Short name, with what must be known to read its scores."""
        marks = [text for mark, text in ((self.control, "control"), (self.fine_tuned, "fine-tuned")) if mark]
        return f"{self.short} ({', '.join(marks)})" if marks else self.short


@dataclass(frozen=True)
class Results:
    """The record and the tables of one run."""

    run: RunDirectory
    record: dict[str, Any]
    scores: pl.DataFrame
    """scores.parquet beside encoder, control, regime, source and domain of its run."""
    utterances: pl.DataFrame
    comparisons: pl.DataFrame
    """comparisons.parquet beside `p_floor`, `p_holm_floor` and `family_size`."""
    selection: pl.DataFrame
    findings: list[dict[str, Any]]

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
        """What dev chooses for a probe."""
        return "layer and epoch" if self.settings("probe").get("kind") == "mlp" else "layer and penalty"

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
        return wording.regime(regime, self.choices, str(self.settings("splits").get("scheme", "")))

    @cached_property
    def domains(self) -> list[str]:
        """Values of the domain, in the order of the record."""
        known = [str(domain) for domain in self.record.get("domains") or []]
        seen = set(self.scores["source"].drop_nulls()) | set(self.scores["domain"].drop_nulls())
        return known + sorted(seen - set(known))

    @cached_property
    def regimes(self) -> list[str]:
        """Regimes that have scores, in the order of the design."""
        seen = set(self.scores["regime"].drop_nulls())
        return [r for r in wording.ORDER if r in seen] + sorted(seen - set(wording.ORDER))

    @cached_property
    def encoders(self) -> list[Encoder]:
        """Encoders that have scores: checkpoints in the order of the record, then controls."""
        rows = {name: bool(c) for name, c in self.scores.select("encoder", "control").unique().iter_rows() if name}
        depth = {str(e["name"]): int(e.get("layers") or 1) for e in self.record.get("encoders") or []}
        order = [name for name in depth if name in rows] + sorted(set(rows) - set(depth))
        short = wording.short_names(order)
        tuned = {str(e["name"]) for e in self.record.get("encoders") or [] if e.get("fine_tuned")}
        encoders = [Encoder(name, short[name], rows[name], depth.get(name, 1), name in tuned) for name in order]
        return sorted(encoders, key=lambda e: e.control)

    def short(self, encoder: str) -> str:
        """Name of an encoder in figures."""
        return next((e.short for e in self.encoders if e.name == encoder), encoder)

    @cached_property
    def main(self) -> list[Score]:
        """The main metric over everything, one score for each encoder, regime and pair of domains."""
        return self.headline(self.metric, "all")

    def headline(self, metric: str, part: str) -> list[Score]:
        """Scores of a metric and slice by the rater that answers for its run."""
        return _scores(self.scores.filter((pl.col("metric") == metric) & (pl.col("slice") == part) & pl.col("leads")))

    def where(self, encoder: str, regime: str) -> list[Score]:
        """Main scores of one encoder and regime, in the order of the domains."""
        found = [s for s in self.main if s.encoder == encoder and s.regime == regime]
        return sorted(found, key=lambda s: (self.domains.index(s.source), self.domains.index(s.domain)))

    def pairs(self, regime: str) -> list[tuple[str, str]]:
        """Ordered pairs of source and target domain that a regime has scores for."""
        seen = {s.pair for s in self.main if s.regime == regime}
        return sorted(seen, key=lambda p: (self.domains.index(p[0]), self.domains.index(p[1])))

    def compared(self, a: Score, b: Score) -> dict[str, Any] | None:
        """Find the paired comparison of two main scores, turned so that the difference is a - b."""
        for row in self._main_comparisons:
            there = ((row["a_run"], row["a_rater"]), (row["b_run"], row["b_rater"]))
            if there == ((a.run, a.rater), (b.run, b.rater)):
                return row
            if there == ((b.run, b.rater), (a.run, a.rater)):
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
    def _main_comparisons(self) -> list[dict[str, Any]]:
        wanted = (pl.col("metric") == self.metric) & (pl.col("slice") == "all")
        return self.comparisons.filter(wanted).to_dicts()


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
    scores = run.table("scores").join(run.table("cells"), on="run", how="left")
    references = set(scores["reference"].drop_nulls())
    if "corpus" in references and len(references) > 1:
        scores = scores.filter(pl.col("reference") == "corpus")
    scores = scores.filter(pl.col("target") == record["target"]["name"])
    if scores.is_empty():
        raise SibbolethError(f"{run / 'scores.parquet'}: has no scores of the target {record['target']['name']!r}")
    return Results(
        run=run,
        record=record,
        scores=_leading(scores),
        utterances=run.table("utterances"),
        comparisons=significance.with_floors(_optional(run, "comparisons", COMPARISON_COLUMNS), _resamples(record)),
        selection=_optional(run, "selection", SELECTION_COLUMNS),
        findings=_findings(run),
    )


COMPARISON_COLUMNS = (
    *("family", "a_run", "a_rater", "b_run", "b_rater", "metric", "slice"),
    *("difference", "low", "high", "p", "p_holm", "n", "clusters"),
)
SELECTION_COLUMNS = ("run", "rater", "fold", "trial", "layer", "dev")


def _optional(run: RunDirectory, name: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """Read a table that a run without probes or comparisons does not have."""
    if not (run / f"{name}.parquet").exists():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return run.table(name)


def _findings(run: RunDirectory) -> list[dict[str, Any]]:
    file = run / "audit.json"
    if not file.exists():
        return []
    try:
        findings: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
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
    fields = ("encoder", "regime", "source", "domain", "run", "rater")
    numbers = [pl.col(c).fill_null(float("nan")) for c in ("estimate", "low", "high")]
    counts = [pl.col(c).fill_null(0) for c in ("n", "clusters")]
    rows = frame.select(*(pl.col(f).fill_null("") for f in fields), *numbers, *counts)
    return [Score(*row) for row in rows.iter_rows()]
