"""Draw a listening test and write its folder."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import settings, storage
from sibboleth import study as studies
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.experiment import listening, material
from sibboleth.listeners import describing, words
from sibboleth.listeners import design as designing
from sibboleth.listeners import test as tests
from sibboleth.listeners.settings import LANGUAGES, ListeningTest
from sibboleth.listeners.store import Store
from sibboleth.listeners.test import ANSWERS, AUDIO, FILE, Item, Test
from sibboleth.recipes import check
from sibboleth.recipes.listen_serve import LOCK
from sibboleth.runs import RunDirectory, atomic


@dataclass(frozen=True)
class Designed:
    """A drawn test; it prints as a table."""

    folder: Path
    test: Test
    counts: pl.DataFrame
    """Items by part, domain and label: `part, values, label, items, speakers, seconds`."""
    minutes: tuple[float, float]
    """About how long the shortest and the longest form take."""
    notes: tuple[str, ...]
    """What should be known before people are asked."""

    def __rich__(self) -> RenderableType:
        """Show what was drawn, how long it takes, what is to be minded, and what comes next."""
        table = Table("part", "of", "label", "items", "speakers", "seconds", box=box.SIMPLE_HEAD)
        for part, values, label, items, speakers, seconds in self.counts.rows():
            table.add_row(Text(part), Text(values), Text(label), str(items), str(speakers), f"{seconds:.0f}")
        low, high = (f"{one:.0f}" for one in self.minutes)
        long = f"{low} minutes" if low == high else f"{low} to {high} minutes"
        head = f"{len(self.test.forms)} forms of about {long}, version {self.test.version}, in {self.folder}"
        notes = (Text.assemble(("warning  ", "bold yellow"), note) for note in self.notes)
        return Group(table, Text(head, style="bold"), *notes, Text(f"Now: sibboleth listen serve {self.folder}"))


def design(file: Path, *, output: Path | None = None, force: bool = False) -> Designed:
    """Draw a listening test from manifests: its items, their sounds, and the orders in which listeners get them.

    The same file and manifests give the same test to the byte, and the same command goes on after a stop.

    Args:
        file: The test's file (TOML).
        output: Folder for the test; `listening/NAME` where not given.
        force: Draw again where another test is, as long as nobody has answered it.

    Returns:
        What was drawn. Raises `InvalidInput` for a file or manifest that cannot be used, and where there is too little
        to draw from that no model of the test's study has learnt from.
    """
    asked = settings.read(file, ListeningTest, {"folder": file.parent})
    words.read(asked.language)
    folder = output or Path("listening") / asked.name
    _require_free(folder)
    heard, tested = _studied(asked)
    drawn = designing.draw(asked, listening.pools(asked, heard, tested or ()))
    if tested is not None:
        drawn.notes.extend(_untested(drawn.items, tested))
    with RunDirectory(folder).alone():
        (folder / AUDIO).mkdir(exist_ok=True)
        storage.sweep(folder / AUDIO)
        test, sounds = designing.write(folder, drawn)
        test = _portable(test, settings.read(file, ListeningTest))
        drawn.notes.extend(_stale(folder, test))
        _require_same(folder, test, force)
        if (named := test.settings.language) not in LANGUAGES:
            with atomic(folder / named) as temporary:
                temporary.write_bytes(Path(asked.language).read_bytes())
        _replace(folder, test)
        _clean(folder, test)
    notes = (*drawn.notes, *describing.notes(drawn, sounds))
    return Designed(folder, test, describing.counts(drawn), describing.minutes(test), notes)


def _studied(asked: ListeningTest) -> tuple[pl.DataFrame | None, set[str] | None]:
    """Return what models of the test's study have heard, and the utterances that they answer; None without one."""
    if asked.study is None:
        return None, None
    study = studies.read(asked.study)
    # A study may name the very test that is drawn here, and what that keeps out of training is not known yet.
    study = study.model_copy(update={"splits": study.splits.model_copy(update={"listening": None})})
    stuff = material.gather(study)
    fits = check.fits(stuff)
    rows = [row for fit in fits for one in fit.tests for row in one.rows.tolist()]
    return listening.heard(stuff, fits), set(stuff.table["utterance"].gather(sorted(set(rows))))


def _untested(items: Sequence[Item], tested: set[str]) -> Iterator[str]:
    """Say how many items no model of the study answers."""
    asked = {item.utterance for item in items if item.role == "item"}
    if outside := sorted(asked - tested):
        yield (
            f"{len(outside)} of {len(asked)} items are nothing that the study tests ({outside[0]}): no model of it "
            "stands beside people there. The corpora of both files have to have the same names"
        )


def _portable(test: Test, written: ListeningTest) -> Test:
    """Write settings as they stand in their file, so that the test is the same from whatever folder it is drawn."""
    language = written.language if written.language in LANGUAGES else Path(written.language).name
    test = test.model_copy(update={"settings": written.model_copy(update={"language": language})})
    return test.model_copy(update={"version": tests.version(test)})


def _require_free(folder: Path) -> None:
    if (folder / ANSWERS).exists() and _begun(folder):
        raise InvalidInput(
            f"{folder}: people have been asked there ({ANSWERS}), and what they answered belongs to that test; choose "
            f"another --output, or, where it was only you who tried it, remove {ANSWERS}"
        )
    if folder.is_dir() and any(folder.iterdir()) and not ((folder / AUDIO).is_dir() or (folder / FILE).is_file()):
        raise InvalidInput(f"{folder}: holds other files and no listening test; choose a new folder with --output")


def _begun(folder: Path) -> bool:
    """Tell whether anybody has begun the test there or has a link to it, or whether that cannot be told."""
    try:
        with contextlib.closing(Store(folder / ANSWERS, tests.read(folder).version, make=False)) as store:
            return bool(store.seen())
    except SibbolethError:
        return True


def _stale(folder: Path, test: Test) -> Iterator[str]:
    """Say which tables in the folder are of another test, which this one takes the place of."""
    try:
        same = tests.read(folder).version == test.version
    except SibbolethError:
        same = False
    for table in () if same else sorted(folder.glob("*/predictions.csv")):
        yield f"{table.parent} holds answers to the test that was here before; make them anew, or remove them"


def _replace(folder: Path, test: Test) -> None:
    """Write a test, and remove the answers of one that was served there and nobody began."""
    if (folder / ANSWERS).exists() and tests.read(folder).version != test.version:
        guard = storage.lock(folder / LOCK, wait=False)
        if guard is None:
            raise InvalidInput(f"{folder}: is being served; end that process first")
        with guard:
            for path in folder.glob(f"{ANSWERS}*"):  # SQLite's journal beside it too
                path.unlink()
            tests.write(folder, test)
    else:
        tests.write(folder, test)


def _require_same(folder: Path, test: Test, force: bool) -> None:
    """Refuse to put a test where another one is."""
    if force or not (folder / FILE).exists():
        return
    there = tests.read(folder)
    if there.version != test.version:
        _clean(folder, there)
        raise InvalidInput(
            f"{folder}: another test is there (version {there.version}; this is {test.version}); choose another "
            "--output, or draw again with --force"
        )


def _clean(folder: Path, test: Test) -> None:
    """Remove sounds that no test needs any more."""
    names = {item.audio for item in test.items} | {name for trial in test.tones for name in trial.audio}
    for path in (folder / AUDIO).glob("*.wav"):
        if path.stem not in names | {test.loudness}:
            path.unlink()
