"""Someone who is signed in, over a connection of their own, and the calls that set a scene up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, Self, TypeVar

from benchmarks.connection import Call, Connection, Reader
from madang.v1 import agent_service_pb2 as agent
from madang.v1 import channel_service_pb2 as channel
from madang.v1 import lobby_service_pb2 as lobby

SIGN_IN = "/madang.v1.AgentService/SignIn"
CREATE_CHANNEL = "/madang.v1.LobbyService/CreateChannel"
JOIN_CHANNEL = "/madang.v1.LobbyService/JoinChannel"
SEND = "/madang.v1.ChannelService/Send"
POST = "/madang.v1.ChannelService/Post"
SUBSCRIBE = "/madang.v1.ChannelService/Subscribe"

_CROWD = 50
"""Sign-ins and joins under way at once."""

T = TypeVar("T")
Q = TypeVar("Q")


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802


class _Parsed(Protocol):
    @classmethod
    def FromString(cls, s: bytes) -> Self: ...  # noqa: N802


R = TypeVar("R", bound=_Parsed)


class Person:
    """A guest with a session and a connection."""

    def __init__(self, connection: Connection, user_id: int, token: str) -> None:
        self.connection = connection
        self.user_id = user_id
        self._token = token

    async def ask(self, path: str, request: _Message, response: type[R]) -> R:
        """Call a unary method. Raises CallError."""
        return response.FromString(await self.connection.unary(path, request.SerializeToString(), self._token))

    async def ask_raw(self, path: str, request: bytes) -> bytes:
        """Call a unary method with encoded bytes, and give the encoded answer. Raises CallError."""
        return await self.connection.unary(path, request, self._token)

    async def create_channel(self, name: str) -> int:
        """Make a channel and be in it; gives its id."""
        made = await self.ask(CREATE_CHANNEL, lobby.CreateChannelRequest(name=name), lobby.CreateChannelResponse)
        return made.channel.channel_id

    async def join(self, channel_id: int) -> None:
        """Join a channel."""
        await self.ask(JOIN_CHANNEL, lobby.JoinChannelRequest(channel_id=channel_id), lobby.JoinChannelResponse)

    def subscribe(self, reader: Reader, positions: dict[int, int] | None = None) -> Call:
        """Begin the live stream, in every channel from its head or from the position named here."""
        request = channel.SubscribeRequest(
            positions=[
                channel.Position(channel_id=channel_id, sequence=sequence)
                for channel_id, sequence in (positions or {}).items()
            ]
        )
        call = self.connection.call(SUBSCRIBE, reader, self._token)
        call.write(request.SerializeToString(), last=True)
        return call

    def post(self, reader: Reader) -> Call:
        """Begin a stream of sends."""
        return self.connection.call(POST, reader, self._token)


class People:
    """Signs people in, and closes all their connections at the end. An async context manager."""

    def __init__(self, places: Sequence[tuple[str, int]]) -> None:
        """`places`: where the nodes listen, host and port."""
        self._places = places
        self._connections = AsyncExitStack()
        self._count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self._connections.aclose()

    async def sign_in(self, node: int = 0) -> Person:
        """Connect to a node, by its number, and sign in as a new guest."""
        address = self._places[node % len(self._places)]
        connection = await self._connections.enter_async_context(await Connection.open(*address))
        self._count += 1
        request = agent.SignInRequest(guest=agent.GuestCredential(handle=f"guest{self._count}"))
        answer = agent.SignInResponse.FromString(await connection.unary(SIGN_IN, request.SerializeToString()))
        return Person(connection, answer.user.user_id, answer.token)

    async def sign_in_many(self, count: int, node: int | None = None) -> list[Person]:
        """Connect and sign in `count` guests, some dozens at once: at this node, or at all of them in turn."""
        return await at_once([number if node is None else node for number in range(count)], self.sign_in)


async def at_once(items: Sequence[Q], do: Callable[[Q], Awaitable[T]], width: int = _CROWD) -> list[T]:
    """Await `do(item)` for every item, `width` of them at a time; gives the results in order."""
    results: dict[int, T] = {}
    waiting = iter(enumerate(items))

    async def work() -> None:
        for index, item in waiting:
            results[index] = await do(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(width, len(items))):
            group.create_task(work())
    return [results[index] for index in range(len(items))]


async def gather_in(channel_id: int, people: Sequence[Person]) -> None:
    """Have everybody join a channel."""
    await at_once(people, lambda person: person.join(channel_id))
