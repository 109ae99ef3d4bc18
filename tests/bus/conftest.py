"""A real NATS for all tests here, and nodes on one bus."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from parts.nats import Nats

from madang.bus.link import NatsOptions
from madang.bus.nats import NatsBus

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
async def joined(nats: Nats, cluster: str) -> AsyncIterator[NatsBus]:
    """A node's bus."""
    bus = NatsBus(NatsOptions((nats.url,), cluster))
    await bus.start(5)
    try:
        yield bus
    finally:
        await bus.close()
