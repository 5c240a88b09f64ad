"""Numbers in words where the units come before the tens: Dutch and German."""

from dataclasses import dataclass

HUNDRED, THOUSAND, MILLION = 100, 1000, 10**6


@dataclass(frozen=True)
class Numerals:
    """The words of one language, and how they are joined."""

    small: tuple[str, ...]
    """0 to 19."""
    tens: tuple[str, ...]
    """20, 30, ... 90."""
    joint: str
    """Between units and tens."""
    hundred: str
    thousand: str
    """With what stands between it and the rest."""
    one: str
    """1 before the joint and in compounds."""
    counted: bool
    """Whether 100 and 1000 are said with their one."""
    large: tuple[tuple[str, str], ...]
    """Million, milliard, billion: for one, and for several."""
    comma: str
    minus: str
    ordinals: dict[int, str]
    """Ordinals up to 19 that are not the number with `-te` or `-de`."""
    endings: tuple[str, str]
    """Ends of ordinals below 20, and of others."""

    @property
    def limit(self) -> int:
        """The least number that has no words."""
        return int(MILLION * THOUSAND ** len(self.large))

    def cardinal(self, number: int) -> str:
        """Write a number from 0 up to `limit` in words."""
        if number < MILLION:
            return self._below_a_million(number).strip()
        size = max(k for k in range(len(self.large)) if number >= MILLION * THOUSAND**k)
        many, rest = divmod(number, MILLION * THOUSAND**size)
        alone, several = self.large[size]
        said = alone if many == 1 else f"{self.cardinal(many)} {several}"
        return f"{said} {self.cardinal(rest)}" if rest else said

    def hundreds(self, number: int) -> str:
        """Write a number of four digits by its hundreds, as years are read."""
        many, rest = divmod(number, HUNDRED)
        return self._below_a_hundred(many) + self.hundred + (self._below_a_hundred(rest) if rest else "")

    def ordinal(self, number: int) -> str:
        """Write the place of a number, in its plain form."""
        last = number % HUNDRED
        if last >= 20 or (last == 0 and number):
            return self.cardinal(number) + self.endings[1]
        stem = self.ordinals.get(last, self.small[last] + self.endings[0])
        before = number - last
        if not before:
            return stem
        apart = before % MILLION == 0 or (before % THOUSAND == 0 and self.thousand.endswith(" "))
        return self.cardinal(before) + (" " if apart else "") + stem

    def _below_a_million(self, number: int) -> str:
        many, rest = divmod(number, THOUSAND)
        if not many:
            return self._below_a_thousand(rest)
        said = (self.one if self.counted else "") if many == 1 else self._compound(self._below_a_thousand(many))
        return said + self.thousand + (self._below_a_thousand(rest) if rest else "")

    def _below_a_thousand(self, number: int) -> str:
        many, rest = divmod(number, HUNDRED)
        if not many:
            return self._below_a_hundred(rest)
        said = (self.one if self.counted else "") if many == 1 else self.small[many]
        return said + self.hundred + (self._below_a_hundred(rest) if rest else "")

    def _below_a_hundred(self, number: int) -> str:
        if number < 20:
            return self.small[number]
        tens, units = divmod(number, 10)
        if not units:
            return self.tens[tens - 2]
        unit = self.one if units == 1 else self.small[units]
        joint = f"ë{self.joint[1:]}" if self.joint.startswith("e") and unit.endswith("e") else self.joint
        return unit + joint + self.tens[tens - 2]

    def _compound(self, words: str) -> str:
        """Write a number as it stands before thousand."""
        return words.removesuffix(self.small[1]) + self.one if words.endswith(self.small[1]) else words


DUTCH = Numerals(
    small=(
        *("nul", "een", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen", "tien", "elf", "twaalf"),
        *("dertien", "veertien", "vijftien", "zestien", "zeventien", "achttien", "negentien"),
    ),
    tens=("twintig", "dertig", "veertig", "vijftig", "zestig", "zeventig", "tachtig", "negentig"),
    joint="en",
    hundred="honderd",
    thousand="duizend ",
    one="een",
    counted=False,
    large=(("een miljoen", "miljoen"), ("een miljard", "miljard"), ("een biljoen", "biljoen")),
    comma="komma",
    minus="min",
    ordinals={1: "eerste", 3: "derde", 8: "achtste"},
    endings=("de", "ste"),
)
GERMAN = Numerals(
    small=(
        *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"),
        *("dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
    ),
    tens=("zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"),
    joint="und",
    hundred="hundert",
    thousand="tausend",
    one="ein",
    counted=True,
    large=(("eine million", "millionen"), ("eine milliarde", "milliarden"), ("eine billion", "billionen")),
    comma="komma",
    minus="minus",
    ordinals={1: "erste", 3: "dritte", 7: "siebte", 8: "achte"},
    endings=("te", "ste"),
)
