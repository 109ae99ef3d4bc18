"""Requests as bytes, made from the contract's descriptors: what a client of another language, or an enemy, may send.

For every field: values within its rules and beyond them, the wrong wire type, the field twice; fields that the contract
does not have, bytes that are no protobuf; and now and then the request cut off in the middle.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

VARINT, FIXED64, LENGTH, START, END, FIXED32 = range(6)
_KINDS = FieldDescriptor

numbers = st.one_of(
    st.integers(0, 12),
    st.sampled_from([-1, -(2**63), 2**63 - 1, 2**31, 2**31 - 1, -(2**31), 2**64 - 1, 500, 1000, 10_001]),
    st.integers(-(2**63), 2**64 - 1),
)
WORDS = (
    *(
        "",
        "lobby",
        "mina",
        "fuzz",
        "hello",
        "hello\nworld",
        " ",
        "\u200b",
        "\u202e",
        "\0",
        "\x1b[31m",
        "é",
        "е",
        "한글",
    ),
    *(
        "a" * 33,
        "x" * 65,
        "x" * 257,
        "한" * 5462,
        "x" * 16385,
        "../../etc/passwd",
        "'; DROP TABLE users; --",
        "{}",
        "%s%n",
    ),
    *(
        "00000000-0000-4000-8000-000000000001",
        "6f2d6c3e-32c9-4f0c-9d6c-9a2b7a3f6a10",
        "6F2D6C3E-32c9-4f0c-9d6c-9a2b7a3f6a1",
    ),
    *("madang_" + "A" * 43, "AAAA", "\ud7ff\ue000", "\U0010ffff", "🙂", "admin", "None", "\r\n", "a\u0301" * 20),
)
texts = st.one_of(st.sampled_from([word.encode() for word in WORDS]), st.text(max_size=20).map(str.encode))
raw = st.one_of(texts, st.binary(max_size=24), st.sampled_from([b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\x80"]))


def varint(number: int) -> bytes:
    """A number as protobuf's varint; a negative one takes ten bytes."""
    number &= 2**64 - 1
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def tagged(number: int, wire: int, value: bytes) -> bytes:
    """A field: its number, its wire type, and what follows."""
    return varint(number << 3 | wire) + value


def delimited(value: bytes) -> bytes:
    """Bytes with their length before them."""
    return varint(len(value)) + value


def _wrong(number: int) -> st.SearchStrategy[bytes]:
    """A field with any wire type at all; some of them are no protobuf."""
    return st.one_of(
        numbers.map(lambda value: tagged(number, VARINT, varint(value))),
        raw.map(lambda value: tagged(number, LENGTH, delimited(value))),
        st.just(tagged(number, FIXED64, b"\xff" * 8)),
        st.just(tagged(number, FIXED32, b"\0" * 4)),
        st.just(tagged(number, START, b"")),
        st.just(tagged(number, START, b"") + tagged(number, END, b"")),
        st.just(tagged(number, LENGTH, varint(2**31) + b"x")),
        st.sampled_from([6, 7]).map(lambda wire: tagged(number, wire, b"")),
        st.just(tagged(number, VARINT, b"\xff" * 11)),
    )


@cache
def _field(field: Any, depth: int) -> st.SearchStrategy[bytes]:
    """A field with a value of its own type, within the contract's rules or not."""
    number = field.number
    if field.type == _KINDS.TYPE_MESSAGE:
        inner = message(field.message_type, depth - 1) if depth else st.just(b"")
        return inner.map(lambda value: tagged(number, LENGTH, delimited(value)))
    if field.type in (_KINDS.TYPE_STRING, _KINDS.TYPE_BYTES):
        return (texts if field.type == _KINDS.TYPE_STRING else raw).map(
            lambda value: tagged(number, LENGTH, delimited(value))
        )
    if field.type in (_KINDS.TYPE_DOUBLE, _KINDS.TYPE_FIXED64, _KINDS.TYPE_SFIXED64):
        return st.floats().map(lambda value: tagged(number, FIXED64, struct.pack("<d", value)))
    if field.type == _KINDS.TYPE_BOOL:
        return st.sampled_from([b"\0", b"\1", b"\xff\1"]).map(lambda value: tagged(number, VARINT, value))
    if field.type == _KINDS.TYPE_ENUM:
        values = [value.number for value in field.enum_type.values] + [-1, 99, 2**31]
        return st.sampled_from(values).map(lambda value: tagged(number, VARINT, varint(value)))
    return numbers.map(lambda value: tagged(number, VARINT, varint(value)))


@cache
def message(descriptor: Descriptor, depth: int = 3) -> st.SearchStrategy[bytes]:
    """The bytes of a message of this type; `depth`: how deep messages in it go."""
    fields = [_field(field, depth) for field in descriptor.fields]
    wrong = [_wrong(field.number) for field in descriptor.fields]
    unknown = st.sampled_from([15, 99, 2**29 - 1]).flatmap(_wrong)
    if not fields:
        return st.lists(unknown, max_size=2).map(b"".join)
    # Mostly what belongs there, each field once and in order: only then does a request get beyond the validation.
    good = st.tuples(*(st.one_of(field, field, field, st.just(b"")) for field in fields)).map(b"".join)
    odd = st.lists(st.one_of(*fields, *wrong, unknown), max_size=6).map(b"".join)
    return st.one_of(good, good, good, odd)


def _cut(request: tuple[bytes, int]) -> bytes:
    whole, at = request
    return whole[: at % (len(whole) + 1)]


@cache
def request(descriptor: Descriptor) -> st.SearchStrategy[bytes]:
    """The body of a call: a message of the type, half of one, or any bytes."""
    whole = message(descriptor)
    return st.one_of(
        whole, whole, whole, whole, st.tuples(whole, st.integers(0, 200)).map(_cut), st.binary(max_size=64)
    )
