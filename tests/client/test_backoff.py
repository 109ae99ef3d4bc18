"""The waits between tries, with dice of our own."""

import pytest

from madang.client.backoff import Backoff


def test_doubles_up_to_the_limit() -> None:
    backoff = Backoff(0.1, 15.0, dice=lambda: 1.0)
    assert [round(backoff.next(), 3) for _ in range(10)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]


def test_full_jitter() -> None:
    backoff = Backoff(0.1, 15.0, dice=iter([0.0, 0.5, 1.0]).__next__)
    assert [backoff.next() for _ in range(3)] == pytest.approx([0.0, 0.1, 0.4])


def test_waits_at_least_as_long_as_the_server_asks() -> None:
    backoff = Backoff(0.1, 15.0, dice=lambda: 0.5)
    assert backoff.next(30.0) == pytest.approx(30.05)


def test_begins_anew_after_a_success() -> None:
    backoff = Backoff(0.1, 15.0, dice=lambda: 1.0)
    for _ in range(2000):
        backoff.next()
    backoff.reset()
    assert backoff.next() == pytest.approx(0.1)
