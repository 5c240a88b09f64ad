"""Channel: what tells the label or the domain without the speech, and what only seems to."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from sibboleth.audit import Finding
from sibboleth.audit.prediction import SHUFFLES, Sample, unlikely

Audited = Callable[..., dict[str, Finding]]
Make = Callable[..., pl.DataFrame]


def scanned(table: pl.DataFrame, seed: int = 0, **columns: object) -> pl.DataFrame:
    """Make a scan in which nothing has to do with anything, but for the given columns."""
    random = np.random.default_rng(seed)
    many = len(table)
    plain = {
        "seconds": random.uniform(1, 4, many),
        "rate": np.full(many, 16000),
        "channels": np.ones(many, np.int64),
        "format": ["WAV PCM_16"] * many,
        "level": random.normal(-25, 4, many),
        "silence": random.uniform(0, 0.3, many),
        "clipped": np.zeros(many),
        "noise": random.normal(-60, 5, many),
        "offset": random.normal(0, 1e-3, many),
        "bandwidth": np.full(many, 8000.0),
        "digest": [f"d{n}" for n in range(many)],
    }
    return pl.DataFrame({"utterance": table["utterance"]} | plain | columns)


def sad(table: pl.DataFrame) -> np.ndarray:
    return (table["emotion"] == "sad").to_numpy()


def test_measures_that_tell_nothing_are_not_mentioned(make: Make, audited: Audited) -> None:
    found = [audited(table, scan=scanned(table, seed)) for seed in range(12) for table in [make(each=2 + seed % 4)]]
    assert [one for one in found if one] == []


def test_few_utterances_and_one_speaker_cry_no_wolf(make: Make, audited: Audited) -> None:
    table, wolves = make(speakers=2, each=5), 0
    for seed in range(40):
        found = audited(table, scan=scanned(table, seed))
        wolves += bool({"label-channel-confound", "simple-cue", "domain-channel-confound"} & set(found))
    assert wolves <= 2


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("rate", "sampling rate"),
        ("channels", "number of channels"),
        ("bandwidth", "bandwidth"),
        ("noise", "noise floor"),
        ("offset", "DC offset"),
    ],
)
def test_a_trace_of_the_recording_that_tells_the_label(
    column: str, told: str, table: pl.DataFrame, audited: Audited
) -> None:
    plain = scanned(table)[column].to_numpy()
    tilted = {column: np.where(sad(table), plain * (0.5 if column != "offset" else 20), plain).astype(plain.dtype)}
    if column == "channels":
        tilted = {column: np.where(sad(table), 2, 1)}
    found = audited(table, scan=scanned(table, **tilted))
    assert set(found) == {"label-channel-confound"}
    finding = found["label-channel-confound"]
    assert finding.grade == "warning" and f"in A {told} " in finding.message and "chance 0.50" in finding.message


def test_a_format_per_label(table: pl.DataFrame, audited: Audited) -> None:
    kinds = pl.Series(np.where(sad(table), "MP3 MPEG_LAYER_III", "WAV PCM_16"))
    assert "file format 1.00" in audited(table, scan=scanned(table, format=kinds))["label-channel-confound"].message


@pytest.mark.parametrize(("column", "told"), [("level", "level"), ("seconds", "duration"), ("silence", "silence")])
def test_loudness_and_duration_may_be_cues_and_are_a_note(
    column: str, told: str, table: pl.DataFrame, audited: Audited
) -> None:
    plain = scanned(table)[column].to_numpy()
    found = audited(table, scan=scanned(table, **{column: np.where(sad(table), plain + 3 * plain.std(), plain)}))
    cue = found.pop("simple-cue")
    assert cue.grade == "note" and told in cue.message and "cannot tell which" in cue.effect
    assert set(found) <= {"label-channel-confound"}


def test_an_offset_that_is_only_rounding_is_no_trace(table: pl.DataFrame, audited: Audited) -> None:
    level = np.where(sad(table), -40.0, -20.0)
    found = audited(table, scan=scanned(table, level=level, offset=np.full(len(table), 1e-7)))
    assert set(found) == {"simple-cue"}


def test_a_cue_of_one_speaker_does_not_speak_for_others(make: Make, audited: Audited) -> None:
    table = make(speakers=10, domains="A", each=6)
    sign = (table["speaker"].rank("dense").cast(pl.Float64).to_numpy() % 2) * 2 - 1
    level = -25 + 5 * sign * np.where(sad(table), 1, -1)
    assert "simple-cue" not in audited(table, scan=scanned(table, level=level))


def test_numbers_are_compared_by_rank(table: pl.DataFrame, audited: Audited) -> None:
    random = np.random.default_rng(0)
    numbers = table.with_columns(emotion=pl.Series(random.normal(size=len(table))))
    assert audited(numbers, kind="regression", scan=scanned(table)) == {}
    level = -25 + 3 * numbers["emotion"].to_numpy() ** 3
    assert (
        "level 1.00 (rank correlation"
        in audited(numbers, kind="regression", scan=scanned(table, level=level))["simple-cue"].message
    )


def test_domains_that_were_recorded_differently(table: pl.DataFrame, audited: Audited) -> None:
    second = (table["corpus"] == "B").to_numpy()
    plain = scanned(table)
    found = audited(
        table,
        scan=scanned(
            table,
            level=plain["level"].to_numpy() - 25 * second,
            rate=np.where(second, 48000, 16000),
            bandwidth=np.where(second, 24000.0, 8000.0),
        ),
    )
    assert set(found) == {"domain-channel-confound"}
    message = found["domain-channel-confound"].message
    assert "level (B -50" in message and "A -2" in message
    assert "sampling rate (A 16000 Hz, B 48000 Hz)" in message and "bandwidth (A 8,000 Hz, B 24,000 Hz)" in message
    close = scanned(table, level=plain["level"].to_numpy() - 3 * second)
    assert audited(table, scan=close) == {}


def test_p_is_uniform_where_labels_belong_to_utterances_and_to_speakers_however_many_measures() -> None:
    random = np.random.default_rng(0)
    speakers = np.repeat(np.arange(12), 6)
    for of_speakers in (False, True):
        labels = np.repeat([0.0, 1.0], 36) if of_speakers else np.tile([0.0, 0, 0, 1, 1, 1], 12)
        sample = Sample.draw(np.arange(72), labels, speakers, labelled=True)
        targets = np.concatenate([labels[None], sample.shuffled()[:199]])
        lowest = []
        for _ in range(120):
            voices = 2 * random.normal(size=(4, 12))[:, speakers]  # speakers differ; their labels do not
            scores = np.stack([sample.scores(voice + random.normal(size=72), targets) for voice in voices])
            lowest.append(unlikely(scores[:, 0], scores[:, 1:]).min())
        assert min(lowest) >= 1 / 200 and 0.02 <= np.mean(np.array(lowest) <= 0.1) <= 0.18


def test_shuffles_stay_within_speakers_or_keep_speakers_whole() -> None:
    speakers = np.repeat(np.arange(5), 4)
    within = Sample.draw(np.arange(20), np.tile([0.0, 0, 1, 1], 5), speakers, labelled=True)
    assert (within.shuffled().reshape(SHUFFLES, 5, 4).sum(axis=2) == 2).all()
    whole = Sample.draw(np.arange(20), np.repeat([0.0, 0, 0, 1, 1], 4), speakers, labelled=True)
    blocks = whole.shuffled().reshape(SHUFFLES, 5, 4)
    assert (blocks == blocks[:, :, :1]).all() and (blocks[:, :, 0].sum(axis=1) == 2).all()


def test_neither_order_nor_unusable_audio_changes_what_is_told(table: pl.DataFrame, audited: Audited) -> None:
    scan = scanned(table, level=np.where(sad(table), -40.0, -20.0))
    message = audited(table, scan=scan)["simple-cue"].message
    order = np.random.default_rng(0).permutation(len(table)).tolist()
    assert audited(table[order], scan=scan[order])["simple-cue"].message == message
    gone = pl.int_range(pl.len()) == 0
    broken = scan.with_columns(pl.when(~gone).then(pl.col(name)).alias(name) for name in scan.columns[1:])
    assert "level 1.00" in audited(table, scan=broken)["simple-cue"].message
