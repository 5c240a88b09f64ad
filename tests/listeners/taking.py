"""Somebody who takes a small listening test in a browser, by mouse, by touch or by keyboard."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import soundfile

from sibboleth.listeners import export, server, test

_spec = importlib.util.spec_from_file_location("small_test", Path(__file__).with_name("small.py"))
assert _spec is not None and _spec.loader is not None
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)

SECONDS = 0.4
EMOTION = {
    **small.EMOTION,
    "intensity": {"points": 7},
}


class Served:
    """A test that a process of its own serves, which can be killed."""

    def __init__(self, folder: Path) -> None:
        """Draw a test with both kinds of item, and all that can stand before them."""
        made = small.drawn(
            tones=1,
            orders=[("p", "a", "|", "r", "s", "t")],
            parts=[EMOTION, small.WHERE, small.WORDS],
            checks={"headphones": True, "headphones_fail": "flag", "catch": 1},
            people={"languages": ["de", "en"], "dialects": ["Tianjin"]},
            contact="lab@example.org",
            codes={"completion": "C0DE"},
        )
        items = tuple(one.model_copy(update={"seconds": SECONDS}) for one in made.items)
        made = made.model_copy(update={"items": items})
        self.folder = small.write(folder, made.model_copy(update={"version": test.version(made)}))
        for path in (folder / test.AUDIO).iterdir():
            soundfile.write(path, np.sin(np.arange(int(SECONDS * 16000)) / 10) * 0.2, 16000)
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [sys.executable, "-m", "sibboleth", "listen", "serve", str(self.folder), "--port", str(self.port)]
        environment = {**os.environ, "SIBBOLETH_LISTEN_PASSWORD": small.PASSWORD}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        self.kill()
        raise AssertionError("the server does not come up")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def tables(self) -> export.Export:
        course = server.course(self.folder)
        with closing(server.Store(self.folder / test.ANSWERS, course.test.version)) as store:
            return export.export(store, course)

    def said(self) -> pl.DataFrame:
        """Return the predictions of who began last."""
        tables = self.tables()
        return tables.predictions.filter(pl.col("rater") == tables.listeners["rater"].sort()[-1])


def due(page: Any) -> dict[str, Any]:
    """Return the step that the server wants now, once the page shows it."""
    page.wait_for_selector("main:not(.sending) h1")
    return page.evaluate("fetch(`${document.querySelector('main').dataset.home}/step`).then((r) => r.json())")  # type: ignore[no-any-return]


def walk(
    page: Any, take: Callable[[Any, dict[str, Any]], None], look: Callable[[Any], None] = lambda page: None
) -> None:
    """Take the test from consent to its end; `take` answers a step and goes on.

    It waits for what selectors match: the page's policy forbids the evaluated code of Playwright's `wait_for_function`.
    """
    page.wait_for_url("**/t/*")
    before = -1
    while True:
        page.wait_for_selector(f"main[data-step]:not([data-step='{before}'])")
        step = due(page)
        assert step["step"] == int(page.locator("main").get_attribute("data-step"))
        before = step["step"]
        look(page)
        if step["show"] in ("done", "screened"):
            return
        take(page, step)


def until_answerable(page: Any) -> None:
    page.wait_for_selector(".play[data-state=ready]")
    page.wait_for_selector(":is(.wave:not(.open), fieldset:disabled) >> nth=0", state="detached")


def by_mouse(page: Any, step: dict[str, Any], press: str = "click") -> None:
    """Answer a step as most would, by clicks or taps."""

    def on(selector: str) -> None:
        getattr(page.locator(selector).first, press)()

    kind = step["kind"] if step["show"] == "item" else None
    if step["show"] == "consent":
        on("#agree")
    elif step["show"] == "background":
        fill_background(page, on)
    elif step["show"] in ("loudness", "headphones", "item"):
        on(".play")
        until_answerable(page)
    if step["show"] == "headphones":
        on("label[for=tone-1]")
    elif kind == "choice":
        on("label[for=label-2]")
    elif kind == "text":
        page.fill("textarea", "Der Lappen liegt.")
    elif kind == "segments":
        (draw_by_mouse if press == "click" else draw_by_touch)(page)
    for scale in step["scales"]:
        on(f"label[for={scale['name']}-3]")
    on("button.primary")


def fill_background(page: Any, on: Callable[[str], None]) -> None:
    on("label[for=first-0]")
    assert not page.locator("#level-0").is_visible()
    page.select_option("#level-1", "4")
    on("text=+ Add a language")
    page.select_option("#other-0", "nl")
    page.select_option("#other-level-0", "2")
    page.fill("#years-0", "3")
    on("label[for=hearing-0]")
    page.fill("#age", "30")


def draw_by_mouse(page: Any) -> None:
    """Draw two stretches, label them, move an edge of the second, delete one more."""
    box = page.locator(".stage").bounding_box()

    def drag(start: float, end: float) -> None:
        page.mouse.move(box["x"] + start * box["width"], box["y"] + 90)
        page.mouse.down()
        page.mouse.move(box["x"] + (start + end) / 2 * box["width"], box["y"] + 95)
        page.mouse.move(box["x"] + end * box["width"], box["y"] + 90)
        page.mouse.up()

    drag(0.1, 0.4)
    page.click("label[for=label-2]")
    drag(0.9, 0.6)
    page.click("label[for=label-0]")
    drag(0.9, 0.75)
    drag(0.45, 0.55)
    page.click("text=Delete")
    assert page.locator(".region").count() == 2


def draw_by_touch(page: Any) -> None:
    page.locator(".stage").scroll_into_view_if_needed()
    box = page.locator(".stage").bounding_box()
    fingers = page.context.new_cdp_session(page)
    for kind, place in (("touchStart", 0.25), ("touchMove", 0.4), ("touchMove", 0.75), ("touchEnd", None)):
        points = [] if place is None else [{"x": box["x"] + place * box["width"], "y": box["y"] + 60}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.locator("label[for=label-1]").tap()


def by_keyboard(page: Any, step: dict[str, Any]) -> None:
    """Answer a step without a mouse."""
    press = page.keyboard.press
    kind = step["kind"] if step["show"] == "item" else None
    if step["show"] == "consent":
        press("Tab")
        press("Space")
    elif step["show"] == "background":
        background_by_keyboard(page)
    elif step["show"] in ("loudness", "headphones", "item"):
        press("Space")
        until_answerable(page)
    if step["show"] == "headphones":
        press("2")
    elif kind == "choice":
        press("3")
    elif kind == "text":
        press("Tab")
        press("Tab")
        page.keyboard.type("Der 3. Lappen")
    elif kind == "segments":
        segments_by_keyboard(page)
    for scale in step["scales"]:
        press("Enter")  # leads to what is missing
        assert page.evaluate("document.activeElement.name") == scale["name"]
        press("4")
    press("Enter")


def background_by_keyboard(page: Any) -> None:
    press = page.keyboard.press
    for _ in range(5):  # to what is missing, one after another
        press("Enter")
        focused = page.evaluate("document.activeElement.id")
        if focused == "first-0":
            press("Space")
        elif focused.startswith("level"):
            press("ArrowDown")
            press("ArrowDown")
            press("Tab")  # past the button that adds a language
            press("Tab")
            page.keyboard.type("2.5")
        elif focused == "hearing-0":
            press("Space")
        elif focused == "age":
            page.keyboard.type("30")
            return
        else:
            break
    raise AssertionError(f"still at {focused}")


def segments_by_keyboard(page: Any) -> None:
    press = page.keyboard.press
    press("n")
    press("2")
    press("Shift+ArrowLeft")
    press("Alt+ArrowRight")
    press("ArrowRight")
    press("n")
    press("Delete")
    assert page.locator(".region").count() == 1


def to_items(page: Any) -> None:
    """Begin, and answer what stands before the first item as somebody did who came before."""
    page.click("text=Begin")
    page.wait_for_url("**/t/*")
    while (step := due(page))["show"] != "item":
        given = small.answer(step)
        page.evaluate(
            """(given) => fetch(`${location.pathname}/answer`,
                { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) })""",
            given,
        )
    page.reload()
    page.wait_for_selector(".answers")
