"""Transcripts: which characters a study's recognisers can answer, and what of its texts lies outside them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.experiment.alphabet import Alphabet
from sibboleth.experiment.material import Material
from sibboleth.splits import Fit


def lettered(material: Material, fits: Sequence[Fit]) -> Material:
    """Let a transcription's material know its alphabet, from the texts of all rows that some fit trains on.

    It is the same for all encoders, methods and folds. Raises `InvalidInput` where no fit trains on any letter.
    """
    if material.target.kind != "transcription":
        return material
    texts = material.table[material.target.name]
    rows = np.unique(np.concatenate([part for fit in fits for part in _trained(fit)]))
    alphabet = Alphabet.of(texts.gather(rows).to_list(), texts.to_list())
    if not alphabet.known:
        raise InvalidInput(f"the training texts of column {material.target.name!r} have no characters")
    return replace(material, alphabet=alphabet)


def _trained(fit: Fit) -> list[npt.NDArray[np.int64]]:
    return [fit.train] if fit.then is None else [fit.train, fit.then.train]


def told(material: Material) -> dict[str, object]:
    """Say what the tokens are, and where characters cannot be answered, for the record; nothing of other targets."""
    if material.alphabet is None:
        return {}
    unknown = material.alphabet.unknown
    texts = material.table[material.target.name]
    counts = {one: int(texts.str.count_matches(one, literal=True).sum()) for one in unknown}
    hit = texts.str.contains_any(list(unknown)) if unknown else pl.repeat(False, len(texts), eager=True)
    return {
        "transcripts": {
            "normalisation": material.study.target.normalisation,
            "characters": list(material.alphabet.known),
            "unknown": counts,
            "unknown_utterances": material.table.filter(hit)["utterance"].to_list(),
        }
    }
