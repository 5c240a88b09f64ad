"""What a reader of scores should be told about the answers: what is missing on one side, and what is unusual."""

from collections.abc import Iterable, Iterator

import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.metrics.classification import OTHER
from sibboleth.targets import Target

SHOWN = 5


def unmatched(answers: pl.DataFrame, reference: pl.DataFrame) -> Iterator[str]:
    """Say which utterances stand on one side only; raises `InvalidInput` when none stands on both."""
    true = set(reference["utterance"])
    answered = set(answers["utterance"])
    if not true & answered:
        raise InvalidInput(
            "no answered utterance has a reference: the ids do not meet. Answers have ids such as"
            f" {some(answered)}; the reference has {some(true)}"
        )
    if extra := answered - true:
        yield f"WARNING: {count(len(extra), 'answered utterance')} without a reference left out: {some(extra)}"
    gaps = []
    raters = answers.group_by("run", "rater").agg("utterance").sort("run", "rater")
    for run, rater, utterances in raters.iter_rows():
        if missing := true - set(utterances):
            gaps.append(f"{rater} of {run} answers {len(true) - len(missing)}, not {some(missing)}")
    if gaps:
        more = f"; and {len(gaps) - SHOWN} raters more" if len(gaps) > SHOWN else ""
        yield (
            f"WARNING: only answered utterances count, and of {len(true):,} with a reference not all are:"
            f" {'; '.join(gaps[:SHOWN])}{more}"
        )


def unusual(answers: pl.DataFrame, reference: pl.DataFrame, target: Target) -> Iterator[str]:
    """Say what is odd about labels and texts; raises `InvalidInput` when the two sides share no label."""
    labels = answers["label"].drop_nulls()
    if target.kind == "classification":
        other = labels.filter(~labels.is_in(list(target.labels))).value_counts(sort=True)
        if len(other) == labels.n_unique() and len(other):
            raise InvalidInput(
                f"answers and reference share no label: answers have {some(set(labels))},"
                f" the reference has {some(set(target.labels))}"
            )
        if OTHER in other["label"]:
            yield (
                f"WARNING: which wrong label {OTHER} stands for is not known, so precision and F1 are too high, and the"
                " confusions are not all there; recall, UAR and accuracy are right"
            )
        other = other.filter(pl.col("label") != OTHER)
        if len(other):
            yield f"WARNING: labels that the reference never has count as wrong: {some(set(other['label']))}"
        if reference["label"].str.contains(r"^-?\d+$").all():
            yield "the labels are whole numbers, taken as classes; --kind regression takes them as a scale"
    if target.kind == "transcription":
        empty = [int((frame["label"] == "").sum()) for frame in (reference, answers)]
        if empty[0]:
            yield f"WARNING: {count(empty[0], 'empty reference')}: all words answered there are insertions"
        if empty[1]:
            yield f"WARNING: {count(empty[1], 'empty transcript')} answered: all words of the reference are deletions"


def count(number: int, one: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def some(names: Iterable[str]) -> str:
    """Write the first few of many names, sorted."""
    ordered = sorted(names)
    return ", ".join(ordered[:SHOWN]) + (f", ... ({len(ordered)} in all)" if len(ordered) > SHOWN else "")
