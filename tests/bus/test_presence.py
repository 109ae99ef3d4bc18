"""Who is here, over nodes: the same everywhere, until the last node that has the user says no more."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from parts.nats import Nats
from support import Clock, eventually

from madang.bus.nats import NatsBus
from madang.bus.nodes import NatsNodes, Times
from madang.core.events import PresenceChanged, SessionEnded
from madang.core.presence import Presence, Status
from madang.node.node import EXPIRE_EVERY
from madang.services.heartbeat import GRACE, HeartbeatService
from madang.services.together import LEAVE_GRACE

from .conftest import QUICK, info, node

MINA, HANA = 1, 2


def test_a_node_that_dies_takes_its_users_along_in_time() -> None:
    """With the times of a cluster, not those of the other tests: within 15 seconds, everywhere."""
    times = Times()
    assert times.gone > 2 * times.again, "one record that is lost on the way takes nobody away"
    assert times.gone + times.tick + LEAVE_GRACE / 1_000_000 + EXPIRE_EVERY <= 15


@dataclass
class Place:
    """A node with a heartbeat. Its leases run out when the test says so."""

    bus: NatsBus
    nodes: NatsNodes
    clock: Clock
    heartbeat: HeartbeatService
    told: list[Presence] = field(default_factory=list)

    def sees(self, user_id: int, status: Status) -> bool:
        return self.heartbeat.get(user_id).status is status

    @property
    def misses_someone(self) -> bool:
        """Whether it waits for the users of a node that is gone."""
        return self.heartbeat._cluster is not None and bool(self.heartbeat._cluster._missing)

    def pass_seconds(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)
        self.heartbeat.expire()


@asynccontextmanager
async def place(nats: Nats, cluster: str, node_id: str) -> AsyncIterator[Place]:
    async with node(nats, cluster, node_id) as (bus, nodes):
        clock = Clock()
        here = Place(bus, nodes, clock, HeartbeatService(bus, clock, nodes, node_id))
        bus.subscribe(PresenceChanged, lambda event: here.told.extend(event.presences))
        sharing = asyncio.create_task(_share(here))
        try:
            yield here
        finally:
            sharing.cancel()
            await asyncio.wait([sharing])


async def _share(here: Place) -> None:
    while True:
        await here.heartbeat.share()
        await asyncio.sleep(QUICK.tick)


_witnesses = itertools.count(1000)


async def heard(of: Place, by: Place) -> None:
    """Return when all that one node has said until now has come to the other: what a node says comes in order."""
    witness = next(_witnesses)
    with of.heartbeat.held(witness):
        await eventually(lambda: by.sees(witness, Status.ONLINE), "what one node says has come to the other")


@pytest.fixture
async def two(nats: Nats, cluster: str) -> AsyncIterator[tuple[Place, Place]]:
    async with place(nats, cluster, "a") as one, place(nats, cluster, "b") as other:
        await eventually(lambda: len(one.nodes.known()) == len(other.nodes.known()) == 2, "both know both")
        yield one, other


async def test_who_is_on_one_node_is_seen_on_the_other(two: tuple[Place, Place]) -> None:
    one, other = two
    with one.heartbeat.held(MINA, 11):
        await eventually(lambda: other.sees(MINA, Status.ONLINE), "it is there for all")
        assert [each.user_id for each in other.heartbeat.here()] == [MINA]
        assert other.heartbeat.page((), 10, "")[0] == other.heartbeat.here()
        assert other.heartbeat.get(MINA).seen_at == one.clock()
    one.pass_seconds(GRACE)
    await eventually(lambda: other.sees(MINA, Status.OFFLINE), "it is gone for all")
    await eventually(lambda: len(other.told) == 2, "both were told")
    assert [each.status for each in other.told] == [Status.ONLINE, Status.OFFLINE]


async def test_a_watch_tells_of_the_whole_cluster(two: tuple[Place, Place]) -> None:
    one, other = two
    with one.heartbeat.held(MINA):
        await eventually(lambda: other.sees(MINA, Status.ONLINE), "it is there for all")
        async with aclosing(other.heartbeat.watch(HANA).updates()) as updates:
            assert {each.user_id for each in await anext(updates)} == {MINA, HANA}
            await eventually(lambda: one.sees(HANA, Status.ONLINE), "who watches is here")
            one.heartbeat.set_status(MINA, Status.AWAY)
            seen: dict[int, Status] = {}
            while seen.get(MINA) is not Status.AWAY:
                seen.update((each.user_id, each.status) for each in await anext(updates))


async def test_a_user_on_two_nodes_stays_until_the_last_one_loses_it(two: tuple[Place, Place]) -> None:
    one, other = two
    with other.heartbeat.held(MINA, 12):
        with one.heartbeat.held(MINA, 11):
            await heard(one, other)
            await heard(other, one)
        one.pass_seconds(GRACE)
        await heard(one, other)
        assert other.sees(MINA, Status.ONLINE)
        assert one.sees(MINA, Status.ONLINE)
    other.pass_seconds(GRACE)
    await eventually(lambda: one.sees(MINA, Status.OFFLINE), "now it is gone")


async def test_a_status_counts_on_all_nodes_and_outlives_the_one_where_it_was_said(two: tuple[Place, Place]) -> None:
    one, other = two
    with other.heartbeat.held(MINA):
        with one.heartbeat.held(MINA):
            await eventually(lambda: one.sees(MINA, Status.ONLINE) and other.sees(MINA, Status.ONLINE), "it is here")
            assert one.heartbeat.set_status(MINA, Status.DO_NOT_DISTURB).status is Status.DO_NOT_DISTURB
            await eventually(lambda: other.sees(MINA, Status.DO_NOT_DISTURB), "it counts there, too")
        one.pass_seconds(GRACE)
        assert one.heartbeat._table.get(MINA).status is Status.OFFLINE
        assert other.sees(MINA, Status.DO_NOT_DISTURB)
        other.heartbeat.set_status(MINA, Status.AWAY)
        await eventually(lambda: one.sees(MINA, Status.AWAY), "what is said last counts")


async def test_a_status_may_be_said_where_the_user_is_not(two: tuple[Place, Place]) -> None:
    """Calls may come to another node than streams."""
    one, other = two
    with other.heartbeat.held(MINA):
        await eventually(lambda: one.sees(MINA, Status.ONLINE), "it is here")
        assert one.heartbeat.set_status(MINA, Status.AWAY).status is Status.AWAY
        await eventually(lambda: other.sees(MINA, Status.AWAY), "it counts where it is")
    other.pass_seconds(GRACE)
    await eventually(lambda: one.sees(MINA, Status.OFFLINE), "who is gone wants nothing")


async def test_a_session_that_ends_takes_only_its_own_lease(two: tuple[Place, Place]) -> None:
    one, other = two
    one.heartbeat.beat(MINA, 11)
    other.heartbeat.beat(MINA, 12)
    await heard(other, one)
    one.bus.publish(SessionEnded(11, MINA))
    assert one.heartbeat._table.get(MINA).status is Status.OFFLINE
    await heard(one, other)
    assert other.sees(MINA, Status.ONLINE)
    assert one.sees(MINA, Status.ONLINE), "by the other session, on the other node"
    one.bus.publish(SessionEnded(12, MINA))
    await eventually(lambda: one.sees(MINA, Status.OFFLINE), "that was the last")


async def test_a_new_node_knows_at_once_who_is_here(nats: Nats, cluster: str) -> None:
    async with place(nats, cluster, "a") as one, AsyncExitStack() as stack:
        for user_id in range(1, 101):
            stack.enter_context(one.heartbeat.held(user_id))
        one.heartbeat.set_status(7, Status.AWAY)
        await eventually(lambda: one.nodes._put_version > 0, "it lets others find them")
        async with place(nats, cluster, "b") as other:
            await eventually(lambda: len(other.heartbeat.here()) == 100, "it found them")
            assert other.sees(7, Status.AWAY)


async def test_what_was_missed_is_looked_for(two: tuple[Place, Place]) -> None:
    one, other = two
    with one.heartbeat.held(MINA):
        await eventually(lambda: other.sees(MINA, Status.ONLINE), "it is here")
        one.bus.link.client, client = None, one.bus.link.client  # one change is lost
        with one.heartbeat.held(HANA):
            await eventually(lambda: one.told[-1].user_id == HANA, "it was told")
            one.bus.link.client = client
            await eventually(lambda: other.sees(HANA, Status.ONLINE), "it was found")


async def test_the_users_of_a_dead_node_go_and_the_others_stay(two: tuple[Place, Place], nats: Nats) -> None:
    one, other = two
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_hold, args=(nats.url, one.bus.cluster, "c", [MINA, HANA]), daemon=True)
    process.start()
    try:
        with one.heartbeat.held(HANA):
            await eventually(lambda: other.sees(MINA, Status.ONLINE) and one.sees(MINA, Status.ONLINE), "it is here")
            process.kill()
            await eventually(lambda: len(one.nodes.known()) == len(other.nodes.known()) == 2, "it is dead")
            await eventually(lambda: one.misses_someone and other.misses_someone, "it is missed")
            assert one.sees(MINA, Status.ONLINE), "it may be moving to another node"
            for each in two:
                each.pass_seconds(LEAVE_GRACE / 1_000_000)
            await eventually(lambda: one.sees(MINA, Status.OFFLINE) and other.sees(MINA, Status.OFFLINE), "gone")
            assert one.sees(HANA, Status.ONLINE)
            assert other.sees(HANA, Status.ONLINE)
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


async def test_a_restart_of_nats_changes_nobody(own_nats: Nats, cluster: str) -> None:
    async with place(own_nats, cluster, "a") as one, place(own_nats, cluster, "b") as other:
        with one.heartbeat.held(MINA), other.heartbeat.held(HANA):
            await eventually(lambda: len(one.told) == len(other.told) == 2, "all are here")
            told = len(one.told), len(other.told)
            own_nats.stop()
            await eventually(lambda: not one.bus.is_connected and not other.bus.is_connected, "it is away")
            with one.heartbeat.held(3):
                own_nats.start()
                await eventually(lambda: one.bus.is_connected and other.bus.is_connected, "it is back")
                await eventually(lambda: other.sees(3, Status.ONLINE), "who came meanwhile is found")
                assert {each.user_id for each in one.told[told[0] :] + other.told[told[1] :]} == {3}


def _hold(url: str, cluster: str, node_id: str, user_ids: list[int]) -> None:
    """A process that is a node with these users, until it is killed."""
    from madang.bus.link import NatsOptions

    async def hold() -> None:
        bus = NatsBus(NatsOptions((url,), cluster))
        nodes = NatsNodes(bus, QUICK)
        await bus.start(5)
        await nodes.start()
        nodes.announce(info(node_id))
        heartbeat = HeartbeatService(bus, Clock(), nodes, node_id)
        for user_id in user_ids:
            heartbeat.beat(user_id)
        await _share(Place(bus, nodes, Clock(), heartbeat))

    asyncio.run(hold())
