"""espeak-ng in this process, through ctypes: text to samples, phones and times.

The library keeps state between utterances and can crash, so every use loads it anew and unloads it, and only the
worker processes of `worker` use it.
"""

import contextlib
import ctypes
import html
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sibboleth.corpora.synthetic import phones
from sibboleth.corpora.synthetic.phones import Phone
from sibboleth.errors import MissingExtra, SibbolethError

LONGEST_PATH = 120
"""Longest data path, in bytes, handed to the library; it overruns a buffer somewhere above 160."""

_SYNCHRONOUS, _PHONEME_EVENTS, _IPA_EVENTS, _DONT_EXIT = 2, 1, 2, 0x8000
_UTF8, _SSML, _PHONEMES = 1, 0x10, 0x100
_RATE, _PITCH, _RANGE = 1, 3, 4
_WORD_EVENT, _PHONEME_EVENT = 1, 7
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Event:
    """A word or a phone begins; a phone of no sound is a pause."""

    word: int
    """Index of the word it belongs to."""
    sample: int
    phone: str | None
    """IPA, empty for a pause; None for the beginning of a word."""


@dataclass(frozen=True)
class Speech:
    """What the voice said, at the library's own rate."""

    samples: npt.NDArray[np.int16]
    rate: int
    events: tuple[Event, ...]


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def require() -> None:
    """Raise `MissingExtra` where espeak-ng is not installed."""
    try:
        import espeakng_loader  # noqa: F401
    except ImportError:
        raise MissingExtra("the controlled corpus", "speech") from None


class Espeak:
    """The library, freshly loaded: what it says depends on nothing said before."""

    def __init__(self, data: Path | None = None) -> None:
        """Load it with its own data, or those in `data`."""
        require()
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.fresh: bool = self._library.espeak_ng_GetSampleRate() == 0
        """False where the system did not really unload the library after its last use."""
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._samples: list[npt.NDArray[np.int16]] = []
        self._events: list[tuple[int, int, int, bytes]] = []
        self._callback = _Callback(self._receive)
        self._kept = contextlib.ExitStack()
        path = self._kept.enter_context(short_path(data or Path(espeakng_loader.get_data_path())))
        options = _PHONEME_EVENTS | _IPA_EVENTS | _DONT_EXIT
        self.rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(path), options))
        if self.rate <= 0:
            self._kept.close()
            raise SibbolethError(f"espeak-ng cannot read its data ({path}); install espeakng-loader again")
        self._library.espeak_SetSynthCallback(self._callback)

    def __enter__(self) -> "Espeak":
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Unload it, which forgets its state."""
        self._library.espeak_Terminate()
        _unload(self._library)
        self._kept.close()

    @property
    def version(self) -> str:
        """Version of espeak-ng."""
        return str(self._library.espeak_Info(None).decode().split()[0])

    def speak(
        self, words: Sequence[str], voice: str, *, pitches: Sequence[int], spread: int, speed: int, seed: int
    ) -> Speech:
        """Speak words, each at its own pitch (0 to 100), with a pitch range (0 to 100) and a speed (words per minute).

        A word in double square brackets is phones, `[[h|@|l|'oU]]`. Raises `SibbolethError` for an unknown voice.
        """
        document, starts = _document(words, pitches)
        self._choose(voice)
        for parameter, value in ((_RATE, speed), (_RANGE, spread), (_PITCH, 50)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._samples.clear()
        self._events.clear()
        text = document.encode() + b"\0"
        failed = self._library.espeak_Synth(text, len(text), 0, 1, 0, _UTF8 | _SSML | _PHONEMES, None, None)
        if failed or not self._samples:
            raise SibbolethError(f"espeak-ng said nothing for {' '.join(words)!r} with voice {voice!r}")
        events = tuple(self._event(event, starts) for event in self._events)
        return Speech(np.concatenate(self._samples), self.rate, events)

    def phones(self, words: Sequence[str], voice: str) -> list[list[Phone]]:
        """Return the phones of each word; words said as one (`in the`) have theirs with the first."""
        spoken = [e for e in self.speak(words, voice, pitches=[50] * len(words), spread=50, speed=165, seed=1).events]
        heard = [event for event in spoken if event.phone]
        written = self._transcribe(" ".join(words), voice)
        if [phone.ipa for phone in written] != [event.phone for event in heard]:
            raise SibbolethError(f"espeak-ng speaks {' '.join(words)!r} otherwise than it transcribes it")
        return [
            [phone for phone, event in zip(written, heard, strict=True) if event.word == word]
            for word in range(len(words))
        ]

    def _transcribe(self, text: str, voice: str) -> list[Phone]:
        self._choose(voice)
        names, sounds = (self._text_to_phonemes(text, ord(_SEPARATOR) << 8 | mode) for mode in (0, 2))
        found = []
        for name, sound in zip(names, sounds, strict=True):
            plain = name.lstrip("',")
            if tone := re.search(r"(?<=\D)(11|35|51|55|214)$", plain):
                # Mandarin: the tone is glued to its vowel, as digits to the name and as one sign to the IPA.
                plain, sound = plain[: tone.start()], sound[:-1]
            if phone := phones.ipa(sound):
                found.append(Phone(plain, phone, name[0] if name[0] in "'," else ""))
        return found

    def _text_to_phonemes(self, text: str, mode: int) -> list[str]:
        buffer = ctypes.create_string_buffer(text.encode())
        position = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses = []
        while position.value:
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(position), _UTF8, mode).decode())
        return [name for clause in clauses for name in clause.replace(" ", _SEPARATOR).split(_SEPARATOR)]

    def _choose(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise SibbolethError(f"espeak-ng has no voice {voice!r}")

    def _receive(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        if samples and count > 0:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).astype(np.int16))
        for index in range(1_000_000):
            event = events[index]
            if event.type == 0:
                break
            if event.type in (_WORD_EVENT, _PHONEME_EVENT):
                self._events.append((event.type, event.text_position, event.sample, bytes(event.id.string)))
        return 0

    def _event(self, event: tuple[int, int, int, bytes], starts: Sequence[int]) -> Event:
        kind, position, sample, spelling = event
        # A position counts characters from 1 and lies inside the word it belongs to.
        word = max((index for index, start in enumerate(starts) if start < position), default=0)
        phone = phones.ipa(spelling.decode(errors="ignore")) if kind == _PHONEME_EVENT else None
        return Event(word, sample, phone)


def _document(words: Sequence[str], pitches: Sequence[int]) -> tuple[str, list[int]]:
    """Write SSML with one pitch per word; also the character at which each word starts."""
    document, starts = "", []
    for word, pitch in zip(words, pitches, strict=True):
        document += f'<prosody pitch="{pitch}">'
        starts.append(len(document))
        # A tag right behind phones in brackets would be read aloud, hence the blank.
        document += f"{html.escape(word, quote=False)} </prosody>"
    return document, starts


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[Path]:
    """Give a path to the same folder that is short enough for the library."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
        link = Path(folder) / "espeak-ng-data"
        if len(os.fsencode(link)) > LONGEST_PATH:
            raise SibbolethError(f"{folder}: too long a path for espeak-ng; set TMPDIR to a folder with a shorter one")
        link.symlink_to(path, target_is_directory=True)
        yield link


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    close = getattr(_ctypes, "FreeLibrary" if os.name == "nt" else "dlclose")
    close(library._handle)
