"""Tells clients where to go: which node serves what, and where there is room."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from madang.bus.base import Nodes
from madang.core import balance
from madang.core.cluster import NodeInfo
from madang.core.errors import ServerDraining, ServiceMissing

MAX_NAMED = 32
"""So many nodes are named at most where clients are sent elsewhere: an error travels in a header of 8 KiB."""
_SERVICES = ("heartbeat", "lobby", "channel")


@dataclass(frozen=True, slots=True)
class Directions:
    """Where the services are, `host:port`; empty: where the Agent was found."""

    heartbeat: str
    lobby: str
    channel: str


class Guide:
    """Knows this node and the others, as they are now.

    A client that has come to a node finds everything there that the node serves, over one connection. It is sent to
    others for the rest; and, before it signs in, to where there is more room.
    """

    def __init__(
        self,
        nodes: Nodes,
        load: Callable[[], int],
        *,
        alone: bool = True,
        dice: balance.Dice = random.random,
    ) -> None:
        """`load`: how many streams are open here. `alone`: there can be no other node."""
        self._nodes = nodes
        self._load = load
        self._alone = alone
        self._dice = dice
        self._own = NodeInfo("", "", "", 0, "")
        self._here: dict[str, str] = {}
        self.is_isolated = False
        """Whether this node reaches nothing that the others have; see Isolation."""

    def open(self, own: NodeInfo, here: Mapping[str, str]) -> None:
        """This node begins to serve. `here`: where its services are for who has found the Agent, see Directions."""
        self._own, self._here = own, dict(here)
        self.announce()

    @property
    def draining(self) -> bool:
        """Whether this node is about to go."""
        return self._own.draining

    @property
    def turns_away(self) -> bool:
        """Whether nobody should come here who can go elsewhere."""
        return self.draining or self.is_isolated

    @property
    def own(self) -> NodeInfo:
        """This node."""
        return self._own

    def directions(self, avoid: Collection[str] = ()) -> Directions:
        """Where a client of this node finds the services; `avoid`: what it could not reach. Raises ServiceMissing."""
        elsewhere = [service for service in _SERVICES if service not in self._here]
        found = self._find(elsewhere, avoid)
        return Directions(*((self._here | found)[service] for service in _SERVICES))

    def place(self, service: str) -> str:
        """Where one service is, this node's first; never empty. Raises ServiceMissing."""
        return self._own.addresses.get(service) or self._find([service])[service]

    def _find(self, services: Sequence[str], avoid: Collection[str] = ()) -> dict[str, str]:
        found = balance.one_for_each(services, self._nodes.known(), avoid, self._dice)
        if "" in found:
            raise ServiceMissing(service=services[found.index("")])
        return dict(zip(services, found, strict=True))

    def agents(self) -> list[str]:
        """Where Agents are; nothing, where there is only this one."""
        if self._alone:
            return []
        known = self._nodes.known() if not self.turns_away else self.others()
        return balance.agents(known, self._own.node_id, self._dice)

    def farewell(self) -> ServerDraining:
        """What those are told who are sent elsewhere: they may come too late to ask where that is."""
        return ServerDraining(retry_after=0, nodes=",".join(self.agents()[:MAX_NAMED]))

    def others(self) -> list[NodeInfo]:
        """The other nodes."""
        return [node for node in self._nodes.known() if node.node_id != self._own.node_id]

    def strangers(self) -> list[NodeInfo]:
        """Nodes that take themselves for some of this cluster, by its name, and are none."""
        return self._nodes.strangers()

    def can_go(self) -> bool:
        """Whether whoever is here can go elsewhere."""
        return balance.can_go(self._nodes.known(), self._own)

    def announce(self) -> None:
        """Tell the others how this node is now. Called now and then."""
        self._own = replace(self._own, load=self._load())
        self._nodes.announce(self._own)

    def leave(self) -> None:
        """Tell them that it is about to go."""
        self._own = replace(self._own, draining=True)
        self.announce()
