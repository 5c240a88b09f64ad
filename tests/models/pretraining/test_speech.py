"""Batches: each follows from its number, holds no more than its budget, and covers everything."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sibboleth import audio
from sibboleth.augmentation import AugmentationSettings
from sibboleth.models.pretraining import clusters
from sibboleth.models.pretraining.clusters import Frame, Labels
from sibboleth.models.pretraining.pieces import Pieces
from sibboleth.models.pretraining.speech import Batches, Cutting, SpeechBatch
from sibboleth.pretraining import BatchSettings, Pretraining, TargetFeatures

Make = Callable[..., Pretraining]
FRAME = Frame(rate=16_000, hop=320, field=400)
PLAIN = AugmentationSettings()
LOUD = AugmentationSettings(gain=6, reverberation=0.5, noise=0.5, babble=0.5, colour=0.5)


def batches(
    gathered: Pieces,
    labels: tuple[Labels, ...] = (),
    views: tuple[float, ...] = (1.2,),
    seconds: float = 6.0,
    changes: AugmentationSettings = PLAIN,
    seed: int = 0,
    normalise: bool = False,
) -> Batches:
    cutting = Cutting(views=views, rate=16_000, hop=320, normalise=normalise)
    return Batches(gathered, cutting, BatchSettings(seconds=seconds), changes, labels, seed)


def same(one: SpeechBatch, other: SpeechBatch) -> bool:
    tensors = [(*batch.views, *batch.labels) for batch in (one, other)]
    return one.seconds == other.seconds and all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


def test_a_batch_follows_from_its_number_whatever_was_asked_before(gathered: Pieces) -> None:
    in_order = batches(gathered, changes=LOUD)
    every = [in_order[number] for number in range(12)]
    for order in (range(11, -1, -1), (7, 0, 7, 11, 3)):
        other = batches(gathered, changes=LOUD)
        assert all(same(other[number], every[number]) for number in order)
    assert not same(every[0], batches(gathered, changes=LOUD, seed=1)[0])


def test_workers_give_the_same_bits(gathered: Pieces) -> None:
    numbers = list(range(8))
    alone = [batches(gathered, changes=LOUD)[number] for number in numbers]
    loader = DataLoader(
        batches(gathered, changes=LOUD), batch_size=None, sampler=numbers, num_workers=2, multiprocessing_context="fork"
    )
    assert all(same(a, b) for a, b in zip(alone, loader, strict=True))


@pytest.mark.parametrize("views", [(1.2,), (4.0,), (1.0, 1.0, 0.4)])
def test_no_batch_costs_more_than_the_budget_and_an_epoch_has_every_piece_once(
    gathered: Pieces, views: tuple[float, ...]
) -> None:
    made = batches(gathered, views=views)
    number = seen = 0
    for epoch in range(2):
        rows: list[int] = []
        while len(rows) < len(gathered.table):
            rows += made._rows(number).tolist()
            batch = made[number]
            assert batch.seconds <= 6.0 and batch.seconds == pytest.approx(sum(v.numel() for v in batch.views) / 16_000)
            assert all(
                view.shape[1] <= round(seconds * 16_000) for view, seconds in zip(batch.views, views, strict=True)
            )
            number += 1
        assert sorted(rows) == list(range(len(gathered.table))), epoch
        seen += len(rows)


def test_a_piece_longer_than_the_budget_is_a_batch_by_itself(gathered: Pieces) -> None:
    made = batches(gathered, seconds=0.5)
    assert all(len(made[number].views[0]) == 1 for number in range(14))


def test_cuts_are_places_of_the_recording_and_other_ones_each_time(gathered: Pieces) -> None:
    made = batches(gathered, views=(0.5, 0.5))
    starts = set()
    for number in range(6):
        rows = made._rows(number)
        for row, cut in zip(rows.tolist(), made[number].views[0].numpy(), strict=True):
            whole, _ = audio.read(gathered.table["audio"][row], 16_000)
            found = [
                k for k in range(0, len(whole) - len(cut) + 1, 320) if np.array_equal(whole[k : k + len(cut)], cut)
            ]
            assert len(found) == 1
            starts.add((row, found[0]))
        views = made[number].views
        assert not torch.equal(views[0], views[1])
    assert len(starts) > 14


def test_labels_of_a_cut_are_those_of_its_place_in_the_whole(gathered: Pieces, tmp_path: Path) -> None:
    labels, facts = clusters.labels(TargetFeatures(clusters=8), gathered, FRAME, 1.0, 0, tmp_path / "labels")
    made = batches(gathered, (labels,))
    for number in range(4):
        batch = made[number]
        rows = made._rows(number).tolist()
        assert batch.labels[0].shape == (len(rows), FRAME.count(batch.views[0].shape[1]))
        for row, cut, told in zip(rows, batch.views[0].numpy(), batch.labels[0].tolist(), strict=True):
            whole, _ = audio.read(gathered.table["audio"][row], 16_000)
            begin = next(k for k in range(0, len(whole), 320) if np.array_equal(whole[k : k + len(cut)], cut))
            own = labels.every[labels.firsts[row] : labels.firsts[row + 1]].tolist()
            assert told == own[begin // 320 : begin // 320 + len(told)]
    assert facts["frames"] == labels.firsts[-1] == len(labels.every)


def test_normalised_cuts_have_mean_0_and_variance_1(gathered: Pieces) -> None:
    view = batches(gathered, normalise=True)[0].views[0]
    assert torch.allclose(view.mean(1), torch.zeros(len(view)), atol=1e-5)
    assert torch.allclose(view.var(1, unbiased=False), torch.ones(len(view)), atol=1e-2)
