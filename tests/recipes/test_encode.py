"""`sibboleth encode`: a manifest, one encoder, the cache and a file for other tools."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from sibboleth import audio
from sibboleth.errors import SibbolethError
from sibboleth.models import export
from sibboleth.models.encoders import load
from sibboleth.models.encoding import Statistics
from sibboleth.models.features import Features
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
        assert written["layer"].tolist() == list(range(5))
        assert written["mean"].shape == written["std"].shape == (2, 5, 64)
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


def test_a_cache_that_cannot_be_is_refused_before_any_work_and_by_the_name_it_was_given(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(*_: object, **__: object) -> None:
        raise AssertionError("scanned")

    monkeypatch.setattr(audio, "scan", scan)
    file = tmp_path / "file"
    file.write_text("words")
    for folder in (file, file / "below"):
        with pytest.raises(SibbolethError, match=r"is no folder.*give --folder"):
            encode("logmel", manifest, folder=folder)
    monkeypatch.setenv("SIBBOLETH_CACHE", str(file))
    with pytest.raises(SibbolethError, match=r"is no folder.*set SIBBOLETH_CACHE"):
        encode("logmel", manifest)


def test_recordings_that_fail_are_not_counted_as_encoded(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "def own(audio, rate):\n"
        "    if len(audio) == 9000:\n"
        "        raise RuntimeError('no')\n"
        "    return audio[: len(audio) // 160 * 160].reshape(1, -1, 160)[..., :4].copy()\n"
    )
    soundfile.write(tmp_path / "two.wav", 0.1 * np.random.default_rng(5).standard_normal(9_000), 16_000)
    name = f"python:{tmp_path / 'own.py'}:own"
    done = encode(name, manifest, folder=tmp_path / "cache")
    assert (done.utterances, done.encoded, done.seconds) == (1, 1, 0.75)
    assert "1 recordings (0.0 min) were encoded now" in text(done)
    assert encode(name, manifest, folder=tmp_path / "cache").encoded == 0


def test_a_file_for_other_tools_is_written_without_all_of_it_in_memory(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    statistics = Features.statistics

    def counted(self: Features, some: range, layers: Sequence[int]) -> Statistics:
        rows.append(len(some))
        return statistics(self, some, layers)

    monkeypatch.setattr(Features, "statistics", counted)
    monkeypatch.setattr(export, "ROWS", 1)
    encode("logmel", manifest, output=tmp_path / "out.npz", folder=tmp_path / "cache")
    assert rows == [1] * 4
