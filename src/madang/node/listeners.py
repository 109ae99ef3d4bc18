"""The gRPC servers of a node: one per address, each with the services that live there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from madang.node.settings import Address, Settings
from madang.node.tls import Certificates
from madang.ops.listening import bindable

MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_METADATA_BYTES = 8 * 1024
"""Of all headers of a call; of those that come before somebody has signed in, too."""
MAX_STREAMS_PER_CONNECTION = 1000
MAX_PENDING_CALLS = 20_000
"""How many calls may wait to be looked at. gRPC's own default is 1,000: less than a crowd that comes back at once."""
HANDSHAKE_SECONDS = 10.0
"""How long a connection may take to say what it wants: TLS and the beginning of HTTP/2."""
PING_INTERVAL = 2.0
"""How often a client may ping while it has nothing to say, seconds; see MAX_PING_STRIKES."""
MAX_PING_STRIKES = 2
"""How many pings may come sooner than that; at the next one the connection is closed."""


class ListenError(Exception):
    """An address cannot be listened on."""

    def __init__(self, address: Address, problem: str) -> None:
        super().__init__(address, problem)
        self.address = address
        self.problem = problem

    def __str__(self) -> str:
        return f"cannot listen on {self.address}: {self.problem}"


class Listener:
    """One gRPC server on one address."""

    def __init__(
        self,
        settings: Settings,
        address: Address,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        certificates: Certificates | None = None,
    ) -> None:
        self.grpc = new_server(settings, interceptors)
        self._certificates = certificates
        self._wanted = address
        self.address: Address | None = None
        """Where it is, with the port that it really has; None before `bind`."""
        self._health = health_aio.HealthServicer()
        self._names: list[str] = []

    def serves(self, *names: str) -> None:
        """These services, by their full names, were added to `grpc`."""
        self._names += names

    async def bind(self) -> None:
        """Take the address; nobody is served yet. Raises ListenError."""
        address = self._wanted
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        names = (*self._names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.grpc)
        await check_free(address)
        try:
            port = self._bind(str(address))
        except RuntimeError as error:
            raise ListenError(address, "the address is in use, or not one of this machine's") from error
        if port == 0:
            raise ListenError(address, "the address is in use, or not one of this machine's")
        self.address = Address(address.host, port)

    async def start(self) -> None:
        """Serve."""
        await self.grpc.start()
        await self.show(True)

    async def show(self, serving: bool) -> None:
        """Tell whoever asks for our health, unless it was told to go elsewhere, whether to come."""
        answer = health_pb2.HealthCheckResponse
        for name in ("", *self._names):
            await self._health.set(name, answer.SERVING if serving else answer.NOT_SERVING)

    def _bind(self, address: str) -> int:
        if self._certificates is None:
            return self.grpc.add_insecure_port(address)
        return self.grpc.add_secure_port(address, self._certificates.credentials())

    async def drain(self) -> None:
        """Tell whoever asks for our health to go elsewhere."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Take no new calls, give those under way `grace` seconds, then cut them off."""
        await self.grpc.stop(grace)


def new_server(settings: Settings, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> grpc.aio.Server:
    """A gRPC server with the options that all of ours have, without services."""
    return grpc.aio.server(interceptors=tuple(interceptors), options=_options(settings))


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        # Another server on the same port must fail loudly, not share it in silence.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        # gRPC refuses at random between the first and the second, and always above.
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
        ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", 2 * MAX_PENDING_CALLS),
        ("grpc.keepalive_time_ms", round(settings.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        # A ping of gRPC's own (it measures the bandwidth) takes the place of a keepalive ping: give it the same time.
        ("grpc.http2.ping_timeout_ms", round(settings.keepalive_timeout * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(PING_INTERVAL * 1000)),
        ("grpc.http2.max_ping_strikes", MAX_PING_STRIKES),
        ("grpc.server_handshake_timeout_ms", round(HANDSHAKE_SECONDS * 1000)),
    ]


async def check_free(address: Address) -> None:
    """Raise ListenError when somebody listens there already, or nobody can."""
    if address.port == 0:
        return
    try:
        free = await asyncio.to_thread(bindable, address.host, address.port)
    except OSError as error:
        raise ListenError(address, f"{error.strerror or error}") from error
    if not free:
        raise ListenError(address, "the address is in use" if free is None else "it is not one of this machine's")
