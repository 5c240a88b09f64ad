"""SpeechBrain's emotion diarization as it is: a small stand-in in its layout, its arithmetic written out, bad files."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import soundfile
import torch
import transformers

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import diarization, encoders
from sibboleth.models.encoders import speechbrain, untrained
from sibboleth.recipes.diarize import diarize
from sibboleth.recipes.run import run
from sibboleth.recipes.train import train
from sibboleth.study import EncoderSettings

RATE = 16_000
YAML = """
# Model: WavLM for Emotion Diarization
HPARAMS_NEEDED: ["window_length", "stride", "encoder_dim", "out_n_neurons", "avg_pool", "label_encoder", "softmax"]
wav2vec2_hub: wavlm
pretrained_path: speechbrain/emotion-diarization-wavlm-large
window_length: 1 # win_len = 0.02 * 1 = 0.02s
stride: 1
encoder_dim: 32
out_n_neurons: 4
input_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
wav2vec2: !new:speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2
    source: !ref <wav2vec2_hub>
    output_norm: True
    freeze: False
    save_path: !apply:os.system ["touch pwned"]
output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <encoder_dim>
    n_neurons: !ref <out_n_neurons>
    bias: False
model: !new:torch.nn.ModuleList
    - [!ref <output_mlp>]
log_softmax: !new:speechbrain.nnet.activations.Softmax
    apply_log: True
"""
LETTERS = "'a' => 0\n'n' => 1\n'h' => 2\n's' => 3\n================\n'starting_index' => 0\n"


@pytest.fixture(scope="module")
def wavlm() -> transformers.PreTrainedModel:
    torch.manual_seed(1)
    known = untrained.architectures()["tiny-wavlm"]
    return untrained.drawn(known["config"]).eval()  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path, wavlm: transformers.PreTrainedModel) -> Path:
    """A model saved as SpeechBrain saves it: weights behind `model.`, norms as they were named before torch 2."""
    place = tmp_path / "sed"
    place.mkdir()
    wavlm.config.save_pretrained(place / "wavlm")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    extractor.save_pretrained(place / "wavlm")
    older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = {}
    for name, one in wavlm.state_dict().items():
        for new, old in older.items():
            name = name.replace(new, old)
        weights[f"model.{name}"] = one.clone()
    torch.save(weights, place / "wav2vec2.ckpt")
    head = torch.randn(4, wavlm.config.hidden_size, generator=torch.Generator().manual_seed(2))
    torch.save({"0.w.weight": head}, place / "model.ckpt")
    (place / "hyperparams.yaml").write_text(YAML, encoding="utf-8")
    (place / "label_encoder.txt").write_text(LETTERS, encoding="utf-8")
    return place


def heard(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE)) / RATE
    slow = np.interp(at, np.arange(0, seconds + 1), random.uniform(100, 900, int(np.ceil(seconds)) + 1)[: len(at)])
    return (0.1 * np.sin(2 * np.pi * np.cumsum(slow) / RATE) + 0.02 * random.normal(size=len(at)) + 0.05).astype("f4")


def written_out(wavlm: Any, folder: Path, audio: npt.NDArray[np.float32]) -> torch.Tensor:
    """Logits as SpeechBrain's interface makes them, step by step in float64 where it may be."""
    wave = torch.from_numpy(audio)[None]
    wave = wave - wave.mean()
    wave = (wave - wave.mean()) / torch.sqrt(wave.var(correction=0) + 1e-5)
    with torch.no_grad():
        out = wavlm(wave).last_hidden_state
    out = (out - out.mean()) / torch.sqrt(out.var(correction=0) + 1e-5)
    (head,) = torch.load(folder / "model.ckpt", weights_only=True).values()
    return out[0] @ head.T


def test_frames_are_those_of_the_published_arithmetic(folder: Path, wavlm: Any) -> None:
    model = speechbrain.diarizer(EncoderSettings(name=str(folder)))
    assert model.labels == ("angry", "neutral", "happy", "sad")
    audio = heard(2.3)
    (said,) = model.hidden_states(audio)
    expected = written_out(wavlm, folder, audio).numpy()
    np.testing.assert_allclose(said, expected, rtol=0, atol=1e-4)
    assert len(set(expected.argmax(1))) > 1, "the answers depend on the frame"
    assert not (folder / "pwned").exists() and not Path("pwned").exists()


def test_diarize_takes_the_folder(folder: Path, wavlm: Any, tmp_path: Path) -> None:
    audio = heard(3.1, 1)
    soundfile.write(tmp_path / "a.wav", audio, RATE, subtype="FLOAT")
    said = diarize(folder, (tmp_path / "a.wav",), output=tmp_path / "out").segments.of("a")
    codes = written_out(wavlm, folder, audio).argmax(1).tolist()
    frame = {k: label for start, end, label in said for k in range(len(codes)) if start <= (k + 0.5) * 0.02 < end}
    names = ("angry", "neutral", "happy", "sad")
    assert [frame.get(k, "neutral") for k in range(len(codes))] == [names[code] for code in codes]
    assert (tmp_path / "out" / "segments.rttm").is_file()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("label_encoder.txt", "'a' => 0\n'n' => 2\n", "does not number labels from 0"),
        ("hyperparams.yaml", YAML.replace("window_length: 1", "window_length: 5"), "window_length is 5"),
        ("hyperparams.yaml", YAML.replace("sentence", "global"), "input_norm"),
        ("hyperparams.yaml", "a: [", "cannot be read as YAML"),
        ("model.ckpt", {"0.w.weight": torch.zeros(3, 16)}, "does not hold one matrix"),
        ("wav2vec2.ckpt", {"model.other": torch.zeros(1)}, "missing or unknown"),
        ("wav2vec2.ckpt", {"model.other": Path("a")}, "cannot be loaded as weights alone"),
        ("wav2vec2.ckpt", None, "has no wav2vec2.ckpt"),
    ],
)
def test_what_does_not_fit_says_what_to_do_instead(folder: Path, file: str, content: Any, message: str) -> None:
    place = folder / file
    if content is None:
        place.unlink()
    elif isinstance(content, str):
        place.write_text(content, encoding="utf-8")
    else:
        torch.save(content, place)
    with pytest.raises(SibbolethError, match=message) as raised:
        diarization.load(folder).encoder.prepare()
    assert "sibboleth score MODEL.rttm" in str(raised.value)


STUDY = """
name = "as-is"
regimes = ["within"]
[target]
kind = "segmentation"
labels = ["angry", "happy", "sad"]
background = "neutral"
[[corpora]]
name = "made"
manifest = "manifest.csv"
[[encoders]]
name = "sed"
[[encoders]]
name = "logmel"
[[methods]]
name = "as-is"
as_is = true
[training]
epochs = 1
[splits]
folds = 2
dev = 0.34
[statistics]
resamples = 100
[report]
examples = 0
"""


@pytest.fixture
def study(folder: Path, tmp_path: Path, one_thread: None) -> Path:
    rows = []
    for number in range(8):
        name = f"u{number}"
        soundfile.write(tmp_path / f"{name}.wav", heard(1.6, number), RATE, subtype="FLOAT")
        label = ("angry", "happy", "sad", "angry")[number % 4]
        told = json.dumps([{"start": 0.5, "end": 1.2, "label": label}])
        rows.append((name, str(tmp_path / f"{name}.wav"), f"s{number % 4}", told))
    table = pl.DataFrame(rows, schema=["utterance", "audio", "speaker", "segments"], orient="row")
    table.write_csv(tmp_path / "manifest.csv")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.toml"


def test_a_study_scores_it_beside_what_it_trains(study: Path, folder: Path, tmp_path: Path) -> None:
    page = run(study, output=tmp_path / "run")
    answers = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    own = answers.filter(pl.col("run").str.contains("/as-is/"), pl.col("label").is_not_null())
    expected = diarize(folder, (tmp_path / "manifest.csv",), output=tmp_path / "out").segments.table
    told = own.select(pl.col("utterance").str.strip_prefix("made/"), "start", "end", "label")
    for mine, other in zip(
        told.sort("utterance", "start").rows(), expected.sort("utterance", "start").rows(), strict=True
    ):
        assert mine[0] == other[0] and mine[3] == other[3]
        assert mine[1:3] == pytest.approx(other[1:3], abs=1e-6)
    methods = pl.read_parquet(tmp_path / "run" / "methods.parquet")
    assert methods.select("method", "trained").rows() == [("as-is", 0)]
    assert "as-is" in page.read_text(encoding="utf-8")
    with pytest.raises(InvalidInput, match="sibboleth diarize"):
        train(study, encoder=str(folder), method="as-is", output=tmp_path / "model")


def test_labels_that_it_does_not_know_are_refused(study: Path) -> None:
    study.write_text(study.read_text(encoding="utf-8").replace('"neutral"', '"calm"'), encoding="utf-8")
    with pytest.raises(InvalidInput, match="answers angry, neutral, happy, sad; name just these as .*there: calm"):
        run(study, output=study.parent / "run")


def test_a_folder_beside_the_study_is_the_same_encoder_elsewhere(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    names = (str(folder), str(tmp_path / "copy"))
    one, other = (encoders.load(EncoderSettings(name=name)) for name in names)
    assert one.identity == other.identity
