"""What an utterance is encoded with, how it is cut and by which thread: none of it changes its features."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from sibboleth.models import encoding
from sibboleth.models.encoders import Encoder, arithmetic, load
from sibboleth.models.encoders.front import Front, Moments
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.encoders.untrained import architectures
from sibboleth.study import EncoderSettings

Audio = npt.NDArray[np.float32]
TINY = [name for name in architectures() if name.startswith("tiny-")]
CLOSE = 1e-5
"""Largest distance, as a share of its norm, that an utterance's layer may have from the same encoded alone."""


def speech(samples: int, seed: int = 0) -> Audio:
    """Make noise with a slow envelope and an offset, so that its statistics change along the way."""
    random = np.random.default_rng(seed)
    envelope = 0.02 + 0.2 * np.abs(np.sin(np.arange(samples) / 9000 + seed))
    return (envelope * random.standard_normal(samples) + 0.01).astype(np.float32)


def encoder(name: str, **more: str) -> Transformer:
    made = load(EncoderSettings.model_validate({"name": f"untrained:{name}", **more}))
    assert isinstance(made, Transformer)
    return made


@pytest.fixture(scope="module")
def made() -> dict[str, Transformer]:
    return {name: encoder(name) for name in TINY}


def distance(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return the largest relative distance of any layer."""
    assert one.shape == other.shape
    exact = other.astype(np.float64)
    return float(max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(one, exact, strict=True)))


def plain(made: Transformer, audio: Audio, dtype: torch.dtype = torch.float32) -> npt.NDArray[np.float32]:
    """Encode with the model as transformers makes it, one utterance, nothing rearranged."""
    torch.manual_seed(0)
    model = made.build().eval().to(dtype)
    inputs = made._extractor(audio, sampling_rate=16_000, return_tensors="pt", return_attention_mask=False)
    key = "input_features" if "input_features" in inputs else "input_values"
    with torch.inference_mode():
        states = torch.cat(model(inputs[key].to(dtype), output_hidden_states=True).hidden_states).numpy()
    frames = -(-len(audio) // 320) if made.config["model_type"] == "whisper" else states.shape[1]
    return np.asarray(states[:, :frames])


@pytest.mark.parametrize("name", TINY)
def test_every_family_gives_what_transformers_gives_for_the_utterance_alone(
    name: str, made: dict[str, Transformer]
) -> None:
    for samples in (560, 6000, 70_000):
        audio = speech(samples, samples)
        assert distance(made[name].hidden_states(audio), plain(made[name], audio)) < CLOSE


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(("offset", "level"), [(0.02, 1.0), (0.5, 0.01), (0.0, 1e-4), (0.0, 5.0)])
def test_an_offset_or_another_level_changes_nothing_of_that(
    name: str, offset: float, level: float, made: dict[str, Transformer]
) -> None:
    audio = (offset + level * speech(16_000, 1)).astype(np.float32)
    # transformers' own float32 loses digits beside a large offset (2e-5 with WavLM), so it computes in float64 here.
    assert distance(made[name].hidden_states(audio), plain(made[name], audio, torch.float64)) < CLOSE


@pytest.mark.parametrize("name", TINY)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(300, 40_000), min_size=2, max_size=4),
    spare=st.integers(0, 9000),
    order=st.randoms(use_true_random=False),
)
def test_company_order_and_padding_change_nothing(
    name: str, made: dict[str, Transformer], lengths: list[int], spare: int, order: object
) -> None:
    audios = [speech(samples, seed) for seed, samples in enumerate(lengths)]
    alone = [made[name].hidden_states(audio) for audio in audios]
    places = list(range(len(audios)))
    order.shuffle(places)  # type: ignore[attr-defined]
    together = made[name].batch([audios[place] for place in places], max(lengths) + spare)
    for place, states in zip(places, together, strict=True):
        assert distance(states, alone[place]) < CLOSE


def test_a_padded_batch_by_hand_would_change_features(made: dict[str, Transformer]) -> None:
    """The property above can fail: transformers' own padded batch misses it by far in a group-norm encoder."""
    made_here, (short, long) = made["tiny-wav2vec2"], (speech(9000, 1), speech(40_000, 2))
    torch.manual_seed(0)
    model = made_here.build().eval()
    inputs = made_here._extractor([short, long], sampling_rate=16_000, return_tensors="pt", padding=True)
    with torch.inference_mode():
        states = model(inputs["input_values"], attention_mask=None, output_hidden_states=True).hidden_states
    own = made_here.hidden_states(short)
    assert distance(torch.stack([state[0, : own.shape[1]] for state in states]).numpy(), own) > 1e-2


def test_normalised_position_convolutions_do_not_see_padding() -> None:
    """HuBERT with batch norm before the positional convolution turns padded zeros into something else."""
    made = encoder("tiny-hubert")
    made.config["conv_pos_batch_norm"] = True  # type: ignore[index]
    try:
        audios = [speech(5000, 1), speech(30_000, 2)]
        torch.manual_seed(3)
        model = made._model
        normalisation = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d))
        normalisation.running_mean.fill_(0.3)  # type: ignore[union-attr]
        alone = [made.hidden_states(audio) for audio in audios]
        for states, own in zip(made.batch(audios), alone, strict=True):
            assert distance(states, own) < CLOSE
    finally:
        del made.config["conv_pos_batch_norm"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TINY)
def test_threads_side_by_side_give_the_same_bits(
    name: str, made: dict[str, Transformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    audios = [speech(3000 + 700 * seed, seed) for seed in range(12)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    expected = list(encoding.side_by_side(made[name], made[name].hidden_states, audios))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    found = list(encoding.side_by_side(made[name], made[name].hidden_states, audios))
    monkeypatch.undo()
    torch.set_num_threads(threads)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_thread_starts_threads_of_its_own(made: dict[str, Transformer]) -> None:
    """Threads by libraries are one each while utterances go side by side, and afterwards as many as before."""

    def pools() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    threads = torch.get_num_threads()
    with threadpool_limits(3, user_api="blas"):
        torch.set_num_threads(3)
        inside = list(encoding.side_by_side(made[TINY[0]], lambda _: (torch.get_num_threads(), pools()), range(6)))
        after = torch.get_num_threads(), pools()
    torch.set_num_threads(threads)
    assert inside == [(1, {1})] * 6
    assert after == (3, {3})


def test_the_front_end_in_pieces_equals_transformers_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tiny-wav2vec2", "tiny-xls-r", "tiny-data2vec"):
        made = encoder(name)
        front = made._model.feature_extractor
        assert isinstance(front, Front)
        audio = speech(60_000, 5)
        monkeypatch.setattr("sibboleth.models.encoders.front.PIECE", 7 * 32 * 64)
        pieces = made.hidden_states(audio)
        monkeypatch.setattr("sibboleth.models.encoders.front.PIECE", 1 << 30)
        assert distance(pieces, made.hidden_states(audio)) < CLOSE
        assert front.frames(len(audio)) == pieces.shape[1]


def test_a_recording_in_blocks_has_the_moments_of_the_whole() -> None:
    audio = speech(50_001, 4)
    whole = Moments.of([audio], 10, 5)
    blocks = Moments.of(np.split(audio, [3, 11, 20_000, 20_001]), 10, 5)
    assert whole.samples == blocks.samples == len(audio)
    np.testing.assert_allclose(blocks.covariance, whole.covariance, rtol=1e-10)
    np.testing.assert_allclose(blocks.taps, whole.taps, rtol=1e-10)
    under = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), 10)[::5]
    np.testing.assert_allclose(whole.covariance, np.cov(under.T, bias=True), rtol=1e-9)
    normalised = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)(audio, sampling_rate=16_000).input_values[0]
    np.testing.assert_allclose(whole.normalised(audio)[0], normalised, rtol=1e-4, atol=1e-6)
    again = Moments.of([whole.normalised(audio)[0]], 10, 5)
    np.testing.assert_allclose(again.covariance, whole.normalised(audio)[1].covariance, rtol=1e-5, atol=1e-7)


def blocks(audio: Audio, size: int = 100_000) -> Iterator[Audio]:
    yield from np.split(audio, range(size, len(audio), size))


def one_pass(made: Encoder, audio: Audio, monkeypatch: pytest.MonkeyPatch) -> npt.NDArray[np.float32]:
    with monkeypatch.context() as patch:
        patch.setattr("sibboleth.models.encoders.transformer.WINDOW", 1000.0)
        return made.hidden_states(audio)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [(name, 33.3) for name in TINY if "whisper" not in name] + [("tiny-wav2vec2", 30.01), ("tiny-xls-r", 62.0)],
)
def test_windows_give_every_frame_of_one_pass_once(
    name: str, seconds: float, made: dict[str, Transformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = speech(int(16_000 * seconds), 3)
    expected = one_pass(made[name], audio, monkeypatch)
    parts = list(encoding.windows(made[name], lambda: blocks(audio), len(audio)))
    states = np.concatenate(parts, axis=1)
    assert states.shape == expected.shape
    # Layer 0 sees 25 ms and, through the positional convolution, 0.64 s: the overlap covers it. wav2vec2-BERT
    # normalises its filterbanks over what it is given.
    if "bert" not in name:
        assert distance(states[:1], expected[:1]) < CLOSE
    assert max(part.shape[1] for part in parts) <= 1500


def test_windows_of_an_encoder_whose_stride_is_unknown_cover_all_of_it() -> None:
    heard: list[int] = []

    class Frames(Encoder):
        def hidden_states(self, audio: Audio) -> npt.NDArray[np.float32]:
            heard.append(len(audio))
            return np.asarray(audio[: len(audio) // 100 * 100].reshape(1, -1, 100)[:, :, :2])

    ours = Frames(name="frames", identity="f" * 64, kind="callable", rate=1000, layers=1, dim=2)
    audio = np.arange(100_000, dtype=np.float32)
    states = np.concatenate(list(encoding.windows(ours, lambda: blocks(audio, 7000), len(audio))), axis=1)
    np.testing.assert_array_equal(states[0, :, 0], np.arange(0, 100_000, 100, dtype=np.float32))
    assert max(heard) <= 30_000


def recordings(folder: Path, lengths: Sequence[float]) -> list[encoding.Recording]:
    import soundfile

    made = []
    for index, seconds in enumerate(lengths):
        soundfile.write(folder / f"{index}.wav", speech(int(seconds * 16_000), index), 16_000, subtype="FLOAT")
        made.append(encoding.Recording(f"{index}", str(folder / f"{index}.wav"), None, None, seconds))
    return made


def test_batches_of_an_accelerator_give_what_recordings_alone_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoder("tiny-wavlm")
    some = recordings(tmp_path, (0.5, 1.3, 0.6, 31.0, 1.2, 2.0, 0.5))
    some.append(encoding.Recording("gone", str(tmp_path / "gone.wav"), None, None, 0.5))
    alone = list(encoding.encode(made, some, frames=[2]))
    monkeypatch.setattr(Transformer, "batch_seconds", 4.0)
    together = list(encoding.encode(made, some, frames=[2]))
    assert [one.recording for one in alone] == [one.recording for one in together] == some
    for one, other in zip(alone[:-1], together[:-1], strict=True):
        assert one.failure is None and one.statistics is not None and other.statistics is not None
        np.testing.assert_allclose(other.statistics, one.statistics, rtol=1e-3, atol=1e-5)
        assert distance(other.frames[2][None], one.frames[2][None]) < CLOSE
    assert alone[-1].failure and together[-1].failure and "cannot be opened" in alone[-1].failure


def test_packed_weights_change_rounding_only() -> None:
    for name in ("tiny-wavlm", "tiny-wav2vec2", "tiny-whisper"):
        made, packed = encoder(name), encoder(name)
        arithmetic.pack(packed._model)
        assert any(isinstance(module, arithmetic.Packed) for module in packed._model.modules())
        audio = speech(20_000, 8)
        assert distance(packed.hidden_states(audio), made.hidden_states(audio)) < CLOSE


@pytest.mark.parametrize("name", TINY)
def test_bfloat16_is_near_and_is_another_encoder(name: str, made: dict[str, Transformer]) -> None:
    rounded = encoder(name, precision="bfloat16")
    assert rounded.identity != made[name].identity
    assert any("bfloat16" in note for note in rounded.notes)
    audio = speech(12_000, 2)
    states = rounded.hidden_states(audio)
    assert states.dtype == np.float32
    assert 1e-5 < distance(states, made[name].hidden_states(audio)) < 0.1
    for one, own in zip(rounded.batch([audio, speech(30_000, 1)]), [states], strict=False):
        assert distance(one, own) < 0.1


def test_automatic_precision_is_bfloat16_only_where_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    for pays, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(arithmetic, "bfloat16_pays", lambda pays=pays: pays)
        assert encoder("tiny-hubert", precision="auto").precision == precision


def test_pooling_keeps_digits_where_the_mean_is_large() -> None:
    random = np.random.default_rng(0)
    states = (1000 + 0.01 * random.standard_normal((2, 5000, 3))).astype(np.float32)
    found = encoding.pooled(iter(np.split(states, [1, 700], axis=1)))
    exact = states.astype(np.float64)
    np.testing.assert_allclose(found[:, 0], exact.mean(axis=1), rtol=1e-7)
    np.testing.assert_allclose(found[:, 1], exact.std(axis=1), rtol=1e-4)
