"""Lengths of time as people write and read them: `30s`, `10m`, `2h`, `7d`, `1w`; 3 s, 15 min. Pure."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"([0-9]{1,9})([smhdw])")
_LONGEST = 100 * 365 * 86_400


def parse_duration(text: str) -> int:
    """Seconds; raises ValueError where the text is no length of time above 0: `7d`, `1h30m`."""
    parts = _PART.findall(text.lower())
    if "".join(number + unit for number, unit in parts) != text.lower() or not parts:
        raise ValueError("a time is written with its unit, as in 30s, 10m, 2h, 7d or 1w")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= _LONGEST:
        raise ValueError("a time above 0, and below 100 years, is needed")
    return seconds


def is_duration(text: str) -> bool:
    """Whether `parse_duration` takes it."""
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True


def say_duration(seconds: float) -> str:
    """A length of time in one unit, never less than it is: `3 s`, `15 min`, `2 h`, `7 days`."""
    whole = max(1, -int(-seconds // 1))
    for size, unit, at_most in ((1, "s", 90), (60, "min", 90), (3600, "h", 36)):
        count = -(-whole // size)
        if count <= at_most:
            return f"{count} {unit}"
    return f"{-(-whole // 86_400)} days"
