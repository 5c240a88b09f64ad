"""Answers, reference, speakers and slices, gathered from files that anybody may have written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from sibboleth import accents, predictions, texts
from sibboleth.accents import Taxonomy
from sibboleth.errors import InvalidInput, Problem
from sibboleth.foreign import naming, nist, outputs, remarks
from sibboleth.foreign.facts import Facts
from sibboleth.foreign.outputs import File, Layout
from sibboleth.foreign.remarks import count
from sibboleth.targets import Kind, Target
from sibboleth.texts import Normalisation

TEXTS = ("text", "transcript", "transcription")
"""Targets that are transcripts by name."""
TARGETS: dict[Kind, str] = {"classification": "label", "regression": "value", "transcription": "text"}
"""Name of a target that nobody named."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """What the user said about the files' columns; None is found out."""

    kind: Kind | None = None
    target: str | None = None
    answer: str | None = None
    utterance: str | None = None
    speaker: str | None = None
    rater: str | None = None
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """All that scoring needs."""

    target: Target
    answers: pl.DataFrame
    """Rows of the predictions table."""
    reference: pl.DataFrame
    """Rows of the predictions table."""
    clusters: dict[str, str | None]
    """Utterance to speaker."""
    slices: pl.DataFrame
    """`utterance` and the columns asked for."""
    notes: tuple[str, ...]
    """Everything that was guessed, left out or missing."""
    written: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Transcripts of both sides (`reference`, `hypothesis`) before they were normalised."""


@dataclass
class _Reader:
    files: Sequence[File]
    truth: File | None
    """The file of the reference, where it is not that of the answers."""
    names: Names
    normalise: Normalisation
    notes: list[str]
    written: dict[str, Sequence[str]] = field(default_factory=dict)

    def read(self) -> Reading:
        kind = self.names.kind or self.find_kind()
        target = self.names.target or self.find_target(kind)
        if any(file.ours for file in self.files):  # their target is what a manifest's column is called
            self.names = replace(self.names, target=target)
        reference = self.reference(kind, target)
        labels = tuple(sorted(reference["label"].drop_nulls().unique())) if kind == "classification" else ()
        answers = pl.concat([self.answers(file, kind, target, labels) for file in self.files])
        self.refuse_doubled(answers)
        if kind == "transcription":
            reference, answers = self.normalised("reference", reference), self.normalised("hypothesis", answers)
            self.notes.append(f"texts of both sides were normalised by the rule {self.normalise.name!r}")
        return Reading(Target(name=target, kind=kind, labels=labels), answers, reference, {}, pl.DataFrame(), ())

    def normalised(self, side: str, frame: pl.DataFrame) -> pl.DataFrame:
        self.written[side] = frame["label"].fill_null("").to_list()
        apart = texts.uncomposed(self.written[side]) if self.normalise.name == "none" else 0
        if apart:
            self.notes.append(
                f"WARNING: {count(apart, f'{side} text')} not in composed Unicode (NFC): under the rule 'none' a letter"
                " with a mark is another than the same letter composed"
            )
        said = [self.normalise(text) for text in self.written[side]]
        return frame.with_columns(pl.Series("label", said, pl.String))

    def find_kind(self) -> Kind:
        first = self.files[0]
        if any(file is not None and file.path.suffix.lower() in nist.SUFFIXES for file in (first, self.truth)):
            return "transcription"
        if first.ours:
            wanted = pl.lit(True) if self.names.target is None else pl.col("target") == self.names.target
            rows = first.frame.filter(wanted)
            if set(rows["target"]) <= set(TEXTS):
                return "transcription"
            labelled = "label" in rows.columns and rows["label"].null_count() < len(rows)
            return "classification" if labelled else "regression"
        answer, true = self.roles(first, "classification")
        if answer is not None and answer.lower() in outputs.HYPOTHESIS:
            return "transcription"
        where = first if self.truth is None else self.truth
        if answer is None or true is None or where.ours:
            return "classification"
        return "regression" if outputs.is_scale(first.frame[answer], where.frame[true]) else "classification"

    def find_target(self, kind: Kind) -> str:
        ours = [file for file in (*self.files, self.truth) if file is not None and file.ours]
        targets = sorted({name for file in ours for name in file.frame["target"].drop_nulls()})
        targets = [
            name for name in targets if name.rpartition(".")[0] not in targets
        ]  # emotion.confidence beside emotion
        if len(targets) > 1:
            raise InvalidInput(f"the predictions have several targets; choose one with --target: {', '.join(targets)}")
        return targets[0] if targets else TARGETS[kind]

    def roles(self, file: File, kind: Kind) -> tuple[str | None, str | None]:
        """Find the columns of answer and reference in a file of answers; no answer column means posteriors."""
        target = self.names.target
        true = self.true_column(self.truth, kind) if self.truth is not None and not self.truth.ours else None
        answer = None
        if self.names.answer is not None:
            answer = str(file.column(self.names.answer, "answer").name)
        elif not outputs.posteriors(file):
            known = (*outputs.ANSWER, *outputs.HYPOTHESIS)
            known = (*outputs.HYPOTHESIS, *outputs.ANSWER) if kind == "transcription" else known
            answer = file.find(known, but=[] if self.truth else [target])
            if answer is None and self.truth is not None and target is not None:
                answer = file.find([target.lower()])
        if self.truth is None:
            true = self.true_column(file, kind, answer)
            if true is None and answer is not None and self.names.answer is None:
                # `label` is the reference where there are posteriors under the labels' own names.
                labels = file.frame[answer].drop_nulls().unique().to_list()
                return (None, answer) if outputs.posteriors(file, labels) else (answer, None)
        return answer, true

    def true_column(self, file: File, kind: Kind, answer: str | None = None) -> str | None:
        if self.names.target is not None:
            return str(file.column(self.names.target, "reference").name)
        return file.find(outputs.TEXT if kind == "transcription" else outputs.TRUTH, but=[answer])

    def reference(self, kind: Kind, target: str) -> pl.DataFrame:
        if self.truth is not None:
            return (
                self.our_reference(self.truth, target)
                if self.truth.ours
                else self.their_reference([self.truth], kind, target)
            )
        ours = [file for file in self.files if file.ours]
        if not ours:
            return self.their_reference(self.files, kind, target)
        rows = pl.concat([_rows(file) for file in ours])
        found = rows.filter(pl.col("source") == "reference", pl.col("target") == target).unique(maintain_order=True)
        if found.is_empty():
            raise InvalidInput(
                f"{ours[0].path}: has no rows of source 'reference' about {target!r}; give them with --reference FILE"
            )
        return found

    def our_reference(self, file: File, target: str) -> pl.DataFrame:
        table = _rows(file).filter(pl.col("target") == target)
        true = table.filter(pl.col("source") == "reference")
        chosen = table if true.is_empty() else true
        if chosen.is_empty():
            raise InvalidInput(f"{file.path}: has no rows about the target {target!r}")
        raters = chosen.select("run", "rater").unique().height
        if raters > 1 or chosen["trial"].n_unique() > 1:
            self.notes.append(f"the reference is soft: the mean of {raters} raters of {file.path.name}")
            chosen = predictions.pool(chosen, f"{raters} raters")
        return chosen.with_columns(pl.lit("reference").alias("source"))

    def their_reference(self, files: Sequence[File], kind: Kind, target: str) -> pl.DataFrame:
        frames = []
        for file in files:
            column = self.true_column(file, kind) if file is self.truth else self.roles(file, kind)[1]
            weights = outputs.posteriors(file) if column is None and file is self.truth else {}
            if column is None and not weights:
                there = ", ".join(file.frame.columns)
                raise InvalidInput(
                    f"{file.path}: no column of reference answers; name it with --target, or give another file with"
                    f" --reference (there are {there})"
                )
            utterance = outputs.utterances(file, self.names.utterance)
            kept = self.known(file, utterance, column, kind)
            layout = Layout(kind, utterance, column, weights)
            twice = "this utterance has two different references"
            frames.append(outputs.rows(kept, layout, target, "reference", "corpus", twice))
            said = "weights of " + ", ".join(weights) if column is None else f"column {column!r}"
            self.notes.append(f"reference: {said} of {file.path.name}")
        both = pl.concat(frames).with_columns(pl.lit(files[0].path.stem).alias("run"))
        return both.unique(maintain_order=True)

    def known(self, file: File, utterance: str, column: str | None, kind: Kind) -> File:
        """Leave out rows without a reference and repeats of the same one; an empty text is a reference."""
        if column is None:
            return file
        if kind != "transcription":
            missing = file.frame[column].is_null()
            if missing.any():
                self.notes.append(f"{count(int(missing.sum()), 'row')} of {file.path.name} without a {column} left out")
            file = file.keep(~missing)
        return file.keep(file.frame.select(pl.struct(utterance, column).is_first_distinct()).to_series())

    def answers(self, file: File, kind: Kind, target: str, labels: Sequence[str]) -> pl.DataFrame:
        if file.ours:
            rows = _rows(file).filter(pl.col("target") == target, pl.col("source") != "reference")
            if rows.is_empty():
                raise InvalidInput(f"{file.path}: has no answers about the target {target!r}")
            if (rows["source"] == "simulated").any():
                self.notes.append(f"{file.path.name} has answers of simulated listeners, who are not people")
            return rows
        answer, _ = self.roles(file, kind)
        weights = {} if answer is not None else outputs.posteriors(file) or outputs.posteriors(file, labels)
        if answer is None and not weights:
            there = ", ".join(file.frame.columns)
            raise InvalidInput(f"{file.path}: no column of answers; name it with --answer (there are {there})")
        named = self.names.rater
        rater = file.find(outputs.RATER) if named is None else str(file.column(named, "rater").name)
        utterance = outputs.utterances(file, self.names.utterance)
        layout = Layout(kind, utterance, answer, weights, rater, file.find(outputs.TRIAL))
        said = "weights of " + ", ".join(weights) if answer is None else f"column {answer!r}"
        self.notes.append(f"answers: {said} of {file.path.name}")
        return outputs.rows(file, layout, target, "model", file.path.stem, "this utterance is answered twice")

    def refuse_doubled(self, answers: pl.DataFrame) -> None:
        doubled = answers.filter(answers.select(predictions.KEY).is_duplicated())
        if len(doubled):
            names = doubled.select("run", "rater").unique(maintain_order=True).rows()
            problems = [
                Problem(run, f"rater {rater!r} answers the same utterance in two files") for run, rater in names
            ]
            raise InvalidInput("two files of the same name answer the same utterances; rename one", problems)


def gather(
    paths: Sequence[Path],
    reference: Path | None,
    names: Names,
    normalise: Normalisation,
    taxonomy: Taxonomy | None = None,
) -> Reading:
    """Read answers, reference, speakers and slices; raises `InvalidInput` with file, row and field.

    With a taxonomy, `accent` and `dialect` are told from what the files say of accents.
    """
    notes: list[str] = []
    truth = None if reference is None else _opened(reference, notes, None, answers=False)
    files = [_opened(path, notes, truth, answers=True) for path in paths]
    known = [*([truth] if truth else []), *files]
    if taxonomy is not None:
        known = _with_accents(known, taxonomy, notes)
        truth, files = (known[0] if truth else None), known[-len(files) :]
    reader = _Reader(files, truth, names, normalise, notes)
    found = reader.read()
    found = replace(found, answers=naming.met(found.answers, found.reference, notes))
    scored = found.answers.join(found.reference, on="utterance", how="semi")["utterance"].unique().sort()
    facts = Facts(known, names.utterance, scored)
    notes += remarks.unmatched(found.answers, found.reference)
    notes += remarks.unusual(found.answers, found.reference, found.target)
    clusters = facts.speakers(names.speaker, notes)
    slices = facts.slices(names.by, notes)
    return Reading(found.target, found.answers, found.reference, clusters, slices, tuple(notes), reader.written)


def _opened(path: Path, notes: list[str], truth: File | None, *, answers: bool) -> File:
    if path.suffix.lower() in nist.SUFFIXES:
        return nist.read(path, notes, answers=answers, reference=truth)
    return outputs.open_file(path)


def _with_accents(files: Sequence[File], taxonomy: Taxonomy, notes: list[str]) -> list[File]:
    """Tell accents in each file that says something of them; raises `InvalidInput` where none does."""
    told = []
    for file in files:
        derived = accents.derive(file.frame, taxonomy) if accents.said_in(file.frame.columns) else None
        notes += (f"{file.path.name}: {note}" for note in (derived.notes() if derived else ()))
        told.append(replace(file, frame=derived.table) if derived else file)
    if not any(accents.said_in(file.frame.columns) for file in files):
        names = ", ".join(accents.NAMES)
        raise InvalidInput(f"--accents: no file has a column that says anything of accents; known by name are {names}")
    return told


def _rows(file: File) -> pl.DataFrame:
    return predictions.validate(file.frame, str(file.path), file.rows).select(list(predictions.SCHEMA))
