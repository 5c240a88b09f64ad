"""Corpora whose recordings say in their names who speaks, what and how."""

from collections.abc import Callable
from pathlib import Path

from sibboleth.corpora import layouts, refusals
from sibboleth.errors import InvalidInput


def recordings(root: Path, name: Callable[[Path], str | None], layout: str, form: str) -> dict[str, Path]:
    """Map the names that a corpus gives its recordings to their files, anywhere below a folder, sorted by name.

    Of two files of one name the one nearer to the root counts, then the first by path.

    Args:
        root: the folder the corpus was unpacked in.
        name: returns a recording's name as the corpus spells it; None for a file that is none of the corpus.
        layout: what the folder has, for errors.
        form: what names are made of, for errors.

    Raises `InvalidInput` where there is no recording, and for files that are none of the corpus.
    """
    if not root.is_dir():
        raise InvalidInput(f"{root}: there is no such folder. {layout}")
    found = layouts.recordings(root)
    if not found:
        raise refusals.no_recordings(root, layout)
    names = {file: name(file) for file in found}
    strange = [file for file, known in names.items() if known is None]
    if strange:
        message = f"not a name of this corpus ({form}); take it out of the folder"
        raise refusals.strangers(root, layout, found, dict.fromkeys(strange, message))
    named: dict[str, Path] = {}
    for file in sorted(found, key=lambda file: (len(file.parts), str(file))):
        named.setdefault(names[file] or "", file)
    return dict(sorted(named.items()))
