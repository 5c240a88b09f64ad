"""The server of a test: one process, one folder, no cookies.

Nothing is kept in memory but limits, so that a server that was killed goes on where it was.
"""

import base64
import binascii
import contextlib
import hashlib
import secrets
import sqlite3
from collections.abc import AsyncIterator, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from anyio import to_thread
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sibboleth.errors import InvalidInput
from sibboleth.listeners import admin, answering, export, safety, sounds, test, tokens, waveform, words
from sibboleth.listeners.session import Course, Listener, Unfit
from sibboleth.listeners.sounds import Sounds
from sibboleth.listeners.step import Answer, Step
from sibboleth.listeners.store import Store
from sibboleth.listeners.writer import Writer

SHORTEST_PASSWORD = 8
LONGEST_PARAMETER = 200
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


def application(folder: Path, password: str, limits: safety.Limits | None = None) -> ASGIApp:
    """Make the application that serves the test in a folder; `password` opens the admin page.

    Raises `InvalidInput` where the folder holds no test, or not all of its audio, or answers to another.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidInput(f"the admin password: take one of {SHORTEST_PASSWORD} characters or more")
    site = Site(folder, password, limits or safety.Limits())
    return safety.Guard(site.application(), site.limits)


def course(folder: Path) -> Course:
    """Read the test in a folder, with the waveforms that it shows."""
    drawn = test.read(folder)
    shown = {part.name for part in drawn.settings.parts if part.kind == "segments"}
    paths = {item.audio: sounds.find(folder, item.audio) for item in drawn.items if item.part in shown}
    peaks = {name: waveform.peaks(path) for name, path in paths.items()}
    return Course(drawn, words.read(drawn.settings.language), peaks)


class Site:
    """What all requests share."""

    def __init__(self, folder: Path, password: str, limits: safety.Limits) -> None:
        """Read the test, find its audio, open its answers."""
        self.folder = folder
        self.limits = limits
        self.course = course(folder)
        self._password = password.encode()
        self._sounds = Sounds(folder, sounds.names(self.course.test))
        self._files = dict(_web())
        self._pages = jinja2.Environment(
            loader=jinja2.PackageLoader("sibboleth.listeners", "web"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self._reader = self.open()
        self._reader.require_whole()
        self._writer: Writer | None = None

    def open(self) -> Store:
        """Open the answers."""
        return Store(self.folder / test.ANSWERS, self.course.test.version)

    def application(self) -> Starlette:
        """Put the routes together."""
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/", self.begin, methods=["POST"]),
                Route("/t/{token}", self.page),
                Route("/t/{token}/step", self.step),
                Route("/t/{token}/answer", self.answer, methods=["POST"]),
                Route("/t/{token}/withdraw", self.withdraw, methods=["POST"]),
                Route("/t/{token}/audio/{name}", self.audio),
                Route("/web/{name}", self.file),
                Route("/admin", self.admin),
                Route(admin.EXPORT, self.export),
            ],
            exception_handlers={HTTPException: self._refused, sqlite3.Error: self._failed},
            lifespan=self._living,
        )

    async def front(self, request: Request) -> Response:
        """Show the page on which a listener begins. It changes nothing, so that previews of links enrol nobody."""
        return self._begin_page("" if self._open else "links", 200 if self._open else 403)

    async def begin(self, request: Request) -> Response:
        """Begin a listener, or let one who comes again from a platform go on."""
        safety.require_own(request)
        if not self._open:
            return self._begin_page("links", 403)
        safety.require(self.limits.enrol, safety.address(request))
        names = self.course.test.settings.codes.parameters
        people = {name: value for name in names if (value := request.query_params.get(name, "").strip())}
        if any(len(value) > LONGEST_PARAMETER for value in people.values()):
            raise HTTPException(422, f"a parameter has more than {LONGEST_PARAMETER} characters")
        token = await self._write(partial(_begin, people, names))
        return RedirectResponse(f"/t/{token}", 303)

    async def page(self, request: Request) -> Response:
        """Show the page of a listener; what is on it comes by `step`."""
        self._listener(request)
        return self._page("page.html", home=f"/t/{request.path_params['token']}")

    async def step(self, request: Request) -> Response:
        """Tell what is due."""
        return _told(self.course.step(self._listener(request)))

    async def answer(self, request: Request) -> Response:
        """Keep an answer, and tell what is due then."""
        safety.require_own(request)
        self._listener(request)
        try:
            answer = Answer.model_validate_json(await safety.body(request))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise HTTPException(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        try:
            listener = await self._write(partial(_give, self.course, request.path_params["token"], answer))
        except answering.Ahead as error:
            raise HTTPException(409, str(error)) from None
        except Unfit as error:
            raise HTTPException(422, str(error)) from None
        if listener is None:
            raise HTTPException(404, "unknown link")
        return _told(self.course.step(listener))

    async def withdraw(self, request: Request) -> Response:
        """Delete what a listener said."""
        safety.require_own(request)
        listener = self._listener(request)
        await safety.body(request)
        gone = await self._write(partial(_withdraw, listener.rater))
        await self._purge()
        return _told(self.course.step(gone))

    async def audio(self, request: Request) -> Response:
        """Send a sound of the test, or a range of it; where playings are limited, count it and let nobody keep it."""
        listener, name = self._listener(request), request.path_params["name"]
        if listener.status == "withdrawn":
            raise HTTPException(404, "no such sound")
        response = await self._sounds.response(name, request.headers.get("range"))
        if name == self.course.counted(listener):
            response.headers["Cache-Control"] = "no-store"
            if request.method == "GET":
                await self._write(partial(_hand, listener.rater, listener.due))
        return response

    async def file(self, request: Request) -> Response:
        """Send a file that pages need; what browsers keep of it they ask about, so that a new version is seen."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "no such file")
        content, kind, mark = found
        headers = {"Cache-Control": "no-cache", "ETag": mark}
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    async def admin(self, request: Request) -> Response:
        """Show how the test goes."""
        self._require_password(request)
        found = await to_thread.run_sync(self._aside, admin.overview)
        shown = {name: getattr(found, name) for name in found.__dataclass_fields__}
        return self._page("admin.html", **shown)

    async def export(self, request: Request) -> Response:
        """Send all tables."""
        self._require_password(request)
        tables = await to_thread.run_sync(self._aside, export.export)
        name = f'attachment; filename="{self.course.test.settings.name}.zip"'
        content = await to_thread.run_sync(export.archive, tables)
        return Response(content, media_type="application/zip", headers={"Content-Disposition": name})

    def _aside(self, work: Any) -> Any:
        """Do work with a connection of its own, in another thread."""
        with contextlib.closing(self.open()) as store:
            return work(store, self.course)

    @property
    def _open(self) -> bool:
        return self.course.test.settings.people.registration == "open"

    def _listener(self, request: Request) -> Listener:
        """Return whose link it is; raises 404 of an unknown one, and 429 where there are too many."""
        token = request.path_params["token"]
        found = self._reader.listener(token) if tokens.PATTERN.fullmatch(token) else None
        if found is None:
            safety.require(self.limits.unknown, safety.address(request))
            raise HTTPException(404, "unknown link")
        safety.require(self.limits.token, str(found.rater))
        return found

    def _require_password(self, request: Request) -> None:
        """Raise 401 without the password, and 429 after too many wrong ones, whatever is sent then."""
        place = safety.address(request)
        left = self.limits.password.left(place)
        if left < 1:
            raise safety.too_many((1 - left) / self.limits.password.rate)
        given = _password(request.headers.get("authorization", ""))
        if given is not None and secrets.compare_digest(given, self._password):
            return
        if given is not None:
            self.limits.password.take(place)
        raise HTTPException(401, "the password is needed", {"WWW-Authenticate": 'Basic realm="sibboleth"'})

    async def _write(self, work: Any) -> Any:
        if self._writer is None:
            raise HTTPException(503, "not ready", {"Retry-After": "1"})
        return await self._writer.do(work)

    async def _purge(self) -> None:
        await to_thread.run_sync(self._aside, _purge)

    def _page(self, name: str, status: int = 200, **values: object) -> Response:
        settings, said = self.course.test.settings, self.course.words
        shared = {"title": settings.title or settings.name, "contact": settings.contact, "words": said}
        return HTMLResponse(self._pages.get_template(name).render(**shared, **values), status)

    def _begin_page(self, problem: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
        page = self._page("begin.html", status, problem=problem)
        # Browsers name no origin in what a form sends from a page without referrer; this address has no secret.
        page.headers.update({"Referrer-Policy": "same-origin", **(headers or {})})
        return page

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        page = request.scope.get("endpoint") in (self.page, self.front, self.begin)
        if page and error.status_code in (404, 429):
            return self._begin_page("unknown" if error.status_code == 404 else "busy", error.status_code, error.headers)
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    async def _failed(self, request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "the answer could not be kept; send it again"}, 503, {"Retry-After": "2"})

    @contextlib.asynccontextmanager
    async def _living(self, _: Starlette) -> AsyncIterator[None]:
        self._writer = Writer(self.open())
        try:
            yield
        finally:
            await self._writer.close()
            self._writer = None


def _begin(people: Mapping[str, str], names: tuple[str, ...], store: Store) -> str:
    return answering.begin(store, people, names)


def _give(course: Course, token: str, answer: Answer, store: Store) -> Listener | None:
    return answering.give(store, course, token, answer)


def _hand(rater: int, step: int, store: Store) -> None:
    store.hand(rater, step)


def _withdraw(rater: int, store: Store) -> Listener | None:
    store.withdraw(rater)
    return store.numbered(rater)


def _purge(store: Store, _: Course) -> None:
    store.purge()


def _told(step: Step) -> Response:
    return Response(step.model_dump_json(exclude_defaults=False), media_type="application/json")


def _password(header: str) -> bytes | None:
    """Return the password of HTTP's Basic scheme; the user's name does not matter."""
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2] if scheme.lower() == "basic" else None
    except binascii.Error:
        return None


def _web() -> Any:
    """Yield what pages need by name: content, type, and a mark that changes with it. Templates are not among it."""
    for file in resources.files("sibboleth.listeners").joinpath("web").iterdir():
        kind = _TYPES.get(Path(file.name).suffix)
        if kind:
            content = file.read_bytes()
            yield file.name, (content, kind, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
