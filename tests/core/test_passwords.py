"""Which passwords are allowed, and which codes can be codes."""

from __future__ import annotations

import unicodedata

import pytest
from support import refused

from madang.core import codes
from madang.core.errors import PasswordNotAllowed
from madang.core.passwords import check_password, prepared

BAD = [
    *("", "short", "x1y2z3w4q", "aaaaaaaaaaaa", "abababababab", "password123", "PassWord123", "1234567890"),
    *("mina-the-great", "Mina-The-GREAT", "ring\x07the bell", "v3ry-l0ng-" * 26),
]
GOOD = ["nine lives + 1", "열두 글자는 되는 비밀번호", "v3ry-l0ng-" * 25, "🏡ab cd ef gh"]


@pytest.mark.parametrize("password", BAD, ids=ascii)
def test_passwords_that_are_not_allowed(password: str) -> None:
    with refused(PasswordNotAllowed):
        check_password(password, "mina-the-great")


@pytest.mark.parametrize(
    "password", ["nine lives + 1", "열두 글자는 되는 비밀번호", "v3ry-l0ng-" * 25, "🏡" + "ab cd ef gh"], ids=ascii
)
def test_passwords_that_are(password: str) -> None:
    assert check_password(password, "mina") == unicodedata.normalize("NFC", password)


def test_a_password_does_not_depend_on_the_keyboard() -> None:
    assert prepared("cafe\u0301 \u3000noir") == prepared("caf\u00e9  noir")
    assert prepared("Cafe") != prepared("cafe"), "but on its case"


def test_the_error_does_not_tell_the_password() -> None:
    with pytest.raises(PasswordNotAllowed) as caught:
        check_password("qwertyuiop", "mina")
    assert "qwerty" not in str(caught.value) + repr(caught.value)


def test_codes() -> None:
    code = codes.encode(bytes(range(20)))
    assert codes.digest(code) == codes.digest(f" {code.upper()}\n")
    assert code[0].isalnum()
    for wrong in ("", code[:-1], code + "a", code[:-1] + "1", "나" * 32, code * 1000):
        assert codes.digest(wrong) is None
