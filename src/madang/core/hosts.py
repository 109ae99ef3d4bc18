"""What a host name or address says about who can reach it."""

from __future__ import annotations

import re

_LOOPBACK = re.compile(r"localhost|::1|127(\.\d{1,3}){3}")
_WILDCARD = re.compile(r"0\.0\.0\.0|::|\*|0|")


def is_loopback(host: str) -> bool:
    """Whether only the machine itself can reach it. A name is believed only when it is exactly `localhost`."""
    return _LOOPBACK.fullmatch(host) is not None


def is_wildcard(host: str) -> bool:
    """Whether it stands for every address of the machine: good to listen on, of no use to whoever wants to connect."""
    return _WILDCARD.fullmatch(host) is not None
