"""The waits between tries, with dice of our own."""

import pytest

from madang.client.backoff import Backoff
from madang.client.line import next_try
from madang.client.transport import Transport
from madang.core.errors import MadangError, Overloaded, StorageUnavailable


def test_doubles_up_to_the_limit() -> None:
    backoff = Backoff(0.1, 15.0, dice=lambda: 1.0)
    assert [round(backoff.next(), 3) for _ in range(10)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]


async def test_where_there_are_several_nodes_no_wait_is_long() -> None:
    """A server that is away is asked again soon, after however long; one that limits is not."""
    transport = Transport(["127.0.0.1:1", "127.0.0.1:2"])
    alone = Transport("127.0.0.1:1")
    away, busy = StorageUnavailable(problem="it is away"), Overloaded(problem="too much", retry_after=0.0)

    async def longest(at: Transport, error: MadangError) -> float:
        backoff = Backoff(dice=lambda: 1.0)
        for _ in range(20):
            backoff.next()
        return await next_try(at, at.visit, error, backoff)

    assert await longest(transport, away) == 5.0
    assert await longest(transport, busy) == 15.0
    assert await longest(alone, away) == 15.0
    await transport.close()
    await alone.close()


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
