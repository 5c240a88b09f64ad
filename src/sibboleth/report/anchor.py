"""The page over a reproduction of the anchor study: claims, conditions beside published numbers, all reports."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import runs
from sibboleth.errors import SibbolethError
from sibboleth.report import people, segmentation, wording
from sibboleth.report.page import WIDEST_TEX
from sibboleth.report.results import Results, load
from sibboleth.report.tables import Part, Table, table
from sibboleth.report.templates import environment
from sibboleth.runs import RunDirectory

PAGE = "overview.html"
DONE, FOUND = range(1, 13), range(13, 15)
"""Claims about what the study did, and about what it found."""
GOOD = ("as there", "shown")
ARROW = "\N{NO-BREAK SPACE}\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}"
EXPLAINED = {
    "ML": "trained, selected and tested on one language, by the encoder of that language",
    "ZS": "trained and selected on one language, tested on another, by the encoder of the first; not in the study",
    "CL": "as ZS, but selected with labels of the tested language, as the study did",
    "TL": "trained, selected and tested on one language, by the encoder of another",
    "TLen": "TL in English",
    "2SFT": "trained on one language and then on the one that is tested, by the encoder of the first",
}
"""Conditions in the study's words, and what they are."""
FROZEN = "frozen, chosen layer"
"""What the page calls the heads on frozen layers."""


@dataclass(frozen=True)
class Reported:
    """One study of the reproduction, as the page shows it."""

    name: str
    title: str
    results: Results
    told: tuple[str, ...]
    tables: tuple[Table, ...]


def write(directory: RunDirectory) -> Path:
    """Write overview.html and tables/ of a reproduction; raises `SibbolethError` where it is not complete."""
    record = directory.read()
    if record.get("kind") != "reproduction":
        raise SibbolethError(f"{directory.path}: is not the folder of `sibboleth reproduce`")
    parts = [_part(directory, name) for name in record["studies"]]
    claims = directory.table("claims")
    tables = {one.name: one for one in (_conditions(directory), _folds(directory), _items(directory))}
    for one in (*tables.values(), *(each for part in parts for each in part.tables)):
        if one.rows:
            one.write(directory / "tables", tex=len(one.rows) <= WIDEST_TEX)
    corpora = [one for part in parts for one in part.results.record["corpora"]]
    html = (
        environment()
        .get_template("anchor.html.j2")
        .render(
            title="Humans vs. self-supervised models, reproduced",
            record=record,
            claims=claims.to_dicts(),
            good=GOOD,
            lead=_lead(claims),
            parts=parts,
            tables=tables,
            synthetic=list(dict.fromkeys(one["name"] for one in corpora if one.get("synthetic"))),
            confidence=f"{parts[0].results.confidence:.0%}",
            simulated=any(_simulated(directory, part.name) for part in parts),
            encoders={role: kept["name"] for role, kept in record["settings"]["encoders"].items()},
            settings=json.dumps(record["settings"], indent=2, ensure_ascii=False),
            folder=directory.path,
            widest_tex=WIDEST_TEX,
        )
    )
    runs.write_text(directory / PAGE, html)
    return directory / PAGE


def _lead(claims: pl.DataFrame) -> list[str]:
    """Say in sentences how many claims hold."""
    done = claims.filter(pl.col("number").is_in(DONE))["verdict"].to_list()
    same, left = done.count("as there"), done.count("left out")
    lines = [
        f"Of the {len(done)} claims about what the study did, {same} hold here as they stand"
        + (f", {left} {'is' if left == 1 else 'are'} left out" if left else "")
        + (f", {len(done) - same - left} differ, in size or numbers" if same + left < len(done) else "")
        + "."
    ]
    for row in claims.filter(pl.col("number").is_in(FOUND)).to_dicts():
        lines.append(f"{row['claim']}: {row['verdict']}. {wording.capital(row['gave'])}.")
    return lines


def _part(directory: RunDirectory, name: str) -> Reported:
    """Read one study's run, and make what of it stands on the page."""
    run = RunDirectory(directory / name)
    results = load(run)
    made = [make(results) for make in MADE[name]]
    tables = tuple(replace(one, name=f"{name}-{one.name}", source=f"{name}/{one.source}") for one in made if one.rows)
    return Reported(name, str(results.record["question"] or name), results, tuple(people.lead(results)), tables)


_WHO, _SCORES, _DIFFERENCES, _AGREEMENT, _BEYOND, _EFFECTS = people.TABLES
MADE = {
    "emotion": (_WHO, _SCORES),
    "segments": (_SCORES, segmentation.parts),
    "dialect": (_EFFECTS, _SCORES),
}
"""Tables of each study's report that the page repeats."""


def _simulated(directory: RunDirectory, name: str) -> bool:
    path = directory / name / "listeners.parquet"
    return path.exists() and bool((pl.read_parquet(path, columns=["source"])["source"] == "simulated").any())


def _conditions(directory: RunDirectory) -> Table:
    found = directory.table("conditions")
    rows: list[tuple[str, ...]] = []
    parts: list[Part] = []
    for (name,), some in found.group_by("condition", maintain_order=True):
        parts.append(Part(f"{name}: {EXPLAINED[str(name)]}", len(rows), len(rows) + len(some)))
        rows += [_condition(row) for row in some.iter_rows(named=True)]
    return table(
        "conditions",
        "Accuracy in the study's logs and UAR here",
        "conditions.parquet; published: the logs of github.com/zhan7721/Crosslingual_SER",
        ("Tested", "Encoder of", "Method", "Published, mean and folds", "Here", "Published, heard", "Here, heard"),
        rows,
        numbers=found,
        shown=len(rows),
        parts=parts,
    )


def _condition(row: dict[str, Any]) -> tuple[str, ...]:
    pair = [row["domain"]] if row["source"] == row["domain"] else [row["source"], row["domain"]]
    published = wording.number(row["published"])
    if row["published"] is not None:
        published += f" ({wording.number(row['lowest_fold'])} to {wording.number(row['highest_fold'])})"
    return (
        ARROW.join(pair),
        row["language"],
        row["method"] if row["tuned"] else FROZEN,
        published,
        wording.estimate(row["estimate"], row["low"], row["high"]),
        wording.number(row["clips_published"]),
        wording.estimate(row["clips_estimate"], row["clips_low"], row["clips_high"]),
    )


def _folds(directory: RunDirectory) -> Table:
    found = directory.table("folds")
    rows = []
    for (corpus, part), some in found.group_by("corpus", "part", maintain_order=True):
        of_each = wording.spread([*some["least"], *some["most"]])
        told = (wording.spread(some[name].to_list()) for name in ("utterances", "speakers"))
        rows.append((str(corpus), str(part), str(len(some)), *told, of_each))
    return table(
        "folds",
        "Who trains, selects and tests within a language, in each fold",
        "folds.parquet",
        ("Corpus", "Part", "Folds", "Utterances", "Speakers", "Of each emotion"),
        rows,
        numeric=(2, 3, 4, 5),
        numbers=found,
    )


def _items(directory: RunDirectory) -> Table:
    found = directory.table("items")
    rows = [
        (row["part"], row["of"], row["label"], str(row["items"]), str(row["speakers"]), f"{row['seconds']:.0f}")
        for row in found.iter_rows(named=True)
    ]
    return table(
        "items",
        "What people are asked about",
        "items.parquet, of listening/test.json",
        ("Part", "Of", "Label", "Items", "Speakers", "Seconds"),
        rows,
        numeric=(3, 4, 5),
        numbers=found,
        shown=len(rows),
    )
