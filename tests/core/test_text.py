"""What people may write: texts, topics, names; and when two names are the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support import refused

from madang.core.errors import NameNotAllowed, TextNotAllowed
from madang.core.text import (
    MAX_CHANNEL_NAME,
    MAX_HANDLE,
    MAX_TEXT_BYTES,
    MAX_TOPIC,
    check_channel_name,
    check_handle,
    check_text,
    check_topic,
    fold,
    numbered,
)

CONTROLS = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cc"]
NAME = st.text(st.characters(categories=["L", "Nd"]) | st.sampled_from("-_."), min_size=1, max_size=MAX_HANDLE)


def is_allowed(text: str) -> bool:
    try:
        check_text(text)
    except TextNotAllowed:
        return False
    return True


def is_handle(name: str) -> bool:
    try:
        check_handle(name)
    except NameNotAllowed:
        return False
    return True


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"U+{ord(control):04X}")
def test_newline_and_tab_are_the_only_control_characters(control: str) -> None:
    assert is_allowed(f"a{control}b") == (control in "\n\t")


@given(
    st.text(st.characters(categories=["Cc", "Zs", "L", "N", "P", "S"], exclude_characters="\u115f\u1160\u3164\uffa0"))
)
def test_texts_are_allowed_unless_a_rule_speaks_against_it(text: str) -> None:
    seen = any(unicodedata.category(character)[0] in "LNPS" for character in text)
    clean = all(unicodedata.category(character) != "Cc" or character in "\n\t" for character in text)
    assert is_allowed(text) == (seen and clean)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0", "\u3000 \u2003"], ids=ascii)
def test_a_text_needs_something_to_see(text: str) -> None:
    with refused(TextNotAllowed, problem="is empty"):
        check_text(text)


@pytest.mark.parametrize("text", ["\u200b", "\u2060", "\ufeff", "\u00ad", "\u202e", "\u3164"], ids=ascii)
def test_invisible_characters_are_nothing_to_see(text: str) -> None:
    assert not is_allowed(text)


def test_characters_that_this_python_does_not_know_yet_can_be_seen() -> None:
    unknown = next(chr(code) for code in range(0x1FAFF, 0x1F000, -1) if unicodedata.category(chr(code)) == "Cn")
    assert is_allowed(unknown)


@pytest.mark.parametrize("character", ["a", "é", "한", "🏡"])
def test_the_limit_of_a_text_is_in_bytes(character: str) -> None:
    width = len(character.encode())
    longest = character * (MAX_TEXT_BYTES // width)
    longest += "a" * (MAX_TEXT_BYTES - len(longest.encode()))
    assert is_allowed(longest)
    assert not is_allowed(longest + "a")


def test_a_topic_is_one_line_and_may_be_empty() -> None:
    check_topic("")
    check_topic("한" * MAX_TOPIC)
    for topic in ("a\nb", "a\tb", "a\u2028b", "a\u2029b", "a\x9bb", "a" * (MAX_TOPIC + 1)):
        with pytest.raises(TextNotAllowed):
            check_topic(topic)


@pytest.mark.parametrize("name", ["mina", "Mina-2", "a", "민아", "हिन्दी", "x_y.z", "0day", "é" * 32], ids=ascii)
def test_good_names(name: str) -> None:
    assert check_handle(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name",
    ["", "a b", "-a", ".a", "_a", "a/b", "a#b", "@a", "a\n", "a\x00", "a\u200bb", "a\u202eb", "\u0301a", "a🏡"],
    ids=ascii,
)
def test_bad_names(name: str) -> None:
    for check in (check_handle, check_channel_name):
        with pytest.raises(NameNotAllowed):
            check(name)


@pytest.mark.parametrize("name", ["mina\ufe0f", "mina\u034f", "mina\u3164", "\u3164", "mina\u115f"], ids=ascii)
def test_names_hold_nothing_invisible(name: str) -> None:
    with pytest.raises(NameNotAllowed):
        check_handle(name)


@pytest.mark.parametrize(("check", "limit"), [(check_handle, MAX_HANDLE), (check_channel_name, MAX_CHANNEL_NAME)])
def test_the_length_of_names_is_counted_in_normal_form(check: Callable[[str], str], limit: int) -> None:
    decomposed = unicodedata.normalize("NFD", "é" * limit)
    assert check(decomposed) == "é" * limit
    with pytest.raises(NameNotAllowed):
        check("a" * (limit + 1))


@pytest.mark.parametrize("name", ["1", "007", "١٢"], ids=ascii)
def test_a_channel_name_cannot_be_taken_for_an_id(name: str) -> None:
    assert check_handle(name) == name
    with pytest.raises(NameNotAllowed):
        check_channel_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Mina", "mINA"), ("straße", "STRASSE"), ("ﬁ", "FI"), ("é", "e\u0301"), ("ｍｉｎａ", "mina"), ("ς", "Σ")],
    ids=ascii,
)
def test_names_that_are_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(NAME)
def test_folding_is_stable(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert fold(unicodedata.normalize("NFD", name)) == fold(unicodedata.normalize("NFC", name))


@given(NAME, st.integers(2, 10**6))
def test_a_numbered_handle_is_a_handle(name: str, number: int) -> None:
    name = unicodedata.normalize("NFC", name)
    assume(is_handle(name))
    found = check_handle(numbered(check_handle(name), number))
    assert found.endswith(f"-{number}")
    assert found.startswith(name[: MAX_HANDLE - 8])
