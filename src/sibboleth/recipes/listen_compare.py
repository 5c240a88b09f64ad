"""People beside models on the command line: read, compared on the same items, shown and written as tables."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import runs, texts
from sibboleth.errors import InvalidInput
from sibboleth.foreign import outputs, reading, segmented
from sibboleth.foreign.remarks import count
from sibboleth.recipes import printing
from sibboleth.scores import people
from sibboleth.scores.people.segmented import EACH
from sibboleth.settings import checked
from sibboleth.study import StatisticsSettings
from sibboleth.targets import BACKGROUND, Kind, Target

SHOWN = 5
"""Items shown of those on which people and models part, each way."""
MAIN: dict[Kind, str] = {"classification": "uar", "regression": "ccc", "segmentation": "eder"}
LAYER = r"^layer-\d+$"
"""Raters that are one layer of many; they are left out of a run that has the layer that dev chose."""


@dataclass(frozen=True)
class Compared:
    """What came out, and how it was read."""

    target: Target
    tables: people.Tables
    notes: tuple[str, ...]
    """Everything that was guessed, left out or missing; what may mislead begins with `WARNING`."""
    output: Path | None = None

    def __rich__(self) -> RenderableType:
        """Show notes and a summary of every table; the written ones have all of it."""
        return Group(*self._shown())

    def _shown(self) -> Iterator[RenderableType]:
        for note in self.notes:
            yield Text(note, style="bold red" if note.startswith("WARNING") else "dim")
        for shown in (
            _domains(self.tables),
            _agreement(self.tables),
            _scores(self.tables, MAIN[self.target.kind]),
            _ceiling(self.tables),
            _consistency(self.tables),
            _confidence(self.tables),
            _effects(self.tables),
            *(_disputed(self.tables, who) for who in ("people", "models")),
        ):
            if shown.row_count:
                yield shown
        if self.output is not None:
            yield Text(f"written: {self.output}", style="dim")


def listen_compare(
    answers: Path,
    models: Path,
    *,
    reference: Path | None = None,
    listeners: Path | None = None,
    group: tuple[str, ...] = (),
    domain: str | None = None,
    target: str | None = None,
    speaker: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    output: Path | None = None,
) -> Compared:
    """Put people beside models on the items that people heard.

    Agreement of the people; scores of people and models, and their paired differences; how well one person tells what
    the others say (the ceiling), and models against the same crowd; whether models fail on the items that people fail
    on; whether they are unsure where people disagree; odds ratios of domains and backgrounds; and items on which
    people and models part. Speakers and people are resampled.

    Args:
        answers: what people answered: a predictions table, or a table of `utterance`, `rater` and `label`.
        models: what models answered: a predictions table, a table that `sibboleth score` reads, or the folder of a run.
        reference: file with the reference, speakers and domains by utterance, e.g. the manifest; else those of the run.
        listeners: table with a row per `rater`: columns to group by, and `excluded` or `catch_failed` (true or false);
            where some failed, everything is also told without them.
        group: columns of the listeners by which people are told apart, e.g. native.
        domain: column of the reference, e.g. dialect or language; each of its values is scored with its own labels.
        target: column of the reference that was asked about; else found by name.
        speaker: column of the speakers; else `speaker` or the like.
        resamples: resamples of speakers and people behind an interval.
        seed: seed of the resamples.
        output: folder for the tables, as CSV.

    Raises `InvalidInput` with file, row and field.
    """
    if seed < 0:
        raise InvalidInput("seed must be 0 or more")
    if group and listeners is None:
        raise InvalidInput(f"--group {group[0]}: give the table of listeners with --listeners FILE")
    if output is not None and output.is_file():
        raise InvalidInput(f"{output}: is a file; the output is a folder of tables")
    models, utterances = _run(models)
    truth = reference or utterances or models
    names = reading.Names(target=target, speaker=speaker, by=(domain,) if domain else ())
    rule = texts.named("none")
    if segmented.meant([answers, models], truth, names):
        theirs, ours = (segmented.gather([path], truth, names, BACKGROUND, 0.0) for path in (answers, models))
    else:
        theirs, ours = (reading.gather([path], truth, names, rule) for path in (answers, models))
    _require_people(answers)
    heard = theirs.answers.with_columns(pl.col("source").replace("model", "listener"))
    made = ours.answers.filter(pl.col("source") == "model")
    if made.is_empty():
        raise InvalidInput(f"{models}: no answer of a model is there; give what models answered second")
    made, dropped = _chosen(made)
    tables = people.beside(
        pl.concat([heard, made.with_columns(target=pl.lit(theirs.target.name))]),
        theirs.reference,
        theirs.target,
        clusters=theirs.clusters,
        domains=dict(theirs.slices.select("utterance", domain).drop_nulls().iter_rows()) if domain else None,
        listeners=None if listeners is None else outputs.open_file(listeners).frame,
        by=group,
        statistics=checked(StatisticsSettings, resamples=resamples),
        seed=seed,
    )
    notes = (*dict.fromkeys((*theirs.notes, *ours.notes)), *dropped, *_remarks(tables))
    if output is not None:
        _write(output, tables)
    return Compared(theirs.target, tables, notes, output)


def _require_people(answers: Path) -> None:
    """Refuse a predictions table that says itself that its answers are models'; other tables say nothing of it."""
    file = outputs.open_file(answers)
    said = set(file.frame["source"].drop_nulls()) if file.ours else set()
    if said and not said & {"listener", "simulated"}:
        raise InvalidInput(
            f"{answers}: its answers are of source {', '.join(sorted(said))}, and people's come first: "
            "`sibboleth listen compare PEOPLE MODELS`"
        )


def _run(models: Path) -> tuple[Path, Path | None]:
    """Return the predictions of a run's folder, and its utterances; of a file itself and None."""
    if not models.is_dir():
        return models, None
    return models / "predictions.parquet", models / "utterances.parquet"


def _chosen(models: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Leave out the layers of a curve where their run also has the layer that dev chose, or a mix of all."""
    layer = pl.col("rater").str.contains(LAYER)
    kept = models.filter(~(layer & (~layer).any().over("run")))
    dropped = models.select("run", "rater").n_unique() - kept.select("run", "rater").n_unique()
    return kept, (f"{count(dropped, 'single layer')} left out: their runs have a chosen one",) if dropped else ()


def _remarks(tables: people.Tables) -> Iterator[str]:
    if (tables.domains["source"] == "simulated").any():
        yield "WARNING: these listeners are simulated; nothing here is about people"
    chances = tables.domains["chance"].drop_nulls().unique()
    if len(chances) > 1:
        yield (
            "WARNING: domains have different numbers of labels, so chance differs, and with it accuracy and odds of"
            " being right; compare domains with that in mind"
        )
    if (tables.domains["people"] == 1).all() and tables.consistency.is_empty():
        yield "these are votes of people who are not known: nobody is resampled, and who fails with whom cannot be told"
    if people.ATTENTIVE in set(tables.scores["listeners"]):
        yield "some listeners failed: rows 'attentive' are without them"


def _write(output: Path, tables: people.Tables) -> None:
    for field in fields(tables):
        frame: pl.DataFrame = getattr(tables, field.name)
        if "labels" in frame.columns:
            frame = frame.with_columns(pl.col("labels").list.join("; "))
        runs.write_text(output / f"{field.name}.csv", runs.csv(frame))


def _domains(tables: people.Tables) -> Table:
    numbers = ("Items", "Speakers", "People", "Models", "Chance")
    shown = printing.table("what was heard", ("Domain", "Labels"), numbers)
    for row in tables.domains.to_dicts():
        counts = [f"{row[name]:,}" for name in ("items", "speakers", "people", "models")]
        shown.add_row(row["domain"], ", ".join(row["labels"]), *counts, printing.number(row["chance"], "{:.3f}"))
    return shown


def _place(row: dict[str, str]) -> tuple[str, str]:
    return row["domain"], row["group"] if row["listeners"] == people.ALL else f"{row['group']}, attentive"


def _agreement(tables: people.Tables) -> Table:
    coefficients = tables.agreement["coefficient"].unique(maintain_order=True).to_list()
    titles = [name.replace("_", " ").capitalize() for name in coefficients]
    shown = printing.table("agreement of people", ("Domain", "People"), (*titles, "n", "Raters"))
    keys = ["domain", "group", "listeners"]
    for _, rows in tables.agreement.group_by(keys, maintain_order=True):
        found = {row["coefficient"]: row for row in rows.to_dicts()}
        cells = [printing.interval(found[name]) if name in found else "" for name in coefficients]
        row = rows.to_dicts()[0]
        shown.add_row(*_place(row), *cells, f"{row['n']:,}", f"{row['raters']:,}")
    return shown


def _scores(tables: people.Tables, main: str) -> Table:
    title = f"{main.upper()} of people and models, and models minus people on the same items"
    shown = printing.table(title, ("Domain", "People", "Model"), (main.upper(), "Difference", "p (Holm)"))
    overall = tables.scores.filter(pl.col("metric") == main, pl.col("slice") == "all")
    models = {
        (row["listeners"], row["domain"], row["run"], row["rater"]): row
        for row in overall.filter(pl.col("group").is_null()).to_dicts()
    }
    differences = tables.differences.filter(pl.col("metric") == main, pl.col("slice") == "all")
    for row in overall.filter(pl.col("group").is_not_null()).to_dicts():
        shown.add_row(*_place(row), "", printing.interval(row), "", "")
        mine = {name: row[name] for name in ("listeners", "domain", "group")}
        for other in differences.filter(**mine).to_dicts():
            model = models[other["listeners"], other["domain"], other["a_run"], other["a_rater"]]
            name = printing.rater(other["a_run"], other["a_rater"])
            cells = printing.interval(model), printing.interval(other, "{:+.3f}", "difference")
            shown.add_row("", "", name, *cells, printing.number(other["p_holm"], "{:.3g}"))
    return shown


def _ceiling(tables: people.Tables) -> Table:
    title = "against the crowd: each person and the others' majority, and models beside that"
    crowd, metric, more = "majority", "uar", ["Model minus people"]
    if EACH in tables.ceiling["crowd"]:
        title, crowd, metric, more = "people, each against each of the others: the ceiling", EACH, "eder", []
    shown = printing.table(title, ("Domain", "People", "Who"), (metric.upper(), *more))
    wanted = pl.col("difference").is_not_null() | (pl.col("run") == people.PEOPLE)
    for row in tables.ceiling.filter(pl.col("crowd") == crowd, pl.col("metric") == metric, wanted).to_dicts():
        numbers = [printing.interval(row), _difference(row)][: 1 + len(more)]
        shown.add_row(*_place(row), printing.rater(row["run"], row["rater"]), *numbers)
    return shown


def _consistency(tables: people.Tables) -> Table:
    title = "error consistency: the same items wrong, beyond chance (kappa)"
    shown = printing.table(title, ("Domain", "People", "Between"), ("Kappa", "Model minus people"))
    overall = pl.col("between").is_in(["people", "model and people"]) & (pl.col("group") == people.EVERYWHERE)
    for row in tables.consistency.filter(overall).to_dicts():
        who = "people" if row["run"] is None else f"{printing.rater(row['run'], row['rater'])} and people"
        shown.add_row(*_place(row), who, printing.interval(row), _difference(row))
    return shown


def _difference(row: dict[str, float]) -> str:
    if row["difference"] is None:
        return ""
    limits = {"estimate": row["difference"], "low": row["difference_low"], "high": row["difference_high"]}
    return printing.interval(limits, "{:+.3f}")


def _confidence(tables: people.Tables) -> Table:
    title = "confidence of models and agreement of people over items (Spearman)"
    shown = printing.table(title, ("Domain", "People", "Model"), ("Largest share", "Entropy"))
    overall = tables.confidence.filter(pl.col("group") == people.EVERYWHERE)
    for _, rows in overall.group_by("domain", "group", "listeners", "run", "rater", maintain_order=True):
        found = {row["measure"]: printing.interval(row) for row in rows.to_dicts()}
        row = rows.to_dicts()[0]
        shown.add_row(*_place(row), printing.rater(row["run"], row["rater"]), found["share"], found.get("entropy", ""))
    return shown


def _effects(tables: people.Tables) -> Table:
    title = "odds of being right (mixed model: listeners, items, speakers)"
    shown = printing.table(title, ("Effect", "Level", "Against", "Within", "Listeners"), ("Odds ratio", "p"))
    for row in tables.effects.to_dicts():
        name = row["column"] if row["effect"] != "interaction" else f"domain x {row['column']}"
        numbers = printing.interval(row, "{:.2f}", "odds_ratio"), printing.number(row["p"], "{:.3g}")
        shown.add_row(name, row["level"], row["against"], row["within"], row["listeners"], *numbers)
    return shown


def _disputed(tables: people.Tables, who: str) -> Table:
    title = f"{who} right more often than {'models' if who == 'people' else 'people'}: the widest gaps"
    shown = printing.table(title, ("Utterance", "Reference", "People say", "Models say"), ("People", "Models"))
    everybody = (pl.col("listeners") == people.ALL) & (pl.col("group") == people.EVERYWHERE)
    parted = tables.disputed.filter(everybody, pl.col("right") == who).sort(pl.col("gap").abs(), descending=True)
    for row in parted.unique("utterance", keep="first", maintain_order=True).head(SHOWN).to_dicts():
        shares = [printing.number(row[name], "{:.0%}") for name in ("people_right", "models_right")]
        shown.add_row(row["utterance"], row["reference"], row["people_answer"], row["models_answer"], *shares)
    return shown
