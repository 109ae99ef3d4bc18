"""Every kind of fault that a cluster is put through, and how it is done to real processes and real connections.

Each of them is over when its function returns, and everything is as it was. It says from when on the cluster has to
recover: when the fault ends; when a node is killed, at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import psutil
from parts.postgres import Postgres, execute

from .nodes import Cluster, ClusterNode
from .proxy import Flow, Proxy

STOPPED_WITHIN = 15.0
"""Seconds in which a node exits that is told to."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault, where and for how long."""

    cluster: Cluster
    rng: random.Random
    hold: float
    """Seconds that it lasts, as far as that can be said."""
    over: Callable[[ClusterNode | None], None]
    """Is called when the cluster has to recover from now on; with the node that was killed."""
    wrong: Callable[[str], None]
    """Is told what must not be."""
    busy: frozenset[str]
    """The addresses at which there are clients."""

    def node(self) -> ClusterNode:
        """Some node, one with clients."""
        return self.rng.choice([node for node in self.cluster.nodes if node.target in self.busy] or self.cluster.nodes)


Act: TypeAlias = Callable[[Injection], Awaitable[None]]
Part = Literal["node", "agent", "database", "bus", "clients' link", "database's link", "bus's link"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `hold`: how long it lasts in a long run, in seconds, from and to; `short`: in a short one."""

    name: str
    part: Part
    act: Act
    hold: tuple[float, float] = (0.0, 3.0)
    short: tuple[float, float] = (0.3, 1.5)
    needs: Literal["", "disk", "clock"] = ""

    @property
    def keeps_from_nats(self) -> bool:
        """Whether a node does not reach NATS in it."""
        return self.part in ("bus", "bus's link") or self.act is _isolate

    @property
    def silences_nodes(self) -> bool:
        """Whether a node that lives can in no way tell the others in it who is there."""
        return self.act in (_isolate, _pause)

    def can_be_done(self, cluster: Cluster) -> bool:
        """Whether this machine has what it needs."""
        have = {"": True, "disk": cluster.disk is not None, "clock": cluster.nodes[0].clock is not None}
        return have[self.needs]


# Nodes.


async def _kill(fault: Injection) -> None:
    node = fault.node()
    node.process.kill()
    fault.over(node)
    await asyncio.sleep(fault.hold)
    await node.process.start()


async def _kill_twice(fault: Injection) -> None:
    """Once more while it starts."""
    node = fault.node()
    node.process.kill()
    fault.over(node)
    node.process.launch()
    await asyncio.sleep(fault.hold)
    node.process.kill()
    await node.process.start()


async def _kill_all(fault: Injection) -> None:
    for node in fault.cluster.nodes:
        node.process.kill()
    await asyncio.sleep(fault.hold)
    await asyncio.gather(*(node.process.start() for node in fault.cluster.nodes))
    fault.over(None)


async def _terminate(fault: Injection) -> None:
    node = fault.node()
    fault.over(None)
    await _stop_in_order(fault, node)
    await asyncio.sleep(fault.hold)
    await node.process.start()


async def _roll(fault: Injection) -> None:
    fault.over(None)
    for node in fault.cluster.nodes:
        await _stop_in_order(fault, node)
        await node.process.start()


async def _stop_in_order(fault: Injection, node: ClusterNode) -> None:
    try:
        code, _ = await node.process.terminate(STOPPED_WITHIN)
    except AssertionError:
        fault.wrong(f"{node.name} was told to stop, and had not in {STOPPED_WITHIN:g} s")
        node.process.kill()
    else:
        if code != 0:
            fault.wrong(f"{node.name} was told to stop, and exited with {code}")


async def _pause(fault: Injection) -> None:
    node = fault.node()
    node.process.pause()
    try:
        await asyncio.sleep(fault.hold)
    finally:
        node.process.resume()
    fault.over(None)


async def _kill_agent(fault: Injection) -> None:
    process = fault.cluster.agent.process
    process.kill()
    fault.over(None)
    await asyncio.sleep(fault.hold)
    await process.start()


async def _stop_agent(fault: Injection) -> None:
    fault.over(None)
    await _stop_in_order(fault, fault.cluster.agent)
    await asyncio.sleep(fault.hold)
    await fault.cluster.agent.process.start()


async def _jump(fault: Injection) -> None:
    """Forwards or back by up to a day, and back to the truth."""
    own = fault.node().clock
    assert own is not None
    own.set(fault.rng.choice((-1, 1)) * 10 ** fault.rng.uniform(0, 4.9))
    try:
        await asyncio.sleep(fault.hold)
    finally:
        own.set(0)
    fault.over(None)


# PostgreSQL and NATS.


async def _restart_database(fault: Injection, how: Callable[[], None]) -> None:
    await asyncio.to_thread(how)
    await asyncio.sleep(fault.hold)
    await asyncio.to_thread(fault.cluster.postgres.start)
    fault.over(None)


async def _stop_database(fault: Injection) -> None:
    await _restart_database(fault, fault.cluster.postgres.stop)


async def _crash_database(fault: Injection) -> None:
    await _restart_database(fault, lambda: fault.cluster.postgres.stop(immediate=True))


async def _kill_database(fault: Injection) -> None:
    await _restart_database(fault, fault.cluster.postgres.kill)


async def _kill_backend(fault: Injection) -> None:
    """One that works for a node: PostgreSQL ends all others too, and recovers."""
    postgres = fault.cluster.postgres
    found = [child for child in psutil.Process(postgres.pid).children() if "127.0.0.1" in " ".join(child.cmdline())]
    if found:
        fault.rng.choice(found).kill()
    await asyncio.to_thread(_recover, postgres)
    fault.over(None)


async def _end_connections(fault: Injection) -> None:
    """As an administrator, or a pooler, does it."""
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await execute(fault.cluster.postgres.url("postgres"), f"{statement} AND backend_type = 'client backend'")
    fault.over(None)


async def _fill_disk(fault: Injection) -> None:
    cluster = fault.cluster
    assert cluster.disk is not None
    cluster.disk.fill()
    try:
        await asyncio.sleep(fault.hold)
    finally:
        cluster.disk.free()
    await asyncio.to_thread(_recover, cluster.postgres)
    fault.over(None)


def _recover(postgres: Postgres) -> None:
    """Wait until PostgreSQL is there again; where it gave up, start it as its operator does."""
    while not postgres.is_ready():
        if postgres.has_ended:
            postgres.restart()


async def _stop_bus(fault: Injection) -> None:
    await _restart_bus(fault, fault.cluster.nats.stop)


async def _kill_bus(fault: Injection) -> None:
    await _restart_bus(fault, fault.cluster.nats.kill)


async def _restart_bus(fault: Injection, how: Callable[[], None]) -> None:
    await asyncio.to_thread(how)
    await asyncio.sleep(fault.hold)
    await asyncio.to_thread(fault.cluster.nats.start)
    fault.over(None)


# Links.


def _cut(name: str) -> Act:
    """Every connection of a link breaks, several times in a row."""

    async def act(fault: Injection) -> None:
        link = fault.node().links[name]
        for _ in range(fault.rng.randint(1, 4)):
            link.cut()
            await asyncio.sleep(fault.rng.uniform(0, fault.hold / 4))
        fault.over(None)

    return act


def _refuse(name: str) -> Act:
    async def act(fault: Injection) -> None:
        link = fault.node().links[name]
        await link.refuse()
        try:
            await asyncio.sleep(fault.hold)
        finally:
            await link.listen()
        fault.over(None)

    return act


def _slow(name: str) -> Act:
    async def act(fault: Injection) -> None:
        link, delay = fault.node().links[name], fault.rng.uniform(0.02, 0.3)
        async with _calm_in_the_end(link):
            link.up.delay = link.down.delay = delay
            await asyncio.sleep(fault.hold)
        fault.over(None)

    return act


def _narrow(name: str) -> Act:
    async def act(fault: Injection) -> None:
        link, rate = fault.node().links[name], fault.rng.uniform(10_000, 50_000)
        async with _calm_in_the_end(link):
            link.up.rate = link.down.rate = rate
            await asyncio.sleep(fault.hold)
        fault.over(None)

    return act


def _black_hole(name: str) -> Act:
    """Nothing gets through, in one direction or in both; then either all of it does, or the connections break."""

    async def act(fault: Injection) -> None:
        link = fault.node().links[name]
        async with _calm_in_the_end(link):
            for flow in _directions(fault.rng, link):
                flow.stop()
            await asyncio.sleep(fault.hold)
            if fault.rng.random() < 0.5:
                link.cut()
        fault.over(None)

    return act


async def _lose_answers(fault: Injection) -> None:
    """What PostgreSQL is told arrives, what it says does not: was it committed?"""
    link = fault.node().links["database"]
    for _ in range(fault.rng.randint(1, 4)):
        link.down.stop()
        await asyncio.sleep(fault.rng.uniform(0.02, 0.3))
        link.cut()
        link.calm()
        await asyncio.sleep(fault.rng.uniform(0, fault.hold / 4))
    fault.over(None)


async def _isolate(fault: Injection) -> None:
    """Its clients still reach it; it reaches neither PostgreSQL nor NATS."""
    node = fault.node()
    links = [node.links["database"], node.links["bus"]]
    async with _calm_in_the_end(*links):
        for link in links:
            link.freeze()
        await asyncio.sleep(fault.hold)
    fault.over(None)


def _directions(rng: random.Random, link: Proxy) -> tuple[Flow, ...]:
    return rng.choice(((link.up, link.down), (link.up,), (link.down,)))


@asynccontextmanager
async def _calm_in_the_end(*links: Proxy) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for link in links:
            link.calm()


KINDS: tuple[Kind, ...] = (
    Kind("node: kill -9", "node", _kill),
    Kind("node: kill -9, and again while it starts", "node", _kill_twice, (0.2, 2.0), (0.2, 1.0)),
    Kind("node: kill -9, and long gone", "node", _kill, (16.0, 20.0), (2.0, 3.0)),
    Kind("all nodes: kill -9", "node", _kill_all, (0.0, 1.0)),
    Kind("node: SIGTERM", "node", _terminate),
    Kind("all nodes: SIGTERM, one after the other", "node", _roll),
    Kind("node: SIGSTOP", "node", _pause, (20.0, 20.0), (3.0, 5.0)),
    Kind("node: its clock jumps", "node", _jump, (3.0, 10.0), (1.0, 2.0), needs="clock"),
    Kind("node: reaches neither PostgreSQL nor NATS", "node", _isolate, (2.0, 15.0), (2.0, 4.0)),
    Kind("the Agent alone: kill -9", "agent", _kill_agent),
    Kind("the Agent alone: SIGTERM", "agent", _stop_agent),
    Kind("PostgreSQL: fast restart", "database", _stop_database, (0.0, 5.0)),
    Kind("PostgreSQL: immediate restart", "database", _crash_database, (0.0, 5.0)),
    Kind("PostgreSQL: kill -9", "database", _kill_database),
    Kind("PostgreSQL: kill -9 of one backend", "database", _kill_backend),
    Kind("PostgreSQL: all connections ended", "database", _end_connections),
    Kind("PostgreSQL: disk full", "database", _fill_disk, (2.0, 8.0), (1.0, 2.0), needs="disk"),
    Kind("NATS: restart", "bus", _stop_bus, (0.0, 10.0)),
    Kind("NATS: kill -9", "bus", _kill_bus, (0.0, 10.0)),
    Kind("clients – node: cut", "clients' link", _cut("clients")),
    Kind("clients – node: refused", "clients' link", _refuse("clients"), (1.0, 8.0)),
    Kind("clients – node: slow", "clients' link", _slow("clients"), (2.0, 8.0)),
    Kind("clients – node: narrow", "clients' link", _narrow("clients"), (2.0, 8.0)),
    Kind("clients – node: black hole", "clients' link", _black_hole("clients"), (2.0, 15.0), (2.0, 4.0)),
    Kind("node – PostgreSQL: cut", "database's link", _cut("database")),
    Kind("node – PostgreSQL: refused", "database's link", _refuse("database"), (1.0, 8.0)),
    Kind("node – PostgreSQL: slow", "database's link", _slow("database"), (2.0, 8.0)),
    Kind("node – PostgreSQL: narrow", "database's link", _narrow("database"), (2.0, 8.0)),
    Kind("node – PostgreSQL: black hole", "database's link", _black_hole("database"), (2.0, 15.0), (2.0, 4.0)),
    Kind("node – PostgreSQL: answers lost", "database's link", _lose_answers, (0.5, 4.0)),
    Kind("node – NATS: cut", "bus's link", _cut("bus")),
    Kind("node – NATS: refused", "bus's link", _refuse("bus"), (1.0, 8.0)),
    Kind("node – NATS: slow", "bus's link", _slow("bus"), (2.0, 8.0)),
    Kind("node – NATS: narrow", "bus's link", _narrow("bus"), (2.0, 8.0)),
    Kind("node – NATS: black hole", "bus's link", _black_hole("bus"), (2.0, 15.0), (2.0, 4.0)),
)
"""Every kind of fault."""
