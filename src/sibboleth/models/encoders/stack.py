"""The layers of an encoder above a hidden state, to be trained: differentiable, and the same in any company.

What `Transformer` computes for use, in whatever way is fastest, this computes for learning, through transformers' own
modules. Hidden states are numbered alike in both, the last one among them: before the final norm where the family has
one behind its last layer, after it for Whisper. A stack that ends at hidden state k has k layers and gives hidden state
k of the whole encoder.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from sibboleth.models.encoders.contract import Audio, lengthened
from sibboleth.models.encoders.gated_attention import GatedAttention
from sibboleth.models.encoders.transformer import BUILDING, Transformer, frame_samples, hop, quiet

SHORTEST_FILTERBANK = 400 + 160
"""Samples of two filterbank frames of 25 ms, of which wav2vec2-BERT makes one of its own."""
UNUSED = ("masked_spec_embed", "adapter.", "intermediate_ffn.", "embed_positions.")
"""Weights that no hidden state depends on, and Whisper's sines, which are never trained; beginnings of names."""


def prepared(encoder: Transformer, audio: Audio) -> Tensor:
    """Return one utterance as the model takes it.

    That is the waveform `[sample]`, normalised as the checkpoint asks for, filterbanks `[frame, 160]` for wav2vec2-BERT
    and a log-mel spectrogram of 30 s `[mel, 3000]` for Whisper. Audio shorter than one frame is padded to one.
    """
    family, extractor = encoder.config["model_type"], encoder._extractor
    if family in ("whisper", "wav2vec2-bert"):
        heard = audio if family == "whisper" else lengthened(audio, SHORTEST_FILTERBANK)
        padding = {} if family == "whisper" else {"padding": False}
        features = extractor(heard, sampling_rate=encoder.rate, return_tensors="pt", **padding).input_features
        return torch.as_tensor(features[0])
    heard = lengthened(audio, frame_samples(encoder.config))
    if extractor.do_normalize:
        heard = extractor.zero_mean_unit_var_norm([heard], None)[0]
    elif encoder.config.get("feat_extract_norm", "group") == "group" and family != "data2vec-audio":
        # A group norm takes any constant away; without it float32 has more digits for the speech.
        heard = heard - heard.mean(dtype=np.float64)
    return torch.from_numpy(np.asarray(heard, dtype=np.float32))


def own_frames(encoder: Transformer, samples: int) -> int:
    """Count the frames of the hidden states of so many samples, without those of silence behind them."""
    family = encoder.config["model_type"]
    if family == "whisper":
        hop_length: int = encoder._extractor.hop_length
        return max(1, math.ceil(samples / (2 * hop_length)))
    if family == "wav2vec2-bert":
        return ((max(samples, SHORTEST_FILTERBANK) - 400) // 160 + 1) // 2
    width = frame_samples(encoder.config)
    return (max(samples, width) - width) // hop(encoder.config) + 1


class Stack(nn.Module):
    """The layers of an encoder above hidden state `lowest`, up to hidden state `highest`."""

    def __init__(self, encoder: Transformer, lowest: int, highest: int) -> None:
        """Build the model in float32, without the layers above `highest`; it begins in evaluation mode."""
        super().__init__()
        if not 0 <= lowest <= highest < encoder.layers:
            raise ValueError(f"hidden states {lowest} to {highest} of {encoder.layers}")
        self.encoder, self.lowest, self.highest = encoder, lowest, highest
        self.family: str = encoder.config["model_type"]
        self.whole = highest == encoder.layers - 1
        with BUILDING, torch.random.fork_rng(devices=[]), quiet():
            model: Any = encoder.build()
        self.model = model
        inner = model if self.family == "whisper" else model.encoder
        inner.layers = inner.layers[:highest]
        # `encoder_layers` is the same number in Whisper.
        model.config.num_hidden_layers = highest
        if self.family == "wavlm":
            for layer in inner.layers:
                layer.attention.__class__ = GatedAttention
        self.trained: dict[str, str] = {}
        """Name of every parameter that is trained, and the part that it belongs to; filled by `adapt`."""
        self.gates, self.bottlenecks = nn.ModuleDict(), nn.ModuleDict()
        """By number of the hidden state that the layer gives, of layers that have them."""
        self.eval()

    @property
    def layers(self) -> nn.ModuleList:
        """Return the layers that are kept, those up to `lowest` among them."""
        inner = self.model if self.family == "whisper" else self.model.encoder
        return inner.layers  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:
        """Return where the model is."""
        *_, last = self.model.parameters()
        placed: torch.device = last.device
        return placed

    def above(self) -> Iterator[tuple[int, nn.Module]]:
        """Iterate over the layers above `lowest`, each with the number of the hidden state that it gives."""
        yield from enumerate(self.layers[self.lowest :], self.lowest + 1)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, in which dropout is applied; what lies below `lowest` has none unless it is trained."""
        super().train(mode)
        kept = {id(one) for _, layer in self.above() for one in layer.parameters()}
        front = any(one.requires_grad and id(one) not in kept for one in self.model.parameters())
        self.model.train(mode and front)
        for _, layer in self.above():
            layer.train(mode)
        for module in self.modules():
            # Statistics over a batch would depend on company.
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def weights(self, part: str) -> dict[str, nn.Parameter]:
        """Return the encoder's weights by name: those of the `layers` above `lowest`, or of the whole `encoder`.

        Weights that no hidden state of the stack depends on are left out.
        """
        every = {name: one for name, one in self.model.named_parameters(prefix="model") if "lora_" not in name}
        if part == "layers":
            inside = {id(one) for _, layer in self.above() for one in layer.parameters()}
            return {name: one for name, one in every.items() if id(one) in inside}
        unused: tuple[str, ...] = UNUSED
        if self.family == "whisper":
            unused += () if self.whole else ("layer_norm.",)
        elif self._norm_is_last:
            unused += ("encoder.layer_norm.",)
        return {name: one for name, one in every.items() if not name.removeprefix("model.").startswith(unused)}

    def enter(self, rows: Sequence[Tensor], samples: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return hidden state `lowest` `[row, frame, dim]` of prepared audio, and the number of own frames `[row]`.

        `samples` are the lengths of the audio before it was prepared. Whatever sees neighbours (convolutions, norms
        over time) sees each row alone.
        """
        lengths = torch.tensor([own_frames(self.encoder, count) for count in samples], device=self.device)
        placed = [row.to(self.device) for row in rows]
        if len({row.shape for row in placed}) == 1:
            frames = self._front(torch.stack(placed))
        else:
            frames = pad_sequence([self._front(row[None])[0] for row in placed], batch_first=True)
        return self._through(self.layers[: self.lowest], frames, lengths)[-1], lengths

    def forward(self, frames: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return hidden states `lowest` to `highest`, from frames `[row, frame, dim]` that are hidden state `lowest`.

        `lengths` are the own frames of each row; what stands behind them changes nothing. Whisper's frames must be all
        1500, and its layers heed all of them.
        """
        states = self._through(self.layers[self.lowest :], frames, lengths)
        if self.family == "whisper" and self.whole and self.lowest < self.highest:
            states[-1] = self.model.layer_norm(states[-1])
        return states

    def save(self, folder: Path) -> None:
        """Write the model, without adapters, so that `AutoModel.from_pretrained` gives it with `highest` layers.

        The last hidden state is then the stack's, but for a Whisper that lacks layers: transformers puts its final
        norm behind whichever layer is last.
        """
        # The weights of Whisper's encoder stand inside a Whisper, whose decoder nobody needs.
        prefix = "encoder." if self.family == "whisper" else ""
        state = {
            prefix + name.replace(".base_layer.", "."): one.contiguous()
            for name, one in self.model.state_dict().items()
            if "lora_" not in name
        }
        with quiet():
            self.model.save_pretrained(folder, state_dict=state)

    @property
    def _norm_is_last(self) -> bool:
        """Whether the norm of the encoder stands behind its last layer, and not before its first."""
        return type(self.model.encoder).__name__.endswith("StableLayerNorm")

    def _front(self, rows: Tensor) -> Tensor:
        """Return hidden state 0 of prepared audio of one length."""
        model = self.model
        if self.family == "whisper":
            heard = nn.functional.gelu(model.conv2(nn.functional.gelu(model.conv1(rows))))
            frames = heard.transpose(1, 2) + model.embed_positions.weight
            return nn.functional.dropout(frames, model.dropout, model.training)
        if self.family == "wav2vec2-bert":
            return model.encoder.dropout(model.feature_projection(rows)[0])  # type: ignore[no-any-return]
        heard = rows[:, None]
        for layer in model.feature_extractor.conv_layers:
            heard = layer(heard)
        projected = model.feature_projection(heard.transpose(1, 2))
        frames = projected[0] if isinstance(projected, tuple) else projected
        frames = frames + model.encoder.pos_conv_embed(frames)
        if not self._norm_is_last:
            frames = model.encoder.layer_norm(frames)
        return model.encoder.dropout(frames)  # type: ignore[no-any-return]

    def _through(self, layers: nn.ModuleList, frames: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return the input of the layers and the output of each; none is ever skipped."""
        states = [frames]
        if len(layers):
            company = self._company(frames, lengths)
            for layer in layers:
                output = layer(states[-1], **company)
                states.append(output[0] if isinstance(output, tuple) else output)
        return states

    def _company(self, frames: Tensor, lengths: Tensor) -> dict[str, Any]:
        """Return what every layer must know beside its input: which frames are a row's own, and where frames stand."""
        from transformers.masking_utils import create_bidirectional_mask

        if self.family == "whisper":
            return {"attention_mask": None}
        count = frames.shape[1]
        inside = torch.arange(count, device=frames.device) < lengths.to(frames.device)[:, None]
        own = None if bool(inside.all()) else inside
        if self.family == "wavlm":
            # Only the first layer has the embedding that all position biases are made of.
            first: Any = self.layers[0].attention
            return {"attention_mask": own, "position_bias": first.compute_bias(count, count)}
        mask = create_bidirectional_mask(config=self.model.config, inputs_embeds=frames, attention_mask=own)
        if self.family != "wav2vec2-bert":
            return {"attention_mask": mask}
        positions = self.model.encoder.embed_positions
        return {
            "attention_mask": mask,
            "conv_attention_mask": own,
            "relative_position_embeddings": None if positions is None else positions(frames),
        }
