"""Page sizes and page tokens. A token says where to go on, and for which query: it is refused by any other."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from typing import TypeVar

from madang.core.errors import PageTokenInvalid

T = TypeVar("T")

_QUERY_BYTES = 8
_CURSOR = struct.Struct(">q")


def page_size(asked: int, default: int, most: int) -> int:
    """The size to use: the default for 0, never more than the most."""
    return min(asked or default, most)


def cut(found: list[T], size: int) -> tuple[list[T], bool]:
    """The page of what was found by asking for one more than its size, and whether there is more."""
    return found[:size], len(found) > size


def encode_token(query: tuple[object, ...], cursor: int) -> str:
    """A token that goes on after `cursor` in the query."""
    return base64.urlsafe_b64encode(_digest(query) + _CURSOR.pack(cursor)).rstrip(b"=").decode()


def decode_token(query: tuple[object, ...], token: str, start: int) -> int:
    """The cursor in a token of this query; `start` for the empty token. Raises PageTokenInvalid."""
    if not token:
        return start
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise PageTokenInvalid from None
    if len(raw) != _QUERY_BYTES + _CURSOR.size or raw[:_QUERY_BYTES] != _digest(query):
        raise PageTokenInvalid
    cursor: int = _CURSOR.unpack(raw[_QUERY_BYTES:])[0]
    return cursor


def _digest(query: tuple[object, ...]) -> bytes:
    return hashlib.sha256(repr(query).encode()).digest()[:_QUERY_BYTES]
