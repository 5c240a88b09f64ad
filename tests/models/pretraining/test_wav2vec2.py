"""wav2vec 2.0 against transformers' own loss, and against the formula written down in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import Wav2Vec2ForPreTraining
from transformers.models.wav2vec2.modeling_wav2vec2 import _sample_negative_indices

from sibboleth.errors import SibbolethError
from sibboleth.models.pretraining import start
from sibboleth.models.pretraining.masking import masked
from sibboleth.models.pretraining.speech import SpeechBatch
from sibboleth.models.pretraining.watch import PATIENCE, Collapsed, watch
from sibboleth.models.pretraining.wav2vec2 import Wav2vec2, compared, negatives, wav2vec2
from sibboleth.pretraining import StartSettings, Wav2vec2Objective

SETTINGS = Wav2vec2Objective(codes=16, negatives=12)
ARCHITECTURE = StartSettings(architecture="tiny-wav2vec2")
SAMPLES = 12_000


def made(settings: Wav2vec2Objective = SETTINGS, begin: StartSettings = ARCHITECTURE, seed: int = 0) -> Wav2vec2:
    return wav2vec2(start.start(begin, seed), begin, settings, seed)


def speech(rows: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, SAMPLES, generator=torch.Generator().manual_seed(seed))


def drawn(rows: int = 3, seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    hidden = masked(rows, 37, SETTINGS.mask)
    return hidden, negatives(hidden, SETTINGS.negatives)


def transformers_own(objective: Wav2vec2) -> Wav2Vec2ForPreTraining:
    """transformers' model with the same weights, its own quantizer and its own loss."""
    theirs = Wav2Vec2ForPreTraining(objective.model.config)
    theirs.load_state_dict(objective.model.state_dict())
    theirs.set_gumbel_temperature(objective.quantizer.temperature)
    return theirs.train()


@pytest.mark.parametrize("seed", [0, 1])
def test_loss_and_slopes_are_transformers_own_on_the_same_masks_and_negatives(seed: int) -> None:
    objective = made(seed=seed)
    objective.before_step(3, 10)
    theirs = transformers_own(objective)
    audio, (hidden, others) = speech(seed=seed), drawn(seed=seed)
    torch.manual_seed(seed)
    expected = theirs(audio, mask_time_indices=hidden, sampled_negative_indices=others)
    (expected.loss / hidden.sum()).backward()
    torch.manual_seed(seed)
    found = objective.contrasted(audio, hidden, others)
    found["loss"].backward()
    torch.testing.assert_close(found["loss"], expected.loss / hidden.sum(), rtol=1e-5, atol=0)
    torch.testing.assert_close(found["contrastive loss"], expected.contrastive_loss / hidden.sum(), rtol=1e-5, atol=0)
    torch.testing.assert_close(found["diversity loss"], expected.diversity_loss / hidden.sum(), rtol=1e-5, atol=1e-6)
    known = dict(theirs.named_parameters())
    largest = max(float(one.grad.abs().max()) for one in known.values() if one.grad is not None)
    learnt = 0
    for name, one in objective.model.named_parameters():
        assert (one.grad is None) == (known[name].grad is None), name
        if one.grad is not None:
            torch.testing.assert_close(one.grad, known[name].grad, rtol=1e-3, atol=1e-5 * largest, msg=name)
            learnt += 1
    assert learnt > 30


def test_loss_is_the_formula_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """InfoNCE and diversity in numpy and float64, from what the model says of each frame."""
    objective = made()
    hidden, others = drawn()
    seen: dict[str, Any] = {}
    inner = objective.model.forward

    def remembering(*args: Any, **keys: Any) -> Any:
        seen["said"] = inner(*args, **keys)
        return seen["said"]

    monkeypatch.setattr(objective.model, "forward", remembering)
    found = objective.contrasted(speech(), hidden, others)
    heard, true = (
        np.asarray(seen["said"][name].detach(), np.float64).reshape(-1, 256)
        for name in ("projected_states", "projected_quantized_states")
    )
    terms, right = [], []
    for frame in np.flatnonzero(hidden.numpy().ravel()):
        rivals = [k for k in others.numpy().reshape(-1, SETTINGS.negatives)[frame] if not same(true[k], true[frame])]
        near = np.array([cosine(heard[frame], true[k]) for k in [frame, *rivals]]) / SETTINGS.temperature
        terms.append(np.log(np.exp(near).sum()) - near[0])
        right.append(len(rivals) > 0 and near[0] > near[1:].max())
    scores = np.asarray(objective.quantizer.scores[hidden.flatten()], np.float64)
    soft = np.exp(scores - scores.max(-1, keepdims=True))
    soft = (soft / soft.sum(-1, keepdims=True)).mean(0)
    used = np.exp(-(soft * np.log(soft)).sum(-1)).sum()
    total = SETTINGS.groups * SETTINGS.codes
    expected = np.mean(terms) + SETTINGS.diversity * (total - used) / total
    np.testing.assert_allclose(float(found["loss"].detach()), expected, rtol=1e-5)
    np.testing.assert_allclose(float(found["accuracy"]), np.mean(right))
    best = scores.argmax(-1)
    shares = [np.bincount(best[:, g], minlength=SETTINGS.codes) / len(best) for g in range(SETTINGS.groups)]
    entropies = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in shares]
    np.testing.assert_allclose(float(found["code perplexity"]), np.exp(entropies).sum(), rtol=1e-5)


def cosine(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def same(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    return bool(np.allclose(one, other, rtol=0, atol=1e-6))


def test_negatives_are_other_hidden_frames_of_the_row_and_equally_likely() -> None:
    hidden, _ = drawn()
    torch.manual_seed(0)
    others = negatives(hidden, 4000)
    theirs = _sample_negative_indices((3, 37), 7, hidden.numpy())
    assert theirs.min() >= 0
    assert theirs.max() <= others.max() < 3 * 37
    for row in range(3):
        mine = set((hidden[row].nonzero().flatten() + 37 * row).tolist())
        for frame in hidden[row].nonzero().flatten().tolist():
            counts = torch.bincount(others[row, frame], minlength=111)
            expected = mine - {frame + 37 * row}
            assert set(counts.nonzero().flatten().tolist()) == expected
            share = counts[sorted(expected)] / 4000 * len(expected)
            assert float((share - 1).abs().max()) < 0.5
        assert (others[row][~hidden[row]] == 37 * row).all()


def test_the_only_hidden_frame_of_a_row_has_negatives_too() -> None:
    hidden = torch.zeros(2, 9, dtype=torch.bool)
    hidden[0, 4] = hidden[1, 2] = True
    others = negatives(hidden, 5)
    assert (others[0, 4] != 4).all()
    assert ((others[1, 2] >= 9) & (others[1, 2] != 11)).all()


def test_a_frame_whose_negatives_all_have_its_code_is_no_success() -> None:
    states = torch.eye(4)[None]
    others = torch.tensor([[[1, 2], [0, 2], [3, 3], [2, 2]]])
    scores = compared(states, states, torch.tensor([[0, 0, 0, 1]]), others)
    assert scores[0, 0].tolist() == [1.0, -np.inf, -np.inf]
    assert scores[0, 2].tolist() == [1.0, 0.0, 0.0]


def test_chance_is_the_seeds_alone() -> None:
    objective, again = made(), made()
    told = []
    for one in (objective, again, objective):
        torch.manual_seed(11)
        told.append(float(one(SpeechBatch((speech(),), (), 1.0))["loss"].detach()))
    assert told[0] == told[1] == told[2]
    torch.manual_seed(12)
    assert float(objective(SpeechBatch((speech(),), (), 1.0))["loss"].detach()) != told[0]


def test_making_one_leaves_the_global_chance_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    made()
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)


def test_the_choice_of_codes_cools_by_the_number_of_the_step() -> None:
    objective = made(Wav2vec2Objective(codes=16, softness=(2.0, 0.5, 0.9)))
    found = []
    for step in (0, 1, 5, 100, 1):
        objective.before_step(step, 1000)
        found.append(objective.quantizer.temperature)
    np.testing.assert_allclose(found, [2.0, 1.8, 2 * 0.9**5, 0.5, 1.8])


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same encoder with its quantizer, without it, and with nothing to hide frames by."""
    folder = tmp_path_factory.mktemp("checkpoints")
    objective = made(seed=4)
    transformers_own(objective).save_pretrained(folder / "whole")
    objective.encoder.save_pretrained(folder / "encoder")
    return folder


def test_a_checkpoints_quantizer_is_learnt_further_where_there_is_one(checkpoints: Path) -> None:
    expected = made(seed=4)
    whole = made(begin=StartSettings(checkpoint=str(checkpoints / "whole")))
    encoder = made(begin=StartSettings(checkpoint=str(checkpoints / "encoder")))
    for name, one in expected.model.state_dict().items():
        torch.testing.assert_close(whole.model.state_dict()[name], one, rtol=0, atol=0)
        if name.startswith("wav2vec2."):
            torch.testing.assert_close(encoder.model.state_dict()[name], one, rtol=0, atol=0)
    assert not torch.equal(encoder.quantizer.weight_proj.weight, expected.quantizer.weight_proj.weight)
    # A loaded model is made for use; one that learns has dropout.
    assert all(module.training for module in whole.modules())


def test_another_quantizer_than_the_checkpoints_is_refused(checkpoints: Path) -> None:
    with pytest.raises(SibbolethError, match="2 groups of 16 codes.*write codes = 16 and groups = 2"):
        made(Wav2vec2Objective(codes=32), StartSettings(checkpoint=str(checkpoints / "whole")))


def test_other_encoders_and_groups_that_do_not_divide_a_code_are_refused() -> None:
    with pytest.raises(SibbolethError, match="takes a model of type wav2vec2, and the start is a hubert"):
        made(begin=StartSettings(architecture="tiny-hubert"))
    with pytest.raises(SibbolethError, match="objective.groups"):
        made(Wav2vec2Objective(codes=16, groups=3))


def taught(objective: Wav2vec2, steps: int, rate: float) -> list[dict[str, float]]:
    """Learn noises that differ, and return the log."""
    rows = []
    optimiser = torch.optim.AdamW(objective.parameters(), lr=rate)
    for step in range(steps):
        objective.before_step(step, steps)
        torch.manual_seed(step)
        told = objective(SpeechBatch((speech(4, step % 6).cumsum(1) * 0.02 + speech(4, step % 6),), (), 1.0))
        optimiser.zero_grad()
        told["loss"].backward()
        optimiser.step()
        rows.append({"step": step + 1, **{name: float(one.detach()) for name, one in told.items()}})
        watch(rows, objective.vitals, after=2)
    return rows


def test_a_healthy_run_learns_and_is_left_alone() -> None:
    rows = taught(made(), 25, 1e-3)
    assert np.mean([row["loss"] for row in rows[-5:]]) < np.mean([row["loss"] for row in rows[:5]])
    assert rows[-1]["code perplexity"] > rows[0]["code perplexity"] / 2


@pytest.mark.parametrize("how", ["codes", "encoder"])
def test_a_planted_collapse_is_caught(how: str) -> None:
    objective = made(seed=1)
    with torch.no_grad():
        if how == "codes":
            objective.quantizer.weight_proj.weight.zero_()
            objective.quantizer.weight_proj.bias[::16] = 50.0
        else:
            last: Any = objective.encoder.encoder.layers[-1].final_layer_norm
            last.weight.zero_()
            last.bias.zero_()
    with pytest.raises(Collapsed, match="code perplexity" if how == "codes" else "rank") as raised:
        taught(objective, PATIENCE + 4, 1e-9)
    assert raised.value.exit_code == 1
