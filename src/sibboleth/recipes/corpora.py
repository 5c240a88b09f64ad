"""The corpora that are known: what their makers say of each, and what a folder lacks of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import corpora
from sibboleth.audio import UnreadableAudio, reading
from sibboleth.corpora.card import Card
from sibboleth.errors import InvalidInput
from sibboleth.progress import track
from sibboleth.recipes import printing

MOST_ROWS = 40
"""Longer tables are cut on the screen; the `Comparison` has them whole."""
MOST_FILES = 5
"""Files that are named of those with one fault."""
ALL = ("utterances", "speakers")
"""Published counts that are of no label."""


@dataclass(frozen=True)
class Known:
    """The corpora that there are; looks good on a terminal."""

    cards: dict[str, Card]

    def __rich__(self) -> RenderableType:
        """Show a line of each."""
        shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0))
        shown.add_column("name", no_wrap=True)
        for column in ("languages", "targets"):
            shown.add_column(column, overflow="fold", min_width=8)
        for column in ALL:
            shown.add_column(column, justify="right", no_wrap=True)
        shown.add_column("licence", overflow="fold", min_width=10)
        shown.add_column("layout", no_wrap=True)
        for name, card in self.cards.items():
            numbers = (_count(card.counts.get(number)) for number in ALL)
            told = (card.licence, _verified(card))
            shown.add_row(*map(Text, (name, _listed(card.languages), ", ".join(card.targets), *numbers, *told)))
        return Group(shown, Text("sibboleth corpus list NAME says all of one", style="dim"))

    def __str__(self) -> str:
        """Write the same as plain text."""
        return printing.plain(self)


@dataclass(frozen=True)
class Described:
    """All that is known of one corpus; looks good on a terminal."""

    name: str
    card: Card

    def __rich__(self) -> RenderableType:
        """Show the facts, what its labels become, published counts and remarks."""
        return Group(*_described(self.name, self.card))

    def __str__(self) -> str:
        """Write the same as plain text."""
        return printing.plain(self)


@dataclass(frozen=True)
class Comparison:
    """What a folder has of a corpus, beside what was published; looks good on a terminal."""

    name: str
    card: Card
    counts: pl.DataFrame
    """what (utterances, speakers, COLUMN.LABEL), published, here, difference."""
    unusable: pl.DataFrame
    """Recordings that are missing or have no audio: utterance, audio, reason."""
    speakers: pl.DataFrame
    """speaker, utterances; the fewest first."""
    soft_wrap: ClassVar[bool] = True
    """Paths are to be copied, so no line is broken."""

    @property
    def agrees(self) -> bool:
        """Whether all counts are those published, and every recording has audio."""
        return self.differing.is_empty() and self.unusable.is_empty()

    @property
    def differing(self) -> pl.DataFrame:
        """The counts that are not those published."""
        return self.counts.filter(pl.col("difference") != 0)

    @property
    def exit_code(self) -> int:
        """What the command ends with: 0 where all agrees, else 1."""
        return 0 if self.agrees else 1

    def __rich__(self) -> RenderableType:
        """Show what differs, and what cannot be used."""
        return Group(*_compared(self))

    def __str__(self) -> str:
        """Write the same as plain text."""
        return printing.plain(self)


def known(name: str | None = None) -> Known | Described:
    """List the corpora that can be prepared, or all that is known of one: address, licence, citation, labels, counts.

    Args:
        name: One of the corpora.
    """
    if name is not None:
        return Described(name, corpora.card(name))
    return Known({one: corpora.card(one) for one in sorted(corpora.MODULES)})


def check(name: str, root: Path) -> Comparison:
    """Compare a folder with what was published of a corpus: utterances, speakers, labels, and that all have audio.

    Args:
        name: One of `sibboleth corpus list`.
        root: Folder the corpus was unpacked in.

    Returns:
        What is missing or more; the command ends with 1 where anything is. Raises `InvalidInput` for a folder that
        cannot be prepared.
    """
    card = corpora.card(name)
    if card.made:
        raise InvalidInput(f"{name} is made here, so nothing was published; sibboleth corpus prepare makes what lacks")
    table = corpora.prepare(name, root).table
    speakers = table.group_by("speaker").agg(pl.len().alias("utterances")).sort("utterances", "speaker")
    return Comparison(name, card, _counts(table, card), _unusable(table), speakers)


def _counts(table: pl.DataFrame, card: Card) -> pl.DataFrame:
    """Count what was counted when the corpus was published, and labels that it did not have."""
    labels = [key.partition(".")[::2] for key in card.counts if key not in ALL]
    columns = [column for column in dict.fromkeys(column for column, _ in labels) if column in table.columns]
    more = {
        f"{column}.{label}": 0
        for column in columns
        for label in table[column].drop_nulls().cast(pl.String).unique().sort()
        if (column, label) not in labels
    }
    rows = [(what, published, _here(table, what)) for what, published in {**card.counts, **more}.items()]
    schema = {"what": pl.String, "published": pl.Int64, "here": pl.Int64}
    counted = pl.DataFrame(rows, schema=schema, orient="row")
    return counted.with_columns((pl.col("here") - pl.col("published")).alias("difference"))


def _here(table: pl.DataFrame, what: str) -> int:
    if what == "utterances":
        return len(table)
    if what == "speakers":
        return table["speaker"].drop_nulls().n_unique()
    column, _, label = what.partition(".")
    return int((table[column].cast(pl.String) == label).sum()) if column in table.columns else 0


def _unusable(table: pl.DataFrame) -> pl.DataFrame:
    """List recordings without audio, by what their files promise: nothing is decoded."""
    places = table.select("utterance", "audio", "start", "end").iter_rows()
    tracked = track(places, "Looking for audio", len(table), "utterances")
    rows = [(one, audio, fault) for one, audio, start, end in tracked if (fault := _fault(audio, start, end))]
    return pl.DataFrame(rows, schema=dict.fromkeys(("utterance", "audio", "reason"), pl.String), orient="row")


def _fault(audio: str, start: float | None, end: float | None) -> str | None:
    if not Path(audio).is_file():
        return "there is no such file; download it again"
    try:
        with reading.opened(audio) as file:
            reading.span(file, audio, start, end)
    except UnreadableAudio as error:
        return error.reason
    return None


def _described(name: str, card: Card) -> Iterator[RenderableType]:
    yield Text.assemble((name, "bold"), "  ", card.title)
    facts = {
        "languages": _listed(card.languages),
        "targets": ", ".join(card.targets),
        "address": card.address,
        "licence": card.licence,
        "to cite": card.reference,
        "layout": f"{_verified(card)}: {card.layout or 'no public source describes it'}",
    }
    yield from (Text.assemble((f"  {what:<10}", "dim"), told) for what, told in facts.items())
    for column, labels in card.labels.items():
        shown = printing.table(f"\nlabels of {column}", ("there", "here"), ())
        for label, ours in labels.items():
            shown.add_row(Text(label), Text("no label" if ours is None else ours))
        yield shown
    if card.counts:
        shown = printing.table("\npublished", ("what",), ("number",))
        for what, number in _alike(card.counts).items():
            shown.add_row(_said(what), _count(number))
        yield shown
    yield from (Text(f"\n{remark}", style="yellow") for remark in card.remarks)


def _alike(counts: Mapping[str, int]) -> dict[str, int]:
    """Put speakers into one line where all have equally many utterances."""
    each = {number for what, number in counts.items() if what.startswith("speaker.")}
    rest = {what: number for what, number in counts.items() if not what.startswith("speaker.")}
    return {**rest, "each speaker": each.pop()} if len(each) == 1 else dict(counts)


def _compared(one: Comparison) -> Iterator[RenderableType]:
    """Say whether all is there, then what is not."""
    total, people = int(one.speakers["utterances"].sum()), len(one.speakers.drop_nulls("speaker"))
    verdict, style = ("all of it is there", "bold green") if one.agrees else ("not as published", "bold red")
    if one.agrees and one.counts.is_empty():
        verdict = "nothing was published to compare with, and every recording has audio"
    yield Text.assemble((one.name, "bold"), f"  {total:,} utterances, {people:,} speakers: ", (verdict, style))
    if not one.card.verified:
        yield Text("its layout is from memory: no public source describes it", style="yellow")
    if len(one.differing):
        shown = printing.table("\nbeside what was published", ("what",), ("published", "here", "difference"))
        for what, published, here, difference in one.differing.head(MOST_ROWS).iter_rows():
            marked = Text(f"{difference:+,}", style="red" if difference < 0 else "yellow")
            shown.add_row(_said(what), _count(published), _count(here), marked)
        yield shown
        yield from _rest(len(one.differing), MOST_ROWS)
        yield from _fewest(one)
    if len(one.unusable):
        yield Text(f"\nrecordings without audio: {len(one.unusable):,}", style="bold red")
        for (reason,), files in one.unusable.group_by("reason", maintain_order=True):
            yield Text(f"{reason}: {len(files):,}", style="red")
            yield from (Text(f"  {audio}") for audio in files["audio"].head(MOST_FILES))
            yield from _rest(len(files), MOST_FILES)


def _fewest(one: Comparison) -> Iterator[RenderableType]:
    """Show speakers with the fewest utterances, where it is not published how many each has."""
    missing = one.counts.filter(what="utterances")["difference"].sum() < 0
    if not missing or one.counts["what"].str.starts_with("speaker.").any():
        return
    shown = printing.table("\nfewest utterances", ("speaker",), ("utterances",))
    for speaker, utterances in one.speakers.head(MOST_ROWS).iter_rows():
        shown.add_row("unknown" if speaker is None else Text(speaker), _count(utterances))
    yield shown
    yield from _rest(len(one.speakers), MOST_ROWS)


def _rest(rows: int, shown: int) -> Iterator[RenderableType]:
    if rows > shown:
        yield Text(f"  ... and {rows - shown:,} more", style="dim")


def _said(what: str) -> Text:
    column, _, label = what.partition(".")
    return Text(f"{column} {label}".strip())


def _verified(card: Card) -> str:
    return "made here" if card.made else "verified" if card.verified else "unverified"


def _listed(languages: tuple[str, ...]) -> str:
    return ", ".join(languages) or "many"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
