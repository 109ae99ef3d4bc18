"""The way from the streams to the reader: order, bounds, positions."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from madang.client.events import Connected, Disconnected, Event
from madang.client.inbox import NOTICES, ROOM, Inbox, Item
from madang.client.store import Place
from madang.core.errors import Internal, SessionRevoked

SOME = Internal()
Moves = list[tuple[int, Place | None]]


def inbox(moves: Moves | None = None) -> Inbox:
    kept = [] if moves is None else moves
    return Inbox(lambda channel_id, place: kept.append((channel_id, place)))


def event(number: float) -> Event:
    return Disconnected(SOME, number)


async def test_a_position_counts_when_the_next_event_is_asked_for() -> None:
    moves: Moves = []
    box = inbox(moves)
    await box.put(deque(Item(event(n), 1, Place(n, "s")) for n in (1, 2)))
    await box.put(deque([Item(None, 1, Place(3, "s")), Item(event(4), 2, None)]))
    reader = box.events()
    assert await anext(reader) == event(1)
    assert moves == []
    assert await anext(reader) == event(2)
    assert moves == [(1, Place(1, "s"))]
    assert await anext(reader) == event(4)  # what brings no event counts at once
    assert moves == [(1, Place(1, "s")), (1, Place(2, "s")), (1, Place(3, "s"))]


async def test_a_slow_reader_holds_the_stream_back() -> None:
    box = inbox()
    for number in range(ROOM):
        await box.put(deque([Item(event(number))]))
    late = asyncio.create_task(box.put(deque([Item(event(ROOM))])))
    await asyncio.sleep(0)  # its turn
    assert not late.done()
    reader = box.events()
    assert [await anext(reader) for _ in range(ROOM + 1)] == [event(n) for n in range(ROOM + 1)]
    await late


async def test_notices_never_wait_and_the_oldest_are_dropped() -> None:
    box = inbox()
    await box.put(deque([Item(Connected(False))]))
    for number in range(NOTICES + 3):
        box.push(event(number))
    reader = box.events()
    assert await anext(reader) == Connected(False)
    assert [await anext(reader) for _ in range(NOTICES)] == [event(n) for n in range(3, NOTICES + 3)]


async def test_a_cancelled_wait_loses_nothing() -> None:
    box = inbox()
    reader = box.events()
    for number in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(reader), 0.001)
        box.push(event(number))
        assert await anext(reader) == event(number)


async def test_only_one_reads() -> None:
    box = inbox()
    for number in range(3):
        box.push(event(number))
    first, second = box.events(), box.events()
    assert await anext(first) == event(0)
    with pytest.raises(RuntimeError, match="another consumer"):
        await anext(second)
    await first.aclose()
    assert await anext(second) == event(1)
    del second  # a reader that is gone makes way, as after `break`
    async for found in box.events():
        assert found == event(2)
        break
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(box.events()), 0.001)


async def test_two_tasks_cannot_wait_at_once() -> None:
    box = inbox()
    reader = box.events()
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task"):
        await anext(reader)
    box.push(event(1))
    assert await waiting == event(1)


async def test_the_end_comes_after_what_was_received() -> None:
    box = inbox()
    await box.put(deque([Item(event(1))]))
    box.end(SessionRevoked())
    box.push(event(2))  # too late
    reader = box.events()
    assert await anext(reader) == event(1)
    for _ in range(2):
        with pytest.raises(SessionRevoked):
            await anext(reader)


async def test_closing_ends_the_loop_at_once() -> None:
    box = inbox()
    seen = []
    box.push(event(1))
    box.push(event(2))
    async for found in box.events():
        seen.append(found)
        box.close()
    assert seen == [event(1)]
