"""lhotse manifests: cuts, or recordings and supervisions, as JSON lines, plain or gzipped.

Every supervision is an utterance, and so is a cut or recording without any. Its `custom` fields, and those of its cut,
are columns; its alignments are the column `segments`, a tier for each. A file in which all is said is read without
lhotse itself. Only recordings that lie in files can be read: commands are refused and never run, and what lhotse would
change on reading (speed, volume) has to be saved first.
Layout: https://lhotse.readthedocs.io/en/latest/corpus.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from gzip import GzipFile
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import soundfile

from sibboleth import lists, segments
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.interchange.gathering import Asked, Gathered, after, finite, seconds, stems, tabulated
from sibboleth.interchange.objects import objects, peek
from sibboleth.interchange.placing import placed
from sibboleth.interchange.writing import durations, whole_file
from sibboleth.segments.gathering import number

SUFFIXES = (".jsonl", ".jsonl.gz")
CUTS = ("MonoCut", "MultiCut", "Cut")
MIXED = ("MixedCut", "PaddingCut")
HARMLESS = ("Resample",)
"""What lhotse may do to a recording without another sound coming of it."""
OBJECTS = ("custom", "alignment")
LISTS = ("supervisions", "sources", "channels", "transforms")
"""Fields of cuts, recordings and supervisions that are an object or a list, where they are there."""
PLAIN = (str, int, float, bool, list)
TOLERANCE = 0.001
"""Seconds by which a cut may miss its recording's end and still be all of it."""
SEGMENT = "segment"
"""Alignment of segments that have no tier."""
WRITTEN = ("utterance", "audio", "start", "end", "speaker", "language", "text", "sex", segments.COLUMN)


@dataclass
class _Found:
    """Rows, each with the line it comes from."""

    rows: list[dict[str, Any]]
    places: list[tuple[Path, int]]
    problems: list[Problem]
    dropped: set[str]
    known: set[tuple[Any, ...]] = field(default_factory=set)

    def take(self, row: dict[str, Any] | str, place: tuple[Path, int]) -> None:
        """Keep a row, or what is wrong with it; one that overlaps with others comes with each of their cuts."""
        if isinstance(row, str):
            self.problems.append(Problem(str(place[0]), row, place[1]))
            return
        which = tuple(row.get(name) for name in ("utterance", "audio", "start", "end"))
        if which not in self.known:
            self.known.add(which)
            self.rows.append(row)
            self.places.append(place)


def recognises(place: Path) -> bool:
    """Tell a manifest by its first object, and a folder by such files."""
    return bool(_kinds(place))


def read(place: str, asked: Asked) -> Gathered:
    """Read manifests; raises `InvalidInput` with every line that cannot be used."""
    path = Path(place)
    kinds = _kinds(path)
    if not kinds:
        raise InvalidInput(f"{path}: no manifests of lhotse, which end in {' or '.join(SUFFIXES)}")
    found = _Found([], [], [], set())
    if cuts := [file for file, kind in kinds.items() if kind == "cut"]:
        _read_cuts(cuts, found)
    else:
        _read_pairs(kinds, found)
    if found.problems:
        raise InvalidInput(f"{path}: {len(found.problems):,} lines cannot be used", found.problems)
    table = tabulated(found.rows)
    names = [line for _, line in found.places]
    table = table.with_columns(placed(path, table["audio"], names, asked.audio, [file for file, _ in found.places]))
    left = sorted(found.dropped)
    notes = (f"fields that are no text, number or list: left out ({', '.join(left)})",) if left else ()
    name = path.name.partition(".")[0] if path.is_file() else path.absolute().name
    return Gathered(name, table, notes)


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write a cut per utterance; columns that lhotse does not know are `custom` fields, so that nothing is lost."""
    if not place.name.lower().endswith(SUFFIXES):
        raise InvalidInput(f"{place}: cuts of lhotse end in {' or '.join(SUFFIXES)}")
    table = corpus.table
    named = stems(table["audio"])
    recordings = {audio: _recording(audio, name) for audio, name in named.items()}
    alignments = _alignments(corpus)
    lines = []
    for row, duration in zip(table.iter_rows(named=True), durations(corpus), strict=True):
        cut = _cut(row, duration, recordings[row["audio"]], alignments.get(row["utterance"]))
        lines.append(f"{json.dumps(cut, ensure_ascii=False, default=str)}\n")
    data = "".join(lines).encode()
    whole_file(place, _zipped(data) if place.suffix.lower() == ".gz" else data)
    return []


def _kinds(place: Path) -> dict[Path, str]:
    """Tell what kind of manifest each file is; those that are none are left out."""
    if place.is_file():
        files = [place]
    else:
        there = sorted(place.iterdir()) if place.is_dir() else []
        files = [file for file in there if file.name.lower().endswith(SUFFIXES) and not file.name.startswith(".")]
    kinds = ((file, _kind(peek(file) or {})) for file in files)
    return {file: kind for file, kind in kinds if kind is not None}


def _kind(one: Mapping[str, Any]) -> str | None:
    if one.get("type") in (*CUTS, *MIXED):
        return "cut"
    if isinstance(one.get("sources"), list):
        return "recording"
    return "supervision" if {"recording_id", "start", "duration"} <= one.keys() else None


def _read_cuts(files: list[Path], found: _Found) -> None:
    parts = _parts(files)
    for file in files:
        for line, cut in objects(file):
            for row in _of_cut(cut, found.dropped):
                found.take(row if isinstance(row, str) else {**row, **parts.get(file, {})}, (file, line))


def _read_pairs(kinds: Mapping[Path, str], found: _Found) -> None:
    """Read recordings and supervisions; of one file alone, also the one that its name belongs to."""
    kinds = dict(kinds)
    for file, kind in list(kinds.items()) if len(kinds) == 1 else ():
        other = "supervision" if kind == "recording" else "recording"
        pair = file.with_name(file.name.replace(f"{kind}s", f"{other}s"))
        if pair != file and pair.is_file():
            kinds[pair] = other
    recordings: dict[str, tuple[dict[str, Any], tuple[Path, int]]] = {}
    for file in (one for one, kind in kinds.items() if kind == "recording"):
        recordings |= {str(one.get("id")): (one, (file, line)) for line, one in objects(file)}
    spoken = [file for file, kind in kinds.items() if kind == "supervision"]
    parts = _parts(spoken)
    heard = set()
    for file in spoken:
        for line, one in objects(file):
            of = str(one.get("recording_id"))
            heard.add(of)
            recording = recordings[of][0] if of in recordings else None
            row: dict[str, Any] | str = f"its recording {of!r} is in no manifest of recordings beside it"
            if recording is not None:
                row = _misshapen({**one, "recording": recording}) or _row(one, recording, 0.0, found.dropped)
            found.take(row if isinstance(row, str) else {**row, **parts.get(file, {})}, (file, line))
    for name, (recording, place) in recordings.items():
        if name not in heard:
            whole = {"id": name, "start": 0.0, "duration": recording.get("duration")}
            found.take(_misshapen(recording) or _row(whole, recording, 0.0, found.dropped), place)


def _parts(files: list[Path]) -> dict[Path, dict[str, str]]:
    """Tell the part of each file by its name, where all names say one."""
    said = {
        file: next((w for w in re.findall(r"[a-z]+", file.name.lower()) if w in lists.PARTS), None) for file in files
    }
    return {file: {"part": lists.PARTS[word]} for file, word in said.items() if word} if all(said.values()) else {}


def _of_cut(cut: dict[str, Any], dropped: set[str]) -> Iterator[dict[str, Any] | str]:
    """Yield a row for each supervision of a cut, or one for the cut; in its place what is wrong with it."""
    if cut.get("type") in MIXED:
        yield f"is a {cut['type']}, a sound that is in no file; save it first: cuts.save_audios(FOLDER)"
        return
    if wrong := _misshapen(cut):
        yield wrong
        return
    recording, start = cut.get("recording"), finite(cut.get("start"))
    if not isinstance(recording, dict) or start is None:
        yield "is a cut without a recording and a start" + (" (of features alone)" if cut.get("features") else "")
        return
    channel = cut.get("channel", 0)
    if _channels(recording) > 1 and not isinstance(channel, list):
        yield f"is of channel {channel} alone, and what is heard is the mean of all channels; save it to a file"
        return
    custom = cut.get("custom") or {}
    spoken = cut.get("supervisions") or [{"id": cut.get("id"), "start": 0.0, "duration": cut.get("duration")}]
    for one in spoken:
        yield _row({**one, "custom": {**custom, **(one.get("custom") or {})}}, recording, start, dropped)


def _misshapen(cut: Mapping[str, Any]) -> str | None:
    """Say which field of a cut, supervision or recording, or of those in it, is not what lhotse writes there."""
    pending: list[Any] = [cut]
    while pending:
        one = pending.pop()
        if not isinstance(one, dict):
            return "supervisions and sources must be objects"
        for kind, called, names in ((dict, "an object", OBJECTS), (list, "a list", LISTS)):
            if wrong := [name for name in names if not isinstance(one.get(name) or kind(), kind)]:
                return f"{wrong[0]} must be {called}"
        if not all(map(_is_aligned, (one.get("alignment") or {}).values())):
            return "alignment must have lists of [text, start, duration], in seconds"
        pending += [*(one.get("supervisions") or ()), *(one.get("sources") or ())]
        pending += [one["recording"]] if isinstance(one.get("recording"), dict) else []
    return None


def _is_aligned(items: Any) -> bool:
    return isinstance(items, list) and all(
        isinstance(item, list) and len(item) >= 3 and None not in map(finite, item[1:3]) for item in items
    )


def _row(one: dict[str, Any], recording: dict[str, Any], offset: float, dropped: set[str]) -> dict[str, Any] | str:
    """Make the row of a supervision that begins `offset` seconds later in its recording; else say what is wrong."""
    begin, duration = number(one.get("start")), finite(one.get("duration"))
    if begin is None or duration is None or duration == 0:
        return "has no start and duration, in seconds"
    if one.get("id") is None:
        return "has no id"
    source = _source(recording)
    if isinstance(source, str):
        return source
    start = max(after(offset, begin), 0.0)
    end = after(start, duration)
    total = finite(recording.get("duration"))
    whole = start < TOLERANCE and (total is None or end > total - TOLERANCE)
    custom = {key: value for key, value in (one.get("custom") or {}).items() if value is not None}
    dropped.update(key for key, value in custom.items() if not isinstance(value, PLAIN))
    row: dict[str, Any] = {key: value for key, value in custom.items() if isinstance(value, PLAIN)}
    row |= {"utterance": str(one["id"]), "audio": source[0]} | ({} if whole else {"start": start, "end": end})
    known = {"speaker": one.get("speaker"), "language": one.get("language"), "text": one.get("text")}
    row |= {**known, "sex": one.get("gender")} if one.get("gender") else known
    if isinstance(one.get("alignment"), dict):
        row[segments.COLUMN] = _segments(one["alignment"], start)
    return row


def _source(recording: dict[str, Any]) -> tuple[str] | str:
    """Return the path of a recording's file; else say why it has none."""
    sources = recording.get("sources") or []
    if len(sources) != 1:
        return f"its recording is spread over {len(sources)} files; save it as one: cut.save_audio(PATH)"
    kind, said = sources[0].get("type"), sources[0].get("source")
    if kind == "command":
        return (
            f"its recording is the output of a command, which is not run ({said}); save it first: cut.save_audio(PATH)"
        )
    if kind != "file" or not isinstance(said, str):
        return f"its recording is no file but of type {kind!r}; save it first: cut.save_audio(PATH)"
    names = [str(one.get("name")) for one in recording.get("transforms") or () if isinstance(one, dict)]
    if changed := [name for name in names if name not in HARMLESS]:
        return f"its recording is changed on reading ({', '.join(changed)}); save what is heard: cut.save_audio(PATH)"
    return (said,)


def _channels(recording: dict[str, Any]) -> int:
    return sum(len(source.get("channels") or ()) for source in recording.get("sources") or ())


def _segments(alignment: dict[str, Any], begin: float) -> str:
    """Write alignments, whose times are those of the recording, as segments, whose times are of the utterance."""
    listed = [
        {
            **{"start": max(seconds(begin, item[1]), 0.0), "end": max(seconds(begin, after(item[1], item[2])), 0.0)},
            "label": str(item[0]),
            **({} if tier == SEGMENT else {"tier": tier}),
        }
        for tier, items in alignment.items()
        for item in items
    ]
    return json.dumps(listed, ensure_ascii=False)


def _recording(audio: str, name: str) -> dict[str, Any]:
    try:
        info = soundfile.info(audio)
    except (soundfile.SoundFileError, OSError) as error:
        raise InvalidInput(
            f"{audio}: cannot be opened as audio ({error}); lhotse asks for its rate and length"
        ) from None
    channels = list(range(info.channels))
    return {
        "id": name,
        "sources": [{"type": "file", "channels": channels, "source": audio}],
        "sampling_rate": info.samplerate,
        "num_samples": info.frames,
        "duration": info.frames / info.samplerate,
        "channel_ids": channels,
    }


def _cut(
    row: dict[str, Any], duration: float, recording: dict[str, Any], alignment: dict[str, Any] | None
) -> dict[str, Any]:
    channels = recording["channel_ids"]
    channel = {"channel": 0 if len(channels) == 1 else channels}
    known = {"text": row["text"], "language": row["language"], "speaker": row["speaker"], "gender": row.get("sex")}
    custom = {key: value for key, value in row.items() if value is not None and key not in WRITTEN}
    supervision = {
        **{"id": row["utterance"], "recording_id": recording["id"], "start": 0.0, "duration": duration, **channel},
        **{key: value for key, value in known.items() if value is not None},
        **({"custom": custom} if custom else {}),
        **({} if alignment is None else {"alignment": alignment}),
    }
    return {
        **{"id": row["utterance"], "start": row["start"] or 0.0, "duration": duration, **channel},
        **{"supervisions": [supervision], "recording": recording},
        "type": "MonoCut" if len(channels) == 1 else "MultiCut",
    }


def _alignments(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Write the column of segments as alignments, whose times are those of the recording."""
    if segments.COLUMN not in corpus.table.columns:
        return {}
    folder = Path() if corpus.source is None else corpus.source.parent
    found = segments.of_manifest(corpus.table, folder, file=str(corpus.source or corpus.name))
    made: dict[str, dict[str, Any]] = {utterance: {SEGMENT: []} for utterance in found.utterances}
    begins = dict(corpus.table.select("utterance", pl.col("start").fill_null(0.0)).iter_rows())
    for utterance, start, end, label, tier in found.table.iter_rows():
        items = made[utterance].setdefault(tier or SEGMENT, [])
        items.append([label, after(begins[utterance], start), seconds(start, end), None])
    return {
        utterance: {tier: kept for tier, kept in tiers.items() if kept or len(tiers) == 1}
        for utterance, tiers in made.items()
    }


def _zipped(data: bytes) -> bytes:
    """Compress without the time of day, so that the same cuts make the same file."""
    packed = BytesIO()
    with GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as stream:
        stream.write(data)
    return packed.getvalue()
