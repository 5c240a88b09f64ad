"""Encoders of whole utterances: files beside a checkpoint, functions that give embeddings, and what they have not."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import torch
import transformers
from safetensors.torch import load_file, save_file

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import encoding, features
from sibboleth.models.cache import Cache
from sibboleth.models.encoders import Encoder, EncodingError, load, utterance
from sibboleth.models.encoders.untrained import architectures
from sibboleth.models.verification import verify
from sibboleth.recipes.cache import export
from sibboleth.recipes.encode import encode
from sibboleth.study import EncoderSettings

RATE = 16_000
EMBEDDING = 24
NOISE = np.random.default_rng(0).standard_normal(40 * RATE).astype(np.float32) * 0.1
FUNCTION = """
import numpy as np

def embed(audio, rate):
    spectrum = np.abs(np.fft.rfft(np.pad(audio, (0, 64))))
    return {returned}
"""


def settings(name: object, **others: object) -> EncoderSettings:
    return EncoderSettings.model_validate({"name": str(name), **others})


def save(folder: Path, architecture: str) -> Path:
    config = dict(architectures()[architecture]["config"])
    torch.manual_seed(1)
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(config.pop("model_type"), **config))
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(**architectures()[architecture]["preprocessor"]).save_pretrained(folder)
    utterance.save(utterance.Embedder(64, EMBEDDING), folder)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("saved"), "tiny-hubert")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def by_hand(folder: Path, audio: np.ndarray) -> np.ndarray:
    """AutoModel, numpy's moments over frames, and the linear layer."""
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    inputs = extractor(audio, sampling_rate=RATE, return_tensors="pt").input_values
    with torch.no_grad():
        frames = transformers.AutoModel.from_pretrained(folder)(inputs).last_hidden_state[0].double().numpy()
    weights = {name: one.double().numpy() for name, one in load_file(folder / utterance.WEIGHTS).items()}
    pooled = np.concatenate([frames.mean(0), np.sqrt(np.maximum(frames.var(0), 1e-5))])
    return np.asarray(weights["linear.weight"] @ pooled + weights["linear.bias"])


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("architecture", ["tiny-hubert", "tiny-xls-r", "tiny-wavlm"])
def test_it_is_one_layer_without_frames_and_what_automodel_gives(architecture: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", architecture)
    encoder = load(settings(folder))
    assert (encoder.layers, encoder.dim, encoder.frames, encoder.stride) == (1, EMBEDDING, False, None)
    assert any("one embedding" in note for note in encoder.notes)
    several = [NOISE[:9000], NOISE[5000:40_000], NOISE[:300]]
    for audio, together in zip(several, encoder.batch(several), strict=True):
        alone = encoder.hidden_states(audio)
        assert alone.shape == together.shape == (1, 1, EMBEDDING)
        assert alone.dtype == np.float32
        close(together, alone)
        if len(audio) >= 400:
            close(alone[0, 0], by_hand(folder, audio))
            close(encoder.plainly(audio), alone)
    recordings = [encoding.Recording(str(k), str(k), None, None, 1.0) for k in range(3)]
    for number, recording in enumerate(recordings):
        soundfile.write(tmp_path / recording.path, NOISE[number * 5000 :][: 16_000 + 999 * number], RATE, format="WAV")
    placed = [encoding.Recording(one.digest, str(tmp_path / one.path), None, None, 1.0) for one in recordings]
    assert all(way.holds for way in verify(encoder, placed).ways)


def test_its_identity_covers_the_files_beside_the_checkpoint(folder: Path) -> None:
    first = load(settings(folder)).identity
    weights = load_file(folder / utterance.WEIGHTS)
    weights["linear.bias"] += 1
    save_file(weights, folder / utterance.WEIGHTS)
    second = load(settings(folder)).identity
    for name in utterance.FILES:
        (folder / name).unlink()
    frames = load(settings(folder))
    assert len({first, second, frames.identity}) == 3
    assert frames.frames
    assert frames.layers == 5


def test_broken_files_say_what_is_wrong(folder: Path) -> None:
    description, weights = (folder / name for name in utterance.FILES)
    good, kept = description.read_text(), weights.read_bytes()

    def refused(match: str) -> None:
        with pytest.raises(SibbolethError, match=match):
            load(settings(folder)).prepare()

    weights.unlink()
    refused("has utterance.json.*but no utterance.safetensors")
    weights.write_bytes(kept[:50])
    refused("does not hold what utterance.json says")
    weights.write_bytes(kept)
    for text, match in [
        ("{", "cannot be read as JSON"),
        (json.dumps(json.loads(good) | {"pooling": "max"}), "utterance.json: pooling"),
        (json.dumps(json.loads(good) | {"format": 2}), "utterance.json: format"),
        (json.dumps(json.loads(good) | {"dim": 32}), "frames of 32 numbers, and the encoder has 64"),
        (json.dumps(json.loads(good) | {"embedding": 7}), "does not hold what utterance.json says"),
    ]:
        description.write_text(text)
        refused(match)


def test_a_long_recording_is_the_mean_over_equal_windows(folder: Path) -> None:
    encoder = load(settings(folder))
    seconds = 37.0
    audio = NOISE[: int(seconds * RATE)]
    blocks = lambda: iter([audio[:100_000], audio[100_000:]])  # noqa: E731
    half = -(-(len(audio) + encoding.LONGEST_ROUNDING) // 2)
    knowing = encoder.for_recording(blocks())
    expected = (knowing.hidden_states(audio[:half]) + knowing.hidden_states(audio[half:])) / 2
    found = encoding.averaged(encoder, blocks, len(audio))
    assert found.shape == (1, 1, EMBEDDING)
    close(found, expected)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Five short utterances and one above the window."""
    lines = ["utterance,audio,speaker,language"]
    for number, seconds in enumerate((0.7, 1.1, 1.9, 1.3, 0.9, 33.0)):
        soundfile.write(tmp_path / f"{number}.wav", NOISE[number * 1000 :][: int(seconds * RATE)], RATE)
        lines.append(f"u{number},{number}.wav,s{number},nl")
    file = tmp_path / "manifest.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def function(folder: Path, returned: str = "spectrum[:7]") -> str:
    file = folder / "mine.py"
    file.write_text(FUNCTION.format(returned=returned))
    return f"python:{file}:embed"


@pytest.mark.parametrize("kind", ["folder", "function"])
def test_encode_keeps_one_vector_per_utterance_and_refuses_frames(
    kind: str, folder: Path, manifest: Path, tmp_path: Path
) -> None:
    name = str(folder) if kind == "folder" else function(tmp_path)
    done = encode(name, manifest, output=tmp_path / "out.npz")
    dim = EMBEDDING if kind == "folder" else 7
    assert (done.utterances, done.layers, done.dim) == (6, 1, dim)  # type: ignore[union-attr]
    written = np.load(tmp_path / "out.npz")
    assert written["mean"].shape == (6, 1, dim)
    # One vector has no deviation, that of a recording of several windows included.
    assert not written["std"].any()
    close(written["mean"][1, 0], load(settings(name)).hidden_states(soundfile.read(manifest.parent / "1.wav")[0])[0, 0])
    with pytest.raises(SibbolethError, match="one embedding per utterance and no frames; leave frames"):
        encode(name, manifest, frames=(0,))
    with pytest.raises(SibbolethError, match="holds no frames of"):
        export(name, manifest, tmp_path / "out.parquet", frames=True)


def test_a_standard_deviation_over_time_is_refused(folder: Path, manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(SibbolethError, match="leave `pooling` out"):
        load(settings(folder, pooling="mean+std"))
    from sibboleth import audio, corpus

    table = corpus.read(manifest).table
    cache = Cache(None)
    cache.require_folder()
    found = features.extract(load(settings(function(tmp_path))), table, audio.scan(table, store=cache.scans), cache)
    assert found.matrix(0).shape == (6, 7)
    with pytest.raises(SibbolethError, match="no standard deviation over time; leave `pooling` out"):
        found.matrix(0, "mean+std")


@pytest.mark.parametrize("returned", ["spectrum[:7]", "spectrum[None, :7]", "spectrum[None, None, :7]"])
def test_a_function_that_gives_embeddings_is_an_encoder_without_frames(returned: str, tmp_path: Path) -> None:
    encoder: Encoder = load(settings(function(tmp_path, returned)))
    assert (encoder.layers, encoder.dim, encoder.frames) == (1, 7, False)
    assert any("one embedding of 7 numbers" in note for note in encoder.notes)
    states = encoder.hidden_states(NOISE[:9000])
    assert states.shape == (1, 1, 7)
    np.testing.assert_array_equal(
        states[0, 0], np.abs(np.fft.rfft(np.pad(NOISE[:9000], (0, 64))))[:7].astype(np.float32)
    )


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        ("np.ones(7)", "different audio gives the same embedding"),
        ("np.stack([spectrum[:7]] * 2)[:, None]", "frames must grow"),
        ("np.stack([spectrum[:7]] * 2)", "return \\[layer, frame, dim\\].*\\[dim\\] for one embedding"),
        ("spectrum[: 7 + len(audio) // 16_000]", "1 layers of 8 numbers were returned before"),
    ],
)
def test_a_function_that_is_neither_is_refused(returned: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        load(settings(function(tmp_path, returned)))


def test_a_function_that_gives_frames_later_fails_on_that_utterance_only(tmp_path: Path) -> None:
    encoder = load(settings(function(tmp_path, "np.tile(spectrum[:7], (1, 1 + (len(audio) == 5000), 1))")))
    assert encoder.hidden_states(NOISE[:4000]).shape == (1, 1, 7)
    with pytest.raises(EncodingError, match="one embedding per utterance was returned before"):
        encoder.hidden_states(NOISE[:5000])


def test_frames_of_one_second_are_frames(tmp_path: Path) -> None:
    code = "np.stack([spectrum[:7] * (k + 1) for k in range(max(1, len(audio) // 16_000))])[None]"
    assert load(settings(function(tmp_path, code))).frames


def test_it_is_saved_whole(tmp_path: Path) -> None:
    embedder = utterance.Embedder(5, 3)
    utterance.save(embedder, tmp_path)
    assert utterance.is_one(tmp_path)
    again = utterance.read(tmp_path)
    assert again.description == embedder.description
    torch.testing.assert_close(again.state_dict(), embedder.state_dict(), rtol=0, atol=0)
    assert pl.read_json(tmp_path / utterance.DESCRIPTION).row(0) == (1, "mean+std", 5, 3)
