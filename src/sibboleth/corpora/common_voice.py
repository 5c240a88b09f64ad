"""Common Voice: read sentences in many languages, with what speakers say of accent, age and sex.

Layout (of one language, as unpacked; in releases the folder is `cv-corpus-VERSION/LANGUAGE`)::

    clips/common_voice_nl_17691471.mp3      mp3, 32 or 48 kHz
    validated.tsv                           client_id, path, sentence, up_votes, down_votes, age, gender,
                                            accents (accent before version 8), variant, locale, segment, ...
    train.tsv, dev.tsv, test.tsv            rows of validated.tsv: no speaker and no sentence in two of them

Clips may have been re-encoded to wav or flac. What is in none of the three parts has no `part`. Accents and variants go
through the table of accents; `accents` and `variant` keep what was said.

Source: https://commonvoice.mozilla.org/datasets. Licence: CC0. Reference: Ardila et al.: Common Voice: a
massively-multilingual speech corpus. LREC 2020, https://arxiv.org/abs/1912.06670.
Layout read in: datasets/scripted-speech/README.md of https://github.com/common-voice/cv-dataset.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sibboleth import accents, corpus
from sibboleth.corpora import layouts, refusals
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus, sheets
from sibboleth.errors import InvalidInput, Problem

LAYOUT = "Common Voice's folder (of one language) has clips/ and validated.tsv, or train.tsv, dev.tsv and test.tsv"
PARTS = ("train", "dev", "test")
LISTS = tuple(f"{name}.tsv" for name in ("validated", *PARTS))
COLUMNS = ("client_id", "path", "sentence")
SEXES = {
    **dict.fromkeys(("male", "male_masculine"), "male"),
    **dict.fromkeys(("female", "female_feminine"), "female"),
    **dict.fromkeys(("other", "transgender", "non-binary", "intersex"), "other"),
}
"""As versions call them; `do_not_wish_to_say` is unknown."""
AGES = {"fourties": "forties"}
"""Decades that are spelt otherwise there."""

CARD = Card(
    title="read sentences in more than a hundred languages, with what speakers say of accent, age and sex",
    languages=(),
    targets=("text", "accent", "dialect", "sex", "age"),
    address="https://commonvoice.mozilla.org/datasets",
    licence="CC0",
    reference="Ardila et al.: Common Voice: a massively-multilingual speech corpus. LREC 2020, "
    "https://arxiv.org/abs/1912.06670",
    layout="https://github.com/common-voice/cv-dataset",
    labels={"sex": {**SEXES, "do_not_wish_to_say": None}},
    remarks=(
        "what a release holds differs by language and version, so there are no counts to compare with",
        "accents are what speakers say of themselves, and most say nothing",
        "its own parts have no speaker and no sentence in two of them, and leave many validated clips out",
    ),
)


def prepare(root: Path) -> Corpus:
    """Make the corpus from the folder of one language: every row of validated.tsv, or of the three parts.

    Columns: `sex`, `age` (a decade: `twenties`), `part` (train, dev, test), `up_votes`, `down_votes`, `accents`,
    `variant`. Raises `InvalidInput` when the folder is not of Common Voice, for rows without speaker, clip or sentence,
    for clips that are not there, and for clips in two parts.
    """
    folder = _folder(root)
    lists = {name: _read(path) for name in ("validated", *PARTS) if (path := _list(folder, name))}
    clips = layouts.by_stem(folder, layouts.recordings(layouts.find(folder, "clips") or folder))
    if not clips:
        raise refusals.no_recordings(folder, LAYOUT)
    part = _parts(lists)
    rows = lists.get("validated") or [row for name in PARTS for row in lists.get(name, [])]
    problems = [problem for row in rows for problem in _problems(row, clips)]
    if problems:
        raise InvalidInput(f"{root}: not as published, or not complete", problems)
    table = pl.DataFrame([_row(row, clips[row.stem], part.get(row.stem)) for row in rows], infer_schema_length=None)
    table = accents.derive(table, accents.taxonomy()).table
    known = [name for name in table.columns if table[name].null_count() < len(table)]
    return Corpus(f"common-voice-{_language(rows)}", corpus.complete(table.select(known).sort("utterance")))


@dataclass(frozen=True)
class _Row:
    """A row of a list, and where it stands."""

    path: Path
    line: int
    values: dict[str, str | None]

    @property
    def stem(self) -> str:
        return Path(self.values["path"] or "").name.removesuffix(".mp3")


def _read(path: Path) -> list[_Row]:
    sheet = sheets.read(path, path.read_bytes())
    if sheet.problems:
        raise InvalidInput(f"{path}: {sheet.unread} rows cannot be taken apart", sheet.problems)
    columns = {name.strip().lower(): column for name, column in sheet.columns.items()}
    if missing := [name for name in COLUMNS if name not in columns]:
        there = ", ".join(sheet.columns) or "none"
        raise InvalidInput(f"{path}: columns {', '.join(missing)} are missing; there are {there}. {LAYOUT}")
    table = pl.DataFrame([corpus.as_text(column).alias(name) for name, column in columns.items()])
    return [_Row(path, line, row) for line, row in zip(sheet.rows, table.iter_rows(named=True), strict=True)]


def _folder(root: Path) -> Path:
    """Return the folder of the one language that is there."""
    if not root.is_dir():
        raise InvalidInput(f"{root}: there is no such folder. {LAYOUT}")
    found = {file.parent for file in layouts.files(root) if file.name.lower() in LISTS}
    if root.absolute() in found:
        return root
    if len(found) != 1:
        told = f"; give one of the languages in it: {', '.join(sorted(one.name for one in found))}" if found else ""
        raise InvalidInput(f"{root}: {LAYOUT}{told}")
    return found.pop()


def _list(folder: Path, name: str) -> Path | None:
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == f"{name}.tsv"), None)


def _parts(lists: dict[str, list[_Row]]) -> dict[str, str]:
    found: dict[str, str] = {}
    problems = []
    for name in PARTS:
        for row in lists.get(name, []):
            if found.setdefault(row.stem, name) != name:
                message = f"{row.stem} is in {found[row.stem]}.tsv too; download the lists again"
                problems.append(Problem(str(row.path), message, row.line, "path"))
    if problems:
        raise InvalidInput("a clip must be in one part alone", problems)
    return found


def _problems(row: _Row, clips: dict[str, Path]) -> Iterator[Problem]:
    for name in COLUMNS:
        if row.values[name] is None:
            yield Problem(str(row.path), "is empty", row.line, name)
    if row.values["path"] is not None and row.stem not in clips:
        message = (
            f"no such clip in {row.path.parent / 'clips'}: {row.values['path']}; download it again, or take the row out"
        )
        yield Problem(str(row.path), message, row.line, "path")


def _row(row: _Row, clip: Path, part: str | None) -> dict[str, object]:
    values = row.values
    age, said = values.get("age"), values.get("accents") or values.get("accent")
    return {
        "utterance": row.stem,
        "audio": str(clip),
        "speaker": values["client_id"],
        "language": values.get("locale"),
        "text": values["sentence"],
        "sex": SEXES.get(values.get("gender") or ""),
        "age": AGES.get(age or "", age),
        "part": part,
        "up_votes": _count(values.get("up_votes")),
        "down_votes": _count(values.get("down_votes")),
        "accents": said,
        "variant": values.get("variant"),
    }


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _language(rows: list[_Row]) -> str:
    there = sorted({row.values.get("locale") or "" for row in rows} - {""})
    return "-".join(there) if there else "unknown"
