"""The other nodes, in the eyes of one: whether they were told the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from madang.core.agreement import differences
from madang.core.limits import Limits
from madang.node.settings import Settings
from madang.services.guide import Guide

_log = logging.getLogger("madang.node")


def shared(settings: Settings) -> dict[str, object]:
    """What all nodes of a cluster have to have in common."""
    limits = settings.limits
    return {
        "registration": settings.registration.value,
        "guests": settings.lets_guests_in,
        "classic": settings.serves_classic,
        "classic_times": settings.classic_times,
        "cluster": settings.cluster,
        "password_time": settings.password_time,
        "password_memory": settings.password_memory,
        "password_lanes": settings.password_lanes,
        "limits": limits is not None,
        **{f"limit_{name}": getattr(limits, name) for name in Limits.__dataclass_fields__ if limits is not None},
    }


class Company:
    """Looks at the others now and then."""

    def __init__(self, guide: Guide, tell: Callable[[Iterable[str]], None]) -> None:
        """`tell`: who is here is to know where Agents are."""
        self._guide = guide
        self._tell = tell
        self._told: set[tuple[str, str]] = set()

    async def look(self) -> None:
        """Tell the others how this node is, and clients where the others are; warn, once each, of those that were told
        something else.
        """
        self._guide.announce()
        self._tell(self._guide.agents())
        own = self._guide.own
        for node in self._guide.others():
            if (node.node_id, node.fingerprint) in self._told:
                continue
            self._told.add((node.node_id, node.fingerprint))
            if different := differences(own.fingerprint, node.fingerprint):
                names = ", ".join(different)
                _log.warning("node %s has other settings than this one, where all need the same: %s", node.name, names)
        for node in self._guide.strangers():
            if (node.node_id, node.store) not in self._told:
                self._told.add((node.node_id, node.store))
                _log.error(
                    "node %s calls its cluster the same, and keeps its data in another database: it is none of this "
                    "cluster. Give each of the two a name of its own (--cluster)",
                    node.name,
                )
