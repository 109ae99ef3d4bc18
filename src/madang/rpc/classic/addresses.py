"""Where a caller is, and at which address it reaches us. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote

_EVERY_HOST = frozenset({"localhost", "0.0.0.0", "::"})  # noqa: S104  # recognised here, not bound
"""Names under which more than one address is listened on."""

_MAPPED = "::ffff:"


class Place(NamedTuple):
    """A host and a port that are listened on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def peer_host(peer: str) -> str:
    """The host in gRPC's name of a peer (`ipv4:127.0.0.1:1234`, `ipv6:%5B::1%5D:1234`), without the port.

    A peer that has no port, on a Unix socket for instance, is its own host.
    """
    family, _, address = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return peer
    host = unquote(address).rpartition(":")[0].removeprefix("[").removesuffix("]")
    return host.removeprefix(_MAPPED) if "." in host else host


def reached_by(place: Place, host: str) -> Place:
    """The place as a caller from this host should call it.

    gRPC does not tell which name the caller used. On loopback it has to stay with the address family that it came by:
    its index is honoured from there alone, and `localhost` may lead to the other one.
    """
    if place.host in _EVERY_HOST and _is_loopback(host):
        return Place("::1" if ":" in host else "127.0.0.1", place.port)
    return place


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
