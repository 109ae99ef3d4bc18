"""The way to the server: one gRPC channel per address, the token in the metadata, errors as our own tree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import grpc

from madang.client.errors import ClientClosed, from_rpc
from madang.client.tls import Secure
from madang.core.errors import ServerUnreachable
from madang.core.models import Registration
from madang.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    channel_service_pb2,
    channel_service_pb2_grpc,
    heartbeat_service_pb2_grpc,
    lobby_service_pb2_grpc,
)
from madang.v1.agent_service_pb2 import Endpoints, GetServerRequest

if TYPE_CHECKING:
    from madang.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from madang.v1.channel_service_pb2_grpc import ChannelServiceAsyncStub
    from madang.v1.heartbeat_service_pb2_grpc import HeartbeatServiceAsyncStub
    from madang.v1.lobby_service_pb2_grpc import LobbyServiceAsyncStub

    PostCall = grpc.aio.StreamStreamCall[channel_service_pb2.PostRequest, channel_service_pb2.PostResponse]

Request = TypeVar("Request")
Response = TypeVar("Response")

CALL_TIMEOUT = 15.0
"""For how many seconds a unary call waits for its answer."""

_OPTIONS = (
    # A half-dead connection is noticed within 30 seconds, even if nothing is sent. The third is for the pings by which
    # gRPC measures the bandwidth: while one is under way, there is no keepalive ping, and it is given a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # When to try again is for the SDK's backoff to say; gRPC's own only has to be out of its way.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Two clients in one process do not share what they know of a broken connection.
    ("grpc.use_local_subchannel_pool", 1),
    # A page of long messages is larger than gRPC's default of 4 MiB.
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.primary_user_agent", "madang-python"),
)


_REGISTRATIONS = {
    agent_service_pb2.REGISTRATION_INVITE: Registration.INVITE,
    agent_service_pb2.REGISTRATION_OPEN: Registration.OPEN,
    agent_service_pb2.REGISTRATION_CLOSED: Registration.CLOSED,
}


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server: its version, the history that it keeps, where it was found (`host:port`), and how one gets in."""

    version: str
    store_id: str
    target: str
    registration: Registration = Registration.INVITE
    guests: bool = False


class Transport:
    """The stubs of the four services, wherever they are."""

    agent: AgentServiceAsyncStub
    heartbeat: HeartbeatServiceAsyncStub
    lobby: LobbyServiceAsyncStub
    channel: ChannelServiceAsyncStub

    def __init__(self, target: str, secure: Secure | None = None) -> None:
        """`target`: the Agent's `host:port`; `secure`: None for plain text. Connects when the first call is made."""
        self._secure = secure
        self.target = target
        self.server = ServerInfo("", "", target)
        """The server, as it was when it was last asked."""
        self._closed = False
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._metadata: tuple[tuple[str, str], ...] = ()
        self.agent = agent_service_pb2_grpc.AgentServiceStub(self._to(target))
        self._use(Endpoints())

    async def get_server(self) -> ServerInfo:
        """Ask the Agent what the server is, and where its services are; they are called there from now on."""
        answer = await self.call(self.agent.GetServer, GetServerRequest())
        if answer.endpoints != self._endpoints:
            self._use(answer.endpoints)
        registration = _REGISTRATIONS.get(answer.registration, Registration.INVITE)
        self.server = ServerInfo(answer.version, answer.store_id, self.target, registration, answer.guests)
        return self.server

    def authorize(self, token: str) -> None:
        """Let every call from now on carry the session's token."""
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float = CALL_TIMEOUT,
    ) -> Response:
        """Make a unary call; `timeout` in seconds.

        Raises the MadangError that the server or the way to it gave; ClientClosed when the client is, or gets, closed.
        """
        self._check_open()
        try:
            return await method(request, metadata=self._metadata, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self.target) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # it was the call that was cancelled, by `close`
                self._check_open()
            raise

    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """Read a stream; it is cancelled when the caller stops. Raises like `call`, also when the server ends it."""
        call = method(request, metadata=self._metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self.target) from None
        finally:
            call.cancel()
        raise ServerUnreachable(target=self.target, problem="the server ended the stream")

    async def download(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """Read a stream that has an end. It is cancelled when the caller stops. Raises like `call`."""
        self._check_open()
        call = method(request, metadata=self._metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self.target) from None
        finally:
            call.cancel()

    def post(self) -> PostCall:
        """Open a Post stream; its errors are gRPC's, for the caller to turn."""
        return self.channel.Post(metadata=self._metadata)

    async def close(self) -> None:
        """Close every connection; what waits for an answer raises ClientClosed."""
        self._closed = True
        for channel in self._channels.values():
            await channel.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("the client is closed")

    def _use(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self.heartbeat = heartbeat_service_pb2_grpc.HeartbeatServiceStub(self._to(endpoints.heartbeat))
        self.lobby = lobby_service_pb2_grpc.LobbyServiceStub(self._to(endpoints.lobby))
        self.channel = channel_service_pb2_grpc.ChannelServiceStub(self._to(endpoints.channel))

    def _to(self, address: str) -> grpc.aio.Channel:
        address = address or self.target
        if address not in self._channels:
            self._channels[address] = self._open(address)
        return self._channels[address]

    def _open(self, address: str) -> grpc.aio.Channel:
        if self._secure is None:
            return grpc.aio.insecure_channel(address, options=_OPTIONS)
        options = (*_OPTIONS, *self._secure.options)
        return grpc.aio.secure_channel(address, self._secure.credentials, options=options)
