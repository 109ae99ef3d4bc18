"""Somebody new, who knows the address of the Agent that stands alone and nothing else: it leads them to everything.

- *The Agent hands out the others' addresses*: after a fault a newcomer signs in there, beats, joins a channel and sends
  a message at the addresses that they are told, asking for others in place of those that do not answer.
- *It is one server*: what was acknowledged there is in the channel at every node.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import grpc

from madang.v1 import agent_service_pb2 as pb
from madang.v1 import channel_service_pb2, heartbeat_service_pb2, lobby_service_pb2

from .people import Person, connect, stored_in

CALL = 3.0
"""Seconds for a call, before another address is asked for."""
AGAIN = 0.1
"""Seconds before the next try."""
PATIENCE = 60.0
"""Seconds after which nobody tries any more."""
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Newcomer:
    """One of them, once."""

    def __init__(self, agent: str, channel_id: int, rng: random.Random) -> None:
        """`agent`: where it is; `channel_id`: a channel that anybody may join."""
        self.name = f"newcomer-{rng.randrange(10**9)}"
        self._agent = agent
        self._channel_id = channel_id
        self._avoid: list[str] = []
        self._tries = 0
        self._person: Person | None = None
        self._text = f"{self.name} was here"
        self._request_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))

    async def come(self) -> float:
        """Come to everything; after how many seconds. Raises AioRpcError with what went wrong for too long."""
        begin = time.monotonic()
        await _until_done(self._try)
        return time.monotonic() - begin

    async def is_missing(self, targets: Sequence[str]) -> list[str]:
        """At which of these nodes their message is not, or not once. Raises AioRpcError as `come` does."""
        missing: list[str] = []

        async def look(target: str) -> None:
            assert self._person is not None
            async with connect(target) as connection:
                entries = await stored_in(connection, self._person, self._channel_id)
            if sum(entry.text == self._text for entry in entries) != 1:
                missing.append(target)

        for target in targets:
            await _until_done(partial(look, target))
        return missing

    async def _try(self) -> None:
        async with connect(self._agent) as connection:
            server = await connection.agent.GetServer(pb.GetServerRequest(avoid=self._avoid), timeout=CALL)
            if self._person is None:
                self._tries += 1  # a name whose answer was lost is taken
                guest = pb.GuestCredential(handle=f"{self.name}-{self._tries}")
                signed_in = await connection.agent.SignIn(pb.SignInRequest(guest=guest), timeout=CALL)
                self._person = Person(self.name, signed_in.user.user_id, signed_in.token)
        at = server.endpoints
        for target, step in ((at.heartbeat, self._beat), (at.lobby, self._join), (at.channel, self._send)):
            try:
                await step(self._person, target)
            except grpc.aio.AioRpcError as error:
                if error.code() in PASSING and target not in self._avoid:
                    self._avoid = [*self._avoid[-2:], target]
                raise

    async def _beat(self, person: Person, target: str) -> None:
        async with connect(target) as connection:
            request = heartbeat_service_pb2.BeatRequest()
            await connection.heartbeat.Beat(request, metadata=person.metadata, timeout=CALL)

    async def _join(self, person: Person, target: str) -> None:
        async with connect(target) as connection:
            request = lobby_service_pb2.JoinChannelRequest(channel_id=self._channel_id)
            await connection.lobby.JoinChannel(request, metadata=person.metadata, timeout=CALL)

    async def _send(self, person: Person, target: str) -> None:
        async with connect(target) as connection:
            request = channel_service_pb2.SendRequest(
                channel_id=self._channel_id, text=self._text, request_id=self._request_id
            )
            await connection.messages.Send(request, metadata=person.metadata, timeout=CALL)


async def _until_done(act: Callable[[], Awaitable[None]]) -> None:
    """Again and again, while it fails for a reason that passes."""
    begin = time.monotonic()
    while True:
        try:
            return await act()
        except grpc.aio.AioRpcError as error:
            if error.code() not in PASSING or time.monotonic() - begin > PATIENCE:
                raise
        await asyncio.sleep(AGAIN)
