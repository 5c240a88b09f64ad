"""What DINO compares: an embedding's scores of prototypes, and the loss between a teacher's and a student's.

Caron et al. 2021 (arXiv 2104.14294), with the values of Cho et al. 2022 (arXiv 2208.05413) for speech.
"""

import torch
from torch import Tensor, nn

from sibboleth.pretraining import DinoObjective

DEVIATION = 0.02
"""Of the first weights of the head."""


class Head(nn.Module):
    """Three layers, a bottleneck of length 1, and its cosine with every prototype."""

    def __init__(self, settings: DinoObjective) -> None:
        """Begin with random weights."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(settings.embedding, settings.hidden),
            nn.GELU(),
            nn.Linear(settings.hidden, settings.hidden),
            nn.GELU(),
            nn.Linear(settings.hidden, settings.bottleneck),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=DEVIATION)
                nn.init.zeros_(layer.bias)
        # A weight-normed layer without bias whose gains are fixed to 1: only the directions of its rows count.
        self.prototypes = nn.Parameter(nn.Linear(settings.bottleneck, settings.prototypes, bias=False).weight.detach())
        self.frozen = False
        """Whether the prototypes are not learnt at present."""

    def forward(self, embedding: Tensor) -> Tensor:
        """Turn `[row, embedding]` into scores `[row, prototype]`, in float32 from the bottleneck on."""
        bottleneck: Tensor = self.layers(embedding)
        prototypes = self.prototypes.detach() if self.frozen else self.prototypes
        with torch.autocast(embedding.device.type, enabled=False):
            directions = nn.functional.normalize(bottleneck.float(), dim=-1)
            return directions @ nn.functional.normalize(prototypes.float(), dim=-1).T


def loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the cross entropy of the student's answers to the teacher's, over views that are not the same.

    `student` holds scores `[view, row, prototype]` of all views, `teacher` probabilities of the first of them. The mean
    is over rows and over pairs of different views.
    """
    answered = torch.log_softmax(student / temperature, dim=-1)
    views, taught, rows = len(answered), len(teacher), answered.shape[1]
    # Entry [t, s] is the cross entropy of teacher view t and student view s, summed over rows.
    every = -torch.einsum("trp,srp->ts", teacher, answered)
    apart = ~torch.eye(taught, views, dtype=torch.bool, device=every.device)
    return every[apart].sum() / (apart.sum() * rows)


def probabilities(scores: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Return the teacher's answers: its scores, centred and sharpened, `[..., prototype]`."""
    return torch.softmax((scores - centre) / temperature, dim=-1)
