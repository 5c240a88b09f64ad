"""wav2vec 2.0: tell the true quantized frame from others (Baevski et al. 2020, arXiv 2006.11477).

The model is transformers' own `Wav2Vec2ForPreTraining`. Its quantizer and its loss multiply by every code and compare
every frame with copies of its negatives, which takes over ten times as long as a small encoder; here the same numbers
come from products of matrices, and the tests hold them to transformers' own. The loss is divided by the number of
hidden frames, as fairseq does.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2ForPreTraining, Wav2Vec2GumbelVectorQuantizer

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders.checkpoint import Checkpoint
from sibboleth.models.encoders.transformer import Transformer, quiet
from sibboleth.models.pretraining import masking, start
from sibboleth.models.pretraining.objective import Objective, perplexity, rank
from sibboleth.models.pretraining.speech import SpeechBatch
from sibboleth.models.pretraining.watch import Vital
from sibboleth.pretraining import StartSettings, Wav2vec2Objective

if TYPE_CHECKING:
    from transformers import PreTrainedModel

USED = 0.01
"""Share of the codes that a healthy model uses at least, beyond the one of each group that a collapsed one uses."""
HEADS = ("quantizer", "project_hid", "project_q")
"""Of `Wav2Vec2ForPreTraining`, beside the encoder."""


class Quantizer(Wav2Vec2GumbelVectorQuantizer):
    """transformers' quantizer, which looks its codes up by a product of matrices and remembers which they were."""

    scores: Tensor
    """`[frame, group, code]` of the last call, without slope."""
    chosen: Tensor
    """Codes `[frame, group]` of the last call."""

    def forward(self, hidden_states: Tensor, mask_time_indices: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the codes' vectors `[row, frame, dim]` and the perplexity of hidden frames' codes over groups."""
        rows, frames, _ = hidden_states.shape
        scores = self.weight_proj(hidden_states).view(rows * frames * self.num_groups, -1).float()
        shape = (rows * frames, self.num_groups, self.num_vars)
        picked = nn.functional.gumbel_softmax(scores, tau=self.temperature, hard=True).view(shape)
        scores = scores.view(shape)
        self.scores, self.chosen = scores.detach(), picked.detach().argmax(-1)
        found = torch.einsum("fgc,gcd->fgd", picked, self.codevectors.view(*shape[1:], -1))
        used: Tensor = self._compute_perplexity(scores.softmax(-1), mask_time_indices)  # type: ignore[no-untyped-call]
        return found.reshape(rows, frames, -1), used


class Wav2vec2(Objective):
    """Contrast of the true quantized frame with other hidden frames of the same utterance."""

    def __init__(self, model: Wav2Vec2ForPreTraining, settings: Wav2vec2Objective) -> None:
        """Learn a model whose configuration is that of the settings."""
        super().__init__()
        self.model, self.settings = model, settings
        with torch.random.fork_rng(devices=[]):
            quantizer = Quantizer(model.config)  # type: ignore[no-untyped-call]
        quantizer.load_state_dict(model.quantizer.state_dict())
        model.quantizer = quantizer
        self.vitals = (
            Vital(
                "code perplexity",
                "nearly every frame is given the same code",
                "Lower training.learning_rate, raise training.warm_up or objective.diversity",
                least=settings.groups * (1 + USED * (settings.codes - 1)),
            ),
            Vital(
                "rank",
                "the frames of different speech lie on a line",
                "Lower training.learning_rate or raise training.warm_up",
                least=1.5,
            ),
        )
        # A checkpoint is loaded for use, without dropout.
        self.train()

    @property
    def encoder(self) -> "PreTrainedModel":
        """Return the encoder without quantizer and projections."""
        encoder: PreTrainedModel = self.model.wav2vec2
        return encoder

    @property
    def quantizer(self) -> Quantizer:
        """Return the model's."""
        quantizer = self.model.quantizer
        assert isinstance(quantizer, Quantizer)
        return quantizer

    def before_step(self, step: int, steps: int) -> None:
        """Cool the choice of codes."""
        first, least, factor = self.settings.softness
        self.quantizer.temperature = max(least, first * factor**step)  # type: ignore[assignment]

    def forward(self, batch: SpeechBatch) -> dict[str, Tensor]:
        """Hide frames, encode, and tell each hidden frame's quantized self from others."""
        audio = batch.views[0]
        frames = int(self.model._get_feat_extract_output_lengths(audio.shape[1]))
        hidden = masking.masked(len(audio), frames, self.settings.mask)
        others = negatives(hidden, self.settings.negatives)
        return self.contrasted(audio, hidden.to(audio.device), others.to(audio.device))

    def contrasted(self, audio: Tensor, hidden: Tensor, others: Tensor) -> dict[str, Tensor]:
        """Return the loss and the vitals of audio with these frames hidden and these negatives (see `negatives`)."""
        found = self.model(audio, mask_time_indices=hidden, output_hidden_states=self.looking)
        scores = compared(found.projected_states, found.projected_quantized_states, self._codes(hidden), others)
        scores = scores[hidden] / self.settings.temperature
        contrast = nn.functional.cross_entropy(scores, torch.zeros_like(scores[:, 0], dtype=torch.long))
        diversity = 1 - found.codevector_perplexity / (self.settings.groups * self.settings.codes)
        told = {"loss": contrast + self.settings.diversity * diversity}
        if not self.looking:
            return told
        best = scores.detach()[:, 1:].amax(1)
        return told | {
            "contrastive loss": contrast.detach(),
            "diversity loss": diversity.detach(),
            # Where every negative is the frame's own code there was nothing to choose from.
            "accuracy": ((scores[:, 0] > best) & best.isfinite()).float().mean(),
            "code perplexity": self._perplexity(hidden),
            "rank": rank(found.hidden_states[-1]),
        }

    def _codes(self, hidden: Tensor) -> Tensor:
        """Return one number per frame `[row, frame]`, the same for frames with the same codes."""
        sizes = self.settings.codes ** torch.arange(self.settings.groups, device=hidden.device)
        return (self.quantizer.chosen * sizes).sum(-1).view_as(hidden)

    def _perplexity(self, hidden: Tensor) -> Tensor:
        """Return how many codes are the best of hidden frames, summed over groups: from `groups` to all of them."""
        best = nn.functional.one_hot(self.quantizer.scores[hidden.flatten()].argmax(-1), self.settings.codes)
        return torch.stack([perplexity(best[:, group]) for group in range(self.settings.groups)]).sum()


def compared(states: Tensor, quantized: Tensor, codes: Tensor, others: Tensor) -> Tensor:
    """Return the cosine of each frame with its quantized self and with its negatives, `[row, frame, 1 + negative]`.

    A negative with the frame's own code is none: its cosine is minus infinity. `states` and `quantized` are
    `[row, frame, dim]`, `codes` `[row, frame]`; `others` are places of negatives as `negatives` draws them.
    """
    rows, frames = codes.shape
    inside = others - frames * torch.arange(rows, device=others.device)[:, None, None]
    with torch.autocast(states.device.type, enabled=False):
        heard, true = (nn.functional.normalize(one.float(), dim=-1) for one in (states, quantized))
        near = heard @ true.mT
    same = codes[:, :, None] == codes.gather(1, inside.flatten(1)).view_as(inside)
    rivals = near.gather(2, inside).masked_fill(same, -torch.inf)
    return torch.cat([near.diagonal(dim1=1, dim2=2)[:, :, None], rivals], dim=2)


def wav2vec2(begin: Transformer, asked: StartSettings, settings: Wav2vec2Objective, seed: int) -> Wav2vec2:
    """Make the objective from a start; a checkpoint's quantizer is learnt further, where it has one.

    Raises `SibbolethError` for an encoder of another type than wav2vec2, and where the checkpoint's quantizer has
    other codes than the settings.
    """
    family = begin.config["model_type"]
    if family != "wav2vec2":
        raise SibbolethError(f"objective.kind: wav2vec2 takes a model of type wav2vec2, and the start is a {family}")
    encoder = start.build(begin, asked)
    config: Any = encoder.config
    known = _with_heads(begin, settings)
    config.num_codevectors_per_group, config.num_codevector_groups = settings.codes, settings.groups
    config.num_negatives, config.contrastive_logits_temperature = settings.negatives, settings.temperature
    config.diversity_loss_weight = settings.diversity
    if config.codevector_dim % settings.groups:
        raise SibbolethError(
            f"objective.groups: the {config.codevector_dim} numbers of a code are divided among the groups, and "
            f"{settings.groups} does not divide them"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Wav2Vec2ForPreTraining(config)
    model.wav2vec2 = encoder  # type: ignore[assignment]
    if known is not None:
        for head in HEADS:
            setattr(model, head, getattr(known, head))
    return Wav2vec2(model, settings)


def _with_heads(begin: Transformer, settings: Wav2vec2Objective) -> Wav2Vec2ForPreTraining | None:
    """Load a checkpoint with its quantizer and projections; None where it has not all of them."""
    if not isinstance(begin, Checkpoint):
        return None
    with torch.random.fork_rng(devices=[]), quiet():
        found: Any = Wav2Vec2ForPreTraining.from_pretrained(
            begin.folder,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    model, report = found
    if any(key.startswith(HEADS) for key in report["missing_keys"]):
        return None
    codes, groups = model.config.num_codevectors_per_group, model.config.num_codevector_groups
    if (codes, groups) != (settings.codes, settings.groups):
        raise SibbolethError(
            f"objective: the quantizer of {begin.name!r} has {groups} groups of {codes} codes, which is to be learnt "
            f"further; write codes = {codes} and groups = {groups}, not {settings.codes} and {settings.groups}"
        )
    loaded: Wav2Vec2ForPreTraining = model
    return loaded


def negatives(hidden: Tensor, count: int) -> Tensor:
    """Draw, for each hidden frame, others that are hidden in the same row, `[row, frame, negative]`, with replacement.

    They are places in the flattened frames of all rows, as transformers wants them; those of frames that are not
    hidden are the row's first frame, and nobody looks at them. The only hidden frame of a row is given one that is
    not. `hidden` is `[row, frame]`; chance is torch's global one.
    """
    rows, frames = hidden.shape
    order = (~hidden).long().argsort(dim=1, stable=True)
    place = (hidden.cumsum(1) - 1).clamp(min=0)[:, :, None]
    most = (hidden.sum(1) - 1).clamp(min=1)[:, None, None]
    drawn = torch.minimum((torch.rand(rows, frames, count) * most).long(), most - 1)
    drawn += drawn >= place
    found = order.gather(1, drawn.flatten(1)).view(rows, frames, count)
    return torch.where(hidden[:, :, None], found, 0) + frames * torch.arange(rows)[:, None, None]
