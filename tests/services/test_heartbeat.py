"""Who is here, as it is told: the newest, each user once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import pytest
from support import PATIENCE, Clock, eventually, refused

from madang.bus.local import LocalBus
from madang.core.errors import PageTokenInvalid, SessionRevoked
from madang.core.events import PresenceChanged, SessionEnded
from madang.core.presence import Presence, Status
from madang.services.heartbeat import GRACE, LEASE, HeartbeatService, Watch

MINA, HANA = 1, 2


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def heartbeat(bus: LocalBus, clock: Clock) -> HeartbeatService:
    return HeartbeatService(bus, clock)


class Watcher:
    """Reads a watch when it is told to."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.updates = watch.updates()
        self.seen: dict[int, Status] = {}
        self.told = 0

    async def next(self) -> list[Presence]:
        async with asyncio.timeout(PATIENCE):
            presences = await anext(self.updates)
        self.told += len(presences)
        self.seen.update((presence.user_id, presence.status) for presence in presences)
        return presences


@asynccontextmanager
async def watching(heartbeat: HeartbeatService, user_id: int) -> AsyncIterator[Watcher]:
    watcher = Watcher(heartbeat.watch(user_id))
    async with aclosing(watcher.updates):
        yield watcher


async def test_a_watch_begins_with_everyone_who_is_here(heartbeat: HeartbeatService) -> None:
    with heartbeat.held(HANA):
        heartbeat.set_status(HANA, Status.AWAY)
        async with watching(heartbeat, MINA) as mina:
            await mina.next()
            assert mina.seen == {MINA: Status.ONLINE, HANA: Status.AWAY}


async def test_coming_and_going_are_told(heartbeat: HeartbeatService, clock: Clock) -> None:
    async with watching(heartbeat, MINA) as mina:
        await mina.next()
        with heartbeat.held(HANA):
            while mina.seen.get(HANA) is not Status.ONLINE:
                await mina.next()
        clock.pass_seconds(GRACE)
        heartbeat.expire()
        while mina.seen[HANA] is not Status.OFFLINE:
            await mina.next()


async def test_a_slow_watcher_gets_the_newest_state_and_not_every_step(heartbeat: HeartbeatService) -> None:
    async with watching(heartbeat, MINA) as slow, watching(heartbeat, HANA) as quick:
        await slow.next()
        await quick.next()
        while quick.seen.get(HANA) is None:
            await quick.next()
        steps = [Status.AWAY, Status.DO_NOT_DISTURB, Status.ONLINE] * 5 + [Status.AWAY]
        for status in steps:
            heartbeat.set_status(HANA, status)
            heartbeat._tell_now()  # as if its time had come
            while quick.seen[HANA] is not status:
                await quick.next()
        told = slow.told
        presences = await slow.next()
        assert [(one.user_id, one.status) for one in presences if one.user_id == HANA] == [(HANA, Status.AWAY)]
        assert slow.told - told == len({one.user_id for one in presences}), "each user once"


async def test_a_crowd_that_comes_at_once_is_one_event(bus: LocalBus, heartbeat: HeartbeatService) -> None:
    events: list[PresenceChanged] = []
    bus.subscribe(PresenceChanged, events.append)
    async with AsyncExitStack() as stack:
        for user_id in range(1, 501):
            stack.enter_context(heartbeat.held(user_id))
        await eventually(lambda: events, "somebody was told")
        assert [len(event.presences) for event in events] == [500]


async def test_a_beat_is_good_for_its_lease(heartbeat: HeartbeatService, clock: Clock) -> None:
    heartbeat.beat(MINA)
    clock.pass_seconds(LEASE - 0.001)
    heartbeat.expire()
    assert heartbeat.get(MINA).status is Status.ONLINE
    clock.pass_seconds(0.001)
    heartbeat.expire()
    assert heartbeat.get(MINA).status is Status.OFFLINE


async def test_a_watcher_is_here_itself_for_as_long_as_it_watches(heartbeat: HeartbeatService, clock: Clock) -> None:
    async with watching(heartbeat, MINA) as mina:
        await mina.next()
        assert heartbeat.get(MINA).status is Status.ONLINE
        clock.pass_seconds(LEASE * 100)
        heartbeat.expire()
        assert heartbeat.get(MINA).status is Status.ONLINE
    clock.pass_seconds(GRACE)
    heartbeat.expire()
    assert heartbeat.get(MINA).status is Status.OFFLINE


async def test_signing_out_is_seen_without_grace(bus: LocalBus, heartbeat: HeartbeatService) -> None:
    heartbeat.beat(MINA)
    with heartbeat.held(MINA):
        bus.publish(SessionEnded(7, MINA))
    assert heartbeat.get(MINA).status is Status.OFFLINE


async def test_an_ended_watch_raises_its_error_and_lets_go(heartbeat: HeartbeatService) -> None:
    async with watching(heartbeat, MINA) as mina:
        await mina.next()
        waiting = asyncio.create_task(mina.next())
        await asyncio.sleep(0)
        mina.watch.end(SessionRevoked())
        with refused(SessionRevoked):
            await waiting
    heartbeat.beat(HANA)
    heartbeat._tell_now()
    assert mina.watch._news.keys() <= {MINA}, "it is told no more"


async def test_presences_page_by_page(heartbeat: HeartbeatService) -> None:
    for user_id in range(1, 8):
        heartbeat.beat(user_id)
    found: list[int] = []
    token = ""
    for _ in range(3):
        presences, token = heartbeat.page((), 3, token)
        found += [presence.user_id for presence in presences]
    assert (found, token) == (list(range(1, 8)), "")
    asked, token = heartbeat.page((9, 3, 9, 1), 2, "")
    assert [(one.user_id, one.status) for one in asked] == [(1, Status.ONLINE), (3, Status.ONLINE)]
    rest, end = heartbeat.page((9, 3, 9, 1), 2, token)
    assert ([(one.user_id, one.status) for one in rest], end) == ([(9, Status.OFFLINE)], "")
    with refused(PageTokenInvalid):
        heartbeat.page((), 2, token)


async def test_the_last_page_says_that_it_is_the_last(heartbeat: HeartbeatService) -> None:
    for user_id in range(1, 5):
        heartbeat.beat(user_id)
    _, token = heartbeat.page((), 2, "")
    assert heartbeat.page((), 2, token)[1] == ""


async def test_a_clock_that_is_set_keeps_nobody_here_and_takes_nobody_away(bus: LocalBus, clock: Clock) -> None:
    ticks = Clock(7_000_000)
    heartbeat = HeartbeatService(bus, clock, ticks=ticks)
    came_at = clock()
    heartbeat.beat(MINA)
    with heartbeat.held(HANA):
        pass
    clock.pass_seconds(-86_400)
    ticks.pass_seconds(GRACE)
    heartbeat.expire()
    assert heartbeat.get(HANA).status is Status.OFFLINE, "its grace is over, whatever the time of day"
    clock.pass_seconds(2 * 86_400)
    heartbeat.expire()
    assert heartbeat.get(MINA).status is Status.ONLINE, "its lease is not over"
    assert heartbeat.get(MINA).seen_at == came_at, "that was the time of day when it was seen"
    assert [presence.user_id for presence in heartbeat.here()] == [MINA]
