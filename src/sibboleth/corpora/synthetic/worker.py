"""espeak-ng in processes of its own, so that its state and its crashes stay there.

`Worker` starts this module as a program and talks to it in lines of JSON; `speak` shares scripts among several.
Where the system does not really unload the library, a worker ends after each task and is started again.
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import soundfile

from sibboleth import runs
from sibboleth.corpora.synthetic import sound
from sibboleth.corpora.synthetic.phones import Phone
from sibboleth.corpora.synthetic.speech import Espeak, Event, Speech
from sibboleth.errors import SibbolethError


@dataclass(frozen=True)
class Script:
    """One utterance as the voice is to say it."""

    audio: str
    """FLAC file to write."""
    words: tuple[str, ...]
    spoken: tuple[str, ...]
    """The words as given to the voice: themselves, or phones in double square brackets."""
    voice: str
    pitches: tuple[int, ...]
    spread: int
    speed: int
    level: float
    colour: tuple[float, float]
    seed: int
    factor: float = 1.0
    """The voice is played so many times faster, which moves pitch and formants up, as a shorter vocal tract does."""
    tilt: float = 0.0
    room: float = sound.ROOM


@dataclass(frozen=True)
class Segment:
    """One phone or word of an utterance, in seconds of its audio."""

    tier: str
    start: float
    end: float
    label: str


class Worker:
    """One process that speaks; used in a `with` block."""

    def __init__(self) -> None:
        """Start the process."""
        # It lives as long as the worker, which closes it.
        self._complaints = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = self._start()

    def __enter__(self) -> "Worker":
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End the process."""
        self._end()
        self._complaints.close()

    def version(self) -> str:
        """Return the version of espeak-ng."""
        return str(self._ask({"task": "version"}))

    def phones(self, voice: str, texts: Sequence[Sequence[str]]) -> list[list[list[Phone]]]:
        """Return the phones of each word of each text."""
        answer = self._ask({"task": "phones", "voice": voice, "texts": [list(text) for text in texts]})
        return [[[Phone(*phone) for phone in word] for word in text] for text in answer]

    def speak(self, script: Script) -> list[Segment]:
        """Write the audio of one utterance, whole or not at all, and return where its phones and words are."""
        return [Segment(*segment) for segment in self._ask({"task": "speak", "script": asdict(script)})]

    def _start(self) -> "subprocess.Popen[str]":
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.Popen(
            [sys.executable, "-m", "sibboleth.corpora.synthetic.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )

    def _end(self) -> None:
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.communicate()

    def _ask(self, task: dict[str, Any]) -> Any:
        """Send a task and wait; a process that dies of it is started again once."""
        for _ in range(2):
            answer = self._exchange(json.dumps(task))
            if answer is None or answer.get("last"):
                self._end()
                self._process = self._start()
            if answer is not None and "error" in answer:
                raise SibbolethError(answer["error"])
            if answer is not None:
                return answer["answer"]
        self._complaints.seek(0)
        said = self._complaints.read().strip().splitlines()[-1:] or ["it left no message"]
        raise SibbolethError(f"espeak-ng died twice of the same task ({said[0]}): {json.dumps(task)[:300]}")

    def _exchange(self, line: str) -> dict[str, Any] | None:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return None
        try:
            stdin.write(line + "\n")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
        except (OSError, ValueError):
            return None
        return answer


def speak(scripts: Sequence[Script], workers: int) -> Generator[list[Segment]]:
    """Speak all scripts in `workers` processes; yields their segments in the order of the scripts."""
    with contextlib.ExitStack() as processes:
        idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for _ in range(min(workers, len(scripts))):
            idle.put(processes.enter_context(Worker()))

        def one(script: Script) -> list[Segment]:
            worker = idle.get()
            try:
                return worker.speak(script)
            finally:
                idle.put(worker)

        pool = ThreadPoolExecutor(workers)
        try:
            yield from pool.map(one, scripts)
        finally:
            pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def perform(script: Script) -> list[Segment]:
    """Speak one utterance in this process, write its audio and return its segments."""
    with Espeak() as espeak:
        _seed(script.seed)
        speech = espeak.speak(
            script.spoken,
            script.voice,
            pitches=script.pitches,
            spread=script.spread,
            speed=script.speed,
            seed=script.seed,
        )
    speech = replace(speech, rate=round(speech.rate * script.factor))
    samples = sound.record(
        speech.samples,
        speech.rate,
        level=script.level,
        colour=script.colour,
        seed=script.seed,
        tilt=script.tilt,
        room=script.room,
    )
    with runs.atomic(Path(script.audio)) as temporary:
        soundfile.write(temporary, sound.pcm16(samples), sound.RATE, subtype="PCM_16", format="FLAC")
    return segments(speech, script.words)


def _seed(seed: int) -> None:
    """Seed the random numbers of C, from which a few voices take their breath."""
    ctypes.CDLL("ucrtbase" if os.name == "nt" else None).srand(ctypes.c_uint(seed))


def segments(speech: Speech, words: Sequence[str]) -> list[Segment]:
    """Turn the events of a voice into phones and words in seconds of the recording.

    Words said as one (`in the`) are one segment with both in its label.
    """
    heard = [event for event in speech.events if event.phone is not None]
    ends = [*(event.sample for event in heard[1:]), len(speech.samples)]
    phones = [(event, end) for event, end in zip(heard, ends, strict=True) if event.phone]
    found = [Segment("phone", _seconds(e.sample, speech), _seconds(end, speech), e.phone or "") for e, end in phones]
    for word in range(len(words)):
        own = [(event, end) for event, end in phones if event.word == word]
        if own:
            label = _label(word, words, [event for event, _ in phones])
            found.append(Segment("word", _seconds(own[0][0].sample, speech), _seconds(own[-1][1], speech), label))
    return found


def _label(word: int, words: Sequence[str], phones: Sequence[Event]) -> str:
    following = [event.word for event in phones if event.word > word]
    return " ".join(words[word : min(following, default=len(words))])


def _seconds(sample: int, speech: Speech) -> float:
    return round(sound.PAD + sample / speech.rate, 4)


def _answer(task: dict[str, Any]) -> Any:
    if task["task"] == "speak":
        script: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in task["script"].items()}
        return [astuple(segment) for segment in perform(Script(**script))]
    with Espeak() as espeak:
        if task["task"] == "version":
            return espeak.version
        texts = [espeak.phones(words, task["voice"]) for words in task["texts"]]
        return [[[astuple(phone) for phone in word] for word in text] for text in texts]


def unloads() -> bool:
    """Say whether the library forgets its state between uses: whether a second load of it starts afresh."""
    with Espeak():
        pass
    with Espeak() as again:
        return again.fresh


def main() -> None:
    """Answer tasks from standard input until it ends, as it does when the asking process dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever the library prints must not get among the answers.
    last = not unloads()
    for line in sys.stdin:
        try:
            answer = {"answer": _answer(json.loads(line)), "last": last}
        except (SibbolethError, OSError) as error:
            answer = {"error": str(error), "last": last}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if last:
            return


if __name__ == "__main__":
    main()
