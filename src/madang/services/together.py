"""This node's part in the presence of a cluster: says who is here, and hears who is elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from madang.bus.base import Bus, Nodes
from madang.core.claims import Claim, Claims
from madang.core.events import ClaimsChanged
from madang.core.presence import Presence, Status

LEAVE_GRACE = 2_500_000
"""How long the users of a node that is gone stay, microseconds: while they move to another, nobody sees them go. With
the ten seconds after which a silent node is gone, and the looks that are a second apart, it is less than fifteen."""
MAX_CLAIMS = 2000
"""So many claims are told at once; an event stays far below the megabyte that NATS takes."""


class Together:
    """The claims of all nodes. `take` and `want` change what this node says, `tell` says it, `hear` and `share` learn
    what the others say.
    """

    def __init__(self, bus: Bus, nodes: Nodes, node_id: str) -> None:
        self.claims = Claims(node_id)
        self._bus = bus
        self._nodes = nodes
        self._node_id = node_id
        self._version = 0
        self._kept = 0
        self._unsaid: dict[int, Claim] = {}
        self._missing: dict[str, int] = {}

    def take(self, changes: Iterable[Presence]) -> None:
        """Who came to this node, and who went from it."""
        for presence in changes:
            here = presence.status is not Status.OFFLINE
            self._say(self.claims.set_here(presence.user_id, here, presence.seen_at or 0))

    def want(self, user_id: int, status: Status, now: int) -> None:
        """A user says how it wants to be seen."""
        said = self.claims.want(user_id, status, now)
        if said is not None:
            self._say(said)

    @property
    def has_changes(self) -> bool:
        """Whether there is something to tell, to the others or here."""
        return bool(self._unsaid) or self.claims.has_changes

    def tell(self) -> list[Presence]:
        """Tell the others what is new here; and return what is new in all."""
        self._respond()
        unsaid, self._unsaid = list(self._unsaid.values()), {}
        for start in range(0, len(unsaid), MAX_CLAIMS):
            after, self._version = self._version, self._version + 1
            some = tuple(unsaid[start : start + MAX_CLAIMS])
            self._bus.publish(ClaimsChanged(self._node_id, after, self._version, some))
        return self.claims.changes()

    def hear(self, event: ClaimsChanged) -> bool:
        """Another node tells. Says whether anything came of it."""
        if event.node_id == self._node_id:  # said here just now
            return False
        if not self.claims.apply(event.node_id, event.after, event.version, event.claims):
            return False  # something was missed before it; all of it is looked for, see `share`
        self._respond()
        return True

    async def share(self, now: int, ticks: int) -> None:
        """Let go of nodes that are gone, look for what was missed of the others, let them find what this one says.

        `ticks`: the time of a clock that nobody sets.
        """
        self._drop_gone(ticks)
        self.claims.forget(now)
        for node_id, version in self._nodes.kept().items():
            if version > self.claims.version(node_id):
                found = await self._nodes.find(node_id)
                if found is not None:
                    self.claims.replace(node_id, *found)
        self._respond()
        if self._version != self._kept:
            self._kept = self._version
            self._nodes.keep(self._version, self.claims.own)

    def _drop_gone(self, ticks: int) -> None:
        alive = {info.node_id for info in self._nodes.known()}
        for node_id in self.claims.nodes():
            if node_id in alive:
                self._missing.pop(node_id, None)
            elif ticks - self._missing.setdefault(node_id, ticks) >= LEAVE_GRACE:
                del self._missing[node_id]
                self.claims.drop(node_id)

    def _respond(self) -> None:
        for said in self.claims.respond():
            self._say(said)

    def _say(self, claim: Claim) -> None:
        self._unsaid[claim.user_id] = claim
