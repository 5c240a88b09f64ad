"""What a network is given: the cached front is the live one, company changes nothing, audio is changed as asked."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import torch

from sibboleth import audio
from sibboleth.methods import MethodSettings, TuningAugmentation, TuningSettings
from sibboleth.models import features
from sibboleth.models.cache import Cache
from sibboleth.models.encoders import stack
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.encoding import Recording
from sibboleth.models.tuning.inputs import AudioInputs, FrameInputs, changed, faster
from sibboleth.models.tuning.network import Tuned
from sibboleth.models.tuning.tuning import Tuning

SECONDS = (0.5, 1.3, 0.9, 0.02)
TRUTH = np.eye(2)[[0, 1, 0, 1]]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder, random = tmp_path_factory.mktemp("speech"), np.random.default_rng(0)
    rows = []
    for number, seconds in enumerate(SECONDS):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * random.standard_normal(int(16_000 * max(seconds, 0.11))), 16_000, subtype="FLOAT")
        rows.append((str(number), str(path), None, None))
    schema = {"utterance": pl.String, "audio": pl.String, "start": pl.Float64, "end": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def built(encoder: Transformer, lowest: int = 0, **method: Any) -> Tuned:
    tuning = Tuning(
        kind="classification",
        method=MethodSettings.model_validate({"name": "m", "lowest": lowest, **method}),
        training=TuningSettings(),
        lowest=lowest,
        layers=3,
        pooling="mean",
        dim=encoder.dim,
        out=2,
        trials=1,
        seed=0,
    )
    return tuning.network(encoder, 0)[0].eval()


@pytest.mark.parametrize("lowest", [0, 2])
def test_cached_frames_are_those_of_the_audio_alone_or_in_company(
    family: Transformer, lowest: int, speech: pl.DataFrame
) -> None:
    scan = audio.scan(speech)
    found = features.extract(family.unshortened(), speech, scan, Cache(), frames=(lowest,))
    seconds = scan["seconds"].to_numpy()
    own = np.array([stack.own_frames(family, round(one * 16_000)) for one in seconds])
    framed = FrameInputs(found, lowest, np.arange(4), own, TRUTH, seconds)
    columns = (scan["digest"], speech["audio"], speech["start"], speech["end"], scan["seconds"])
    recordings = [Recording(*row) for row in zip(*columns, strict=True)]
    live = AudioInputs(family, recordings, TuningAugmentation(), TRUTH, seconds)
    network = built(family, lowest, lora={"rank": 2}, mix=True)
    with torch.no_grad():
        together = network.outputs(framed.batch(np.arange(4)))
        alone = torch.cat([network.outputs(framed.batch(np.array([row]))) for row in range(4)])
        heard = network.outputs(live.batch(np.array([3, 0, 2, 1])))[[1, 3, 2, 0]]
    for other in (alone, heard):
        assert float((together - other).norm() / together.norm()) < 1e-5


def test_changes_are_those_of_the_seed_and_leave_lengths_as_they_are() -> None:
    random = np.random.default_rng(0)
    several = [0.1 * random.standard_normal(size).astype(np.float32) for size in (8000, 12_000)]
    loud = TuningAugmentation(gain=6, noise=1, babble=1, reverberation=1, colour=1)
    one, same = (changed(several, 16_000, loud, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert [len(row) for row in one] == [8000, 12_000]
    assert all(not np.array_equal(a, b) for a, b in zip(one, several, strict=True))
    plain = changed(several, 16_000, TuningAugmentation(mask=0.5), np.random.default_rng(5))
    assert all(np.array_equal(a, b) for a, b in zip(plain, several, strict=True))


@pytest.mark.parametrize("factor", [0.9, 1.25])
def test_faster_speech_is_shorter_and_higher(factor: float) -> None:
    time = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 400 * time).astype(np.float32)
    found = faster(tone, factor)
    assert len(found) == pytest.approx(16_000 / factor, abs=2)
    spectrum = np.abs(np.fft.rfft(found))
    assert np.argmax(spectrum) * 16_000 / len(found) == pytest.approx(400 * factor, rel=0.01)
    assert faster(tone, 1.0) is tone


def test_every_weight_learns_from_audio(family: Transformer, speech: pl.DataFrame, tmp_path: Path) -> None:
    scan = audio.scan(speech)
    columns = (scan["digest"], speech["audio"], speech["start"], speech["end"], scan["seconds"])
    recordings = [Recording(*row) for row in zip(*columns, strict=True)]
    live = AudioInputs(family, recordings, TuningAugmentation(speed=(0.9, 1.1)), TRUTH, scan["seconds"].to_numpy())
    network = built(family, train="encoder")
    network(live.batch(np.arange(4), np.random.default_rng(0)))["loss"].backward()
    learnt = [one for one in network.parameters() if one.requires_grad]
    reached = sum(one.grad is not None and bool(one.grad.abs().sum() > 0) for one in learnt)
    assert reached > 0.9 * len(learnt)
