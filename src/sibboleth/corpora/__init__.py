"""Public corpora in their published layouts, one file each, and the controlled corpus.

Each module has `CARD`, what its makers say of it, `prepare(root) -> Corpus`, and `ratings(root)` where listeners'
answers come with the corpus.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import polars as pl

from sibboleth import accents, corpus
from sibboleth.corpora.card import Card
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput

MODULES = {
    "cgn": "sibboleth.corpora.cgn",
    "common-voice": "sibboleth.corpora.common_voice",
    "crema-d": "sibboleth.corpora.crema_d",
    "edacc": "sibboleth.corpora.edacc",
    "emodb": "sibboleth.corpora.emodb",
    "emovo": "sibboleth.corpora.emovo",
    "esd": "sibboleth.corpora.esd",
    "fsdd": "sibboleth.corpora.fsdd",
    "iemocap": "sibboleth.corpora.iemocap",
    "l2-arctic": "sibboleth.corpora.l2_arctic",
    "msp-podcast": "sibboleth.corpora.msp_podcast",
    "nemo": "sibboleth.corpora.nemo",
    "pavoque": "sibboleth.corpora.pavoque",
    "ravdess": "sibboleth.corpora.ravdess",
    "rhasspy": "sibboleth.corpora.rhasspy",
    "savee": "sibboleth.corpora.savee",
    "shemo": "sibboleth.corpora.shemo",
    "speechocean762": "sibboleth.corpora.speechocean762",
    "synthetic": "sibboleth.corpora.synthetic.corpus",
    "synthetic-accents": "sibboleth.corpora.synthetic.accents",
    "tess": "sibboleth.corpora.tess",
    "urdu": "sibboleth.corpora.urdu",
    "vctk": "sibboleth.corpora.vctk",
    "zed": "sibboleth.corpora.zed",
}
"""Name of a corpus to its module, imported when asked for."""
EMOTIONS = ("angry", "bored", "calm", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
"""What emotions are called here that several corpora have, whatever they are called there."""
STAND_IN = "stand-in.json"
"""File in a folder that says that a machine spoke it in a corpus's layout; its `synthetic` says which."""


def card(name: str) -> Card:
    """Return what is known about the corpus of that name; raises `InvalidInput` for an unknown name."""
    known: Card = _module(name).CARD
    return known


def prepare(name: str, root: Path) -> Corpus:
    """Make the corpus of that name from the folder it was unpacked in.

    What stands in for the corpus gets the column `synthetic`. Raises `InvalidInput` for an unknown name or a folder
    that does not have the published layout.
    """
    prepared: Corpus = _module(name).prepare(root)
    if not (root / STAND_IN).is_file():
        return prepared
    told = json.loads((root / STAND_IN).read_text(encoding="utf-8"))
    return replace(prepared, table=prepared.table.with_columns(pl.lit(told["synthetic"]).alias("synthetic")))


def ratings(name: str, root: Path) -> pl.DataFrame | None:
    """Return what listeners said when the corpus was made, as predictions of source `listener`; None where none did."""
    module = _module(name)
    found: pl.DataFrame | None = module.ratings(root) if hasattr(module, "ratings") else None
    return found


def rated(name: str) -> bool:
    """Say whether listeners' answers come with the corpus, whatever a folder has of it."""
    return hasattr(_module(name), "ratings")


def assemble(name: str, rows: Iterable[Mapping[str, object]]) -> Corpus:
    """Make a corpus of rows, which all have the same columns."""
    table = pl.DataFrame(list(rows), infer_schema_length=None)
    return Corpus(name, corpus.complete(table))


def accented(name: str, rows: Iterable[Mapping[str, object]]) -> Corpus:
    """Make a corpus of rows in which speakers say their accent or first language; `accent` and `dialect` follow.

    What is unknown of every row, as `variant` may be, is left out.
    """
    table = accents.derive(pl.DataFrame(list(rows), infer_schema_length=None), accents.taxonomy()).table
    known = [column.name for column in table if column.null_count() < len(column)]
    return Corpus(name, corpus.complete(table.select(known)))


def _module(name: str) -> ModuleType:
    if name not in MODULES:
        close = difflib.get_close_matches(name.lower().replace("_", "-"), MODULES, n=1)
        meant = f" ({close[0]}?)" if close else ""
        raise InvalidInput(f"no corpus is called {name!r}{meant}; there are {', '.join(sorted(MODULES))}")
    return import_module(MODULES[name])
