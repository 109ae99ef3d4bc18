"""Which passwords are allowed, and the one form in which a password is compared. Pure."""

from __future__ import annotations

from precis_i18n import get_profile

from madang.core.errors import PasswordNotAllowed
from madang.core.text import fold

MIN_LENGTH = 10
MAX_LENGTH = 256

_PROFILE = get_profile("OpaqueString")
_MIN_DIFFERENT = 4
"""Of how many different characters a password has at least: `aaaaaaaaaa` is one that everybody tries."""
_COMMON = """
    0123456789 0987654321 1111111111a 1234567890 1234567891 12345678910 123456789a 1q2w3e4r5t 1q2w3e4r5t6y
    1qaz2wsx3edc 9876543210 a123456789 aa12345678 aa123456789 abc1234567 abc12345678 abc123456789 abcd123456
    abcdefghij abcdefghijk admin12345 admin123456 adminadmin adminadmin1 administrator administrator1 asdf123456
    asdfasdf12 asdfasdfasdf asdfghjkl1 asdfghjkl; baseball12 baseball123 changeme123 changeme1234 changemenow
    computer12 computer123 correcthorsebatterystaple dragon1234 football12 football123 iloveyou12 iloveyou123
    iloveyou1234 jennifer12 letmein123 letmein1234 madang1234 madang12345 madangmadang michael123 monkey1234
    mypassword p@ssw0rd123 passw0rd123 password12 password123 password1234 password12345 passwordpassword princess12
    princess123 q1w2e3r4t5 q1w2e3r4t5y6 qazwsxedcrfv qweasdzxc123 qwerty1234 qwerty12345 qwerty123456 qwertyuiop
    qwertyuiop1 qwertyuiop123 secret1234 secret12345 starwars12 starwars123 sunshine12 sunshine123 superman12
    superman123 test123456 test1234567 testtest12 testtest123 trustno1234 welcome123 welcome1234 welcome12345
    whatever12 whatever123 zaq12wsxcde zaq1xsw2cde3 zxcvbnm,./ zxcvbnm123
"""
"""Those of ten and more characters that lists of stolen passwords begin with; shorter ones are refused anyway."""
_TRIED_FIRST = frozenset(_COMMON.split())


def prepared(password: str) -> str | None:
    """The form in which a password is hashed and compared (RFC 8265, OpaqueString): it does not depend on the keyboard
    that it was typed with. None for what cannot be a password, such as one with control characters.
    """
    try:
        enforced: str = _PROFILE.enforce(password)
    except UnicodeEncodeError:
        return None
    return enforced


def check_password(password: str, handle: str) -> str:
    """The password, prepared. `handle`: of whose account it will be. Raises PasswordNotAllowed."""
    found = prepared(password)
    if found is None:
        raise PasswordNotAllowed(problem="holds a character that is not allowed")
    if not MIN_LENGTH <= len(found) <= MAX_LENGTH:
        raise PasswordNotAllowed(problem=f"is not {MIN_LENGTH} to {MAX_LENGTH} characters long")
    if fold(found) == fold(handle):
        raise PasswordNotAllowed(problem="is the handle")
    if found.casefold() in _TRIED_FIRST or len(set(found.casefold())) < _MIN_DIFFERENT:
        raise PasswordNotAllowed(problem="is one that everybody tries first")
    return found
