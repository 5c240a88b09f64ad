"""The listening test in a browser: what people notice who take it, by mouse, by keyboard and on a phone."""

import contextlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sibboleth.listeners import test, words
from sibboleth.listeners.step import Step
from sibboleth.listeners.vocabulary import Words

pytestmark = pytest.mark.browser
pytest.importorskip("starlette", reason="needs the extra `listen`")
pytest.importorskip("uvicorn", reason="needs the extra `listen`")

_spec = importlib.util.spec_from_file_location("taking", Path(__file__).with_name("taking.py"))
assert _spec is not None and _spec.loader is not None
taking = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(taking)
small, Served, SECONDS = taking.small, taking.Served, taking.SECONDS
by_keyboard, by_mouse, due = taking.by_keyboard, taking.by_mouse, taking.due
to_items, until_answerable, walk = taking.to_items, taking.until_answerable, taking.walk

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=user-gesture-required",
]
BARE: dict[str, Any] = Step(step=0, show="item", audio="soundp", seconds=SECONDS, progress=0.5).model_dump(mode="json")
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served") / "test")
    yield made
    made.kill()


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


@pytest.fixture
def opened(browser: Any, served: Served) -> Iterator[Callable[..., Any]]:
    """Open pages; each has a list of what it complained about, which has to be empty in the end."""
    contexts, complaints = [], []

    def page(address: str = served.address, **how: Any) -> Any:
        context = browser.new_context(**how)
        contexts.append(context)
        shown = context.new_page()
        shown.set_default_timeout(8000)
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.goto(address)
        return shown

    yield page
    for context in contexts:
        context.close()
    # A server that is away is no fault of the page.
    assert [one for one in complaints if "ERR_CONNECTION" not in one and "ERR_INTERNET" not in one] == []


def every_kind_once(look: Callable[[Any], None]) -> Callable[[Any], None]:
    """Look at one step of each kind."""
    known: set[str] = set()

    def new(page: Any) -> None:
        kind = page.evaluate(
            "[...document.querySelectorAll('main fieldset, main .wave, main h1')].map((e) => e.className).join()"
        )
        if kind not in known:
            look(page)
        known.add(kind)

    return new


def accessible(page: Any) -> None:
    """Have axe find nothing against the rules of WCAG 2 on the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


def test_a_whole_test_by_mouse(opened: Callable[..., Any], served: Served) -> None:
    page = opened()
    accessible(page)
    page.click("text=Begin")
    walk(page, by_mouse, every_kind_once(accessible))
    assert page.locator(".code").text_content() == "C0DE"
    assert page.locator("#progress").get_attribute("aria-valuenow") == "100"
    said = served.said()
    emotion = said.filter(pl.col("target") == "emotion", pl.col("start").is_null())
    assert sorted(emotion.select("utterance", "trial", "label").rows()) == [("own:a", 0, "sad"), ("own:a", 1, "sad")]
    assert said.filter(pl.col("target") == "emotion.intensity")["value"].to_list() == [4.0] * 2
    stretches = said.filter(pl.col("start").is_not_null()).sort("start").select("label", "start", "end").rows()
    assert [label for label, _, _ in stretches] == ["sad", "angry"]
    drawn = [0.1, 0.4, 0.6, 0.75]  # of the recording, the last edge after it was moved
    assert np.allclose([time for _, *times in stretches for time in times], np.multiply(drawn, SECONDS), atol=0.02)
    assert said.filter(pl.col("target") == "text")["label"].to_list() == ["Der Lappen liegt."]
    tables = served.tables()
    last = tables.listeners.sort("rater").row(-1, named=True)
    assert (last["first_language"], last["level.en"], last["level.nl"], last["years.Tianjin"]) == ("de", 4, 2, 3.0)
    own = tables.answers.filter(pl.col("rater") == last["rater"], pl.col("role") == "item")
    assert set(own["plays"]) == {1} and own["reaction"].is_between(0, own["duration"]).all()


def test_a_whole_test_by_keyboard(opened: Callable[..., Any], served: Served) -> None:
    page = opened(color_scheme="dark")
    accessible(page)
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    walk(
        page,
        by_keyboard,
        every_kind_once(lambda page: accessible(page) if page.locator(".wave").count() else None),
    )
    said = served.said()
    assert said.filter(pl.col("target") == "emotion", pl.col("start").is_null())["label"].to_list() == ["sad"] * 2
    assert set(said.filter(pl.col("target").str.contains(r"\."))["value"]) == {4.0}
    stretch = said.filter(pl.col("start").is_not_null()).select("label", "start", "end").rows()
    assert stretch == [("happy", 0.1, 0.4)]
    assert said.filter(pl.col("target") == "text")["label"].to_list() == ["Der 3. Lappen"]


def test_a_whole_test_on_a_phone(opened: Callable[..., Any], served: Served) -> None:
    page = opened(**PHONE)

    def fits(page: Any) -> None:
        assert page.evaluate(FITS)
        assert not page.locator("kbd >> visible=true").count()
        short = page.evaluate(
            "[...document.querySelectorAll('.option, .play, .primary, select')].filter((e) => e.checkVisibility())"
            ".map((e) => e.getBoundingClientRect().height).filter((height) => height < 44)"
        )
        assert short == []

    fits(page)
    page.tap("text=Begin")
    walk(page, lambda page, step: by_mouse(page, step, "tap"), fits)
    said = served.said()
    [(label, start, end)] = said.filter(pl.col("start").is_not_null()).select("label", "start", "end").rows()
    assert label == "happy" and np.allclose([start, end], [0.1, 0.3], atol=0.03)


def test_killed_and_gone_on(opened: Callable[..., Any], served: Served) -> None:
    page = opened()
    to_items(page)
    page.click(".play")
    until_answerable(page)
    page.click("label[for=label-0]")
    page.click("label[for=intensity-0]")
    page.click("label[for=confidence-0]")
    served.kill()
    page.dblclick("button.primary")
    page.wait_for_selector("#alert[data-kind=lost]")
    served.start()
    unhurried = pytest.importorskip("playwright.sync_api").TimeoutError
    with contextlib.suppress(unhurried):  # the page tries again by itself, and may be first
        page.click("text=Try now", timeout=1500)
    page.wait_for_selector("#alert[data-kind=back]", timeout=30_000)
    step = due(page)
    link = page.url
    page.close()
    again = opened(link)
    assert due(again) == step and step["show"] == "feedback"
    answers = served.tables().answers
    assert answers.filter(pl.col("rater") == answers["rater"].max()).height == 1


def test_an_answer_survives_the_page(opened: Callable[..., Any], served: Served) -> None:
    page = opened()
    page.click("text=Begin")
    page.wait_for_selector("#agree")
    page.check("#agree")
    page.context.set_offline(True)
    page.click("button.primary")
    page.wait_for_selector("#alert[data-kind=lost]")
    page.context.set_offline(False)
    page.reload()
    page.wait_for_selector("h1:text('About you')")


def test_two_windows_repeat_nothing(opened: Callable[..., Any], served: Served) -> None:
    page = opened()
    page.click("text=Begin")
    page.wait_for_selector("#agree")
    other = page.context.new_page()
    other.goto(page.url)
    for window in (page, other):
        window.wait_for_selector("#agree")
        window.check("#agree")
        window.click("button.primary")
        window.wait_for_selector("h1:text('About you')")
    assert due(other)["step"] == 1


def test_nothing_is_answered_unheard(opened: Callable[..., Any], served: Served) -> None:
    page = opened()
    to_items(page)
    assert page.locator("#label-0").is_disabled()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#missing:has-text('Listen first')")
    assert page.evaluate("document.activeElement.className") == "play"


def test_withdrawing_is_asked_twice(opened: Callable[..., Any], served: Served) -> None:
    page = opened()
    to_items(page)
    page.click("#withdraw")
    accessible(page)
    page.click("text=Stay in the study")
    assert due(page)["show"] == "item"
    page.click("#withdraw")
    page.click("text=Delete my answers")
    page.wait_for_selector("h1:text('You have withdrawn')")
    assert page.locator("#withdraw").is_hidden()


def test_the_admin_page_fits(browser: Any, served: Served) -> None:
    password = {"username": "any", "password": small.PASSWORD}
    context = browser.new_context(viewport={"width": 390, "height": 800}, http_credentials=password)
    page = context.new_page()
    page.goto(f"{served.address}admin")
    assert page.locator("h1").text_content() == "A small test" and page.evaluate(FITS)
    accessible(page)
    context.close()


def test_a_reload_keeps_what_was_begun(opened: Callable[..., Any], served: Served) -> None:
    page = opened("about:blank")
    choices = [{"label": name, "words": name} for name in small.LABELS]
    step = {**BARE, "show": "item", "kind": "segments", "plays": 2, "choices": choices, "peaks": [0.5] * 600}
    show_instead(page, words.read("en"), step, served.folder / test.AUDIO / "soundp.wav")
    page.goto(f"{served.address}t/fake")
    page.click(".play")
    page.wait_for_selector(".wave.open")
    page.keyboard.press("n")
    page.keyboard.press("2")
    page.reload()
    assert page.locator(".region").get_attribute("aria-label") == "Stretch 1: happy, 0.00 to 0.40 seconds"
    assert page.locator(".player").text_content() == "Play againPlays left: 1"
    page.click(".play")
    page.wait_for_selector(".play:disabled[data-state=ready]")
    page.keyboard.press("Space")
    assert page.locator(".player").text_content() == "Play againPlays left: 0"


@pytest.mark.parametrize("language", sorted(words.LANGUAGES))
def test_words_of_every_language_fit_a_phone(browser: Any, served: Served, language: str) -> None:
    """Give the page other words on its way to the browser, and longer labels than there are."""
    context = browser.new_context(**PHONE)
    said = words.read(language)
    page = context.new_page()
    choices = [{"label": name, "words": text} for name, text in said.labels.items()]
    shows = [
        {"show": "background", "languages": ["de", "zh"], "dialects": ["Tianjin"], "hearing": True},
        {"show": "item", "kind": "choice", "question": said.question.emotion, "choices": choices[:12], "scales": [
            {"name": "confidence", "points": 11, "low": said.scale.confidence_low, "high": said.scale.confidence_high}
        ]},
    ]  # fmt: skip
    for number, show in enumerate(shows):
        step = {
            "step": number,
            "progress": 0.5,
            "text": said.instructions.text,
            "scales": [],
            "choices": [],
            "plays": 3,
        }
        step |= {"languages": [], "dialects": [], "tones": [], "seconds": 4.0, "audio": "soundp", **show}
        show_instead(page, said, step, served.folder / test.AUDIO / "soundp.wav")
        page.goto(f"{served.address}t/fake")
        page.wait_for_selector("h1")
        assert page.evaluate("document.documentElement.lang") == said.tag
        assert page.evaluate(FITS)
    context.close()


def show_instead(page: Any, said: Words, step: dict[str, Any], sound: Path) -> None:
    page.unroute_all()
    page.route("**/t/*", lambda route: route.fulfill(body=rendered(said), content_type="text/html; charset=utf-8"))
    page.route("**/t/*/step", lambda route: route.fulfill(json=step))
    page.route("**/audio/*", lambda route: route.fulfill(path=sound))


def rendered(said: Words) -> str:
    import jinja2

    pages = jinja2.Environment(loader=jinja2.PackageLoader("sibboleth.listeners", "web"), autoescape=True)
    return pages.get_template("page.html").render(title="A test", contact="lab@example.org", words=said, home="/t/fake")
