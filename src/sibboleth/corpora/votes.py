"""Answers that listeners gave when a corpus was made, where it is known how many said what, and not who.

Each vote is a forced choice: a row of the predictions table, a trial of one rater that stands for them all. So the mean
over trials is what a listener at random does, pooled they are the crowd's shares, and nobody is made up who heard all.
"""

from collections.abc import Mapping

import polars as pl

from sibboleth import predictions


def table(run: str, rater: str, target: str, votes: Mapping[str, Mapping[str, int]]) -> pl.DataFrame:
    """Return the votes, a row each, the most frequent label first.

    Args:
        run: what the group of listeners is called.
        rater: what stands for all of them.
        target: what was asked.
        votes: utterance to label to number of listeners who said it.
    """
    rows = []
    for utterance, counts in votes.items():
        frequent = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        said = [label for label, number in frequent for _ in range(number)]
        rows += [(utterance, trial, label) for trial, label in enumerate(said)]
    each = pl.DataFrame(rows, schema={"utterance": pl.String, "trial": pl.Int32, "label": pl.String}, orient="row")
    about = {"run": run, "source": "listener", "rater": rater, "target": target, "value": 1.0}
    return predictions.table({**about, **each.to_dict()}).sort(predictions.KEY)
