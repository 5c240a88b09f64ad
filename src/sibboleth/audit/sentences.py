"""Sentences: whether train and test speak the same texts.

Two texts are the same sentence if their letters, marks and digits are the same, in this order. Ignored are case,
punctuation, blanks (so that scripts with and without them compare alike, and `E-Mail` is `email`), compatibility and
composition forms of Unicode, invisible characters, the optional vowel points of Arabic and Hebrew, and separators in
numbers. Not ignored are diacritics that make other words (`schön`, `schon`), traditional and simplified characters,
and numbers against their words. One word more or less is another sentence.
"""

import numpy as np
import polars as pl

from sibboleth.audit.finding import Evidence, Finding
from sibboleth.audit.leaks import overlap
from sibboleth.schemes import Rows, codes
from sibboleth.splits import Fit

_OPTIONAL = r"[\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u0610-\u061A\u0640\u064B-\u065F\u0670]"


def shared_sentences(evidence: Evidence) -> Finding | None:
    """Find test utterances whose sentence is also spoken in train."""
    values = spoken(evidence)
    found = overlap(evidence, values, _trained)
    if found is None:
        return None
    known = np.zeros(len(values), dtype=bool)
    for _, test in evidence.tests():
        known[test.rows[values[test.rows] >= 0]] = True
    return Finding(
        "shared-sentences",
        "warning",
        f"Train and test share sentences: {len(found.rows) / known.sum():.0%} of the {known.sum()} test utterances "
        f"with a text speak a sentence that is also in train (different sentences: {found}).",
        "The words are known from training. Where sentence and label go together, scores are too high for new texts.",
        evidence.utterances(found.rows),
    )


def _trained(fit: Fit) -> Rows:
    """Return the rows that train, in both stages."""
    return fit.train if fit.then is None else np.concatenate([fit.train, fit.then.train])


def spoken(evidence: Evidence) -> Rows:
    """Number the sentences of all utterances from 0; -1 is unknown."""
    return evidence.once("sentences", lambda: _numbered(normalised(evidence.column("text").cast(pl.String))))


def _numbered(sentences: pl.Series) -> Rows:
    """Number the sentences, in no order; -1 is null."""
    several = sentences.is_duplicated() & sentences.is_not_null()
    repeated = codes(sentences.filter(several), unknown=-1)
    numbers = np.arange(len(sentences)) + int(repeated.max(initial=-1)) + 1
    numbers[several.to_numpy()] = repeated
    numbers[sentences.is_null().to_numpy()] = -1
    return numbers


def normalised(texts: pl.Series) -> pl.Series:
    """Reduce texts to what makes two of them the same sentence; null where nothing is left."""
    texts = texts.rename("text")
    different = texts.unique()
    if 2 * len(different) > len(texts):
        return _reduced(texts)
    reduced = pl.DataFrame({"text": different, "reduced": _reduced(different)})
    joined = texts.to_frame().join(reduced, on="text", how="left", maintain_order="left", nulls_equal=True)
    return joined["reduced"]


def _reduced(texts: pl.Series) -> pl.Series:
    """Reduce every text; the forms of Unicode are slow to make, and ASCII has one only."""
    text = pl.col("text")
    is_ascii = text.str.len_bytes() == text.str.len_chars()
    plain = pl.when(is_ascii).then(text).str.to_lowercase().str.replace_all("[^a-z0-9]", "")
    letters = (
        pl.when(~is_ascii)
        .then(text)
        .str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all("ß", "ss", literal=True)
        .str.replace_all("ς", "σ", literal=True)
        .str.replace_all(rf"{_OPTIONAL}|[^\p{{L}}\p{{M}}\p{{N}}]", "")
    )
    # What was between a letter and its mark is gone now; without marks there is nothing to compose.
    marked = pl.when(pl.col("letters").str.contains(r"\p{M}")).then("letters").str.normalize("NFC")
    steps = {"plain": plain, "letters": letters}
    frame = texts.to_frame()
    size = max(1, -(-len(frame) // pl.thread_pool_size()))
    whole = pl.coalesce("plain", marked, "letters").alias("reduced")
    pieces = [piece.lazy().select(**steps).select(whole) for piece in frame.iter_slices(size)]
    reduced = pl.concat(pieces or [frame.lazy().select(reduced="text")]).collect().to_series()
    return reduced.set(reduced == "", None)
