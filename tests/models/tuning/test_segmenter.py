"""Heads over frames: their loss against a plain loop, weights of labels, and that company changes nothing."""

import numpy as np
import pytest
import torch

from sibboleth.methods import HeadSettings
from sibboleth.models.decoding.timelines import Timeline, packed, unpacked
from sibboleth.models.tuning.context import around, size
from sibboleth.models.tuning.masking import Masking
from sibboleth.models.tuning.network import Head, TuningBatch
from sibboleth.models.tuning.segmenter import Segmenter

STRIDE = 0.1
TIMELINES = [
    Timeline(1.0, np.array([0.0, 0.42]), np.array([0.42, 1.0]), np.array([0, 1])),
    Timeline(0.6, np.array([0.1]), np.array([0.5]), np.array([2])),
]


def network(voices: int = 1, context: tuple[float, ...] = ()) -> Segmenter:
    heads = [Head(size(3, context), HeadSettings(), 3, seed) for seed in range(voices)]
    told = {"mixed": 0, "out": 3, "trains_front": False, "masking": Masking(0.0, 1), "stride": STRIDE}
    told |= {"context": context}
    made = Segmenter(None, heads, voices, 3, **told)
    made.learn(np.arange(2), np.arange(2), packed(TIMELINES), True)
    return made


def batch(voices: int = 1, frames: int = 10) -> TuningBatch:
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, voices, frames, 3, generator=random)
    return TuningBatch(inputs, torch.tensor([10, 6]), torch.from_numpy(packed(TIMELINES)).float(), 1.6)


def test_labels_weigh_by_how_rare_they_are() -> None:
    seconds = np.array([0.42, 0.58, 0.4])
    assert network().label_weights.numpy() == pytest.approx(seconds.sum() / (3 * seconds), rel=1e-5)


def test_the_loss_is_the_weighted_mean_over_labelled_frames() -> None:
    made, some = network(), batch()
    weights = made.label_weights.tolist()
    labels = [[0, 0, 0, 0, 1, 1, 1, 1, 1, 1], [None, 2, 2, 2, 2, None]]
    total = weight = 0.0
    for row, own in enumerate(labels):
        said = made.head(some.inputs[row, 0]).log_softmax(-1)
        for frame, label in enumerate(own):
            if label is not None:
                total -= weights[label] * float(said[frame, label].detach())
                weight += weights[label]
    assert float(made(some)["loss"].detach()) == pytest.approx(total / weight, rel=1e-5)


@pytest.mark.parametrize("context", [(), (0.3, 5.0)])
def test_what_stands_behind_a_row_changes_nothing(context: tuple[float, ...]) -> None:
    made, short = network(2, context), batch(2)
    longer = batch(2, frames=10)
    padded = torch.cat([longer.inputs, 9.0 * torch.ones(2, 2, 5, 3)], 2)  # type: ignore[list-item]
    behind = TuningBatch(padded, short.lengths, short.truth, 1.6)
    for (loss, said), (other, again) in zip(made.judged(short), made.judged(behind), strict=True):
        assert loss.detach().numpy() == pytest.approx(other.detach().numpy(), rel=1e-6)
        assert torch.equal(said, again)


def test_answers_are_timelines_of_the_likeliest_labels() -> None:
    made, some = network(), batch()
    ((_, said),) = made.judged(some)
    for row, (one, count) in enumerate(zip(unpacked(said.numpy()), (10, 6), strict=True)):
        expected = made.head(some.inputs[row, 0]).argmax(-1)[:count].tolist()
        assert one.frames(count, STRIDE).tolist() == expected
        assert one.ends[-1] == pytest.approx((1.0, 0.6)[row])


def test_heads_learn_as_they_would_alone() -> None:
    both, some = network(2), batch(2)
    both(some)["loss"].backward()
    alone = network()
    alone.head.load_state_dict(both.head[1].state_dict())  # type: ignore[index]
    alone(TuningBatch(some.inputs[:, 1:], some.lengths, some.truth, 1.6))["loss"].backward()  # type: ignore[index]
    for mine, own in zip(both.head[1].parameters(), alone.head.parameters(), strict=True):  # type: ignore[index]
        assert torch.allclose(mine.grad, own.grad)


def test_context_is_mean_and_deviation_of_the_frames_about_each() -> None:
    frames = torch.randn(2, 10, 3, generator=torch.Generator().manual_seed(1)) * 50 + 200
    lengths, strides = torch.tensor([10, 6]), torch.tensor([0.1, 0.2])
    found = around(frames, lengths, (0.4, 9.0), strides).numpy()
    for row, (count, halves) in enumerate(zip((10, 6), ((2, 45), (1, 22)), strict=True)):
        for frame in range(count):
            parts = [frames[row, frame].numpy()]
            for half in halves:
                window = frames[row, max(0, frame - half) : min(count, frame + half + 1)].numpy().astype(np.float64)
                parts += [window.mean(0), window.std(0)]
            assert found[row, frame] == pytest.approx(np.concatenate(parts), rel=1e-4)


def test_context_lets_gradients_through_where_nothing_varies() -> None:
    frames = torch.ones(1, 5, 3, requires_grad=True)
    around(frames, torch.tensor([5]), (0.3,), torch.tensor([0.1])).sum().backward()
    assert frames.grad is not None and torch.isfinite(frames.grad).all()
