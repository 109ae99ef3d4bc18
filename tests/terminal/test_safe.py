"""What others write never reaches the terminal as something that it obeys."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.terminal.safe import safe_json, safe_line, safe_lines

ANYTHING = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
        ("back\x08space", "back␈space"),
        ("\x9b31mred", "\ufffd31mred"),
        ("abc\u202efed", "abc\ufffdfed"),
        ("\u2066isolated\u2069", "\ufffdisolated\ufffd"),
        ("half \ud800 a pair", "half \ufffd a pair"),
        ("a\tb", "a    b"),
        ("lone\rreturn", "lone␍return"),
        ("마당 👩‍👩‍👧 é عربي", "마당 👩‍👩‍👧 é عربي"),
    ],
)
def test_signs(text: str, shown: str) -> None:
    assert safe_lines(text) == [shown]


def test_line_ends() -> None:
    assert safe_lines("one\ntwo\r\nthree\u2028four") == ["one", "two", "three", "four"]
    assert safe_line("one\ntwo") == "one␊two"
    assert safe_lines("") == [""]


@given(ANYTHING)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    for line in safe_lines(text):
        assert all(unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} for character in line)
        assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(ANYTHING)
def test_json_is_safe_to_look_at_and_means_the_same(text: str) -> None:
    encoded = safe_json(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(encoded) == {"text": text}
    assert safe_lines(encoded) == [encoded]
