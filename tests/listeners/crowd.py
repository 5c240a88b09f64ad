"""Many simulated listeners at once, who send as the page does: again until it is acknowledged, sometimes twice.

They are simulated, and what they answer is noise; they are there to see what the server loses.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sibboleth.listeners import test
from sibboleth.listeners.step import Answer
from sibboleth.listeners.store import Store

FIRST_WAIT = 1.0
"""Seconds after which somebody who could not reach the server tries again, each time twice as many: `connection.js`."""
LONGEST_WAIT = 30.0
Answering = Callable[[dict[str, Any]], dict[str, Any]]


class Lost(Exception):
    """The connection broke."""


@dataclass
class Crowd:
    """What happened to all listeners."""

    port: int
    answer: Answering
    think: float = 0.0
    """Seconds between answers, on average."""
    twice: float = 0.1
    """Share of answers that are sent twice at once, as by a double click in two tabs."""
    times: list[float] = field(default_factory=list)
    """Seconds of every request that was answered."""
    acknowledged: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    """Answers that the server took, by token and step."""
    broken: int = 0

    async def listen(self, number: int) -> None:
        """Take the whole test."""
        dice = random.Random(number)
        browser = Browser(self, [])
        await asyncio.sleep(dice.random() * self.think)
        home = (await browser.ask("POST", f"/?PROLIFIC_PID=person{number}"))[1]["location"]
        token = home.rsplit("/", 1)[-1]
        taken = self.acknowledged.setdefault(token, {})
        step = json.loads((await browser.ask("GET", f"{home}/step"))[2])
        while step["show"] not in ("done", "screened"):
            for name in [step["audio"], *step["tones"]]:
                if name:
                    await browser.ask("GET", f"{home}/audio/{name}")
            await asyncio.sleep(dice.expovariate(1 / self.think) if self.think else 0)
            given = self.answer(step)
            sent = [browser.ask("POST", f"{home}/answer", given)]
            if dice.random() < self.twice:
                sent.append(self._tab(f"{home}/answer", given))
            (status, _, body), *_ = await asyncio.gather(*sent)
            assert status == 200, (status, body, given)
            taken[step["step"]] = given
            step = json.loads(body)
        await browser.close()

    async def _tab(self, path: str, given: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """Send an answer from another tab."""
        browser = Browser(self, [])
        found = await browser.ask("POST", path, given)
        await browser.close()
        return found

    async def all(self, count: int) -> None:
        """Let so many listen."""
        await asyncio.gather(*(self.listen(number) for number in range(count)))

    def percentile(self, percent: float) -> float:
        """Return milliseconds within which so many requests were answered."""
        return float(np.percentile(self.times, percent)) * 1000


@dataclass
class Browser:
    """One connection that is kept open, with as little client around it as can be."""

    crowd: Crowd
    open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

    async def ask(self, method: str, path: str, sent: Any = None) -> tuple[int, dict[str, str], bytes]:
        """Ask until there is an answer."""
        wait = FIRST_WAIT
        while True:
            try:
                begun = time.perf_counter()
                found = await self._once(method, path, sent)
            except (OSError, EOFError, Lost):
                self.crowd.broken += 1
                await self.close()
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            if found[0] in (429, 503):
                await asyncio.sleep(float(found[1].get("retry-after", "1")))
                continue
            self.crowd.times.append(time.perf_counter() - begun)
            return found

    async def close(self) -> None:
        """Hang up."""
        while self.open:
            _, writer = self.open.pop()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _once(self, method: str, path: str, sent: Any) -> tuple[int, dict[str, str], bytes]:
        if not self.open:
            self.open.append(await asyncio.open_connection("127.0.0.1", self.crowd.port))
        reader, writer = self.open[0]
        body = b"" if sent is None else json.dumps(sent).encode()
        kind = "" if sent is None else "Content-Type: application/json\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n{kind}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            await self.close()
        return int(lines[0].split()[1]), headers, content


class Server:
    """The server as a process of its own, which can be killed."""

    def __init__(self, command: list[str]) -> None:
        """Begin it; `{port}` in the command stands for its port."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._command = [part.format(port=self.port) for part in command]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers; `begun` is the processor time that it took, in seconds."""
        environment = {**os.environ, "SIBBOLETH_LISTEN_PASSWORD": "a long password"}
        self.process = subprocess.Popen(self._command, env=environment, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                self.begun = _used(self.process.pid)
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        """End it as the system does that has no memory left: with -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as Ctrl-C does, and return its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def _used(process: int) -> float:
    """Return the seconds of processor time of a process; 0 where the system does not tell."""
    place = Path(f"/proc/{process}/stat")
    if not place.exists():
        return 0.0
    fields = place.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(folder: Path) -> Server:
    """Serve a test."""
    return Server([sys.executable, "-m", "sibboleth", "listen", "serve", str(folder), "--port", "{port}"])


def require_all(folder: Path, crowd: Crowd, count: int, steps: int) -> None:
    """Fail where anything was lost or doubled: every acknowledged answer is there once, as it was sent."""
    store = Store(folder / test.ANSWERS, test.read(folder).version)
    seen = store.seen()
    assert len(seen) == len(crowd.acknowledged) == count
    assert {one.listener.status for one in seen} == {"finished"}
    for token, taken in crowd.acknowledged.items():
        listener = store.listener(token)
        assert listener is not None
        kept = {one.step: Answer.model_validate_json(one.given) for one in store.answers(listener.rater)}
        assert list(kept) == list(range(steps))
        assert kept == {step: Answer.model_validate(given) for step, given in taken.items()}
    store.close()


async def killing(server: Server, times: int, after: float, work: "asyncio.Task[None]") -> None:
    """Kill the server so many times while work goes on, and start it again."""
    for _ in range(times):
        await asyncio.sleep(after)
        if work.done():
            break
        server.kill()
        await asyncio.to_thread(server.start)
    await work
