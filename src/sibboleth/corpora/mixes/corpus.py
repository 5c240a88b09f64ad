"""A corpus of mixes: what is asked for, its folder and its manifest. The same manifest and seed give the same bytes.

Its folder::

    audio/mix-000001.flac     16 kHz, 16 bit, mono
    mixes.json                what was asked for, and a digest of the speech it is made of

A mix is of one speaker, in one session and language, and keeps what its manifest says of them, so that folds of
speakers keep the speakers of test out of what trains. `sources` holds the utterances it was made of with their
digests, by which the audit knows them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import soundfile
from pydantic import Field, field_validator

from sibboleth import runs, segments
from sibboleth.corpora import assemble
from sibboleth.corpora.mixes import drawing, joining, pieces
from sibboleth.corpora.mixes.drawing import Drawn, Group, Mix
from sibboleth.corpora.mixes.patterns import PATTERNS, Pattern
from sibboleth.corpora.mixes.pieces import RATE, Piece
from sibboleth.corpus import COLUMNS, Corpus
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.progress import track
from sibboleth.segments import Segments
from sibboleth.settings import Settings

FORMAT = 1
"""Raised when the same speech no longer makes the same mixes."""
FILE = "mixes.json"
SAME = ("speaker", "session", "language")
"""What all utterances of a mix have in common."""

_USES = {"utterance": pl.String, "label": pl.String, "mixes": pl.Int64}


class Mixing(Settings):
    """What is to be put together."""

    label: str = "emotion"
    """The column that says what an utterance is."""
    background: str = "neutral"
    """Its value that surrounds the others."""
    labels: tuple[str, ...] = ()
    """The others; all that there are where none is given."""
    patterns: tuple[str, ...] = Field(PATTERNS, min_length=1)
    count: int | None = Field(None, ge=1)
    """Mixes; as many as there are utterances of `labels` where it is not given."""
    pause: float = Field(0.0, ge=0, le=5)
    """Seconds of quiet between utterances."""
    seed: int = 0

    @field_validator("patterns")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if len({Pattern.parse(name) for name in patterns}) < len(patterns):
            raise ValueError("patterns must differ from one another")
        return patterns


@dataclass(frozen=True)
class Mixed:
    """The mixes that were made, and what could not be done."""

    corpus: Corpus
    """Beside the usual columns: the label (emotions in their order, `angry-sad`), `pattern`, `sources`, `duration`,
    `segments`, and every column that has one value per speaker, session and language."""
    uses: pl.DataFrame
    """In how many mixes each utterance is, also those in none: utterance, label, mixes."""
    left_out: pl.DataFrame
    """Utterances that could not be used: utterance, reason."""
    notes: tuple[str, ...]
    """Who could not be in which pattern."""


def prepare(root: Path, source: Corpus, mixing: Mixing) -> Mixed:
    """Make the mixes of a corpus in a folder, or what is missing of them.

    Raises `InvalidInput` where the corpus lacks what is asked for, `SibbolethError` where the folder holds other mixes.
    """
    table, emotions = _asked(source, mixing)
    usable, left_out = pieces.measure(table, mixing.label)
    patterns = [Pattern.parse(name) for name in mixing.patterns]
    count = mixing.count or sum(piece.label in emotions for piece in usable)
    drawn = drawing.draw(usable, patterns, emotions, mixing.background, count, mixing.seed)
    if not drawn.mixes:
        raise InvalidInput(
            f"{source.source}: no speaker has utterances for any of {', '.join(mixing.patterns)} in one session and "
            f"language; {len(usable)} utterances could be used, {len(left_out)} could not{_first(left_out)}"
        )
    with runs.RunDirectory(root).alone():
        _claim(root, mixing, usable)
        _make(root, mixing, drawn.mixes)
    used = Counter(piece.utterance for mix in drawn.mixes for piece in mix.pieces)
    return Mixed(
        _manifest(root, table, mixing, drawn.mixes),
        pl.DataFrame([(piece.utterance, piece.label, used[piece.utterance]) for piece in usable], _USES, orient="row"),
        left_out,
        tuple(_notes(drawn, usable, (mixing.background, *emotions))),
    )


def _asked(source: Corpus, mixing: Mixing) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the utterances with a label that is asked for, and the labels beside the background."""
    if mixing.label not in source.table.columns:
        there = ", ".join(name for name in source.table.columns if name not in COLUMNS) or "none"
        raise InvalidInput(f"{source.source}: no column {mixing.label!r} says what is put together; there are {there}")
    table = source.table.with_columns(pl.col(mixing.label).cast(pl.String))
    known = table[mixing.label].drop_nulls().unique().sort().to_list()
    emotions = mixing.labels or tuple(name for name in known if name != mixing.background)
    if unknown := [name for name in (mixing.background, *emotions) if name not in known]:
        told = f"no utterance is {' or '.join(unknown)} in {mixing.label!r}; there are {', '.join(known) or 'none'}"
        raise InvalidInput(f"{source.source}: {told}")
    if len({mixing.background, *emotions}) <= len(emotions):
        raise InvalidInput("labels must differ from one another and from the background")
    return table.filter(pl.col(mixing.label).is_in([mixing.background, *emotions])), tuple(sorted(emotions))


def _first(left_out: pl.DataFrame) -> str:
    return f" ({left_out['utterance'][0]}: {left_out['reason'][0]})" if len(left_out) else ""


def _claim(root: Path, mixing: Mixing, usable: Sequence[Piece]) -> None:
    """Write `mixes.json`, or make sure that the one there is the same."""
    heard = sorted((piece.utterance, piece.label, *piece.group, piece.digest) for piece in usable)
    speech = hashlib.sha256(json.dumps(heard).encode()).hexdigest()
    making = {"format": FORMAT, "mixing": mixing.model_dump(mode="json"), "speech": speech}
    file = root / FILE
    if file.exists():
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SibbolethError(f"{file}: cannot be read ({error}); choose an empty folder") from None
        if there != making:
            raise SibbolethError(f"{root}: holds mixes of other speech or other settings; choose an empty folder")
    elif (root / "audio").exists() or (root / "manifest.csv").exists():
        raise SibbolethError(f"{root}: holds audio or a manifest but no {FILE}; choose an empty folder")
    else:
        runs.write_text(file, json.dumps(making, indent=2) + "\n")


def _make(root: Path, mixing: Mixing, mixes: Sequence[Mix]) -> None:
    """Write the sounds that are not there yet."""
    missing = [mix for mix in mixes if not _audio(root, mix).exists()]
    for mix in track(missing, "mixing", len(missing), "mixes"):
        sounds = [pieces.samples(piece) for piece in mix.pieces]
        with runs.atomic(_audio(root, mix)) as temporary:
            soundfile.write(str(temporary), joining.join(mix, sounds, mixing.pause, mixing.seed), RATE, "PCM_16")


def _audio(root: Path, mix: Mix) -> Path:
    return root.absolute() / "audio" / f"{mix.name}.flac"


def _manifest(root: Path, table: pl.DataFrame, mixing: Mixing, mixes: Sequence[Mix]) -> Corpus:
    """Say of each mix what it is, and what its manifest says of its speaker."""
    own = {"utterance", "audio", "start", "end", "text", mixing.label, "pattern", "duration", "segments", "sources"}
    others = [name for name in table.columns if name not in own]
    values = table.group_by(SAME).agg(pl.col(others).exclude(SAME).n_unique()).select(pl.exclude(SAME).max())
    kept = [*SAME, *(name for name in values.columns if values[name][0] == 1)]
    said = {row["utterance"]: row for row in table.select("utterance", "text", *kept).iter_rows(named=True)}
    rows = []
    for mix in mixes:
        first, *_ = facts = [said[piece.utterance] for piece in mix.pieces]
        texts = [fact["text"] for fact in facts]
        sources = [{"utterance": piece.utterance, "digest": piece.digest} for piece in mix.pieces]
        rows.append(
            {name: first[name] for name in kept}
            | {
                "utterance": mix.name,
                "audio": str(_audio(root, mix)),
                "text": None if None in texts else " ".join(texts),
                mixing.label: "-".join(mix.emotions) or mixing.background,
                "pattern": mix.pattern,
                "sources": json.dumps(sources, ensure_ascii=False),
            }
        )
    made = assemble(root.absolute().name, rows)
    return replace(made, table=made.table.join(_segments(mixing, mixes), on="utterance", maintain_order="left"))


def _segments(mixing: Mixing, mixes: Sequence[Mix]) -> pl.DataFrame:
    """Return `utterance, duration, segments` of the mixes."""
    told = {mix.name: joining.segments(mix, mixing.background, mixing.pause) for mix in mixes}
    rows = [(name, *segment, None) for name, several in told.items() for segment in several]
    durations = {name: several[-1][1] for name, several in told.items()}
    return segments.in_manifest(Segments(segments.table.table(rows), durations))


def _notes(drawn: Drawn, usable: Sequence[Piece], labels: Sequence[str]) -> list[str]:
    """Name those who are in some patterns only, and why."""
    has: dict[Group, Counter[str]] = {}
    for piece in usable:
        has.setdefault(piece.group, Counter())[piece.label] += 1
    told: dict[tuple[str, str], list[str]] = {}
    for group in sorted(has):
        patterns = [name for name, groups in drawn.able.items() if group in groups]
        if len(patterns) == len(drawn.able):
            continue
        lacking = [f"no {label}" for label in labels if not has[group][label]]
        why = ", ".join(lacking) or "too few utterances of a label"
        told.setdefault((why, ", ".join(patterns)), []).append(" ".join(filter(None, group)))
    return [
        f"{', '.join(names)}: only in {patterns} ({why})" if patterns else f"{', '.join(names)}: in no mix ({why})"
        for (why, patterns), names in told.items()
    ]
