"""Mandarin: each Chinese character is a word, figures in characters, other scripts word by word.

Simplified and traditional characters are left as they are. `两` counts as `二` and `〇` as `零`, because figures do not
tell which was said. Error rates over these words are what the field calls CER (with words of Latin letters, MER).
"""

import re
from collections.abc import Callable

from sibboleth.texts import characters, spellings
from sibboleth.texts.spellings import Spellings

FIGURES = "零一二三四五六七八九"
GROUPS = ("", "万", "亿", "万亿")
LONGEST = 16
CURRENCIES = {"¥": "元", "$": "美元", "€": "欧元", "£": "英镑"}


def mandarin(text: str, table: Spellings) -> str:
    """Normalise a Mandarin text to characters divided by blanks; doing it twice changes nothing."""
    plain = characters.lower(characters.compatible(text.replace("〇", "零")))
    for rule, words in _RULES:
        plain = rule.sub(words, plain)
    divided = "".join(f" {one} " if characters.is_chinese(one) else one for one in characters.unpunctuated(plain))
    return characters.composed(spellings.spelled(divided, table))


def number(figures: str) -> str:
    """Write a number in Chinese characters; what begins with 0 or is too long, figure by figure."""
    whole, _, decimals = figures.replace(",", "").partition(".")
    said = _read(whole) if (whole == "0" or not whole.startswith("0")) and len(whole) <= LONGEST else _spelled(whole)
    return f"{said}点{_spelled(decimals)}" if decimals else said


def _spelled(figures: str) -> str:
    return "".join(FIGURES[int(figure)] for figure in figures)


def _read(whole: str) -> str:
    """Read in groups of four figures; what is missing between them is one zero."""
    groups = [int(whole[max(end - 4, 0) : end]) for end in range(len(whole), 0, -4)]
    said = ""
    for power in reversed(range(len(groups))):
        group = groups[power]
        higher = any(groups[power + 1 :])
        if group:
            said += ("零" if higher and (group < 1000 or not groups[power + 1]) else "") + _group(group) + GROUPS[power]
    said = re.sub("零+", "零", said) or "零"
    return said.removeprefix("一") if said.startswith("一十") else said


def _group(value: int) -> str:
    said, skipped = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        figure = value // unit % 10
        if figure:
            said += ("零" if skipped and said else "") + FIGURES[figure] + name
        skipped = not figure
    return said


_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(rule), words)
    for rule, words in (
        (r"(\d{4})(?=\s*年)", lambda found: _spelled(found[1])),
        (
            r"(?<![\d:])(\d\d?):([0-5]\d)(?![\d:])",
            lambda found: f"{number(found[1])}点{number(str(int(found[2]))) + '分' if int(found[2]) else ''}",
        ),
        (rf"({_NUMBER})\s*%", lambda found: f"百分之{number(found[1])}"),
        (
            rf"([{''.join(CURRENCIES)}])\s*({_NUMBER})\s*([万亿]*)",
            lambda found: f"{number(found[2])}{found[3]}{CURRENCIES[found[1]]}",
        ),
        (r"(?<![\w.])-(?=\d)", lambda found: "负"),
        (rf"({_NUMBER})", lambda found: number(found[1])),
        ("°c|℃", lambda found: "摄氏度"),
        ("%", lambda found: "百分之"),
    )
)
