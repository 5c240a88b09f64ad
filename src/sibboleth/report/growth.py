"""What a data study says in words: what more speech, another language and pre-training at all do to a target."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sibboleth.report import significance, wording
from sibboleth.report.contrasts import CLEAR

UNEVEN = 1.05
"""Ratio of the audio that two encoders heard above which they were not treated alike."""


@dataclass(frozen=True)
class Told:
    """Numbers of one target and regime, over all domains together."""

    regime: str
    points: list[dict[str, Any]]
    """Rows of curves.parquet."""
    differences: list[dict[str, Any]]
    """Rows of differences.parquet, with floors."""
    metric: str

    @property
    def better(self) -> int:
        """1 where a higher value is better, else -1."""
        return 1 if wording.higher_is_better(self.metric) else -1

    @property
    def largest(self) -> list[dict[str, Any]]:
        """Points of the largest amount, one of each language."""
        trained = [row for row in self.points if row["role"] == "pretrained"]
        return [row for row in trained if row["hours"] == max(one["hours"] for one in trained)]

    def compared(self, a: str, b: str) -> dict[str, Any] | None:
        """Find the paired difference a - b."""
        for row in self.differences:
            if (row["a"], row["b"]) == (a, b):
                return row
        return None


def sentences(told: Told) -> list[str]:
    """Say first what more speech does in each language, then which language is best, then what the others reach."""
    trained = [row for row in told.points if row["role"] == "pretrained"]
    languages = list(dict.fromkeys(str(row["language"]) for row in trained))
    largest = told.largest
    most = float(largest[0]["hours"])
    said = [text for language in languages for text in _grown(told, [r for r in trained if r["language"] == language])]
    said += _languages(told, largest, most)
    said += [text for row in told.points if row["role"] != "pretrained" for text in _against(told, largest, row, most)]
    return said


def ends(told: Told) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the smallest and the largest amount of each language, where they differ."""
    trained = [row for row in told.points if row["role"] == "pretrained"]
    found = []
    for language in dict.fromkeys(str(row["language"]) for row in trained):
        ordered = sorted((row for row in trained if row["language"] == language), key=lambda one: float(one["hours"]))
        if len(ordered) > 1:
            found.append((ordered[0], ordered[-1]))
    return found


def begun(told: Told) -> dict[str, Any] | None:
    """Return what pre-training began with: the best known of the controls for what it adds."""
    return next((row for row in told.points if row["role"] == "start"), None)


def _grown(told: Told, row: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say what amounts of one language do, the ends first."""
    ordered = sorted(row, key=lambda one: float(one["hours"]))
    first, last = ordered[0], ordered[-1]
    ends = told.compared(last["name"], first["name"])
    if len(ordered) < 2 or ends is None:
        return
    metric = wording.metric(told.metric)
    text = (
        f"From {first['hours']:g} h to {last['hours']:g} h of {first['language']} {metric} goes from {_level(first)} "
        f"to {_level(last)}: {verdict(told, ends, 'more speech is better', 'more speech is worse')}"
    )
    if len(ordered) > 2:
        steps = []
        for less, more in zip(ordered, ordered[1:], strict=False):
            step = told.compared(more["name"], less["name"])
            if step is not None:
                steps.append(f"{less['hours']:g} to {more['hours']:g} h {difference(step)}{_mark(step)}")
        text += f". Step by step: {'; '.join(steps)}"
    yield f"{text}."


def _languages(told: Told, largest: Sequence[dict[str, Any]], most: float) -> Iterator[str]:
    """Say how languages compare at the largest amount, the best first."""
    ranked = sorted(largest, key=lambda one: -told.better * float(one["estimate"]))
    if len(ranked) < 2:
        return
    texts = []
    for place, one in enumerate(ranked):
        for other in ranked[place + 1 :]:
            row = told.compared(one["name"], other["name"]) or _turned(told.compared(other["name"], one["name"]))
            if row is not None:
                texts.append(f"{one['language']} \N{MINUS SIGN} {other['language']} {difference(row)}{_mark(row)}")
    levels = ", ".join(f"{one['language']} {_level(one)}" for one in ranked)
    yield f"With {most:g} h: {levels}. Paired: {'; '.join(texts)}."


def _against(told: Told, largest: Sequence[dict[str, Any]], other: dict[str, Any], most: float) -> Iterator[str]:
    texts = []
    for one in largest:
        row = told.compared(one["name"], other["name"])
        if row is not None:
            texts.append(f"{one['language']} {difference(row)}{_mark(row)}")
    if texts:
        yield f"{title(other)} reaches {_level(other)}. With {most:g} h, minus that: {'; '.join(texts)}."


def title(row: dict[str, Any]) -> str:
    """Name what was not pre-trained here, with what it is."""
    marks = {"start": "what pre-training began with", "control": "control", "other": "beside them"}
    return f"{row['name']} ({marks[str(row['role'])]})"


def difference(row: dict[str, Any]) -> str:
    """Write a difference with its interval."""
    return wording.estimate(row["difference"], row["low"], row["high"])


def verdict(told: Told, row: dict[str, Any], better: str, worse: str) -> str:
    """Say what a paired difference shows, with its p."""
    p = wording.p_value(row["p_holm"])
    shown = f"a paired difference of {difference(row)}, p {p if p.startswith('<') else f'= {p}'} after Holm"
    if significance.mute(row):
        return f"{shown}, where no answers could have made p small: read the interval"
    if not significance.significant(row):
        return f"{shown}, so the two are not told apart"
    return f"{shown}, so {better if told.better * row['difference'] > 0 else worse}"


def _mark(row: dict[str, Any]) -> str:
    return f" ({CLEAR})" if significance.significant(row) else ""


def _level(row: dict[str, Any]) -> str:
    return wording.estimate(row["estimate"], row["low"], row["high"])


def _turned(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {**row, "difference": -row["difference"], "low": -row["high"], "high": -row["low"]}


def held_equal(record: dict[str, Any]) -> list[str]:
    """List what all points have in common."""
    settings = record["settings"]
    wanted = settings["pretraining"]
    begin, training, batches = wanted["start"], wanted["training"], wanted["batches"]
    audio = [float(one["audio"]) for one in record["pretrainings"]]
    heard = (
        f"{min(audio):.2g}" if f"{min(audio):.2g}" == f"{max(audio):.2g}" else f"{min(audio):.2g} to {max(audio):.2g}"
    )
    folds = settings["splits"]["scheme"]
    named = begin.get("checkpoint") or f"{begin['architecture']}, the same random weights"
    said = [
        f"Steps: {training['steps']:,} each, of batches of {batches['seconds'] * batches['accumulate']:g} s, so that "
        f"each encoder heard {heard} h of audio, however much of it was different",
        f"Start: {named}{', with mel filters' if begin['filters'] == 'mel' else ''} (seed {record['seed']})",
        f"Objective ({wanted['objective']['kind']}), learning rate, augmentation, all other settings of pre-training",
        f"Downstream: the same utterances, folds ({folds}) and probes for every encoder, answer by answer",
        "Less speech is always a part of more of the same language",
    ]
    for language, corpora in settings["languages"].items():
        if len(corpora) > 1:
            said.append(
                f"{language} has the same hours in all as a language of its own: equal shares of "
                f"{wording.listing(corpora)}, which are parts of what these give alone"
            )
    return said


def not_equal(record: dict[str, Any]) -> list[str]:
    """List what differs between the points besides amount and language, and what the intervals do not cover."""
    wanted = record["settings"]["pretraining"]
    made = sorted(record["pretrainings"], key=lambda one: float(one["used"]))
    few, many = made[0], made[-1]
    said = [
        f"Repetition: at the same steps {few['used']:.3g} h were heard {passes(few):.3g} times over, "
        f"{many['used']:.3g} h {passes(many):.3g} times: what more speech does includes that it is repeated less",
        "Variety: more hours bring more sentences and, as far as the corpora have them, more speakers; which of the "
        "two matters is not told apart",
        "One pre-training stands behind each point: intervals are over the speakers of the tests, and how much another "
        "seed of pre-training would change is not in them",
    ]
    audio = [float(one["audio"]) for one in made]
    if max(audio) > UNEVEN * min(audio):
        said.append(
            "Audio per step: batches are made of whole pieces, and little speech fills them less well "
            f"({min(audio):.2g} to {max(audio):.2g} h in all)"
        )
    objective = wanted["objective"]
    if objective["kind"] == "hubert":
        said.append(
            f"The clusters to be predicted are learnt on each point's own speech (at most {objective['hours']:g} h), "
            "so losses of different points cannot be compared"
        )
    if wanted["start"]["filters"] == "mel":
        said.append(
            "The untrained control has random filters in its first layer; 0h is what pre-training began with, mel "
            "filters included"
        )
    if record.get("heard"):
        said.append(wording.capital(str(record["heard"])))
    return said


def passes(made: dict[str, Any]) -> float:
    """Return how often each second was heard, on average."""
    return float(made["audio"]) / float(made["used"])


def whole(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows over all domains together."""
    return frame.filter(pl.col("domain").is_null()).to_dicts()
