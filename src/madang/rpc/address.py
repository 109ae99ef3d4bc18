"""From which network address a call comes: what sessions, budgets and the audit log know of the caller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Protocol

from madang.rpc.classic.addresses import peer_host

Network = IPv4Network | IPv6Network

_FORWARDED = "x-forwarded-for"


class HasPeer(Protocol):
    """What is asked of grpc's context."""

    def peer(self) -> str:
        """Who is at the other end, as gRPC names it."""
        ...

    def invocation_metadata(self) -> Any:
        """What came with the call."""
        ...


def address_of(context: HasPeer, trusted_proxies: Sequence[Network] = ()) -> str:
    """The IP address of the caller, as text; empty for a peer that has none, on a Unix socket for instance.

    It is the peer's, and what the peer says in `x-forwarded-for` only where the peer is one of the `trusted_proxies`:
    then the last hop that is none of them. What stands before a hop that is no address is not believed.
    """
    host = _address(context.peer() or "")
    if not trusted_proxies or not _within(host, trusted_proxies):
        return host
    return forwarded(host, _hops(context.invocation_metadata() or ()), trusted_proxies)


def forwarded(peer: str, hops: Sequence[str], trusted_proxies: Sequence[Network]) -> str:
    """Who called: from the peer backwards over the hops, the first that is no trusted proxy."""
    host = peer
    for hop in reversed(hops):
        if not _within(host, trusted_proxies):
            break
        found = _parse(hop)
        if found is None:
            break
        host = found
    return host


def parse_network(text: str) -> Network:
    """Read a proxy's address, or a network of them: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`. Raises ValueError."""
    return ip_network(text, strict=False)


@lru_cache(maxsize=4096)
def _address(peer: str) -> str:
    """Remembered: a connection makes many calls."""
    return peer_host(peer) if peer.startswith(("ipv4:", "ipv6:")) else ""


def _hops(metadata: Iterable[tuple[str, str | bytes]]) -> list[str]:
    values = [value for key, value in metadata if key == _FORWARDED and isinstance(value, str)]
    return [hop for value in values for hop in value.split(",")]


def _parse(hop: str) -> str | None:
    """The address in a hop, which may have a port: `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]`, `[::1]:5`."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def _within(host: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(host)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
