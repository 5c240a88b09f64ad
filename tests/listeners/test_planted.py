"""A listening test in whose every text somebody has planted markup, and a listener who answers with it."""

import csv
import importlib.util
import io
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sibboleth.listeners import export, server, test
from sibboleth.recipes import listen_answers

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `listen`")

_spec = importlib.util.spec_from_file_location("small_planted", Path(__file__).with_name("small.py"))
assert _spec is not None and _spec.loader is not None
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)


def planted(place: str) -> str:
    return f"=cmd()|<script>alert('{place}')</script><img src=x onerror=alert(2)>\"'&amp;[red]x[/]\x1b[2J"


LABELS = tuple(planted(label) for label in small.LABELS)
EMOTION = {**small.EMOTION, "labels": LABELS, "question": planted("question"), "shown": {LABELS[0]: planted("shown")}}
EMOTION |= {"confidence": {"points": 3, "low": planted("low"), "high": planted("high")}}
WHERE = {**small.WHERE, "labels": LABELS, "question": planted("where")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    more = {name: planted(name) for name in ("title", "consent", "contact", "instructions")}
    made = small.drawn(
        parts=[EMOTION, WHERE, small.WORDS],
        people={"languages": [planted("language"), "en"], "dialects": [planted("dialect")]},
        codes={"completion": planted("code"), "parameters": ["PID"]},
        orders=[("p", "a", "b", "|", "c", "r", "s", "t")],
        **more,
    )

    def evil(item: Any) -> Any:
        answer = planted(item.answer) if item.part != "words" else planted("spoken")
        values = {"language": planted("value"), "accent": planted("accent")}
        changes = {"labels": LABELS if item.labels else (), "answer": answer, "values": values}
        return item.model_copy(update=changes | {"utterance": item.utterance and planted(item.utterance)})

    made = made.model_copy(update={"items": tuple(map(evil, made.items))})
    made = made.model_copy(update={"version": test.version(made)})
    return Path(small.write(tmp_path_factory.mktemp("planted") / "test", made))


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Serve it in this process."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        config = uvicorn.Config(server.application(folder, small.PASSWORD), log_level="error", lifespan="on")
        serving = uvicorn.Server(config)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        serving.should_exit = True
        thread.join(20)


def said(step: dict[str, Any]) -> dict[str, Any]:
    """Answer a step, with markup wherever a listener may write."""
    given: dict[str, Any] = small.answer(step)
    if step["show"] == "background":
        given["background"] |= {"first": [planted("first")[:80]], "levels": {planted("spoken")[:80]: 4}}
    elif step["show"] == "item" and step["kind"] == "choice":
        given["labels"] = [step["choices"][0]["label"]]
    elif step["show"] == "item" and step["kind"] == "text":
        given["text"] = planted("transcript")
    elif step["show"] == "item":
        given["regions"] = [{"start": 0.2, "end": 0.7, "label": step["choices"][0]["label"]}]
    return given


@pytest.mark.browser
def test_no_page_does_what_a_text_says(address: str, folder: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if chromium is None:
        pytest.skip("needs Chromium, and none is on the path")
    happened: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(http_credentials={"username": "x", "password": small.PASSWORD})
        page.set_default_timeout(60_000)
        page.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda one: happened.append(one.text))
        page.on("pageerror", lambda error: happened.append(str(error)))
        page.goto(f"{address}?PID={planted('person')[:60]}")
        planted_here(page)
        page.click("form button")
        page.wait_for_url("**/t/*")
        seen = set()
        for _ in range(30):
            step = page.evaluate("fetch(`${location.pathname}/step`).then((r) => r.json())")
            kind = (step["show"], step["kind"] if step["show"] == "item" else "")
            if kind not in seen:
                page.reload()
                page.wait_for_selector("main:not(.sending) h1")
                planted_here(page)
            seen.add(kind)
            if step["show"] in ("done", "screened"):
                break
            answered = page.evaluate(
                """(given) => fetch(`${location.pathname}/answer`, { method: "POST",
                    headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) })
                    .then((r) => r.text().then((text) => [r.status, text]))""",
                said(step),
            )
            assert answered[0] == 200, (answered, step)
        assert {("consent", ""), ("background", ""), ("feedback", ""), ("item", "choice"), ("item", "text")} <= seen
        assert {("item", "segments"), ("done", "")} <= seen
        assert "<script>alert('code')" in (page.text_content("main") or "")
        page.goto(f"{address}admin")
        planted_here(page)
        browser.close()
    assert happened == []
    written(folder)


def planted_here(page: Any) -> None:
    """See that what was planted is on the page, and is text."""
    assert "<script>alert('" in page.inner_text("body")
    assert (
        page.evaluate("document.querySelectorAll('img[src=x], [onerror], script:not([src], [type$=json])').length") == 0
    )


def written(folder: Path) -> None:
    """See that tables show it as text, also to a spreadsheet."""
    listen_answers.write(folder, output=folder / "tables")
    files = {path.name: path.read_text() for path in (folder / "tables").iterdir()}
    with closing(server.Store(folder / test.ANSWERS, server.course(folder).test.version)) as store:
        packed = zipfile.ZipFile(io.BytesIO(export.archive(export.export(store, server.course(folder)))))
    assert {name: packed.read(name).decode() for name in packed.namelist()} == files
    for text in files.values():
        cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert "'=cmd()|<script>alert('transcript')" in files["predictions.csv"]
