"""The open streams of sessions: which end, and when."""

from __future__ import annotations

import asyncio

import pytest
from support import refused

from madang.bus.local import LocalBus
from madang.core.errors import MadangError, ServerDraining, SessionRevoked
from madang.core.events import SessionEnded
from madang.services.streams import End, Streams, due_by


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def streams(bus: LocalBus) -> Streams:
    return Streams(bus)


def test_all_streams_of_an_ended_session_end_and_no_others(bus: LocalBus, streams: Streams) -> None:
    ended: list[tuple[str, str]] = []

    def end(name: str) -> object:
        return lambda error: ended.append((name, error.reason))

    phone, laptop, other = (end(name) for name in ("phone", "laptop", "other"))
    assert callable(phone)
    assert callable(laptop)
    assert callable(other)
    with streams.open(7, phone), streams.open(7, laptop), streams.open(8, other):
        bus.publish(SessionEnded(7, 1))
        assert ended == [("phone", "SESSION_REVOKED"), ("laptop", "SESSION_REVOKED")]


def test_a_stream_that_is_over_is_not_ended(bus: LocalBus, streams: Streams) -> None:
    ended: list[MadangError] = []
    with streams.open(7, ended.append):
        pass
    bus.publish(SessionEnded(7, 1))
    streams.drain(ServerDraining(retry_after=1))
    assert ended == []


def test_a_stream_may_be_over_the_moment_it_is_ended(bus: LocalBus, streams: Streams) -> None:
    """Ending one stream must not make the walk over the others skip any."""
    ended: list[int] = []
    opened = {number: streams.open(7, lambda _, number=number: close(number)) for number in range(3)}  # type: ignore[misc]

    def close(number: int) -> None:
        ended.append(number)
        opened[number].__exit__(None, None, None)

    for one in opened.values():
        one.__enter__()
    bus.publish(SessionEnded(7, 1))
    assert ended == [0, 1, 2]


def test_draining_ends_every_stream_and_refuses_new_ones(streams: Streams) -> None:
    ended: list[MadangError] = []
    with streams.open(7, ended.append), streams.open(8, ended.append):
        streams.drain(ServerDraining(retry_after=2))
        assert [error.retry_after for error in ended] == [2, 2]
        with refused(ServerDraining, retry_after=2), streams.open(9, ended.append):
            pytest.fail("a new stream was taken")


def test_streams_go_evenly() -> None:
    assert [due_by(200, elapsed, 4.0) for elapsed in (0, 0.02, 1, 2, 3.999, 4, 5)] == [0, 1, 50, 100, 199, 200, 200]
    assert (due_by(0, 0, 4.0), due_by(7, 0, 0.0)) == (0, 7)


async def test_a_hand_over_ends_every_stream_and_refuses_new_ones(streams: Streams) -> None:
    """One that has ended by itself meanwhile is left alone."""
    ended: list[tuple[int, str]] = []

    def end(number: int) -> End:
        return lambda error: ended.append((number, error.reason))

    opened = [streams.open(number % 7, end(number)) for number in range(20)]
    for one in opened:
        one.__enter__()
    assert streams.count == 20
    handing = asyncio.create_task(streams.hand_over(ServerDraining(retry_after=0), 0.1))
    await asyncio.sleep(0)
    opened[3].__exit__(None, None, None)
    with refused(ServerDraining, retry_after=0), streams.open(9, end(99)):
        pytest.fail("a new stream was taken")
    await handing
    assert sorted(ended) == [(number, "SERVER_DRAINING") for number in range(20) if number != 3]
    assert [number for number, _ in ended] != sorted(number for number, _ in ended), "in an order of chance"


def test_what_is_raised_within_a_stream_goes_its_way(bus: LocalBus, streams: Streams) -> None:
    with pytest.raises(SessionRevoked), streams.open(7, lambda _: None):
        raise SessionRevoked
    bus.publish(SessionEnded(7, 1))
