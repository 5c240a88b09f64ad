"""Figures in words: lists checked by hand against Taalunie's and Duden's rules, and every number read back."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibboleth import texts
from sibboleth.texts import mandarin
from sibboleth.texts.germanic import DUTCH, GERMAN, Numerals

DUTCH_WORDS = {
    0: "nul",
    1: "een",
    14: "veertien",
    20: "twintig",
    21: "eenentwintig",
    22: "tweeëntwintig",
    33: "drieëndertig",
    88: "achtentachtig",
    100: "honderd",
    101: "honderdeen",
    123: "honderddrieëntwintig",
    200: "tweehonderd",
    999: "negenhonderdnegenennegentig",
    1000: "duizend",
    1026: "duizend zesentwintig",
    2300: "tweeduizend driehonderd",
    21_000: "eenentwintigduizend",
    100_000: "honderdduizend",
    1_000_000: "een miljoen",
    2_500_000: "twee miljoen vijfhonderdduizend",
    3_000_000_001: "drie miljard een",
}
DUTCH_ORDINALS = {
    1: "eerste",
    2: "tweede",
    3: "derde",
    8: "achtste",
    12: "twaalfde",
    19: "negentiende",
    20: "twintigste",
    22: "tweeëntwintigste",
    100: "honderdste",
    103: "honderdderde",
    1000: "duizendste",
    1002: "duizend tweede",
    1000000: "een miljoenste",
}
GERMAN_WORDS = {
    0: "null",
    1: "eins",
    16: "sechzehn",
    17: "siebzehn",
    21: "einundzwanzig",
    30: "dreißig",
    101: "einhunderteins",
    1001: "eintausendeins",
    2345: "zweitausenddreihundertfünfundvierzig",
    21_000: "einundzwanzigtausend",
    101_000: "einhunderteintausend",
    1_000_000: "eine million",
    3_000_002: "drei millionen zwei",
}
CHINESE = {
    "0": "零",
    "10": "十",
    "12": "十二",
    "20": "二十",
    "101": "一百零一",
    "110": "一百一十",
    "1005": "一千零五",
    "1010": "一千零一十",
    "10000": "一万",
    "10500": "一万零五百",
    "100000": "十万",
    "1234567": "一百二十三万四千五百六十七",
    "20000005": "二千万零五",
    "100000000": "一亿",
    "1,000": "一千",
    "3.14": "三点一四",
    "007": "零零七",
}


@pytest.mark.parametrize(("number", "words"), DUTCH_WORDS.items())
def test_dutch_cardinals(number: int, words: str) -> None:
    assert DUTCH.cardinal(number) == words


@pytest.mark.parametrize(("number", "words"), DUTCH_ORDINALS.items())
def test_dutch_ordinals(number: int, words: str) -> None:
    assert DUTCH.ordinal(number) == words


@pytest.mark.parametrize(("number", "words"), GERMAN_WORDS.items())
def test_german_cardinals(number: int, words: str) -> None:
    assert GERMAN.cardinal(number) == words


def test_german_ordinals() -> None:
    told = [GERMAN.ordinal(number) for number in (1, 2, 3, 7, 8, 19, 20, 101, 1000)]
    assert told == ["erste", "zweite", "dritte", "siebte", "achte", "neunzehnte", "zwanzigste", "einhunderterste"] + [
        "eintausendste"
    ]


@pytest.mark.parametrize(("figures", "words"), CHINESE.items())
def test_chinese_numbers(figures: str, words: str) -> None:
    assert mandarin.number(figures) == words


def read_back(words: str, language: Numerals) -> int:
    """Add up the parts of a number in words, from the largest down, as a listener would."""
    large = {language.large[0][1]: 10**6, language.large[1][1]: 10**9, language.large[2][1]: 10**12}
    singular = {language.large[k][0]: 10 ** (6 + 3 * k) for k in range(3)}
    total = 0
    for name, value in sorted({**large, **singular}.items(), key=lambda item: -item[1]):
        if name in singular and words.startswith(name):
            total, words = total + value, words.removeprefix(name).strip()
        elif (found := re.match(rf"(.+?) {name}\b", words)) and "mil" not in found[1] and "bil" not in found[1]:
            total, words = total + small(found[1], language) * value, words[found.end() :].strip()
    return total + small(words, language)


def small(words: str, language: Numerals) -> int:
    words = words.replace(" ", "").replace("ë", "e")
    total = 0
    for name, value in ((language.thousand.strip(), 1000), (language.hundred, 100)):
        before, found, after = words.partition(name)
        if found:
            total, words = total + value * (small(before, language) if before else 1), after
    if not words:
        return total
    if words in (*language.small, language.one):
        return total + (1 if words == language.one else language.small.index(words))
    for value, tens in enumerate(language.tens, start=2):
        if words.endswith(tens):
            unit = words.removesuffix(tens).removesuffix(language.joint)
            return total + 10 * value + (small(unit, language) if unit else 0)
    raise AssertionError(words)


@pytest.mark.parametrize("language", [DUTCH, GERMAN], ids=["dutch", "german"])
def test_every_number_is_read_back(language: Numerals) -> None:
    said = [language.cardinal(number) for number in range(10_000)]
    assert len(set(said)) == 10_000
    assert [read_back(words, language) for words in said] == list(range(10_000))


@pytest.mark.parametrize("language", [DUTCH, GERMAN], ids=["dutch", "german"])
@settings(deadline=None, max_examples=100)
@given(number=st.integers(10_000, 10**15 - 1))
def test_large_numbers_are_read_back(language: Numerals, number: int) -> None:
    assert read_back(language.cardinal(number), language) == number


SAID = {
    "dutch": [
        ("Het kost € 3,50, dus 12,5% minder.", "het kost drie euro vijftig dus twaalf komma vijf procent minder"),
        ("€3.000,- of 0,05 euro of 1 euro", "drieduizend euro of vijf cent of een euro"),
        ("€ 1,5 mln, $2 miljard", "een komma vijf miljoen euro twee miljard dollar"),
        ("om 14:30 uur, 7u30, 9u, 10.00 uur", "om veertien uur dertig zeven uur dertig negen uur tien uur"),
        ("in 1999, 2024 en 1500", "in negentienhonderdnegenennegentig tweeduizend vierentwintig en vijftienhonderd"),
        ("1.999 of 1999", "duizend negenhonderdnegenennegentig of negentienhonderdnegenennegentig"),
        ("de 1e, 2de, 20ste en 101e", "de eerste tweede twintigste en honderdeerste"),
        ("3,14 en 3.14 en 3,05", "drie komma veertien en drie punt veertien en drie komma nul vijf"),
        ("bel 0475 12", "bel nul vier zeven vijf twaalf"),
        ("16-jarige, -5°, 20 °C", "zestienjarige min vijf graden twintig graden celsius"),
        ("3½ jaar; jaren '60", "drie komma vijf jaar jaren zestig"),
        ("tweeentwintig, tweeëntwintig, éénendertig", "tweeëntwintig tweeëntwintig eenendertig"),
        ("twee honderd vijf, negentien honderd tachtig", "tweehonderdvijf negentienhonderdtachtig"),
        ("twintig duizend", "twintigduizend"),
        ("10\u00a0000 euro", "tienduizend euro"),
        ("mp3-speler", "mp drie speler"),
        ("'k heb da's zo'n ĳs", "ik heb dat is zo een ijs"),
        ("uh, mekaar en mijnheer", "elkaar en meneer"),
        ("café, coëfficiënt, vóór", "cafe coëfficiënt voor"),
        ("Jan & Piet, o.a.", "jan en piet onder andere"),
    ],
    "german": [
        ("Am 3. Mai 1999 um 14:30 Uhr", "am dritte mai neunzehnhundertneunundneunzig um vierzehn uhr dreissig"),
        ("am dritten Mai", "am dritte mai"),
        ("3,50 € und 1 Euro", "drei euro fünfzig und ein euro"),
        ("12,5 % von 2.000", "zwölf komma fünf prozent von zweitausend"),
        ("hundertfünf, einhundertfünf, zwo", "einhundertfünf einhundertfünf zwei"),
        ("Straße, geht's?", "strasse geht es"),
        ("Er ist 5. Sie auch.", "er ist fünf sie auch"),
    ],
    "mandarin": [
        ("2024年5月1日，增长了50%。", "二 零 二 四 年 五 月 一 日 增 长 了 百 分 之 五 十"),
        ("两个人", "二 个 人"),
        ("2个人", "二 个 人"),
        ("¥100，14:30", "一 百 元 十 四 点 三 十 分"),
        ("用 Python 3 写", "用 python 三 写"),
    ],
}


@pytest.mark.parametrize(("name", "text", "words"), [(name, *pair) for name, pairs in SAID.items() for pair in pairs])
def test_texts_with_figures(name: str, text: str, words: str) -> None:
    assert texts.normalise([text], name) == [words]
