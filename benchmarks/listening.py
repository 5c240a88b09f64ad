"""What a listening test's server takes to answer 200 listeners at once, against a bare application that keeps nothing.

    python -m benchmarks.listening                    # each listener answers once a second, on average
    python -m benchmarks.listening --think 0          # as fast as the server lets them

Both are served by uvicorn with the same settings, in a process of their own; the simulated listeners share the cores
with it. They fetch each sound, and send a tenth of their answers twice at once. Run it on a machine that does nothing
else: times wait for whoever else computes, processor time per request hardly does.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.listeners import small
from tests.listeners.crowd import Crowd, Server, require_all, served

ITEMS = 32
ORDER = ("p", *("a", "b", "c", "r") * (ITEMS // 4), "s", "t")
STEPS = 4 + 3 + 1 + ITEMS + 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--think", type=float, default=1.0, help="seconds between answers, on average")
    parser.add_argument("--bare", type=int, metavar="PORT", help="serve the bare application (the benchmark does)")
    asked = parser.parse_args()
    if asked.bare:
        bare(asked.bare)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = small.write(Path(place) / "test", small.drawn(orders=[ORDER] * 4))
        for name, server in (("sibboleth", served(folder)), ("bare", Server(_BARE))):
            crowd = Crowd(server.port, small.answer, think=asked.think)
            asyncio.run(crowd.all(asked.listeners))
            used = _ended(server)
            times = ", ".join(f"p{percent} {crowd.percentile(percent):.0f} ms" for percent in (50, 95, 99))
            each = 1e6 * used / len(crowd.times)
            print(f"{name}: {len(crowd.times):,} requests, {times}; {each:.0f} us of processor time each")
            if name == "sibboleth":
                require_all(folder, crowd, asked.listeners, STEPS)
                print("           no answer lost or doubled")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


def _ended(server: Server) -> float:
    """End a server; returns the seconds of processor time that it used, its start left out."""
    server.process.send_signal(signal.SIGINT)
    _, _, used = os.wait4(server.process.pid, 0)
    return used.ru_utime + used.ru_stime - server.begun


_BARE = [sys.executable, "-m", "benchmarks.listening", "--bare", "{port}"]


def bare(port: int) -> None:
    """Answer the same requests with what was made before."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, RedirectResponse, Response
    from starlette.routing import Route

    sound = bytes(32044)
    begun = iter(range(10**9))
    shown = {"show": "item", "kind": "choice", "scales": [], "tones": [], "audio": "sounda", "text": "x" * 500}

    async def begin(_: Request) -> Response:
        return RedirectResponse(f"/t/{next(begun):032}", 303)

    async def step(_: Request) -> Response:
        return JSONResponse({**shown, "step": 0})

    async def answer(request: Request) -> Response:
        number = (await request.json())["step"] + 1
        return JSONResponse({**shown, "step": number, "show": "done" if number == STEPS else "item"})

    async def audio(_: Request) -> Response:
        return Response(sound, media_type="audio/wav")

    routes = [
        Route("/", begin, methods=["POST"]),
        Route("/t/{token}/step", step),
        Route("/t/{token}/answer", answer, methods=["POST"]),
        Route("/t/{token}/audio/{name}", audio),
    ]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning", access_log=False, timeout_keep_alive=30)


if __name__ == "__main__":
    main()
