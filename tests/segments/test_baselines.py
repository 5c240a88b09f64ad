import numpy as np
import pytest

from sibboleth import metrics, segments
from sibboleth.metrics import segmentation
from sibboleth.segments import Segments, baselines
from sibboleth.segments.table import table
from sibboleth.targets import Target

RATE = 16000
TRUE = Segments(
    table(
        [
            ("short", 3.0, 4.0, "sad", None),
            ("long", 1.0, 4.0, "happy", None),
            ("both", 0.0, 2.0, "sad", None),
            ("both", 1.5, 4.0, "happy", None),
        ]
    ),
    {"short": 4.0, "long": 4.0, "both": 4.0, "silent": 4.0},
)


def eder(heard: Segments) -> float:
    target = Target(name="emotion", kind="segmentation", labels=("happy", "sad"))
    named = {"run": "x", "rater": "x", "target": "emotion"}
    sides = [read.predictions(source=s, **named) for read, s in ((heard, "model"), (TRUE, "reference"))]
    aligned = metrics.align(*sides, target)
    assert len(aligned.keys) == 4
    return segmentation.EDER(aligned.answers)  # type: ignore[arg-type]


def test_what_utterances_have_throughout() -> None:
    assert eder(baselines.nothing(TRUE.durations)) == pytest.approx((1 + 3 + 4.5) / 16)
    oracle = baselines.oracle(TRUE)
    assert [oracle.of(u) for u in ("short", "long", "both", "silent")] == [
        [(0.0, 4.0, "sad")],
        [(0.0, 4.0, "happy")],
        [(0.0, 4.0, "happy")],
        [],
    ]
    assert eder(oracle) == pytest.approx((3 + 1 + 2) / 16)
    majority = baselines.majority(TRUE)
    assert majority.of("short") == majority.of("silent") == [] and majority.of("both") == [(0.0, 4.0, "happy")]
    assert eder(majority) == pytest.approx((1 + 1 + 2) / 16)
    assert eder(majority) <= min(eder(oracle), eder(baselines.nothing(TRUE.durations)))


@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_what_is_loud_is_found_whatever_the_level(gain: float) -> None:
    noise = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    level = np.full(4 * RATE, 0.01)
    level[RATE : 3 * RATE] = 0.3
    level[int(1.9 * RATE) : int(2.0 * RATE)] = 0.01  # a pause between words
    samples = (gain * level * noise).astype(np.float32)
    [(start, end, label)] = baselines.loud(samples, RATE, "angry", 15.0)
    assert (start, end) == pytest.approx((1.0, 3.0), abs=0.05) and label == "angry"
    assert baselines.loud(samples, RATE, "angry", 60.0) == [(0.0, 4.0, "angry")]


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(100, np.float32), np.zeros(RATE, np.float32)])
def test_silence_is_no_error(samples: np.ndarray) -> None:
    found = baselines.loud(samples, RATE, "sad", 10.0)
    assert found == ([(0.0, len(samples) / RATE, "sad")] if len(samples) else [])


def test_runs_are_segments_of_the_same_kind() -> None:
    assert segments.runs(["sad"], 0.02) == [(0.0, 0.02, "sad")]
