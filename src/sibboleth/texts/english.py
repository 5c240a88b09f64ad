"""English as Whisper normalises it: contractions, titles, numbers in figures, American spelling, no hesitations.

The rules are those of the Whisper paper (Radford et al. 2022, appendix C) and of its released normaliser, with all
their corners, so that error rates can be compared with published ones; the tests hold them to the copy in transformers.
Text is composed first (NFC), so both Unicode forms of a word come out alike, blanks at the ends are dropped, and a slip
in the list of spellings is mended (`archeology</span>`). As published, the rules do not always settle in one pass:
`oh oh` becomes `00`, which read again is `0`.
"""

import re
import unicodedata

from sibboleth.texts import characters
from sibboleth.texts.english_numbers import numbers_in_figures
from sibboleth.texts.spellings import Spellings, spelled

HESITATIONS = re.compile(r"\b(hmm|mm|mhm|mmm|uh|um)\b")
KEPT = ".%$¢€£"
LETTERS = {
    **{"œ": "oe", "ø": "o", "æ": "ae", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l"},
    **{"Œ": "OE", "Ø": "O", "Æ": "AE", "ẞ": "SS", "Đ": "D", "Ð": "D", "Þ": "th", "Ł": "L"},
}
"""Letters whose marks Unicode does not take apart."""
TITLES = {
    **{"mr": "mister", "mrs": "missus", "st": "saint", "dr": "doctor", "prof": "professor", "capt": "captain"},
    **{"gov": "governor", "ald": "alderman", "gen": "general", "sen": "senator", "rep": "representative"},
    **{"pres": "president", "rev": "reverend", "hon": "honorable", "asst": "assistant", "assoc": "associate"},
    **{"lt": "lieutenant", "col": "colonel", "jr": "junior", "sr": "senior", "esq": "esquire"},
}
WORDS = {
    **{r"\bwon't\b": "will not", r"\bcan't\b": "can not", r"\blet's\b": "let us", r"\bain't\b": "aint"},
    **{r"\by'all\b": "you all", r"\bwanna\b": "want to", r"\bgotta\b": "got to", r"\bgonna\b": "going to"},
    **{r"\bi'ma\b": "i am going to", r"\bimma\b": "i am going to", r"\bwoulda\b": "would have"},
    **{r"\bcoulda\b": "could have", r"\bshoulda\b": "should have", r"\bma'am\b": "madam"},
}
ENDINGS = {
    **{"'d been": "had been", "'s been": "has been", "'d gone": "had gone", "'s gone": "has gone"},
    **{"'d done": "had done", "'s got": "has got", "n't": "not", "'re": "are", "'s": "is", "'d": "would"},
    **{"'ll": "will", "'t": "not", "'ve": "have", "'m": "am"},
}
EXPANSIONS = tuple(
    (re.compile(rule), words)
    for rule, words in (
        *WORDS.items(),
        *((rf"\b{short}\b", f"{title} ") for short, title in TITLES.items()),
        *((rf"{end}\b", f" {words}") for end, words in ENDINGS.items()),
    )
)
"""What is short, and its words, in the order in which it is looked for."""


def english(text: str, table: Spellings) -> str:
    """Normalise an English text as Whisper does."""
    text = characters.composed(text).lower()
    text = re.sub(r"[<\[][^>\]]*[>\]]", "", text)
    text = re.sub(r"\(([^)]+?)\)", "", text)
    text = HESITATIONS.sub("", text)
    text = re.sub(r"\s+'", "'", text)
    for rule, words in EXPANSIONS:
        text = rule.sub(words, text)
    text = re.sub(r"(\d),(\d)", r"\1\2", text)
    text = re.sub(r"\.([^0-9]|$)", r" \1", text)
    text = spelled(numbers_in_figures(_plain(text)), table)
    text = re.sub(r"[.$¢€£]([^0-9])", r" \1", text)
    text = re.sub(r"([^0-9])%", r"\1 ", text)
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Drop marks, and make punctuation and symbols blanks but those that numbers need."""
    return "".join(_character(one) for one in unicodedata.normalize("NFKD", text))


def _character(one: str) -> str:
    category = unicodedata.category(one)
    if one in KEPT:
        return one
    if one in LETTERS:
        return LETTERS[one]
    if category == "Mn":
        return ""
    return " " if category[0] in "MSP" else one
