"""A trained model as a folder: saved and loaded it answers as before, alone, in company, and without sibboleth."""

import contextlib
import dataclasses
import io
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from peft import PeftModel

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.methods import MethodSettings, TuningSettings
from sibboleth.models import encoding
from sibboleth.models.adapters import reach
from sibboleth.models.encoders import Encoder, load, stack
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.tuning import folder
from sibboleth.models.tuning.network import Tuned, TuningBatch
from sibboleth.models.tuning.record import EncoderRecord, ModelRecord, StageRecord
from sibboleth.models.tuning.tuning import Tuning
from sibboleth.study import EncoderSettings

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = ("angry", "happy", "sad")
HEAD = {"hidden": [8]}
LORA = {"rank": 2}
METHODS: dict[str, dict[str, Any]] = {
    "head": {"head": HEAD},
    "mix": {"mix": True, "lowest": 1, "layers": 2},
    "lora": {"lora": LORA},
    "bottleneck": {"bottleneck": {"reduction": 2, "placement": "parallel"}, "lowest": 2, "layers": 3, "head": HEAD},
    "gate": {"gate": {}, "mix": True, "head": {"hidden": [8, 4], "dropout": 0.1}},
    "all": {"lora": LORA, "bottleneck": {"reduction": 2}, "gate": {"start": "anchor"}, "mix": True, "lowest": 1},
    "layers": {"train": "layers", "lora": LORA, "lowest": 2},
    "encoder": {"train": "encoder", "layers": 2},
}
LENGTHS = (8000, 14_000, 5000)
Samples = npt.NDArray[np.float32]


def speech(samples: int) -> Samples:
    return (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)


def made(encoder: Encoder, kind: str, pooling: str = "mean", **more: Any) -> tuple[Tuning, Tuned]:
    """Build a network of a method and give all that it trains other weights than it begins with."""
    method = MethodSettings.model_validate({"name": kind, **METHODS[kind], **more})
    lowest, kept = reach(method, encoder)
    tuning = Tuning(
        kind="classification",
        method=method,
        training=TuningSettings(),
        lowest=lowest,
        layers=kept,
        pooling=pooling,  # type: ignore[arg-type]
        dim=encoder.dim * (2 if pooling == "mean+std" else 1),
        out=len(LABELS),
        trials=1,
        seed=3,
    )
    network, _ = tuning.network(encoder, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in network.parameters():
            if one.requires_grad:
                one.add_(0.05 * torch.randn(one.shape, generator=generator))
    return tuning, network.eval()


def record(encoder: Encoder, tuning: Tuning, **more: Any) -> ModelRecord:
    family = encoder.config["model_type"] if isinstance(encoder, Transformer) else None
    told: dict[str, Any] = {
        "name": "made",
        "kind": "classification",
        "target": "emotion",
        "labels": LABELS,
        "method": tuning.method.model_copy(update={"training": tuning.training}),
        "encoder": EncoderRecord(
            name=encoder.name,
            identity=encoder.identity,
            language=None,
            rate=encoder.rate,
            dim=encoder.dim,
            whole=encoder.layers - 1,
            layers=tuning.layers,
            lowest=tuning.lowest,
            pooling=tuning.pooling,
            precision=encoder.precision,
            family=family,
            copied=family is not None,
        ),
        "preprocessing": {},
        "bits": "float32",
        "trained": {"head": 1},
        "total": 2,
        "column": "corpus",
        "stages": (
            StageRecord(
                domain="made",
                utterances=10,
                speakers=4,
                hours=0.1,
                dev_utterances=2,
                dev_speakers=2,
                epochs=3,
                epoch=2,
                dev_loss=0.5,
                dev=0.75,
            ),
        ),
        "metric": "uar",
        "scores": (),
        "confidence": 0.95,
        "languages": ("no",),
        "corpora": ({"name": "made", "digest": "", "synthetic": False},),
        "label_counts": dict.fromkeys(LABELS, 3),
        "seed": 3,
        "study": {"name": "made"},
        "fingerprint": "0",
        "versions": {},
    }
    return ModelRecord.model_validate(told | more)


def in_memory(encoder: Encoder, tuning: Tuning, network: Tuned, several: Sequence[Samples]) -> npt.NDArray[np.float64]:
    """Answer as a training does about its own dev rows, all in one batch."""
    truth = torch.zeros(len(several), len(LABELS))
    if tuning.method.adapts:
        assert isinstance(encoder, Transformer)
        inputs: Any = tuple(stack.prepared(encoder, one) for one in several)
        lengths = torch.tensor([len(one) for one in several])
    else:
        found = [encoding.pooled(iter([encoder.hidden_states(one)])) for one in several]
        count = 2 if tuning.pooling == "mean+std" else 1
        rows = [one[tuning.lowest : tuning.layers + 1, :count].reshape(-1, tuning.dim) for one in found]
        inputs, lengths = torch.from_numpy(np.stack(rows)), torch.ones(len(several), dtype=torch.long)
    with torch.no_grad():
        return network.answered(network.outputs(TuningBatch(inputs, lengths, truth, 1.0)))


def answers(model: folder.Model, several: Sequence[Samples], rate: int) -> npt.NDArray[np.float64]:
    return np.array([list(model.predict(one, rate).weights.values()) for one in several])


def program(place: Path, audio: Samples) -> dict[str, float]:
    """Run the card's program that does without sibboleth, and return its answer."""
    _, text = re.findall(r"```python\n(.*?)```", (place / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {"audio": audio}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(text.replace("FOLDER", str(place)), names)
    found: dict[str, float] = names["answer"]
    return found


def test_every_method_and_family_answers_the_same_when_it_comes_back(family: Transformer, tmp_path: Path) -> None:
    several = [speech(length) for length in LENGTHS]
    for kind in METHODS:
        tuning, network = made(family, kind)
        place = folder.save(tmp_path / kind, record(family, tuning), family, network)
        expected = in_memory(family, tuning, network, several)
        assert np.ptp(expected, axis=0).max() > 1e-4, "the answers depend on the speech"
        model = folder.load(place)
        np.testing.assert_allclose(answers(model, several, family.rate), expected, rtol=0, atol=1e-5, err_msg=kind)
        together = model.encoder.batch(several)
        found = [list(model.answer(encoding.pooled(iter([one]))).weights.values()) for one in together]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=f"{kind}, in company")
        if kind in ("head", "mix", "lora", "layers", "encoder"):
            told = list(program(place, several[0]).values())
            np.testing.assert_allclose(told, expected[0], rtol=0, atol=2e-5, err_msg=f"{kind}, without sibboleth")
        assert not [path for path in place.rglob("*") if path.suffix in (".bin", ".pt", ".pkl", ".pth")]


def test_the_folder_is_plain_transformers_and_peft(tmp_path: Path) -> None:
    wavlm = load(EncoderSettings(name="untrained:tiny-wavlm"))
    tuning, network = made(wavlm, "layers", layers=3)
    place = folder.save(tmp_path / "model", record(wavlm, tuning), wavlm, network)
    base = transformers.AutoModel.from_pretrained(place / "encoder")
    assert base.config.num_hidden_layers == 3
    model = PeftModel.from_pretrained(base, str(place / "adapter"))
    assert {name.split(".")[4] for name, _ in model.named_parameters() if "lora_A" in name} == {"2"}
    assert transformers.AutoFeatureExtractor.from_pretrained(place / "encoder").sampling_rate == 16_000
    told = json.loads((place / "adapter" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == "encoder", "its weights were trained: the plain encoder is not its base"
    assert {path.name for path in place.iterdir()} == {
        *("sibboleth.json", "README.md", "head.safetensors", "adapter", "encoder")
    }
    assert all(path.stat().st_mode & 0o044 for path in place.rglob("*"))


def test_the_card_says_what_it_is_and_where_plain_transformers_fall_short(tmp_path: Path) -> None:
    for name, kind, said in (
        ("tiny-wavlm", "lora", "only after `merge_and_unload()`"),
        ("tiny-whisper", "mix", "without the norm: hence the `Identity`"),
        ("tiny-hubert", "all", "no place for this method's weight gates or bottleneck adapters"),
    ):
        found = load(EncoderSettings(name=f"untrained:{name}"))
        tuning, network = made(found, kind, layers=2 if kind == "mix" else None)
        card = (folder.save(tmp_path / name, record(found, tuning), found, network) / "README.md").read_text()
        assert said in card
        assert card.startswith('---\nlanguage: ["no"]\n'), "Norwegian is no truth value"
        assert "UAR 0.750" in card and "4 speakers" in card and "angry, happy, sad" in card
    score = {"regime": "within", "domain": "made", "metric": "uar", "estimate": 0.6, "low": 0.5, "high": 0.7}
    scores = [
        score | {"utterances": 10, "speakers": 4},
        score | {"regime": "zero-shot", "low": None, "utterances": 9, "speakers": 1},
    ]
    base = dataclasses.replace(found, name="facebook/hubert-base-ls960@main")
    tuning, network = made(base, "lora")
    place = folder.save(tmp_path / "scored", record(base, tuning, scores=scores), base, network)
    card = (place / "README.md").read_text()
    assert "| within | made | 0.600 [0.500, 0.700] | 10 | 4 |" in card and "too few speakers" in card
    assert 'base_model: "facebook/hubert-base-ls960"\n' in card
    told = json.loads((place / "adapter" / "adapter_config.json").read_text())
    assert (told["base_model_name_or_path"], told["revision"]) == ("facebook/hubert-base-ls960", "main")


def test_an_audit_knows_that_a_fine_tuned_encoder_has_heard_its_corpus(tmp_path: Path) -> None:
    from sibboleth.audit.pretraining import history

    hubert = load(EncoderSettings(name="untrained:tiny-hubert"))
    corpora = [{"name": "emodb", "digest": "", "synthetic": False}]
    for kind, heard in (("encoder", ("EmoDB",)), ("lora", ())):
        tuning, network = made(hubert, kind)
        place = folder.save(tmp_path / kind, record(hubert, tuning, corpora=corpora), hubert, network)
        past = history(str(place / "encoder"))
        assert (past.heard if past else ()) == heard


def test_log_mel_is_named_and_not_copied(tmp_path: Path) -> None:
    logmel = load(EncoderSettings(name="logmel"))
    tuning, network = made(logmel, "head", pooling="mean+std")
    place = folder.save(tmp_path / "model", record(logmel, tuning), logmel, network)
    assert not (place / "encoder").exists()
    several = [speech(length) for length in LENGTHS]
    expected = in_memory(logmel, tuning, network, several)
    np.testing.assert_allclose(answers(folder.load(place), several, 16_000), expected, atol=1e-6)
    written = json.loads((place / "sibboleth.json").read_text())
    written["encoder"]["identity"] = "0" * 64
    (place / "sibboleth.json").write_text(json.dumps(written))
    with pytest.raises(SibbolethError, match="not the one that its head was trained with"):
        folder.load(place)


def test_a_function_is_only_run_where_it_is_trusted(tmp_path: Path) -> None:
    code = tmp_path / "own.py"
    code.write_text("def encode(audio, rate):\n    return audio[None, ::400, None].repeat(3, 0)\n")
    own = load(EncoderSettings(name=f"python:{code}:encode"))
    tuning, network = made(own, "head")
    place = folder.save(tmp_path / "model", record(own, tuning), own, network)
    code.write_text(code.read_text() + "open('ran', 'w')\n")
    with pytest.raises(SibbolethError, match="--trust"):
        folder.load(place)
    code.write_text(code.read_text().replace("open('ran', 'w')\n", ""))
    expected = in_memory(own, tuning, network, [speech(8000)])
    np.testing.assert_allclose(answers(folder.load(place, trust=True), [speech(8000)], 16_000), expected, atol=1e-6)


def test_an_encoder_of_utterances_comes_back(tmp_path: Path) -> None:
    from sibboleth.models.encoders import utterance

    plain = load(EncoderSettings(name="untrained:tiny-hubert"))
    assert isinstance(plain, Transformer)
    stack.Stack(plain, 0, 4).save(tmp_path / "encoder")
    torch.manual_seed(0)
    utterance.save(utterance.Embedder(plain.dim, 16), tmp_path / "encoder")
    embedder = load(EncoderSettings(name=str(tmp_path / "encoder")))
    tuning, network = made(embedder, "head")
    place = folder.save(tmp_path / "model", record(embedder, tuning), embedder, network)
    expected = in_memory(embedder, tuning, network, [speech(8000)])
    np.testing.assert_allclose(answers(folder.load(place), [speech(8000)], 16_000), expected, atol=1e-5)


def test_numbers_are_scaled_back(tmp_path: Path) -> None:
    hubert = load(EncoderSettings(name="untrained:tiny-hubert"))
    tuning, _ = made(hubert, "lora")
    tuning = dataclasses.replace(tuning, kind="regression", out=1)
    network, _ = tuning.network(hubert, 0)
    network.eval().learn(np.arange(3), np.arange(3), np.array([[100.0], [200.0], [120.0]]), False)
    told = record(hubert, tuning, kind="regression", labels=(), target="age", label_counts={})
    place = folder.save(tmp_path / "model", told, hubert, network)
    model = folder.load(place)
    expected = in_memory(hubert, tuning, network, [speech(8000)])
    said = model.predict(speech(8000), 16_000)
    assert said.label is None and said.value == pytest.approx(float(expected[0, 0]), abs=1e-3) and said.value > 90
    assert program(place, speech(8000)) == pytest.approx(said.value, abs=1e-3)


def test_what_was_computed_in_bfloat16_is_again(tmp_path: Path) -> None:
    several = [speech(length) for length in LENGTHS]
    plain = load(EncoderSettings(name="untrained:tiny-hubert"))
    half = load(EncoderSettings(name="untrained:tiny-hubert", precision="bfloat16"))
    assert isinstance(half, Transformer)
    for name, encoder, kind, bits in (
        ("stack", plain, "lora", "bfloat16"),
        ("all", plain, "encoder", "bfloat16"),
        ("below", half, "lora", "float32"),
    ):
        tuning, network = made(encoder, kind, lowest=2 if kind == "lora" else 0)
        model = folder.load(folder.save(tmp_path / name, record(encoder, tuning, bits=bits), encoder, network))
        exact = in_memory(encoder, tuning, network, several)
        frames = [torch.from_numpy(encoder.hidden_states(one)[2])[None] for one in several]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bits == "bfloat16"):
            if kind == "encoder":
                rows = [in_memory(encoder, tuning, network, [one]) for one in several]
            else:
                cached = [TuningBatch(one, torch.tensor([one.shape[1]]), torch.zeros(1, 3), 1.0) for one in frames]
                rows = [network.answered(network.outputs(one).float()) for one in cached]
        expected = np.concatenate(rows)
        found = answers(model, several, 16_000)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=name)
        assert np.abs(found - exact).max() > 1e-5, "bfloat16 shows"


def test_what_the_audio_is_changes_only_what_it_must(tmp_path: Path) -> None:
    hubert = load(EncoderSettings(name="untrained:tiny-hubert"))
    tuning, network = made(hubert, "lora")
    model = folder.load(folder.save(tmp_path / "model", record(hubert, tuning), hubert, network))
    audio = speech(8000)
    plain = model.predict(audio, 16_000)
    assert model.predict(np.stack([audio, audio], axis=1), 16_000) == plain
    assert model.predict(audio.astype(np.float64), 16_000) == plain
    assert plain.label in LABELS and plain.value == max(plain.weights.values())
    assert sum(plain.weights.values()) == pytest.approx(1)
    # Of a steady sound, windows say the same as a part of it.
    time = np.arange(50 * 16_000) / 16_000
    steady = (0.1 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    long, short = (model.predict(one, 16_000).weights for one in (steady, steady[: 20 * 16_000]))
    assert all(long[label] == pytest.approx(short[label], abs=0.02) for label in LABELS)
    for wrong, rate, told in (
        (audio[:100], 16_000, "too short"),
        ((audio * 1000).astype(np.int16), 16_000, "floating-point"),
        (audio * np.nan, 16_000, "not finite"),
        (audio[None, None], 16_000, "floating-point samples"),
        (audio, 0, "rate"),
    ):
        with pytest.raises(InvalidInput, match=told):
            model.predict(wrong, rate)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hubert = load(EncoderSettings(name="untrained:tiny-hubert"))
    tuning, network = made(hubert, "all")
    return folder.save(tmp_path_factory.mktemp("whole") / "model", record(hubert, tuning), hubert, network)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda at: shutil.rmtree(at), "no such folder"),
        (lambda at: (at / "sibboleth.json").unlink(), "not a trained model"),
        (lambda at: ((at / "sibboleth.json").unlink(), (at / "state").mkdir()), "not finished"),
        (lambda at: (at / "sibboleth.json").write_text("{"), "cannot be read as JSON"),
        (lambda at: (at / "sibboleth.json").write_text("{}"), "is not what `sibboleth train` writes: name"),
        (lambda at: (at / "sibboleth.json").write_text('{"format": 2}'), "newer sibboleth"),
        (lambda at: (at / "head.safetensors").unlink(), "is missing"),
        (lambda at: (at / "head.safetensors").write_bytes(b"\x80\x02pickle"), "cannot be read as safetensors"),
        (lambda at: shutil.copy(at / "adapter" / "adapter_model.safetensors", at / "head.safetensors"), "another head"),
        (lambda at: (at / "adapter" / "adapter_model.safetensors").unlink(), "is missing"),
        (
            lambda at: shutil.copy(at / "head.safetensors", at / "adapter" / "adapter_model.safetensors"),
            "another method",
        ),
        (
            lambda at: (at / "encoder" / "model.safetensors").rename(at / "encoder" / "pytorch_model.bin"),
            "other formats are not loaded",
        ),
    ],
)
def test_a_damaged_folder_is_refused_with_a_reason(damage: Any, told: str, whole: Path, tmp_path: Path) -> None:
    place = shutil.copytree(whole, tmp_path / "model")
    damage(place)
    with pytest.raises(SibbolethError, match=told):
        folder.load(place)


def test_nothing_is_left_of_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hubert = load(EncoderSettings(name="untrained:tiny-hubert"))
    tuning, network = made(hubert, "lora")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "save_file", full)
    with pytest.raises(SibbolethError, match="No space left"):
        folder.save(tmp_path / "model", record(hubert, tuning), hubert, network)
    assert not (tmp_path / "model").exists()
