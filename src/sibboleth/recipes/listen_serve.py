"""Serve a listening test: one process, which Ctrl-C ends and the same command takes up again."""

import os
import secrets
import socket
from pathlib import Path

from sibboleth import storage
from sibboleth.errors import MissingExtra, SibbolethError
from sibboleth.terminal import Terminal

PASSWORD = "SIBBOLETH_LISTEN_PASSWORD"
LOCK = ".serving"
_AT_ONCE = 4000
"""Connections; more are told to come again."""


def listen_serve(folder: Path, *, host: str = "127.0.0.1", port: int = 8000, proxy: bool = False) -> None:
    """Serve the listening test in a folder until Ctrl-C; every answer is on the disk before it is acknowledged.

    Args:
        folder: What `sibboleth listen design` wrote. Answers go into answers.sqlite there.
        host: Address to listen at; 0.0.0.0 for every one of this machine.
        port: Port to listen at; 0 takes a free one.
        proxy: A reverse proxy on this machine stands before it: take people's addresses from X-Forwarded-For.

    The admin page asks for the password in SIBBOLETH_LISTEN_PASSWORD, or for one that is made and printed.
    """
    try:
        import uvicorn

        from sibboleth.listeners import server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("sibboleth"):
            raise
        raise MissingExtra("the listening test", "listen") from None
    made = secrets.token_urlsafe(16)
    application = server.application(folder, os.environ.get(PASSWORD) or made)
    guard = storage.lock(folder / LOCK, wait=False)
    if guard is None:
        raise SibbolethError(f"{folder}: is being served already; end that process first")
    with guard, _listening(host, port) as listening:
        address = f"http://{'localhost' if host == '127.0.0.1' else _bracketed(host)}:{listening.getsockname()[1]}"
        shown = Terminal(soft_wrap=True)
        shown.print(f"listeners: {address}/")
        password = f"the password in {PASSWORD}" if os.environ.get(PASSWORD) else f"password {made}"
        shown.print(f"admin:     {address}/admin (any name, {password})")
        if not proxy and host not in ("127.0.0.1", "localhost", "::1"):
            shown.print("not encrypted: put HTTPS before it where people answer over the internet (docs/listening.md)")
        shown.print("Ctrl-C ends it; the same command goes on.")
        config = uvicorn.Config(
            application,
            lifespan="on",
            log_level="error",
            access_log=False,  # no addresses, no tokens in logs
            server_header=False,
            proxy_headers=proxy,
            forwarded_allow_ips="127.0.0.1,::1",
            limit_concurrency=_AT_ONCE,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
        )
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise SibbolethError(f"{host}, port {port}: cannot be listened at ({error}); choose another --port") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
