"""Items on which people and models part: people are sure and models wrong, or the reverse."""

import numpy as np
import polars as pl

from sibboleth.scores.mistakes import judge
from sibboleth.scores.people.panel import Panel
from sibboleth.targets import Target

SCHEMA: dict[str, type[pl.DataType]] = {
    "utterance": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "right": pl.String,
    "reference": pl.String,
    "people_answer": pl.String,
    "people_share": pl.Float64,
    "people_right": pl.Float64,
    "models_answer": pl.String,
    "models_right": pl.Float64,
    "gap": pl.Float64,
    "people": pl.Int64,
    "models": pl.Int64,
}


def disputed(panel: Panel, models: pl.DataFrame, reference: pl.DataFrame, target: Target) -> pl.DataFrame:
    """Return the items that both answered, widest gap first; rows of `SCHEMA`.

    `people_right` is the share of people who gave the reference's label, `models_right` that of the models' answers
    (all models and trials), `gap` the first minus the second; `right` says who has the larger share (`people`,
    `models`, `both`). `people_share` is that of people's commonest answer.
    """
    answers = (
        judge(models, reference, target)
        .group_by("utterance", "start", "end")
        .agg(
            models_answer=pl.col("answer").mode().sort().first(),
            models_right=1 - pl.col("wrong").mean(),
            models=pl.struct("run", "rater").n_unique(),
        )
    )
    counts = np.stack([(panel.answers == k).sum(axis=1) for k in range(len(panel.labels))], axis=1)
    there = (panel.answers >= 0).sum(axis=1)
    truth = np.maximum(panel.truth, 0)
    people = panel.items.with_columns(
        reference=pl.Series([panel.labels[k] for k in truth], dtype=pl.String),
        people_answer=pl.Series([panel.labels[k] for k in counts.argmax(axis=1)], dtype=pl.String),
        people_share=pl.Series(counts.max(axis=1, initial=0) / np.maximum(there, 1)),
        people_right=pl.Series(counts[np.arange(len(truth)), truth] / np.maximum(there, 1)),
        people=pl.Series(there),
    ).filter(pl.Series((panel.truth >= 0) & (there > 0)))
    gap = pl.col("people_right") - pl.col("models_right")
    who = pl.when(gap > 0).then(pl.lit("people")).when(gap < 0).then(pl.lit("models")).otherwise(pl.lit("both"))
    return (
        people.join(answers, on=["utterance", "start", "end"], nulls_equal=True)
        .with_columns(gap=gap, right=who)
        .sort(gap.abs(), "people_share", "utterance", "start", descending=[True, True, False, False])
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    )
