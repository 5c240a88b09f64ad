"""Pretraining: what encoders have been trained on before, from a table of published facts and what a folder says."""

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl

from sibboleth.audit.finding import Evidence, Finding, plural, some

LABELLED = re.compile(
    r"whisper|[-_](960|100|10)h\b|[-_](10m|1h)\b|(?<![a-z])ft(?![a-z])|fine-?_?tun|for-?ctc|(?<![a-z])(ctc|asr|s2t|stt)(?![a-z])"
    r"|mms-(1b-(all|l1107|fl102)|lid)|xlsr-53-[a-z]|[-_]to-en\b|emotion|superb-|(?<![a-z])(ser|vad|kws|lid|er|sid)(?![a-z])|transcri",
    re.IGNORECASE,
)
"""Names of checkpoints that were trained with labels, where the table does not know them."""
UNLABELLED_HEAD = re.compile(r"PreTraining|Model$|MaskedLM")
CARD = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
"""The metadata that a model card begins with."""


@dataclass(frozen=True)
class History:
    """What an encoder has been trained on."""

    heard: tuple[str, ...]
    """Corpora whose speech it has heard, with or without labels."""
    labels: str
    """Kind of labels it was trained with: transcripts, emotions, ...; empty for none."""
    labelled: tuple[str, ...]
    """Corpora whose labels it was trained with."""
    source: str
    """Where that is said."""

    @property
    def told(self) -> str:
        """Say the labels for a sentence."""
        return f"{self.labels} of {', '.join(self.labelled)}" if self.labelled else self.labels


def labelled_encoder(evidence: Evidence) -> Finding | None:
    """Find encoders that were trained with labels, by the table, their name or their configuration."""
    found = [name for name in evidence.encoders if name in evidence.fine_tuned or trained_with_labels(name)]
    if not found:
        return None
    histories = {name: history(name) for name in found}
    told = [name + (f" ({past.told})" if (past := histories[name]) and past.labels else "") for name in found]
    return Finding(
        "labelled-encoder",
        "warning",
        f"{plural(len(found), 'encoder')} trained with labels: {some(told)}.",
        "Beside encoders trained on speech alone, the difference is one of transcripts or labels too, and the test "
        "corpus may be among what they have seen.",
    )


def encoder_heard_test_corpus(evidence: Evidence) -> Finding | None:
    """Find encoders that have been trained on a corpus that is tested."""
    tested = _tested(evidence)
    told = []
    for name in evidence.encoders:
        past = history(name)
        if past is None:
            continue
        for known, ours in tested.items():
            if known in _expanded(past.heard):
                how = f"with its {past.labels}" if known in _expanded(past.labelled) else "without labels"
                told.append(f"{name} was trained on {known} ({ours}) {how} [{past.source}]")
    if not told:
        return None
    return Finding(
        "encoder-heard-test-corpus",
        "warning",
        f"What is tested was heard before: {some(told)}.",
        "A score there is no measure of new recordings, and no fair comparison with encoders that had not heard them; "
        "trained with labels, the encoder may know the answers. The source says which part was used, mostly train.",
    )


def unknown_encoder(evidence: Evidence) -> Finding | None:
    """Find encoders of which nothing is known, where a tested corpus is one that encoders are trained on."""
    tested = [known for known in _tested(evidence) if known in _trained_on()]
    unknown = [name for name in evidence.encoders if not _control(name) and history(name) is None]
    if not tested or not unknown:
        return None
    return Finding(
        "unknown-encoder",
        "note",
        f"What {some(unknown)} {'was' if len(unknown) == 1 else 'were'} trained on is not known here.",
        f"Other encoders have been trained on {some(tested)}: look whether {some(unknown)} had heard it too.",
    )


def trained_with_labels(name: str) -> bool:
    """Tell from the table, its name, or the files in its folder, that a checkpoint was trained with labels."""
    if _control(name):
        return False
    past = history(name)
    if past is not None:
        return bool(past.labels)
    heads = _configuration(name).get("architectures")
    if isinstance(heads, list):
        return any(not UNLABELLED_HEAD.search(str(head)) or str(head).startswith("Whisper") for head in heads)
    return LABELLED.search(name.partition("@")[0]) is not None


def history(name: str) -> History | None:
    """Return what is known of a checkpoint, by its name or by the names and corpora that its folder mentions."""
    if _control(name):
        return None
    if not Path(name).is_dir():
        return _listed(name)
    card = _card(name)
    head = _configuration(name).get("architectures")
    named = [str(_configuration(name).get("_name_or_path") or ""), *card.get("base_model", ()), Path(name).name]
    listed = next((past for one in named if (past := _listed(one))), None)
    corpora = tuple(known for one in card.get("datasets", ()) if (known := recognised(one)))
    if listed is None and not corpora:
        return None
    labelled = isinstance(head, list) and any(not UNLABELLED_HEAD.search(str(one)) for one in head)
    past = listed or History((), "", (), "")
    return History(
        tuple(dict.fromkeys((*past.heard, *corpora))),
        past.labels or ("labels" if labelled else ""),
        tuple(dict.fromkeys((*past.labelled, *(corpora if labelled else ())))),
        past.source if past.source and not corpora else str(Path(name) / "README.md"),
    )


def recognised(name: str) -> str | None:
    """Return the published name of a corpus, whatever its spelling, version or language: `common_voice_17_0`."""
    words = re.sub(r"[^a-z0-9]+", " ", name.rpartition("/")[2].lower()).split()
    aliases = _aliases()
    for begin in range(len(words)):
        for end in range(len(words), begin, -1):
            if found := aliases.get("".join(words[begin:end])):
                return found
    return None


def _tested(evidence: Evidence) -> dict[str, str]:
    """Return the known corpora that are tested, with the names that they have here."""
    if not evidence.encoders:
        return {}
    here = np.zeros(len(evidence.table), dtype=bool)
    for _, test in evidence.tests():
        here[test.rows] = True
    columns = [name for name in dict.fromkeys(("corpus", evidence.domain)) if name in evidence.table.columns]
    found: dict[str, str] = {}
    for name in columns:
        tested = evidence.column(name).cast(pl.String).filter(pl.Series(here))
        for ours in tested.drop_nulls().unique().sort():
            if known := recognised(ours):
                found.setdefault(known, ours)
    return found


def _control(name: str) -> bool:
    """Tell encoders that nobody has trained on any corpus: those in the box have heard synthetic speech alone."""
    return name.startswith(("untrained:", "python:", "sibboleth-tiny-")) or name == "logmel"


def _listed(name: str) -> History | None:
    plain = name.partition("@")[0].strip().lower()
    return next((past for pattern, past in _table() if pattern.fullmatch(plain)), None)


@cache
def _table() -> tuple[tuple[re.Pattern[str], History], ...]:
    return tuple(
        (
            re.compile(row["pattern"]),
            History(_split(row["heard"]), row["labels"], _split(row["labelled"]), row["source"]),
        )
        for row in _rows("encoders.csv")
    )


@cache
def _aliases() -> dict[str, str]:
    return {alias: row["corpus"] for row in _rows("corpora.csv") for alias in _split(row["aliases"])}


@cache
def _trained_on() -> frozenset[str]:
    return frozenset(corpus for _, past in _table() for corpus in _expanded(past.heard))


def _expanded(corpora: Iterable[str]) -> set[str]:
    """Put the names of corpora for `all corpora of EmoBox`."""
    found = set(corpora)
    if "all corpora of EmoBox" in found:
        found |= {row["corpus"] for row in _rows("corpora.csv") if row["emobox"]}
    return found


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("sibboleth.audit").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _configuration(folder: str) -> Mapping[str, object]:
    try:
        found = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _card(folder: str) -> dict[str, list[str]]:
    """Read `base_model` and `datasets` from a model card: `key: value`, `key: [a, b]` or a list of lines."""
    try:
        text = (Path(folder) / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    head = CARD.match(text)
    found: dict[str, list[str]] = {}
    key = ""
    for line in head[1].splitlines() if head else ():
        if entry := re.match(r"(\w+):\s*(.*)$", line):
            key = entry[1]
            found[key] = [part.strip(" '\"") for part in entry[2].strip("[]").split(",") if part.strip(" '\"")]
        elif item := re.match(r"\s*-\s+([^:]+)$", line):
            found.setdefault(key, []).append(item[1].strip(" '\""))
    return found
