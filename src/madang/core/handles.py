"""Which handles are allowed, beyond their characters: no look-alikes, no mixtures that only a forger needs. Pure.

Two standards say most of it, and two libraries hold their tables: the UsernameCaseMapped profile of PRECIS (RFC 8265),
and the scripts and confusable characters of Unicode (UTS 39).
"""

from __future__ import annotations

from typing import Any

from confusable_homoglyphs import categories, confusables
from precis_i18n import get_profile

_PROFILE = get_profile("UsernameCaseMapped")
_SHARED = frozenset({"COMMON", "INHERITED"})
_WRITTEN_TOGETHER = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
"""The scripts that one word may hold together: UTS 39 calls this "highly restrictive"."""
RESERVED = "deleted-"
"""How the names begin that deleted accounts are shown with."""


def deleted_handle(user_id: int) -> str:
    """What a deleted account is shown as. Nobody can have such a handle."""
    return f"{RESERVED}{user_id}"


def problem_of(handle: str) -> str | None:
    """What speaks against a handle whose characters were checked, in words that follow its name; None when nothing."""
    if handle.casefold().startswith(RESERVED):
        return f"begins with {RESERVED!r}, which is reserved"
    try:
        # Digits alone have one direction in every script, whatever the rule for words says of their beginning.
        _PROFILE.base.enforce(handle, "handle") if handle.isdecimal() else _PROFILE.enforce(handle)
    except UnicodeEncodeError as error:
        return f"is not allowed by the rules for names in every script (RFC 8265: {error.reason.rpartition('/')[2]})"
    scripts = {categories.alias(character) for character in handle} - _SHARED
    if len(scripts) > 1:
        if not any(scripts <= together for together in _WRITTEN_TOGETHER):
            return "mixes scripts that are not written together"
        if any(not character.isascii() and _latin_twin(character) for character in handle):
            return "holds a character that looks like a Latin one"
    return None


def look_alike(handle: str) -> str | None:
    """The name in ASCII that the eye may take this one for; None when it is no name in ASCII to the eye, or is one."""
    if handle.isascii():
        return None
    twins = [character if character.isascii() else _latin_twin(character) for character in handle]
    return "".join(twin for twin in twins if twin) if all(twins) else None


def _latin_twin(character: str) -> str | None:
    """The letter or digit of ASCII that looks like the character; None when there is none."""
    found: Any = confusables.is_confusable(character, greedy=True)
    for one in found or ():
        for homoglyph in one["homoglyphs"]:
            twin: str = homoglyph["c"]
            if twin.isascii() and twin.isalnum():
                return twin
    return None
