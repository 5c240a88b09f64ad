"""Hidden frames: their share, their spans, their chance."""

import numpy as np
import pytest
import torch
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

from sibboleth.models.pretraining.masking import masked
from sibboleth.pretraining import MaskSettings


@pytest.mark.parametrize(("share", "length"), [(0.8, 10), (0.65, 10), (0.3, 5)])
def test_as_many_frames_are_hidden_as_transformers_hides(share: float, length: int) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - transformers draws with it
    ours = torch.cat([masked(8, 300, MaskSettings(share=share, length=length)) for _ in range(40)]).float()
    theirs = np.concatenate([_compute_mask_indices((8, 300), share, length) for _ in range(40)])
    assert float(ours.mean()) == pytest.approx(theirs.mean(), abs=0.01)
    # Each place is hidden about as often as the others, but for the ends, where spans cannot begin before.
    middle = ours.mean(0)[length : 300 - length]
    assert float(middle.min()) > 0.6 * float(middle.mean())


def test_hidden_frames_are_whole_spans() -> None:
    torch.manual_seed(1)
    for row in masked(200, 90, MaskSettings(share=0.3, length=7)).int():
        edges = torch.diff(torch.cat([torch.zeros(1, dtype=torch.int), row, torch.zeros(1, dtype=torch.int)]))
        lengths = torch.nonzero(edges == -1) - torch.nonzero(edges == 1)
        assert len(lengths) and int(lengths.min()) >= 7


def test_every_row_hides_something_and_short_ones_everything() -> None:
    torch.manual_seed(2)
    assert bool(masked(50, 12, MaskSettings(share=0.01, length=10)).any(1).all())
    for frames in (1, 4, 10):
        assert bool(masked(5, frames, MaskSettings(share=0.5, length=10)).all())
    assert masked(3, 40, MaskSettings(share=1.0, length=1)).sum(1).tolist() == [40, 40, 40]


def test_chance_is_torchs_own() -> None:
    drawn = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        drawn.append(masked(4, 100, MaskSettings()))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
