"""How the report writes numbers, names and regimes: the same everywhere."""

import functools
import hashlib
import math
from collections.abc import Collection, Sequence
from pathlib import PurePath
from typing import Any, get_args

from sibboleth import metrics
from sibboleth.metrics import Metric
from sibboleth.targets import Kind, Target

MISSING = "–"
LONGEST_NAME = 100
"""Characters of a file's name, without a digest."""

LONG = {
    "uar": "unweighted average recall (UAR): the mean of the recalls of all classes",
    "accuracy": "accuracy: the share of utterances answered correctly",
    "macro_f1": "macro F1: the mean of the F1 of all classes",
    "ccc": "concordance correlation coefficient (CCC): agreement in level, spread and order; 1 is perfect",
    "pearson": "Pearson correlation",
    "mae": "mean absolute error (MAE), in units of the target; lower is better",
    "wer": "word error rate (WER), errors and words added up over utterances; lower is better",
    "eder": "emotion diarization error rate (EDER): seconds that are wrong (false alarm, missed, confused, overlap), "
    "added up over utterances and divided once by all that was heard; lower is better",
    "cer": "character error rate (CER), errors and characters added up over utterances; lower is better",
}
REGIMES = {
    "within": "trained, selected and tested in the target domain, {parts}",
    "zero-shot": "trained and selected in the source domain, tested in the target: no label of the target is ever used",
    "target-selected": "trained in the source domain, but {choices} are selected with labels of the target: "
    "not zero-shot",
    "few-shot": "trained and selected in the source domain, then trained on for a fixed number of steps with so many "
    "utterances of each class of the target: no other label of the target is used, and nothing is selected by it",
    "two-stage": "trained and selected in the source domain, then trained on and selected in the target domain, "
    "{parts}",
}
ORDER = tuple(REGIMES)
PARTS = {
    "speaker-folds": "divided so that no speaker is in two parts of a fold",
    "leave-one-speaker-out": "divided so that no speaker is in two parts of a fold",
    "leave-one-session-out": "divided so that no recording session is in two parts of a fold",
    "random-folds": "divided at random: the same voices are in all parts",
    "file": "divided as the study's lists say",
}
"""What keeps train, dev and test of one domain apart, by the scheme of the splits."""


@functools.cache
def _metrics() -> dict[str, Metric[Any]]:
    return {m.name: m for kind in get_args(Kind) for m in metrics.of(Target(name="", kind=kind))}


def metric(name: str) -> str:
    """Name of a metric in figures and tables."""
    known = _metrics()
    for end, what in (("_gap", "gap"), ("_mean", "mean over groups"), ("_ratio", "ratio to the best group")):
        if name not in known and name.removesuffix(end) in known:
            return f"{known[name.removesuffix(end)].title} {what}"
    return known[name].title if name in known else name.replace("_", " ").capitalize()


def regime(name: str, choices: str, scheme: str) -> str:
    """Explain a regime, empty where it is not known; `choices` is what dev chooses, `scheme` how folds are made."""
    parts = PARTS.get(scheme, "on parts of it that share no utterance")
    return REGIMES.get(name, "").format(choices=choices, parts=parts)


def place(regime: str) -> int:
    """Rank a regime in the order of the design; one that is not known comes last."""
    return ORDER.index(regime) if regime in ORDER else len(ORDER)


def capital(text: str) -> str:
    """Begin with a capital and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def in_order(names: Collection[str]) -> list[str]:
    """Sort names of metrics as their kind lists them, unknown ones last."""
    known = list(_metrics())
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better; so it is taken to be for one that is not known."""
    known = _metrics()
    return known[name].higher_is_better if name in known else True


def number(value: float | None, digits: int = 2) -> str:
    """Write 0.613 as 0.61 and what is undefined as a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else f"{0:.{digits}f}"


def interval(low: float | None, high: float | None) -> str:
    """Write [0.52, 0.69], or nothing where there is no interval."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{number(low)}, {number(high)}]"


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """Write 0.61 [0.52, 0.69]; an estimate without an interval says so."""
    if number(value) == MISSING:
        return MISSING
    return f"{number(value)} {interval(low, high) or '[no interval]'}"


def p_value(value: float | None) -> str:
    """Write a p-value with three digits, small ones as a bound."""
    if value is None or not math.isfinite(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(size: float) -> str:
    """Write 45 s, 10 min, 1 h."""
    for unit, name in ((3600, "h"), (60, "min")):
        if size >= unit and size % unit == 0:
            return f"{size / unit:g} {name}"
    return f"{size:g} s"


def count(number_of: int, one: str, many: str | None = None) -> str:
    """Write 1 speaker, 1,200 speakers."""
    return f"{number_of:,} {one if number_of == 1 else many or one + 's'}"


def spread(numbers: Sequence[int]) -> str:
    """Write 58 to 62, or 60 where all are alike."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def duration(seconds: float | None) -> str:
    """Write 4.2 s, 42 s, 1 min 24 s, 2 h 5 min."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    large, small, names = (
        (*divmod(whole, 60), ("min", "s")) if whole < 3600 else (*divmod(whole // 60, 60), ("h", "min"))
    )
    return f"{large:,} {names[0]}" + (f" {small} {names[1]}" if small else "")


def memory(size: int | None) -> str:
    """Write 3.2 GB or 870 MB of a number of bytes."""
    if size is None:
        return MISSING
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def plural(domain: str) -> str:
    """Write languages for language, corpora for corpus."""
    return "corpora" if domain == "corpus" else f"{domain}s"


def listing(names: Sequence[str], most: int = 6) -> str:
    """Write a, b and c; long lists end with how many more there are."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def article(noun: str) -> str:
    """Write an accent, a language."""
    return f"{'an' if noun[:1].lower() in set('aeiou') else 'a'} {noun}"


def preposition(domain: str) -> str:
    """People train *in* a language and *on* a corpus."""
    return "in" if domain in ("language", "dialect", "accent", "region") else "on"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Shorten encoder names to what tells them apart: no owner, folder or revision unless two would look alike."""
    short = {name: _short(name) for name in names}
    shared = [s for s in short.values() if list(short.values()).count(s) > 1]
    return {name: name if s in shared else s for name, s in short.items()}


def _short(name: str) -> str:
    if name.startswith("python:"):
        file, _, function = name.removeprefix("python:").rpartition(":")
        return f"{PurePath(file).name}:{function}" if file else function
    if name.startswith("untrained:"):
        return "untrained:" + _short(name.removeprefix("untrained:"))
    path = PurePath(name.partition("@")[0])
    # What `sibboleth pretrain` makes is RUN/encoder: the run is what tells it from others.
    return (path.parent.name if path.name == "encoder" else path.name) or name


def slug(*words: str) -> str:
    """Make a file name of lower-case letters, digits and dashes; where that says too little, with a digest of all."""
    said = "-".join(words).lower()
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in said)
    name = "-".join(part for part in kept.split("-") if part) or "x"
    if said.isascii() and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
