"""Users over the raw contract: connections, sessions, channels, and what an error says."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from madang.v1 import agent_service_pb2, channel_service_pb2, heartbeat_service_pb2, lobby_service_pb2, resources_pb2
from madang.v1.agent_service_pb2_grpc import AgentServiceStub
from madang.v1.channel_service_pb2_grpc import ChannelServiceStub
from madang.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from madang.v1.lobby_service_pb2_grpc import LobbyServiceStub

from .history import Entry

CALL = 20.0
"""Seconds that a unary call may take."""

LOCAL_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
"""Every client has a connection of its own, as clients in processes of their own have."""

HURRIED_OPTIONS = (
    ("grpc.keepalive_time_ms", 6000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.min_reconnect_backoff_ms", 3000),
)
"""Of a client that has elsewhere to go: a connection that carries nothing is noticed within 8 s."""


class Connection:
    """One connection, and the stubs over it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.agent = AgentServiceStub(channel)
        self.heartbeat = HeartbeatServiceStub(channel)
        self.lobby = LobbyServiceStub(channel)
        self.messages = ChannelServiceStub(channel)


@asynccontextmanager
async def connect(target: str, options: Sequence[tuple[str, int]] = ()) -> AsyncIterator[Connection]:
    """A connection of its own."""
    async with grpc.aio.insecure_channel(target, options=(*LOCAL_OPTIONS, *options)) as channel:
        yield Connection(channel)


class Route:
    """Where a client connects: to one server, or to one after the other of those that are as good."""

    def __init__(self, *targets: str) -> None:
        self._targets = deque(targets)
        self.has_others = len(targets) > 1
        """Whether there is elsewhere to go."""
        self.patience = 5.0 if self.has_others else CALL
        """Seconds that it waits for an answer."""

    @property
    def target(self) -> str:
        """Where it is, or goes next."""
        return self._targets[0]

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """A connection to where it is."""
        return connect(self.target, HURRIED_OPTIONS if self.has_others else ())

    def move(self) -> None:
        """Go on to the next."""
        self._targets.rotate(-1)


@dataclass(frozen=True, slots=True)
class Person:
    """A user with a session."""

    name: str
    user_id: int
    token: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the calls of the session carry."""
        return (("authorization", f"Bearer {self.token}"),)


async def sign_in(connection: Connection, name: str) -> Person:
    """A new guest."""
    guest = agent_service_pb2.GuestCredential(handle=name)
    response = await connection.agent.SignIn(agent_service_pb2.SignInRequest(guest=guest), timeout=CALL)
    return Person(name, response.user.user_id, response.token)


async def make_channel(connection: Connection, owner: Person, name: str, members: Sequence[Person] = ()) -> int:
    """A channel that these people are in; its id."""
    made = await connection.lobby.CreateChannel(
        lobby_service_pb2.CreateChannelRequest(name=name), metadata=owner.metadata, timeout=CALL
    )
    for member in members:
        if member != owner:
            await connection.lobby.JoinChannel(
                lobby_service_pb2.JoinChannelRequest(channel_id=made.channel.channel_id),
                metadata=member.metadata,
                timeout=CALL,
            )
    return made.channel.channel_id


async def send(connection: Connection, person: Person, channel_id: int, text: str) -> int:
    """Send a message; its sequence."""
    response = await connection.messages.Send(
        channel_service_pb2.SendRequest(channel_id=channel_id, text=text), metadata=person.metadata, timeout=CALL
    )
    return response.message.sequence


async def stored_in(connection: Connection, person: Person, channel_id: int) -> list[Entry]:
    """Everything that the store has in a channel, in order."""
    entries: list[Entry] = []
    token = ""
    while True:
        page = await connection.messages.ListMessages(
            channel_service_pb2.ListMessagesRequest(
                channel_id=channel_id,
                page_size=500,
                page_token=token,
                order=channel_service_pb2.MESSAGE_ORDER_OLDEST_FIRST,
            ),
            metadata=person.metadata,
            timeout=CALL,
        )
        entries += map(entry_of, page.messages)
        token = page.next_page_token
        if not token:
            return entries


async def all_here(connection: Connection, people: Sequence[Person]) -> bool:
    """Whether all of them are online: their subscriptions are open."""
    asked = heartbeat_service_pb2.ListPresencesRequest(user_ids=[person.user_id for person in people])
    found = await connection.heartbeat.ListPresences(asked, metadata=people[0].metadata, timeout=CALL)
    return all(presence.status == heartbeat_service_pb2.PRESENCE_STATUS_ONLINE for presence in found.presences)


def entry_of(message: resources_pb2.Message) -> Entry:
    """The message as the history keeps it."""
    content = message.WhichOneof("content")
    return Entry(message.sequence, message.author_id, message.text if content == "text" else f"({content})")


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error says: its code, its reason (empty: not one of the contract), when to try again, its text."""

    code: str
    reason: str
    retry_after: float | None = None
    text: str = ""

    def __str__(self) -> str:
        if self.code == "UNAVAILABLE":  # the connection has many ways to say that it broke
            return f"{self.code} {self.reason}".strip()
        return " ".join(filter(None, (self.code, self.reason, self.text)))


def problem_of(error: grpc.aio.AioRpcError) -> Problem:
    """What a failed call says."""
    # AioRpcError has what from_call reads; its type does not say so.
    status = rpc_status.from_call(cast("grpc.Call", error))
    return Problem(error.code().name, "", text=error.details() or "") if status is None else problem_in(status)


def problem_in(status: status_pb2.Status) -> Problem:
    """What a status says."""
    reason, retry_after = "", None
    for detail in status.details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            assert info.domain == "madang"
            reason = info.reason
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return Problem(code_pb2.Code.Name(status.code), reason, retry_after, status.message)
