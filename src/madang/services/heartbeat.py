"""The Heartbeat: who is here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager

from madang.bus.base import Bus, Nodes
from madang.core.errors import MadangError
from madang.core.events import ClaimsChanged, PresenceChanged, SessionEnded
from madang.core.paging import decode_token, encode_token, page_size
from madang.core.presence import Presence, PresenceTable, Status, latest
from madang.services.together import Together

LEASE = 30.0
"""How long a beat is good, seconds."""

GRACE = 5.0
"""How long a user stays after its last stream ended, seconds: a reconnect is not seen as going and coming."""


class HeartbeatService:
    """Takes proof of life; tells presence: of this node's users, or with `nodes` of the whole cluster's."""

    def __init__(
        self,
        bus: Bus,
        clock: Callable[[], int],
        nodes: Nodes | None = None,
        node_id: str = "",
        ticks: Callable[[], int] | None = None,
    ) -> None:
        """`nodes`: the others, with whom this node, of that id, shares who is present. `ticks`: a clock that nobody
        sets, by which leases run out; the other one says when somebody was last seen. Both microseconds.
        """
        self._bus = bus
        self._clock = clock
        self._ticks = ticks or clock
        self._table = PresenceTable(int(LEASE * 1_000_000), int(GRACE * 1_000_000), lambda _: clock())
        self._cluster = None if nodes is None else Together(bus, nodes, node_id)
        self._watches: dict[Watch, None] = {}
        self._tell_soon: asyncio.Handle | None = None
        bus.subscribe(PresenceChanged, self._on_presence)
        bus.subscribe(SessionEnded, self._on_session_ended)
        if self._cluster is not None:
            bus.subscribe(ClaimsChanged, self._on_claims)

    @contextmanager
    def held(self, user_id: int, session_id: int = 0) -> Iterator[None]:
        """The user is here for as long as this lasts."""
        self._table.hold(user_id, self._ticks(), session_id)
        self._tell()
        try:
            yield
        finally:
            self._table.release(user_id, self._ticks())
            self._tell()

    def beat(self, user_id: int, session_id: int = 0) -> None:
        """The user proved life; good for LEASE."""
        self._table.beat(user_id, self._ticks(), session_id)
        self._tell()

    def gone(self, user_id: int, session_id: int = 0) -> None:
        """The user left for good: no lease and no grace, unless it is here with another session than that one."""
        self._table.drop(user_id, self._ticks(), session_id)
        self._tell()

    def set_status(self, user_id: int, status: Status) -> Presence:
        """How the user wants to be seen while it is here; its presence now."""
        if self._cluster is None:
            self._table.want(user_id, status, self._ticks())
        else:
            self._cluster.want(user_id, status, self._clock())
        self._tell()
        return self.get(user_id)

    def get(self, user_id: int) -> Presence:
        """A user's presence."""
        if self._cluster is None:
            return self._table.get(user_id)
        return latest(self._cluster.claims.get(user_id), self._table.get(user_id))

    def here(self) -> list[Presence]:
        """Everyone who is here, by user_id."""
        return self._table.here() if self._cluster is None else self._cluster.claims.here()

    def count(self) -> int:
        """How many are here."""
        return self._table.count() if self._cluster is None else self._cluster.claims.count()

    def page(self, user_ids: Sequence[int], size: int, token: str) -> tuple[list[Presence], str]:
        """A page of presences, of everyone who is here or of these users, and the token of the next.

        Raises PageTokenInvalid.
        """
        query = ("presences", tuple(user_ids))
        size = page_size(size, 100, 1000)
        after = decode_token(query, token, 0)
        found = [self.get(user_id) for user_id in sorted(set(user_ids))] if user_ids else self.here()
        rest = [presence for presence in found if presence.user_id > after]
        shown = rest[:size]
        return shown, encode_token(query, shown[-1].user_id) if len(rest) > size else ""

    def watch(self, user_id: int, session_id: int = 0) -> Watch:
        """A stream of presence for the user, which is here while it lasts."""
        return Watch(self, user_id, session_id)

    def add_watch(self, watch: Watch) -> None:
        """Tell the watch of every change from now on."""
        self._watches[watch] = None

    def remove_watch(self, watch: Watch) -> None:
        """Tell it no more."""
        del self._watches[watch]

    def expire(self) -> None:
        """Let leases run out. Called every second or so."""
        self._table.expire(self._ticks())
        self._tell()

    async def share(self) -> None:
        """Hold what is known of the other nodes against what they say. Called every second or so."""
        if self._cluster is not None:
            await self._cluster.share(self._clock(), self._ticks())
            self._tell()

    def _tell(self) -> None:
        """Tell what changed, soon: a crowd that comes at once is one event, not a thousand."""
        if self._cluster is not None:
            self._cluster.take(self._table.changes())
            has_changes = self._cluster.has_changes
        else:
            has_changes = self._table.has_changes
        if has_changes and self._tell_soon is None:
            self._tell_soon = asyncio.get_running_loop().call_later(0.05, self._tell_now)

    def _tell_now(self) -> None:
        self._tell_soon = None
        changes = self._table.changes() if self._cluster is None else self._cluster.tell()
        if changes:
            self._bus.publish(PresenceChanged(tuple(changes)))

    def _on_session_ended(self, event: SessionEnded) -> None:
        self.gone(event.user_id, event.session_id)

    def _on_claims(self, event: ClaimsChanged) -> None:
        if self._cluster is not None and self._cluster.hear(event):
            self._tell()

    def _on_presence(self, event: PresenceChanged) -> None:
        for watch in self._watches:
            watch.note(event.presences)


class Watch:
    """One stream of presence: what is new, each user once. Iterate over `updates` once."""

    def __init__(self, heartbeat: HeartbeatService, user_id: int, session_id: int = 0) -> None:
        self._heartbeat = heartbeat
        self._user_id = user_id
        self._session_id = session_id
        self._news: dict[int, Presence] = {}
        self._ended: MadangError | None = None
        self._stirred = asyncio.Event()

    async def updates(self) -> AsyncGenerator[list[Presence], None]:
        """Everyone who is here, then what changes. Raises what the watch is ended with."""
        self._heartbeat.add_watch(self)
        try:
            with self._heartbeat.held(self._user_id, self._session_id):
                yield self._heartbeat.here()
                while True:
                    yield await self._next()
        finally:
            self._heartbeat.remove_watch(self)

    def note(self, presences: Sequence[Presence]) -> None:
        """These changed."""
        for presence in presences:
            self._news[presence.user_id] = presence
        self._stirred.set()

    def end(self, error: MadangError) -> None:
        """End the stream: `updates` raises the error."""
        self._ended = error
        self._stirred.set()

    async def _next(self) -> list[Presence]:
        await self._stirred.wait()
        if self._ended is not None:
            raise self._ended
        self._stirred.clear()
        news, self._news = self._news, {}
        return list(news.values())
