"""A real server for the client's tests, that can be stopped and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from parts.ports import free_port

import madang

PATIENCE = 20.0
"""Seconds in which whatever is waited for has to happen."""
PASSWORD = "the cat sat on the mat"  # noqa: S105
OPEN: dict[str, Any] = {
    "registration": madang.Registration.OPEN,
    "password_time": 1,
    "password_memory": 64,
    "password_lanes": 1,
}
"""Settings of a server that anyone may register at, with passwords that are quick to check."""


class Restartable:
    """A server whose data and address outlive it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.target = f"127.0.0.1:{free_port()}"
        self._server: madang.Server | None = None

    async def start(self) -> None:
        """Start it where it was."""
        self._server = madang.Server(self.data, listen=self.target, limits=None, **OPEN)
        await self._server.start()

    async def stop(self) -> None:
        """Stop it in order."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def first_invite(self) -> str:
        """The code with which the server's first owner registers."""
        assert self._server is not None
        code = await self._server.first_invite()
        assert code is not None, "there is an owner already"
        return code

    async def restart(self) -> None:
        """Stop and start it."""
        await self.stop()
        await self.start()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Restartable]:
    made = Restartable(tmp_path / "server")
    await made.start()
    yield made
    await made.stop()


def person(server: Restartable | madang.Server, handle: str, **options: Any) -> madang.Connecting:
    """Somebody with a new account."""
    return madang.register(server.target, handle, PASSWORD, **options)


async def owner(server: Restartable, handle: str = "root") -> madang.Client:
    """The server's owner."""
    return await person(server, handle, invite=await server.first_invite())


async def upto(client: madang.Client, *kinds: type[madang.Event]) -> list[madang.Event]:
    """The events up to the first of one of these kinds."""
    seen: list[madang.Event] = []
    async with asyncio.timeout(PATIENCE):
        async for event in client.events():
            seen.append(event)
            if isinstance(event, kinds):
                break
    return seen


async def texts(client: madang.Client, count: int) -> list[str]:
    """The words of the next messages."""
    seen: list[str] = []
    async with asyncio.timeout(PATIENCE):
        async for event in client.events():
            if isinstance(event, madang.MessageEvent) and event.message.content is madang.Content.TEXT:
                seen.append(event.message.text)
                if len(seen) == count:
                    break
    return seen


async def stored_texts(client: madang.Client, channel: int | str) -> list[str]:
    """The words of everything that the server has of a channel, in order."""
    return [m.text async for m in client.messages(channel) if m.content is madang.Content.TEXT]
