"""HuBERT: predict the clusters of hidden frames (Hsu et al. 2021, arXiv 2106.07447).

A frame is projected and compared with an embedding of each cluster by cosine over a temperature; the loss is the cross
entropy of the hidden frames, and of the others as far as `visible` says. Several clusterings have a projection and
embeddings each.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sibboleth.models.pretraining import masking
from sibboleth.models.pretraining.objective import Objective, perplexity, rank
from sibboleth.models.pretraining.speech import SpeechBatch
from sibboleth.models.pretraining.watch import Vital
from sibboleth.pretraining import HubertObjective

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Hubert(Objective):
    """Masked prediction of clusters."""

    def __init__(self, model: "PreTrainedModel", settings: HubertObjective, perplexities: Sequence[float]) -> None:
        """Put a head on the model for each clustering, of which so many clusters are in use."""
        super().__init__()
        self.model, self.settings = model, settings
        dim = model.config.hidden_size
        self.heads = nn.ModuleList(
            ClusterHead(dim, settings.projection, target.clusters, settings.temperature) for target in settings.targets
        )
        self.vitals = (
            Vital(
                "clusters predicted",
                "nearly every frame is taken for the same cluster",
                "Lower training.learning_rate, raise training.warm_up, or use other clusters",
                # A healthy encoder predicts the common clusters early; a collapsed one predicts one or two.
                least=min(3.0, 0.2 * min(perplexities)),
            ),
            RANK,
        )

    @property
    def encoder(self) -> "PreTrainedModel":
        """Return the model without the heads."""
        return self.model

    def forward(self, batch: SpeechBatch) -> dict[str, Tensor]:
        """Hide frames, encode, and predict their clusters."""
        audio = batch.views[0]
        count = batch.labels[0].shape[1]
        hidden = masking.masked(len(audio), count, self.settings.mask).to(audio.device)
        states = self.model(audio, mask_time_indices=hidden).last_hidden_state
        told, loss, visible = {}, self._loss(states, batch.labels, hidden), self.settings.visible
        if self.looking:
            told = self._vitals(states, batch.labels, hidden)
        if visible:
            loss = (1 - visible) * loss + visible * self._loss(states, batch.labels, ~hidden)
        return {"loss": loss, **told}

    def weight(self, batch: SpeechBatch) -> float:
        """Return what a batch's loss weighs beside those of other parts: its rows, which are equally long."""
        return float(batch.rows)

    def _loss(self, states: Tensor, every: Sequence[Tensor], frames: Tensor) -> Tensor:
        """Return the cross entropy over some frames `[row, frame]`, averaged over clusterings."""
        both = zip(self.heads, every, strict=True)
        losses = [nn.functional.cross_entropy(head(states[frames]), labels[frames]) for head, labels in both]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _vitals(self, states: Tensor, every: Sequence[Tensor], hidden: Tensor) -> dict[str, Tensor]:
        right, used = [], []
        for head, labels in zip(self.heads, every, strict=True):
            scores = head(states)
            answers = scores.argmax(-1)
            right.append(answers == labels)
            counts = torch.bincount(answers[hidden], minlength=scores.shape[-1])
            used.append(perplexity(counts / counts.sum()))
        correct = torch.stack(right).float()
        return {
            "accuracy": correct[:, hidden].mean(),
            "accuracy of visible frames": correct[:, ~hidden].mean(),
            "clusters predicted": torch.stack(used).min(),
            "rank": rank(states),
        }


class ClusterHead(nn.Module):
    """Frames to a score for each cluster."""

    def __init__(self, dim: int, projection: int, clusters: int, temperature: float) -> None:
        """Begin with embeddings in random directions."""
        super().__init__()
        self.projection = nn.Linear(dim, projection)
        self.embeddings = nn.Parameter(torch.randn(clusters, projection))
        self.temperature = temperature

    def forward(self, frames: Tensor) -> Tensor:
        """Return cosines over the temperature, `[frame, cluster]`."""
        projected = nn.functional.normalize(self.projection(frames).float(), dim=-1)
        return projected @ nn.functional.normalize(self.embeddings, dim=-1).T / self.temperature


RANK = Vital(
    "rank",
    "the frames of different speech lie on a line",
    "Lower training.learning_rate or raise training.warm_up",
    least=1.5,
)
