"""Who is here: WatchPresence, and again after every break."""

from __future__ import annotations

from collections import deque
from contextlib import aclosing

from madang.client.directory import Directory
from madang.client.events import PresenceChanged
from madang.client.inbox import Inbox, Item
from madang.client.line import Line, Lost, keep_open
from madang.client.transport import Transport
from madang.core.presence import Presence, Status
from madang.v1 import heartbeat_service_pb2 as pb
from madang.wire.people import presence_from_pb


class Watch:
    """Reads the presence stream into the inbox: only what is different from what was known."""

    def __init__(self, transport: Transport, directory: Directory, inbox: Inbox, line: Line, lost: Lost) -> None:
        self._transport = transport
        self._directory = directory
        self._inbox = inbox
        self._line = line
        self._lost = lost
        self._known: dict[int, Presence] = {}

    async def run(self) -> None:
        """Read for ever. Raises what ends the session."""
        await keep_open(self._stream, self._transport, self._line, self._lost)

    async def _stream(self) -> None:
        first = True
        method = self._transport.heartbeat.WatchPresence
        async with aclosing(self._transport.stream(method, pb.WatchPresenceRequest())) as responses:
            async for response in responses:
                told = [presence_from_pb(presence) for presence in response.presences]
                if first:
                    if self._known:
                        await self._directory.catch_up()
                    told += self._gone({presence.user_id for presence in told})
                    first = False
                await self._directory.meet(presence.user_id for presence in told)
                await self._inbox.put(self._news(told))

    def _gone(self, here: set[int]) -> list[Presence]:
        """The first response tells everyone who is here; the others went while the stream was broken."""
        return [
            Presence(user_id, Status.OFFLINE, known.seen_at)
            for user_id, known in self._known.items()
            if user_id not in here and known.status is not Status.OFFLINE
        ]

    def _news(self, told: list[Presence]) -> deque[Item]:
        items: deque[Item] = deque()
        for presence in told:
            before = self._known.get(presence.user_id)
            self._known[presence.user_id] = presence
            if before is None or before.status is not presence.status:
                items.append(Item(PresenceChanged(self._directory.known.user(presence.user_id), presence)))
        return items
