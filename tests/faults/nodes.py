"""A cluster of real processes: three nodes, PostgreSQL and NATS, with a proxy in each link between any two of them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from parts.nats import Nats
from parts.postgres import Postgres, execute

from . import clock
from .disks import ShrinkingDisk, can_mount, shrinking_disk
from .process import ServerProcess, free_port
from .proxy import Proxy

NODES = 3
DISK_MB = 2048
"""Of PostgreSQL's disk, where it gets one of its own. Memory is taken for what is on it only."""


class ClusterNode:
    """A node, and its links."""

    def __init__(self, number: int, process: ServerProcess, links: dict[str, Proxy], own: clock.Clock | None) -> None:
        self.name = f"node {number}"
        self.process = process
        self.links = links
        """`clients`, `database` and `bus`."""
        self.clock = own

    @property
    def target(self) -> str:
        """Where clients find it."""
        return self.links["clients"].target


class Cluster:
    """An async context manager: everything runs when it is entered, and is gone when it is left."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes: list[ClusterNode] = []
        """Those that serve everything."""
        self.agent: ClusterNode
        """One more, which serves the Agent alone."""
        self.disk: ShrinkingDisk | None = None
        """PostgreSQL's disk; None: it has none of its own here."""
        self._stack = AsyncExitStack()

    @property
    def target(self) -> str:
        """The addresses of all nodes."""
        return ",".join(node.target for node in self.nodes)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self.postgres = Postgres()
        self._stack.callback(self.postgres.close)
        if can_mount():
            self.disk = self._stack.enter_context(shrinking_disk(self.postgres.directory, DISK_MB))
        self._stack.callback(self.postgres.stop, immediate=True)
        self.postgres.start()
        await execute(self.postgres.url("postgres"), "CREATE DATABASE madang TEMPLATE template0")
        self.nats = self._stack.enter_context(Nats(self.directory / "nats"))
        library = clock.build(self.directory) if clock.can_set() else None
        self.nodes = [await self._node(number, library) for number in range(1, NODES + 1)]
        self.agent = await self._node(NODES + 1, library)
        self.agent.name = "the Agent alone"
        self.agent.process.arguments += ["--services", "agent"]
        await asyncio.gather(*(node.process.start() for node in self.everything))

    @property
    def everything(self) -> list[ClusterNode]:
        """All processes of Madang."""
        return [*self.nodes, self.agent]

    async def _node(self, number: int, library: Path | None) -> ClusterNode:
        directory = self.directory / f"node-{number}"
        directory.mkdir()
        process = self._stack.enter_context(ServerProcess(directory / "data", directory / "log"))
        ends = {"clients": process.port, "database": self.postgres.port, "bus": self.nats.port}
        links = {name: await self._stack.enter_async_context(Proxy(f"127.0.0.1:{port}")) for name, port in ends.items()}
        first = free_port()  # one that somebody else has is left out
        own = clock.Clock(library, directory / "clock") if library is not None else None
        process.environment = own.environment if own is not None else {}
        process.arguments = [
            *("--name", f"node-{number}", "--advertise", links["clients"].target),
            *("--classic", "--classic-ports", f"{first}-{first + 9}"),
            *(
                "--database",
                self.postgres.url("madang", links["database"].port),
                "--bus",
                f"nats://{links['bus'].target}",
            ),
            *("--handover", "0"),
        ]
        return ClusterNode(number, process, links, own)
