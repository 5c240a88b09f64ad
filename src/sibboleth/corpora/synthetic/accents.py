"""Dutch of the controlled corpus, spoken natively and with phones of French, German and English.

So it asks on this machine what Flemish and Dutch speech asks of people: whether a recogniser learnt from native
speakers serves those with another first language. Made as `corpus` says, and never a result about people.
"""

from dataclasses import replace
from pathlib import Path

import polars as pl

from sibboleth.corpora.synthetic import corpus
from sibboleth.corpora.synthetic.design import Design
from sibboleth.corpus import Corpus

DESIGN = Design(
    languages=("nl",),
    emotions=("happy", "neutral", "sad"),
    speakers=38,
    utterances=8,
    sentences=24,
    accents={"nl": ("de", "en", "fr")},
    accented=18,
)
"""20 native speakers and 6 with each first language, as many women as men; each says the same 24 sentences once."""

CARD = replace(
    corpus.CARD,
    title="made here: Dutch by native speakers and with the phones of German, English and French",
    languages=DESIGN.languages,
    targets=("text", "accent", "emotion"),
    address="sibboleth corpus prepare synthetic-accents FOLDER",
    labels={"emotion": {emotion: emotion for emotion in DESIGN.emotions}},
    remarks=(
        "a test of tools, and never a result about people",
        "all say the same 24 sentences: word error rates rank speakers, and are none of new texts",
    ),
)

TRAIN, DEV = 12, 2
"""Native speakers who train and who select; the other natives are tested, and all who have an accent."""


def prepare(root: Path) -> Corpus:
    """Make the corpus in a folder, or what is missing of it, and return it; raises as `corpus.prepare`.

    The column `part` is a split list: one training, whose model answers native and accented speakers alike.
    """
    made = corpus.prepare(root, DESIGN)
    natives = made.table.filter(accent="native")["speaker"].unique(maintain_order=True)
    part = dict.fromkeys(natives[:TRAIN], "train") | dict.fromkeys(natives[TRAIN : TRAIN + DEV], "dev")
    parts = pl.col("speaker").replace_strict(part, default="test", return_dtype=pl.String)
    return replace(made, table=made.table.with_columns(parts.alias("part")))
