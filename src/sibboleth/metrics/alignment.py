"""Alignment: answers of the predictions table beside their reference, in the form that the target's metrics take."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from sibboleth import predictions as table
from sibboleth.errors import InvalidInput, Problem
from sibboleth.metrics import classification, regression, segmentation, transcription
from sibboleth.metrics.metric import Answers, Array
from sibboleth.metrics.spans import Spans
from sibboleth.targets import Target

ITEM = ("utterance", "start", "end")
"""Columns that name what an answer is about."""


@dataclass(frozen=True)
class Alignment:
    """Answers that have a reference; those without one are left out."""

    keys: pl.DataFrame
    """The columns of `predictions.ANSWER`, one row per answer, sorted."""
    answers: Answers
    reference: str
    """Rater of the reference."""


def align(predictions: pl.DataFrame, reference: pl.DataFrame, target: Target) -> Alignment:
    """Put answers about the target beside the reference; rows of source `reference` are not answers.

    A reference label outside the target's labels leaves its utterance out. Raises `InvalidInput` when there are
    several references for one utterance (pool them first) or when an answer has a negative weight.
    """
    wanted = predictions.filter(pl.col("target") == target.name, pl.col("source") != "reference")
    true = reference.filter(pl.col("target") == target.name)
    rater = "+".join(sorted(true["rater"].unique().to_list()))
    kinds = {"classification": _labels, "regression": _numbers, "transcription": _texts, "segmentation": _segments}
    keys, answers = kinds[target.kind](wanted, true, target)
    return Alignment(keys, answers, rater)


def _join(answers: pl.DataFrame, reference: pl.DataFrame) -> pl.DataFrame:
    """Add `reference`, the row of the reference, to answers that have one; sorted."""
    repeated = reference.filter(reference.select(ITEM).is_duplicated())
    if len(repeated):
        names = repeated["utterance"].unique().sort()
        problems = [Problem("reference", f"several references for utterance {name!r}") for name in names]
        raise InvalidInput("every utterance needs one reference; pool several raters into one first", problems)
    rows = reference.select(*ITEM, pl.int_range(pl.len()).alias("=reference"))
    return answers.join(rows, on=ITEM, nulls_equal=True).sort(table.ANSWER)


def _labels(predictions: pl.DataFrame, reference: pl.DataFrame, target: Target) -> tuple[pl.DataFrame, Answers]:
    for name, frame in (("predictions", predictions), ("reference", reference)):
        negative = frame.filter(pl.col("value") < 0)
        if len(negative):
            problems = [Problem(name, f"negative weight for utterance {u!r}") for u in negative["utterance"].unique()]
            raise InvalidInput(f"{name}: the weight of a label cannot be negative", problems)
    true, matrix = table.weights(reference, target.labels)
    known = np.asarray(~np.isnan(matrix).any(axis=1))
    keys, weights, outside = table.shares(predictions, target.labels)
    keys = keys.with_columns(pl.int_range(pl.len()).alias("=answer"))
    joined = _join(keys, true.filter(known))
    rows, references = joined["=answer"].to_numpy(), joined["=reference"].to_numpy()
    rival = outside[rows]
    answers = classification.Answers(
        target.labels, matrix[known][references], weights[rows], rival if rival.any() else None
    )
    return joined.select(table.ANSWER), answers


def _numbers(predictions: pl.DataFrame, reference: pl.DataFrame, target: Target) -> tuple[pl.DataFrame, Answers]:
    joined = _join(predictions.filter(pl.col("label").is_null()), reference.filter(pl.col("label").is_null()))
    true = reference.filter(pl.col("label").is_null())["value"].to_numpy()
    references = true[joined["=reference"].to_numpy()]
    answers = regression.Answers.centred(_floats(references), _floats(joined["value"].to_numpy()))
    return joined.select(table.ANSWER), answers


def _texts(predictions: pl.DataFrame, reference: pl.DataFrame, target: Target) -> tuple[pl.DataFrame, Answers]:
    true = table.decide(reference.filter(pl.col("label").is_not_null()))
    joined = _join(table.decide(predictions.filter(pl.col("label").is_not_null())), true)
    references = true["label"].gather(joined["=reference"]).to_list()
    return joined.select(table.ANSWER), transcription.Answers(references, joined["label"].to_list())


def _segments(predictions: pl.DataFrame, reference: pl.DataFrame, target: Target) -> tuple[pl.DataFrame, Answers]:
    """Put segments beside each other; an answer is all segments of an utterance by one rater in one trial.

    A row without label says which stretch was judged, so that its end is that of the recording; without such a row in
    the reference a recording ends with the last segment that anybody gives. A label without start is of the whole.
    """
    judged = [column for column in table.ANSWER if column not in ("start", "end")]
    whole = [pl.lit(None, pl.Float64).alias(column) for column in ("start", "end")]
    keys, known = (frame.with_columns(whole).select(table.ANSWER).unique() for frame in (predictions, reference))
    strange = reference.filter(~pl.col("label").is_in([*target.labels, *target.background]))["utterance"]
    joined = _join(keys.sort(table.ANSWER), known.filter(~pl.col("utterance").is_in(strange.implode())))
    order = joined.join(_ends(reference, predictions), on="utterance", how="left", maintain_order="left")
    order = order.select(*judged, "=seconds").with_row_index("=answer")
    seconds = _floats(order["=seconds"].to_numpy())
    ours = order.select("=answer", "=seconds", "utterance").join(reference, on="utterance")
    theirs = order.join(predictions, on=judged, nulls_equal=True)
    true, answered = (_spans(placed, target, len(order)).until(seconds) for placed in (ours, theirs))
    covered = _covered(theirs, seconds)
    answers = segmentation.Answers(target.labels, true, answered, seconds, covered, target.collar)
    return joined.select(table.ANSWER), answers


def _ends(reference: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Find how long each utterance is: `utterance` and `=seconds`."""
    last = pl.col("end").max()
    told = reference.filter(pl.col("label").is_null()).group_by("utterance").agg(last.alias("=told"))
    seen = pl.concat([frame.select("utterance", "end") for frame in (reference, predictions)])
    both = seen.group_by("utterance").agg(last.alias("=seen")).join(told, on="utterance", how="left")
    return both.select("utterance", pl.coalesce("=told", "=seen", 0.0).alias("=seconds"))


def _spans(placed: pl.DataFrame, target: Target, answers: int) -> Spans:
    nothing = [label for label in target.background if label not in target.labels]
    labelled = placed.filter(pl.col("label").is_not_null(), ~pl.col("label").is_in(nothing))
    timed = labelled.with_columns(pl.col("start").fill_null(0.0), pl.coalesce("end", "=seconds").alias("end"))
    return Spans.of(timed, target.labels, answers)


def _covered(placed: pl.DataFrame, seconds: Array) -> Array:
    """Return until when each answer goes: all of the recording, where it does not say."""
    told = placed.filter(pl.col("label").is_null()).group_by("=answer").agg(pl.col("end").max()).drop_nulls()
    covered = np.array(seconds)
    covered[told["=answer"].to_numpy()] = told["end"].to_numpy()
    return np.minimum(covered, seconds)


def _floats(values: Array) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64)
