"""Characters: one Unicode form, case, punctuation and symbols."""

import unicodedata

APOSTROPHES = "'\u2019\u02bc\u2018"


def composed(text: str) -> str:
    """Write letters and their marks as one character where there is one (NFC); nothing else becomes another."""
    return unicodedata.normalize("NFC", text)


def compatible(text: str) -> str:
    """Compose, and write ligatures and full-width characters plainly (NFKC): `ĳ` is `ij`, `５` is `5`."""
    return unicodedata.normalize("NFKC", text)


def lower(text: str) -> str:
    """Compose and lower; lowering may leave letters that can be composed again."""
    return composed(composed(text).lower())


def unpunctuated(text: str) -> str:
    """Drop apostrophes, make other punctuation and symbols blanks, and blanks single; the rest stays, composed."""
    plain = (
        "" if character in APOSTROPHES else " " if unicodedata.category(character)[0] in "PS" else character
        for character in composed(text)
    )
    return composed(" ".join("".join(plain).split()))


def unstressed(text: str) -> str:
    """Drop acute accents, which mark stress in Dutch (`één`, `vóór`); those of loans (`café`) go too."""
    marked = unicodedata.normalize("NFD", text)
    return composed(marked.replace("\u0301", ""))


def unmarked(text: str) -> str:
    """Drop all marks above and below letters."""
    marked = unicodedata.normalize("NFD", text)
    return composed("".join(one for one in marked if unicodedata.category(one) != "Mn"))


def is_chinese(character: str) -> bool:
    """Whether a character is a Chinese one (of the blocks of unified and compatibility ideographs, or `〇`)."""
    code = ord(character)
    return (
        0x3400 <= code <= 0x4DBF
        or 0x4E00 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x323AF
        or character == "〇"
    )
