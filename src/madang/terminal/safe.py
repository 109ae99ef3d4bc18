"""Makes text that others wrote safe to print on a terminal.

A terminal obeys what it is sent: an escape sequence in a message could clear the screen, rename the window or type
into the shell. Bidirectional overrides turn the rest of a line around, so that a text reads as what it does not say.
Both are shown as a sign instead. The server refuses most of them too; the terminal does not rely on that.
"""

from __future__ import annotations

import re

_TAB = "    "
_LINE_ENDS = re.compile("\r\n|[\u2028\u2029]")
_C0 = "\x00-\x08\x0b-\x1f\x7f"
_UNSEEN = "\x80-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
_UNSAFE = re.compile(f"[{_C0}{_UNSEEN}]")
_UNSAFE_IN_JSON = re.compile(f"[\x7f{_UNSEEN}\u2028\u2029]")
_REPLACEMENT = "\ufffd"


def safe_lines(text: str) -> list[str]:
    """A text as lines that hold nothing which a terminal would obey; at least one line."""
    return [_neutral(line) for line in _LINE_ENDS.sub("\n", text).split("\n")]


def safe_line(text: str) -> str:
    """A text as one such line, for names, topics and reasons; line ends are shown as a sign."""
    return "␊".join(safe_lines(text))


def safe_json(encoded: str) -> str:
    """JSON text in which the same characters stand as escapes: safe to look at, and the same value when it is read."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", encoded)


def _neutral(line: str) -> str:
    return _UNSAFE.sub(lambda match: _sign(match.group()), line.replace("\t", _TAB))


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's pictures of the control characters: ␛ for escape
    return "␡" if code == 0x7F else _REPLACEMENT
