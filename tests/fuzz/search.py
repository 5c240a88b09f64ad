"""Search by coverage, with atheris, for bytes that a reader does not stand.

From the root of the repository: python -m tests.fuzz.search NAME [libFuzzer's options]. What is found is written to
`crash-...` where `-artifact_prefix` says; with such a file as option it is read once, and the traceback shown.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sibboleth", "tomllib"]):
    from tests.fuzz.parsers import PARSERS, laid_out

from tests.fuzz.edits import TOKENS

LONGEST = 60
"""Bytes of a word of libFuzzer's dictionaries."""


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
        atheris.Setup([*sys.argv, f"-dict={words}", str(seeds)], lambda data: parser(data, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
