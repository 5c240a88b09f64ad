"""The server as a browser meets it: enrolling, going on, sound, withdrawing, the admin page; and what it refuses."""

import contextlib
import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient
from tests.listeners import small

from sibboleth import predictions
from sibboleth.errors import InvalidInput
from sibboleth.listeners import safety, server, test
from sibboleth.listeners.store import Store

SITE = "http://testserver"
ADMIN = ("anybody", small.PASSWORD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small.write(tmp_path / "test", small.drawn(codes={"completion": "C0DE"}))


@pytest.fixture
def browser(folder: Path) -> Iterator[TestClient]:
    with client(folder) as made:
        yield made


def client(folder: Path, limits: safety.Limits | None = None) -> TestClient:
    site = server.application(folder, small.PASSWORD, limits)
    return TestClient(site, base_url=SITE, headers={"origin": SITE}, follow_redirects=False)


def enrol(browser: TestClient, query: str = "") -> str:
    found = browser.post(f"/{query}")
    assert found.status_code == 303, found.text
    return str(found.headers["location"])


def due(browser: TestClient, home: str) -> dict[str, Any]:
    return dict(browser.get(f"{home}/step").json())


def go(browser: TestClient, home: str, steps: int = 100) -> dict[str, Any]:
    """Answer so many steps, or all, and return what is due then."""
    step = due(browser, home)
    for _ in range(steps):
        if step["show"] in ("done", "screened"):
            break
        found = browser.post(f"{home}/answer", json=small.answer(step))
        assert found.status_code == 200, found.text
        step = found.json()
    return step


def kept(folder: Path) -> list[tuple[int, int]]:
    store = Store(folder / test.ANSWERS, test.read(folder).version)
    found = [(one.rater, one.step) for one in store.answers()]
    store.close()
    return found


def test_a_whole_test_is_taken_and_comes_out_as_tables(browser: TestClient, folder: Path) -> None:
    done = go(browser, enrol(browser, "?PROLIFIC_PID=person-one&STUDY_ID=s"))
    assert (done["show"], done["code"]) == ("done", "C0DE")
    assert kept(folder) == [(1, step) for step in range(17)]
    found = browser.get("/admin/export.zip", auth=ADMIN)
    files = zipfile.ZipFile(io.BytesIO(found.content))
    (folder / "predictions.csv").write_bytes(files.read("predictions.csv"))
    table = predictions.read(folder / "predictions.csv")
    assert table["rater"].unique().to_list() == ["L0001"]
    assert all(b"person-one" not in files.read(name) for name in files.namelist())


def test_looking_enrols_nobody_and_changes_nothing(browser: TestClient, folder: Path) -> None:
    for _ in range(3):
        assert browser.get("/?PROLIFIC_PID=p").status_code == browser.head("/").status_code == 200
    home = enrol(browser)
    before = due(browser, home)
    for _ in range(3):
        assert "<script" in browser.get(home).text
        assert due(browser, home) == before
    store = Store(folder / test.ANSWERS, test.read(folder).version)
    assert len(store.seen()) == 1
    store.close()


def test_who_comes_back_finds_the_next_item_on_the_same_link_or_from_the_platform(folder: Path) -> None:
    with client(folder) as first:
        home = enrol(first, "?PROLIFIC_PID=p1")
        step = go(first, home, 6)
    with client(folder) as later:  # another process, for all it knows
        assert due(later, home) == step
        assert due(later, enrol(later, "?PROLIFIC_PID=p1")) == step
        assert due(later, enrol(later, "?PROLIFIC_PID=p2"))["step"] == 0
        assert go(later, home)["show"] == "done"


def test_a_replayed_answer_and_two_tabs_change_nothing(browser: TestClient, folder: Path) -> None:
    home = enrol(browser)
    step = go(browser, home, 5)
    answer = small.answer(step)
    following = browser.post(f"{home}/answer", json=answer).json()
    for replayed in (answer, {**answer, "labels": ["angry"]}, {"step": 0, "agreed": True}, {"step": 5}):
        again = browser.post(f"{home}/answer", json=replayed)
        assert (again.status_code, again.json()) == (200, following)
    assert kept(folder) == [(1, step) for step in range(6)]
    early = browser.post(f"{home}/answer", json={**answer, "step": 9})
    assert early.status_code == 409
    assert kept(folder) == [(1, step) for step in range(6)]


def test_sound_comes_whole_or_in_ranges_under_names_that_tell_nothing(browser: TestClient, folder: Path) -> None:
    home = enrol(browser)
    whole = (folder / "audio" / "sounda.wav").read_bytes()
    found = browser.get(f"{home}/audio/sounda")
    assert found.content == whole
    assert (found.headers["content-type"], found.headers["accept-ranges"]) == ("audio/wav", "bytes")
    assert "private" in found.headers["cache-control"]
    size = len(whole)
    for asked, start, end in (("0-99", 0, 100), ("100-", 100, size), ("-50", size - 50, size), ("0-9999999", 0, size)):
        part = browser.get(f"{home}/audio/sounda", headers={"range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, whole[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert browser.get(f"{home}/audio/sounda", headers={"range": f"bytes={size}-"}).status_code == 416
    assert browser.get(f"{home}/audio/sounda", headers={"range": "bytes=0-1,5-6"}).content == whole


def test_who_withdraws_is_told_and_is_gone(browser: TestClient, folder: Path) -> None:
    homes = [enrol(browser, f"?PROLIFIC_PID=p{k}") for k in range(2)]
    for home in homes:
        go(browser, home, 6)
    gone = browser.post(f"{homes[0]}/withdraw", json={})
    assert gone.json()["show"] == due(browser, homes[0])["show"] == "withdrawn"
    assert browser.post(f"{homes[0]}/answer", json={"step": 0, "agreed": True}).json()["show"] == "withdrawn"
    assert browser.get(f"{homes[0]}/audio/sounda").status_code == 404
    assert kept(folder) == [(2, step) for step in range(6)]
    assert b"p0" not in b"".join(path.read_bytes() for path in folder.glob("answers.sqlite*")).replace(b"exp0", b"")


def test_headphones_that_fail_screen_out_or_are_told(tmp_path: Path) -> None:
    checks = {"headphones": True, "headphones_needed": 5, "headphones_fail": "screen-out"}
    folder = small.write(tmp_path / "test", small.drawn(tones=6, checks=checks, codes={"screen_out": "OUT"}))
    with client(folder) as browser:
        for right, shown in ((6, "part"), (5, "part"), (4, "screened")):
            home = enrol(browser)
            step = go(browser, home, 4)
            for trial in range(6):
                assert step["show"] == "headphones" and len(step["tones"]) == 3
                answer = {"step": step["step"], "tone": 1 if trial < right else 2}
                step = browser.post(f"{home}/answer", json=answer).json()
            assert step["show"] == shown
        assert step["code"] == "OUT"
        assert "headphones: 4 of 6 right" in browser.get("/admin", auth=ADMIN).text


def test_the_admin_page_shows_how_it_goes(browser: TestClient) -> None:
    go(browser, enrol(browser))
    go(browser, enrol(browser), 9)
    page = browser.get("/admin", auth=ADMIN).text
    assert all(words in page for words in ("L0001", "L0002", "finished", "alpha", "1 of 1 catch trials"))


# What is refused.


@pytest.mark.parametrize("token", ["x", "A" * 32, "A" * 31 + "%00", "..%2f..%2fadmin", "é" * 32, "' OR 1=1 --"])
def test_tokens_of_nobody_are_unknown(browser: TestClient, token: str) -> None:
    for path in ("", "/step", "/audio/sounda"):
        assert browser.get(f"/t/{token}{path}").status_code == 404
    assert browser.post(f"/t/{token}/answer", json={"step": 0}).status_code == 404
    assert browser.post(f"/t/{token}/withdraw", json={}).status_code == 404


def test_a_token_tampered_with_or_of_another_reaches_only_its_own(browser: TestClient, folder: Path) -> None:
    mine, other = enrol(browser), enrol(browser)
    go(browser, mine, 3)
    changed = mine[:-1] + ("A" if mine[-1] != "A" else "B")
    assert browser.get(f"{changed}/step").status_code == 404
    assert due(browser, other)["step"] == 0
    assert browser.post(f"{other}/answer", json=small.answer(due(browser, mine))).status_code == 409
    assert kept(folder) == [(1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize(
    "name",
    [
        "soundx",
        "sounda.wav",
        "../test.json",
        "..%2ftest.json",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "",
        "a",
    ],
)
def test_only_the_sounds_of_the_test_are_served(browser: TestClient, name: str) -> None:
    assert browser.get(f"{enrol(browser)}/audio/{name}").status_code in (404, 405)


@pytest.mark.parametrize(
    "path",
    ["/test.json", "/answers.sqlite", "/web/page.html", "/web/..%2fserver.py", "/audio/sounda.wav", "/docs"],
)
def test_nothing_else_of_the_folder_is_served(browser: TestClient, path: str) -> None:
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": f"{SITE}.evil.example"},
        {"origin": f"{SITE}:8080"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_posts_of_other_sites_are_refused(browser: TestClient, folder: Path, headers: dict[str, str]) -> None:
    home = enrol(browser)
    for path in (f"{home}/answer", f"{home}/withdraw"):
        found = browser.post(path, json={"step": 0, "agreed": True}, headers=headers)
        assert found.status_code == 403, path
    assert browser.post("/", headers=headers).status_code == 403
    assert due(browser, home)["step"] == 0 and kept(folder) == []


def test_a_browser_that_says_it_is_the_same_site_is_believed_over_its_origin(browser: TestClient) -> None:
    """As forms of a page without referrer have the origin `null`."""
    headers = {"origin": "null", "sec-fetch-site": "same-origin"}
    assert browser.post("/", headers=headers).status_code == 303


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b'{"step": "0; DROP TABLE answers"}', "application/json", 422),
        (b'{"step": -1}', "application/json", 422),
        (b'{"step": 1e400}', "application/json", 422),
        (b'{"step": 0, "agreed": true, "rater": 7}', "application/json", 422),
        (b'{"step": 0, "agreed": true, "reaction": NaN}', "application/json", 422),
        (b'{"step": 0, "agreed": true, "duration": Infinity}', "application/json", 422),
        (b'{"step": 0, "text": "' + b"x" * 5000 + b'"}', "application/json", 422),
        (b'{"step": 0, "text": "\\ud800"}', "application/json", 422),
        (b"[" * 20000, "application/json", 422),
        (b'{"step": 0, "agreed": true}', "text/plain", 415),
        (b"step=0&agreed=true", "application/x-www-form-urlencoded", 415),
        (b'{"step": 0, "agreed": true}' + b" " * 65536, "application/json", 413),
    ],
)
def test_bodies_that_are_no_answer_are_refused(
    browser: TestClient, folder: Path, sent: bytes, kind: str, status: int
) -> None:
    home = enrol(browser)
    found = browser.post(f"{home}/answer", content=sent, headers={"content-type": kind})
    assert found.status_code == status
    assert "error" in found.json() and "Traceback" not in found.text
    assert kept(folder) == []


def test_a_large_body_without_a_length_is_not_read_to_its_end(browser: TestClient) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b" " * 8192

    found = browser.post(f"{enrol(browser)}/answer", content=endless(), headers={"content-type": "application/json"})
    assert found.status_code == 413


def test_every_answer_has_the_headers_that_browsers_act_on(browser: TestClient) -> None:
    home = enrol(browser)
    for path in ("/", home, f"{home}/step", f"{home}/audio/sounda", "/web/page.js", "/admin", "/nothing"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == ("same-origin" if path == "/" else "no-referrer")
        assert "set-cookie" not in headers and "server" not in headers
    for path in ("/", home, f"{home}/step", "/admin"):
        assert browser.get(path).headers["cache-control"] == "no-store"


def test_pages_have_no_script_or_style_inside(browser: TestClient) -> None:
    for page in (browser.get("/").text, browser.get(enrol(browser)).text, browser.get("/admin", auth=ADMIN).text):
        assert "style=" not in page and "<style" not in page and "onclick" not in page
        for script in page.split("<script")[1:]:
            assert 'src="/web/' in script.split(">")[0] or 'type="application/json"' in script.split(">")[0]


def test_what_a_test_says_of_itself_is_text_and_no_markup(tmp_path: Path) -> None:
    words = {"title": "<script>alert(1)</script>", "contact": "<b>me</b>"}
    with client(small.write(tmp_path / "test", small.drawn(**words))) as browser:
        for path in ("/", enrol(browser)):
            page = browser.get(path).text
            assert "<script>alert" not in page and "<b>" not in page and "&lt;b&gt;me" in page


def test_the_admin_page_needs_the_password_and_bears_no_guessing(folder: Path) -> None:
    with client(folder) as browser:
        assert browser.get("/admin").status_code == browser.get("/admin/export.zip").status_code == 401
        assert browser.get("/admin", headers={"authorization": "Basic %%%"}).status_code == 401
        assert browser.get("/admin", headers={"authorization": "Bearer x"}).status_code == 401
        assert browser.get("/admin", auth=ADMIN).status_code == 200
        tried = [browser.get("/admin", auth=("admin", f"guess {k}")).status_code for k in range(12)]
        assert tried == [401] * 5 + [429] * 7
        late = browser.get("/admin", auth=ADMIN)
        assert late.status_code == 429 and int(late.headers["retry-after"]) > 10
        assert due(browser, enrol(browser))["step"] == 0  # listeners notice nothing


def test_a_short_password_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="8 characters"):
        server.application(folder, "1234567")


def test_who_asks_too_often_waits(folder: Path) -> None:
    limits = safety.Limits(token=safety.Bucket(20, 0.5), enrol=safety.Bucket(3, 0.1), unknown=safety.Bucket(4, 0.1))
    with client(folder, limits) as browser:
        first, second, _ = (enrol(browser) for _ in range(3))
        busy = browser.post("/")
        assert busy.status_code == 429 and "Retry-After" in busy.headers and "Too many requests" in busy.text
        statuses = [browser.get(f"{first}/step").status_code for _ in range(25)]
        assert statuses[:20] == [200] * 20 and set(statuses[20:]) == {429}
        assert browser.get(f"{second}/step").status_code == 200
        guessed = [browser.get(f"/t/{'A' * 32}/step").status_code for _ in range(6)]
        assert guessed == [404] * 4 + [429] * 2
        assert browser.get(f"{second}/step").status_code == 200  # who has a link is not kept out by who guesses


def test_only_those_with_a_link_begin_where_the_test_says_so(tmp_path: Path) -> None:
    folder = small.write(tmp_path / "test", small.drawn(people={"registration": "links"}))
    store = Store(folder / test.ANSWERS, test.read(folder).version)
    with store.transaction():
        token = store.enrol({}, "invited")
    with client(folder) as browser:
        assert browser.get("/").status_code == browser.post("/").status_code == 403
        assert "personal link" in browser.get("/").text
        assert go(browser, f"/t/{token}")["show"] == "done"
    assert [seen.listener.status for seen in store.seen()] == ["finished"]
    store.close()


def test_what_the_disk_does_not_take_is_not_acknowledged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    with client(folder) as browser:
        home = enrol(browser)
        put = Store.put

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(Store, "put", full)
        found = browser.post(f"{home}/answer", json={"step": 0, "agreed": True})
        assert found.status_code == 503 and found.headers["retry-after"]
        monkeypatch.setattr(Store, "put", put)
        assert browser.post(f"{home}/answer", json={"step": 0, "agreed": True}).json()["step"] == 1


def test_missing_audio_is_told_before_anybody_begins(folder: Path) -> None:
    (folder / "audio" / "sounda.wav").unlink()
    with pytest.raises(InvalidInput, match=r"sounda\.wav is missing"):
        server.application(folder, small.PASSWORD)
    (folder / "audio" / "sounda.wav").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"sounda\.wav: cannot be read as sound"):
        server.application(folder, small.PASSWORD)


def test_a_drawn_test_cannot_name_files_outside_its_audio(folder: Path) -> None:
    text = json.loads((folder / "test.json").read_text())
    (folder / "secret.wav").write_bytes(b"secret")
    text["items"][1]["audio"] = "../secret"
    text["version"] = test.version(test.Test.model_validate(text))
    (folder / "test.json").write_text(json.dumps(text))
    with pytest.raises(InvalidInput, match="is no name for a file"):
        server.application(folder, small.PASSWORD)


def test_the_tables_can_be_made_while_people_answer(browser: TestClient, folder: Path) -> None:
    home = enrol(browser)
    go(browser, home, 6)
    early = zipfile.ZipFile(io.BytesIO(browser.get("/admin/export.zip", auth=ADMIN).content))
    go(browser, home)
    late = zipfile.ZipFile(io.BytesIO(browser.get("/admin/export.zip", auth=ADMIN).content))
    sizes = [len(pl.read_csv(files.read("answers.csv"))) for files in (early, late)]
    assert sizes == [1, 7]


def test_where_playings_are_limited_what_is_handed_out_is_counted(tmp_path: Path) -> None:
    parts = [{**small.EMOTION, "plays": 2}, small.WHERE, small.WORDS]
    folder = small.write(tmp_path / "test", small.drawn(parts=parts))
    with client(folder) as browser:
        home, times = enrol(browser), {"sounda": 3, "soundb": 1, "sounds": 2}
        step = due(browser, home)
        while step["show"] != "done":
            here = step["audio"] if step["show"] == "item" else ""
            for _ in range(times.get(here, 0)):
                found = browser.get(f"{home}/audio/{here}")
                assert found.status_code == 200
                limited = step["plays"] > 0
                assert found.headers["cache-control"] == ("no-store" if limited else "private, max-age=86400")
            if here:
                browser.get(f"{home}/audio/soundp")  # of another step
            if step["plays"]:
                refused = browser.post(f"{home}/answer", json=small.answer(step, plays=3))
                assert refused.status_code == 422 and refused.json() == {"error": "plays: 2 at most"}
            step = browser.post(f"{home}/answer", json=small.answer(step)).json()
        files = zipfile.ZipFile(io.BytesIO(browser.get("/admin/export.zip", auth=ADMIN).content))
        answers = pl.read_csv(files.read("answers.csv")).filter(pl.col("role") != "practice")
        told = answers.select("role", "utterance", "fetched").rows()
        assert ("item", "own:a", 3) in told and ("item", "own:b", 1) in told
        assert ("repeat", "own:a", 3) in told and ("item", "own:s", None) in told
        assert pl.read_csv(files.read("listeners.csv"))["fetched_again"].to_list() == [2]
        browser.post(f"{home}/withdraw", json={})
    store = Store(folder / test.ANSWERS, test.read(folder).version)
    assert store.handed() == {}
    store.close()


def test_a_file_that_was_begun_before_sounds_were_counted_goes_on(folder: Path) -> None:
    with client(folder) as browser:
        go(browser, enrol(browser), 3)
    with contextlib.closing(sqlite3.connect(folder / test.ANSWERS)) as file:
        file.execute("DROP TABLE sounds")
    with client(folder) as browser:
        assert go(browser, enrol(browser))["show"] == "done"
    assert len(kept(folder)) == 3 + 17
