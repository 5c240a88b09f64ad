"""For whom recognisers err: each group's WER with its ratios, what is said of it, and what few speakers forbid."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from sibboleth.report import plots, sections, slices, wording
from sibboleth.report.results import Results
from sibboleth.report.sections import Section

FEWEST_SPEAKERS = 6
"""In fewer speakers the variance between them, which intervals and p are made of, is itself hardly known."""
EACH = "each its own"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Whom:
    """Rows of the tables of transcripts, beside the system, regime and pair of domains of each."""

    results: Results

    def read(self, name: str) -> pl.DataFrame:
        """Read a table of the run; empty where it has none."""
        known = self.results.run / f"{name}.parquet"
        return self.results.run.table(name) if known.exists() else pl.DataFrame()

    @cached_property
    def places(self) -> dict[str, tuple[str, str, str]]:
        """System, regime and what trained and was tested, by run; those of several domains have a name of their own."""
        columns = ("run", "system", "encoder", "method", "regime", "source", "domain")
        rows = self.results.scores.filter(pl.col("system").is_not_null()).select(columns).unique()
        order = {one.name: k for k, one in enumerate(self.results.systems)}
        found: dict[str, tuple[str, str, str]] = {}
        for run, system, encoder, method, regime, source, domain in sorted(
            rows.iter_rows(), key=lambda row: (order[row[1]], wording.place(row[4]), *row[5:])
        ):
            found[run] = (system, regime, sections.pair_title(source, domain))
            for trained, tested in ((source, f"{source} \N{RIGHTWARDS ARROW} all"), ("*", EACH)):
                found.setdefault(f"{encoder}/{method}/{regime}/{trained}>*", (system, regime, tested))
        return found

    def place(self, run: str) -> int:
        """Rank a run as the page does: systems in their order, regimes within them."""
        return list(self.places).index(run) if run in self.places else len(self.places)

    def named(self, run: str) -> tuple[str, str]:
        """Name a system, and what trained and was tested under which regime."""
        system, regime, pair = self.places.get(run, (run, "", ""))
        return self.results.short(system), f"{regime} {pair}".strip()

    @cached_property
    def groups(self) -> list[dict[str, Any]]:
        """Counts of words of each group, with its WER, its ratios to the best and its place on the page."""
        counts = self.read("counts")
        if counts.is_empty():
            return []
        rates, ratios = self._rates(), self._ratios()
        rows = []
        for row in counts.filter(pl.col("slice") != "all", unit="word").to_dicts():
            column, (group, *_) = parted(row["slice"])
            key = (row["run"], column, group)
            rows.append({**row, "column": column, "group": group, **rates.get(key, {}), **ratios.get(key, {})})
        sizes = Counter((row["run"], row["column"]) for row in rows)
        kept = [row for row in rows if sizes[row["run"], row["column"]] > 1]
        return sorted(kept, key=lambda row: (self._column(row), self.place(row["run"]), _rate(row), row["group"]))

    def _column(self, row: Row) -> tuple[int, str]:
        asked = list(self.results.settings("statistics").get("slices") or [])
        return (asked.index(row["column"]) if row["column"] in asked else len(asked), row["column"])

    @cached_property
    def scores(self) -> pl.DataFrame:
        """Scores of slices by leading raters, and those over several domains."""
        names = ["run", "metric", "slice", "estimate", "low", "high", "clusters"]
        own = self.results.scores.filter(pl.col("leads")).select(names)
        pooled = self.read("group-scores")
        return own if pooled.is_empty() else pl.concat([own, pooled.select(names)])

    def _rates(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Find WER, and its ratio to the best group's, by run, column and group."""
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for row in self.scores.filter(pl.col("metric").is_in(["wer", "wer_ratio"])).to_dicts():
            column, groups = parted(row["slice"])
            end = "wer" if row["metric"] == "wer" else "resampled"
            numbers = {end: row["estimate"], f"{end}_low": row["low"], f"{end}_high": row["high"]}
            found.setdefault((row["run"], column, groups[0]), {}).update(numbers)
        return found

    def _ratios(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Find the regression's ratio to the best group's rate, by run, column and group."""
        names = ("against", "ratio", "p", "p_holm", "against_clusters")
        numbers = {"ratio_low": "low", "ratio_high": "high"}
        rows = self.read("rate-ratios").filter("best", metric="wer").to_dicts()
        return {
            (row["run"], row["column"], row["group"]): {name: row[name] for name in names}
            | {name: row[old] for name, old in numbers.items()}
            for row in rows
        }


def parted(part: str) -> tuple[str, list[str]]:
    """Take a slice such as `accent=be,accent=nl` apart: the column, and its values."""
    column, _, rest = part.partition("=")
    return column, rest.split(f",{column}=")


def _rate(row: Row) -> float:
    rate = row.get("wer")
    return float(rate) if rate is not None and math.isfinite(rate) else math.inf


def by_domain(results: Results) -> Section:
    """Draw WER by the domain tested, where the domain is what speakers are grouped by: a panel for each training."""
    whom = Whom(results)
    rows = whom.read("group-scores")
    if rows.is_empty():
        return Section()
    system, trained = ({run: place[k] for run, place in whom.places.items()} for k in (0, 2))
    rows = rows.filter(pl.col("metric") == results.metric).with_columns(
        pl.col("run").replace_strict(system).alias("system"),
        pl.col("run").replace_strict(trained).alias("trained"),
        pl.col("slice").str.splitn("=", 2).struct.field("field_1").alias("value"),
        pl.col("estimate", "low", "high").fill_nan(None),
    )
    bounds = sections.bounds(rows, None)
    values = [one for one in results.domains if one in set(rows["value"])]
    panels = [
        slices.panel(results, rows.filter(trained=trained), trained, results.metric, values, bounds, None)
        for trained in rows["trained"].unique().sort()
    ]
    group = sections.drawn(
        panels,
        "errors-by-domain",
        f"{wording.metric(results.metric)} by {results.domain}, of what each training answers",
        f"Dots are estimates, lines {results.confidence:.0%} intervals over speakers. At home a recogniser is tested "
        "on speakers that it never heard, as everywhere else.",
        f"group-scores.parquet: metric {results.metric}",
        plots.legend(results.systems, None, shown=set(rows["system"]), dots=True),
        fold=len(panels) > sections.OPEN_PANELS,
    )
    return Section((group,))


def told(results: Results) -> list[str]:
    """Say for each system and column which group has the most errors, how many times as many as the best has.

    A group of which nothing can be said, such as a single speaker, is named only where there is no other.
    """
    whom = Whom(results)
    worst: dict[tuple[str, str], Row] = {}
    for row in whom.groups:  # the best first
        key = (row["run"], row["column"])
        if "ratio" in row and (_tested(row) or not _tested(worst.get(key, {}))):
            worst[key] = row
    controls = {one.name for one in results.systems if one.control}
    plain = [row for row in worst.values() if whom.places.get(row["run"], ("",))[0] not in controls]
    return [_sentence(whom, row) for row in plain or worst.values()]


def _sizes(row: Row) -> tuple[tuple[str, int], tuple[str, int]]:
    return (row["group"], row["clusters"]), (row["against"], row["against_clusters"])


def _tested(row: Row) -> bool:
    p = row.get("p_holm")
    return p is not None and math.isfinite(p)


def _sentence(whom: Whom, row: Row) -> str:
    system, where = whom.named(row["run"])
    times = wording.estimate(row["ratio"], row["ratio_low"], row["ratio_high"])
    if times == wording.MISSING:
        rate = wording.number(row.get("wer"))
        return f"{system}, {where}: WER {rate} for {row['group']}, {row['against']} without error."
    said = f"{system}, {where}: {times} times as many errors per word for {row['group']} as for {row['against']}"
    if not _tested(row):
        lone = [group for group, size in _sizes(row) if size < 2]
        why = f"{wording.listing(lone)} {'is one voice' if len(lone) == 1 else 'are one voice each'}"
        return f"{said}; {why if lone else 'the speakers of one of the two all err alike'}."
    return f"{said} (p {wording.p_value(row['p_holm'])} after Holm)."


def cautions(results: Results) -> list[str]:
    """Say what the number of speakers of each group cannot support."""
    speakers: dict[str, dict[str, int]] = {}
    groups = Whom(results).groups
    for row in groups:
        known = speakers.setdefault(row["column"], {})
        known[row["group"]] = max(known.get(row["group"], 0), row["clusters"])
    found = [text for column, sizes in speakers.items() for text in _alone(column, sizes)]
    if few := [text for column, sizes in speakers.items() for text in _few(column, sizes)]:
        found.append(
            f"Groups of fewer than {FEWEST_SPEAKERS} speakers: {'; '.join(few)}. The regression's standard error is "
            "made from the spread between speakers, which so few do not show: do not trust its interval and p as "
            "evidence about others, whichever way they point."
        )
    small = [row for row in groups if row["clusters"] < FEWEST_SPEAKERS]
    if any(row.get("wer_low") == row.get("wer_high") for row in small):
        found.append("An interval without any width is of speakers who happen to err alike: of others it says nothing.")
    if small and Whom(results).read("words").is_empty():
        found.append(
            "No word was said five times or more, by two speakers or more, both in a group and in the others: which "
            "words a group loses cannot be told from this speech."
        )
    return found


def _alone(column: str, sizes: Mapping[str, int]) -> Iterator[str]:
    lone = [group for group, size in sizes.items() if size == 1]
    if len(lone) == len(sizes):
        yield (
            f"Every {column} here is one voice: the {column} cannot be told from the speaker, no number has an "
            f"interval, and nothing below holds for others of the same {column}. It takes more speakers of each."
        )
    elif lone:
        yield (
            f"By {column}, {wording.listing(lone)} {'is' if len(lone) == 1 else 'are each'} one voice: there is no "
            f"interval and no p, and the {column} cannot be told from the speaker."
        )


def _few(column: str, sizes: Mapping[str, int]) -> Iterator[str]:
    few = [f"{group} ({size})" for group, size in sizes.items() if 1 < size < FEWEST_SPEAKERS]
    if few:
        yield f"{column} {wording.listing(few)}"


def ungrouped(results: Results) -> list[str]:
    """Say how many utterances are in no group, for their accent, sex or what else the study slices by is unknown."""
    if results.kind != "transcription":
        return []
    asked = results.settings("statistics").get("slices") or []
    return [text for one in asked if one in results.utterances.columns for text in _unknown(results.utterances[one])]


def _unknown(values: pl.Series) -> Iterator[str]:
    unknown, known = values.null_count(), values.drop_nulls().cast(pl.String).unique().sort()
    if not unknown or known.is_empty():
        return
    text = f"The {values.name} of {unknown:,} of {wording.count(len(values), 'utterance')} is unknown"
    alone = f", and that of the others is {known[0]}: by {values.name} there is nothing to compare."
    yield text + (alone if len(known) == 1 else ": they are in no group.")
