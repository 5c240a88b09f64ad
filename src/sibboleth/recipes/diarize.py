"""Say which label holds when in audio, with a trained model: files, folders, or a manifest."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import runs, segments
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.progress import track
from sibboleth.recipes import utterances
from sibboleth.segments import Segments

if TYPE_CHECKING:
    from sibboleth.models.diarization import Diarizer
    from sibboleth.models.encoding import Recording

SHOWN = 20
"""Rows that the terminal shows of what stands in a file."""
DRAWN = 100
"""Recordings that the page shows."""
KEPT = ".recordings"
"""Folder of what is known of each recording, so that a stopped command goes on."""


@dataclass(frozen=True)
class Diarized:
    """What the model says; looks good on a terminal."""

    segments: Segments
    excluded: pl.DataFrame
    """Utterance, audio, reason."""
    written: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    def __rich__(self) -> RenderableType:
        """Show a row per recording, what was left out, and the files."""
        return Group(*self._shown())

    def _shown(self) -> Iterator[RenderableType]:
        names, shown = self.segments.utterances, Table("utterance", "seconds", "segments")
        for name in names[:SHOWN]:
            told = ", ".join(f"{label} {start:.2f}-{end:.2f}" for start, end, label in self.segments.of(name)[:SHOWN])
            shown.add_row(Text(name), f"{self.segments.durations[name]:.2f}", Text(told or "none"))
        yield shown
        if len(names) > SHOWN:
            yield Text(f"... and {len(names) - SHOWN:,} more")
        for row in self.excluded.head(SHOWN).to_dicts():
            yield Text(f"left out: {row['utterance']}: {row['reason']}", style="yellow")
        if len(self.excluded) > SHOWN:
            yield Text(f"... and {len(self.excluded) - SHOWN:,} more were left out", style="yellow")
        for path in self.written:
            yield Text(f"written: {path}", style="dim")
        yield from (Text(note, style="yellow") for note in self.notes)


def diarize(model: Path, audio: tuple[Path, ...], *, output: Path, trust: bool = False) -> Diarized:
    """Say which label holds when; the same command goes on after a stop, inside a recording.

    Args:
        model: Folder that `sibboleth train` has written for a study of segments.
        audio: Sound files, folders that are searched for them, or one manifest (CSV, TSV, JSONL or Parquet).
        output: Folder for segments.json, segments.rttm, textgrids/ and timelines.html.
        trust: Run the Python function that the model names as its encoder, where it does.

    Returns:
        The segments, and what was left out with the reason. Above 30 s, what is said in overlapping windows is
        averaged; memory does not grow with the length of the audio. Raises `InvalidInput` where there is no audio, and
        `SibbolethError` for a folder that is no such model, or where no audio can be used.
    """
    from sibboleth.models import diarization

    several = (audio,) if isinstance(audio, Path) else tuple(audio)
    loaded = diarization.load(model, trust=trust)
    given = utterances.given(several)
    recordings = given.recordings()
    directory = runs.RunDirectory(output)
    with directory.alone():
        found = _all(loaded, recordings, _voices(given.table), output / KEPT)
        failed = {name: one for name, one in found.items() if isinstance(one, str)}
        answered, excluded = given.divided(failed, "diarized")
        names = answered["utterance"].to_list()
        rows = [(name, *segment, None) for name in names for segment in found[name]]
        made = Segments(segments.table.table(rows), {name: recordings[name].seconds for name in names})
        written, notes = _written(made, output)
        page = output / "timelines.html"
        runs.write_text(page, _page(loaded, made, recordings, output))
    return Diarized(made, excluded, (*written, page), notes)


def _written(made: Segments, output: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Write every file of segments; returns them, and why a format cannot hold these names."""
    written, notes = list(segments.write(made, output / "segments.json")), []
    for place, suffix in ((output / "segments.rttm", None), (output / "textgrids", ".TextGrid")):
        try:
            segments.write(made, place, suffix)
            written.append(place)
        except InvalidInput as error:
            notes.append(f"not written: {error}")
    return written, tuple(notes)


def _voices(table: pl.DataFrame) -> dict[str, str]:
    """Return who speaks in each utterance; where that is not known, it is nobody else."""
    return dict(table.select("utterance", pl.coalesce("speaker", "utterance").alias("voice")).rows())


def _all(
    model: "Diarizer", recordings: "Mapping[str, Recording]", voices: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Return the segments of every recording, or the reason why there are none; equal recordings once."""
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {}
    speech: dict[str, list[Recording]] = {}
    for name, one in recordings.items():
        speech.setdefault(voices[name], []).append(one)
    scales: dict[str, Any] = {}
    total = round(sum(one.seconds for one in {one.digest: one for one in recordings.values()}.values()))
    model.encoder.prepare()

    def work() -> Iterator[None]:
        passed = shown = 0.0
        for name, one in recordings.items():
            if one.digest in told:
                continue
            for seconds in _one(model, one, folder, told, speech[voices[name]], scales):
                passed += seconds
                while shown < int(passed):
                    shown += 1
                    yield

    for _ in track(work(), f"Diarizing with {model.name}", total, "s of audio"):
        pass
    return {name: told[one.digest] for name, one in recordings.items()}


def _one(
    model: "Diarizer",
    recording: "Recording",
    folder: Path,
    told: dict[str, Any],
    speech: "Sequence[Recording]",
    scales: dict[str, Any],
) -> Iterator[float]:
    """Find the segments of one recording, from what is known of it; yields the seconds that are done.

    `speech` is all that its speaker says, of which a model may want the scale; `scales` keeps these.
    """
    voice = " ".join(sorted(one.digest for one in speech)) if model.per_speaker else ""
    key = hashlib.sha256(f"{model.identity} {model.decoder!r} {recording.digest} {voice}".encode()).hexdigest()[:24]
    place, state = folder / f"{key}.json", folder / f"{key}.npz"
    try:
        told[recording.digest] = [tuple(one) for one in json.loads(place.read_text(encoding="utf-8"))]
        yield recording.seconds
        return
    except (OSError, ValueError):
        pass
    try:
        if model.per_speaker and voice not in scales:
            scales[voice] = model.scale(speech)
        passing = model.passing(recording, state, scales.get(voice))
        yield from passing
        found = model.decoded(passing.posteriors, recording.seconds)
    except Exception as error:  # whatever one recording does to a model must not lose the others
        text = str(error) if isinstance(error, SibbolethError) else f"{type(error).__name__}: {error}"
        told[recording.digest] = f"model {model.name!r} fails on it: {text}"
        return
    runs.write_text(place, json.dumps(found) + "\n")
    state.unlink(missing_ok=True)
    told[recording.digest] = found


def _page(model: "Diarizer", made: Segments, recordings: "Mapping[str, Recording]", output: Path) -> str:
    from sibboleth.report import examples, timelines

    names = [label for label in model.labels if label != model.background]
    several = []
    for name in made.utterances[:DRAWN]:
        one = recordings[name]
        row = {"audio": one.path, "start": one.start, "end": one.end}
        address, _ = examples.player(row, "link", output, 0)
        said = timelines.Row(model.name, tuple(made.of(name)))
        peaks = timelines.peaks(Path(one.path), one.start, one.end)
        several.append(timelines.Timeline(name, one.seconds, address, peaks, (said,)))
    return timelines.page(f"{model.name}: which label when", several, names)
