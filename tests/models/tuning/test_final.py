"""The training of a final model: what was done before a kill answers as it did."""

from pathlib import Path

import numpy as np
import pytest

from sibboleth.methods import MethodSettings, TuningSettings
from sibboleth.models import training
from sibboleth.models.encoders import load
from sibboleth.models.tuning.final import Final
from sibboleth.models.tuning.inputs import PooledInputs
from sibboleth.models.tuning.tuning import Tuning
from sibboleth.splits import Stage
from sibboleth.study import EncoderSettings

pytestmark = pytest.mark.usefixtures("one_thread")

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(0, 1, (80, 6)).astype(np.float32)
TRUTH = np.where(np.arange(80) < 40, 300.0, 500.0)[:, None] + 20 * FEATURES[:, :1].astype(np.float64)
STAGES = (
    Stage("a", np.arange(30), np.arange(30, 40)),
    Stage("b", np.arange(40, 70), np.arange(70, 80)),
)


def final(folder: Path) -> Final:
    tuning = Tuning(
        kind="regression",
        method=MethodSettings(name="head"),
        training=TuningSettings(epochs=3, learning_rate=0.1, batch_size=10),
        lowest=0,
        layers=0,
        pooling="mean",
        dim=6,
        out=1,
        trials=1,
        seed=0,
    )
    inputs = PooledInputs([FEATURES], TRUTH, np.full(80, 1.0))
    encoder = load(EncoderSettings(name="logmel"))
    return Final(
        tuning,
        encoder,
        inputs,
        STAGES,
        lambda a, b: -float(np.abs(a - b).mean()),
        folder,
        "mark",
        training.accelerator(False),
    )


def answers(one: Final) -> np.ndarray:
    network = one.network.eval()
    return network.answered(network.outputs(one.inputs.batch(np.arange(80))).detach())


def test_a_model_of_numbers_whose_stages_are_all_done_answers_on_its_scale(tmp_path: Path) -> None:
    whole = final(tmp_path)
    assert len(list(whole)) == len(whole) == 6
    again = final(tmp_path)
    assert len(list(again)) == 6
    np.testing.assert_array_equal(answers(again), answers(whole))
    assert abs(answers(again)[40:].mean() - 500) < abs(answers(again)[40:].mean() - 0)
