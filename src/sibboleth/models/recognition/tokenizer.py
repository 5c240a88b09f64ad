"""Tokenizers of recognisers: the files beside a checkpoint that make text of its tokens."""

from pathlib import Path
from typing import Any

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders.transformer import quiet

VOCABULARIES = ("tokenizer.json", "vocab.json")
"""Either of them is needed."""
GENERATION = "generation_config.json"
"""How Whisper is asked; which languages it knows."""
FILES = (
    *VOCABULARIES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "normalizer.json",
    GENERATION,
)
"""Files that decide what text comes out, beside those of the encoder; none but a vocabulary is in every checkpoint."""


def load(name: str, folder: Path) -> Any:
    """Load the tokenizer in a folder; raises `SibbolethError` where there is none or it cannot be used."""
    from transformers import AutoTokenizer

    if not any((folder / file).is_file() for file in VOCABULARIES):
        raise SibbolethError(
            f"recogniser {name!r}: {folder} has no tokenizer, so its output cannot be written as text. An encoder that "
            "was never trained to transcribe has none; for a recogniser, put the tokenizer's files beside its weights "
            f"({', '.join(VOCABULARIES)}, ...), e.g. with processor.save_pretrained"
        )
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers and tokenizers raise whatever their parsers raise
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SibbolethError(f"recogniser {name!r}: its tokenizer in {folder} cannot be loaded: {told}") from None
