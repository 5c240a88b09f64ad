"""Many linear probes as one problem: L2-regularised logistic or ridge regression, exact, all at once.

Each problem minimises, over weights W and bias b of features standardised on its own training rows,

    mean over its rows of loss(W x + b, y)  +  penalty / 2 * ||W||^2

with cross-entropy against a label distribution, or half the squared error. The bias is not penalised. Turning the
features by an orthogonal matrix changes nothing, so every problem is solved along the principal axes of the features,
where their second moments are a diagonal that nearly decouples the weights (for the squared error wholly: ridge
regression takes a step or two). Where a training set has fewer rows than features, W lies in the span of its rows, and
the problem is solved in that span: its size then is the number of rows, whatever the dim.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from sibboleth import memory
from sibboleth.models import threads
from sibboleth.models.losses import Kind
from sibboleth.models.minimisation import MEMORY, minimise
from sibboleth.models.spanned import Spanned
from sibboleth.models.streamed import Streamed

SPAN = 1.0
"""Rows per feature up to which a training set's span is smaller than the space of its features."""
SOLVER_BYTES = 128 * 2**20
"""Memory that problems solved together may take; more sets are solved group after group."""
SOLVER_SHARE = 4
"""Part of a limit of memory that they may take: one of so many."""
USUAL_STEPS, AXES = 30, 20.0
"""How many steps a problem usually takes, and what its axes cost beside a matrix product, for a plan."""
VECTORS = 2 * MEMORY + 12
"""Vectors of a problem's size that minimising it takes."""


@dataclass(frozen=True)
class LinearProbes:
    """Solved problems, standardisation folded in: weight `[set, penalty, dim, out]`, bias `[set, penalty, out]`."""

    weight: Tensor
    bias: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """Return logits (or numbers) `[set, penalty, row, out]` of features `[row, dim]`."""
        return features.double() @ self.weight + self.bias[:, :, None]


def solve(
    layers: Sequence[Tensor], truth: Tensor, sets: Sequence[Tensor], penalty: Tensor, loss: Kind
) -> Iterator[LinearProbes]:
    """Solve every layer's every training set with every penalty to the optimum; yields `LinearProbes` layer by layer.

    Features of each layer `[row, dim]`, truth `[row, out]` (a distribution or a number), the rows of each training
    set, penalty `[penalty]`. A feature that is constant on a set gets no weight there. Where there are many sets, a
    layer comes in several pieces, with its sets in order.
    """
    rows, dim, out = max(map(len, sets)), layers[0].shape[1], truth.shape[1]
    if rows <= SPAN * dim:
        size = len(penalty) * out * (rows + 1) * VECTORS + rows * (rows + 2 * dim)
        every = [(features, some) for features in layers for some in sets]
        for begin, end in _groups(len(every), size):
            spanned = Spanned(every[begin:end], truth, penalty, loss)
            yield _solved(spanned, 4.0 * rows * rows * out * len(penalty))
        return
    size = len(penalty) * out * (dim + 1) * VECTORS + 2 * dim * dim
    for features in layers:
        for begin, end in _groups(len(sets), size):
            streamed = Streamed(features, truth, sets[begin:end], penalty, loss)
            yield _solved(streamed, 4.0 * len(features) * dim * out * len(penalty) * (end - begin))


def _groups(sets: int, floats: int) -> Iterator[tuple[int, int]]:
    size = max(1, memory.at_most(SOLVER_BYTES, SOLVER_SHARE) // (8 * floats))
    for begin in range(0, sets, size):
        yield begin, min(begin + size, sets)


def _solved(problems: Spanned | Streamed, operations: float) -> LinearProbes:
    with threads.worth(operations):
        return LinearProbes(*problems.weights(minimise(problems, problems.start)))


def operations(rows: Sequence[int], dim: int, out: int, penalties: int) -> float:
    """Estimate the floating point operations of `solve` for training sets of so many rows, for a plan."""
    steps = 4.0 * USUAL_STEPS * out * penalties
    if max(rows) <= SPAN * dim:
        return sum(AXES * n * n * dim + steps * n * n for n in rows)
    return sum(AXES * dim**3 + steps * dim * (n + dim) for n in rows)
