"""Somebody who is put out of a channel, and whose session is ended, while things go wrong: they read on for how long?

An outsider has a stream at each node, past the proxies. At a random moment of a fault they are removed from a room; as
soon as that is acknowledged, somebody else writes in the room, at another node. Later their session is ended.

- *Nobody reads where they don't belong*: not one of their streams ever brings what was written after the removal.
- *Revocation bites*: all of their streams are over within a second, and no node takes their token any more.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import grpc

from madang.v1 import agent_service_pb2, lobby_service_pb2
from madang.v1 import channel_service_pb2 as pb

from .people import Connection, Person, problem_of, sign_in
from .readers import Call

CALL = 3.0
"""Seconds for a call, before it is made at another node."""
PATIENCE = 60.0
"""Seconds in which there has to be a node that can do it."""


@dataclass
class _Stream:
    """One stream of the outsider's."""

    call: Call
    texts: list[str] = field(default_factory=list)
    ended: float | None = None
    how: str = ""

    async def read(self) -> None:
        """Until it ends, however."""
        try:
            while isinstance(response := await self.call.read(), pb.SubscribeResponse):
                self.texts += [message.text for batch in response.batches for message in batch.messages]
            self.how = "in order"
        except grpc.aio.AioRpcError as error:
            self.how = str(problem_of(error))
        self.ended = time.monotonic()


class Outsider:
    """An async context manager: one person, and their streams at the nodes. Once."""

    def __init__(self, connections: Sequence[Connection], rng: random.Random, host: Person, channel_id: int) -> None:
        """`connections`: to each node; `host`: who owns the room."""
        self.removed_at = 0.0
        self.signed_out_at = 0.0
        self.secrets: list[str] = []
        """What was written after the removal."""
        self._connections = connections
        self._rng = rng
        self._host = host
        self._channel_id = channel_id
        self._streams: list[_Stream] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Outsider:
        connection = self._rng.choice(self._connections)
        self.person = await sign_in(connection, f"outsider-{self._rng.randrange(10**9)}")
        request = lobby_service_pb2.JoinChannelRequest(channel_id=self._channel_id)
        await connection.lobby.JoinChannel(request, metadata=self.person.metadata, timeout=CALL)
        self._reading = await self._stack.enter_async_context(asyncio.TaskGroup())
        for each in self._connections:
            await self._open(each)
        return self

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.call.cancel()
        await self._stack.aclose()

    async def be_put_out(self, hold: float) -> None:
        """Of the room, and of the server, at random moments of a fault that lasts for so many seconds."""
        await asyncio.sleep(self._rng.uniform(0, hold / 2))
        await self.be_removed()
        await asyncio.sleep(self._rng.uniform(0, hold / 2))
        await self.be_signed_out()

    async def be_removed(self, at: Connection | None = None, then: Connection | None = None) -> None:
        """At some node that can do it; then, at another, something is written that is not for them."""
        request = lobby_service_pb2.RemoveMemberRequest(channel_id=self._channel_id, user_id=self.person.user_id)

        async def remove(connection: Connection) -> None:
            try:
                await connection.lobby.RemoveMember(request, metadata=self._host.metadata, timeout=CALL)
            except grpc.aio.AioRpcError as error:
                if problem_of(error).reason != "NOT_A_MEMBER":  # the try before has done it
                    raise

        await self._somewhere(remove, at)
        self.removed_at = time.monotonic()
        for number in range(3):
            secret = f"not for {self.person.name}: {number}"
            self.secrets.append(secret)
            await self._somewhere(partial(_write, self._host, self._channel_id, secret), then)

    async def be_signed_out(self) -> None:
        """At some node that can do it."""

        async def sign_out(connection: Connection) -> None:
            try:
                request = agent_service_pb2.SignOutRequest()
                await connection.agent.SignOut(request, metadata=self.person.metadata, timeout=CALL)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAUTHENTICATED:  # the try before has done it
                    raise

        await self._somewhere(sign_out)
        self.signed_out_at = time.monotonic()

    @property
    def is_out(self) -> bool:
        """Whether all of their streams are over."""
        return all(stream.ended is not None for stream in self._streams)

    def leaks(self) -> list[str]:
        """What the outsider has read that was written after the removal."""
        return [text for text in self.texts() if text in self.secrets]

    def texts(self) -> list[str]:
        """What the outsider has read."""
        return [text for stream in self._streams for text in stream.texts]

    def went_on_for(self, since: float) -> float:
        """How long after that moment the last of the streams ended, or is still open; seconds."""
        now = time.monotonic()
        return max(0.0, *(((stream.ended or now) - since) for stream in self._streams))

    async def is_let_in(self) -> list[str]:
        """What the nodes answer that still take the token."""
        answers: list[str] = []
        for connection in self._connections:
            try:
                request = agent_service_pb2.GetMeRequest()
                await connection.agent.GetMe(request, metadata=self.person.metadata, timeout=CALL)
                answers.append("OK")
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                    answers.append(str(problem_of(error)))
        return answers

    async def _open(self, connection: Connection) -> None:
        request = pb.SubscribeRequest(channel_ids=[self._channel_id])
        stream = _Stream(connection.messages.Subscribe(request, metadata=self.person.metadata))
        self._streams.append(stream)
        assert isinstance(await stream.call.read(), pb.SubscribeResponse)
        self._reading.create_task(stream.read())

    async def _somewhere(self, act: Callable[[Connection], Awaitable[None]], at: Connection | None = None) -> None:
        """At this node, or at one that can."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await act(at or self._rng.choice(self._connections))
            except grpc.aio.AioRpcError as error:
                passing = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                if not passing or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)


async def _write(person: Person, channel_id: int, text: str, connection: Connection) -> None:
    request = pb.SendRequest(channel_id=channel_id, text=text)
    await connection.messages.Send(request, metadata=person.metadata, timeout=CALL)
