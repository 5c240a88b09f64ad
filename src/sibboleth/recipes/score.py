"""Score predictions made by anybody: labels, posteriors, numbers, transcripts or segments, with intervals."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import metrics, runs, scores, texts
from sibboleth.accents import taxonomy
from sibboleth.errors import InvalidInput
from sibboleth.foreign import reading, segmented
from sibboleth.recipes import printing
from sibboleth.recipes.segmentation import Segmentation
from sibboleth.recipes.transcripts import Recognition, Shown
from sibboleth.scores import recognition
from sibboleth.settings import checked
from sibboleth.stats import FEW_CLUSTERS
from sibboleth.study import StatisticsSettings
from sibboleth.targets import BACKGROUND, Kind, Target

MOST = 8
"""Raters that are compared pair by pair."""
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Scored:
    """What came out, and how it was read."""

    target: Target
    scores: pl.DataFrame
    """The scores table; `docs/design.md` has its columns."""
    comparisons: pl.DataFrame
    """Paired differences of all raters, Holm-corrected; empty for one rater."""
    notes: tuple[str, ...]
    """Everything that was guessed, left out or missing; what may mislead begins with `WARNING`."""
    by: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()
    recognition: Recognition | None = None
    """More about transcripts."""
    segmentation: Segmentation | None = None
    """More about segments."""

    def __rich__(self) -> RenderableType:
        """Show notes, all metrics, the main ones by slice, and comparisons."""
        return Group(*self._shown())

    def _shown(self) -> Iterator[RenderableType]:
        for note in self.notes:
            yield Text(note, style="bold red" if note.startswith("WARNING") else "dim")
        table, compared = self.scores, self.comparisons
        if table["run"].n_unique() == 1:  # raters are told apart by their names alone
            nameless = pl.lit("")
            table = table.with_columns(run=nameless)
            compared = compared.with_columns(a_run=nameless, b_run=nameless)
        yield _overall(table, self.target)
        for shown in (_by_label(table), _sliced(table, self.target, self.by), _compared(compared, self.target)):
            if shown.row_count:
                yield shown
        if self.recognition is not None:
            yield from self.recognition.shown(table)
        if self.segmentation is not None:
            yield from self.segmentation.shown()
        for path in self.written:
            yield Text(f"written: {path}", style="dim")


def score(
    predictions: tuple[Path, ...],
    *,
    reference: Path | None = None,
    by: tuple[str, ...] = (),
    target: str | None = None,
    answer: str | None = None,
    kind: Kind | None = None,
    utterance: str | None = None,
    speaker: str | None = None,
    rater: str | None = None,
    people: bool = False,
    normalise: str = "basic",
    spellings: Path | None = None,
    changed: Path | None = None,
    accents: str | None = None,
    background: tuple[str, ...] = BACKGROUND,
    collar: float = 0.0,
    show: tuple[Shown, ...] = (),
    resamples: int = 2000,
    seed: int = 0,
    output: Path | None = None,
) -> Scored:
    """Score predictions made by anybody.

    Each file is a table of `utterance` and answers: labels (`prediction`), posteriors (`p_LABEL`), numbers, or
    transcripts (`hypothesis`); or a predictions table of sibboleth; or transcripts in a format of NIST's toolkit.
    Segments (which emotion appears when) are tables with `start`, `end` and `label`, RTTM, JSON, or folders of
    TextGrids or Audacity labels, on both sides; the reference may also be a manifest with a column `segments`.
    Several files, or a column `system`, `model` or `rater`, are scored beside each other and compared in pairs.

    Args:
        predictions: CSV, TSV, JSONL or Parquet files; of transcripts also trn, STM and CTM.
        reference: file with the reference, speakers and slices by utterance, e.g. the manifest, an STM or a trn; else
            they stand in the predictions.
        by: columns whose values get scores of their own, e.g. accent.
        target: column of the reference; else `reference`, `label`, `text` or the like.
        answer: column of the answers; else `prediction`, `hypothesis` or the like.
        kind: classification, regression, transcription or segmentation; else by what the files hold.
        utterance: column of the utterance ids; else `utterance`, `id`, `file` or the like.
        speaker: column of the speakers, who are resampled; else `speaker` or the like.
        rater: column that says which system or listener answered.
        people: the raters of a file are people: they are also scored together as one group, with intervals that
            resample speakers and people, and groups are compared with each other and with systems. So are raters of
            source `listener` in a predictions table.
        normalise: rule for both sides of a transcript: basic (lower case, no punctuation), none, english (Whisper's),
            dutch, german (numbers in words, variants in one spelling) or mandarin (by character).
        spellings: table (written, spoken) that is put over the one of the rule.
        changed: CSV or Parquet file in which to list what the rule changed on both sides.
        accents: tell `accent` and `dialect` from what the files say of accents: built-in, or a table (said, accent,
            dialect) that is put over the built-in one.
        background: labels of segments that are as good as none; with `--background none` neutral is a label, too.
        collar: seconds before and after each boundary of the reference that are not scored.
        show: of transcripts also show counts (of substitutions, deletions, insertions), words (those that a group
            loses more often than the others) or alignments (of the worst utterances); all are written.
        resamples: resamples of speakers behind an interval.
        seed: seed of the resamples.
        output: CSV or Parquet file for the scores; comparisons and what is told of transcripts are written beside it.

    Raises `InvalidInput` with file, row and field.
    """
    paths = (predictions,) if isinstance(predictions, Path) else tuple(predictions)
    if not paths:
        raise InvalidInput("no file of predictions is given")
    for path in (output, changed):
        if path is not None and path.suffix not in SUFFIXES:
            raise InvalidInput(f"{path}: the output ends in one of {', '.join(SUFFIXES)}")
    names = reading.Names(
        kind=kind, target=target, answer=answer, utterance=utterance, speaker=speaker, rater=rater, by=by
    )
    if seed < 0:
        raise InvalidInput("seed must be 0 or more")
    rule = texts.named(normalise, spellings)
    found = (
        segmented.gather(paths, reference, names, background, collar)
        if segmented.meant(paths, reference, names)
        else reading.gather(paths, reference, names, rule, None if accents is None else taxonomy(accents))
    )
    settings = checked(StatisticsSettings, resamples=resamples, slices=by)
    groups = _groups(found.answers, people)
    grouped = {member for members in groups.values() for member in members}
    named = found.answers.select("run", "rater").unique().sort("run", "rater").rows()
    raters = [*groups, *(name for name in named if name not in grouped)]
    pairs = [("raters", *a, *b) for a, b in itertools.combinations(raters, 2)] if len(raters) <= MOST else []
    common = {"clusters": found.clusters, "slices": found.slices, "statistics": settings, "seed": seed}
    common["groups"] = groups
    table = scores.score(found.answers, found.reference, found.target, **common)  # type: ignore[arg-type]
    compared = scores.compare(found.answers, found.reference, found.target, pairs, **common)  # type: ignore[arg-type]
    notes = (*found.notes, *(_grouped(name, members) for name, members in groups.items()))
    if spellings is not None:
        notes += (f"spellings of {spellings.name} were put over those of the rule {normalise!r}",)
    if len(raters) > MOST:
        notes += (f"{len(raters)} raters are too many to compare in pairs; score {MOST} or fewer for that",)
    more = _recognition(found, [pair[1:] for pair in pairs], groups, settings, show)
    notes += () if more is None else tuple(more.notes())
    timed = None
    if found.target.kind == "segmentation":
        timed = Segmentation.of(found, groups, settings, seed)
    written = (*_write(output, table, compared, more or timed), *_write_changes(changed, found, rule))
    return Scored(found.target, table, compared, notes, by, written, more, timed)


def _write_changes(path: Path | None, found: reading.Reading, rule: texts.Normalisation) -> tuple[Path, ...]:
    """Write what was changed on each side, if it is asked for; raises `InvalidInput` where there are no transcripts."""
    if path is None:
        return ()
    if found.target.kind != "transcription":
        raise InvalidInput(f"{path}: only transcripts are normalised, and the answers are of {found.target.kind}")
    sides = [
        texts.changed(written, rule).select(pl.lit(side).alias("side"), pl.all())
        for side, written in found.written.items()
    ]
    _save(path, pl.concat(sides))
    return (path,)


def _recognition(
    found: reading.Reading,
    pairs: list[tuple[str, str, str, str]],
    groups: scores.Groups,
    settings: StatisticsSettings,
    show: tuple[Shown, ...],
) -> Recognition | None:
    if found.target.kind != "transcription":
        return None
    transcripts = recognition.Transcripts.of(
        found.answers,
        found.reference,
        found.target,
        clusters=found.clusters,
        slices=found.slices,
        columns=settings.slices,
    )
    alone = [pair for pair in pairs if pair[:2] not in groups and pair[2:] not in groups]
    return Recognition.of(transcripts, alone, settings.confidence, show)


def _groups(answers: pl.DataFrame, people: bool) -> scores.Groups:
    """Gather the people of each run that has several: those of source listener, or all raters if the user says so."""
    who = answers.filter(pl.lit(people) | (pl.col("source") == "listener")).select("run", "rater").unique()
    runs_of = who.sort("run", "rater").group_by("run", maintain_order=True).agg("rater")
    return {
        (run, f"{len(raters)} people"): [(run, rater) for rater in raters]
        for run, raters in runs_of.iter_rows()
        if len(raters) > 1
    }


def _grouped(name: tuple[str, str], members: Sequence[tuple[str, str]]) -> str:
    few = f"; {len(members)} people are few to speak for others" if len(members) < FEW_CLUSTERS else ""
    return f"{len(members)} raters of {name[0]} are one group of people: speakers and people are resampled{few}"


def _write(
    output: Path | None, table: pl.DataFrame, compared: pl.DataFrame, more: Recognition | Segmentation | None
) -> tuple[Path, ...]:
    if output is None:
        return ()
    written = {output: table}
    beside = {"comparisons": compared} if len(compared) else {}
    for name, frame in (beside | (more.written() if more else {})).items():
        written[output.with_name(f"{output.stem}-{name}{output.suffix}")] = frame
    for path, frame in written.items():
        _save(path, frame)
    return tuple(written)


def _save(path: Path, frame: pl.DataFrame) -> None:
    if path.suffix == ".parquet":
        runs.write_table(path, frame)
    else:
        runs.write_text(path, frame.write_csv())


def _overall(table: pl.DataFrame, target: Target) -> Table:
    """Every metric of every rater over all answers."""
    shown = printing.table(f"{target.name}: all answers", ("Metric", "Rater"), ("Estimate", "n", "Speakers"))
    rows = table.filter(pl.col("slice") == "all")
    for metric in metrics.of(target):
        mine = rows.filter(pl.col("metric") == metric.name).sort("run", "rater", "layer").to_dicts()
        for index, row in enumerate(mine):
            title = "" if index else metric.title
            shown.add_row(
                title, printing.rater(row["run"], row["rater"], row["layer"]), printing.interval(row), *_sizes(row)
            )
    return shown


def _by_label(table: pl.DataFrame) -> Table:
    """Recall, precision and F1 of every label."""
    shown = printing.table("by label", ("Label", "Rater"), ("Recall", "Precision", "F1", "n", "Speakers"))
    known = {
        _key(row): printing.interval(row) for row in table.filter(pl.col("slice").str.starts_with("label=")).to_dicts()
    }
    rows = table.filter(pl.col("metric") == "recall").sort("slice", "run", "rater", "layer").to_dicts()
    for row in rows:
        numbers = [known[_key({**row, "metric": name})] for name in ("recall", "precision", "f1")]
        rater = printing.rater(row["run"], row["rater"], row["layer"])
        shown.add_row(row["slice"].removeprefix("label="), rater, *numbers, *_sizes(row))
    return shown


def _sliced(table: pl.DataFrame, target: Target, by: tuple[str, ...]) -> Table:
    """The main metric (for texts also the CER) of every value of the columns, their mean, and the gap between them."""
    wanted = [metric for metric in metrics.of(target) if metric.name in ("uar", "ccc", "wer", "cer", "eder")]
    main = wanted[0].name
    others = {_key(row): printing.interval(row) for row in table.to_dicts()}
    shown = printing.table("by slice", ("Slice", "Rater"), (*(metric.title for metric in wanted), "n", "Speakers"))
    for column in by:
        for name in (main, f"{main}_mean", f"{main}_gap"):
            mine = table.filter(pl.col("metric") == name, pl.col("slice").str.starts_with(f"{column}="))
            for row in mine.sort("slice", "run", "rater", "layer").to_dicts():
                more = [others.get(_key({**row, "metric": name.replace(main, m.name, 1)}), "") for m in wanted[1:]]
                rater = printing.rater(row["run"], row["rater"], row["layer"])
                shown.add_row(_slice(row, column, main), rater, printing.interval(row), *more, *_sizes(row))
        shown.add_section()
    return shown


def _slice(row: dict[str, str], column: str, main: str) -> str:
    if row["metric"] == f"{main}_mean":
        return f"{column}: mean of groups"
    if row["metric"] == f"{main}_gap":
        worst, best = row["slice"][len(column) + 1 :].split(f",{column}=", 1)
        return f"{column}: {worst} behind {best}"
    return row["slice"]


def _compared(compared: pl.DataFrame, target: Target) -> Table:
    main = metrics.of(target)[0]
    better = "above 0: A is better" if main.higher_is_better else "below 0: A is better"
    title = f"{main.title}, A minus B on the same utterances ({better})"
    shown = printing.table(title, ("Slice", "A", "B"), ("Difference", "p", "p (Holm)", "n", "Speakers"))
    for row in compared.to_dicts():
        interval = printing.interval({**row, "estimate": row["difference"]}, "{:+.3f}")
        a, b = (printing.rater(row[f"{side}_run"], row[f"{side}_rater"], None) for side in "ab")
        tests = [printing.number(row[p], "{:.3g}") for p in ("p", "p_holm")]
        shown.add_row(row["slice"], a, b, interval, *tests, *_sizes(row))
    return shown


def _key(row: dict[str, object]) -> frozenset[tuple[str, object]]:
    return frozenset((name, row[name]) for name in ("run", "rater", "layer", "slice", "metric"))


def _sizes(row: dict[str, int]) -> tuple[str, str]:
    return f"{row['n']:,}", f"{row['clusters']:,}"
