"""DINO for utterances: a student learns what its teacher, its own moving average, says of other parts of an utterance.

Caron et al. 2021 (arXiv 2104.14294); for speech Cho et al. 2022 (arXiv 2208.05413). The teacher hears the first two
views, the long ones; the student hears all. The encoder that is kept is the teacher's.
"""

import copy
import math
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import utterance
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.encoders.utterance import Embedder, UtteranceTransformer
from sibboleth.models.pretraining import dino_head, start
from sibboleth.models.pretraining.dino_head import Head
from sibboleth.models.pretraining.objective import Objective, perplexity, rank
from sibboleth.models.pretraining.speech import SpeechBatch
from sibboleth.models.pretraining.watch import Vital
from sibboleth.models.training import Shape
from sibboleth.pretraining import DinoObjective, StartSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TAUGHT = 2
"""Views that the teacher hears: the long ones."""
RECENT = 512
"""Embeddings of the teacher from which their rank is taken; one batch may hold too few."""
SETTLED = 0.99
"""Part of a moving average that was heard; with a momentum of 0.9 it takes 44 batches."""
CERTAIN = 1e-4
"""Nats by which the teacher's answers must lie below the entropy of a uniform one, on average."""


class Branch(nn.Module):
    """Audio to an embedding and its scores of prototypes: what student and teacher have in common."""

    def __init__(self, backbone: "PreTrainedModel", embedder: Embedder, head: Head) -> None:
        """Put them one behind the other."""
        super().__init__()
        self.backbone, self.embedder, self.head = backbone, embedder, head

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Turn `[row, sample]` into embeddings `[row, embedding]` and scores `[row, prototype]`."""
        embedding = self.embedder(self.backbone(audio).last_hidden_state)
        return embedding, self.head(embedding)


class Dino(Objective):
    """Self-distillation between parts of an utterance."""

    shape: Shape = "cosine"
    centre: Tensor
    usage: Tensor
    recent: Tensor
    seen: Tensor

    def __init__(self, student: Branch, settings: DinoObjective, field: int) -> None:
        """Begin with a teacher that is the student; `field` is the samples that the backbone needs at least."""
        super().__init__()
        self.student, self.settings, self.field = student, settings, field
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        # transformers would hide parts of what the student hears, by chance that no seed of ours reaches.
        student.backbone.config.apply_spec_augment = False
        self.register_buffer("centre", torch.zeros(settings.prototypes))
        self.register_buffer("usage", torch.zeros(settings.prototypes))
        self.register_buffer("recent", torch.zeros(RECENT, settings.embedding))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        lower = "Lower training.learning_rate, or give more speech per batch (batches.seconds, batches.accumulate)"
        self.vitals = (
            Vital(
                "teacher certainty",
                "the teacher says the same of every utterance: all prototypes equally",
                lower + ", or lower objective.teacher_temperature",
                least=CERTAIN,
            ),
            Vital(
                "prototypes in use",
                "the teacher says the same of every utterance: one prototype",
                lower,
                least=1.5,
            ),
            Vital("rank", "the embeddings of different utterances lie on a line", lower, least=1.5),
        )
        self.train()

    @property
    def encoder(self) -> "PreTrainedModel":
        """Return the teacher's encoder of frames."""
        return self.teacher.backbone

    @property
    def embedder(self) -> Embedder:
        """Return the teacher's layer that makes embeddings of frames."""
        return self.teacher.embedder

    def train(self, mode: bool = True) -> Self:
        """Set the student's mode; the teacher never has dropout."""
        super().train(mode)
        self.teacher.eval()
        return self

    def before_step(self, step: int, steps: int) -> None:
        """Leave the prototypes as they are in the first steps."""
        self.student.head.frozen = step < self.settings.frozen_last_layer * steps

    def forward(self, batch: SpeechBatch) -> dict[str, Tensor]:
        """Let the teacher hear the long views and the student all, and compare."""
        wanted = self.settings
        views = proportioned(batch.views, wanted.short / wanted.long, self.field)
        long = torch.cat(views[:TAUGHT])
        with torch.no_grad():
            embedding, scores = self.teacher(long)
            taught = dino_head.probabilities(scores, self.centre, wanted.teacher_temperature)
            self._remember(embedding, scores, taught)
        answered = [self.student(long)[1]]
        if len(views) > TAUGHT:
            answered.append(self.student(torch.cat(views[TAUGHT:]))[1])
        shape = (-1, len(views[0]), wanted.prototypes)
        loss = dino_head.loss(torch.cat(answered).view(shape), taught.view(shape), wanted.student_temperature)
        told = {"loss": loss}
        return told | self._vitals(taught) if self.looking else told

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher towards the student."""
        momentum = 1 - (1 - self.settings.teacher_momentum) * (math.cos(math.pi * step / steps) + 1) / 2
        for mine, learnt in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            mine.lerp_(learnt, 1 - momentum)
        for kept, counted in zip(self.teacher.buffers(), self.student.buffers(), strict=True):
            kept.copy_(counted)

    def _remember(self, embedding: Tensor, scores: Tensor, taught: Tensor) -> None:
        """Move the centre, and what is known of the teacher's answers, after they were used."""
        means = mean_over_processes(torch.stack([scores, taught]).sum(1), len(scores))
        self.centre.lerp_(means[0], 1 - self.settings.centre_momentum)
        self.usage.lerp_(means[1], 1 - self.settings.centre_momentum)
        places = (self.seen + torch.arange(len(embedding), device=embedding.device)) % RECENT
        self.recent[places[-RECENT:]] = embedding[-RECENT:].float()
        self.seen += len(embedding)

    def _vitals(self, taught: Tensor) -> dict[str, Tensor]:
        entropy = -torch.xlogy(taught, taught).sum(-1).mean()
        told = {
            "teacher entropy": entropy,
            "teacher certainty": math.log(self.settings.prototypes) - entropy,
            "rank": rank(self.recent[: min(int(self.seen), RECENT)]),
        }
        # The moving averages begin at zero, and the answers' adds up to how much of it there is. Until the centre is
        # where it belongs, a new teacher says one thing of everything.
        known = self.usage.sum()
        return told | {"prototypes in use": perplexity(self.usage / known)} if known > SETTLED else told


def dino(begin: Transformer, asked: StartSettings, settings: DinoObjective, seed: int) -> Dino:
    """Make the objective from a start; an utterance encoder's embedder is learnt further.

    Raises `SibbolethError` where that has another size than the settings say.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = start.build(begin, asked)
        dim = backbone.config.hidden_size
        embedder = _known(begin, settings) or Embedder(dim, settings.embedding)
        student = Branch(backbone, embedder, Head(settings))
    return Dino(student, settings, start.frame(backbone.config.to_dict(), begin.rate).field)


def _known(begin: Transformer, settings: DinoObjective) -> Embedder | None:
    if not isinstance(begin, UtteranceTransformer):
        return None
    if begin.dim != settings.embedding:
        raise SibbolethError(
            f"objective.embedding: {begin.name!r} has embeddings of {begin.dim} numbers, which are to be learnt "
            f"further; write embedding = {begin.dim}, not {settings.embedding}"
        )
    return utterance.read(begin.folder)


def proportioned(views: tuple[Tensor, ...], share: float, least: int) -> tuple[Tensor, ...]:
    """Cut short views `[row, sample]` to a share of the long ones, where utterances are too short for both.

    All views of an utterance that is shorter than a short view would be the same, and nothing could be learnt from it.
    No view becomes shorter than `least` samples. Where they are cut is torch's global chance.
    """
    long, short = views[:TAUGHT], views[TAUGHT:]
    length = max(least, round(share * long[0].shape[1]))
    return *long, *(_cut(one, length) for one in short)


def _cut(view: Tensor, length: int) -> Tensor:
    spare = view.shape[1] - length
    # A sample more or less is rounding, and no reason to draw.
    if spare <= 1:
        return view
    begins = torch.randint(0, spare + 1, (len(view), 1))
    places = (begins + torch.arange(length)).to(view.device)
    return view.gather(1, places)


def mean_over_processes(total: Tensor, count: int) -> Tensor:
    """Return the mean of so many rows in each process, of which `total` are the sums; differentiates nothing."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return total / count
    every = torch.cat([total.flatten(), total.new_tensor([count])])
    torch.distributed.all_reduce(every)
    return torch.div(every[:-1], every[-1]).view_as(total)
