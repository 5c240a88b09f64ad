"""DINO for utterances against the formulas written down in numpy, and collapses that are planted."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import erf, log_softmax, softmax
from torch import nn

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import utterance
from sibboleth.models.pretraining import dino_head, start
from sibboleth.models.pretraining.dino import RECENT, Dino, dino, proportioned
from sibboleth.models.pretraining.speech import SpeechBatch
from sibboleth.models.pretraining.watch import PATIENCE, Collapsed, watch
from sibboleth.pretraining import DinoObjective, StartSettings

Array = npt.NDArray[np.float64]
SETTINGS = DinoObjective(
    long=0.5, short=0.25, shorts=2, embedding=12, hidden=20, bottleneck=8, prototypes=30, frozen_last_layer=0.2
)
ARCHITECTURE = StartSettings(architecture="tiny-hubert")
LONG, SHORT = 8000, 4000


def made(settings: DinoObjective = SETTINGS, begin: StartSettings = ARCHITECTURE, seed: int = 0) -> Dino:
    return dino(start.start(begin, seed), begin, settings, seed)


def speech(seed: int = 0, rows: int = 4, shorts: int = 2) -> SpeechBatch:
    """Noises of a colour per row, other cuts in each view."""
    chance = torch.Generator().manual_seed(seed)
    colour = torch.rand(rows, 1, generator=chance) * 0.9
    views = []
    for samples in (LONG, LONG, *(SHORT,) * shorts):
        noise = torch.randn(rows, samples, generator=chance)
        views.append((1 - colour) * noise + colour * noise.cumsum(1) * 0.05)
    return SpeechBatch(tuple(views), (), 1.0)


def float64(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.detach(), np.float64)


def head_by_hand(head: dino_head.Head, embedding: Array) -> Array:
    """Three layers with GELU, a bottleneck of length 1, prototypes of length 1."""
    x = embedding
    layers = [one for one in head.layers if isinstance(one, nn.Linear)]
    assert len(layers) == 3
    for place, layer in enumerate(layers):
        x = x @ float64(layer.weight).T + float64(layer.bias)
        if place < 2:
            x = x * (1 + erf(x / math.sqrt(2))) / 2
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    prototypes = float64(head.prototypes)
    return np.asarray(x @ (prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)).T)


def embedded(branch: nn.Module, views: tuple[torch.Tensor, ...]) -> list[Array]:
    """Mean and standard deviation of the frames of the last layer, and the linear layer, view by view."""
    found = []
    for view in views:
        with torch.no_grad():
            states = float64(branch.backbone(view).last_hidden_state)
        pooled = np.concatenate([states.mean(1), np.sqrt(np.maximum(states.var(1), 1e-5))], axis=1)
        linear = branch.embedder.linear
        found.append(pooled @ float64(linear.weight).T + float64(linear.bias))
    return found


def loss_by_hand(student: list[Array], teacher: list[Array], centre: Array) -> float:
    terms = []
    for t, taught in enumerate(teacher):
        q = softmax((taught - centre) / 0.04, axis=1)
        for s, answered in enumerate(student):
            if s != t:
                terms.append(-(q * log_softmax(answered / 0.1, axis=1)).sum(1).mean())
    assert len(terms) == 2 * len(student) - 2
    return float(np.mean(terms))


@pytest.mark.parametrize("shorts", [0, 1, 4])
def test_two_steps_are_the_formulas(shorts: int) -> None:
    objective = made(SETTINGS.model_copy(update={"shorts": shorts}))
    objective.student.eval()  # no dropout, whose chance numpy does not share
    other = made(seed=7)
    objective.teacher.load_state_dict(other.teacher.state_dict())
    centre = np.zeros(SETTINGS.prototypes)
    for step in range(2):
        batch = speech(step, shorts=shorts)
        student = [head_by_hand(objective.student.head, x) for x in embedded(objective.student, batch.views)]
        teacher = [head_by_hand(objective.teacher.head, x) for x in embedded(objective.teacher, batch.views[:2])]
        expected = loss_by_hand(student, teacher, centre)
        np.testing.assert_allclose(float(objective(batch)["loss"].detach()), expected, rtol=2e-5)
        centre = 0.9 * centre + 0.1 * np.concatenate(teacher).mean(0)
        np.testing.assert_allclose(float64(objective.centre), centre, rtol=1e-4, atol=1e-6)


def test_the_teacher_follows_along_a_cosine_and_is_never_learnt() -> None:
    objective = made()
    with torch.no_grad():
        for one in objective.student.parameters():
            one.add_(torch.randn_like(one))
    before = [float64(one) for one in objective.teacher.parameters()]
    for step in (0, 30, 99):
        momentum = 1 - (1 - 0.996) * (math.cos(math.pi * step / 100) + 1) / 2
        objective.after_step(step, 100)
        learnt = [float64(one) for one in objective.student.parameters()]
        expected = [momentum * b + (1 - momentum) * s for b, s in zip(before, learnt, strict=True)]
        before = [float64(one) for one in objective.teacher.parameters()]
        for mine, wanted in zip(before, expected, strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)
    objective(speech())["loss"].backward()
    assert all(one.grad is None for one in objective.teacher.parameters())
    assert objective.encoder is objective.teacher.backbone
    assert objective.embedder is objective.teacher.embedder


def test_the_last_layer_waits_for_its_share_of_the_steps() -> None:
    objective = made()
    learnt = []
    for step in range(10):
        objective.before_step(step, 10)
        objective.zero_grad()
        objective(speech(step))["loss"].backward()
        learnt.append(objective.student.head.prototypes.grad is not None)
        assert objective.student.head.layers[0].weight.grad is not None
    assert learnt == [False] * 2 + [True] * 8


def test_only_the_directions_of_prototypes_count() -> None:
    head = made().student.head
    x = torch.randn(5, SETTINGS.embedding)
    expected = head(x)
    with torch.no_grad():
        head.prototypes.mul_(torch.rand(SETTINGS.prototypes, 1) * 5 + 0.1)
    torch.testing.assert_close(head(x), expected)
    assert float(expected.detach().abs().max()) <= 1


def test_all_that_lasts_is_in_the_state() -> None:
    objective, again = made(), made(seed=3)
    for step in range(3):
        objective(speech(step))
        objective.after_step(step, 5)
    again.load_state_dict(objective.state_dict())
    torch.manual_seed(0)
    expected = {name: float(one.detach()) for name, one in objective(speech(9)).items()}
    torch.manual_seed(0)
    assert {name: float(one.detach()) for name, one in again(speech(9)).items()} == expected
    torch.testing.assert_close(again.centre, objective.centre, rtol=0, atol=0)


def test_looking_changes_nothing_that_is_learnt() -> None:
    objective, again = made(), made()
    again.looking = False
    for step in range(2):
        losses = []
        for one in (objective, again):
            torch.manual_seed(step)
            losses.append(float(one(speech(step))["loss"].detach()))
        assert losses[0] == losses[1]
    for name, one in objective.state_dict().items():
        torch.testing.assert_close(one, again.state_dict()[name], rtol=0, atol=0)


def test_chance_is_torchs_alone_and_the_teacher_has_none() -> None:
    objective = made()
    audio = speech().views[0]
    with torch.no_grad():
        torch.testing.assert_close(objective.teacher(audio)[1], objective.teacher(audio)[1], rtol=0, atol=0)
        assert not torch.equal(objective.student(audio)[1], objective.student(audio)[1])  # dropout
    torch.manual_seed(1)
    expected = float(objective(speech())["loss"].detach())
    again = made()
    torch.manual_seed(1)
    assert float(again(speech())["loss"].detach()) == expected


def test_the_rank_is_that_of_the_last_embeddings() -> None:
    objective = made()
    objective.recent.normal_()
    objective.seen.fill_(RECENT - 3)
    objective(speech(rows=4))
    taught = np.concatenate(embedded(objective.teacher, speech(rows=4).views[:2]))
    kept = float64(objective.recent)
    np.testing.assert_allclose(np.concatenate([kept[-3:], kept[:5]]), taught, rtol=1e-4, atol=1e-5)
    assert int(objective.seen) == RECENT + 5


def test_utterances_too_short_for_both_kinds_of_view_still_have_two_kinds() -> None:
    long = torch.arange(3000).repeat(2, 1)
    torch.manual_seed(0)
    views = proportioned((long, long, long, long[:, :1499]), 0.5, 400)
    assert [one.shape[1] for one in views] == [3000, 3000, 1500, 1499]
    begins = views[2][:, 0]
    assert (views[2] == begins[:, None] + torch.arange(1500)).all()
    assert begins[0] != begins[1]
    assert proportioned((long[:, :600],) * 3, 0.5, 400)[2].shape[1] == 400
    assert proportioned((long[:, :300],) * 3, 0.5, 400)[2].shape[1] == 300


def learnt(objective: Dino, steps: int, rate: float = 5e-4) -> list[dict[str, float]]:
    rows = []
    optimiser = torch.optim.AdamW([one for one in objective.parameters() if one.requires_grad], lr=rate)
    for step in range(steps):
        objective.before_step(step, steps)
        torch.manual_seed(step)
        told = objective(speech(step))
        optimiser.zero_grad()
        told["loss"].backward()
        optimiser.step()
        objective.after_step(step, steps)
        rows.append({"step": step + 1, **{name: float(one.detach()) for name, one in told.items()}})
        watch(rows, objective.vitals, after=2)
    return rows


def test_a_healthy_run_is_left_alone() -> None:
    rows = learnt(made(), 52)
    assert all(math.isfinite(row["loss"]) for row in rows)
    # A new teacher's answers are all alike until the centre has found its place; that is no collapse.
    assert "prototypes in use" not in rows[0]
    assert rows[-1]["prototypes in use"] > 5


def constant(objective: Dino) -> None:
    """Make the teacher say the same of everything, for good, whatever its embeddings are."""
    with torch.no_grad():
        objective.teacher.head.layers[-1].weight.zero_()
        objective.teacher.head.layers[-1].bias.fill_(1.0)
    objective.after_step = lambda step, steps: None  # type: ignore[method-assign]


def on_a_line(objective: Dino) -> None:
    """Leave one number of the embedding."""
    with torch.no_grad():
        objective.teacher.embedder.linear.weight[1:] = 0
    objective.after_step = lambda step, steps: None  # type: ignore[method-assign]


def without_centring(objective: Dino) -> None:
    """Nothing holds the teacher back from one prototype: its answers are made sharp and are not centred."""
    remember = objective._remember

    def careless(*args: Any) -> None:
        remember(*args)
        objective.centre.zero_()

    objective._remember = careless  # type: ignore[method-assign]
    with torch.no_grad():
        for branch in (objective.student, objective.teacher):
            branch.head.layers[-1].bias.copy_(100 * branch.head.prototypes[3])


PLANTED = {constant: "teacher certainty", on_a_line: "rank", without_centring: "prototypes in use"}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_collapse_is_caught(plant: Any) -> None:
    # Many prototypes that lie far apart, as in the recipe; each answer is then nearly one of them.
    objective = made(SETTINGS.model_copy(update={"bottleneck": 64, "prototypes": 40}))
    plant(objective)
    with pytest.raises(Collapsed, match=PLANTED[plant]) as raised:
        learnt(objective, 60 + PATIENCE)
    assert "healthy one has at least" in str(raised.value)


def test_an_utterance_encoder_is_learnt_further(tmp_path: Any) -> None:
    objective = made(seed=2)
    objective.encoder.save_pretrained(tmp_path)
    utterance.save(objective.embedder, tmp_path)
    begin = StartSettings(checkpoint=str(tmp_path))
    again = made(begin=begin)
    torch.testing.assert_close(again.student.embedder.state_dict(), objective.teacher.embedder.state_dict())
    torch.testing.assert_close(again.student.backbone.state_dict(), objective.teacher.backbone.state_dict())
    with pytest.raises(SibbolethError, match="write embedding = 12, not 13"):
        made(SETTINGS.model_copy(update={"embedding": 13}), begin)


def test_short_pieces_longer_than_long_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="short, 3 s, is longer than long, 2 s"):
        DinoObjective(long=2, short=3)
