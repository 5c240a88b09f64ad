"""What can be wrong with a checkpoint, and where it is looked for."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import load
from sibboleth.models.encoders.untrained import architectures
from sibboleth.study import EncoderSettings

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOISE = np.random.default_rng(0).standard_normal(4000).astype(np.float32)


def settings(name: object) -> EncoderSettings:
    return EncoderSettings(name=str(name))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    options = dict(architectures()["tiny-wav2vec2"]["config"])
    del options["model_type"]
    torch.manual_seed(0)
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**options)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder of an empty hub cache on a machine without network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def in_hub(hub: Path, folder: Path) -> Path:
    """Lay a checkpoint into the hub's cache as the hub's client does."""
    repository = hub / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return Path(shutil.copytree(folder, repository / "snapshots" / COMMIT))


def test_a_cached_checkpoint_is_found_by_name_and_revision_without_network(folder: Path, hub: Path) -> None:
    expected = load(settings(folder))
    in_hub(hub, folder)
    for name in ("someone/tiny", "someone/tiny@main", f"someone/tiny@{COMMIT}"):
        encoder = load(settings(name))
        assert encoder.name == name
        assert encoder.identity == expected.identity
        np.testing.assert_array_equal(encoder.hidden_states(NOISE), expected.hidden_states(NOISE))


def test_a_cached_checkpoint_without_its_preprocessor_is_used_with_a_note(folder: Path, hub: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    in_hub(hub, folder)
    assert any("preprocessor_config.json" in note for note in load(settings("someone/tiny")).notes)


@pytest.mark.parametrize("name", ["someone/else", "someone/tiny@other"])
def test_an_unreachable_checkpoint_says_what_to_do(name: str, folder: Path, hub: Path) -> None:
    in_hub(hub, folder)
    with pytest.raises(SibbolethError, match="HF_HOME") as raised:
        load(settings(name))
    assert "local folder" in str(raised.value)


@pytest.mark.parametrize("name", ["logmell", "./nowhere", "/nowhere/at/all", "wav2vec2-base"])
def test_what_is_no_checkpoint_is_told_without_asking_the_hub(name: str) -> None:
    with pytest.raises(SibbolethError, match="no such"):
        load(settings(name))


def test_weights_in_several_files_and_in_torch_files(saved: Path, folder: Path, tmp_path: Path) -> None:
    expected = load(settings(saved)).hidden_states(NOISE)
    model = transformers.AutoModel.from_pretrained(saved, dtype=torch.float32)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="200KB")
    shutil.copy(saved / "preprocessor_config.json", tmp_path / "sharded")
    assert (tmp_path / "sharded" / "model.safetensors.index.json").exists()
    sharded = load(settings(tmp_path / "sharded"))
    np.testing.assert_allclose(sharded.hidden_states(NOISE), expected, rtol=1e-5, atol=1e-6)
    next((tmp_path / "sharded").glob("model-00001*")).unlink()
    with pytest.raises(SibbolethError, match="not all shards"):
        load(settings(tmp_path / "sharded"))
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    np.testing.assert_allclose(load(settings(folder)).hidden_states(NOISE), expected, rtol=1e-5, atol=1e-6)


class Trap:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code was run')",))


def test_a_pickle_with_code_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(SibbolethError, match="could run any code"):
        load(settings(folder)).prepare()


def test_half_precision_weights_are_computed_in_float32(saved: Path, folder: Path) -> None:
    transformers.AutoModel.from_pretrained(saved, dtype=torch.float16).save_pretrained(folder)
    encoder = load(settings(folder))
    assert encoder.hidden_states(NOISE).dtype == np.float32
    assert {p.dtype for p in encoder._model.parameters()} == {torch.float32}  # type: ignore[attr-defined]


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_weights_that_would_be_random_are_an_error(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=6)
    with pytest.raises(SibbolethError, match="would be random"):
        load(settings(folder)).prepare()


def test_other_folders_say_what_is_wrong(folder: Path) -> None:
    change(folder / "config.json", model_type="bert")
    with pytest.raises(SibbolethError, match=r"'bert' is not a speech encoder.*python:FILE.py:FUNCTION"):
        load(settings(folder))
    change(folder / "config.json", model_type="wav2vec2")
    (folder / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(SibbolethError, match="cannot be loaded"):
        load(settings(folder)).prepare()
    (folder / "model.safetensors").unlink()
    with pytest.raises(SibbolethError, match="has no weights"):
        load(settings(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(SibbolethError, match="cannot be read as JSON"):
        load(settings(folder))
    (folder / "config.json").unlink()
    with pytest.raises(SibbolethError, match="no config.json"):
        load(settings(folder))


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", [], "must hold a JSON object"),
        ("config.json", {"hidden_size": "x"}, "hidden_size"),
        ("config.json", {"num_hidden_layers": None}, "num_hidden_layers"),
        ("preprocessor_config.json", ["a"], "must hold a JSON object"),
        ("preprocessor_config.json", {"sampling_rate": "abc"}, "sampling_rate"),
        ("preprocessor_config.json", {"sampling_rate": 0}, "sampling_rate"),
    ],
)
def test_files_with_nonsense_name_file_and_field(folder: Path, file: str, changes: object, said: str) -> None:
    path = folder / file
    written = json.loads(path.read_text())
    path.write_text(json.dumps(written | changes if isinstance(changes, dict) else changes))
    with pytest.raises(SibbolethError, match=said):
        load(settings(folder))
