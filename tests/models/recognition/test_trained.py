"""Recognisers that were trained here: saved and loaded they say what the network in memory said, also by the card."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.models.conftest import VARIANTS
from tests.models.tuning.test_folder import METHODS, record
from torch.nn.utils.rnn import pad_sequence

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.experiment.alphabet import Alphabet
from sibboleth.methods import MethodSettings, TuningSettings
from sibboleth.models import recognition
from sibboleth.models.adapters import reach
from sibboleth.models.encoders import Encoder, load, stack
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.recognition.trained import Characters
from sibboleth.models.tuning import folder
from sibboleth.models.tuning.network import TuningBatch
from sibboleth.models.tuning.transcriber import Transcriber
from sibboleth.models.tuning.tuning import Tuning
from sibboleth.study import EncoderSettings

pytestmark = pytest.mark.usefixtures("one_thread")

CHARACTERS = " abcdefg"
Samples = npt.NDArray[np.float32]


def speech(samples: int) -> Samples:
    """Make noise whose loudness changes, so that frames differ."""
    random = np.random.default_rng(samples)
    return (np.repeat(random.uniform(0.01, 0.4, 20), samples // 20) * random.standard_normal(samples)).astype(
        np.float32
    )


SEVERAL = [speech(samples) for samples in (16_000, 24_000, 9_000)]


def made(encoder: Encoder, kind: str, **more: Any) -> tuple[Tuning, Transcriber]:
    """Build a network that answers all sorts of characters, whatever it was given."""
    method = MethodSettings.model_validate({"name": kind, **METHODS[kind], **more})
    lowest, kept = reach(method, encoder)
    tuning = Tuning(
        kind="transcription",
        method=method,
        training=TuningSettings(),
        lowest=lowest,
        layers=kept,
        pooling="mean",
        dim=encoder.dim,
        out=1 + len(CHARACTERS),
        trials=1,
        seed=3,
    )
    network, _ = tuning.network(encoder, 0)
    assert isinstance(network, Transcriber)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, one in network.named_parameters():
            if one.requires_grad:
                one.add_((0.5 if name.startswith("head") else 0.02) * torch.randn(one.shape, generator=generator))
        if not method.adapts:
            network.scale.add_(0.2 * torch.rand(network.scale.shape, generator=generator))
    return tuning, network.eval()


def in_memory(encoder: Encoder, tuning: Tuning, network: Transcriber, several: Sequence[Samples]) -> list[str]:
    """Answer as a training does about its own dev rows, all in one batch."""
    truth = torch.full((len(several), 1), -1.0)
    if network.stack is not None:
        assert isinstance(encoder, Transformer)
        rows = tuple(stack.prepared(encoder, one) for one in several)
        inputs, lengths = network.stack.enter(rows, [len(one) for one in several])
    else:
        frames = [torch.from_numpy(encoder.hidden_states(one)[tuning.layers]) for one in several]
        inputs, lengths = pad_sequence(frames, True)[:, None], torch.tensor([len(one) for one in frames])
    with torch.no_grad():
        ((_, said),) = network.judged(TuningBatch(inputs.detach(), lengths, truth, 1.0))
    return Alphabet(CHARACTERS).texts(np.asarray(said))


def saved(place: Path, encoder: Encoder, tuning: Tuning, network: Transcriber) -> Path:
    told = {"kind": "transcription", "target": "text", "labels": (), "characters": CHARACTERS, "label_counts": {}}
    about = record(encoder, tuning, **told, normalisation="dutch", metric="wer")
    return folder.save(place, about, encoder, network)


def program(place: Path, audio: Samples) -> str:
    """Run the card's program that does without sibboleth, and return its answer."""
    _, text = re.findall(r"```python\n(.*?)```", (place / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {"audio": audio}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(text.replace("FOLDER", str(place)), names)
    found: str = names["answer"]
    return found


@pytest.mark.parametrize("family", ["wav2vec2", "wavlm", "whisper"])
def test_it_says_what_it_said_in_memory_and_so_does_the_program_on_its_card(family: str, tmp_path: Path) -> None:
    name, changes = VARIANTS[family]
    encoder = load(EncoderSettings(name=f"untrained:{name}"))
    assert isinstance(encoder, Transformer)
    encoder = dataclasses.replace(encoder, config={**encoder.config, **changes})
    for kind in ("head", "mix", "lora", "all", "encoder") if family == "wav2vec2" else ("head", "mix", "lora"):
        tuning, network = made(encoder, kind)
        place = saved(tmp_path / kind, encoder, tuning, network)
        expected = in_memory(encoder, tuning, network, SEVERAL)
        assert len(set(expected)) == 3 and all(len(set(one)) > 2 for one in expected), "the texts depend on the speech"
        model = recognition.load(EncoderSettings(name=str(place)))
        assert [model.transcribe(one, 16_000) for one in SEVERAL] == expected, kind
        if kind != "all":
            assert program(place, SEVERAL[0]) == expected[0], f"{kind}, without sibboleth"
        assert any("--normalise dutch" in note for note in model.notes)


def test_an_encoder_that_transformers_does_not_know_and_long_audio(tmp_path: Path) -> None:
    logmel = load(EncoderSettings(name="logmel"))
    tuning, network = made(logmel, "head")
    place = saved(tmp_path / "model", logmel, tuning, network)
    model = recognition.load(EncoderSettings(name=str(place)))
    assert [model.transcribe(SEVERAL[0], 16_000)] == in_memory(logmel, tuning, network, SEVERAL[:1])
    long = np.tile(SEVERAL[1], 25)
    assert len(model.transcribe(long, 16_000)) > 10 * len(model.transcribe(SEVERAL[1], 16_000))


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    logmel = load(EncoderSettings(name="logmel"))
    place = saved(tmp_path / "model", logmel, *made(logmel, "head"))
    with pytest.raises(InvalidInput, match="sibboleth transcribe"):
        folder.load(place)
    with pytest.raises(InvalidInput, match="leave --language out"):
        recognition.load(EncoderSettings(name=str(place)), "nl")
    with pytest.raises(InvalidInput, match="leave --precision out"):
        recognition.load(EncoderSettings(name=str(place), precision="bfloat16"))
    first = recognition.load(EncoderSettings(name=str(place))).identity
    written = (place / "sibboleth.json").read_text()
    (place / "sibboleth.json").write_text(written.replace(CHARACTERS, " abcdefh"))
    assert recognition.load(EncoderSettings(name=str(place))).identity != first, "other letters, other texts"
    (place / "sibboleth.json").write_text(written.replace('"transcription"', '"regression"'))
    with pytest.raises(SibbolethError, match="another head than"):
        recognition.load(EncoderSettings(name=str(place)))


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([], ""),
        ([0, 0], ""),
        ([2, 2, 0, 2, 3], "aab"),
        ([1, 2, 1, 0, 1, 3, 1], "a b"),
        ([3, 3, 3], "b"),
    ],
)
def test_repeats_are_joined_blanks_dropped_and_words_one_blank_apart(tokens: list[int], text: str) -> None:
    assert Characters(" ab").decode(tokens) == text
