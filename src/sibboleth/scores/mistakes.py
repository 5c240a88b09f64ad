"""Each answer judged, and the utterances most often wrong."""

import numpy as np
import polars as pl

from sibboleth import metrics
from sibboleth.metrics import classification, regression, segmentation, transcription
from sibboleth.metrics.metric import Array
from sibboleth.metrics.spans import Spans
from sibboleth.targets import Target

SCHEMA: dict[str, type[pl.DataType]] = {
    "utterance": pl.String,
    "reference": pl.String,
    "error": pl.Float64,
    "answers": pl.Int64,
    "wrong": pl.Int64,
    "answer": pl.String,
}


def judge(predictions: pl.DataFrame, reference: pl.DataFrame, target: Target) -> pl.DataFrame:
    """Return every answer beside its reference, a row each: the columns of `predictions.ANSWER` and those below.

    `reference` (the heaviest label, the number, the text, or the segments), `answer` (likewise), `error` (with labels
    the weight that the reference does not give to the answer; the absolute error; wrong words; or wrong seconds),
    `size` (1, or the reference's words or seconds), `wrong` (answer and reference differ) and `doubt` (how little
    weight the truth was given).
    """
    aligned = metrics.align(predictions, reference, target)
    answers = aligned.answers
    if isinstance(answers, classification.Answers):
        return aligned.keys.hstack(_labels(answers))
    if isinstance(answers, regression.Answers):
        return aligned.keys.hstack(_numbers(answers))
    if isinstance(answers, segmentation.Answers):
        return aligned.keys.hstack(_segments(answers))
    assert isinstance(answers, transcription.Answers)
    return aligned.keys.hstack(_texts(answers))


def worst(predictions: pl.DataFrame, reference: pl.DataFrame, target: Target, count: int | None = None) -> pl.DataFrame:
    """Return the utterances with the largest error over all given raters and trials, worst first.

    Columns: `utterance`; its `reference` (the heaviest label, the number, or the text); `error` (share of answers
    that are wrong, with a soft reference by its weights; mean absolute error; errors per reference word; or EDER);
    `answers`; how many of them are `wrong`; and the commonest wrong `answer` (null for numbers). Ties are ordered by
    how little weight the truth was given, then by name.
    """
    common = pl.col("answer").filter("wrong").mode().sort().first()
    ranked = (
        judge(predictions, reference, target)
        .group_by("utterance")
        .agg(
            pl.col("reference").first(),
            pl.when(pl.col("size").sum() > 0).then(pl.col("error").sum() / pl.col("size").sum()).alias("error"),
            pl.len().cast(pl.Int64).alias("answers"),
            pl.col("wrong").sum().cast(pl.Int64),
            (pl.lit(None, pl.String) if target.kind == "regression" else common).alias("answer"),
            pl.col("doubt").mean(),
        )
        .sort("error", "doubt", "utterance", descending=[True, True, False], nulls_last=True)
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    )
    return ranked if count is None else ranked.head(count)


def _labels(answers: classification.Answers) -> pl.DataFrame:
    names = [*answers.labels, classification.OTHER]
    true = np.argmax(answers.reference, axis=1)
    rows = np.arange(len(answers))
    right = np.column_stack([answers.reference, np.zeros(len(answers))])[rows, answers.decided]
    return _judged(
        reference=[names[k] for k in true],
        error=1 - right,
        size=np.ones(len(answers)),
        wrong=answers.decided != true,
        doubt=1 - (answers.weights * answers.reference).sum(axis=1),
        answer=[names[k] for k in answers.decided],
    )


def _numbers(answers: regression.Answers) -> pl.DataFrame:
    error = np.abs(answers.values - answers.reference)
    return _judged(
        reference=[f"{value:g}" for value in answers.reference],
        error=error,
        size=np.ones(len(answers)),
        wrong=error > 0,
        doubt=np.zeros(len(answers)),
        answer=[f"{value:g}" for value in answers.values],
    )


def _texts(answers: transcription.Answers) -> pl.DataFrame:
    counts = transcription.word_counts(answers)
    errors = counts[:, 1:].sum(axis=1)
    return _judged(
        reference=list(answers.reference),
        error=errors,
        size=counts[:, :3].sum(axis=1),
        wrong=errors > 0,
        doubt=errors,
        answer=list(answers.hypothesis),
    )


def _segments(answers: segmentation.Answers) -> pl.DataFrame:
    parts = segmentation.seconds(answers)
    errors = segmentation.error_seconds(parts).sum(axis=1)
    return _judged(
        reference=_written(answers.reference, answers.labels),
        error=errors,
        size=parts[:, -3],
        wrong=errors > 0,
        doubt=errors,
        answer=_written(answers.hypothesis, answers.labels),
    )


def _written(spans: Spans, labels: tuple[str, ...]) -> list[str]:
    """Write the segments of each answer: `angry 0.50-1.25, sad 1.25-3.00`."""
    names = (*labels, classification.OTHER)
    told = [
        f"{names[label]} {start:.2f}-{end:.2f}"
        for start, end, label in zip(spans.starts, spans.ends, spans.labels, strict=True)
    ]
    edges = spans.bounds.tolist()
    return [", ".join(told[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _judged(
    *, reference: list[str], error: Array, size: Array, wrong: object, doubt: Array, answer: list[str]
) -> pl.DataFrame:
    columns = {"reference": reference, "answer": answer, "error": error, "size": size, "wrong": wrong, "doubt": doubt}
    return pl.DataFrame(columns, schema_overrides={"reference": pl.String, "answer": pl.String})
