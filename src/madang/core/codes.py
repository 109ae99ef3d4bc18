"""Codes that people pass on by hand: invites and password resets. Only the SHA-256 is ever stored."""

from __future__ import annotations

import base64
import hashlib
import re

SECRET_BYTES = 20
_SHAPE = re.compile(r"[a-z2-7]{32}")


def encode(secret: bytes) -> str:
    """The code of 20 random bytes: 32 small letters and digits that cannot be taken for an option of a command."""
    return base64.b32encode(secret).decode().lower()


def digest(code: str) -> bytes | None:
    """The SHA-256 under which a code is stored; None for what cannot be a code of ours. Case does not matter."""
    code = code.strip().lower()
    if not _SHAPE.fullmatch(code):
        return None
    return hashlib.sha256(code.encode()).digest()
