"""WavLM's attention, by modules that can be replaced: transformers' own takes the weights out of its projections."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.wavlm.modeling_wavlm import WavLMAttention


class GatedAttention(WavLMAttention):
    """Attention with a gated relative position bias that calls its projections, so that adapters in them count.

    Its numbers are those of transformers. Only the position bias is not repeated for each row: `[head, frame, frame]`.
    """

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        index: int = 0,
        **_: Any,
    ) -> tuple[Tensor, None, Tensor]:
        """Return what is attended to, and the position bias for the layers above; the mask is true for own frames."""
        rows, frames, dim = hidden_states.shape
        if position_bias is None:
            position_bias = self.compute_bias(frames, frames)
        heads = hidden_states.view(rows, frames, self.num_heads, -1).transpose(1, 2)
        bias = self._gate(heads) * position_bias
        if attention_mask is not None:
            bias = bias.masked_fill(~attention_mask.bool()[:, None, None], -torch.inf)
        query, key, value = (
            projection(hidden_states).view(rows, frames, self.num_heads, -1).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout if self.training else 0.0
        attended = nn.functional.scaled_dot_product_attention(query, key, value, bias.to(query.dtype), dropout)
        return self.out_proj(attended.transpose(1, 2).reshape(rows, frames, dim)), None, position_bias

    def _gate(self, heads: Tensor) -> Tensor:
        """Return by how much each frame heeds where the others stand, `[row, head, frame, 1]`."""
        projected = self.gru_rel_pos_linear(heads).unflatten(-1, (2, 4)).sum(-1)
        update, reset = torch.sigmoid(projected).chunk(2, dim=-1)
        gate: Tensor = update * (reset * self.gru_rel_pos_const - 1.0) + 2.0
        return gate
