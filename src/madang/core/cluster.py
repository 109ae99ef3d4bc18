"""What nodes know of each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SERVICES = ("agent", "heartbeat", "lobby", "channel")
"""What a node may serve, by its name in the settings."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node, as it tells of itself.

    `addresses`: where clients reach each service that it serves, `host:port`; `load`: its open streams; `fingerprint`:
    of those settings that all nodes must share; `draining`: it is about to go, nobody should be sent there; `store`:
    the id of its store. `node_id`: letters and digits, made anew at each start.
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
