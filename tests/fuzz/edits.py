"""Edits: how a file that a parser likes is broken."""

import random
import re
from collections.abc import Sequence

Edit = tuple[str, int, int, bytes]
"""What is done, where, to how many bytes, and with which new ones."""

KINDS = ("insert", "replace", "cut", "double", "end", "value", "value", "group")
"""A value is a word, a text in quotes, or a number, wherever it stands; a group is what is in brackets."""
LENGTHS = (0, 1, 2, 4, 9, 40)
FARTHEST = 5000
CHARACTERS = (b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1c", b"\x85", b"\xd9\xa3")
"""None, no UTF-8, byte order marks, half a surrogate, separators that only Python knows, a digit that is not ASCII."""
MARKS = (b"\r", b"\n", b"\r\n", b'"', b'""', b"'", b",", b";", b"\t", b"[", b"]", b"{", b"}", b"\\", b"<", b"#", b"=")
NUMBERS = (
    *(b"-1", b"-0", b"1e999", b"-1e999", b"1e-9999999999999999999999", b"NaN", b"inf", b"0x10", b"1_0", b"1,5"),
    *(b"99999999999999999999", b"1" + b"0" * 400, b"9" * 5000),
)
"""The last are an integer that is none of 64 bits, one that is no float, and one that Python does not take."""
BINARY = (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x01\x00\x00\x00", b"\x00" * 64)
"""Numbers of four bytes at their limits, of either order."""
VALUES = (
    *(b"true", b"null", b"5", b'"x"', b'""', b'"\\ud800"', b"[]", b"[5]", b'["x", null]', b"{}", b'{"x": 5}'),
    *(b"../../x", b"/etc/passwd", b"~", b"a.wav"),
)
DEEP = (b"[" * 5000, b'{"a":' * 3000)
TOKENS = (b"", *CHARACTERS, *MARKS, *NUMBERS, *BINARY, *VALUES, *DEEP)
_SPANS = {
    "value": re.compile(rb'"[^"\n]*"|[^\s"\[\]{},;:=]+'),
    "group": re.compile(rb"\[[^\[\]]*\]|\{[^{}]*\}"),
}


def edited(seed: bytes, edits: Sequence[Edit]) -> bytes:
    """Change bytes here and there."""
    for kind, begin, length, token in edits:
        if kind in _SPANS:
            if spans := list(_SPANS[kind].finditer(seed)):
                chosen = spans[begin % len(spans)]
                seed = seed[: chosen.start()] + token + seed[chosen.end() :]
            continue
        at = begin % (len(seed) + 1)
        piece = seed[at : at + length]
        new = {"insert": token + piece, "replace": token, "cut": b"", "double": piece * 2, "end": token}[kind]
        seed = seed[:at] + new + (b"" if kind == "end" else seed[at + length :])
    return seed


def chosen(draw: random.Random) -> list[Edit]:
    """Draw a few edits."""
    return [
        (draw.choice(KINDS), draw.randrange(FARTHEST), draw.choice(LENGTHS), draw.choice(TOKENS))
        for _ in range(draw.randint(1, 3))
    ]
