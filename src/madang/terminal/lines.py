"""What a line on the screen looks like. Pure: a line is fragments of text, each with the name of a style.

14:02 joon: is the build green?
14:02 mina ✓ yes                       one's own, stored
14:03 mina ✗ hello — the text is …     one's own, refused
14:03 #dev joon: deployed              from a channel that is not the current one
14:03 @mina mina: psst                 from a direct channel
14:04 * sora joined
— Sunday 23 November 2025 —
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

from madang.core.contents import number_of, reason_of, role_of
from madang.core.models import ChannelRole, Content, Message
from madang.terminal.durations import say_duration
from madang.terminal.safe import safe_line, safe_lines
from madang.terminal.titles import shown

Line = tuple[tuple[str, str], ...]
"""Fragments `(style, text)`; the styles are named in `madang.terminal.style`."""

NAME_COLOURS = 6
STORED = "✓"
REFUSED = "✗"
_REFUSED_AT_MOST = 500
"""So much of a message that was refused is shown: enough to know it by."""
_CONTINUATION = "      "  # as wide as "14:02 ": what follows a line end can never pass for a line of its own
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WORD = re.compile(r"\S+\s*|\s+")
_HAPPENINGS = {
    Content.TEXT: "said: {text}",
    Content.MEMBER_JOINED: "joined",
    Content.MEMBER_LEFT: "left",
    Content.RENAMED: "renamed the channel to #{text}",
    Content.TOPIC_CHANGED: "set the topic: {text}",
    Content.ARCHIVED: "archived the channel: it can be read, not written",
    Content.UNARCHIVED: "brought the channel back",
    Content.MEMBER_REMOVED: "removed {subject}",
    Content.MEMBER_BANNED: "banned {subject}",
    Content.ROLE_CHANGED: "made {subject} {role}",
}
_SWITCHES = {
    (Content.READ_ONLY_CHANGED, True): "made the channel read-only: its moderators and owners may write",
    (Content.READ_ONLY_CHANGED, False): "let everyone write again",
    (Content.SLOW_MODE_CHANGED, False): "switched slow mode off",
    (Content.GUESTS_CHANGED, True): "let guests in",
    (Content.GUESTS_CHANGED, False): "lets guests in no more",
}
_ROLES = {
    ChannelRole.OWNER: "an owner of the channel",
    ChannelRole.MODERATOR: "a moderator of the channel",
    ChannelRole.MEMBER: "a member without a special role",
}


def plain(line: Line) -> str:
    """The line without its styles."""
    return "".join(text for _, text in line)


def note(text: str) -> Line:
    """A remark of the program's own."""
    return (("class:note", safe_line(text)),)


def problem(text: str) -> Line:
    """Something that did not work."""
    return (("class:problem", safe_line(f"! {text}")),)


def rule(text: str) -> Line:
    """A line that parts what is above it from what is below."""
    return (("class:rule", safe_line(f"— {text} —")),)


def local(micros: int, zone: tzinfo | None = None) -> datetime:
    """Microseconds since the epoch as a time in `zone`; None is the zone of this computer."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).astimezone(zone)


def clock(micros: int, zone: tzinfo | None = None) -> str:
    """The time of day: `14:02`."""
    return f"{local(micros, zone):%H:%M}"


def stamp(micros: int, zone: tzinfo | None = None) -> str:
    """Date and time: `2025-11-22 14:02:05`."""
    return f"{local(micros, zone):%Y-%m-%d %H:%M:%S}"


def day_line(moment: datetime) -> Line:
    """The line that begins a day. In English whatever the locale is, as the rest of the screen."""
    return rule(f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}")


def name_style(handle: str) -> str:
    """The style of a name: always the same for the same handle."""
    return f"class:name-{zlib.crc32(handle.casefold().encode('utf-8', 'replace')) % NAME_COLOURS}"


def message_lines(
    message: Message, author: str, *, when: str, channel: str = "", own: bool = False, subject: str = ""
) -> list[Line]:
    """The lines of a stored message: `when` begins them, `channel` is named where it is not empty. `subject`: to whom
    it was done.
    """
    start = _start(when, channel)
    if message.content is not Content.TEXT:
        return [(*start, ("class:event", safe_line(f"* {author} {happening(message, subject)}")))]
    if own:
        return _with_body((*start, *_own(author), ("class:stored", f" {STORED} ")), message.text)
    return _with_body((*start, (name_style(author), safe_line(author)), ("", ": ")), message.text)


def refused_lines(text: str, reason: str, author: str, *, when: str, channel: str = "") -> list[Line]:
    """The lines of one's own message that the server refused."""
    shortened = text if len(text) <= _REFUSED_AT_MOST else f"{text[:_REFUSED_AT_MOST]}… ({len(text):,} characters)"
    lines = _with_body((*_start(when, channel), *_own(author), ("class:problem", f" {REFUSED} ")), shortened)
    return [*lines[:-1], (*lines[-1], ("class:problem", safe_line(f" — {reason}")))]


def sending_line(text: str, *, channel: str = "", columns: int = 0, wait: float = 0.0) -> Line:
    """The one line of one's own message that is not stored yet; cut to `columns` where that is not 0.

    `wait`: for how many seconds the server takes none, because the user was too fast.
    """
    place = f"{shown(safe_line(channel))} " if channel else ""
    state = f"waiting {say_duration(wait)}" if wait > 0 else "sending"
    line = f"{state} … {place}{safe_line(text)}"
    return (("class:sending", cut(line, columns) if columns else line),)


def happening(message: Message, subject: str = "") -> str:
    """What happened, where the message is not somebody's words: `joined`. `subject`: to whom it was done."""
    content = message.content
    if content is Content.TOPIC_CHANGED and not message.text:
        return "took the topic away"
    if switched := _SWITCHES.get((content, number_of(message) > 0)):
        return switched
    if content is Content.SLOW_MODE_CHANGED:
        return f"set slow mode: {say_duration(number_of(message))} between two messages"
    role = _ROLES[role_of(message)] if content is Content.ROLE_CHANGED else ""
    reason = reason_of(message) if not role else ""
    said = _HAPPENINGS[content].format(text=message.text, subject=subject or "somebody", role=role)
    return f"{said}: {reason}" if reason else said


def table(rows: Iterable[tuple[str, ...]], *, gap: int = 2) -> list[str]:
    """Rows as lines with aligned columns; the last column is as long as it is."""
    cells = [tuple(safe_line(cell) for cell in row) for row in rows]
    widths = [max(width(cell) for cell in column) for column in zip(*cells, strict=True)]
    padded = [
        [cell + " " * (room + gap - width(cell)) for cell, room in zip(row, widths, strict=True)] for row in cells
    ]
    return ["".join(row).rstrip() for row in padded]


def width(text: str) -> int:
    """How many columns a text takes: two for each wide character of East Asia, none for a combining one."""
    return sum(_columns(character) for character in text)


def cut(text: str, room: int) -> str:
    """The text, cut to `room` columns."""
    if width(text) <= room:
        return text
    taken = 0
    for index, character in enumerate(text):
        taken += _columns(character)
        if taken > room - 1:
            return f"{text[:index]}…"
    return text


def wrap(line: Line, columns: int) -> list[Line]:
    """The line as lines of at most `columns`, parted between words. A word that fits into no line, a long address say,
    stays whole, for the terminal to break: so it can be copied.
    """
    if width(plain(line)) <= columns:
        return [line]
    rows: list[list[tuple[str, str]]] = [[]]
    taken = 0
    for style, word in _words(line):
        needed = width(word.rstrip())
        if columns - taken < needed <= columns - len(_CONTINUATION):
            last, end = rows[-1][-1]
            rows[-1][-1] = (last, end.rstrip())
            rows.append([("", _CONTINUATION)])
            taken = len(_CONTINUATION)
        rows[-1].append((style, word))
        taken += width(word)
    return [tuple(row) for row in rows]


def _words(line: Line) -> Iterator[tuple[str, str]]:
    """The line's words, each with the space after it."""
    for style, text in line:
        yield from ((style, word) for word in _WORD.findall(text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _start(when: str, channel: str) -> Line:
    return (("class:time", f"{when} "), *((("class:channel", f"{shown(safe_line(channel))} "),) if channel else ()))


def _own(author: str) -> Line:
    return (("class:me", safe_line(author)),)


def _with_body(start: Line, text: str) -> list[Line]:
    first, *rest = safe_lines(text)
    return [(*start, ("", first)), *(((("", f"{_CONTINUATION}{line}"),)) for line in rest)]
