"""Phones in IPA, what they are made of, and which phone of another language is nearest.

An accent here is what a learner does who replaces each phone by the nearest one of the first language: consonants by
place, manner, voice and aspiration, vowels by height, backness, rounding, length and nasality, of the start and of the
end of a diphthong.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sibboleth.errors import SibbolethError

PLACE = {
    "bilabial": 0.0,
    "labiodental": 0.5,
    "dental": 2.7,
    "alveolar": 3.0,
    "retroflex": 3.7,
    "postalveolar": 4.0,
    "alveolopalatal": 4.4,
    "palatal": 5.0,
    "velar": 6.5,
    "uvular": 7.0,
    "glottal": 8.5,
}
"""Where, from the lips (0) to the glottis; gaps part lips, tongue tip, tongue back and throat."""

MANNER = {"plosive": 0.0, "affricate": 1.0, "fricative": 2.0, "glide": 3.2, "rhotic": 3.8, "lateral": 4.8, "nasal": 7.0}
"""How, ordered so that neighbours are what learners exchange."""

CONSONANTS: dict[str, tuple[str, str, bool]] = {
    "p": ("bilabial", "plosive", False),
    "b": ("bilabial", "plosive", True),
    "t": ("alveolar", "plosive", False),
    "d": ("alveolar", "plosive", True),
    "k": ("velar", "plosive", False),
    "ɡ": ("velar", "plosive", True),
    "m": ("bilabial", "nasal", True),
    "n": ("alveolar", "nasal", True),
    "ɲ": ("palatal", "nasal", True),
    "ŋ": ("velar", "nasal", True),
    "f": ("labiodental", "fricative", False),
    "v": ("labiodental", "fricative", True),
    "θ": ("dental", "fricative", False),
    "ð": ("dental", "fricative", True),
    "s": ("alveolar", "fricative", False),
    "z": ("alveolar", "fricative", True),
    "ʃ": ("postalveolar", "fricative", False),
    "ʒ": ("postalveolar", "fricative", True),
    "ʂ": ("retroflex", "fricative", False),
    "ɕ": ("alveolopalatal", "fricative", False),
    "ç": ("palatal", "fricative", False),
    "x": ("velar", "fricative", False),
    "ɣ": ("velar", "fricative", True),
    "χ": ("uvular", "fricative", False),
    "h": ("glottal", "fricative", False),
    "l": ("alveolar", "lateral", True),
    "r": ("alveolar", "rhotic", True),
    "ɾ": ("alveolar", "rhotic", True),
    "ɹ": ("alveolar", "rhotic", True),
    "ʐ": ("retroflex", "rhotic", True),
    "ʁ": ("uvular", "fricative", True),
    "ʋ": ("labiodental", "glide", True),
    "w": ("bilabial", "glide", True),
    "ɥ": ("palatal", "glide", True),
    "j": ("palatal", "glide", True),
}

RHOTICS = frozenset("rɾɹʐʁ")
"""All are r to whoever learns another language, wherever and however they are made."""

VOWELS: dict[str, tuple[float, float, bool]] = {
    "i": (0, 0, False),
    "y": (0, 0, True),
    "ɨ": (0, 1, False),
    "u": (0, 2, True),
    "ɪ": (1, 0.3, False),
    "ʏ": (1, 0.3, True),
    "ʊ": (1, 1.7, True),
    "e": (2, 0, False),
    "ø": (2, 0, True),
    "ɵ": (2, 1, True),
    "ɤ": (2, 2, False),
    "o": (2, 2, True),
    "ə": (3, 1, False),
    "ɛ": (4, 0, False),
    "œ": (4, 0, True),
    "ɜ": (4, 1, False),
    "ʌ": (4, 1.7, False),
    "ɔ": (4, 2, True),
    "ɐ": (5, 1, False),
    "æ": (5, 0, False),
    "a": (6, 0.5, False),
    "ɑ": (6, 2, False),
    "ɒ": (6, 2, True),
}
"""Height from close (0) to open (6), front (0) to back (2), rounded."""

NASAL = "\u0303"
"""Stands behind a vowel that sounds through the nose."""
GLIDES = {"i": "j", "u": "w", "y": "ɥ"}
_SPELLINGS = (
    (re.compile(r"^(p|t|k|ts|ts\.|tɕ)h$"), r"\1ʰ"),
    (re.compile(r"s\."), "ʂ"),
    (re.compile("i[.\u032a]"), "ɨ"),
    (re.compile("o-"), "ɤ"),
    (re.compile("onɡ"), "ʊŋ"),
    (re.compile("^([ay])-$"), r"\1"),
)


def ipa(spelling: str) -> str:
    """Return IPA without stress for espeak-ng's own spelling of a phone (Mandarin's is half ASCII)."""
    phone = spelling.lstrip("ˈˌ")
    for pattern, replacement in _SPELLINGS:
        phone = pattern.sub(replacement, phone)
    return phone


@dataclass(frozen=True)
class Phone:
    """One phone of a text, as a voice spells it and in IPA."""

    name: str
    """The voice's own mnemonic, e.g. `tS`."""
    ipa: str
    stress: str = ""
    """`'` primary, `,` secondary, or none."""


def parts(phone: str) -> list[str]:
    """Divide an IPA phone into consonants (affricates whole) and vowels (falling diphthongs whole).

    A close vowel before a more open full vowel is a glide, as in Mandarin `uei`: `w` and `ei`.
    """
    found: list[str] = []
    for run in re.findall(f"[{''.join(VOWELS)}{NASAL}ː]+|[^{''.join(VOWELS)}{NASAL}ː]+", phone):
        if run[0] in VOWELS:
            if run[0] in GLIDES and len(run) > 1 and run[1] not in f"ːəɐ{NASAL}" and VOWELS[run[1]][0] > 1:
                found += [GLIDES[run[0]], run[1:]]
            else:
                found.append(run)
        else:
            found += [run] if len(run.rstrip("ʰ")) == 1 or _is_affricate(run) else list(run)
    return found


def _is_affricate(run: str) -> bool:
    kinds = [CONSONANTS[sound][1] for sound in run.rstrip("ʰ") if sound in CONSONANTS]
    return kinds == ["plosive", "fricative"]


def is_vowel(part: str) -> bool:
    """Say whether an IPA part is a vowel."""
    return part[:1] in VOWELS


def distance(a: str, b: str) -> float:
    """Articulatory distance of two parts; infinite between a consonant and a vowel."""
    if is_vowel(a) != is_vowel(b):
        return float("inf")
    return _vowel_distance(a, b) if is_vowel(a) else _consonant_distance(a, b)


def _consonant_distance(a: str, b: str) -> float:
    (place, manner, voiced), (other_place, other_manner, other_voiced) = _consonant(a), _consonant(b)
    apart = abs(PLACE[place] - PLACE[other_place])
    if {a, b} <= RHOTICS:
        return 0.2 * apart
    return (
        apart
        + 1.2 * abs(MANNER[manner] - MANNER[other_manner])
        + 0.8 * (voiced != other_voiced)
        + 0.4 * (a.endswith("ʰ") != b.endswith("ʰ"))
    )


def _consonant(part: str) -> tuple[str, str, bool]:
    plain = part.rstrip("ʰ")
    try:
        place, manner, voiced = CONSONANTS[plain[-1]]
    except (KeyError, IndexError):
        raise SibbolethError(f"no features are known for the phone {part!r}") from None
    return place, manner if len(plain) == 1 else "affricate", voiced


def _vowel_distance(a: str, b: str) -> float:
    ends = [(plain[0], plain[-1]) for plain in (part.replace(NASAL, "").rstrip("ː") for part in (a, b))]
    glide = [_quality(start, end) for start, end in ends]
    return (
        _quality(ends[0][0], ends[1][0])
        + 0.8 * _quality(ends[0][1], ends[1][1])
        + (1.0 if (glide[0] > 0) != (glide[1] > 0) else 0.0)
        + 0.8 * (_is_long(a) != _is_long(b))
        + 4.0 * ((NASAL in a) != (NASAL in b))
    )


def _is_long(vowel: str) -> bool:
    return len(vowel.replace(NASAL, "")) > 1


def _quality(a: str, b: str) -> float:
    (height, back, rounded), (other_height, other_back, other_rounded) = VOWELS[a], VOWELS[b]
    return 0.7 * abs(height - other_height) + 1.2 * abs(back - other_back) + 0.9 * (rounded != other_rounded)


def inventory(phones: Iterable[Phone]) -> dict[str, str]:
    """Return the single-part phones of a language: IPA to the commonest of the voice's names for it."""
    names = Counter((phone.ipa, phone.name) for phone in phones if len(parts(phone.ipa)) == 1)
    commonest: dict[str, str] = {}
    for (sound, name), _ in sorted(names.items(), key=lambda item: (-item[1], item[0])):
        commonest.setdefault(sound, name)
    return commonest


def nearest(part: str, known: Iterable[str]) -> str:
    """Return the nearest of the known phones; a tie goes to the phone itself, then to the alphabetically first."""
    return min(known, key=lambda other: (distance(part, other), other != part, other))


def accented(phones: Sequence[Phone], known: Mapping[str, str]) -> list[Phone]:
    """Replace each phone, part by part, by the nearest in an `inventory`; stress stays on the vowel."""
    spoken = []
    for phone in phones:
        for part in parts(phone.ipa):
            sound = nearest(part, known)
            spoken.append(Phone(known[sound], sound, phone.stress if is_vowel(sound) else ""))
    return spoken
