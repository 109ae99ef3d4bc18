"""What nodes know of each other. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SERVICES = ("agent", "heartbeat", "lobby", "channel")
"""What a node may serve, by its name in the settings."""


MAX_NAME = 255
"""How long a node's name, its version and each of its addresses may be."""

_NODE_ID = re.compile(r"[A-Za-z0-9]{1,64}")


def is_node_id(text: str) -> bool:
    """Whether it can be a node_id: up to 64 letters and digits."""
    return _NODE_ID.fullmatch(text) is not None


def is_one_line(text: str) -> bool:
    """Whether a text of another node can be put into a line of a log as it is: short, and all of it printable."""
    return len(text) <= MAX_NAME and text.isprintable()


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node, as it tells of itself.

    `addresses`: where clients reach each service that it serves, `host:port`; `load`: its open streams; `fingerprint`:
    of those settings that all nodes must share; `draining`: it is about to go, nobody should be sent there; `store`:
    the id of its store. `node_id`: up to 64 letters and digits, made anew at each start; the other texts are printable,
    and short.
    """

    node_id: str
    name: str
    version: str
    started_at: int
    fingerprint: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    load: int = 0
    draining: bool = False
    store: str = ""
