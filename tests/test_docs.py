"""What the how-tos show is run: commands print what stands under them, files are valid, functions do what is said.

A fenced block has the name of its file behind the language (`csv file=mine.csv`), and is written. A block of the
language `console` has commands behind `$`, whose output must hold the lines below, in order; `...` stands for anything.
`with=NAME` says which of `MISTAKES` is in mine.csv meanwhile.
"""

import contextlib
import importlib.util
import io
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import cli, corpora, corpus, progress, study, texts
from sibboleth.foreign import ratings
from sibboleth.segments import files

DOCS = Path(__file__).parents[1] / "docs"
PEOPLE = ("anna", "bert", "cora", "dirk", "emma", "finn")
LABELS = ("angry", "sad")
RATE = 16_000
SECONDS = 0.6
BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STUDY = 'name = "mine"\n\n[[corpora]]\nname = "mine"\nmanifest = "mine.csv"\n\n[splits]\nfolds = 3\n'


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and what is said behind its language."""

    language: str
    text: str
    file: str | None
    mistake: str | None
    told: str
    """What is said of it beside: `run`, `slow`, or nothing."""
    section: str


def blocks(page: str) -> Iterator[Block]:
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        said = dict(word.split("=", 1) for word in found[2].split() if "=" in word)
        section = re.findall(r"^##+ (.*)$", text[: found.start()], re.MULTILINE)[-1]
        yield Block(found[1], found[3], said.get("file"), said.get("with"), found[2].strip(), section)


def write(block: Block) -> Path:
    """Write the file of a block, and return where it is."""
    path = Path(block.file or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    return path


def commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a block, each with what is shown under it."""
    return re.findall(r"^\$ ([^\n]+)\n((?:[^$\n][^\n]*\n)*)", block.text, re.MULTILINE)


def recordings(folder: Path) -> pl.DataFrame:
    """Make 24 recordings of six people, twice as angry and sad, and return their manifest."""
    rows = []
    for speaker in PEOPLE:
        for label in LABELS:
            for take in (1, 2):
                name = f"{speaker}_{label}_{take}"
                (folder / "recordings" / label).mkdir(parents=True, exist_ok=True)
                audio = f"recordings/{label}/{name}.wav"
                noise = np.random.default_rng(len(rows)).standard_normal(round(RATE * SECONDS))
                soundfile.write(folder / audio, 0.1 * noise, RATE)
                rows.append({"utterance": name, "audio": audio, "speaker": speaker, "emotion": label})
    return pl.DataFrame(rows)


def halves(table: pl.DataFrame, column: str, change: pl.Expr) -> pl.DataFrame:
    """Change a column in every second row."""
    return table.with_columns(pl.when(pl.int_range(pl.len()) % 2 == 0).then(change).otherwise(column).alias(column))


def otherwise(table: pl.DataFrame, name: str, label: str = "sad") -> pl.DataFrame:
    """Name recordings that were made otherwise, where the label is this one."""
    place = pl.concat_str(pl.lit(f"{name}/"), "utterance", pl.lit(".wav"))
    return table.with_columns(pl.when(pl.col("emotion") == label).then(place).otherwise("audio").alias("audio"))


def north(table: pl.DataFrame) -> pl.DataFrame:
    place = pl.when(pl.col("speaker") < "d").then(pl.lit("north")).otherwise(pl.lit("south"))
    return table.with_columns(place.alias("region"))


def domains(table: pl.DataFrame) -> pl.DataFrame:
    """Take each recording in halves, those of the north of half the rate."""
    low = pl.concat_str(pl.lit("low/"), "utterance", pl.lit(".wav"))
    moved = north(table).with_columns(pl.when(region="north").then(low).otherwise("audio").alias("audio"))
    spans = [(0.0, SECONDS / 2), (SECONDS / 2, SECONDS)]
    return pl.concat([moved.with_columns(start=pl.lit(start), end=pl.lit(end)) for start, end in spans]).drop(
        "utterance"
    )


SPANS = (pl.lit("100").alias("start"), pl.lit("500").alias("end"))
MISTAKES: dict[str, Callable[[pl.DataFrame], pl.DataFrame | bytes]] = {
    "good": lambda t: t,
    "lists": lambda t: t,
    "speaker-is-file": lambda t: t.with_columns(speaker="utterance"),
    "speaker-twice": lambda t: halves(t, "speaker", pl.col("speaker").str.to_titlecase()),
    "no-speaker": lambda t: t.with_columns(pl.when(pl.int_range(pl.len()) > 0).then("speaker").alias("speaker")),
    "lone-label": lambda t: t.filter((pl.col("emotion") == "angry") | (pl.col("speaker") == "anna")),
    "tied": lambda t: t.filter((pl.col("emotion") == "angry") == (pl.col("speaker") < "d")),
    "microphone": lambda t: t.with_columns(microphone=pl.concat_str(pl.lit("of "), "emotion")),
    "stereo": lambda t: otherwise(t, "stereo"),
    "upsampled": lambda t: otherwise(t, "upsampled"),
    "quiet": lambda t: otherwise(t, "quiet"),
    "domains": domains,
    "copy": lambda t: pl.concat([t, t.head(1).with_columns(utterance=pl.lit("copy"), speaker=pl.lit("finn"))]),
    "spreadsheet": lambda t: (
        f"\ufeff{t.with_columns(start=pl.lit(' 0,1'), end=pl.lit('0,4')).write_csv(separator=';')};;".encode()
    ),
    "latin-1": lambda t: t.with_columns(text=pl.lit("Grüße")).write_csv().encode("latin-1"),
    "utf-16": lambda t: t.write_csv().encode("utf-16"),
    "decimal-commas": lambda t: t.with_columns(start=pl.lit("0,1")).write_csv(quote_style="never").encode(),
    "windows": lambda t: t.with_columns(
        audio=pl.lit("C:\\Users\\anna\\") + pl.col("audio").str.replace_all("/", "\\", literal=True)
    ),
    "same-ids": lambda t: t.with_columns(utterance="speaker"),
    "milliseconds": lambda t: t.with_columns(*SPANS),
    "spelled-twice": lambda t: halves(t, "emotion", pl.col("emotion").str.to_titlecase()),
    "no-label": lambda t: t.with_columns(pl.when(pl.col("speaker") != "anna").then("emotion").alias("emotion")),
    "other-labels": lambda t: north(t).with_columns(
        pl.when((pl.col("region") == "south") & (pl.col("emotion") == "sad"))
        .then(pl.lit("calm"))
        .otherwise("emotion")
        .alias("emotion")
    ),
    "three-people": lambda t: t.filter(pl.col("speaker") < "c"),
}
"""Manifests with a mistake each, by what pages call them."""


def changed(folder: Path, table: pl.DataFrame) -> None:
    """Make the recordings that are otherwise: stereo, of half the band, quiet, of half the rate."""
    for name in ("stereo", "upsampled", "quiet", "low"):
        (folder / name).mkdir()
    for utterance, audio in table.select("utterance", "audio").iter_rows():
        sound, _ = soundfile.read(folder / audio)
        spectrum = np.fft.rfft(sound)
        spectrum[len(spectrum) // 2 :] = 0
        half = np.fft.irfft(spectrum, len(sound))
        for name, other, rate in (
            ("stereo", np.stack([sound, sound], axis=1), RATE),
            ("upsampled", half, RATE),
            ("quiet", sound / 20, RATE),
            ("low", half[::2], RATE // 2),
        ):
            soundfile.write(folder / name / f"{utterance}.wav", other, rate)


def said(command: str) -> str:
    """Run a command and return all that it prints, blanks single."""
    verb, *words = shlex.split(command)
    assert verb == "sibboleth"
    heard, before = io.StringIO(), progress.console.file
    progress.console.file = heard
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard), contextlib.suppress(SystemExit):
            cli.main(words)
    finally:
        progress.console.file = before
    return " ".join(heard.getvalue().split())


def holds(text: str, shown: str) -> str | None:
    """Return the first piece of what is shown that does not follow in a text; None where all do."""
    at = 0
    for line in shown.splitlines():
        for piece in line.split("..."):
            wanted = " ".join(piece.split())
            if (found := text.find(wanted, at)) < 0:
                return wanted
            at = found + len(wanted)
    return None


def test_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = recordings(tmp_path)
    changed(tmp_path, table)
    for name, more in (("domains", 'domain = "region"\n'), ("random", "")):
        scheme = 'scheme = "random-folds"\n' if name == "random" else ""
        Path(f"{name}.toml").write_text(more + STUDY + scheme)
    parts = [("train", "dev", "test")[k % 3] for k in range(len(table))]
    table.select("utterance", part=pl.Series(parts)).write_csv("lists.csv")
    wrong = []
    for block in blocks("own-data.md"):
        if block.file:
            used(write(block))
        elif block.language == "console":
            made = MISTAKES[block.mistake or "good"](table)
            Path("mine.csv").write_bytes(made if isinstance(made, bytes) else made.write_csv().encode())
            for command, shown in commands(block):
                text = said(command)
                if (missing := holds(text, shown)) is not None:
                    wrong.append(f"{block.section}: {command}\n  not there: {missing}\n  but: {text[:3000]}")
    assert not wrong, "\n\n".join(wrong)


def used(path: Path) -> None:
    """Read a manifest or study, or run a program."""
    if path.suffix == ".py":
        runpy.run_path(str(path))
    elif path.suffix == ".toml":
        study.read(path)
    elif "rater" not in path.read_text():
        corpus.read(path)


REGISTRIES: dict[str, Callable[[pytest.MonkeyPatch, ModuleType], None]] = {
    "corpora.mine": lambda m, module: m.setitem(corpora.MODULES, "mine", module.__name__),
    "texts.frisian": lambda m, module: m.setitem(texts.RULES, "frisian", module.frisian),
    "foreign.clicker": lambda m, module: m.setitem(ratings.READERS, "clicker", module.read),
    "segments.steps": lambda m, module: m.setitem(files._READERS, ".steps", module.read),
}
"""The line that each module of a page adds to its registry."""
SLOW = ("models/adapters",)
"""Modules that import torch, which is tried by itself."""


def put(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import a module of a page under the name that it would have, and register it."""
    name = str(Path(block.file or "").with_suffix("").relative_to("src")).replace("/", ".")
    spec = importlib.util.spec_from_file_location(name, str(block.file))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    package, _, last = name.rpartition(".")
    monkeypatch.setattr(importlib.import_module(package), last, module, raising=False)
    spec.loader.exec_module(module)
    REGISTRIES.get(name.removeprefix("sibboleth."), lambda *_: None)(monkeypatch, module)


def test_plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recordings(tmp_path).write_csv("mine.csv")
    ran = 0
    for block in blocks("plug-ins.md"):
        if block.file and not block.file.startswith(tuple(f"src/sibboleth/{one}" for one in SLOW)):
            write(block)
            if block.file.startswith("src/") and block.language == "python":
                put(block, monkeypatch)
        elif block.told == "run":
            exec(compile(block.text, block.section, "exec"), {})
            ran += 1
        elif block.language == "console":
            for command, shown in commands(block):
                text = said(command)
                assert (missing := holds(text, shown)) is None, f"{block.section}: {missing}\nnot in: {text}"
    assert ran > 8
    study.read(Path("methods.toml")), study.read(Path("study.toml"))
    studied = study.read(Path("src/sibboleth/presets/two-people.toml"))
    assert studied.target.labels == LABELS


def test_the_importer_of_the_page_says_what_the_tests_of_importers_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = (one for one in blocks("plug-ins.md") if one.file == "src/sibboleth/corpora/mine.py")
    write(block)
    put(block, monkeypatch)
    for word in ("Layout", "Source: ", "Licence: ", "Reference: ", corpora.card("mine").address):
        assert word in block.text
    recordings(tmp_path)
    assert corpora.prepare("mine", tmp_path / "recordings").table.height == corpora.card("mine").counts["utterances"]


@pytest.mark.soak
def test_what_needs_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from sibboleth.models.encoders import load
    from sibboleth.models.encoders.stack import Stack
    from sibboleth.study import EncoderSettings

    monkeypatch.chdir(tmp_path)
    for block in blocks("plug-ins.md"):
        if block.told == "slow":
            exec(compile(block.text, block.section, "exec"), {})
        elif block.file and block.file.startswith("src/sibboleth/models/adapters"):
            write(block)
            put(block, monkeypatch)
    encoder = load(EncoderSettings(name="my-hubert"))
    stack, plain = (Stack(encoder, 1, encoder.layers - 1) for _ in range(2))
    sys.modules["sibboleth.models.adapters.shift"].put(stack)
    frames, own = stack.enter([torch.randn(16_000)], [16_000])
    assert torch.equal(stack(frames, own)[-1], plain(frames, own)[-1])
    assert sum(".weight" in name for name, _ in stack.shifts.named_parameters()) == 2


def test_every_fault_is_held_by_tests_that_are_there() -> None:
    tests = DOCS.parent / "tests"
    rows = [line for line in (DOCS / "faults.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    held = [row.rsplit("|", 2)[1] for row in rows if not row.endswith("| test |")]
    assert len(held) > 15
    for cell in held:
        names = re.findall(r"`([\w/]+(?:\.py|/))`", cell)
        folder = names[0].rpartition("/")[0]
        missing = [name for name in names if not (tests / name).exists() and not (tests / folder / name).exists()]
        assert names and not missing, cell
