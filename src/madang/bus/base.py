"""What a bus is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from madang.core.claims import Claim
from madang.core.cluster import NodeInfo
from madang.core.events import BusEvent

E = TypeVar("E", bound=BusEvent)


class Bus(Protocol):
    """Carries events to whoever subscribed to their type, on this node and on others.

    What concerns one channel alone (ChannelChanged, TypingStarted, TextsErased) comes from other nodes only while the
    channel is watched here.
    """

    def publish(self, event: BusEvent) -> None:
        """Send an event on its way. Never waits, never raises. Handlers on this node are called before it returns."""
        ...

    def deliver(self, event: BusEvent) -> None:
        """Call the handlers on this node alone: for what every node finds out by itself."""
        ...

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        """Call the handler for every event of the type, in the event loop. Handlers are short and do not raise."""
        ...

    def watch(self, channel_id: int) -> None:
        """Somebody here reads the channel: have its events come from now on. Never waits; see `settled`."""
        ...

    def unwatch(self, channel_id: int) -> None:
        """Nobody reads it here any more."""
        ...

    async def settled(self) -> None:
        """Return when every `watch` until now is in force: what is committed after that is heard of. Returns at once
        while the bus is away: then everything is held against the store, see `is_connected`."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether there may be other nodes at all."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether events travel between nodes now. While they do not, the store has to be asked often."""
        ...

    def on_return(self, handler: Callable[[], None]) -> None:
        """Call the handler each time that the bus is back after it was away: what it carried meanwhile is lost."""
        ...


class Nodes(Protocol):
    """The nodes of the cluster that are alive, this one with them."""

    def announce(self, info: NodeInfo) -> None:
        """Tell the others of this node, from now on, until it is closed. Never waits."""
        ...

    def known(self) -> list[NodeInfo]:
        """Every node that was heard of within its time, by node_id; this one too, once it was announced."""
        ...

    def strangers(self) -> list[NodeInfo]:
        """Nodes that are known by the same cluster's name, and have another store: by mistake. They count for nothing,
        and nothing that happens there is heard here.
        """
        ...

    def keep(self, version: int, claims: Callable[[], Sequence[Claim]]) -> None:
        """Let the others find all claims of this node, which are at that version at least; see `madang.core.claims`.
        Never waits; `claims` is called when they are put.
        """
        ...

    def kept(self) -> dict[str, int]:
        """Which version of its claims each other node has let us find."""
        ...

    async def find(self, node_id: str) -> tuple[int, list[Claim]] | None:
        """All claims of another node, and their version; None when they cannot be had now."""
        ...
