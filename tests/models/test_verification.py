"""What verification measures, and that it finds an encoder whose features depend on how it is called."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from rich.console import Console

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import Encoder, HiddenStates, load
from sibboleth.models.encoders.untrained import Untrained
from sibboleth.models.encoding import Recording
from sibboleth.models.verification import EXACT, verify
from sibboleth.recipes.encode import encode
from sibboleth.recipes.verified import Verified
from sibboleth.study import EncoderSettings

Audio = npt.NDArray[np.float32]


def record(folder: Path, lengths: Sequence[float]) -> list[Recording]:
    random = np.random.default_rng(0)
    made = []
    for index, seconds in enumerate(lengths):
        samples = np.linspace(0.05, 0.3, int(seconds * 16_000)) * random.standard_normal(int(seconds * 16_000))
        soundfile.write(folder / f"{index}.wav", samples, 16_000, subtype="FLOAT")
        made.append(Recording(str(index), str(folder / f"{index}.wav"), None, None, seconds))
    return made


def test_every_way_of_a_transformer_is_measured_layer_by_layer(tmp_path: Path) -> None:
    encoder = load(EncoderSettings(name="untrained:tiny-hubert", precision="bfloat16"))
    found = verify(encoder, record(tmp_path, [0.6, 3.0, 14.0, 1.1, 0.3, 9.0]))
    ways = {way.name.split(" over")[0]: way for way in found.ways}
    assert set(ways) == {"one at a time", "reversed", "side by side", "bfloat16", "padded batches", "windows"}
    for name in ("one at a time", "reversed", "side by side", "padded batches"):
        assert ways[name].exact and ways[name].holds
        assert ways[name].distance.shape == (encoder.layers,)
        assert 0 < ways[name].distance.max() < EXACT
    assert EXACT < ways["bfloat16"].distance.max() < 0.1
    assert not ways["bfloat16"].exact
    assert ways["windows"].distance[0] < EXACT < ways["windows"].distance.max()
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(Verified(found))
    shown = console.export_text()
    assert "exact" in shown and "layer by layer" in shown and "more than" not in shown


@dataclass(frozen=True, kw_only=True)
class Forgetful(Encoder):
    """Adds what it heard before: a batch norm that was left in training mode."""

    past: list[float] = field(default_factory=list)

    def hidden_states(self, audio: Audio) -> HiddenStates:
        frames = np.abs(audio[: len(audio) // 160 * 160].reshape(1, -1, 160)[:, :, :4])
        self.past.append(float(frames.mean()))
        return np.asarray(frames + np.float32(np.mean(self.past)))


def test_an_encoder_that_remembers_is_found(tmp_path: Path) -> None:
    encoder = Forgetful(name="forgetful", identity="f" * 64, kind="callable", rate=16_000, layers=1, dim=4)
    found = Verified(verify(encoder, record(tmp_path, [0.5, 1.0, 0.7])))
    assert not found.exact
    assert any(not way.holds for way in found.measured.ways)


def test_a_model_whose_batches_leak_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Untrained.batch

    def leaking(self: Untrained, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        longest = max(map(len, several))
        return honest(self, [np.pad(audio, (0, longest - len(audio))) for audio in several], samples)

    monkeypatch.setattr(Untrained, "batch", leaking)
    encoder = load(EncoderSettings(name="untrained:tiny-wav2vec2"))
    found = Verified(verify(encoder, record(tmp_path, [0.5, 1.0, 0.7, 2.0])))
    assert [way.name for way in found.measured.ways if not way.holds] == ["padded batches"]
    assert not found.exact


@dataclass(frozen=True, kw_only=True)
class Silent(Encoder):
    """Has a layer of zeros."""

    def hidden_states(self, audio: Audio) -> HiddenStates:
        frames = np.abs(audio[: len(audio) // 160 * 160].reshape(1, -1, 160)[:, :, :4])
        return np.concatenate([np.zeros_like(frames), frames])


def test_a_layer_of_zeros_is_equal_to_itself(tmp_path: Path) -> None:
    encoder = Silent(name="silent", identity="s" * 64, kind="callable", rate=16_000, layers=2, dim=4)
    assert Verified(verify(encoder, record(tmp_path, [0.5, 1.0, 0.7]))).exact


def test_too_little_speech_is_said(tmp_path: Path) -> None:
    encoder = load(EncoderSettings(name="logmel"))
    with pytest.raises(SibbolethError, match="two or more utterances"):
        verify(encoder, record(tmp_path, [1.0]))


def test_encode_verify_writes_nothing_into_the_cache(tmp_path: Path) -> None:
    recordings = record(tmp_path, [0.5, 0.9, 1.4])
    lines = ["audio,speaker", *(f"{Path(recording.path).name},s{i}" for i, recording in enumerate(recordings))]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(lines))
    found = encode("logmel", manifest, verify=True, folder=tmp_path / "cache")
    assert isinstance(found, Verified) and found.exact
    assert found.measured.utterances == 3
    assert not list(itertools.chain((tmp_path / "cache").glob("features/**/*.features")))
    with pytest.raises(SibbolethError, match="leave --output and --frames out"):
        encode("logmel", manifest, verify=True, frames=(0,), folder=tmp_path / "cache")
    with pytest.raises(SibbolethError, match="precision"):
        encode("logmel", manifest, precision="bfloat16", folder=tmp_path / "cache")
