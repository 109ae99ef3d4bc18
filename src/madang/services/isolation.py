"""A node that reaches nothing that the others have sends its clients to them.

While one of store and bus is there, clients stay: news comes by either. When both are away it is most likely this
node's network. Whether the others are well it cannot know; so it sends every stream away once, a few at a time, and
lets in again who finds nobody better: a node in the same state says that it is, and nobody goes there. So when
everything is away for all nodes, each client looks around once and comes back; it does not circle.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from madang.bus.base import Bus
from madang.services.guide import Guide
from madang.services.streams import Streams

SILENT = 5
"""After how many looks without any answer of the store a node that has no bus either is isolated. A store that is slow
answers somebody meanwhile. Counted in looks, not by a clock: a node that was frozen is not isolated when it goes on."""
SPREAD = 2.0
"""Over how many seconds its clients leave."""

_log = logging.getLogger("madang.services")


class Isolation:
    """Whether this node is isolated. Call `look` every second."""

    def __init__(
        self,
        bus: Bus,
        guide: Guide,
        streams: Streams,
        answers: Callable[[], int],
        show: Callable[[bool], Awaitable[None]],
    ) -> None:
        """`answers`: how often the store, which is asked all the time, has answered anybody. `show` is told whether new
        clients should come here.
        """
        self._bus = bus
        self._guide = guide
        self._streams = streams
        self._answers = answers
        self._show = show
        self._known = -1
        self._silent = 0

    async def look(self) -> None:
        """Find out; send everybody away, once, when it is so; returns when they were."""
        answers = self._answers()
        self._silent = self._silent + 1 if answers == self._known else 0
        self._known = answers
        isolated = self._silent >= SILENT and not self._bus.is_connected and self._guide.can_go()
        if isolated is self._guide.is_isolated:
            return
        await self._show(not isolated)
        self._guide.is_isolated = isolated
        if isolated:
            _log.warning("neither the store nor the bus can be reached: clients are sent to other nodes")
            await self._streams.send_away(self._guide.farewell(), SPREAD, self._is_over)
        else:
            _log.warning("the store or the bus can be reached again: clients may come")

    def _is_over(self) -> bool:
        return self._bus.is_connected or self._answers() != self._known
