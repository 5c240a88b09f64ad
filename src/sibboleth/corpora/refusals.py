"""What a folder is refused for: recordings that cannot be read, and files that are none of the corpus.

What is wrong with many files is said once for each folder and ending, with some of their names.
"""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from sibboleth.corpora import layouts
from sibboleth.errors import InvalidInput, Problem

UNREAD = (".m4a", ".aac", ".mp4", ".webm", ".wma", ".amr", ".3gp", ".caf", ".au", ".sph")
"""Endings of recordings that are not read as they are."""
PACKED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz")
"""Endings of archives."""
NAMED = 3
"""Files that are named of those with one fault."""


def no_recordings(root: Path, layout: str, hint: str = "") -> InvalidInput:
    """Return the error of a folder without a recording that is read, which says what lies there instead."""
    if not root.is_dir():
        return InvalidInput(f"{root}: there is no such folder. {layout}")
    packed = [file.name for file in layouts.files(root) if file.suffix.lower() in PACKED]
    told = f"; unpack {_some(packed)}" if packed and not hint else hint
    passed = unread(root)
    return InvalidInput(f"{root}: no recordings in it or below{told}. {layout}" + (f"\n{passed}" if passed else ""))


def unread(root: Path) -> str | None:
    """Say how many recordings of which kind are not read, and the command that makes FLAC of them; None without.

    A recording that is there in a format that is read as well counts as read, wherever it lies.
    """
    read = {file.stem for file in layouts.recordings(root)}
    found = [file for file in layouts.files(root) if file.suffix.lower() in UNREAD and file.stem not in read]
    if not found:
        return None
    endings = Counter(file.suffix.lower() for file in found)
    counted = " and ".join(f"{number:,} {ending}" for ending, number in endings.most_common())
    example = found[0].relative_to(root.absolute())
    return f"Not read as they are: {counted}, such as {example}. To make FLAC of them: {_conversion(root, endings)}"


def strangers(root: Path, layout: str, found: Iterable[Path], strange: Mapping[Path, str]) -> InvalidInput:
    """Return the error of files that are none of the corpus.

    Where all that is of the corpus lies in a folder that has none of them, it says which.

    Args:
        root: the folder that was given.
        layout: what the folder of the corpus has.
        found: all recordings in it.
        strange: those that are none of the corpus, and what is wrong with each.
    """
    own = {_below(root, file) for file in found if file not in strange}
    apart = own - {_below(root, file) for file in strange} - {root.absolute()}
    meant = f"; give the folder of this corpus alone: {apart.pop()}" if len(own) == len(apart) == 1 else ""
    meant = meant if own else f"; none of the {len(strange):,} recordings here is of this corpus"
    return InvalidInput(f"{root}: {layout}{meant}", problems(root, strange))


def problems(root: Path, strange: Mapping[Path, str]) -> list[Problem]:
    """Say what is wrong with files: once for those right below one folder, with one ending and one fault."""
    groups: dict[tuple[Path, str, str], list[Path]] = {}
    for file, message in strange.items():
        groups.setdefault((_below(root, file), file.suffix.lower(), message), []).append(file)
    found = []
    for (folder, ending, message), files in groups.items():
        if len(files) <= NAMED:
            found += [Problem(str(file), message) for file in files]
        else:
            some = _some([file.name for file in files])
            found.append(Problem(str(folder), f"{len(files):,} {ending}, such as {some}: {message}"))
    return found


def _below(root: Path, file: Path) -> Path:
    """Return the folder right below the root that a file lies in, or the root."""
    parts = file.relative_to(root.absolute()).parts
    return root.absolute() / parts[0] if len(parts) > 1 else root.absolute()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _conversion(root: Path, endings: Iterable[str]) -> str:
    named = " -o ".join(f"-iname '*{ending}'" for ending in endings)
    which = rf"\( {named} \)" if " -o " in named else named
    convert = """sh -c 'ffmpeg -nostdin -i "$1" "${1%.*}.flac"' _ {}"""
    return rf"find {shlex.quote(str(root.absolute()))} {which} -exec {convert} \;"
