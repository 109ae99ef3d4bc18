"""A server inside of a test or an app."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Self

from madang.node.node import Node
from madang.node.settings import Address, Settings


class Server:
    """`async with madang.Server() as server:` runs a whole server in this event loop.

    Without `data` everything is kept in a temporary directory that goes with the server. By default it listens on a
    free port of loopback: `server.target` says which. Other keywords are fields of `madang.node.settings.Settings`.
    """

    def __init__(
        self, data: str | Path | None = None, *, listen: str = "127.0.0.1:0", classic: bool = False, **settings: object
    ) -> None:
        self._temporary = None if data is not None else tempfile.TemporaryDirectory(prefix="madang-")
        directory = Path(self._temporary.name if self._temporary is not None else str(data))
        try:
            self.settings = Settings(data=directory, listen=Address.parse(listen), classic=classic, **settings)  # type: ignore[arg-type]
        except BaseException:
            self._clean_up()
            raise
        self._node = Node(self.settings)

    @property
    def target(self) -> str:
        """The address for `madang.connect`, `host:port`."""
        return str(self._node.listen)

    @property
    def metrics(self) -> str:
        """Where the metrics are, `host:port`; empty where they are not shown."""
        return "" if self._node.metrics is None else str(self._node.metrics)

    async def first_invite(self) -> str | None:
        """The code of a new invite for the first owner, good once; None when there is an owner."""
        return await self._node.first_invite()

    async def start(self) -> Self:
        """Start; raises StoreError, ListenError."""
        try:
            await self._node.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    async def stop(self) -> None:
        """Shut down in order, and remove the temporary directory."""
        await self._node.stop()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
