"""The secrets in listeners' links: 192 random bits, kept as their SHA-256 alone."""

import hashlib
import re
import secrets

PATTERN = re.compile(r"[A-Za-z0-9_-]{32}")
_BYTES = 24


def make() -> str:
    """Return a new token."""
    return secrets.token_urlsafe(_BYTES)


def digest(token: str) -> bytes:
    """Return what is kept of a token. It is random, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
