"""Dutch of the controlled corpus, spoken natively and with phones of French, German and English.

So it asks on this machine what Flemish and Dutch speech asks of people: whether a recogniser learnt from native
speakers serves those with another first language. Made as `corpus` says, and never a result about people.
"""

from pathlib import Path

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


def prepare(root: Path) -> Corpus:
    """Make the corpus in a folder, or what is missing of it, and return it; raises as `corpus.prepare`."""
    return corpus.prepare(root, DESIGN)
