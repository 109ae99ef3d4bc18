"""The bus of a single process: a function call."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from madang.bus.base import E
from madang.core.events import BusEvent

_log = logging.getLogger("madang.bus")


class LocalBus:
    """See `madang.bus.base.Bus`. Handlers run in the order in which they subscribed, before `publish` returns."""

    def __init__(self) -> None:
        self._handlers: defaultdict[type[object], list[Callable[[Any], None]]] = defaultdict(list)

    def publish(self, event: BusEvent) -> None:
        """Call the event's handlers."""
        for handler in self._handlers[type(event)]:
            try:
                handler(event)
            except Exception:  # whoever publishes is not to suffer for it; what is missed is healed from the store
                _log.exception("a handler of %s failed", type(event).__name__)

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        """Call the handler for every event of the type."""
        self._handlers[kind].append(handler)
