"""The gRPC servers of a node: one per address, each with the services that live there."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from madang.node.settings import Address, Settings

MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_METADATA_BYTES = 16 * 1024
MAX_STREAMS_PER_CONNECTION = 1000


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

    def __init__(self, settings: Settings, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()) -> None:
        self.grpc = grpc.aio.server(interceptors=tuple(interceptors), options=_options(settings))
        self.address: Address | None = None
        self._health = health_aio.HealthServicer()
        self._names: list[str] = []

    def serves(self, *names: str) -> None:
        """These services, by their full names, were added to `grpc`."""
        self._names += names

    async def start(self, address: Address) -> Address:
        """Bind and serve; the address with the port that it really has. Raises ListenError."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        names = (*self._names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.grpc)
        try:
            port = self.grpc.add_insecure_port(str(address))
        except RuntimeError as error:
            raise ListenError(address, "the address is in use, or not one of this machine's") from error
        if port == 0:
            raise ListenError(address, "the address is in use, or not one of this machine's")
        self.address = Address(address.host, port)
        await self.grpc.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return self.address

    async def drain(self) -> None:
        """Tell whoever asks for our health to go elsewhere."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Take no new calls, give those under way `grace` seconds, then cut them off."""
        await self.grpc.stop(grace)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        # Another server on the same port must fail loudly, not share it in silence.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
        ("grpc.keepalive_time_ms", round(settings.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients may ping us as often as we ping them, and no more.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ]
