"""gRPC's channels, by address: what they are opened with, and how long each is kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

import grpc

from madang.client.tls import Secure

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

_HASTY = {
    # With another node to go to, a half-dead one is left within 5 seconds, while a call is under way: a live stream.
    "grpc.keepalive_time_ms": 3_000,
    "grpc.keepalive_timeout_ms": 2_000,
    "grpc.http2.ping_timeout_ms": 2_000,
    "grpc.keepalive_permit_without_calls": 0,
}

_FLAPPING = 60.0
"""Silences that follow each other within so many seconds are perhaps not the nodes' fault: whoever is merely slow,
because everybody has just come, must not be left for being slow."""
_MOST_PATIENCE = 6
"""How many times as long as the first time a hasty connection is given at most."""

Wire = tuple[str, bool]
"""An address, `host:port`, and whether its connection is `hasty`: given up soon when nothing comes back."""


class Wires:
    """Opens a channel when it is asked for the first time, and keeps it while it is in use."""

    def __init__(self, secure: Secure | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`secure`: None for plain text; `clock`: seconds."""
        self._secure = secure
        self._clock = clock
        self._open: dict[Wire, grpc.aio.Channel] = {}
        self._used: frozenset[Wire] = frozenset()
        self._replaced: list[grpc.aio.Channel] = []
        self._moves: deque[float] = deque(maxlen=_MOST_PATIENCE)

    def to(self, wire: Wire) -> grpc.aio.Channel:
        """The channel to an address. It connects when the first call is made."""
        if wire not in self._open:
            self._open[wire] = self._new(*wire)
        return self._open[wire]

    def anew(self, wire: Wire) -> grpc.aio.Channel:
        """Another channel to an address: one that has failed does not try again at once. For the caller to close, or to
        `put` in the place of the one that there is.
        """
        return self._new(*wire)

    def put(self, wire: Wire, channel: grpc.aio.Channel, *, silent: bool = False) -> None:
        """This is the channel to the address from now on. Calls on the one before may go on until the next `use`.

        `silent`: the one before was given up because nothing came back in time.
        """
        if silent:
            self._moves.append(self._clock())
        if wire in self._open:
            self._replaced.append(self._open[wire])
        self._open[wire] = channel

    async def use(self, wires: Iterable[Wire]) -> None:
        """These are in use from now on. Calls on those that were until now may go on; all others are closed."""
        before, self._used = self._used, frozenset(wires)
        while len(self._replaced) > 1:
            await self._replaced.pop(0).close()
        for wire in self._open.keys() - before - self._used:
            await self._open.pop(wire).close()

    async def close(self) -> None:
        """Close every channel; what waits for an answer is cancelled."""
        while self._open:
            _, channel = self._open.popitem()
            await channel.close()
        while self._replaced:
            await self._replaced.pop().close()

    def _new(self, address: str, hasty: bool) -> grpc.aio.Channel:
        options = tuple((dict(_OPTIONS) | (self._haste() if hasty else {})).items())
        if self._secure is None:
            return grpc.aio.insecure_channel(address, options=options)
        return grpc.aio.secure_channel(address, self._secure.credentials, options=(*options, *self._secure.options))

    def _haste(self) -> dict[str, int]:
        """The options of a hasty connection: twice as patient with each one that was given up for silence of late."""
        since = self._clock() - _FLAPPING
        patience = min(2 ** sum(when > since for when in self._moves), _MOST_PATIENCE)
        return {name: value * patience for name, value in _HASTY.items()}
