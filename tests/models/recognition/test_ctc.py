"""CTC recognisers write what transformers writes for each utterance alone, whatever the company, order and length."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
import transformers

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import encoding, recognition
from sibboleth.models.encoding import Recording
from sibboleth.models.recognition import Recogniser
from sibboleth.models.recognition.ctc import Ctc
from sibboleth.study import EncoderSettings

RATE = 16_000
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("tiny-wav2vec2", {}),
    "wav2vec2-stable": ("tiny-xls-r", STABLE),
    "wav2vec2-adapter": ("tiny-wav2vec2", {"add_adapter": True, "num_adapter_layers": 2}),
    "hubert": ("tiny-hubert", {}),
    "wavlm": ("tiny-wavlm", {}),
    "data2vec-audio": ("tiny-data2vec", {}),
    "unispeech": ("tiny-wav2vec2", {"model_type": "unispeech"}),
    "unispeech-sat": ("tiny-unispeech-sat", {}),
    "wav2vec2-bert": ("tiny-wav2vec2-bert", {}),
    "wav2vec2-bert-adapter": ("tiny-wav2vec2-bert", {"add_adapter": True}),
}


def load(folder: Path, language: str | None = None) -> Recogniser:
    return recognition.load(EncoderSettings(name=str(folder)), language)


@pytest.fixture(params=CASES)
def folder(request: pytest.FixtureRequest, ctc: Callable[..., Path]) -> Path:
    name, changes = CASES[request.param]
    return ctc(name, **changes)


def by_hand(folder: Path, audio: Any) -> str:
    """Transcribe as transformers' documentation does: one utterance, no padding, the likeliest token of each frame."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model: Any = transformers.AutoModelForCTC.from_pretrained(folder, dtype=torch.float32)
    inputs = extractor(audio, sampling_rate=RATE, return_tensors="pt", return_attention_mask=False)
    with torch.no_grad():
        logits = model.eval()(**inputs).logits
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    return str(tokenizer.decode(logits.argmax(-1)[0])).strip()


def files(folder: Path, several: list[Any]) -> list[Recording]:
    made = []
    for index, audio in enumerate(several):
        path = folder / f"{index}.wav"
        soundfile.write(path, audio, RATE, subtype="FLOAT")
        made.append(Recording(f"digest {index}", str(path), None, None, len(audio) / RATE))
    return made


@pytest.mark.usefixtures("three_threads")
def test_every_family_writes_what_transformers_writes(folder: Path, speech: list[Any], tmp_path: Path) -> None:
    expected = [by_hand(folder, audio) for audio in speech]
    assert len(set(expected)) == len(expected) and min(map(len, expected)) >= 1, "the test's model must say something"
    made = load(folder)
    assert [made.transcribe(audio, RATE) for audio in speech] == expected
    recordings = files(tmp_path, speech)
    order = [3, 1, 4, 0, 2]
    assert [one.text for one in made.transcripts([recordings[k] for k in order])] == [expected[k] for k in order]
    assert isinstance(made, Ctc)
    together = made.tokens.batch(speech)
    assert [made._text([one[0]]) for one in together] == expected


def test_less_precision_is_another_recogniser(ctc: Callable[..., Path], speech: list[Any]) -> None:
    folder = ctc("tiny-wav2vec2")
    made = recognition.load(EncoderSettings(name=str(folder), precision="bfloat16"))
    assert made.identity != load(folder).identity
    assert any("bfloat16" in note for note in made.notes)
    assert len(made.transcribe(speech[1], RATE)) > 100


def test_the_pipeline_of_transformers_agrees(ctc: Callable[..., Path], speech: list[Any]) -> None:
    folder = ctc("tiny-wav2vec2")
    pipe: Any = transformers.pipeline("automatic-speech-recognition", model=str(folder), dtype=torch.float32)
    made = load(folder)
    for audio in speech:
        assert made.transcribe(audio, RATE) == pipe(audio.copy())["text"].strip()


def test_long_audio_is_decoded_from_frames_that_windows_join(
    ctc: Callable[..., Path], speech: list[Any], tmp_path: Path
) -> None:
    """Texts of windows are never put together: there are the frames of one pass, and nearly all say the same."""
    folder = ctc("tiny-wav2vec2")
    long = np.concatenate([*speech] * 5)
    made = load(folder)
    (from_file,) = made.transcripts(files(tmp_path, [long]))
    assert from_file.text == made.transcribe(long, RATE)
    model: Any = transformers.AutoModelForCTC.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        whole = model.eval()(torch.from_numpy(long)[None]).logits.argmax(-1)[0].numpy()
    assert isinstance(made, Ctc)
    joined = np.concatenate([part[0, :, 0] for part in encoding.windows(made.tokens, lambda: iter([long]), len(long))])
    assert joined.shape == whole.shape
    assert (joined == whole).mean() > 0.9
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    assert from_file.text == tokenizer.decode(joined.astype(int)).strip()


def test_a_recording_that_fails_loses_no_other(ctc: Callable[..., Path], speech: list[Any], tmp_path: Path) -> None:
    made = load(ctc("tiny-wav2vec2"))
    recordings = files(tmp_path, speech)
    (tmp_path / "1.wav").write_bytes(b"no sound")
    first, second, *_ = made.transcripts(recordings)
    assert first.text == made.transcribe(speech[0], RATE)
    assert second.text is None and "1.wav" in str(second.failure)


def test_numbers_that_are_not_finite_are_a_failure_and_no_text(
    ctc: Callable[..., Path], speech: list[Any], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(ctc("tiny-wav2vec2"), tmp_path / "model"))
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["lm_head.bias"][3] = float("nan")
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (only,) = load(folder).transcripts(files(tmp_path, speech[:1]))
    assert only.text is None and "not finite" in str(only.failure)


def test_another_rate_and_more_channels(ctc: Callable[..., Path], speech: list[Any]) -> None:
    made = load(ctc("tiny-wav2vec2"))
    expected = made.transcribe(speech[0], RATE)
    assert made.transcribe(np.stack([speech[0]] * 2, axis=1), RATE) == expected
    assert made.transcribe(speech[0][::2], RATE // 2) != ""
    for wrong, told in ((np.zeros(100, np.float32), "too short"), (np.zeros(16_000, np.int16), "floating-point")):
        with pytest.raises(InvalidInput, match=told):
            made.transcribe(wrong, RATE)


def test_identity_is_of_what_decides_the_text(ctc: Callable[..., Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ctc("tiny-wav2vec2"), tmp_path / "model"))
    before = load(folder).identity
    assert load(Path(shutil.copytree(folder, tmp_path / "elsewhere"))).identity == before
    (folder / "README.md").write_text("a card")
    assert load(folder).identity == before
    words = json.loads((folder / "vocab.json").read_text())
    words["a"], words["b"] = words["b"], words["a"]
    (folder / "vocab.json").write_text(json.dumps(words))
    assert load(folder).identity != before


@pytest.fixture
def copy(ctc: Callable[..., Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(ctc("tiny-wav2vec2"), tmp_path / "model"))


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_what_is_no_recogniser_says_what_to_do(copy: Path, tmp_path: Path) -> None:
    for name in ("sibboleth-tiny-nl", "logmel", "untrained:tiny-wavlm"):
        with pytest.raises(InvalidInput, match="is an encoder and cannot transcribe"):
            recognition.load(EncoderSettings(name=name))
    with pytest.raises(InvalidInput, match="no such folder"):
        recognition.load(EncoderSettings(name="wav2vec2-base"))
    with pytest.raises(InvalidInput, match="leave --language out"):
        load(copy, "nl")
    model = transformers.AutoModel.from_pretrained(copy)
    encoder = Path(shutil.copytree(copy, tmp_path / "encoder"))
    model.save_pretrained(encoder)
    with pytest.raises(SibbolethError, match=r"no CTC head.*fine-tuned to transcribe"):
        load(encoder).prepare()
    for file in ("vocab.json", "tokenizer_config.json"):
        (encoder / file).unlink()
    with pytest.raises(SibbolethError, match=r"no tokenizer.*vocab.json"):
        load(encoder)
    change(copy / "config.json", num_hidden_layers=6)
    with pytest.raises(SibbolethError, match="would be random"):
        load(copy).prepare()
    change(copy / "config.json", model_type="bert")
    with pytest.raises(SibbolethError, match="'bert' is not a speech encoder"):
        load(copy)


def test_a_tokenizer_that_is_broken_or_of_another_kind(copy: Path, whisper: Path) -> None:
    (copy / "vocab.json").write_text("{")
    with pytest.raises(SibbolethError, match="cannot be loaded"):
        load(copy)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(whisper / file, copy / file)
    with pytest.raises(SibbolethError, match="none of CTC"):
        load(copy)


def test_a_pickle_with_code_is_refused(copy: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('code was run')",))

    (copy / "model.safetensors").unlink()
    torch.save({"weight": Trap()}, copy / "pytorch_model.bin")
    with pytest.raises(SibbolethError, match="could run any code"):
        load(copy).prepare()


def test_a_language_model_beside_it_is_not_used_and_that_is_said(copy: Path) -> None:
    assert not any("language model" in note for note in load(copy).notes)
    change(copy / "preprocessor_config.json", processor_class="Wav2Vec2ProcessorWithLM")
    assert any("decoding is greedy" in note for note in load(copy).notes)


def test_a_checkpoint_of_many_languages_takes_the_weights_and_letters_of_one(
    ctc: Callable[..., Path], speech: list[Any], tmp_path: Path
) -> None:
    """As MMS comes: vocabularies nested by language, a file of weights for each."""
    folder = Path(shutil.copytree(ctc("tiny-xls-r", **STABLE, adapter_attn_dim=8), tmp_path / "mms"))
    letters = json.loads((folder / "vocab.json").read_text())
    short = {word: index for index, word in enumerate([*list(letters)[:5], "ä", "ö", "ü", "e", "n"])}
    (folder / "vocab.json").write_text(json.dumps({"eng": letters, "deu": short}))
    change(folder / "tokenizer_config.json", target_lang="eng")
    model: Any = transformers.AutoModelForCTC.from_pretrained(folder)
    torch.manual_seed(1)
    model.lm_head = torch.nn.Linear(64, len(short))
    own = {**model._get_adapters(), **{f"lm_head.{k}": v for k, v in model.lm_head.state_dict().items()}}
    own = {name: one.detach().clone().normal_() for name, one in own.items()}
    safetensors.torch.save_file(own, folder / "adapter.deu.safetensors")

    made = load(folder, "deu")
    expected: Any = transformers.AutoModelForCTC.from_pretrained(folder)
    expected.load_adapter("deu")
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.set_target_lang("deu")
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(speech[0], sampling_rate=RATE, return_tensors="pt", return_attention_mask=False)
    with torch.no_grad():
        logits = expected.eval()(**inputs).logits
    assert made.transcribe(speech[0], RATE) == tokenizer.decode(logits.argmax(-1)[0]).strip()
    with pytest.raises(InvalidInput, match="which language does it hear.*--language: deu, eng"):
        load(folder)
    with pytest.raises(InvalidInput, match="has no language 'de'; .*deu"):
        load(folder, "de")
    with pytest.raises(InvalidInput, match=r"no adapter.eng.safetensors"):
        load(folder, "eng")


def test_a_recogniser_in_the_hubs_cache_is_used_without_network(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: list[Any]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository, commit = tmp_path / "hub" / "models--someone--tiny", "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    cached = Path(shutil.copytree(copy, repository / "snapshots" / commit))
    made = recognition.load(EncoderSettings(name="someone/tiny@main"))
    assert (made.name, made.identity) == ("someone/tiny@main", load(copy).identity)
    assert made.transcribe(speech[0], RATE) == load(copy).transcribe(speech[0], RATE)
    (cached / "vocab.json").unlink()
    with pytest.raises(SibbolethError, match="no tokenizer"):
        recognition.load(EncoderSettings(name="someone/tiny"))
    with pytest.raises(SibbolethError, match="HF_HOME"):
        recognition.load(EncoderSettings(name="someone/else"))


def test_files_of_the_hub_are_fetched_with_the_tokenizers(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder's files are cached and the hub answers: what a recogniser needs more is asked for."""
    asked: list[str] = []

    class Hub:
        def model_info(self, *_: object, **__: object) -> Any:
            siblings = [type("File", (), {"rfilename": path.name}) for path in copy.iterdir()]
            return type("Info", (), {"siblings": siblings, "sha": "0" * 40})

    def download(_: str, file: str, revision: str) -> str:
        asked.append(file)
        return str(copy / file)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    made = recognition.load(EncoderSettings(name="someone/tiny"))
    assert made.identity == load(copy).identity
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "vocab.json"} <= set(asked)
    assert "tokenizer_config.json" in asked
