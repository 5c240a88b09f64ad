"""The utterances most often wrong: who said them, what was answered, and how to listen to them."""

import base64
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import polars as pl
import soundfile

from sibboleth import scores
from sibboleth.metrics import transcription
from sibboleth.metrics.edits import word_edits
from sibboleth.report import wording
from sibboleth.report.results import Results
from sibboleth.scores.recognition import alignment
from sibboleth.targets import Target

Players = Literal["link", "embed", "none"]
WIDTH = 88
"""Characters of a line of an alignment."""
EMBED_LIMIT = 8 * 2**20
"""Bytes of audio that one page may carry; further clips are linked."""


@dataclass(frozen=True)
class Answers:
    """What one system answered under one regime."""

    system: str
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
    alignments: tuple[tuple[str, str], ...] = ()
    """Of transcripts: system and regime, and the words of an answer beside those of the reference."""
    embedded: bool = False


def examples(results: Results, most: int, players: Players) -> list[Example]:
    """Pick the utterances that `scores.worst` puts first, over all leading runs but those of controls."""
    if results.kind == "segmentation":  # these have timelines
        return []
    given, truth = answered(results)
    if given.is_empty() or truth.is_empty() or most <= 0:
        return []
    target = Target(name=results.target, kind=results.kind, labels=tuple(results.labels))
    models = given.filter(~pl.col("control"))
    ranked = scores.worst(models if models.height else given, truth, target).filter(pl.col("wrong") > 0).head(most)
    names = ranked["utterance"]
    chosen = given.filter(pl.col("utterance").is_in(names.implode()))
    runs = given.select("run", "system", "regime").unique()
    judged = scores.judge(chosen, truth, target).join(runs, on="run", how="left", maintain_order="left")
    rows = {r["utterance"]: r for r in results.utterances.filter(pl.col("utterance").is_in(names.implode())).to_dicts()}
    spent, found = 0, []
    for worst in ranked.to_dicts():
        utterance = worst["utterance"]
        row = rows.get(utterance, {"utterance": utterance})
        address, size = player(row, players, results.run.path, EMBED_LIMIT - spent)
        spent += size
        found.append(
            Example(
                utterance=utterance,
                facts=facts(row, results),
                text=str(row.get("text") or ""),
                reference=_written(worst["reference"], results),
                error=_error(results, worst),
                answers=tuple(_answers(results, judged.filter(pl.col("utterance") == utterance))),
                audio=address,
                alignments=tuple(_alignments(results, judged.filter(pl.col("utterance") == utterance))),
                embedded=size > 0,
            )
        )
    return found


def answered(results: Results) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions of leading raters beside `system, regime, control`, without few-shot and budgets, and the truth."""
    file = results.run / "predictions.parquet"
    if not file.exists():
        return pl.DataFrame(), pl.DataFrame()
    leads = (
        results.scores.filter(pl.col("leads") & pl.col("shots").is_null() & pl.col("seconds").is_null())
        .select("run", "rater", "system", "regime", pl.col("control").fill_null(False))
        .unique()
    )
    lazy = pl.scan_parquet(file).filter(pl.col("target") == results.target)
    given = lazy.join(leads.lazy(), on=["run", "rater"]).collect()
    return given, lazy.filter((pl.col("source") == "reference") & (pl.col("rater") == "corpus")).collect()


def _error(results: Results, worst: dict[str, Any]) -> str:
    answers = wording.count(worst["answers"], "answer")
    if results.kind == "classification":
        return f"wrong in {worst['wrong']} of {answers}"
    what = {"regression": "mean absolute error"}.get(results.kind, "errors per word:")
    return f"{what} {wording.number(worst['error'])} over {answers}"


def _written(value: str, results: Results) -> str:
    return wording.number(float(value)) if results.kind == "regression" else value


def _answers(results: Results, mine: pl.DataFrame) -> list[Answers]:
    found = []
    for system in results.systems:
        theirs = mine.filter(pl.col("system") == system.name)
        if theirs.height:
            cells = [_given(theirs.filter(pl.col("regime") == r), results) for r in results.regimes]
            found.append(Answers(system.short, tuple(cells)))
    return found


def _given(given: pl.DataFrame, results: Results) -> tuple[tuple[str, bool], ...]:
    if given.is_empty():
        return ((wording.MISSING, False),)
    if results.kind == "regression":
        values = [(_written(v, results), False) for v in given["answer"].to_list()]
        return tuple(values[:6] + ([("…", False)] if len(values) > 6 else []))
    votes = Counter(given.select("answer", "wrong").sort("answer").rows()).most_common()
    return tuple(
        (answer if n == 1 else f"{answer} \N{MULTIPLICATION SIGN}{n}", not wrong) for (answer, wrong), n in votes
    )


def _alignments(results: Results, mine: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Align one answer of each system and regime that has errors; nothing of other targets."""
    if results.kind != "transcription":
        return
    first = mine.filter("wrong").sort("run", "trial").unique("run", keep="first", maintain_order=True)
    edits = word_edits(transcription.Answers(first["reference"].to_list(), first["answer"].to_list()))
    for run, system, regime, steps in zip(first["run"], first["system"], first["regime"], edits, strict=True):
        place = str(run).rpartition("/")[2]
        yield f"{results.short(system)}, {regime} {place}", alignment(steps, WIDTH)


def facts(row: dict[str, Any], results: Results) -> str:
    """Say who speaks, where, how long."""
    shown = []
    if row.get("speaker"):
        shown.append(f"speaker {row['speaker']}")
    for column in dict.fromkeys((results.domain, "language", "dialect", "accent")):
        if row.get(column) is not None:
            shown.append(f"{column} {row[column]}")
    if row.get("seconds"):
        shown.append(f"{row['seconds']:.1f} s")
    return ", ".join(shown)


def player(row: dict[str, Any], players: Players, page: Path, left: int) -> tuple[str, int]:
    """Return the address of the audio and how many bytes of it the page carries, `left` at most."""
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
