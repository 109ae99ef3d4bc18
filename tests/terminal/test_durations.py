"""Lengths of time, as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.terminal.durations import is_duration, parse_duration, say_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("7d", 604_800), ("1w", 604_800), ("1H30m", 5400)]
)
def test_parse(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "7x", "0s", "-7d", "7d ", "7 d", "1.5h", "999999999w", "٧d", "spam"])
def test_what_is_none(text: str) -> None:
    assert not is_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 s"),
        (0.2, "1 s"),
        (3, "3 s"),
        (90, "90 s"),
        (91, "2 min"),
        (900, "15 min"),
        (7200, "2 h"),
        (604_800, "7 days"),
    ],
)
def test_say(seconds: float, text: str) -> None:
    assert say_duration(seconds) == text


@given(st.integers(1, 10_000_000))
def test_what_is_said_is_never_too_short(seconds: int) -> None:
    number, unit = say_duration(seconds).split()
    size = {"s": 1, "min": 60, "h": 3600, "days": 86_400}[unit]
    assert seconds <= int(number) * size < seconds + size
