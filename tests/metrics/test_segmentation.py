"""Segmentation metrics against pyannote.metrics, SpeechBrain's published example, and what must not matter."""

import json
import time
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth import metrics, predictions
from sibboleth.errors import InvalidInput
from sibboleth.metrics import segmentation
from sibboleth.metrics.segmentation import Answers
from sibboleth.segments import runs
from sibboleth.targets import Target

Segments = list[tuple[float, float, str]]
LABELS = ("angry", "happy", "sad")
EMOTION = Target(name="emotion", kind="segmentation", labels=LABELS)


def rows(rater: str, source: str, heard: dict[str, Segments], seconds: dict[str, float]) -> pl.DataFrame:
    """Rows of predictions of one rater: its segments, and what it judged."""
    frames = []
    for utterance, segments in heard.items():
        whole = [(0.0, seconds[utterance], None)] if utterance in seconds else []
        for start, end, label in (*segments, *whole):
            frames.append((utterance, start, end, label))
    columns = list(zip(*frames, strict=True)) or [[], [], [], []]
    named = dict(zip(("utterance", "start", "end", "label"), map(list, columns), strict=True))
    common = {"run": "test", "source": source, "rater": rater, "target": "emotion", "value": 1.0}
    return predictions.table({**common, **named})


def aligned(
    true: dict[str, Segments],
    heard: dict[str, Segments],
    seconds: dict[str, float],
    target: Target = EMOTION,
    covered: dict[str, float] | None = None,
) -> Answers:
    found = metrics.align(
        rows("someone", "model", heard, covered or {}), rows("corpus", "reference", true, seconds), target
    )
    assert isinstance(found.answers, Answers)
    return found.answers


def scores(answers: Answers) -> dict[str, float]:
    return {metric.name: metric(answers) for metric in segmentation.METRICS}


times = st.integers(0, 40).map(lambda k: k / 8)
segment = st.tuples(times, times, st.sampled_from(LABELS)).map(lambda s: (min(s[:2]), max(s[:2]), s[2]))
many = st.lists(segment, max_size=6)
spoken = st.fixed_dictionaries({"a": many, "b": many})
SECONDS = {"a": 4.0, "b": 5.0}


def apart(segments: Segments, seconds: float) -> Segments:
    """Segments of one label merged and cut at the end: what an annotation of pyannote is given."""
    found: Segments = []
    for label in LABELS:
        mine = sorted(s for s in segments if s[2] == label and s[1] > s[0] and s[0] < seconds)
        for start, end, _ in mine:
            end = min(end, seconds)
            if found and found[-1][2] == label and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(end, found[-1][1]), label)
            else:
                found.append((start, end, label))
    return found


def tiled(segments: Segments, seconds: float) -> Segments:
    """Segments with `neutral` wherever none is."""
    edges = sorted({0.0, seconds, *(t for s in segments for t in s[:2])})
    gaps = [
        (a, b, "neutral")
        for a, b in zip(edges, edges[1:], strict=False)
        if not any(s[0] <= a and b <= s[1] for s in segments)
    ]
    return [*segments, *gaps]


def oracle(true: dict[str, Segments], heard: dict[str, Segments], collar: float) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        core = pytest.importorskip("pyannote.core")
        from pyannote.metrics.identification import IdentificationErrorRate

        found = IdentificationErrorRate(collar=2 * collar)
        for utterance, seconds in SECONDS.items():
            both = []
            for segments in (true[utterance], heard[utterance]):
                annotation = core.Annotation(uri=utterance)
                for k, (start, end, label) in enumerate(segments):
                    annotation[core.Segment(start, end), k] = label
                both.append(annotation)
            found(*both, uem=core.Timeline([core.Segment(0, seconds)]))
        return {name: found[name] for name in ("false alarm", "missed detection", "confusion", "total")}


@settings(max_examples=60, deadline=None)
@given(true=spoken, heard=spoken, neutral=st.booleans(), collar=st.sampled_from([0.0, 0.25]))
def test_error_seconds_are_those_of_pyannote(
    true: dict[str, Segments], heard: dict[str, Segments], neutral: bool, collar: float
) -> None:
    labels = (*LABELS, "neutral") if neutral else LABELS
    target = Target(name="emotion", kind="segmentation", labels=labels, collar=collar)
    true, heard = ({u: apart(s, SECONDS[u]) for u, s in side.items()} for side in (true, heard))
    if neutral:
        true, heard = ({u: tiled(s, SECONDS[u]) for u, s in side.items()} for side in (true, heard))
    answers = aligned(true, heard, SECONDS, target, covered=SECONDS)
    sums = segmentation.seconds(answers).sum(axis=0)
    alarm, missed, confused, overlap = segmentation.error_seconds(sums)
    expected = oracle(true, heard, collar)
    assert alarm + overlap == pytest.approx(expected["false alarm"], abs=1e-6)
    assert missed == pytest.approx(expected["missed detection"], abs=1e-6)
    assert confused == pytest.approx(expected["confusion"], abs=1e-6)


frames = st.lists(st.sampled_from([None, *LABELS]), min_size=8, max_size=8)


@settings(max_examples=40, deadline=None)
@given(true=st.lists(frames, min_size=1, max_size=3), heard=st.lists(frames, min_size=3, max_size=3))
def test_frames_counted_one_by_one_say_the_same(true: list[list[str | None]], heard: list[list[str | None]]) -> None:
    pairs = list(zip(true, heard, strict=False))
    sides = [{f"u{k}": runs(side, 0.25) for k, side in enumerate(part)} for part in zip(*pairs, strict=True)]
    seconds = {u: 2.0 for u in sides[0]}
    found = scores(aligned(sides[0], sides[1], seconds, covered=seconds))
    wrong = [np.mean([a != b for a, b in zip(*pair, strict=True)]) for pair in pairs]
    assert found["eder"] == pytest.approx(np.mean(wrong)) and found["eder_utterance_mean"] == pytest.approx(
        np.mean(wrong)
    )
    flat = [[str(label) for part in side for label in part] for side in zip(*pairs, strict=True)]
    assert found["frame_uar"] == pytest.approx(balanced(*flat))


def balanced(true: list[str], said: list[str]) -> float:
    from sklearn.metrics import recall_score

    return float(recall_score(true, said, labels=sorted(set(true)), average="macro"))


def test_speechbrain_s_published_example() -> None:
    # speechbrain.utils.EDER: frames n n n a a a, stride 0.2, angry 0.39-1.10 of 1.22 s.
    target = Target(name="emotion", kind="segmentation", labels=("angry",))
    frames = [(0.6, 1.2, "angry")]
    answers = aligned({"x": [(0.39, 1.10, "angry")]}, {"x": frames}, {"x": 1.22}, target, covered={"x": 1.2})
    assert segmentation.UTTERANCE_MEAN(answers) == pytest.approx(0.2704918032786885)
    # Behind the last frame nothing is claimed, which is no error where stretches without label are no label.
    assert segmentation.EDER(answers) == pytest.approx((0.21 + 0.10) / 1.22)
    said = [(0.0, 0.6, "neutral"), *frames]
    assert scores(aligned({"x": [(0.39, 1.10, "angry")]}, {"x": said}, {"x": 1.22}, target, {"x": 1.2})) == scores(
        answers
    )


def test_seconds_are_added_and_divided_once() -> None:
    true = {"short": [(0.0, 1.0, "sad")], "long": [(2.0, 9.0, "happy")]}
    heard = {"short": [(0.0, 1.0, "angry")], "long": [(2.0, 9.0, "happy")]}
    found = scores(aligned(true, heard, {"short": 1.0, "long": 9.0}))
    assert found["eder"] == pytest.approx(0.1) and found["eder_utterance_mean"] == pytest.approx(0.5)
    assert found["confused"] == pytest.approx(0.1) and found["missed"] == 0
    assert found["frame_uar"] == pytest.approx((0 + 1 + 1) / 3)  # sad, happy, and without label


def test_each_part_of_a_known_answer() -> None:
    true = {"x": [(1.0, 3.0, "sad"), (5.0, 8.0, "happy")]}
    heard = {"x": [(0.5, 2.0, "sad"), (4.5, 6.0, "angry"), (6.0, 8.0, "happy"), (7.0, 8.0, "sad")]}
    answers = aligned(true, heard, {"x": 10.0})
    parts = segmentation.error_seconds(segmentation.seconds(answers).sum(axis=0))
    assert parts == pytest.approx([1.0, 1.0, 1.0, 1.0])
    found = scores(answers)
    assert found["eder"] == pytest.approx(0.4) and found["overlap"] == pytest.approx(0.1)
    assert found["segment_f1"] == pytest.approx(2 * 1 / (2 + 4))  # happy, by 2 of 3 s; sad overlaps by 1 of 2.5 s
    assert found["boundary_error"] == pytest.approx(0.5)  # happy: 1 s at its start, nothing at its end
    recalls = segmentation.recall(segmentation.seconds(answers).sum(axis=0))
    assert recalls == pytest.approx([np.nan, 2 / 3, 1 / 2, 4 / 5], nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(true=spoken, heard=spoken)
def test_perfect_is_0_and_names_and_order_change_nothing(true: dict[str, Segments], heard: dict[str, Segments]) -> None:
    perfect = scores(aligned(true, true, SECONDS, covered=SECONDS))
    assert all(perfect[name] == 0 for name in ("eder", "false_alarm", "missed", "confused", "overlap"))
    assert perfect["eder_utterance_mean"] == pytest.approx(0) and perfect["frame_uar"] == 1
    assert np.isnan(perfect["segment_f1"]) or perfect["segment_f1"] == 1
    assert np.isnan(perfect["boundary_error"]) or perfect["boundary_error"] == 0
    found = scores(aligned(true, heard, SECONDS, covered=SECONDS))
    named = dict(zip(LABELS, ("z", "y", "x"), strict=True))
    others = [
        {f"other {u}": [(a, b, named[label]) for a, b, label in reversed(s)] for u, s in reversed(side.items())}
        for side in (true, heard)
    ]
    seconds = {f"other {u}": t for u, t in SECONDS.items()}
    target = Target(name="emotion", kind="segmentation", labels=("y", "x", "z"))
    again = scores(aligned(*others, seconds, target, seconds))
    assert again == pytest.approx(found, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(true=spoken, heard=spoken)
def test_parts_add_up(true: dict[str, Segments], heard: dict[str, Segments]) -> None:
    answers = aligned(true, heard, SECONDS, covered=SECONDS)
    for metric in segmentation.METRICS:
        halves = [metric.parts(answers.take(slice(k, k + 1))).sum(axis=0) for k in range(len(answers))]
        again = metric.rate(np.sum(halves, axis=0))
        assert again == pytest.approx(metric(answers), nan_ok=True), metric.name
        tripled = answers.take(np.tile(np.arange(len(answers))[::-1], 3))
        assert metric(tripled) == pytest.approx(metric(answers), nan_ok=True), metric.name
    found = scores(answers)
    parts = sum(found[name] for name in ("false_alarm", "missed", "confused", "overlap"))
    assert parts == pytest.approx(found["eder"])


@settings(max_examples=30)
@given(true=spoken, heard=spoken)
def test_errors_by_label_are_all_errors(true: dict[str, Segments], heard: dict[str, Segments]) -> None:
    sums = segmentation.seconds(aligned(true, heard, SECONDS)).sum(axis=0)
    seconds, right, *errors = segmentation.label_seconds(sums).T
    assert np.sum(errors, axis=1) == pytest.approx(segmentation.error_seconds(sums))
    assert (right + errors[1] + errors[2])[:-1] == pytest.approx(seconds[:-1])
    assert seconds[-1] >= right[-1] - 1e-9


@pytest.mark.parametrize("shift", [0.0, 0.003, 0.04, 0.25, 1.5])
def test_the_boundary_error_of_segments_that_are_all_late(shift: float) -> None:
    true = {f"u{k}": [(2.0, 7.0 + k / 10, "sad")] for k in range(9)}
    heard = {u: [(a + shift, b + shift, label) for a, b, label in s] for u, s in true.items()}
    assert scores(aligned(true, heard, dict.fromkeys(true, 10.0)))["boundary_error"] == pytest.approx(shift)


def test_the_median_of_distances_is_close_to_the_true_one() -> None:
    rng = np.random.default_rng(0)
    true, heard, distances = {}, {}, []
    for k in range(200):
        off = rng.exponential(0.1, 2)
        true[f"u{k}"], heard[f"u{k}"] = [(3.0, 7.0, "sad")], [(3 - off[0], 7 + off[1], "sad")]
        distances += off.tolist()
    found = scores(aligned(true, heard, dict.fromkeys(true, 10.0)))
    assert found["segment_f1"] == 1
    assert found["boundary_error"] == pytest.approx(np.median(distances), rel=0.09)


def test_edges_of_a_recording_are_no_boundaries() -> None:
    true, heard = {"x": [(0.0, 4.0, "sad")]}, {"x": [(0.0, 4.0, "sad")]}
    found = scores(aligned(true, heard, {"x": 4.0}))
    assert found["segment_f1"] == 1 and np.isnan(found["boundary_error"])


def test_two_halves_do_not_both_find_a_segment() -> None:
    answers = aligned({"x": [(0.0, 4.0, "sad")]}, {"x": [(0.0, 2.0, "sad"), (2.1, 4.0, "sad")]}, {"x": 5.0})
    assert scores(answers)["segment_f1"] == pytest.approx(2 / 3)


def test_utterance_labels_labels_outside_and_what_lies_behind_the_end() -> None:
    heard = pl.concat(
        [
            rows("someone", "model", {"x": [(3.0, 9.0, "sad")], "y": [(0.0, 1.0, "proud")], "z": []}, {"z": 4.0}),
            predictions.table(
                {
                    "run": "test",
                    "source": "model",
                    "rater": "whole",
                    "utterance": ["x"],
                    "target": "emotion",
                    "label": "sad",
                    "value": 1.0,
                }
            ),
        ]
    )
    seconds = dict.fromkeys("xyz", 4.0)
    true = rows("corpus", "reference", {"x": [(0.0, 4.0, "sad")], "y": [], "z": [(0.0, 1.0, "odd")]}, seconds)
    found = metrics.align(heard, true, EMOTION)
    assert found.keys.select("rater", "utterance").rows() == [("someone", "x"), ("someone", "y"), ("whole", "x")]
    sums = segmentation.seconds(found.answers)  # type: ignore[arg-type]
    assert segmentation.error_seconds(sums).tolist() == [[0, 3, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_several_references_are_refused() -> None:
    one, two = (rows(name, "reference", {"x": [(0.0, 1.0, "sad")]}, {"x": 4.0}) for name in "ab")
    with pytest.raises(InvalidInput, match="one reference"):
        metrics.align(one.with_columns(source=pl.lit("model")), pl.concat([one, two]), EMOTION)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_undefined_and_silence_is_right(count: int) -> None:
    answers = aligned({"x": []}, {"x": []}, {"x": 3.0}, covered={"x": 3.0}).take(slice(0, count))
    found = scores(answers)
    assert np.isnan([found["segment_f1"], found["boundary_error"]]).all()
    assert np.isnan(found["eder"]) if count == 0 else found["eder"] == 0


def test_the_180_references_of_zed_are_scored_in_less_than_a_second(real_speech: Path) -> None:
    zed = json.loads((real_speech / "zed" / "ZED.json").read_text())
    true = {u: [(s["start"], s["end"], s["emo"]) for s in one["emotion"]] for u, one in zed.items()}
    seconds = {u: one["duration"] for u, one in zed.items()}
    heard = {u: [(max(a - 0.2, 0), b, "sad")] for u, [(a, b, _)] in true.items()}
    began = time.perf_counter()
    found = scores(aligned(true, heard, seconds))
    assert time.perf_counter() - began < 1
    assert 0 < found["confused"] < found["eder"] < 1
