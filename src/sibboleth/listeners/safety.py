"""What keeps the server from doing what it should not: limits, headers, and whose requests are taken."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 64 * 1024
"""Bytes of a body."""
PATIENCE = 20.0
"""Seconds in which a body has to arrive."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
_RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


@dataclass
class Bucket:
    """So many at once, and so many a second after that, for each of many names."""

    burst: float
    rate: float
    most: int = 50_000
    """Names that are remembered; of more, those seen longest ago are forgotten."""
    _left: "OrderedDict[str, tuple[float, float]]" = field(default_factory=OrderedDict)

    def take(self, name: str) -> float:
        """Take one; returns 0, or the seconds after which there is one."""
        left = self.left(name)
        if left < 1:
            return (1 - left) / self.rate
        self._left[name] = left - 1, time.monotonic()
        self._left.move_to_end(name)
        if len(self._left) > self.most:
            self._left.popitem(last=False)
        return 0.0

    def left(self, name: str) -> float:
        """Return how many there are now."""
        left, at = self._left.get(name, (self.burst, 0.0))
        return min(self.burst, left + (time.monotonic() - at) * self.rate)


@dataclass
class Limits:
    """How much is answered. Whole institutes share one address, so what an address may is much."""

    address: Bucket = field(default_factory=lambda: Bucket(4000, 1000))
    token: Bucket = field(default_factory=lambda: Bucket(60, 12))
    enrol: Bucket = field(default_factory=lambda: Bucket(300, 1))
    unknown: Bucket = field(default_factory=lambda: Bucket(40, 0.2))
    """Links of nobody, by address."""
    password: Bucket = field(default_factory=lambda: Bucket(5, 1 / 60))
    """Wrong passwords, by address."""


def require(bucket: Bucket, name: str) -> None:
    """Raise 429 where there were too many."""
    wait = bucket.take(name)
    if wait:
        raise too_many(wait)


def too_many(wait: float) -> HTTPException:
    """Make the answer to who asks too often."""
    return HTTPException(429, "too many requests", {"Retry-After": str(max(1, round(wait + 0.5)))})


def address(request: Request) -> str:
    """Return from where a request comes; IPv6 by its network, of which one person may have 2^64 addresses."""
    host = request.client.host if request.client else ""
    return ":".join(host.split(":")[:4]) if host.count(":") > 3 else host


def require_own(request: Request) -> None:
    """Raise 403 of a POST that a page of another site sends.

    Browsers say which with `Sec-Fetch-Site` (over HTTPS and on this machine) or `Origin`; who says neither is refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        own = site == "same-origin"
    else:
        origin = urlsplit(request.headers.get("origin", ""))
        own = bool(origin.netloc) and _plain(origin.netloc) == _plain(request.headers.get("host", ""))
    if not own:
        raise HTTPException(403, "another site may not send this")


def _plain(host: str) -> str:
    return host.lower().removesuffix(":443").removesuffix(":80")


async def body(request: Request, kind: str = "application/json") -> bytes:
    """Return the body; raises 415 where it is of another kind, 413 where it is too large, 408 where it is too slow."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != kind:
        raise HTTPException(415, f"send {kind}")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST:
        raise HTTPException(413, f"send no more than {LARGEST} bytes")
    try:
        async with asyncio.timeout(PATIENCE):
            return await _read(request)
    except TimeoutError:
        raise HTTPException(408, "the request took too long") from None
    except ClientDisconnect:
        raise HTTPException(400, "the request ended early") from None


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise HTTPException(413, f"send no more than {LARGEST} bytes")
        parts.append(part)
    return b"".join(parts)


class Guard:
    """Puts the headers on every answer, and holds back addresses that ask too often."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        """Stand before an application."""
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _RAW if pair[0] not in there)]
            await send(message)

        wait = self._limits.address.take(address(Request(scope)))
        if not wait:
            await self._app(scope, receive, guarded)
            return
        start = {"type": "http.response.start", "status": 429}
        await guarded({**start, "headers": [(b"retry-after", str(max(1, round(wait + 0.5))).encode())]})
        await guarded({"type": "http.response.body", "body": b""})
