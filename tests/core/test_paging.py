"""Page sizes and page tokens: a token is good for its own query and no other."""

from __future__ import annotations

import base64

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from madang.core.errors import PageTokenInvalid
from madang.core.paging import decode_token, encode_token, page_size

CURSOR = st.integers(-(2**63), 2**63 - 1)
QUERY = st.tuples(st.sampled_from(["messages", "users", "members"]), st.integers(), st.booleans(), st.text())


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (50, 50), (500, 500), (501, 500), (2**31 - 1, 500)])
def test_sizes_are_coerced(asked: int, given_: int) -> None:
    assert page_size(asked, 50, 500) == given_


@given(QUERY, CURSOR)
def test_a_token_holds_its_cursor(query: tuple[object, ...], cursor: int) -> None:
    assert decode_token(query, encode_token(query, cursor), 0) == cursor


@given(QUERY, QUERY, CURSOR)
def test_a_token_of_another_query_is_refused(one: tuple[object, ...], other: tuple[object, ...], cursor: int) -> None:
    assume(one != other)
    with pytest.raises(PageTokenInvalid):
        decode_token(other, encode_token(one, cursor), 0)


@given(CURSOR)
def test_an_empty_token_begins_at_the_start(start: int) -> None:
    assert decode_token(("users",), "", start) == start


@given(st.text(min_size=1))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(PageTokenInvalid):
        decode_token(("users", 1), text, 0)


@given(st.binary(min_size=1, max_size=40))
def test_garbage_in_base64_is_refused(raw: bytes) -> None:
    with pytest.raises(PageTokenInvalid):
        decode_token(("users", 1), base64.urlsafe_b64encode(raw).decode(), 0)


@given(CURSOR, st.integers(0, 20))
def test_a_cut_or_lengthened_token_is_refused(cursor: int, at: int) -> None:
    token = encode_token(("users", 1), cursor)
    for broken in (token[:at] or "A", token + token[: at + 1]):
        with pytest.raises(PageTokenInvalid):
            decode_token(("users", 1), broken, 0)


@given(CURSOR)
def test_tokens_are_safe_in_a_url_and_short(cursor: int) -> None:
    token = encode_token(("users", 1), cursor)
    assert len(token) <= 64
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
