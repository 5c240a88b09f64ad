"""Which utterance of a manifest a file of answers means by the name of a recording.

A name is an utterance's id, or the path, name or stem of its audio; of a path as much counts as both have, from its
end. Addresses lose their host and query, names in Label Studio's uploads what it puts before them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.foreign import outputs
from sibboleth.foreign.remarks import count, some

NAMED = ("utterance", "audio")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")


class Utterances:
    """The utterances of a manifest, by every name that they may have."""

    def __init__(self, table: pl.DataFrame, names: Mapping[str, str] | None = None) -> None:
        """Take a corpus table, and utterances by names that say nothing of them."""
        self.ids = set(table["utterance"])
        self.names = dict(names or {})
        self.by_name: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        self.by_stem: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for utterance, audio in table.select("utterance", "audio").iter_rows():
            for parts in {_parts(audio), _parts(utterance)}:
                self.by_name.setdefault(parts[-1], []).append((parts, utterance))
                self.by_stem.setdefault(_stem(parts[-1]), []).append((parts, utterance))

    def find(self, names: Iterable[str]) -> str | None:
        """Return the utterance that the first known of the names means; raises `InvalidInput` where it means several.

        None where no name is known.
        """
        for name in names:
            for one in (name, *_places(name)):
                if one in self.names:
                    return self.names[one]
                if one in self.ids:
                    return one
                found = self._by_place(one)
                if len(found) > 1:
                    raise InvalidInput(
                        f"{name!r} may be any of {some(found)}; say which with a table (name,utterance) and --names"
                    )
                if found:
                    return next(iter(found))
        return None

    def _by_place(self, name: str) -> set[str]:
        """Return the utterances whose name, else whose stem, is that of a path, with the most of the path in common."""
        parts = _parts(name)
        if not parts[-1]:
            return set()
        for known, key in ((self.by_name, parts[-1]), (self.by_stem, _stem(parts[-1]))):
            if candidates := known.get(key):
                shared = [(_shared(parts[:-1], other[:-1]), utterance) for other, utterance in candidates]
                most = max(length for length, _ in shared)
                return {utterance for length, utterance in shared if length == most}
        return set()


def table(path: Path) -> dict[str, str]:
    """Read which utterance a name stands for, from the columns `name` and `utterance`."""
    file = outputs.open_file(path)
    name, utterance = file.column("name", "names of recordings"), file.column("utterance", "utterances")
    for column in ("name", "utterance"):
        file.refuse(column, "is empty", file.frame[column].is_null())
    file.refuse("name", "stands for two utterances", name.is_duplicated())
    return dict(zip(name, utterance, strict=True))


def _places(name: str) -> list[str]:
    """Return the paths that an address or a path of Windows may mean."""
    address = urlsplit(name)
    paths = [unquote(address.path) if address.scheme and address.netloc else unquote(name.split("?")[0])]
    paths += parse_qs(address.query).get("d", [])  # Label Studio's local files: /data/local-files/?d=folder/file.wav
    paths = [path.replace("\\", "/") for path in paths[::-1]]
    uploaded = [match.group(1) for path in paths if (match := _UPLOADED.fullmatch(PurePosixPath(path).name))]
    return [*paths, *uploaded]


def only_corpus(answered: pl.Series, known: pl.Series) -> str | None:
    """Return the corpus before utterances' names, as studies write them, where those known are of one and lack it."""
    true = set(known)
    if not true.isdisjoint(answered):
        return None
    split = (name.partition("/") for name in answered.unique())
    found = {corpus for corpus, _, name in split if name in true}
    return found.pop() if len(found) == 1 else None


def met(answers: pl.DataFrame, reference: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """Call answered utterances as the reference does, where none of them has a name that it knows.

    Studies' names may have its one corpus before them, or one side may have paths and the other names or stems. Raises
    `InvalidInput` where a name may be any of several, or two are one utterance.
    """
    if corpus := only_corpus(answers["utterance"], reference["utterance"]):
        notes.append(f"answered utterances are called {corpus}/..., as studies call them: taken to be the reference's")
        return answers.with_columns(pl.col("utterance").str.strip_prefix(f"{corpus}/"))
    if found := alike(answers["utterance"], reference["utterance"]):
        name, utterance = next(iter(found.items()))
        notes.append(f"{count(len(found), 'utterance')} known by the recording's name, such as {name} as {utterance}")
    return answers.with_columns(pl.col("utterance").replace(found))


def alike(answered: Iterable[str], reference: Iterable[str]) -> dict[str, str]:
    """Return the utterance of the reference that each answered name means, where no name is one of the reference.

    Raises `InvalidInput` where one may be any of several, or two are one recording.
    """
    said, true = sorted(set(answered)), sorted(set(reference))
    if not set(true).isdisjoint(said):
        return {}
    known = Utterances(pl.DataFrame({"utterance": true, "audio": true}, schema=dict.fromkeys(NAMED, pl.String)))
    try:
        found = {name: utterance for name in said if (utterance := known.find([name])) is not None}
    except InvalidInput as error:
        what = str(error).partition(";")[0]
        raise InvalidInput(f"answers and reference have other names for utterances, and {what}; use the same") from None
    times = Counter(found.values())
    if twice := [name for name, utterance in found.items() if times[utterance] > 1]:
        raise InvalidInput(f"two answered utterances have the name of one recording: {some(twice)}; rename them")
    return found


def _parts(path: str) -> tuple[str, ...]:
    parts = tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
    return parts or ("",)


def _stem(name: str) -> str:
    """Return a file's name without its ending; what has no ending of letters stays whole."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and ending.isalnum() and not ending.isdigit() else name


def _shared(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Count the folders that two paths have in common, from their ends."""
    count = 0
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other:
            break
        count += 1
    return count
