"""Session tokens: 256 random bits with a prefix that secret scanners can find. Only the SHA-256 is ever stored."""

from __future__ import annotations

import base64
import hashlib
import re

PREFIX = "madang_"
SECRET_BYTES = 32
_SHAPE = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")


def encode(secret: bytes) -> str:
    """The token of 32 random bytes."""
    return PREFIX + base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def digest(token: str) -> bytes | None:
    """The SHA-256 under which a token's session is stored; None for what cannot be a token of ours."""
    if not _SHAPE.fullmatch(token):
        return None
    return hashlib.sha256(token.encode()).digest()
