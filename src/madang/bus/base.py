"""What a bus is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from madang.core.events import BusEvent

E = TypeVar("E", bound=BusEvent)


class Bus(Protocol):
    """Carries events to whoever subscribed to their type, on this node and on others."""

    def publish(self, event: BusEvent) -> None:
        """Send an event on its way. Never waits, never raises."""
        ...

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        """Call the handler for every event of the type, in the event loop. Handlers are short and do not raise."""
        ...
