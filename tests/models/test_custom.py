"""Anybody's function as an encoder, and what the checker says of badly behaved ones."""

from pathlib import Path

import numpy as np
import pytest

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models.encoders import EncodingError, load
from sibboleth.study import EncoderSettings

GOOD = """
import numpy as np

def frames(audio, rate):
    hop = rate // 100
    audio = np.pad(audio, (0, max(0, hop - len(audio))))
    cut = audio[: len(audio) // hop * hop].reshape(-1, hop)
    one = np.stack([cut.mean(1), cut.std(1), np.abs(cut).max(1)], axis=1)
    return np.stack([one, 2 * one])
"""

BAD = {
    "is random": ("return frames(a, r) + np.random.randn(1)", "different numbers"),
    "pools itself": ("return frames(a, r).mean(1, keepdims=True)", "frames must grow"),
    "has no layers": ("return frames(a, r)[0]", "return \\[layer, frame, dim\\]"),
    "counts": ("return (1000 * frames(a, r)).astype(int)", "floating-point"),
    "divides by zero": ("return frames(a, r) / np.float32(0) * 0", "not finite"),
    "raises": ("raise ValueError('weights are gone')", "ValueError: weights are gone"),
    "dies of short audio": ("assert len(a) > 1000, 'too short'\n    return frames(a, r)", "pad very short audio"),
    "works in place": ("a -= a.mean()\n    return frames(a, r)", "changes the audio"),
    "remembers": (
        "global last\n    x = frames(a, r) + last\n    last = float(np.abs(a).sum())\n    return x",
        "other audio was encoded",
    ),
    "changes its layers": ("return frames(a, r)[: 1 + (len(a) < 20000)]", "2 layers of 3 numbers were returned before"),
    "returns text": ("return 'hidden states'", "floating-point"),
    "says nothing": ("return frames(a, r) * 0 + 1", "all frames"),
}


def function(folder: Path, body: str = GOOD, name: str = "frames") -> EncoderSettings:
    file = folder / "mine.py"
    file.write_text(body)
    return EncoderSettings(name=f"python:{file}:{name}", language="nl")


def test_a_good_function_is_an_encoder(tmp_path: Path) -> None:
    encoder = load(function(tmp_path))
    assert (encoder.kind, encoder.rate, encoder.layers, encoder.dim) == ("callable", 16_000, 2, 3)
    assert encoder.language == "nl"
    states = encoder.hidden_states(np.ones(3200, dtype=np.float32))
    assert states.shape == (2, 20, 3)
    assert states.dtype == np.float32


def test_the_functions_rate_is_asked_for(tmp_path: Path) -> None:
    encoder = load(function(tmp_path, GOOD + "\nframes.rate = 8000\n"))
    assert encoder.rate == 8000
    assert encoder.identity != load(function(tmp_path)).identity


def test_identity_is_the_source_and_not_the_path(tmp_path: Path) -> None:
    first = load(function(tmp_path)).identity
    (tmp_path / "elsewhere").mkdir()
    assert load(function(tmp_path / "elsewhere")).identity == first
    assert load(function(tmp_path, GOOD.replace("2 * one", "3 * one"))).identity != first


@pytest.mark.parametrize("how", BAD)
def test_a_badly_behaved_function_is_refused_in_plain_words(how: str, tmp_path: Path) -> None:
    body, complaint = BAD[how]
    code = f"{GOOD}\nlast = 0.0\n\ndef bad(a, r):\n    {body}\n"
    with pytest.raises(InvalidInput, match=complaint) as raised, np.errstate(all="ignore"):
        load(function(tmp_path, code, "bad"))
    assert "mine.py" in str(raised.value)


def test_a_torch_function_may_return_a_tensor_with_gradients(tmp_path: Path) -> None:
    code = """
import torch
layer = torch.nn.Conv1d(1, 4, 400, 320, padding=200)
def encode(audio, rate):
    return layer(torch.from_numpy(audio)[None]).T[None]
"""
    assert load(function(tmp_path, code, "encode")).dim == 4


def test_a_module_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sibboleth_test_module.py").write_text(GOOD)
    monkeypatch.syspath_prepend(tmp_path)
    by_name = load(EncoderSettings(name="python:sibboleth_test_module:frames"))
    assert by_name.identity == load(function(tmp_path)).identity


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("python:mine.py", "write python:FILE.py:FUNCTION"),
        ("python:nowhere.py:f", "no such file"),
        ("python:no_such_module_at_all:f", "no module"),
    ],
)
def test_names_that_lead_nowhere(name: str, complaint: str) -> None:
    with pytest.raises(SibbolethError, match=complaint):
        load(EncoderSettings(name=name))


def test_a_missing_function_and_a_failing_import_are_named(tmp_path: Path) -> None:
    with pytest.raises(SibbolethError, match="it has: frames"):
        load(function(tmp_path, GOOD, "frame"))
    with pytest.raises(SibbolethError, match=r"ZeroDivisionError: division by zero"):
        load(function(tmp_path, "1 / 0", "frames"))


def test_a_function_that_changes_its_mind_later_fails_on_that_utterance_only(tmp_path: Path) -> None:
    code = GOOD + "\ndef late(a, r):\n    return frames(a, r)[..., : 2 if len(a) == 5000 else 3]\n"
    encoder = load(function(tmp_path, code, "late"))
    encoder.hidden_states(np.ones(4000, dtype=np.float32))
    with pytest.raises(EncodingError, match="2 layers of 3 numbers"):
        encoder.hidden_states(np.ones(5000, dtype=np.float32))
