"""Handles: nobody looks like somebody else."""

from __future__ import annotations

import pytest
from support import refused

from madang.core.errors import NameNotAllowed, TextNotAllowed
from madang.core.handles import deleted_handle, look_alike
from madang.core.text import check_handle, check_line

WHOLE = "mina Mina_2.x 민아 민아kim-2 田中さん カタカナ さくらー 山田kim миша Сара שלום-2 हिन्दी ١٢ 007"
FORGED = "minа mіna рaypal minα mınа mina한а aเ a-שלום ㅋㅋ ﬁ ﷺ mi\u0335na\u2060 deleted-3 DELETED-x"
LINES = ["a\nb", "a\x07", "a\u202eb", "a\u2066", "\u200b", " ", "a\u2028b", "x" * 65]


@pytest.mark.parametrize("handle", WHOLE.split(), ids=ascii)
def test_whole_words_of_every_script_are_handles(handle: str) -> None:
    assert check_handle(handle) == handle


@pytest.mark.parametrize("handle", FORGED.split(), ids=ascii)
def test_forgeries_are_not(handle: str) -> None:
    with refused(NameNotAllowed):
        check_handle(handle)


@pytest.mark.parametrize(
    ("handle", "twin"), [("рау", "pay"), ("mına", "mina"), ("mina", None), ("миша", None), ("민아", None)], ids=ascii
)
def test_what_the_eye_makes_of_it(handle: str, twin: str | None) -> None:
    assert look_alike(handle) == twin


def test_nobody_can_be_called_like_the_deleted() -> None:
    with refused(NameNotAllowed):
        check_handle(deleted_handle(7))


@pytest.mark.parametrize(
    "line", ["a\nb", "a\x07", "a\u202eb", "a\u2066", "\u200b", " ", "a\u2028b", "x" * 65], ids=ascii
)
def test_lines_that_are_none(line: str) -> None:
    with refused(TextNotAllowed):
        check_line(line, 64)


def test_lines_are_kept_in_normal_form() -> None:
    assert check_line("Ame\u0301lie 🏡", 64) == "Am\u00e9lie 🏡"
    assert check_line("", 64) == ""
