"""The utterances most often wrong: who said them, what was answered, and how to listen to them."""

import base64
import io
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import polars as pl
import soundfile

from sibboleth import predictions
from sibboleth.report import wording
from sibboleth.report.material import Material

Players = Literal["link", "embed", "none"]
EMBED_LIMIT = 8 * 2**20
"""Bytes of audio that one page may carry; further clips are linked."""


@dataclass(frozen=True)
class Answers:
    """What one encoder answered under one regime."""

    encoder: str
    cells: tuple[tuple[tuple[str, bool], ...], ...]
    """For each regime what it answered, and whether that is right."""


@dataclass(frozen=True)
class Example:
    """One utterance."""

    utterance: str
    facts: str
    text: str
    reference: str
    error: str
    answers: tuple[Answers, ...]
    audio: str
    """Address for the player, empty where there is none."""
    embedded: bool = False


def examples(material: Material, most: int, players: Players) -> list[Example]:
    """Pick the utterances that most answers got wrong, over all leading runs but those of controls.

    For numbers it is the largest mean error. Ties go to the utterance with more answers, then by name.
    """
    judged = _judged(material)
    if judged.is_empty() or most <= 0:
        return []
    models = judged.filter(~pl.col("control"))
    counted = models if models.height else judged
    ranked = (
        counted.group_by("utterance")
        .agg(pl.col("error").mean().alias("mean"), pl.len().alias("answers"))
        .filter(pl.col("mean") > 0)
        .sort("mean", "answers", "utterance", descending=[True, True, False])
        .head(most)
    )
    rows = {
        r["utterance"]: r for r in material.utterances.filter(pl.col("utterance").is_in(ranked["utterance"])).to_dicts()
    }
    spent, found = 0, []
    for utterance, error, answers in ranked.iter_rows():
        row = rows.get(utterance, {"utterance": utterance})
        address, size = _player(row, players, material.run.path, EMBED_LIMIT - spent)
        spent += size
        mine = judged.filter(pl.col("utterance") == utterance)
        found.append(
            Example(
                utterance=utterance,
                facts=_facts(row, material),
                text=str(row.get("text") or ""),
                reference=_reference(mine),
                error=_error(material, error, answers),
                answers=tuple(_answers(material, mine)),
                audio=address,
                embedded=size > 0,
            )
        )
    return found


def _judged(material: Material) -> pl.DataFrame:
    """Answers of leading raters beside their reference: `encoder, regime, utterance, answer, reference, error`."""
    file = material.run / "predictions.parquet"
    if not file.exists() or material.kind not in ("classification", "regression"):
        return pl.DataFrame()
    leads = material.scores.filter(pl.col("leads")).select("run", "rater", "encoder", "regime", "control").unique()
    target = str(material.record["target"]["name"])
    lazy = pl.scan_parquet(file).filter(pl.col("target") == target)
    given = lazy.join(leads.lazy().select("run", "rater"), on=["run", "rater"], how="semi").collect()
    truth = lazy.filter((pl.col("source") == "reference") & (pl.col("rater") == "corpus")).collect()
    if given.is_empty() or truth.is_empty():
        return pl.DataFrame()
    value = "label" if material.labels else "value"
    reference = predictions.decide(truth).select("utterance", pl.col(value).alias("reference")).unique("utterance")
    answer = predictions.decide(given).select("run", "rater", "utterance", pl.col(value).alias("answer"))
    both = answer.join(leads, on=["run", "rater"]).join(reference, on="utterance")
    wrong = pl.col("answer") != pl.col("reference")
    error = wrong.cast(pl.Float64) if material.labels else (pl.col("answer") - pl.col("reference")).abs()
    return (
        both.with_columns(error.alias("error"), pl.col("control").fill_null(False))
        .drop_nulls("error")
        .sort("run", "utterance")
    )


def _error(material: Material, error: float, answers: int) -> str:
    if material.labels:
        return f"wrong in {round(error * answers)} of {wording.count(answers, 'answer')}"
    return f"mean absolute error {wording.number(error)} over {wording.count(answers, 'answer')}"


def _reference(mine: pl.DataFrame) -> str:
    value = mine["reference"][0]
    return value if isinstance(value, str) else wording.number(value)


def _answers(material: Material, mine: pl.DataFrame) -> list[Answers]:
    found = []
    for encoder in material.encoders:
        theirs = mine.filter(pl.col("encoder") == encoder.name)
        if theirs.height:
            cells = [_given(theirs.filter(pl.col("regime") == r), bool(material.labels)) for r in material.regimes]
            found.append(Answers(encoder.short, tuple(cells)))
    return found


def _given(given: pl.DataFrame, labelled: bool) -> tuple[tuple[str, bool], ...]:
    if given.is_empty():
        return ((wording.MISSING, False),)
    if not labelled:
        values = [(wording.number(v), False) for v in given["answer"].to_list()]
        return tuple(values[:6] + ([("…", False)] if len(values) > 6 else []))
    votes = Counter(given["answer"].sort().to_list()).most_common()
    right = given["reference"][0]
    return tuple((label if n == 1 else f"{label} \N{MULTIPLICATION SIGN}{n}", label == right) for label, n in votes)


def _facts(row: dict[str, Any], material: Material) -> str:
    shown = []
    if row.get("speaker"):
        shown.append(f"speaker {row['speaker']}")
    for column in dict.fromkeys((material.domain, "language", "dialect", "accent")):
        if row.get(column) is not None:
            shown.append(f"{column} {row[column]}")
    if row.get("seconds"):
        shown.append(f"{row['seconds']:.1f} s")
    return ", ".join(shown)


def _player(row: dict[str, Any], players: Players, page: Path, left: int) -> tuple[str, int]:
    """Address of the audio and how many bytes of it the page carries."""
    if players == "none" or not row.get("audio"):
        return "", 0
    file = Path(str(row["audio"]))
    if not file.exists():
        return "", 0
    if players == "embed":
        clip = _clip(file, row.get("start"), row.get("end"))
        if 0 < len(clip) <= left:
            return f"data:audio/flac;base64,{base64.b64encode(clip).decode('ascii')}", len(clip)
    return _address(file, page) + _fragment(row.get("start"), row.get("end")), 0


def _address(file: Path, page: Path) -> str:
    """Relative where the audio lies in or beside the run directory and can travel with it, else a file address."""
    file, folder = file.resolve(), page.resolve()
    if file.is_relative_to(folder.parent):
        return quote(Path(os.path.relpath(file, folder)).as_posix())
    return file.as_uri()


def _fragment(start: float | None, end: float | None) -> str:
    """Part of the file that the player plays."""
    if start is None and end is None:
        return ""
    return f"#t={start or 0:g}" + ("" if end is None else f",{end:g}")


def _clip(file: Path, start: float | None, end: float | None) -> bytes:
    """Cut start to end and pack it as FLAC; empty where the file cannot be read."""
    try:
        with soundfile.SoundFile(file) as audio:
            rate = audio.samplerate
            first = min(round((start or 0.0) * rate), audio.frames)
            audio.seek(first)
            samples = audio.read(-1 if end is None else max(round(end * rate) - first, 0), dtype="int16")
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate, format="FLAC")
        return buffer.getvalue()
    except (OSError, RuntimeError):
        return b""
