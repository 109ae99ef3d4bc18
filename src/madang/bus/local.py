"""The bus of a single process: a function call."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from madang.bus.base import E
from madang.core.claims import Claim
from madang.core.cluster import NodeInfo
from madang.core.events import BusEvent

_log = logging.getLogger("madang.bus")


class LocalBus:
    """See `madang.bus.base.Bus`. Handlers run in the order in which they subscribed, before `publish` returns."""

    def __init__(self) -> None:
        self._handlers: defaultdict[type[object], list[Callable[[Any], None]]] = defaultdict(list)

    def deliver(self, event: BusEvent) -> None:
        """Call the event's handlers."""
        for handler in self._handlers[type(event)]:
            try:
                handler(event)
            except Exception:  # whoever publishes is not to suffer for it; what is missed is healed from the store
                _log.exception("a handler of %s failed", type(event).__name__)

    publish = deliver

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        """Call the handler for every event of the type."""
        self._handlers[kind].append(handler)

    def watch(self, channel_id: int) -> None:
        """Everything comes anyway."""

    def unwatch(self, channel_id: int) -> None:
        """Everything comes anyway."""

    async def settled(self) -> None:
        """It is."""

    @property
    def is_connected(self) -> bool:
        """Always."""
        return True

    @property
    def is_shared(self) -> bool:
        """There is one node."""
        return False

    def on_return(self, handler: Callable[[], None]) -> None:
        """It is never away."""


class LocalNodes:
    """See `madang.bus.base.Nodes`: this node is the only one."""

    def __init__(self) -> None:
        self._self: list[NodeInfo] = []

    def announce(self, info: NodeInfo) -> None:
        """Keep it."""
        self._self = [info]

    def known(self) -> list[NodeInfo]:
        """This node."""
        return list(self._self)

    def strangers(self) -> list[NodeInfo]:
        """There are no others."""
        return []

    def keep(self, version: int, claims: Callable[[], Sequence[Claim]]) -> None:
        """Nobody looks."""

    def kept(self) -> dict[str, int]:
        """There are no others."""
        return {}

    async def find(self, node_id: str) -> tuple[int, list[Claim]] | None:
        """There are no others."""
        return None
