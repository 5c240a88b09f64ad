"""Segments, gathered from files that anybody may have written, as answers beside their reference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import polars as pl

from sibboleth import predictions, segments
from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput
from sibboleth.foreign import naming, outputs, remarks
from sibboleth.foreign.facts import Facts
from sibboleth.foreign.outputs import File
from sibboleth.foreign.reading import Names, Reading
from sibboleth.foreign.remarks import count, some
from sibboleth.segments import SCHEMA, Segments, tables
from sibboleth.segments.gathering import Gathering
from sibboleth.targets import Target

TARGET = "segment"
"""Name of a target that nobody named."""
TIMES = ("start", "end")
LATE = 0.1
"""Seconds by which an answer may reach beyond its recording without a word, as frames do."""


@dataclass(frozen=True)
class _Source:
    """One file, or folder, and its segments by rater; the rater is None where the file names nobody."""

    path: Path
    by: dict[str | None, Segments]
    file: File | None = None
    """The file as a table, where it is one."""
    ours: pl.DataFrame | None = None
    """The file, where it is a predictions table."""


def meant(paths: Sequence[Path], reference: Path | None, names: Names) -> bool:
    """Say whether files hold segments: by what the user says, their endings, or columns of times and labels."""
    if names.kind is not None:
        return names.kind == "segmentation"
    return reference is not None and all(_holds_segments(path) for path in (*paths, reference))


def _holds_segments(path: Path) -> bool:
    if path.is_dir() or path.suffix.lower() not in sheets.SUFFIXES:
        return path.is_dir() or path.suffix.lower() in segments.SUFFIXES
    file = outputs.open_file(path)
    if segments.COLUMN in file.frame.columns:
        return True
    start, end, label = file.find(TIMES[:1]), file.find(TIMES[1:]), file.find(tables.LABELS)
    return None not in (start, end, label) and not file.frame[str(start)].is_null().all()


def gather(
    paths: Sequence[Path], reference: Path | None, names: Names, background: tuple[str, ...], collar: float
) -> Reading:
    """Read answers, reference, speakers and slices; raises `InvalidInput` with file, row and field."""
    if collar < 0:
        raise InvalidInput("the collar must be 0 seconds or more")
    notes: list[str] = []
    sources = [_open(path, names) for path in paths]
    truth = _open(reference, names) if reference is not None else None
    name = names.target or _target([*sources, *([truth] if truth else [])])
    true = _reference(truth, sources, name, notes)
    known = true["label"].drop_nulls().unique()
    target = Target(
        name=name,
        kind="segmentation",
        labels=tuple(label for label in known.sort() if label not in background),
        background=background,
        collar=collar,
    )
    answers = naming.met(pl.concat([_answers(source, name, names, true, notes) for source in sources]), true, notes)
    notes += _told(answers, true, target)
    doubled = answers.select(predictions.KEY).is_duplicated()
    if doubled.any():
        again = answers.filter(doubled).select("run", "rater").unique().sort("run", "rater").rows()
        raise InvalidInput(f"the same is answered twice by {some(f'{rater} of {run}' for run, rater in again)}")
    notes += [*remarks.unmatched(answers, true), *_beyond(answers, true)]
    scored = answers.join(true, on="utterance", how="semi")["utterance"].unique().sort()
    files = [source.file for source in ([truth] if truth else []) + sources if source.file is not None]
    facts = Facts(files, names.utterance, scored)
    clusters = facts.speakers(names.speaker, notes)
    return Reading(target, answers, true, clusters, facts.slices(names.by, notes), tuple(notes))


def _open(path: Path, names: Names) -> _Source:
    if path.is_dir() or path.suffix.lower() not in sheets.SUFFIXES:
        return _Source(path, {None: segments.read(path)})
    file = outputs.open_file(path)
    if file.ours:
        return _Source(path, {}, file, predictions.read(path))
    utterance = outputs.utterances(file, names.utterance)
    named = file.frame.rename({utterance: "utterance"}) if utterance != "utterance" else file.frame
    if segments.COLUMN in named.columns:
        read = segments.of_manifest(named, path.absolute().parent, file=str(path), lines=list(file.rows))
        return _Source(path, {None: read}, file)
    columns = {column.lower(): column for column in named.columns}
    chosen = None if names.answer is None else str(file.column(names.answer, "answer").name)
    label = chosen or next((columns[one] for one in tables.LABELS if one in columns), None)
    missing = [one for one in TIMES if one not in columns] + ([] if label else ["label"])
    if missing or label is None:
        there = ", ".join(file.frame.columns)
        raise InvalidInput(f"{path}: not segments: columns {', '.join(missing)} are missing (there are {there})")
    rater = file.find(outputs.RATER) if names.rater is None else str(file.column(names.rater, "rater").name)
    whole = named.with_columns(pl.Series("=line", list(file.rows)))
    if rater is None:
        return _Source(path, {None: _gathered(path, whole, label)}, file)
    file.refuse(rater, "nobody is named", file.frame[rater].is_null())
    return _Source(path, {who: _gathered(path, mine, label) for (who,), mine in whole.group_by(rater)}, file)


def _gathered(path: Path, frame: pl.DataFrame, label: str) -> Segments:
    gathering = Gathering(path)
    columns = {name.lower(): frame[name] for name in frame.columns if name != label}
    tables.gather({**columns, "=label": frame[label]}, "=label", frame["=line"].to_list(), gathering)
    return gathering.finish()


def _target(sources: Sequence[_Source]) -> str:
    """Name the target: that of predictions tables, the one tier that there is, or none in particular."""
    ours = {name for source in sources if source.ours is not None for name in source.ours["target"].unique()}
    tiers = {tier for source in sources for one in source.by.values() for tier in one.table["tier"].drop_nulls()}
    for what, found in (("targets", ours), ("tiers", tiers)):
        if len(found) > 1:
            raise InvalidInput(f"the files have several {what}; choose one with --target: {', '.join(sorted(found))}")
        if found:
            return str(found.pop())
    return TARGET


def _tier(read: Segments, target: str, path: Path) -> Segments:
    """Return the segments of the target, where there are several tiers."""
    tiers = read.table["tier"].unique().to_list()
    if len(tiers) < 2:
        return read
    if target not in tiers:
        raise InvalidInput(f"{path}: no tier {target!r}; name one with --target: {', '.join(sorted(map(str, tiers)))}")
    return replace(read, table=read.table.filter(pl.col("tier") == target))


def _reference(truth: _Source | None, sources: Sequence[_Source], target: str, notes: list[str]) -> pl.DataFrame:
    if truth is None or truth.ours is not None:
        tables_of_ours = [s.ours for s in ([truth] if truth else sources) if s.ours is not None]
        rows = [one.filter(pl.col("source") == "reference", pl.col("target") == target) for one in tables_of_ours]
        found = pl.concat([_plain(one) for one in rows]).unique() if rows else pl.DataFrame()
        if found.is_empty():
            raise InvalidInput("there is no reference; give its segments with --reference FILE")
        return found
    if len(truth.by) != 1:
        raise InvalidInput(f"{truth.path}: has the segments of {len(truth.by)} raters; a reference has one")
    read = _tier(next(iter(truth.by.values())), target, truth.path)
    notes += read.notes
    notes.append(
        f"reference: {count(len(read.table), 'segment')} of {count(len(read.utterances), 'utterance')} in"
        f" {truth.path.name}"
    )
    unknown = set(read.utterances) - set(read.durations)
    if unknown:
        notes.append(
            f"WARNING: how long {count(len(unknown), 'utterance')} is, is not known ({some(unknown)}): each is taken to"
            " end with its last segment, so EDER is too high. Say it in a column `duration` of the reference"
        )
    return read.predictions(run=truth.path.stem, source="reference", rater="corpus", target=target)


def _answers(source: _Source, target: str, names: Names, true: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    if source.ours is not None:
        rows = source.ours.filter(pl.col("target") == target, pl.col("source") != "reference")
        if rows.is_empty():
            raise InvalidInput(f"{source.path}: has no answers about the target {target!r}")
        if (rows["source"] == "simulated").any():
            notes.append(f"{source.path.name} has answers of simulated listeners, who are not people")
        # Who marks segments may also have been asked about whole utterances, which is another question.
        whole = pl.col("start").is_null() & pl.col("start").is_not_null().any().over("run")
        if others := rows.filter(whole).height:
            notes.append(f"{count(others, 'answer')} about whole utterances left out beside the segments")
        return _plain(rows.filter(~whole))
    run, frames = source.path.stem, []
    silent = source.path.suffix.lower() in (".rttm", *sheets.SUFFIXES) and set(source.by) == {None}
    for rater, read in source.by.items():
        if not read.utterances:
            raise InvalidInput(
                f"{source.path}: has no segments; a JSON file or a table can say which utterances were answered without"
                " any (a row without label, that ends where the recording does)"
            )
        mine = _renamed(_tier(read, target, source.path), true["utterance"].unique().to_list(), source.path, notes)
        notes += mine.notes
        frame = mine.predictions(run=run, source="model", rater=rater or run, target=target)
        frames.append(frame)
        absent = set(true["utterance"]) - set(frame["utterance"])
        if silent and absent and len(absent) < true["utterance"].n_unique():
            notes.append(
                f"WARNING: {count(len(absent), 'utterance')} of the reference not in {source.path.name}, taken as"
                f" answered without any segment: {some(absent)}"
            )
            nothing = Segments(pl.DataFrame(schema=SCHEMA), silent=frozenset(absent))
            frames.append(nothing.predictions(run=run, source="model", rater=rater or run, target=target))
    return pl.concat(frames)


def _renamed(read: Segments, known: Iterable[str], path: Path, notes: list[str]) -> Segments:
    """Give utterances the reference's names, where files are named by their recordings (`wav/spk1_1.wav`)."""
    there = set(known)
    new = {u: PurePath(u).stem for u in read.utterances if u not in there and PurePath(u).stem in there}
    new = new or naming.alike(read.utterances, there)
    if not new:
        return read
    if len(set(new.values()) | (set(read.utterances) - set(new))) < len(read.utterances):
        raise InvalidInput(f"{path}: two recordings have one name without folder and ending: {some(new)}")
    notes.append(f"{path.name}: {count(len(new), 'utterance')} known by the recording's name, such as {min(new)}")
    durations = {new.get(u, u): seconds for u, seconds in read.durations.items()}
    silent = frozenset(new.get(u, u) for u in read.silent)
    return Segments(read.table.with_columns(pl.col("utterance").replace(new)), durations, silent, read.notes)


def _told(answers: pl.DataFrame, true: pl.DataFrame, target: Target) -> Iterable[str]:
    """Say what is odd about labels; raises `InvalidInput` where the two sides share none."""
    said, known = (set(frame["label"].drop_nulls()) for frame in (answers, true))
    nothing = [label for label in target.background if label in said | known]
    if nothing:
        yield f"counts as no label: {', '.join(nothing)} (see --background)"
    other = said - set(target.labels) - set(nothing)
    if other and not said & set(target.labels):
        raise InvalidInput(
            f"answers and reference share no label: answers have {some(other)}, the reference has {some(target.labels)}"
        )
    if other:
        yield f"WARNING: labels that the reference never has count as wrong: {some(other)}"
    if target.collar:
        yield f"{target.collar:g} s before and after each boundary of the reference are not scored, in EDER and frames"


def _beyond(answers: pl.DataFrame, true: pl.DataFrame) -> Iterable[str]:
    """Say which segments of answers end behind their recording, as the reference knows it."""
    ends = true.filter(pl.col("label").is_null()).group_by("utterance").agg(pl.col("end").max().alias("=last"))
    late = answers.filter(pl.col("label").is_not_null()).join(ends, on="utterance")
    late = late.filter(pl.col("end") > pl.col("=last") + LATE)
    if len(late):
        worst = late.sort(pl.col("end") - pl.col("=last"), descending=True).row(0, named=True)
        yield (
            f"WARNING: {count(len(late), 'segment')} answered behind the end of the recording, where nothing is scored"
            f" ({worst['utterance']} lasts {worst['=last']:g} s, and is answered until {worst['end']:g} s)"
        )


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(list(predictions.SCHEMA))
