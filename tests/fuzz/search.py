"""Search by coverage, with atheris, for bytes that a reader does not stand.

From the root of the repository: python -m tests.fuzz.search NAME [libFuzzer's options]. What is found is written to
`crash-...` where `-artifact_prefix` says; with such a file as option it is read once, and the traceback shown.
"""

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sibboleth", "tomllib"]):
    from tests.fuzz.parsers import PARSERS, laid_out

from tests.fuzz.edits import TOKENS, chosen, edited

LONGEST = 60
"""Bytes of a word of libFuzzer's dictionaries."""


def mutated(data: bytes, longest: int, seed: int) -> bytes:
    """Change a file as the tests do, or as libFuzzer does."""
    draw = random.Random(seed)
    changed = edited(data, chosen(draw)) if draw.random() < 0.5 else data
    return changed[:longest] if changed != data else atheris.Mutate(data, longest)


def main() -> None:
    """Search until libFuzzer's options say that it is enough."""
    parser = PARSERS[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as place:
        folder, seeds, words = laid_out(Path(place) / "in"), Path(place) / "seeds", Path(place) / "words"
        seeds.mkdir()
        for number, seed in enumerate(parser.seeds):
            (seeds / str(number)).write_bytes(seed)
        spelt = ("".join(f"\\x{byte:02x}" for byte in token) for token in TOKENS if 0 < len(token) < LONGEST)
        words.write_text("".join(f'"{word}"\n' for word in spelt))
        options = [*sys.argv, f"-dict={words}", str(seeds)]
        atheris.Setup(options, lambda data: parser(data, folder), custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
