"""Stand-ins: controlled speech in the published layouts of ESD, PAVOQUE, IEMOCAP and ZED, and of a dialect.

For who wants to see a study of these corpora run before having them. Importers read the folders as they read the
corpora, and give the utterances the column `synthetic` by the file `stand-in.json` in each, so that no report takes
them for people::

    speech/zh, de, en       the controlled corpora that all is made of
    esd/                    ten speakers of Mandarin: 0001/Angry/0001_000351.wav, 0001/0001.txt
    pavoque/                one German: a recording and a list per style
    iemocap/                ten speakers of English in five sessions, improvised and scripted dialogues
    zed/                    ten other speakers of English, in whose utterances one emotion comes and goes
    tianjin/manifest.csv    eight more speakers of Mandarin, who have the phones of English: a dialect

German and Mandarin code emotion alike; English codes each emotion as they code the next one, so that what is learnt of
one must not carry to the other. Sound is made only where it is missing; the same settings give the same samples.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from sibboleth import runs
from sibboleth.corpora import STAND_IN
from sibboleth.corpora.synthetic import corpus, laid_out
from sibboleth.corpora.synthetic.design import Design
from sibboleth.errors import InvalidInput
from sibboleth.settings import Settings

CORPORA = ("esd", "pavoque", "iemocap", "zed", "tianjin")
SPEAKERS = 10
"""Of ESD, IEMOCAP and ZED each, women and men in turn."""
DIALECT = 8
"""Speakers of the dialect."""
SENTENCES = 24
CHOICE = 2
"""A speaker says so many times as many utterances as are used; those with the shortest sentences are."""


class StandIns(Settings):
    """How much is spoken."""

    per_label: int = Field(30, ge=10, le=SENTENCES // CHOICE * SPEAKERS, multiple_of=SPEAKERS)
    """Utterances of each emotion in each corpus; the dialect has eight for every ten."""
    mixes: int = Field(36, ge=3)
    """Utterances of ZED."""
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Folders:
    """Where the stand-ins are to be, which need not be beside one another."""

    speech: Path
    esd: Path
    pavoque: Path
    iemocap: Path
    zed: Path | None
    tianjin: Path | None


def prepare(folders: Folders, asked: StandIns) -> None:
    """Make all folders, or what is missing of them.

    Raises `InvalidInput` where a folder holds anything else, `MissingExtra` without espeak-ng.
    """
    wanted = {name: folder for name in CORPORA if (folder := getattr(folders, name)) is not None}
    for folder in wanted.values():
        _require_own(folder)
    each = asked.per_label // SPEAKERS
    zh = {"speakers": SPEAKERS + DIALECT, "accents": {"zh": "en"}, "accented": DIALECT, "utterances": CHOICE * each}
    de = {"speakers": 2, "accented": 0, "utterances": asked.per_label}
    en = {"speakers": 2 * SPEAKERS, "accented": 0, "utterances": CHOICE * each, "coding": {"en": "permuted"}}
    spoken = {
        language: _spoken(folders.speech, language, asked.seed, count, **design)
        for language, count, design in (("zh", each, zh), ("de", asked.per_label, de), ("en", each, en))
    }
    parts = {
        "esd": spoken["zh"].filter(accent="native"),
        "pavoque": spoken["de"].filter(sex="male"),
        "iemocap": spoken["en"].filter(pl.col("place") < SPEAKERS),
        "zed": spoken["en"].filter(pl.col("place") >= SPEAKERS),
        "tianjin": spoken["zh"].filter(pl.col("accent") != "native"),
    }
    for name, folder in wanted.items():
        _lay_out(name, folder, parts[name], folders.speech, asked)


def _require_own(folder: Path) -> None:
    """Refuse a folder that may be the corpus itself."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / STAND_IN).is_file():
        raise InvalidInput(
            f"{folder}: holds other files, and no stand-in is spoken there; where it is the corpus itself, set "
            "stand_ins = false"
        )


def _spoken(root: Path, language: str, seed: int, each: int, **design: Any) -> pl.DataFrame:
    """Speak a controlled corpus; return the utterances with the shortest sentences, `each` per speaker and emotion.

    The column `place` is the speaker's, from 0.
    """
    asked = Design.model_validate({"languages": (language,), "sentences": SENTENCES, "seed": seed, **design})
    table = corpus.prepare(root / language, asked).table
    places = {name: place for place, name in enumerate(table["speaker"].unique(maintain_order=True))}
    placed = table.with_columns(pl.col("speaker").replace_strict(places, return_dtype=pl.Int64).alias("place"))
    ordered = placed.sort(pl.col("text").str.len_chars(), "utterance")
    return ordered.group_by("speaker", "emotion", maintain_order=True).head(each).sort("place", "utterance")


def _lay_out(name: str, folder: Path, spoken: pl.DataFrame, speech: Path, asked: StandIns) -> None:
    """Make one folder; what says that it is no corpus is there before anything else."""
    told = {
        "stand-in": name,
        "note": "speech of a machine in the layout of a corpus; never a result about people",
        "synthetic": spoken["synthetic"][0],
    }
    runs.write_text(folder / STAND_IN, json.dumps(told, indent=2) + "\n")
    if name == "zed":
        laid_out.zed(folder, spoken, speech / "zed", asked.mixes, asked.seed)
    else:
        LAID_OUT[name](folder, spoken)


LAID_OUT: dict[str, Callable[[Path, pl.DataFrame], None]] = {
    "esd": laid_out.esd,
    "pavoque": laid_out.pavoque,
    "iemocap": laid_out.iemocap,
    "tianjin": laid_out.dialect,
}
