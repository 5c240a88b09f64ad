"""JSON as strangers write it."""

import json
import re
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What may be half of a character: two of these make one beyond the first 65,536."""


def parsed(text: str) -> Any:
    """Return what a text of JSON says.

    Raises `ValueError` saying why where it is none, nests too deeply, or has half of a character, which is no text.
    """
    try:
        found = json.loads(text)
        if _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("it has half of a character (a surrogate alone)") from None
    return found
