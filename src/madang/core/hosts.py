"""What a host name or address says about who can reach it."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, ip_address, ip_network

_LOOPBACK = re.compile(r"localhost|::1|127(\.\d{1,3}){3}")
_WILDCARD = re.compile(r"0\.0\.0\.0|::|\*|0|")


def is_loopback(host: str) -> bool:
    """Whether only the machine itself can reach it. A name is believed only when it is exactly `localhost`."""
    return _LOOPBACK.fullmatch(host) is not None


def is_wildcard(host: str) -> bool:
    """Whether it stands for every address of the machine: good to listen on, of no use to whoever wants to connect."""
    return _WILDCARD.fullmatch(host) is not None


@lru_cache(maxsize=4096)
def limit_key(address: str) -> str:
    """What counts as one caller: an IPv4 address, or an IPv6 network of 64 bits, which belongs to one customer."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False))
