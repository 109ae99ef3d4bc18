"""The open streams of sessions: which end, and when."""

from __future__ import annotations

import pytest
from support import refused

from madang.bus.local import LocalBus
from madang.core.errors import MadangError, ServerDraining, SessionRevoked
from madang.core.events import SessionEnded
from madang.services.streams import Streams


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


def test_what_is_raised_within_a_stream_goes_its_way(bus: LocalBus, streams: Streams) -> None:
    with pytest.raises(SessionRevoked), streams.open(7, lambda _: None):
        raise SessionRevoked
    bus.publish(SessionEnded(7, 1))
