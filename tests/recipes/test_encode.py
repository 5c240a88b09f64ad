"""`sibboleth encode`: a manifest, one encoder, the cache and a file for other tools."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import load
from sibboleth.recipes.encode import encode
from sibboleth.study import EncoderSettings


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(12_000), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(12_000), 16_000)
    file = tmp_path / "manifest.csv"
    file.write_text("utterance,audio,speaker\na,one.wav,s\nb,two.wav,s\nc,silent.wav,s\n")
    return file


def text(shown: object) -> str:
    console = Console(width=300, file=None, record=True, quiet=False)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_features_for_other_tools(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "features.npz"
    name = "untrained:tiny-wavlm"
    done = encode(name, manifest, output=output, seed=3, folder=tmp_path / "cache")
    assert (done.utterances, done.encoded, done.layers, done.dim) == (2, 2, 5, 64)
    assert "left out: c: silent" in text(done)
    with np.load(output) as written:
        assert written["utterance"].tolist() == ["a", "b"]
        samples = soundfile.read(tmp_path / "two.wav", dtype="float32")[0]
        states = load(EncoderSettings(name=name, seed=3)).hidden_states(samples)
        np.testing.assert_allclose(written["mean"][1], states.mean(axis=1), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(written["std"][1], states.std(axis=1), rtol=1e-4, atol=1e-6)
    again = encode(name, manifest, seed=3, folder=tmp_path / "cache")
    assert (again.encoded, again.utterances) == (0, 2)


def test_a_format_that_is_not_written_is_refused_before_any_work(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(SibbolethError, match=r"\.npz"):
        encode("logmel", manifest, output=tmp_path / "features.mat", folder=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
