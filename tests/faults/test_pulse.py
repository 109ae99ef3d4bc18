"""The longest pause of a client."""

from __future__ import annotations

import pytest

from . import pulse
from .pulse import Pulse


class Clock:
    """Stands for the time module."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pulse, "time", made)
    return made


def test_the_longest_pause(clock: Clock) -> None:
    client = Pulse()
    for clock.now in (101, 105, 106, 108):
        client.beat(clock.now - 0.5)
    assert client.newest == 107.5
    assert client.longest_pause(0) == 4
    assert client.longest_pause(104) == 4, "it began before, and ended after"
    assert client.longest_pause(105) == 2
    clock.now = 111
    assert client.longest_pause(105) == 3, "it goes on"
    client.beat(50.0)
    assert client.newest == 107.5, "old news are not new"


def test_what_comes_at_once_is_one_beat(clock: Clock) -> None:
    client = Pulse()
    for clock.now in (101, 101.001, 101.002, 102):
        client.beat(clock.now)
    assert client.longest_pause(101) == 1
