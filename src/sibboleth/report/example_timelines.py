"""Timelines of a run: utterances most wrong and typical ones, what models and people say above one another."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import scores
from sibboleth.report import examples, timelines, wording
from sibboleth.report.examples import EMBED_LIMIT, Players
from sibboleth.report.results import Results
from sibboleth.report.segmentation import asked, read
from sibboleth.report.timelines import Row, Timeline

MOST_MODELS = 6
"""Rows of models under each utterance."""
MOST_PEOPLE = 4
COLUMNS = 500
"""Columns of a waveform, which keeps the page small."""
TYPICAL = 3
"""One utterance of so many is a typical one."""


@dataclass(frozen=True)
class Block:
    """What the page shows."""

    worst: tuple[Timeline, ...]
    typical: tuple[Timeline, ...]
    colours: dict[str, str]
    embedded: int
    """Recordings that the page carries."""
    left_out: int
    """Systems under a regime that have no row."""
    people: str
    """Who else answered; empty where nobody did."""

    @property
    def every(self) -> tuple[Timeline, ...]:
        """All timelines."""
        return (*self.worst, *self.typical)


def block(results: Results, most: int, players: Players) -> Block | None:
    """Choose utterances and draw their timelines; None for other targets, or where nothing was answered."""
    if results.kind != "segmentation" or most <= 0:
        return None
    given, truth = examples.answered(results)
    if given.is_empty() or truth.is_empty():
        return None
    target = asked(results)
    models = given.filter(~pl.col("control"))
    ranked = scores.worst(models if models.height else given, truth, target)
    drawing = _Drawing(results, given, truth, players)
    worst, typical = _chosen(ranked, most, drawing.heard)
    drawn = {name: drawing.timeline(name) for name in (*worst, *typical)}
    return Block(
        worst=tuple(drawn[name] for name in worst),
        typical=tuple(drawn[name] for name in typical),
        colours=timelines.colours(results.labels),
        embedded=sum(one.audio.startswith("data:") for one in drawn.values()),
        left_out=drawing.left_out,
        people=drawing.word if drawing.people.height else "",
    )


def _chosen(ranked: pl.DataFrame, most: int, heard: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the utterances most wrong, and those whose error is nearest to the median of all.

    At least half of either are of those that people heard, where there are so many.
    """
    known = ranked.filter(pl.col("error").is_not_null())
    wrong = _first(known.filter(pl.col("wrong") > 0)["utterance"].to_list(), max(1, most - most // TYPICAL), heard)
    rest = known.filter(~pl.col("utterance").is_in(wrong))
    near = rest.with_columns((pl.col("error") - known["error"].median()).abs().alias("far")).sort("far", "utterance")
    return wrong, _first(near["utterance"].to_list(), most // TYPICAL, heard)


def _first(names: list[str], most: int, heard: Collection[str]) -> list[str]:
    """Return the first of names, in their order, half of them or more of those heard."""
    kept = [name for name in names if name in heard][: (most + 1) // 2]
    others = [name for name in names if name not in set(kept)][: most - len(kept)]
    return sorted([*kept, *others], key=names.index)


class _Drawing:
    """Timelines of one run, and how many bytes of audio they have taken."""

    def __init__(self, results: Results, given: pl.DataFrame, truth: pl.DataFrame, players: Players) -> None:
        self.results, self.truth, self.players = results, truth, players
        self.target = asked(results)
        listeners = read(results, "listeners")
        self.people = listeners.filter(pl.col("target") == results.target) if listeners.height else listeners
        simulated = self.people.height > 0 and bool((self.people["source"] == "simulated").any())
        self.word = "simulated listener" if simulated else "person"
        self.heard = set(self.people["utterance"]) if self.people.height else set()
        self.rows = {row["utterance"]: row for row in results.utterances.to_dicts()}
        self.left = EMBED_LIMIT
        self.shown = _shown(results, given)
        every = given.select("system", "regime").n_unique()
        self.left_out = max(every - self.shown.select("system", "regime").n_unique(), 0)
        first = pl.col("trial") == pl.col("trial").min().over("run", "rater", "utterance")
        self.given = given.filter(first).join(self.shown.select("run", "name", "place"), on="run")

    def timeline(self, utterance: str) -> Timeline:
        """Put reference, models and people of one utterance above one another."""
        row = self.rows.get(utterance, {"utterance": utterance})
        true = self.truth.filter(pl.col("utterance") == utterance)
        judged = true.filter(pl.col("label").is_null())["end"].to_list()
        seconds = float(max([end for end in judged if end is not None], default=row.get("seconds") or 0.0))
        address, size = examples.player(row, self.players, self.results.run.path, self.left)
        self.left -= size
        said = [
            Row("reference", self._segments(true), reference=True),
            *self._models(utterance),
            *self._people(utterance),
        ]
        outline = self._outline(row)
        return Timeline(utterance, seconds, address, outline, tuple(said), examples.facts(row, self.results))

    def _outline(self, row: dict[str, Any]) -> tuple[float, ...]:
        if not row.get("audio"):
            return ()
        return timelines.peaks(Path(str(row["audio"])), row.get("start"), row.get("end"), COLUMNS)

    def _segments(self, rows: pl.DataFrame) -> tuple[timelines.Segment, ...]:
        quiet = [label for label in self.target.background if label not in self.target.labels]
        told = rows.filter(pl.col("label").is_not_null() & ~pl.col("label").is_in(quiet)).sort("start", "end", "label")
        return tuple(told.select(pl.col("start").fill_null(0.0), "end", "label").drop_nulls().iter_rows())

    def _models(self, utterance: str) -> Iterator[Row]:
        mine = self.given.filter(pl.col("utterance") == utterance).sort("place")
        for (name,), rows in mine.group_by("name", maintain_order=True):
            yield self._row(str(name), rows)

    def _people(self, utterance: str) -> Iterator[Row]:
        if self.people.is_empty():
            return
        mine = self.people.filter(pl.col("utterance") == utterance)
        mine = mine.filter(pl.col("trial") == pl.col("trial").min().over("run", "rater")).sort("run", "rater")
        for (_, rater), rows in list(mine.group_by("run", "rater", maintain_order=True))[:MOST_PEOPLE]:
            yield self._row(f"{self.word} {str(rater).removeprefix('simulated-')}", rows)

    def _row(self, name: str, rows: pl.DataFrame) -> Row:
        judged = scores.judge(rows.drop(set(rows.columns) - set(self.truth.columns)), self.truth, self.target)
        wrong, size = float(judged["error"].sum()), float(judged["size"].sum())
        return Row(name, self._segments(rows), wording.number(wrong / size) if size > 0 else "")


def _shown(results: Results, given: pl.DataFrame) -> pl.DataFrame:
    """Return the runs that have a row, `run, system, regime, name, place`.

    Models come before controls; of the sources that answered a domain only the first has a row.
    """
    runs = results.scores.filter(pl.col("leads")).select("run", "system", "regime", "source", "domain").unique()
    known = runs.join(given.select("run").unique(), on="run").to_dicts()
    order = [(system, regime) for system in results.systems for regime in results.regimes][:MOST_MODELS]
    found = []
    for place, (system, regime) in enumerate(order):
        mine = [row for row in known if row["system"] == system.name and row["regime"] == regime]
        mine.sort(key=lambda row: results.domains.index(row["source"]))
        for domain in results.domains:
            first = next((row for row in mine if row["domain"] == domain), None)
            if first is not None:
                tail = "" if first["source"] == domain else f" from {first['source']}"
                found.append((first["run"], system.name, regime, f"{system.short}, {regime}{tail}", place))
    schema = {"run": pl.String, "system": pl.String, "regime": pl.String, "name": pl.String, "place": pl.Int64}
    return pl.DataFrame(found, schema=schema, orient="row")
