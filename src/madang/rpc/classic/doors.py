"""Doors: each channel that classic users are in has a gRPC server of its own, on a port from the pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from madang.core.errors import Overloaded
from madang.rpc.classic.addresses import Place
from madang.rpc.classic.ports import Ports, places
from madang.rpc.classic.tasks import Tasks

GRACE = 2.0
"""How long the calls that are under way at a closing door may last, seconds."""

NewServer = Callable[[], grpc.aio.Server]
"""Makes a server with the node's options, without services."""

Serve = Callable[["Door"], None]
"""Adds the classic Channel service to a door's server."""


@dataclass(slots=True, eq=False)
class Door:
    """A server on a port. `users`: the indices of those that it is kept open for."""

    server: grpc.aio.Server
    port: int
    channel_id: int = 0
    users: set[int] = field(default_factory=set)


class Doors:
    """Opens a door when the first classic user comes into a channel, and closes it when the last one leaves."""

    def __init__(
        self, new_server: NewServer, ports: Ports, serve: Serve, place: Callable[[], Place], told: Callable[[], Place]
    ) -> None:
        """`place`: where the Lobby listens; doors open on the same host. `told`: where callers are told that it is."""
        self._new_server = new_server
        self._ports = ports
        self._serve = serve
        self._place = place
        self._told = told
        self._open: dict[int, Door] = {}
        self._closing = Tasks()

    def address(self, door: Door) -> Place:
        """Where the door is, as callers are told."""
        return Place(self._told().host, door.port)

    async def unlock(self) -> Door:
        """A door for a channel that is yet to be made. Raises Overloaded when no port is free."""
        door = self._bind()
        await door.server.start()
        return door

    async def enter(self, channel_id: int, index: int) -> Door:
        """A user wants into a channel. Raises Overloaded when no port is free."""
        door = self._open.get(channel_id)
        if door is None:
            door = self._bind()
            self.assign(door, channel_id, index)
            await door.server.start()
        door.users.add(index)
        return door

    def assign(self, door: Door, channel_id: int, index: int) -> None:
        """The door leads to this channel, and is open for this user."""
        door.channel_id = channel_id
        door.users.add(index)
        self._open[channel_id] = door

    def leave(self, channel_id: int, index: int) -> None:
        """The user is out; the door closes after the last one. Repeating it does no harm."""
        door = self._open.get(channel_id)
        if door is not None and index in door.users:
            door.users.discard(index)
            if not door.users:
                self.shut(door)

    def shut(self, door: Door) -> None:
        """Begin to close a door; its port is given back when that is done."""
        self._open.pop(door.channel_id, None)
        self._closing.start(self._close(door))

    def shut_all(self) -> None:
        """Begin to close every door."""
        for door in list(self._open.values()):
            self.shut(door)

    async def closed(self) -> None:
        """Wait until no door is closing."""
        await self._closing.finish()

    def _bind(self) -> Door:
        bound: list[grpc.aio.Server] = []

        def usable(port: int) -> bool:
            server = self._listen(port)
            if server is not None:
                bound.append(server)
            return server is not None

        port = self._ports.take(usable)
        if port is None:
            raise Overloaded(problem="every port for channels is taken", retry_after=1)
        door = Door(bound[0], port)
        self._serve(door)
        return door

    def _listen(self, port: int) -> grpc.aio.Server | None:
        where = places(self._place().host, port)
        if not where:
            return None
        server = self._new_server()
        try:
            for place in where:
                server.add_insecure_port(str(place))
        except RuntimeError:  # taken since we looked
            self._closing.start(_let_go(server))
            return None
        return server

    async def _close(self, door: Door) -> None:
        await door.server.stop(GRACE)
        self._ports.give_back(door.port)


async def _let_go(server: grpc.aio.Server) -> None:
    """Free what a server has bound. One that was never started would keep it."""
    await server.start()
    await server.stop(None)
