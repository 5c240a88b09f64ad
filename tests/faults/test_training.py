"""A training that is killed while it writes goes on, and ends with the weights of one that was not."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.faults.conftest import Warm, Workplace
from tests.recipes.test_run import tones
from tests.recipes.test_train import write

from sibboleth.errors import SibbolethError
from sibboleth.models.tuning import folder


def weights(place: Path) -> dict[str, torch.Tensor]:
    files = ("head.safetensors", "adapter/adapter_model.safetensors", "encoder/model.safetensors")
    return {f"{file}:{name}": one for file in files for name, one in load_file(place / file).items()}


def test_a_killed_training_goes_on_to_equal_weights(warm: Warm, tmp_path: Path) -> None:
    tones(tmp_path, flipped=("bb",), each=2)
    file = write(tmp_path, epochs=3, training="save = 1e-6")
    place = Workplace(tmp_path)

    def arguments(output: str) -> list[str]:
        return ["train", "study.toml", "--source", "aa", "--then", "bb", "--output", output]

    ended, _, said = warm.run(place, *arguments("whole"))
    assert ended == 0, said
    # In the middle of the first stage, at its weights, and in the second stage: each after a few more states.
    for number, state in enumerate((2, 4, 6, 6)):
        ended, _, said = warm.run(place, *arguments("killed"), state=state)
        if ended == 0:
            assert number > 1, "it was killed in both stages"
            break
        assert ended == -9, said
        with pytest.raises(SibbolethError, match="not finished"):
            folder.load(tmp_path / "killed")
        if number == 1:
            before = file.read_text()
            file.write_text(before.replace("learning_rate = 0.002", "learning_rate = 0.004"))
            refused, _, said = warm.run(place, *arguments("killed"))
            assert refused == 2 and "a training of other settings" in said
            file.write_text(before)
            about = tmp_path / "killed" / "state" / "training.json"
            known = about.read_text()
            about.write_text(known.replace('"processes": 1', '"processes": 2'))
            refused, _, said = warm.run(place, *arguments("killed"))
            assert refused == 2 and "began in 2 processes and cannot go on in 1" in said
            about.write_text(known)
    ended, _, said = warm.run(place, *arguments("killed"))
    assert ended == 0, said
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert not (tmp_path / "killed" / "state").exists()
