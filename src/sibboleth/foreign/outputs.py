"""Outputs of other people's tools as rows of the predictions table: labels, posteriors, numbers, transcripts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from sibboleth import predictions
from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput, Problem
from sibboleth.targets import Kind

UTTERANCE = ("utterance", "utterance_id", "utt_id", "utt", "id", "file", "filename", "file_name", "path", "audio")
SPEAKER = ("speaker", "speaker_id", "spk_id", "spk", "client_id")
RATER = ("rater", "system", "model", "listener", "annotator")
TRIAL = ("trial", "seed")
HYPOTHESIS = ("hypothesis", "hyp")
ANSWER = ("prediction", "predicted", "pred", "answer", "response", "label")
TRUTH = ("reference", "ref", "truth", "true", "true_label", "gold", "target", "label", "emotion")
TEXT = ("reference", "ref", "text", "transcript", "transcription", "sentence")
"""Column names that are understood without being told, the likeliest first."""
POSTERIOR = ("p_", "prob_")
"""Beginnings of the names of posterior columns: `p_angry`."""
OURS = ("run", "source", "rater", "utterance", "target", "value")
"""Columns by which our own predictions table is known."""


@dataclass(frozen=True)
class File:
    """One file as a table of text, with the line of each row."""

    path: Path
    frame: pl.DataFrame
    rows: Sequence[int]
    decimal_comma: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is a predictions table of ours."""
        return all(name in self.frame.columns for name in OURS)

    def keep(self, mask: pl.Series) -> "File":
        """Return some of the rows."""
        rows = [row for row, kept in zip(self.rows, mask, strict=True) if kept]
        return File(self.path, self.frame.filter(mask), rows, self.decimal_comma)

    def find(self, names: Iterable[str], but: Sequence[str | None] = ()) -> str | None:
        """Return the first of the names that is a column, whatever its case."""
        columns = {column.lower(): column for column in self.frame.columns if column not in but}
        return next((columns[name] for name in names if name in columns), None)

    def column(self, name: str, what: str) -> pl.Series:
        """Return a column that the user named; raises `InvalidInput` where it is absent."""
        if name not in self.frame.columns:
            there = ", ".join(self.frame.columns)
            raise InvalidInput(f"{self.path}: no column {name!r} for the {what}; its columns are {there}")
        return self.frame[name]

    def numbers(self, name: str) -> pl.Series:
        """Return a column as numbers; raises `InvalidInput` with the lines that hold none."""
        text = self.frame[name]
        values = (text.str.replace(",", ".", literal=True) if self.decimal_comma else text).cast(
            pl.Float64, strict=False
        )
        self.refuse(name, "not a finite number", ~values.is_finite().fill_null(False))
        return values

    def refuse(self, field: str, message: str, bad: pl.Series) -> None:
        """Raise `InvalidInput` naming every line in which `bad` is true."""
        indices = bad.arg_true().to_list()
        if indices:
            given = self.frame[field] if field in self.frame.columns else None
            problems = [
                Problem(str(self.path), message + ("" if given is None else _given(given[k])), self.rows[k], field)
                for k in indices
            ]
            raise InvalidInput(f"{self.path}: {len(problems)} bad {'row' if len(problems) == 1 else 'rows'}", problems)


def _given(value: str | None) -> str:
    return " (it is empty)" if value is None else f" (given: {value!r})"


def open_file(path: Path) -> File:
    """Read a CSV, TSV, JSONL or Parquet file as text; empty cells are null and blanks around values dropped."""
    if path.suffix.lower() not in sheets.SUFFIXES:
        if not path.exists():
            raise InvalidInput(f"{path}: no such file or folder")
        raise InvalidInput(f"{path}: cannot be read; save it as one of {', '.join(sheets.SUFFIXES)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    sheet = sheets.read(path, data)
    if sheet.problems:
        raise InvalidInput(f"{path}: {sheet.unread} rows cannot be taken apart", sheet.problems)
    if not sheet.rows:
        raise InvalidInput(f"{path}: has no rows; it needs column names and one row per answer")
    nested = [name for name, column in sheet.columns.items() if column.dtype.is_nested()]
    texts = [_text(column) for name, column in sheet.columns.items() if name not in nested]
    return File(path, pl.DataFrame(texts), sheet.rows, sheet.decimal_comma)


def _text(column: pl.Series) -> pl.Series:
    text = sheets.text(column).str.strip_chars()
    return text.set(text == "", None)


@dataclass(frozen=True)
class Layout:
    """Which column of a file is what."""

    kind: Kind
    utterance: str
    answer: str | None
    """Column of label, number or text; None for posteriors."""
    posteriors: dict[str, str]
    """Column of each label."""
    rater: str | None = None
    trial: str | None = None


def utterances(file: File, name: str | None) -> str:
    """Find the column of utterance ids; raises `InvalidInput` where there is none or an id is empty."""
    found = name if name is not None and name in file.frame.columns else file.find(UTTERANCE)
    if found is None:
        there = ", ".join(file.frame.columns)
        raise InvalidInput(f"{file.path}: no column of utterance ids; name it with --utterance (there are {there})")
    file.refuse(found, "the utterance id is missing", file.frame[found].is_null())
    return found


def posteriors(file: File, labels: Sequence[str] = ()) -> dict[str, str]:
    """Find the column of each label's weight: `p_LABEL` or `prob_LABEL`, or all of `labels` by their own names."""
    for beginning in POSTERIOR:
        found = {c[len(beginning) :]: c for c in file.frame.columns if c.lower().startswith(beginning)}
        if len(found) > 1:
            return found
    columns = {column.lower(): column for column in file.frame.columns}
    named = {label: columns[label.lower()] for label in labels if label.lower() in columns}
    return named if len(named) == len(labels) > 1 else {}


def rows(file: File, layout: Layout, target: str, source: str, rater: str, twice: str) -> pl.DataFrame:
    """Turn a file into rows of the predictions table; the run is the file's name without suffix.

    `twice` says what is wrong where an utterance has two answers. An empty text is a text without words. Raises
    `InvalidInput` for empty or doubled answers, for weights that are no numbers, negative or all zero.
    """
    names = file.frame[layout.utterance]
    raters = file.frame[layout.rater] if layout.rater else pl.Series([rater]).new_from_index(0, len(names))
    if layout.rater:
        file.refuse(layout.rater, "nobody is named", raters.is_null())
    trials = file.numbers(layout.trial) if layout.trial else pl.Series([0]).new_from_index(0, len(names))
    keys = pl.DataFrame([names.alias("utterance"), raters.alias("rater"), trials.cast(pl.Int32).alias("trial")])
    file.refuse(layout.utterance, twice, keys.is_duplicated())
    common: dict[str, object] = {"run": file.path.stem, "source": source, "target": target}
    parts = _posterior_rows(file, layout) if layout.posteriors else [_answer_row(file, layout)]
    frames = [predictions.table({**keys.to_dict(as_series=True), **common, **part}) for part in parts]
    return pl.concat(frames).sort(predictions.KEY)


def _answer_row(file: File, layout: Layout) -> dict[str, object]:
    assert layout.answer is not None
    if layout.kind == "regression":
        return {"value": file.numbers(layout.answer)}
    answers = file.frame[layout.answer]
    if layout.kind == "transcription":
        return {"label": answers.fill_null(""), "value": 1.0}
    file.refuse(layout.answer, "no label", answers.is_null())
    return {"label": answers, "value": 1.0}


def _posterior_rows(file: File, layout: Layout) -> list[dict[str, object]]:
    weights = {label: file.numbers(column) for label, column in layout.posteriors.items()}
    for label, column in layout.posteriors.items():
        file.refuse(column, "a weight cannot be negative; turn logits into probabilities first", weights[label] < 0)
    total = np.sum([values.to_numpy() for values in weights.values()], axis=0)
    file.refuse(layout.utterance, "all weights are zero", pl.Series(total) == 0)
    return [{"label": label, "value": values} for label, values in weights.items()]


def is_scale(*columns: pl.Series) -> bool:
    """Whether all columns hold numbers alone and some number is not whole: a scale rather than classes."""
    fraction = False
    for column in columns:
        text = column.drop_nulls()
        numbers = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        if not len(text) or numbers.null_count():
            return False
        fraction = fraction or bool((numbers != numbers.round()).any())
    return fraction
