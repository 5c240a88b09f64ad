"""EmoBox: a folder per corpus, with `NAME.jsonl`, `label_map.json` and `fold_N/NAME_train_fold_N.jsonl`.

A line has `key, dataset, wav, emo` (and `type, sample_rate, num_frame, task, length, channel`). `wav` starts from the
folder in which EmoBox lies. `emotion` is what `label_map.json` makes of `emo`. Speakers stand nowhere in the
lines, but in `data.seg.wrd.stm`, where that lies beside them; its languages are not right and are not read.
Layout: https://github.com/emo-box/EmoBox. Reference: Ma et al.: EmoBox. Interspeech 2024.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import lists
from sibboleth.corpus import Corpus
from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput, Problem
from sibboleth.interchange.gathering import Asked, Gathered, tabulated
from sibboleth.interchange.objects import objects, peek
from sibboleth.interchange.placing import placed
from sibboleth.interchange.writing import beside, durations, whole_folder
from sibboleth.segments.gathering import decoded

KEYS = {"key", "wav", "emo"}
NAMES = {"key": "utterance", "wav": "audio", "start_time": "start", "end_time": "end"}
LABELS = "label_map.json"
SPEAKERS = "data.seg.wrd.stm"
UNKNOWN = ("", "none", "null", "nan", "unknown", "/")
PARTS = {"train": "train", "dev": "valid", "test": "test"}
FOLD = "fold"
RAW = "raw"
PLACED = ("part", "emo", "dataset")
SHOWN = 3
_SPOKEN = re.compile(r"<id=([^>]*?),lang=[^>]*?,spk=([^>]*?),emotion=")


def recognises(place: Path) -> bool:
    """Tell a corpus's folder, or its list, by the keys of a first line."""
    files = [place] if place.is_file() else sorted([*place.glob("*.jsonl"), *place.glob("*/*.jsonl")])[:1]
    return any((peek(file) or {}).keys() >= KEYS for file in files)


def read(place: str, asked: Asked) -> Gathered:
    """Read a corpus and its folds; raises `InvalidInput` with every line that cannot be used."""
    path = Path(place)
    folder = path if path.is_dir() else path.parent
    rows: dict[str, dict[str, Any]] = {}
    sources: list[tuple[Path, int]] = []
    problems = []
    for file in [path] if path.is_file() else sorted(path.rglob("*.jsonl")):
        for number, one in objects(file):
            problems += [Problem(str(file), message, number) for message in _wrong(one)]
            if not problems and one["key"] not in rows:
                rows[one["key"]] = one
                sources.append((file, number))
    if problems:
        raise InvalidInput(f"{path}: {len(problems):,} lines cannot be used", problems)
    _require_one_corpus(path, rows)
    table = _table(folder, rows)
    found = placed(folder, table["audio"], [line for _, line in sources], asked.audio, [file for file, _ in sources])
    table = table.with_columns(found)
    folds = lists.read(folder) if path.is_dir() and any(folder.glob(f"{FOLD}*/*.jsonl")) else None
    if folds is not None and folds["fold"].n_unique() == 1:
        table = table.join(folds.select("utterance", "part"), on="utterance", how="left", maintain_order="left")
    return Gathered(folder.absolute().name, table, folds=folds)


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write a corpus's folder, with a fold where the manifest has a column `part`, and say what it does not hold.

    Columns that EmoBox does not know are keys of their own. Raises `InvalidInput` where there are no emotions, or a
    part that is neither train, dev nor test.
    """
    table = corpus.table
    label = next((name for name in ("emo", "emotion") if name in table.columns), None)
    if label is None:
        raise InvalidInput(f"{place}: EmoBox is about emotions, and the manifest has no column 'emotion'")
    audio = beside(table["audio"], place.absolute().parent.parent)
    lines = {
        row["utterance"]: _line(place.name, row, path, duration, label)
        for row, path, duration in zip(table.iter_rows(named=True), audio, durations(corpus), strict=True)
        if row[label] is not None
    }
    parts = _parts(place, table)
    with whole_folder(place) as folder:
        _save(folder / f"{place.name}.jsonl", lines.values())
        known = table.select(label, meant=pl.col("emotion" if "emotion" in table.columns else label))
        labels = dict(known.filter(pl.col(label).is_not_null()).unique().sort(label).iter_rows())
        (folder / LABELS).write_text(f"{json.dumps(labels, ensure_ascii=False, indent=4)}\n", encoding="utf-8")
        for part, utterances in parts.items():
            inside = folder / f"{FOLD}_1"
            inside.mkdir(exist_ok=True)
            _save(
                inside / f"{place.name}_{part}_{inside.name}.jsonl", [lines[one] for one in utterances if one in lines]
            )
    unlabelled = len(table) - len(lines)
    return [f"{unlabelled:,} utterances without an emotion: left out"] if unlabelled else []


def _wrong(one: dict[str, Any]) -> Iterator[str]:
    if missing := sorted(key for key in KEYS if not isinstance(one.get(key), str)):
        yield f"has no {', '.join(missing)}"
    if one.get("type") not in (None, RAW):
        yield f"is of type {one['type']!r}; only recordings ({RAW!r}) are read"


def _require_one_corpus(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    names = sorted({str(one["dataset"]) for one in rows.values() if one.get("dataset")})
    if len(names) > 1:
        told = f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        raise InvalidInput(f"{path}: has {len(names)} corpora ({told}); read one at a time, such as {path / names[0]}")


def _table(folder: Path, rows: dict[str, dict[str, Any]]) -> pl.DataFrame:
    """Put lines under each other, with the emotion that is meant and the speaker, as far as that is known."""
    meant, speakers = _labels(folder / LABELS), _speakers(folder / SPEAKERS)
    made = []
    for key, one in rows.items():
        row = {NAMES.get(name, name): value for name, value in one.items()}
        row.setdefault("emotion", meant.get(one["emo"], one["emo"]))
        row.setdefault("speaker", speakers.get(key))
        made.append(row)
    return tabulated(made)


def _labels(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        found = parsed(decoded(path))
    except ValueError as error:
        raise InvalidInput(f"{path}: is no JSON ({error})") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidInput(f"{path}: must be an object of labels: what a line has, and what it means")
    return found


def _speakers(path: Path) -> dict[str, str]:
    """Read who speaks from the list beside the lines, where there is one."""
    if not path.is_file():
        return {}
    found = (_SPOKEN.search(line) for line in decoded(path).split("\n"))
    return {one[1]: one[2] for one in found if one is not None and one[2].strip().lower() not in UNKNOWN}


def _parts(place: Path, table: pl.DataFrame) -> dict[str, list[str]]:
    if "part" not in table.columns:
        return {}
    parts: dict[str, list[str]] = {}
    for utterance, part in table.select("utterance", "part").iter_rows():
        if part is not None:
            known = lists.PARTS.get(str(part).strip().lower())
            if known is None:
                raise InvalidInput(
                    f"{place}: {part!r} is the part of {utterance}; one of {', '.join(PARTS)} is expected"
                )
            parts.setdefault(PARTS[known], []).append(utterance)
    return parts


def _line(name: str, row: dict[str, Any], audio: str, duration: float, label: str) -> dict[str, Any]:
    theirs = {ours: key for key, ours in NAMES.items()}
    known = {"key": row["utterance"], "dataset": name, "wav": audio, "type": RAW, "task": "category"}
    rest = {theirs.get(key, key): value for key, value in row.items() if value is not None and key not in PLACED}
    return {**known, "length": duration, "emo": row[label], **{key: rest[key] for key in rest if key not in known}}


def _save(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    text = "".join(f"{json.dumps(line, ensure_ascii=False, default=str)}\n" for line in lines)
    path.write_text(text, encoding="utf-8")
