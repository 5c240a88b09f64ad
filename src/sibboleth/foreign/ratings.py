"""Answers of people from other tools as rows of the predictions table, source `listener`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from sibboleth import predictions
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.foreign import answers, jspsych, label_studio, outputs, plain, webmushra
from sibboleth.foreign.answers import Answer, Asked, Found
from sibboleth.foreign.naming import Utterances
from sibboleth.foreign.remarks import count, some
from sibboleth.targets import Kind

Format = Literal["auto", "plain", "label-studio", "webmushra", "jspsych"]

READERS: dict[str, Callable[[Path, Asked], Found]] = {
    "plain": plain.read,
    "label-studio": label_studio.read,
    "webmushra": webmushra.read,
    "jspsych": jspsych.read,
}


@dataclass(frozen=True)
class Imported:
    """What people said, as a table, and what became of the rest."""

    table: pl.DataFrame
    """Predictions; people are called r001, r002, ... unless their names were kept."""
    people: Mapping[str, str]
    """Name in the files to name in the table."""
    left_out: Mapping[str, int]
    """Number of answers that are not in the table, by reason."""
    unmatched: tuple[str, ...]
    """Recordings that the manifest does not have."""
    notes: tuple[str, ...]


def gather(
    paths: Sequence[Path],
    manifest: Corpus,
    asked: Asked,
    *,
    run: str,
    form: Format = "auto",
    kind: Kind | None = None,
    labels: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    keep_names: bool = False,
) -> Imported:
    """Read files of answers about the utterances of a manifest.

    Args:
        paths: the files; a person of one name in several of them is one person.
        manifest: the utterances; its labels of the target are what answers are compared with.
        asked: target and columns.
        run: what the group of people is called.
        form: format; else each file's is told from what it holds.
        kind: of the answers; else numbers are numbers and all else labels.
        labels: what is said in the files to the label that is meant.
        names: utterances by names of recordings that say nothing of them.
        keep_names: call people as the files do.

    Raises `InvalidInput` for a name that means several utterances, where no recording or no label is known, or where
    there are several questions and none is named.
    """
    found = [READERS[_format(path) if form == "auto" else form](path, asked) for path in paths]
    left_out: Counter[str] = sum((one.left_out for one in found), Counter())
    notes = [note for one in found for note in one.notes]
    chosen = _questions(found, asked, notes)
    meant, unmatched = _meant(chosen, Utterances(manifest.table, names))
    if unmatched:
        lost = [answer for _, answer in chosen if answer.audio[0] in unmatched and answer.question not in plain.BESIDE]
        left_out["the manifest has no such recording"] += len(lost)
    if not meant:
        raise _nothing(chosen, unmatched, left_out, manifest)
    people = _people([answer.rater for _, _, answer in meant], keep_names)
    table = _table(meant, asked, people, run, kind, labels or {})
    notes += _compared(table, manifest, asked)
    if keep_names and any("@" in name for name in people):
        notes.append("WARNING: mail addresses stand in the answers; leave --keep-names out before you give them away")
    return Imported(table, people, dict(left_out), tuple(unmatched), tuple(notes))


Placed = tuple[Path, Answer]
Meant = tuple[str, Path, Answer]


def _format(path: Path) -> str:
    """Tell the format of a file from what it holds."""
    if path.suffix.lower() == ".json":
        return _json_format(path, answers.records(path))
    names = {name.lower() for name in outputs.open_file(path).frame.columns}
    for form, columns in (
        ("label-studio", {"annotation_id", "lead_time"}),
        ("webmushra", {"session_test_id"}),
        ("jspsych", {"trial_type", "trial_index"}),
    ):
        if columns <= names:
            return form
    return "plain"


def _json_format(path: Path, data: object) -> str:
    one = data
    while isinstance(one, list) and one:
        one = one[0]
    names = set(one) if isinstance(one, dict) else set()
    if names & {"annotations", "completions", "annotation_id"}:
        return "label-studio"
    if names & {"trial_type", "trials"}:
        return "jspsych"
    raise InvalidInput(f"{path}: neither Label Studio's JSON nor jsPsych's; say which with --format, or export a CSV")


def _questions(found: Sequence[Found], asked: Asked, notes: list[str]) -> list[Placed]:
    """Keep the answers to the question; they are about the target. Intensity and confidence stay beside them."""
    placed = [(one.path, answer) for one in found for answer in one.answers]
    there = Counter(answer.question for _, answer in placed)
    main = [name for name in there if name not in plain.BESIDE]
    if asked.question is not None:
        wanted = asked.question
    elif asked.target in there:
        wanted = asked.target
    elif len(main) == 1:
        wanted = main[0]
    elif not main:
        return []
    else:
        raise InvalidInput(f"there are several questions; choose one with --question: {', '.join(sorted(main))}")
    if others := sorted(set(there) - {wanted, *plain.BESIDE}):
        notes.append(f"other questions are not read: {', '.join(others)}")
    return [(path, answer) for path, answer in placed if answer.question in (wanted, *plain.BESIDE)]


def _meant(placed: Sequence[Placed], utterances: Utterances) -> tuple[list[Meant], list[str]]:
    """Find the utterance of each answer, and the names that mean none."""
    known: dict[tuple[str, ...], str | None] = {}
    problems: list[Problem] = []
    for path, answer in placed:
        if answer.audio not in known:
            known[answer.audio] = None
            try:
                known[answer.audio] = utterances.find(answer.audio)
            except InvalidInput as error:
                problems.append(Problem(str(path), error.summary, answer.row))
    if problems:
        raise InvalidInput("names of recordings that mean several utterances", problems)
    meant = [(utterance, path, answer) for path, answer in placed if (utterance := known[answer.audio]) is not None]
    return meant, sorted(names[0] for names, utterance in known.items() if utterance is None)


def _nothing(
    chosen: Sequence[Placed], unmatched: Sequence[str], left_out: Mapping[str, int], manifest: Corpus
) -> InvalidInput:
    if not chosen:
        told = "; ".join(f"{number} {reason}" for reason, number in left_out.items()) or "none is there"
        return InvalidInput(f"no answer can be used: {told}")
    there = some(manifest.table["utterance"].head(1000).to_list())
    return InvalidInput(
        f"the manifest has none of the recordings: the files call them {some(unmatched)}, the manifest has {there}."
        " Give another manifest, or a table (name,utterance) with --names"
    )


def _people(names: Sequence[str], keep_names: bool) -> dict[str, str]:
    """Call people by numbers, in the order in which they come, so that nothing of a name or address is left."""
    different = list(dict.fromkeys(names))
    if keep_names:
        return {name: name for name in different}
    width = max(3, len(str(len(different))))
    return {name: f"r{number:0{width}d}" for number, name in enumerate(different, start=1)}


def _table(
    meant: Sequence[Meant],
    asked: Asked,
    people: Mapping[str, str],
    run: str,
    kind: Kind | None,
    labels: Mapping[str, str],
) -> pl.DataFrame:
    rows, problems = [], []
    trials = _trials(meant)
    for (utterance, path, answer), trial in zip(meant, trials, strict=True):
        beside = answer.question in plain.BESIDE and answer.question != asked.question
        target = answer.question if beside else asked.target
        said = answer.said if beside else _said(answer.said, kind, labels)
        if said is None:
            problems.append(Problem(str(path), f"{answer.said!r} is no number", answer.row))
            continue
        where = (people[answer.rater], utterance, answer.start, answer.end, target, trial)
        weights = said.items() if isinstance(said, Mapping) else [(None, said)]
        rows += [(*where, label, weight) for label, weight in weights]
    if problems:
        raise InvalidInput(f"{len(problems)} answers are no numbers; --labels.SAID NUMBER says what is meant", problems)
    names = ("rater", "utterance", "start", "end", "target", "trial", "label", "value")
    frame = pl.DataFrame(rows, schema={name: predictions.SCHEMA[name] for name in names}, orient="row")
    whole = frame.select(
        pl.lit(run).alias("run"), pl.lit("listener").alias("source"), pl.all(), pl.lit(None, pl.Int32).alias("layer")
    )
    return whole.select(list(predictions.SCHEMA)).sort(predictions.KEY)


def _said(
    said: Mapping[str, float] | float, kind: Kind | None, labels: Mapping[str, str]
) -> Mapping[str, float] | float | None:
    """Say what is meant in the target's kind; None where it is to be a number and is none."""
    if not isinstance(said, Mapping):
        written = f"{said:g}"
        said = {written: 1.0} if kind == "classification" or written in labels else said
    if not isinstance(said, Mapping):
        return said
    meant: dict[str, float] = {}
    for label, weight in said.items():
        name = labels.get(label, label)
        meant[name] = meant.get(name, 0.0) + weight
    if kind == "regression":
        return answers.number(next(iter(meant))) if len(meant) == 1 else None
    return meant


def _trials(meant: Sequence[Meant]) -> list[int]:
    """Number what one person says again of the same: 0, 1, ... in the order of files and of their own `trial`.

    Raises `InvalidInput` where a file says that two answers are one trial.
    """
    files = {path: index for index, path in enumerate(dict.fromkeys(path for _, path, _ in meant))}
    before: Counter[tuple[object, ...]] = Counter()
    keys, orders = [], []
    for utterance, path, answer in meant:
        key = (answer.rater, utterance, answer.question)
        span = (*key, answer.start, answer.end)
        order = (files[path], before[path, span] if answer.trial is None else answer.trial)
        before[path, span] += 1
        keys.append(key)
        orders.append(order)
    there: dict[tuple[object, ...], set[tuple[int, int]]] = {}
    for key, order in zip(keys, orders, strict=True):
        there.setdefault(key, set()).add(order)
    ranks = {key: {order: rank for rank, order in enumerate(sorted(some))} for key, some in there.items()}
    trials = [ranks[key][order] for key, order in zip(keys, orders, strict=True)]
    _refuse_doubled(meant, trials)
    return trials


def _refuse_doubled(meant: Sequence[Meant], trials: Sequence[int]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    problems = []
    for (utterance, path, answer), trial in zip(meant, trials, strict=True):
        key = (answer.rater, utterance, answer.question, answer.start, answer.end, trial)
        if key in seen:
            message = f"the same person says this of {utterance!r} in line {seen[key]}, in the same trial"
            problems.append(Problem(str(path), message, answer.row))
        seen.setdefault(key, answer.row)
    if problems:
        raise InvalidInput("one trial has one answer; number repeats in a column 'trial', or leave it out", problems)


def _compared(table: pl.DataFrame, manifest: Corpus, asked: Asked) -> list[str]:
    """Say how the answers' labels and the manifest's differ; raises `InvalidInput` where they share none."""
    main = table.filter(pl.col("target") == asked.target)
    said = set(main["label"].drop_nulls())
    notes = []
    if asked.labels and said:
        other = sorted(said - set(asked.labels))
        if len(other) == len(said):
            raise InvalidInput(
                f"answers and manifest share no label: answered is {some(other)}, the manifest's {asked.target} is"
                f" {some(asked.labels)}; say what is meant with --labels.{other[0]} {min(asked.labels)} and so on"
            )
        if other:
            notes.append(
                f"labels that the manifest's {asked.target} never is: {some(other)}; where another is meant, say "
                f"--labels.{other[0]} {min(asked.labels)} and so on"
            )
    again = main.filter(pl.col("trial") > 0).select(predictions.ANSWER).unique()
    if len(again):
        notes.append(f"{count(len(again), 'answer')} given again by the same person, kept as further trials")
    return notes
