"""Checkpoints of strangers: whatever they hold, no code of theirs runs, and nothing outside them is read."""

import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import load
from sibboleth.models.encoders.untrained import architectures
from sibboleth.study import EncoderSettings

NOISE = np.random.default_rng(0).standard_normal(4000).astype(np.float32)


class Trap:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code was run')",))


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


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def encoded(folder: Path) -> Any:
    return load(EncoderSettings(name=str(folder))).hidden_states(NOISE)


def test_code_beside_a_checkpoint_is_never_imported(saved: Path, folder: Path) -> None:
    (folder / "modeling_evil.py").write_text("raise SystemExit('code was run')\n")
    names = {name: f"modeling_evil.{name}" for name in ("AutoConfig", "AutoModel", "AutoModelForCTC")}
    change(folder / "config.json", auto_map=names, trust_remote_code=True)
    names = {"AutoFeatureExtractor": "modeling_evil.Evil", "AutoProcessor": "modeling_evil.Evil"}
    change(folder / "preprocessor_config.json", auto_map=names, feature_extractor_type="Evil")
    np.testing.assert_array_equal(encoded(folder), encoded(saved))
    assert not [name for name in sys.modules if "modeling_evil" in name]


@pytest.mark.parametrize("place", ["plain", "sharded", "old"])
def test_pickles_with_more_than_weights_are_refused(place: str, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    if place == "old":  # as torch wrote before 1.6, and as anybody may call any pickle
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Trap()}))
    elif place == "plain":
        torch.save({"weight": Trap()}, folder / "pytorch_model.bin")
    else:
        for number in (1, 2):
            torch.save({f"weight.{number}": Trap()}, folder / f"pytorch_model-{number}.bin")
        told = {f"weight.{number}": f"pytorch_model-{number}.bin" for number in (1, 2)}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": told}))
    with pytest.raises(SibbolethError, match="could run any code"):
        encoded(folder)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_an_adapter_beside_a_checkpoint_is_no_part_of_it_unnoticed(kind: str, folder: Path) -> None:
    """Its weights would change the features, and no identity would know of them."""
    told = {"peft_type": "LORA", "base_model_name_or_path": "/somewhere/else", "target_modules": ["q_proj"], "r": 2}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    if kind == "bin":
        torch.save({"weight": Trap()}, folder / "adapter_model.bin")
    with pytest.raises(SibbolethError, match=r"adapter_config.json.*merge_and_unload"):
        encoded(folder)


@pytest.mark.parametrize(
    "shard",
    ["../outside.safetensors", "/outside.safetensors", "a/../../outside.safetensors", "", ".", 3, None, ["x"]],
    ids=repr,
)
def test_shards_lie_beside_their_index(shard: object, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(SibbolethError, match=r"index.json.*weight_map"):
        encoded(folder)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {}}', "[" * 100_000, "9" * 5000]
)
def test_an_index_that_is_none_is_told(text: str, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(SibbolethError, match=r"index.json"):
        encoded(folder)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"hidden_size": ' + "9" * 5000 + "}", "\ud800"])
def test_files_that_no_parser_likes_are_told(file: str, text: str, folder: Path) -> None:
    (folder / file).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SibbolethError, match=file):
        encoded(folder)


@pytest.mark.parametrize("asked", ["somebody/kernel", {"": "somebody/kernel@main:evil"}])
def test_a_configuration_may_not_ask_for_code_of_the_hub(asked: object, folder: Path) -> None:
    change(folder / "config.json", attn_implementation=asked)
    with pytest.raises(SibbolethError, match="code of the hub"):
        encoded(folder)
