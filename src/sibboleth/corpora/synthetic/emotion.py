"""Emotion as prosody: what is drawn for an utterance, and how well anybody could guess the emotion from it.

Every cue of an utterance is drawn around the mean of its emotion with the same spread for all emotions, relative to
the speaker's own baseline. The classes overlap, so no observer is always right. The best score possible is that of
the Bayes rule, which knows these distributions, the drawn cues without measurement error and the speaker's baseline;
anybody who has only the audio knows less, so it bounds every encoder and listener from above (in expectation, for
answers that take one utterance at a time).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Emotion = Literal["angry", "happy", "neutral", "sad"]
Coding = Literal["alike", "unrelated", "permuted"]
EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)


@dataclass(frozen=True)
class Cue:
    """One number drawn for an utterance."""

    name: str
    meaning: str
    spread: float
    """Standard deviation within an emotion."""
    between_speakers: float
    """Standard deviation of the speakers' baselines."""


CUES = (
    Cue("pitch", "semitones above the speaker's pitch", 2.2, 0.8),
    Cue("range", "octaves (log2 ratio) above the speaker's pitch range", 0.4, 0.1),
    Cue("rate", "octaves (log2 ratio) above the speaker's speaking rate", 0.13, 0.05),
    Cue("loudness", "decibels above the speaker's level", 3.5, 1.0),
    Cue("slope", "semitones from the first word to the last, on top of the language's intonation", 2.5, 0.0),
    Cue("colour_cosine", "decibels of a spectral ripple over the mel scale, cosine part", 1.5, 0.0),
    Cue("colour_sine", "decibels of a spectral ripple over the mel scale, sine part", 1.5, 0.0),
)
PROSODY = 5
"""The first cues are prosody; the other two are colour, which only the coding `unrelated` gives a meaning."""

MEANS: dict[str, tuple[float, ...]] = {
    "angry": (0.9, 0.7, 0.9, 1.9, -1.3),
    "happy": (1.8, 1.1, 0.4, 0.3, 1.3),
    "neutral": (-0.3, -0.9, 0.1, -0.1, -0.2),
    "sad": (-1.2, -0.7, -1.5, -1.7, -0.4),
}
"""Class means of the prosodic cues, in their spreads."""

COLOUR = 2.2
"""Distance of each emotion from no colour, in spreads; the emotions lie evenly on a circle."""

DRAWS = 50_000
"""Simulated utterances per emotion behind a best possible score."""


def prosody_means(emotions: Sequence[str], shift: int = 0) -> Array:
    """Return class means `[emotion, cue]` in spreads, colour at zero; `shift` gives each the code of a later one."""
    means = np.zeros((len(emotions), len(CUES)))
    means[:, :PROSODY] = [MEANS[emotion] for emotion in emotions]
    return np.roll(means, -shift, axis=0)


def colour_means(emotions: Sequence[str]) -> Array:
    """Return class means `[emotion, cue]` in spreads, prosody at zero."""
    angles = 2 * np.pi * np.arange(len(emotions)) / len(emotions)
    means = np.zeros((len(emotions), len(CUES)))
    means[:, PROSODY:] = COLOUR * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return means


def class_means(emotions: Sequence[str], coding: Coding) -> Array:
    """Return what the emotions mean under a coding: `[emotion, cue]` in spreads."""
    if coding == "unrelated":
        return colour_means(emotions)
    return prosody_means(emotions, shift=1 if coding == "permuted" else 0)


def decoy_means(emotions: Sequence[str], coding: Coding) -> Array:
    """Return the means `[emotion, cue]` of the cues that carry no emotion under a coding but do under another.

    They follow a decoy emotion that is independent of the label, so that these cues vary as much where they mean
    nothing as where they mean the emotion, and nothing in them is new to a probe that comes from another language.
    """
    return prosody_means(emotions) if coding == "unrelated" else colour_means(emotions)


def bayes(cues: Array, means: Array) -> npt.NDArray[np.int64]:
    """Answer with the most probable emotion for each row of `cues` `[utterance, cue]`, in spreads.

    Equal spreads and equal priors make the Bayes rule linear: argmax over k of z . m_k - |m_k|^2 / 2.
    """
    answers: npt.NDArray[np.int64] = np.argmax(cues @ means.T - 0.5 * np.sum(means**2, axis=1), axis=1)
    return answers


@dataclass(frozen=True)
class BestScore:
    """UAR of the Bayes rule, by simulation."""

    uar: float
    standard_error: float


def best_score(means: Array, seed: int = 0, draws: int = DRAWS) -> BestScore:
    """Simulate the Bayes rule on `draws` utterances of each class."""
    generator = np.random.default_rng(seed)
    recalls = np.array(
        [
            np.mean(bayes(mean + generator.standard_normal((draws, means.shape[1])), means) == label)
            for label, mean in enumerate(means)
        ]
    )
    error = np.sqrt(np.sum(recalls * (1 - recalls) / draws)) / len(means)
    return BestScore(float(recalls.mean()), float(error))
