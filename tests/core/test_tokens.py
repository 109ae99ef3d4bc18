"""Session tokens: their shape, and that only a digest leaves this module."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.core import tokens

SECRET = st.binary(min_size=tokens.SECRET_BYTES, max_size=tokens.SECRET_BYTES)


@given(SECRET)
def test_a_token_is_kept_as_its_hash(secret: bytes) -> None:
    token = tokens.encode(secret)
    assert token.startswith("madang_")
    assert tokens.digest(token) == hashlib.sha256(token.encode()).digest()


@given(SECRET, SECRET)
def test_other_secrets_have_other_tokens(one: bytes, other: bytes) -> None:
    assert (tokens.encode(one) == tokens.encode(other)) == (one == other)


@given(st.text())
def test_digest_takes_any_text(text: str) -> None:
    assert tokens.digest(text) is None


GOOD = tokens.encode(bytes(32))


@pytest.mark.parametrize(
    "token",
    ["", "madang_", GOOD + "\n", " " + GOOD, GOOD[:-1], GOOD + "A", GOOD.upper(), GOOD.replace("A", "+"), GOOD[7:]],
    ids=repr,
)
def test_near_misses_are_not_tokens(token: str) -> None:
    assert tokens.digest(token) is None
