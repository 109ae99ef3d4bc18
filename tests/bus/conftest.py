"""A real NATS for all tests here, and nodes on one bus."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from parts.nats import Nats

from madang.bus.link import NatsOptions
from madang.bus.nats import NatsBus
from madang.bus.nodes import NatsNodes, Times
from madang.core.cluster import NodeInfo

QUICK = Times(again=0.3, gone=2.0, tick=0.1)
"""As in a cluster, but faster."""

_clusters = itertools.count()


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS server that tests share, each in a cluster of its own."""
    with Nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def own_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS server that the test may stop."""
    with Nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def cluster() -> str:
    """The name of a cluster that nobody else is in."""
    return f"test-{next(_clusters)}"


@asynccontextmanager
async def joined(nats: Nats, cluster: str, store: str = "") -> AsyncIterator[NatsBus]:
    """A node's bus."""
    bus = NatsBus(NatsOptions((nats.url,), cluster))
    await bus.start(5, store)
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def node(nats: Nats, cluster: str, node_id: str, store: str = "") -> AsyncIterator[tuple[NatsBus, NatsNodes]]:
    """A node's bus, and the nodes that it knows; it is announced."""
    bus = NatsBus(NatsOptions((nats.url,), cluster))
    nodes = NatsNodes(bus, QUICK)
    await bus.start(5, store)
    try:
        await nodes.start()
        nodes.announce(replace(info(node_id), store=store))
        yield bus, nodes
    finally:
        await nodes.close()
        await bus.close()


def info(node_id: str, load: int = 0, draining: bool = False) -> NodeInfo:
    """What a node tells of itself."""
    addresses = {"agent": f"{node_id}.example:50050", "lobby": "127.0.0.1:1"}
    return NodeInfo(node_id, f"node {node_id}", "1.0", 1_700_000_000_000_000, "f00", addresses, load, draining)
