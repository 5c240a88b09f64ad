"""Memory that does not suffice: work is halved until it fits, the numbers stay, and it is said once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests.models.test_training import SCHEDULE, Learner, Numbers, run, weights
from tests.models.tuning import test_course, test_segmenter
from torch import Tensor

from sibboleth.audio import rechecking
from sibboleth.errors import SibbolethError
from sibboleth.methods import HeadSettings
from sibboleth.models import encoding, halving
from sibboleth.models.encoders import Audio, Encoder, HiddenStates
from sibboleth.models.encoding import Recording
from sibboleth.models.tuning.masking import Masking
from sibboleth.models.tuning.network import Head, Tuned, TuningBatch
from sibboleth.models.tuning.transcriber import Transcriber
from sibboleth.progress import console

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halving, "_said", set())
    monkeypatch.setattr(halving, "fitting", {})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 12 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17.00 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (OSError("No space left on device"), False),
    ],
    ids=str,
)
def test_what_is_lack_of_memory(error: Exception, expected: bool) -> None:
    assert halving.exhausted(error) is expected


@dataclass(frozen=True, kw_only=True)
class Accelerated(Encoder):
    """An encoder in batches, of which no more than so many rows fit."""

    most: int
    asked: list[int]

    @property
    def batch_seconds(self) -> float:
        return 8.0

    def hidden_states(self, audio: Audio) -> HiddenStates:
        return np.repeat(audio[: len(audio) // 160 * 160].reshape(1, -1, 160), 2, axis=0)

    def batch(self, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        self.asked.append(len(several))
        if len(several) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return [self.hidden_states(audio) for audio in several]


def recordings(folder: Path) -> list[Recording]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(20):
        path = folder / f"{number}.wav"
        soundfile.write(path, rng.normal(0, 0.1, int(16_000 * (0.5 + 0.05 * number))), 16_000)
        seconds = soundfile.info(path).duration
        made.append(Recording(rechecking.digest(path), str(path), None, None, seconds))
    return made


def test_batches_of_an_accelerator_are_halved_and_give_the_same(tmp_path: Path) -> None:
    several = recordings(tmp_path)
    found = {}
    for most in (100, 3):
        told = {"name": "wide", "identity": "w", "kind": "callable", "rate": 16_000, "layers": 2, "dim": 160}
        encoder = Accelerated(**told, stride=160, most=most, asked=[])  # type: ignore[arg-type]
        with console.capture() as said:
            found[most] = [*encoding.encode(encoder, several, [1]), *encoding.encode(encoder, several[:4], [1])]
        assert (said.get().count("out of memory"), len(said.get().splitlines())) == ((0, 0) if most == 100 else (1, 1))
    assert "encoding with wide: batches of 4 s from here on; results are the same up to rounding" in said.get()
    assert encoder.asked[:3] == [8, 4, 2] and max(encoder.asked[3:]) <= 4
    for one, other in zip(found[100], found[3], strict=True):
        assert one.failure is other.failure is None and one.recording is other.recording
        assert one.statistics is not None and other.statistics is not None
        np.testing.assert_array_equal(one.statistics, other.statistics)
        np.testing.assert_array_equal(one.frames[1], other.frames[1])


@dataclass
class Rows(Numbers):
    """Numbers that can be divided."""

    @property
    def rows(self) -> int:
        return len(self.values)

    def part(self, begin: int, end: int) -> "Rows":
        return Rows(self.values[begin:end])


class Full(Learner):
    """A learner for which no more than so many rows fit, at times after some of the gradients were there."""

    def __init__(self, most: int, weighs: bool = True) -> None:
        super().__init__(dropout=0.0)
        self.most, self.weighs = most, weighs
        self.losses: list[float] = []

    def forward(self, batch: Numbers) -> dict[str, Tensor]:
        told = super().forward(batch)
        if len(batch.values) > self.most:
            told["loss"].backward()
            raise RuntimeError("CUDA out of memory")
        return told

    def weight(self, batch: Rows) -> float | None:
        return float(batch.rows) if self.weighs else None

    def heard(self, loss: float) -> None:
        self.losses.append(loss)


@pytest.fixture
def divisible(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.models import test_training

    drawn = test_training.Draws.__getitem__
    monkeypatch.setattr(test_training.Draws, "__getitem__", lambda self, number: Rows(drawn(self, number).values))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_training_in_halves_ends_with_the_same_weights(divisible: None, accumulate: int, tmp_path: Path) -> None:
    from dataclasses import replace

    schedule = replace(SCHEDULE, accumulate=accumulate, steps=6)
    whole, first = run(tmp_path / "whole", schedule, Full(100))
    with console.capture() as said:
        halved, second = run(tmp_path / "halved", schedule, Full(3))
    told = " ".join(said.get().split())
    assert told.count("out of memory") == 1 and "while training: each batch is learnt from in 2 parts" in told
    for one, other in zip(weights(whole), weights(halved), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert whole.losses == pytest.approx(halved.losses, rel=1e-4)  # type: ignore[attr-defined]
    assert [row["loss"] for row in first.rows] == pytest.approx([row["loss"] for row in second.rows], rel=1e-4)
    assert first.seconds == second.seconds


@pytest.mark.parametrize(("learner", "words"), [(Full(0), "one utterance at a time"), (Full(3, False), "as a whole")])
def test_where_batches_cannot_be_halved_the_error_says_what_can_be_done(
    divisible: None, learner: Full, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SibbolethError, match=f"out of memory while training with .*{words}.*raise accumulate"):
        run(tmp_path / "run", learner=learner)


def classifying(loss: Any, out: int) -> tuple[Tuned, TuningBatch]:
    network = Tuned(None, Head(4, HeadSettings(), out, 0), 0, out, loss, False, Masking(0, 1))
    random = torch.Generator().manual_seed(1)
    truth = torch.randn(7, out, generator=random)
    if loss == "cross-entropy":
        truth = torch.eye(out)[torch.tensor([0, 0, 0, 0, 1, 1, 2])]
        network.learn(np.arange(7), np.arange(7), truth.double().numpy(), True)
    return network, TuningBatch(torch.randn(7, 1, 4, generator=random), torch.ones(7), truth, 7.0)


def transcribing() -> tuple[Tuned, TuningBatch]:
    made = Transcriber(
        None, [Head(4, HeadSettings(), 5, 0)], 1, 4, mixed=0, out=5, trains_front=False, masking=Masking(0, 1)
    )
    random = torch.Generator().manual_seed(1)
    truth = torch.tensor([[1.0, 2, 3], [2, -1, -1], [4, 4, -1]])
    return made, TuningBatch(torch.randn(3, 1, 9, 4, generator=random), torch.tensor([9, 5, 8]), truth, 3.0)


@pytest.mark.parametrize(
    "made",
    [
        lambda: classifying("cross-entropy", 3),
        lambda: classifying("squared", 1),
        transcribing,
        lambda: (test_segmenter.network(), test_segmenter.batch()),
    ],
    ids=["classes", "numbers", "texts", "segments"],
)
def test_the_loss_of_a_batch_is_the_weighed_mean_of_its_parts(made: Any) -> None:
    network, batch = made()
    whole = float(network(batch)["loss"].detach())
    parts = [batch.part(0, 1), batch.part(1, batch.rows)]
    shares = [network.weight(part) / network.weight(batch) for part in parts]
    assert sum(shares) == pytest.approx(1)
    assert sum(s * float(network(p)["loss"].detach()) for s, p in zip(shares, parts, strict=True)) == pytest.approx(
        whole
    )
    assert sum(part.seconds for part in parts) == pytest.approx(batch.seconds)


def test_dev_is_answered_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    course = test_course.going(test_course.head())
    (whole,) = course.judged(test_course.DEV)
    judged, asked = Tuned.judged, []

    def small(self: Tuned, batch: TuningBatch) -> Any:
        asked.append(batch.rows)
        if batch.rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return judged(self, batch)

    monkeypatch.setattr(Tuned, "judged", small)
    with console.capture() as said:
        (halved,) = course.judged(test_course.DEV)
    np.testing.assert_allclose(whole.answers, halved.answers, rtol=1e-6)
    np.testing.assert_allclose(whole.losses, halved.losses, rtol=1e-6)
    assert said.get().count("out of memory while answering") == 1 and min(asked) >= 1
    monkeypatch.setattr(
        Tuned, "judged", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory."))
    )
    with pytest.raises(torch.OutOfMemoryError):
        course.judged(test_course.DEV)
