"""The table of lost words: those that a recogniser misses more often in one group of speakers than in the others."""

import numpy as np
import polars as pl
from scipy import special

from sibboleth.scores.recognition.transcripts import WHO, Transcripts
from sibboleth.scores.slices import Codes, Items
from sibboleth.stats import degrees, holm

WORDS: dict[str, type[pl.DataType]] = WHO | {
    "column": pl.String,
    "group": pl.String,
    "word": pl.String,
    "said": pl.Int64,
    "lost": pl.Int64,
    "deleted": pl.Int64,
    "heard": pl.String,
    "heard_count": pl.Int64,
    "rate": pl.Float64,
    "others_said": pl.Int64,
    "others_lost": pl.Int64,
    "others_rate": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "clusters": pl.Int64,
    "others_clusters": pl.Int64,
}
FEWEST = 5
"""Times that a word has to be said, in the group and by the others, to be compared."""


def lost_words(transcripts: Transcripts, confidence: float = 0.95) -> pl.DataFrame:
    """Compare how often each word is deleted or replaced in a group and in the others, a row of `WORDS` each.

    Only words said `FEWEST` times or more, by two speakers or more, on both sides. `heard` is what most often stands
    in the word's place (null where it was only deleted). `difference` is the rate minus the others', with a t
    interval whose variance is that between speakers, or that of independent words where it is larger; `p_holm` is
    corrected over all words and groups of a rater and column. Rows are ordered by the lower limit, highest first.
    """
    frames = [pl.DataFrame(schema=WORDS)]
    for who, rows in transcripts.raters():
        items = transcripts.items.take(rows)
        said = _said(transcripts, rows)
        for column, groups in items.groups():
            compared = pl.concat(_compared(said, items, groups, k, confidence) for k in range(len(groups)))
            corrected = pl.Series("p_holm", holm(compared["p"].to_numpy()), pl.Float64)
            named = {**who, "column": column}
            table = compared.with_columns(corrected, *(pl.lit(value).alias(name) for name, value in named.items()))
            table = table.sort("group", "low", "word", descending=[False, True, False])
            frames.append(table.select(pl.col(name).cast(kind) for name, kind in WORDS.items()))
    return pl.concat(frames)


def _said(transcripts: Transcripts, rows: Codes) -> pl.DataFrame:
    """List every word of the references: `answer`, `word`, and `heard` (the word itself, another, or nothing)."""
    found = [
        (answer, edit.reference, edit.hypothesis)
        for answer, row in enumerate(rows.tolist())
        for edit in transcripts.edits[row]
        if edit.kind != "insert"
    ]
    return pl.DataFrame(found, schema={"answer": pl.Int64, "word": pl.String, "heard": pl.String}, orient="row")


def _compared(
    said: pl.DataFrame, items: Items, groups: list[tuple[str, Codes]], place: int, confidence: float
) -> pl.DataFrame:
    others = np.concatenate([np.zeros(0, np.int64), *(rows for k, (_, rows) in enumerate(groups) if k != place)])
    inside, outside = (_side(said, items, rows) for rows in (groups[place][1], others))
    both = inside.join(outside.drop("deleted", "heard", "heard_count"), on="word", suffix="_others").sort("word")
    rates = [both[f"rate{end}"].to_numpy() for end in ("", "_others")]
    variances = np.stack([both[f"variance{end}"].to_numpy() for end in ("", "_others")])
    each = np.stack([both[f"freedom{end}"].to_numpy() for end in ("", "_others")])
    freedom = degrees(variances, each)
    error = np.sqrt(variances.sum(axis=0))
    difference = rates[0] - rates[1]
    step = special.stdtrit(freedom, (1 + confidence) / 2) * error
    return both.select(
        "word",
        "said",
        "lost",
        "deleted",
        "heard",
        "heard_count",
        "rate",
        "clusters",
        pl.lit(groups[place][0]).alias("group"),
        *(pl.col(f"{column}_others").alias(f"others_{column}") for column in ("said", "lost", "rate", "clusters")),
        pl.Series("difference", difference),
        pl.Series("low", np.maximum(difference - step, -1.0)),
        pl.Series("high", np.minimum(difference + step, 1.0)),
        pl.Series("p", 2 * special.stdtr(freedom, -np.abs(difference) / error)),
    )


def _side(said: pl.DataFrame, items: Items, rows: Codes) -> pl.DataFrame:
    """Count how often each word is said and lost in some of the answers, with the variance of the rate.

    The variance between speakers is that of residuals divided by 1 minus the speaker's share of the word.
    """
    here = pl.DataFrame({"answer": rows, "cluster": items.clusters[rows]})
    words = said.join(here, on="answer").with_columns(lost=pl.col("word") != pl.col("heard"))
    by_speaker = words.group_by("word", "cluster").agg(said=pl.len(), lost=pl.col("lost").sum())
    by_speaker = by_speaker.sort("word", "said", "lost")  # an order in which names of speakers have no part
    share = pl.col("said") / pl.col("said").sum()
    rate = pl.col("lost").sum() / pl.col("said").sum()
    apart = ((pl.col("lost") - rate * pl.col("said")) / (1 - share)).pow(2).sum() / pl.col("said").sum().pow(2)
    smooth = (pl.col("lost").sum() + 0.5) / (pl.col("said").sum() + 1)
    found = by_speaker.group_by("word", maintain_order=True).agg(
        pl.max_horizontal(apart, smooth * (1 - smooth) / pl.col("said").sum()).alias("variance"),
        (pl.col("said").sum().pow(2) / pl.col("said").pow(2).sum() - 1).clip(lower_bound=1.0).alias("freedom"),
        rate.alias("rate"),
        pl.col("said").sum().cast(pl.Int64),
        pl.col("lost").sum().cast(pl.Int64),
        pl.len().cast(pl.Int64).alias("clusters"),
    )
    found = found.filter(pl.col("said") >= FEWEST, pl.col("clusters") > 1)
    replaced = words.filter("lost", pl.col("heard") != "").group_by("word", "heard").agg(heard_count=pl.len())
    commonest = replaced.sort("heard_count", "heard", descending=[True, False]).unique(
        "word", keep="first", maintain_order=True
    )
    deleted = words.group_by("word").agg(deleted=(pl.col("heard") == "").sum())
    return found.join(deleted, on="word").join(commonest, on="word", how="left")
