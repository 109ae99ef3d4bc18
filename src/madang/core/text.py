"""What people may write: message texts, topics, handles and channel names. Pure checks that raise or return."""

from __future__ import annotations

import re
import unicodedata

from madang.core import handles
from madang.core.errors import NameNotAllowed, TextNotAllowed

MAX_TEXT_BYTES = 16 * 1024
MAX_TOPIC = 256
MAX_REASON = 256
MAX_HANDLE = 32
MAX_CHANNEL_NAME = 64
MAX_DISPLAY_NAME = 64
MAX_STATUS = 128

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""The C0 and C1 control characters but newline and tab (Unicode's category Cc)."""
_CONTROL_OR_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TURNS_AROUND = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What changes the direction of everything that follows it on the line."""
_SURELY_SEEN = re.compile(r"[!-~]")
_NOT_DRAWN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Cs"})
_NEVER_DRAWN = frozenset(
    chr(code)
    for code in (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    )
)
"""Letters and marks that nothing is drawn for (Unicode's Default_Ignorable_Code_Point, but for the formats)."""
_NAME_EXTRA = frozenset("-_.")


def check_text(text: str) -> None:
    """Raise TextNotAllowed unless the text can be a message: something to see, no control characters, 16 KiB at
    most.
    """
    if not _SURELY_SEEN.search(text) and not any(map(_is_drawn, text)):
        raise TextNotAllowed(problem="is empty")
    if len(text) > MAX_TEXT_BYTES // 4 and len(text.encode()) > MAX_TEXT_BYTES:
        raise TextNotAllowed(problem=f"is longer than {MAX_TEXT_BYTES} bytes of UTF-8")
    found = _CONTROL.search(text)
    if found:
        raise TextNotAllowed(
            problem=f"holds the control character U+{ord(found[0]):04X}; only newline and tab are allowed"
        )


def check_topic(topic: str) -> None:
    """Raise TextNotAllowed unless the topic is one line of at most 256 characters. It may be empty."""
    if len(topic) > MAX_TOPIC:
        raise TextNotAllowed(problem=f"is longer than {MAX_TOPIC} characters")
    found = _CONTROL_OR_BREAK.search(topic)
    if found:
        raise TextNotAllowed(problem=f"holds U+{ord(found[0]):04X}; a topic is one line without control characters")


def check_line(text: str, most: int) -> str:
    """A display name, a status text, a reason or a note: one line of at most `most` characters, in normal form (NFC).

    It may be empty. Raises TextNotAllowed, also for what would turn the rest of the line around.
    """
    text = unicodedata.normalize("NFC", text)
    if len(text) > most:
        raise TextNotAllowed(problem=f"is longer than {most} characters")
    found = _CONTROL_OR_BREAK.search(text) or _TURNS_AROUND.search(text)
    if found:
        raise TextNotAllowed(problem=f"holds U+{ord(found[0]):04X}; it is one line without control characters")
    if text and not any(map(_is_drawn, text)):
        raise TextNotAllowed(problem="has nothing to see")
    return text


def check_handle(handle: str) -> str:
    """The handle in normal form (NFC). Raises NameNotAllowed, also for one that looks like a forged one."""
    handle = _check_name(handle, MAX_HANDLE)
    problem = handles.problem_of(handle)
    if problem is not None:
        raise NameNotAllowed(name=handle, problem=problem)
    return handle


def check_channel_name(name: str) -> str:
    """The channel name in normal form (NFC); digits alone would read as an id. Raises NameNotAllowed."""
    name = _check_name(name, MAX_CHANNEL_NAME)
    if name.isdecimal():
        raise NameNotAllowed(name=name, problem="is digits only, which would read as a channel's id")
    return name


def fold(name: str) -> str:
    """The key by which names are the same: compatibility forms and case do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def numbered(handle: str, number: int) -> str:
    """The handle with a number appended, cut so that it keeps within the limit."""
    suffix = f"-{number}"
    return handle[: MAX_HANDLE - len(suffix)] + suffix


def _is_name_part(character: str) -> bool:
    if character.isalnum() or unicodedata.category(character) in ("Mn", "Mc"):
        return character not in _NEVER_DRAWN
    return character in _NAME_EXTRA


def _is_drawn(character: str) -> bool:
    """Whether there is something to see: no space, control or format, and no letter without a picture.

    What this Python does not know may be an emoji of next year.
    """
    return unicodedata.category(character) not in _NOT_DRAWN and character not in _NEVER_DRAWN


def _check_name(name: str, limit: int) -> str:
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= limit:
        raise NameNotAllowed(name=name[:80], problem=f"is not 1 to {limit} characters long")
    for character in name:
        if not _is_name_part(character):
            raise NameNotAllowed(
                name=name, problem=f"holds {character!r}; letters, digits, '-', '_' and '.' are allowed"
            )
    if not name[0].isalnum():
        raise NameNotAllowed(name=name, problem="does not begin with a letter or a digit")
    return name
