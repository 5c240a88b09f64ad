"""A pre-training that is killed again and again ends with the weights of one that nobody disturbed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sibboleth.models import training

FILE = """
name = "x"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[start]
architecture = "tiny-hubert"
[objective]
kind = "hubert"
targets = [{{ clusters = 8 }}]
[batches]
seconds = 3
shortest = 0.2
accumulate = {accumulate}
[training]
steps = {steps}
learning_rate = 1e-3
precision = "float32"
save = 1e-6
"""
STEPS = 9


def weights(folder: Any) -> dict[str, torch.Tensor]:
    return load_file(folder / "encoder" / "model.safetensors")


@pytest.mark.parametrize("accumulate", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_killed_half_way_through_writing_a_state_it_ends_with_the_same_weights(
    workplace: Callable[..., Any], warm: Any, accumulate: int
) -> None:
    place = workplace(speakers=2, each=2)
    (place.folder / "p.toml").write_text(FILE.format(accumulate=accumulate, steps=STEPS))
    status, _, said = warm.run(place, "pretrain", "p.toml", "--output", "whole")
    assert status == 0, said
    parts = place.folder / "parts"
    for state, steps in ((4, 3), (3, 5)):
        assert warm.run(place, "pretrain", "p.toml", "--output", "parts", state=state)[0] == -9
        found = training.saved(parts / training.STATE, {})
        assert found is not None and found["training"]["step"] == steps
        assert json.loads((parts / "run.json").read_text())["status"] == "running"
    assert warm.run(place, "pretrain", "p.toml", "--output", "parts")[0] == 0
    undisturbed, resumed = weights(place.folder / "whole"), weights(parts)
    assert undisturbed.keys() == resumed.keys()
    assert all(torch.equal(undisturbed[name], resumed[name]) for name in undisturbed)
    assert not list(parts.rglob(".part*"))
