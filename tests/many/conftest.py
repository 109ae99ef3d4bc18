"""A cluster for a test: real processes over one real PostgreSQL and one real NATS."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from faults.process import ServerProcess, eventually
from parts.nats import Nats

import madang


class Inside(madang.Server):
    """A node inside of this process, that knows whether it runs."""

    runs = False

    async def start(self) -> Self:
        """See Server."""
        await super().start()
        self.runs = True
        return self

    async def stop(self) -> None:
        """See Server."""
        self.runs = False
        await super().stop()


class Cluster:
    """Makes the nodes of a cluster, and ends those that are left."""

    def __init__(self, database: str, bus: str, directory: Path) -> None:
        self.name = f"test-{secrets.token_hex(4)}"
        self.database = database
        self.bus = bus
        self.directory = directory
        self.nodes: list[ServerProcess] = []
        self.servers: list[Inside] = []

    def node(self, *arguments: str) -> ServerProcess:
        """A node that is yet to be started."""
        number = len(self.nodes)
        node = ServerProcess(self.directory / f"data-{number}", self.directory / f"log-{number}")
        shared = ["--database", self.database, "--bus", self.bus, "--cluster", self.name, "--name", f"node-{number}"]
        node.arguments = [*shared, "--handover", "0", *arguments]  # the default takes 20 s
        self.nodes.append(node)
        return node

    async def start(self, count: int, *arguments: str) -> list[ServerProcess]:
        """Start so many equal nodes."""
        nodes = [self.node(*arguments) for _ in range(count)]
        for node in nodes:
            node.launch()
        for node in nodes:
            await node.serving()
        return nodes

    def server(self, **settings: Any) -> madang.Server:
        """A node inside of this process, not started."""
        own: dict[str, Any] = {"database": self.database, "bus": (self.bus,), "cluster": self.name, "handover": 0}
        server = Inside(**(own | {"limits": None, "drain": 0.5} | settings))
        self.servers.append(server)
        return server

    async def close(self) -> None:
        """End what a test that failed has left."""
        for server in self.servers:
            if server.runs:
                await server.stop()
        for node in self.nodes:
            with node:
                pass


async def know_each_other(*servers: madang.Server) -> None:
    """Return when each of these nodes knows of all the others."""
    for server in servers:
        await eventually(lambda server=server: server._node.known == len(servers), "the nodes know each other")  # type: ignore[misc]


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """One NATS for all of these tests; their clusters have names of their own."""
    with Nats(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
async def cluster(database: str, nats: Nats, tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(database, nats.url, tmp_path)
    try:
        yield made
    finally:
        await made.close()
