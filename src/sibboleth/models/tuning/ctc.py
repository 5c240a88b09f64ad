"""Connectionist temporal classification (Graves et al. 2006): losses, greedy answers, and what frames a text needs.

A text is a row of tokens from 1 on, -1 behind; token 0 is the blank.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

BLANK = 0
END = -1
"""What stands behind a text."""


def losses(logits: Tensor, lengths: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of each row per token `[row]`, of logits `[row, frame, out]` and texts `[row, token]`.

    `lengths` are the own frames of each row. 0 where they do not suffice for the text (`zero_infinity`). Tokens that
    have no output are left out of the text.
    """
    known = (truth > BLANK) & (truth < logits.shape[2])
    counts = known.sum(1)
    found = functional.ctc_loss(
        logits.float().log_softmax(-1).transpose(0, 1),
        truth[known].long(),
        lengths.long(),
        counts,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    return found / counts.clamp(min=1)


def greedy(logits: Tensor, lengths: Tensor) -> Tensor:
    """Return the likeliest token of every frame, repeats joined and blanks dropped, `[row, token]`."""
    best = logits.argmax(-1).cpu()
    best[torch.arange(best.shape[1]) >= lengths.cpu()[:, None]] = BLANK
    begins = torch.ones_like(best, dtype=torch.bool)
    begins[:, 1:] = best[:, 1:] != best[:, :-1]
    kept = begins & (best != BLANK)
    return pad_sequence([row[mine] for row, mine in zip(best, kept, strict=True)], True, END)


def needed(truth: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the fewest frames `[row]` that give each text: one per token, and a blank between two equal ones."""
    repeats = (truth[:, 1:] == truth[:, :-1]) & (truth[:, 1:] > BLANK)
    return np.asarray((truth > BLANK).sum(axis=1) + repeats.sum(axis=1))
