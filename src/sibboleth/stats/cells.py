"""What each rater of a group answered about each speaker, kept only for the pairs that there are."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sibboleth.stats.limits import effective

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


class Cells:
    """Sums of parts by speaker and rater. What nobody answered takes no room: raters need not hear every speaker."""

    def __init__(self, parts: Array, answers: Array) -> None:
        """Take a whole table: parts `[speaker, rater, part]`, answers `[speaker, rater]`, or one count per number."""
        speakers, raters, width = parts.shape
        speaker, rater = (codes.ravel() for codes in np.indices((speakers, raters)))
        self._keep(
            sparse.csr_matrix(parts.reshape(-1, width)),
            sparse.csr_matrix(answers.reshape(speakers * raters, -1)),
            speaker,
            rater,
            (speakers, raters),
        )

    @classmethod
    def listed(
        cls,
        parts: Array | sparse.csr_matrix,
        answers: Array | sparse.csr_matrix,
        speaker: Codes,
        rater: Codes,
        shape: tuple[int, int],
    ) -> "Cells":
        """Sum answers: parts `[answer, part]`, what each counts for `[answer, number]`, and its speaker and rater.

        `shape` is the number of speakers and of raters.
        """
        found = cls.__new__(cls)
        keys, cell = np.unique(speaker * shape[1] + rater, return_inverse=True)
        places = (keys // shape[1], keys % shape[1])
        if shape[1] > 1:  # many cells of few answers: mostly zeros
            parts = sparse.csr_matrix(parts)
        sums = [sparse.csr_matrix(_summing(cell, len(keys)) @ numbers) for numbers in (parts, answers)]
        found._keep(sums[0], sums[1], *places, shape)
        return found

    def _keep(
        self, parts: sparse.csr_matrix, answers: sparse.csr_matrix, speaker: Codes, rater: Codes, shape: tuple[int, int]
    ) -> None:
        parts.eliminate_zeros()
        self.parts = parts
        """`[cell, part]`: summed over the answers of one speaker and rater."""
        self.answers = answers
        """`[cell, number]`: how many answers, in one column or one for each number."""
        self.speaker, self.rater = speaker, rater
        """`[cell]`."""
        self.speakers, self.raters = shape

    def by_speaker(self) -> Array:
        """Sum parts over raters: `[speaker, part]`."""
        return np.asarray((_summing(self.speaker, self.speakers) @ self.parts).toarray())

    def by_rater(self) -> Array:
        """Sum parts over speakers: `[rater, part]`."""
        return np.asarray((_summing(self.rater, self.raters) @ self.parts).toarray())

    def whole(self) -> Array:
        """Sum parts over everything: `[part]`."""
        return np.asarray(self.parts.sum(axis=0)).ravel()

    def speaker_answers(self) -> Array:
        """Count the answers about each speaker: `[speaker, number]`."""
        return np.asarray((_summing(self.speaker, self.speakers) @ self.answers).toarray())

    def rater_answers(self) -> Array:
        """Count the answers of each rater: `[rater, number]`."""
        return np.asarray((_summing(self.rater, self.raters) @ self.answers).toarray())

    def take(self, speakers: Codes, raters: Codes) -> "Cells":
        """Put speakers and raters into another order, or leave some out."""
        speaker = _places(speakers, self.speakers)[self.speaker]
        rater = _places(raters, self.raters)[self.rater]
        order = np.lexsort((rater, speaker))
        order = order[(speaker[order] >= 0) & (rater[order] >= 0)]
        found = Cells.__new__(Cells)
        shape = len(speakers), len(raters)
        found._keep(self.parts[order], self.answers[order], speaker[order], rater[order], shape)
        return found

    def beside(self, other: "Cells") -> "Cells":
        """Put the parts of the same speakers and raters in another condition behind these; answers are added."""
        widths = self.parts.shape[1], other.parts.shape[1]
        right = sparse.hstack([self.parts, sparse.csr_matrix((self.parts.shape[0], widths[1]))])
        left = sparse.hstack([sparse.csr_matrix((other.parts.shape[0], widths[0])), other.parts])
        return Cells.listed(
            sparse.csr_matrix(sparse.vstack([right, left])),
            sparse.csr_matrix(sparse.vstack([self.answers, other.answers])),
            np.concatenate([self.speaker, other.speaker]),
            np.concatenate([self.rater, other.rater]),
            (self.speakers, self.raters),
        )

    def freedom(self, of: str, like: Array) -> Array:
        """Degrees of freedom of the `speakers` or the `raters`, one for each number."""
        answers = self.speaker_answers() if of == "speakers" else self.rater_answers()
        return np.array(np.broadcast_to(np.maximum(effective(answers) - 1, 1.0), like.shape))

    def rater_order(self) -> Codes:
        """Order raters by their sorted parts, which depend on neither names nor the order of speakers."""
        cells, width = self.parts.tocoo(), self.parts.shape[1]
        rater, part, value = self.rater[cells.row], cells.col.astype(np.int64), cells.data
        order = np.lexsort((value, part, rater))
        rater, part, value = rater[order], part[order], value[order]
        # Place of a value among those of all speakers, for most of whom it is 0.
        _, start, size = np.unique(rater * width + part, return_index=True, return_counts=True)
        place = np.arange(len(value)) - np.repeat(start, size)
        place = np.where(value < 0, place, self.speakers - np.repeat(size, size) + place)
        return _order(rater, place * width + part, value, self.raters)


def speaker_order(sides: Sequence[Cells]) -> Codes:
    """Order speakers by their parts of all sides and raters, which depend on neither names nor their order."""
    rows, columns, values, before = [], [], [], 0
    for side in sides:
        cells, width = side.parts.tocoo(), side.parts.shape[1]
        rows.append(side.speaker[cells.row])
        columns.append(before + side.rater[cells.row] * width + cells.col)
        values.append(cells.data)
        before += side.raters * width
    return _order(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), sides[0].speakers)


def _order(row: Codes, column: Codes, value: Array, rows: int) -> Codes:
    """Order the rows of a sparse table as `np.lexsort(table.T)` orders those of the whole: the last column first.

    A row becomes a string of bytes that compares as its numbers do, entry by entry from its last: where one row has an
    entry and the other has not, so a 0, a positive entry stands after and a negative one before.
    """
    order = np.lexsort((-column, row))
    row, column, value = row[order], column[order].astype(np.int64), value[order]
    middle = np.uint64(1 << 62)
    steps = (column + 1).astype(np.uint64)
    codes = np.empty((len(row), 2), ">u8")
    codes[:, 0] = np.where(value < 0, middle - steps, middle + steps)
    bits = value.view(np.uint64)
    codes[:, 1] = np.where(value < 0, ~bits, bits | np.uint64(1 << 63))
    ends = np.searchsorted(row, np.arange(rows + 1))
    last = np.array([middle], ">u8").tobytes()
    keys = [codes[ends[k] : ends[k + 1]].tobytes() + last for k in range(rows)]
    return np.array(sorted(range(rows), key=keys.__getitem__), dtype=np.int64)


def _places(chosen: Codes, size: int) -> Codes:
    """Where each of so many things stands among the chosen; -1 where it does not."""
    places = np.full(size, -1, dtype=np.int64)
    places[chosen] = np.arange(len(chosen))
    return places


def _summing(codes: Codes, size: int) -> sparse.csr_matrix:
    """Return the matrix `[code, row]` that sums rows with one code each."""
    rows = len(codes)
    return sparse.csc_matrix((np.ones(rows), codes, np.arange(rows + 1)), shape=(size, rows)).tocsr()
