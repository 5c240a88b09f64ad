"""Panels of simulated listeners with a known ceiling, consistency and effects, for tests of the statistics."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from scipy import special

from sibboleth import predictions


def simulate(
    truth: Mapping[str, str],
    labels: Sequence[str],
    listeners: Sequence[str],
    *,
    ability: Mapping[str, float] | None = None,
    difficulty: Mapping[str, float] | None = None,
    repeats: int = 1,
    run: str = "simulated",
    target: str = "label",
    seed: int = 0,
) -> pl.DataFrame:
    """Answer every utterance of `truth` as simulated listeners would: rows of predictions of source `simulated`.

    A listener knows an utterance's label with probability expit(ability - difficulty), in log odds (both 0 where not
    given), and guesses among all labels else, so that P(right) = know + (1 - know) / labels. Each listener draws by
    the seed and the own name alone.
    """
    utterances = sorted(truth)
    hard = np.array([(difficulty or {}).get(u, 0.0) for u in utterances])
    frames = []
    for listener in listeners:
        random = np.random.default_rng([seed, *listener.encode()])
        know = special.expit((ability or {}).get(listener, 0.0) - hard)
        for trial in range(repeats):
            known = random.random(len(utterances)) < know
            guessed = random.integers(0, len(labels), len(utterances))
            said = [truth[u] if k else labels[g] for u, k, g in zip(utterances, known, guessed, strict=True)]
            frames.append(
                predictions.table(
                    {
                        "run": run,
                        "source": "simulated",
                        "rater": listener,
                        "utterance": utterances,
                        "target": target,
                        "trial": trial,
                        "label": said,
                        "value": 1.0,
                    }
                )
            )
    return pl.concat(frames) if frames else pl.DataFrame(schema=predictions.SCHEMA)
