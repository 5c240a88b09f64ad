"""What the tests of single checks share: a clean corpus, and a fold of it."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from sibboleth import splits
from sibboleth.audit import Finding, audit
from sibboleth.splits import Fit
from sibboleth.targets import Target

Audited = Callable[..., dict[str, Finding]]


def corpus(speakers: int = 20, domains: str = "AB", each: int = 3) -> pl.DataFrame:
    """Make a corpus in which every speaker of every domain says both labels, in words of its own."""
    rows = [
        {"corpus": domain, "speaker": f"{domain}/s{n:02d}", "emotion": label, "text": f"{domain} {n} {label[0]} {k}"}
        for domain in domains
        for n in range(speakers)
        for label in ("angry", "sad")
        for k in range(each)
    ]
    table = pl.DataFrame(rows).with_row_index("n")
    return table.select(
        utterance=pl.format("{}/{}", "corpus", pl.col("n").cast(pl.String).str.zfill(4)),
        audio=pl.format("/x/{}.wav", "n"),
        corpus="corpus",
        speaker="speaker",
        emotion="emotion",
        text="text",
    )


def halves(table: pl.DataFrame) -> tuple[Fit, ...]:
    """Train on the lower half of the speakers of each domain, and test on the rest."""
    fits = []
    for domain in table["corpus"].unique().sort():
        rows = np.flatnonzero((table["corpus"] == domain).to_numpy())
        rank = table["speaker"].gather(rows).rank("dense").to_numpy()
        low = rank <= rank.max() / 2
        fits.append(Fit(domain, "fold-1", rows[low], rows[:0], (splits.Test("within", domain, rows[~low]),)))
    return tuple(fits)


@pytest.fixture
def table() -> pl.DataFrame:
    """Return a clean corpus of two domains."""
    return corpus()


@pytest.fixture
def make() -> Callable[..., pl.DataFrame]:
    """Return the maker of clean corpora."""
    return corpus


@pytest.fixture
def audited() -> Audited:
    """Return a function that audits a table and names what it found."""

    def look(
        table: pl.DataFrame, fits: tuple[Fit, ...] | None = None, kind: str = "classification", **more: object
    ) -> dict[str, Finding]:
        target = Target(name="emotion", kind=kind, labels=("angry", "sad") if kind == "classification" else ())  # type: ignore[arg-type]
        fits = halves(table) if fits is None else fits
        findings = audit(table, fits, target=target, domain="corpus", **more)  # type: ignore[arg-type]
        assert all(set(finding.utterances) <= set(table["utterance"]) for finding in findings)
        return {finding.name: finding for finding in findings if finding.name != "no-dev"}

    return look
