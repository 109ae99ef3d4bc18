"""From which network address a call comes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from madang.rpc.classic.addresses import peer_host

if TYPE_CHECKING:
    import grpc


def address_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The IP address of the peer, as text; empty for a peer that has none, on a Unix socket for instance."""
    return _address(context.peer() or "")


@lru_cache(maxsize=4096)
def _address(peer: str) -> str:
    """Remembered: a connection makes many calls."""
    return peer_host(peer) if peer.startswith(("ipv4:", "ipv6:")) else ""
