"""Channel: what the recording itself, without a word of it, tells about label or domain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sibboleth.audit.finding import Cause, Evidence, Finding
from sibboleth.audit.prediction import SHUFFLES, Sample, Values, unlikely
from sibboleth.schemes import Rows

SKILL = 0.15
"""Share of the way from chance to perfect that one measure must go before it is worth a reader's time."""
CORRELATED = 0.3
"""Rank correlation with a number that is."""
UNLIKELY = 0.01
"""p up to which measures are believed to go with the label, over all measures and domains."""
FEWEST = 20
"""Utterances of a domain under which nothing is said."""
RARE = 5
"""Utterances of a label under which it is not counted."""
FLOOR = -100.0
"""dBFS under which levels are alike: digital silence."""
OFFSETS = -80.0
"""dBFS under which the DC offset of a domain is nothing but rounding."""
APART = 0.8
"""How often an utterance of one domain must have more of a measure than one of another (area under the curve)."""
TILTED = 0.5
"""Share of the utterances of two domains that must differ in a measure that is no amount, such as the rate."""


@dataclass(frozen=True)
class Measure:
    """One number or property of a recording."""

    name: str
    values: pl.Expr
    """From the columns of `audio.SCHEMA`, and `letters` of the text."""
    unit: str = ""
    apart: float = 0.0
    """Difference of two medians from which it matters."""
    ratio: bool = False
    """Whether that difference is a ratio."""
    kind: bool = False
    """Whether its values are kinds, not amounts."""
    there: pl.Expr | None = None
    """What its domain must be for it to mean anything."""

    def written(self, value: object) -> str:
        """Write a value with its unit."""
        if isinstance(value, float):
            value = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return f"{value} {self.unit}".rstrip()


RATE = Measure("sampling rate", pl.col("rate"), "Hz", kind=True)
CHANNELS = Measure("number of channels", pl.col("channels"), kind=True)
FORMAT = Measure("file format", pl.col("format"), kind=True)
BANDWIDTH = Measure("bandwidth", pl.col("bandwidth"), "Hz", apart=1.2, ratio=True)
NOISE = Measure("noise floor", pl.col("noise").clip(FLOOR, None), "dBFS", apart=10.0)
OFFSET = Measure(
    "DC offset",
    20 * pl.col("offset").abs().clip(1e-7, None).log10() - pl.col("level").clip(FLOOR, None),
    "dB",
    there=pl.col("offset").abs().median() >= 10 ** (OFFSETS / 20),
)
LEVEL = Measure("level", pl.col("level").clip(FLOOR, None), "dBFS", apart=6.0)
SECONDS = Measure("duration", pl.col("seconds"), "s", apart=1.5, ratio=True)
SILENCE = Measure("share of silence", pl.col("silence"), apart=0.2)
CLIPPED = Measure("share of clipped samples", pl.col("clipped"), apart=0.01)
PACE = Measure("letters per second", pl.col("letters") / (pl.col("seconds") * (1 - pl.col("silence"))))

TRACES = (RATE, CHANNELS, FORMAT, BANDWIDTH, NOISE, OFFSET)
"""Measures that nobody's way of speaking changes."""
CUES = (LEVEL, SECONDS, SILENCE, CLIPPED, PACE)
"""Measures that may be the way of speaking as well as the recording."""
DIFFERENCES = (LEVEL, NOISE, BANDWIDTH, SECONDS, SILENCE, RATE, CHANNELS, FORMAT)
"""Measures by which domains are compared."""


def label_channel_confound(evidence: Evidence) -> Finding | None:
    """Find properties of the recording, none of them a way of speaking, that tell the label of unheard speakers."""
    return Finding.of(
        _telling(evidence, TRACES),
        "label-channel-confound",
        "warning",
        "The recording tells the label of unheard speakers without the speech: {told}.",
        "A probe may read the equipment or the processing instead of the speaker. Where recordings were made equally "
        "loud afterwards, quiet labels were amplified more, and noise and DC offset with them. Take it out (high-pass "
        "filter, one rate, one band, the same noise everywhere) and see whether the result stays; the control logmel "
        "shows how far such traces carry.",
    )


def simple_cue(evidence: Evidence) -> Finding | None:
    """Find amounts such as loudness or duration that alone tell the label of unheard speakers."""
    return Finding.of(
        _telling(evidence, CUES),
        "simple-cue",
        "note",
        "One number tells much of the label of unheard speakers: {told}.",
        "This may be how the label is spoken (anger is loud) or how it was recorded (another gain, other sentences); "
        "the audit cannot tell which. A probe shows more than this only as far as it scores above it.",
    )


def domain_channel_confound(evidence: Evidence) -> Finding | None:
    """Find domains whose recordings differ so that they can be told apart without the speech."""
    return Finding.of(
        _different(evidence),
        "domain-channel-confound",
        "warning",
        "Domains were recorded differently (medians): {told}.",
        "A gap between domains may be the recordings' and not the speakers'. Compare with the control logmel, and try "
        "one level, one sampling rate and one band for all; some encoders undo differences of level themselves.",
        shown=len(DIFFERENCES),
    )


def measured(evidence: Evidence) -> pl.DataFrame:
    """Return what was measured of every utterance, with the letters of its text; no column where it was not."""
    if evidence.scan is None:
        return pl.DataFrame()
    letters = evidence.column("text").cast(pl.String).str.replace_all(r"[^\p{L}\p{N}]", "").str.len_chars()
    return evidence.scan.with_columns(letters=letters.cast(pl.Float64))


def _telling(evidence: Evidence, measures: Sequence[Measure]) -> Iterator[Cause]:
    """Yield every domain with those of the measures that tell its label, the best first."""
    wanted = {one.name for one in measures}
    for domain, rows, chance, found in evidence.once("telling measures", lambda: list(_all_telling(evidence))):
        told = ", ".join(f"{name} {score:.2f}" for score, name in found if name in wanted)
        if told:
            what = "UAR" if chance else "rank correlation"
            yield f"in {domain} {told} ({what}; chance {chance:.2f})", evidence.utterances(rows)


Told = list[tuple[float, str]]


def _all_telling(evidence: Evidence) -> Iterator[tuple[str, Rows, float, Told]]:
    """Yield every domain with its rows, what chance scores, and all measures that tell the label credibly."""
    table = measured(evidence)
    labelled = evidence.target.kind == "classification"
    parts = list(_targets(evidence, table)) if len(table) else []
    for domain, rows, target in parts:
        mine = table[rows]
        numbers = [(one, _numbers(mine, one)) for one in (*TRACES, *CUES)]
        sample = Sample.draw(rows, target, evidence.codes("speaker")[rows], labelled)
        places = np.searchsorted(rows, sample.rows)
        tried = [(one.name, values[places]) for one, values in numbers if values is not None]
        observed = np.array([float(sample.scores(values, sample.target[None])[0]) for _, values in tried])
        enough = sample.chance + SKILL * (1 - sample.chance) if labelled else CORRELATED
        if not (observed >= enough).any():
            continue
        shuffled = sample.shuffled()
        p = unlikely(observed, np.stack([sample.scores(values, shuffled) for _, values in tried]))
        credible = (observed >= enough) & (p <= max(UNLIKELY / len(parts), 1 / (SHUFFLES + 1)))
        yield (
            domain,
            rows,
            sample.chance,
            sorted(((float(observed[at]), tried[at][0]) for at in np.flatnonzero(credible)), reverse=True),
        )


def _targets(evidence: Evidence, table: pl.DataFrame) -> Iterator[tuple[str, Rows, Values]]:
    """Yield every domain with its rows of known target and usable audio, and that target."""
    labelled = evidence.target.kind == "classification"
    if labelled:
        target = np.where(evidence.labels() < 0, np.nan, evidence.labels())
    elif evidence.target.kind == "regression":
        column = evidence.column(evidence.target.name).cast(pl.Float64, strict=False)
        target = column.fill_null(np.nan).to_numpy()
    else:
        return
    usable = np.isfinite(target)
    if "seconds" in table.columns:
        usable &= table["seconds"].is_not_null().to_numpy()
    for domain, rows in evidence.domains():
        known = rows[usable[rows]]
        if labelled:
            found, counts = np.unique(target[known], return_counts=True)
            known = known[np.isin(target[known], found[counts >= RARE])]
        if len(known) >= FEWEST and len(np.unique(target[known])) > 1:
            yield domain, known, target[known]


def _numbers(mine: pl.DataFrame, measure: Measure) -> Values | None:
    """Return a measure of some utterances as numbers; None where it is unknown of some, alike for all, or nothing."""
    if not set(measure.values.meta.root_names()) <= set(mine.columns):
        return None
    column = mine.select(measure.values).to_series()
    if column.null_count() or column.n_unique() < 2:
        return None
    if measure.there is not None and not mine.select(measure.there).item():
        return None
    return np.asarray((column if column.dtype.is_numeric() else column.rank("dense")).cast(pl.Float64).to_numpy())


def _different(evidence: Evidence) -> Iterator[Cause]:
    table, domains = measured(evidence), list(evidence.domains())
    for measure in DIFFERENCES:
        if not set(measure.values.meta.root_names()) <= set(table.columns):
            continue
        column = table.select(measure.values).to_series()
        several = [(name, rows, column.gather(rows.tolist()).drop_nulls()) for name, rows in domains]
        several = [one for one in several if len(one[2]) >= FEWEST]
        if len(several) > 1 and column.drop_nulls().n_unique() > 1:
            yield from (_kinds if measure.kind else _amounts)(evidence, measure, several)


Part = tuple[str, Rows, pl.Series]


def _amounts(evidence: Evidence, measure: Measure, several: Sequence[Part]) -> Iterator[Cause]:
    """Compare the domains with the lowest and the highest median."""
    medians = [float(np.median(one[2].to_numpy())) for one in several]
    low, high = int(np.argmin(medians)), int(np.argmax(medians))
    far = (
        medians[high] >= measure.apart * medians[low] > 0
        if measure.ratio
        else medians[high] - medians[low] >= measure.apart
    )
    if far and _above(several[high][2].to_numpy(), several[low][2].to_numpy()) >= APART:
        told = f"{several[low][0]} {measure.written(medians[low])}, {several[high][0]} {measure.written(medians[high])}"
        yield f"{measure.name} ({told})", evidence.utterances(np.concatenate([several[low][1], several[high][1]]))


def _kinds(evidence: Evidence, measure: Measure, several: Sequence[Part]) -> Iterator[Cause]:
    """Compare the shares of the kinds between the two domains that differ most."""
    kinds = sorted({value for _, _, column in several for value in column.unique()})
    shares = np.array([[float((column == kind).mean() or 0) for kind in kinds] for _, _, column in several])
    distance = 0.5 * np.abs(shares[:, None] - shares[None]).sum(axis=2)
    one, other = np.unravel_index(int(distance.argmax()), distance.shape)
    if distance[one, other] < TILTED:
        return
    most = [f"{several[at][0]} {_share(measure, kinds, shares[at])}" for at in sorted((int(one), int(other)))]
    rows = np.concatenate([several[int(one)][1], several[int(other)][1]])
    yield f"{measure.name} ({', '.join(most)})", evidence.utterances(rows)


def _share(measure: Measure, kinds: Sequence[object], shares: Values) -> str:
    most = int(shares.argmax())
    often = "" if shares[most] == 1 else f" in {shares[most]:.0%}"
    return f"{measure.written(kinds[most])}{often}"


def _above(high: Values, low: Values) -> float:
    """Return how often a value of `high` is above one of `low`: the area under the curve."""
    from scipy.stats import rankdata  # a second of every command's start

    ranks = rankdata(np.concatenate([high, low]))[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))
