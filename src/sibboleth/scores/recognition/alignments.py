"""The worst utterances, and alignments as text: the reference above the answer, word under word."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from rich.cells import cell_len

from sibboleth.metrics.edits import Edit
from sibboleth.metrics.metric import divide
from sibboleth.scores.recognition.transcripts import WHO, Transcripts

ALIGNMENTS: dict[str, type[pl.DataType]] = WHO | {
    "utterance": pl.String,
    "trial": pl.Int32,
    "words": pl.Int64,
    "errors": pl.Int64,
    "wer": pl.Float64,
    "alignment": pl.String,
}
MARKS = {"equal": "", "substitute": "S", "delete": "D", "insert": "I"}
WIDTH = 100
"""Columns of a line of text."""


def worst_alignments(transcripts: Transcripts, count: int = 20) -> pl.DataFrame:
    """Return each rater's answers with the most errors per reference word, worst first, a row of `ALIGNMENTS` each.

    Ties are ordered by errors, then by name; answers without an error are left out, and those to an empty reference,
    which have no rate, stand last.
    """
    frames = [pl.DataFrame(schema=ALIGNMENTS)]
    for who, rows in transcripts.raters():
        numbers = transcripts.words[rows].astype(np.int64)
        words, errors = numbers[:, :3].sum(axis=1), numbers[:, 1:].sum(axis=1)
        rate = pl.Series(divide(errors, words)).fill_nan(None)
        named = transcripts.keys[rows.tolist()].select("utterance", "trial")
        table = named.with_columns(row=pl.Series(rows), words=pl.Series(words), errors=pl.Series(errors), wer=rate)
        worst = (
            table.filter(pl.col("errors") > 0)
            .sort("wer", "errors", "utterance", "trial", descending=[True, True, False, False], nulls_last=True)
            .head(count)
        )
        texts = [alignment(transcripts.edits[row]) for row in worst["row"]]
        made = worst.with_columns(
            pl.Series("alignment", texts, pl.String), *(pl.lit(v).alias(k) for k, v in who.items())
        )
        frames.append(made.select(pl.col(name).cast(kind) for name, kind in ALIGNMENTS.items()))
    return pl.concat(frames)


def alignment(edits: Sequence[Edit], width: int = WIDTH) -> str:
    """Write an alignment in three lines, as often as the width asks for: `REF`, `HYP`, and `S`, `D` or `I` below.

    Asterisks stand where a side has no word. Width is that of a terminal, where some characters take two columns.
    """
    blocks = ["\n".join(_lines(block)) for block in _blocks(edits, width)]
    return "\n\n".join(blocks)


def _blocks(edits: Sequence[Edit], width: int) -> Iterator[list[Edit]]:
    block: list[Edit] = []
    left = width - 5
    for edit in edits:
        size = _size(edit) + 1
        if block and size > left:
            yield block
            block, left = [], width - 5
        block.append(edit)
        left -= size
    yield block


def _lines(block: Sequence[Edit]) -> Iterator[str]:
    sides = ([edit.reference for edit in block], [edit.hypothesis for edit in block])
    marks = [MARKS[edit.kind] for edit in block]
    for name, cells in zip(("REF:", "HYP:", "    "), (*sides, marks), strict=True):
        filled = (
            "*" * _size(edit) if not cell and cells is not marks else cell + " " * (_size(edit) - cell_len(cell))
            for edit, cell in zip(block, cells, strict=True)
        )
        yield " ".join([name, *filled]).rstrip()


def _size(edit: Edit) -> int:
    return max(cell_len(edit.reference), cell_len(edit.hypothesis))
