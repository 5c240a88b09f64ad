"""A study in whose every text somebody has planted something that is more than text to a page, a table or a program."""

import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import soundfile

from sibboleth import progress
from sibboleth.recipes import run as recipe
from sibboleth.runs import RunDirectory
from sibboleth.terminal import Terminal

COLUMN = "<script>alert('column')</script>[red]"
RATE = 8000


def planted(place: str) -> str:
    """Return a text that is markup in HTML, in LaTeX, on a terminal and in a spreadsheet."""
    page = f"<script>alert('{place}')</script><img src=x onerror=alert(2)>\"'&amp;"
    return f"=cmd()|{page}[red]x[/][/]\\input{{/etc/passwd}}$_^~\x1b[2J\x00\n=cmd()"


def speech(folder: Path) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for language in ("aa", "bb"):
        for speaker in range(4):
            for take in range(2):
                for label, pitch in (("high", 220), ("low", 120)):
                    time = np.arange(int(RATE * rng.uniform(0.3, 0.4))) / RATE
                    tone = sum(np.sin(2 * np.pi * pitch * rng.uniform(0.8, 1.25) * k * time) / k for k in range(1, 6))
                    name = f"{language}{speaker}{label}{take}"
                    file = f"{name}<script>alert('file')<&quot;\"[red]#%41.wav"
                    soundfile.write(folder / file, 0.1 * tone + rng.normal(0, 0.03, len(time)), RATE, subtype="PCM_16")
                    told = {"utterance": name, "speaker": f"{language}{speaker}", "session": f"{language}{speaker}"}
                    told |= {"language": language, "dialect": language, "accent": str(speaker % 2), "text": name}
                    told |= {COLUMN: label}
                    rows.append({"audio": file} | {column: said + planted(column) for column, said in told.items()})
    pl.DataFrame(rows).write_parquet(folder / "manifest.parquet")


def study(folder: Path) -> Path:
    path = folder / "study.toml"
    path.write_text(
        f"""
name = "planted"
question = {_toml("question")}
domain = "language"
regimes = ["within", "zero-shot"]
layer_mix = false
[target]
column = {json.dumps(COLUMN)}
[[corpora]]
name = "made"
manifest = "manifest.parquet"
[[encoders]]
name = "logmel"
language = {_toml("encoder")}
[probe]
l2 = [1.0]
[splits]
folds = 2
dev = 0.4
[statistics]
resamples = 100
slices = ["accent", {json.dumps(COLUMN)}]
[report]
title = {_toml("title")}
"""
    )
    return path


def _toml(place: str) -> str:
    return json.dumps(planted(place).replace("\x00", ""))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, str]:
    """Run it; returns its directory and what the terminal showed."""
    folder = tmp_path_factory.mktemp("planted")
    speech(folder)
    shown = Terminal(file=io.StringIO(), width=500, force_terminal=True, color_system="standard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBBOLETH_CACHE", str(folder / "cache"))
        for module in (recipe, progress):
            patch.setattr(module, "console", shown)
        recipe.run(study(folder), output=folder / "run")
    return RunDirectory(folder / "run"), shown.file.getvalue()  # type: ignore[attr-defined]


class _Page(HTMLParser):
    """Collects elements with their attributes, as a browser finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_has_it_as_text(told: tuple[RunDirectory, str]) -> None:
    run, _ = told
    text = (run / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert {tag for tag, _ in page.found}.isdisjoint({"script", "img", "iframe", "object", "embed", "base"})
    assert not [name for _, attributes in page.found for name in attributes if name.startswith("on")]
    links = [attributes.get("href") or "" for tag, attributes in page.found if tag == "a"]
    assert links and not [one for one in links if ":" in one]
    for place in ("title", "language", "column", "accent", "encoder", "speaker", "text"):
        assert f"&lt;script&gt;alert(&#39;{place}&#39;)&lt;/script&gt;" in text, place
    players = [attributes["src"] for tag, attributes in page.found if tag == "audio"]
    assert players and all(one and one.endswith("%23%2541.wav") for one in players)


def test_figures_have_it_as_text(told: tuple[RunDirectory, str]) -> None:
    figures = list((told[0] / "figures").glob("*.svg"))
    assert len(figures) > 5
    for figure in figures:
        root = ElementTree.parse(figure).getroot()
        kinds = {str(one.tag).partition("}")[2] for one in root.iter()}
        assert kinds.isdisjoint({"script", "image", "foreignObject", "a", "use", "style"})
        assert not [name for one in root.iter() for name in one.attrib if name.startswith("on")]
    assert all(path.parent == told[0] / "figures" for path in (told[0] / "figures").rglob("*"))


def test_no_cell_of_a_table_is_a_command_or_a_formula(told: tuple[RunDirectory, str]) -> None:
    tables = list((told[0] / "tables").iterdir())
    assert len(tables) > 15
    for file in tables:
        text = file.read_text()
        if file.suffix == ".tex":
            assert "\\input" not in text and "\x1b" not in text and "\x00" not in text
            assert re.search(r"(?<!\\)[#^_~]", text.partition("\n")[2]) is None
        else:
            cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
            assert not [cell for cell in cells if cell.startswith(("=", "@", "\t"))]
            assert file.stem != "encoders" or any(cell.startswith("'=cmd()") for cell in cells)


def test_the_terminal_shows_it_and_obeys_nothing(told: tuple[RunDirectory, str]) -> None:
    _, shown = told
    assert "[red]x[/][/]" in shown
    assert "\x1b[2J" not in shown and "\x00" not in shown


@pytest.mark.browser
def test_a_browser_finds_nothing_to_do(told: tuple[RunDirectory, str]) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if chromium is None:
        pytest.skip("needs Chromium, and none is on the path")
    happened: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        shown: Any = browser.new_page()
        shown.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
        for kind in ("console", "pageerror"):
            shown.on(kind, lambda said: happened.append(str(getattr(said, "text", said))))
        run = told[0]
        for file in [run / "report.html", *sorted((run / "figures").glob("*.svg"))[:3]]:
            shown.goto(file.resolve().as_uri())
            assert shown.evaluate("document.querySelectorAll('script, img, [onerror], iframe').length") == 0
        browser.close()
    assert happened == []
