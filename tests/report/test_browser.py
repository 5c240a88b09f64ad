"""The page in a browser: what somebody notices who opens it."""

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from sibboleth.runs import RunDirectory

pytestmark = pytest.mark.browser
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if found is None:
        pytest.skip("needs Chromium, and none is on the path")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


def open_page(browser: Any, run: RunDirectory, width: int) -> tuple[Any, list[str], list[str]]:
    """Open the report; also return what it complained about and what it asked for."""
    shown = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto((run / "report.html").resolve().as_uri())
    return shown, complaints, requests


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_page_fits_and_is_alone(browser: Any, reported: RunDirectory, width: int) -> None:
    shown, complaints, requests = open_page(browser, reported, width)
    assert complaints == []
    assert [r for r in requests if not r.startswith("data:")] == [(reported / "report.html").resolve().as_uri()]
    root = "document.documentElement"
    assert shown.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    shown.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert shown.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    sizes = shown.evaluate(
        """[...document.querySelectorAll('.panel svg')].map(s => {
            const scale = s.getBoundingClientRect().width / s.viewBox.baseVal.width;
            const fonts = [...s.querySelectorAll('text')].map(t => parseFloat(t.getAttribute('font-size')) || 99);
            return [s.getBoundingClientRect().width, scale * Math.min(...fonts, 99)];
        })"""
    )
    assert len(sizes) > 20
    assert all(drawn > 100 and font >= 9 for drawn, font in sizes)
    shown.close()


def test_details_open_by_keyboard(browser: Any, reported: RunDirectory) -> None:
    shown, _, _ = open_page(browser, reported, 820)
    folded = shown.locator("details").first
    assert folded.get_attribute("open") is None
    folded.locator("summary").first.focus()
    shown.keyboard.press("Enter")
    assert folded.get_attribute("open") is not None
    wide = shown.locator(".table .scroll").first
    wide.focus()
    assert wide.evaluate("e => e === document.activeElement")
    shown.close()


def test_players_play_files_that_exist(browser: Any, reported: RunDirectory) -> None:
    shown, complaints, _ = open_page(browser, reported, 820)
    sources = shown.evaluate("[...document.querySelectorAll('audio')].map(a => a.src)")
    assert len(sources) == 12
    for source in sources:
        assert (reported.path.parent / unquote(urlsplit(source).path).rpartition("/")[2]).exists()
    length = shown.evaluate(
        """new Promise((done, fail) => {
            const a = document.querySelector('audio');
            a.onloadedmetadata = () => done(a.duration); a.onerror = () => fail(a.error.message); a.load();
        })"""
    )
    assert length == pytest.approx(1.0, abs=0.05)
    assert complaints == []
    shown.close()


def test_print_opens_what_is_folded_and_hides_players(browser: Any, reported: RunDirectory) -> None:
    shown, _, _ = open_page(browser, reported, 820)
    shown.emulate_media(media="print")
    assert not shown.locator("audio").first.is_visible() and not shown.locator("nav").is_visible()
    heights = shown.evaluate(
        "[...document.querySelectorAll('details > :not(summary)')].map(e => e.getBoundingClientRect().height)"
    )
    assert heights and all(height > 0 for height in heights)
    assert shown.pdf().startswith(b"%PDF")
    shown.close()


def test_the_cursor_of_a_timeline_runs_with_its_player(browser: Any, segmented: RunDirectory) -> None:
    shown, complaints, _ = open_page(browser, segmented, 820)
    timeline = shown.locator(".timeline").first
    player, cursor, lane = timeline.locator("audio"), timeline.locator(".cursor"), timeline.locator(".lane").nth(2)
    assert not cursor.is_visible()
    player.evaluate("a => { a.load(); return new Promise(done => { a.oncanplay = done; a.preload = 'auto'; }); }")
    box = lane.bounding_box()
    for share in (0.25, 0.75):
        sought = player.evaluate_handle("a => ({ done: new Promise(done => { a.onseeked = done; }) })")
        lane.click(position={"x": share * box["width"], "y": 8})
        sought.evaluate("s => s.done")
        cursor.wait_for(state="visible")
        assert player.evaluate("a => a.currentTime") == pytest.approx(share * 4, abs=0.05)
        drawn = cursor.bounding_box()
        assert drawn["x"] + drawn["width"] / 2 == pytest.approx(box["x"] + share * box["width"], abs=3)
    assert complaints == []
    root = "document.documentElement"
    shown.set_viewport_size({"width": 390, "height": 900})
    assert shown.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    shown.close()
