"""A training that is killed while it writes goes on, and ends with the weights of one that was not."""

from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from tests.faults.conftest import Warm, Workplace
from tests.recipes.test_run import tones
from tests.recipes.test_train import write
from tests.recipes.test_transcription import LOGMEL, study
from tests.recipes.test_transcription import tones as spelt

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


@pytest.mark.soak
def test_a_killed_training_of_transcripts_goes_on_with_the_learning_rate_it_was_at(warm: Warm, tmp_path: Path) -> None:
    spelt(tmp_path, each=2)
    head = '[[methods]]\nname = "head"\n[methods.training]\nepochs = 3\nlearning_rate = [0.001, 0.03]\nsave = 1e-6\n'
    study(tmp_path, LOGMEL, head)
    place = Workplace(tmp_path)

    def arguments(output: str) -> list[str]:
        return ["train", "study.toml", "--source", "aa", "--output", output]

    ended, _, said = warm.run(place, *arguments("whole"))
    assert ended == 0, said
    for state in (2, 5):
        ended, _, said = warm.run(place, *arguments("killed"), state=state)
        assert ended == -9, said
    assert (tmp_path / "killed" / "state" / "stage-1-rate-0.pt").exists(), "in the second training"
    ended, _, said = warm.run(place, *arguments("killed"))
    assert ended == 0, said
    one, other = (load_file(tmp_path / name / "head.safetensors") for name in ("whole", "killed"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    logs = [
        pl.read_parquet(tmp_path / name / "training.parquet").drop("seconds", "memory") for name in ("whole", "killed")
    ]
    assert logs[0].equals(logs[1]) and len(logs[0]) == 6
