"""What a node knows, held against the store: the bus may lose, and what is lost is late, never missing.

Events keep true what a node has in memory: the heads of its rings, the channels of its cursors, its sessions and their
roles, the rates of bots. Everything of that is looked up again now and then; often while the bus is away; and at once
when it is back, or when any node says that what it told may not have come. Whatever is found to be different is told to
the parts of this node as if its event had come. Clients, too, know what events told: read marks, and accounts, which
the audit log knows to have changed; after a loss they are told again.

Sessions that were ended are looked for all the time: their streams end within a second, whatever the bus does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from madang.bus.base import Bus
from madang.core.errors import MadangError
from madang.core.events import (
    MembershipChanged,
    NewsLost,
    ReadMarkMoved,
    ServerRoleChanged,
    SessionEnded,
    UserChanged,
)
from madang.core.models import LOBBY_ID, Session
from madang.core.outages import Outage
from madang.services.hub import Hub
from madang.services.limits import Limiter
from madang.services.sessions import Sessions
from madang.services.streams import Streams
from madang.storage import accounts, audit, memberships, messages, sessions
from madang.storage.store import Store

LOOK_EVERY = 0.5
"""How often the two looks are to be called, seconds."""
ALL_EVERY = 30.0
"""How often everything is checked though nothing seems to be lost, seconds."""
LOST_EVERY = 2.0
"""How long after it was checked it is not checked again for another loss, seconds: when NATS was away, each node says,
one after the other, that it lost something."""
REVOKED_WITHIN = 60_000_000
"""How far back sessions that were ended are looked for, microseconds: longer than the commit that ends one may take.
The nodes' clocks do not matter, but for bots: by these it is judged when their owner was banned."""
REST = 2.0
"""After a look, while the bus is away, none follows for this many times as long as it took: users come first."""
MOST_REST = 2.0
"""The longest such rest, seconds: a look that waited for a store which was away, too, says nothing of the next."""
USERS_AT_ONCE = 200
SESSIONS_AT_ONCE = 500
TRIES = 3
ACCOUNT_ACTIONS = ("user.update", "user.role", "user.delete", "bot.delete")
"""What changes an account that others see, as the audit log names it."""
MOST_ACCOUNTS = 1000

_log = logging.getLogger("madang.services")

T = TypeVar("T")


class Healing:
    """Call `look` and `end_revoked` every LOOK_EVERY seconds, one beside the other.

    What was found to be different is counted: `members_healed`, `sessions_healed`; heads by the hub.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        hub: Hub,
        streams: Streams,
        known: Sessions,
        limiter: Limiter,
        clock: Callable[[], int],
    ) -> None:
        """`clock`: microseconds since the epoch."""
        self.members_healed = 0
        self.sessions_healed = 0
        self._store = store
        self._bus = bus
        self._hub = hub
        self._streams = streams
        self._known = known
        self._limiter = limiter
        self._clock = clock
        self._lost = False
        self._outage = Outage()
        self._audited: int | None = None
        self._next = 0.0
        self._not_again_before = 0.0
        self._rest_until = 0.0
        self._moved: set[int] = set()
        self._ended: dict[int, int] = {}  # the sessions whose end was told lately, and when
        bus.on_return(self._on_lost)
        bus.subscribe(NewsLost, lambda _: self._on_lost())
        bus.subscribe(MembershipChanged, self._on_membership)
        bus.subscribe(SessionEnded, self._on_session_ended)

    async def look(self) -> None:
        """Check what is due. While the store cannot be asked, it stays due."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._hub.forget_erased()
        lost, asked = self._lost, True
        try:
            if began >= self._next or (lost and began >= self._not_again_before):
                self._lost = False
                await self.check_all(lost)
                self._next = began + ALL_EVERY
                self._not_again_before = loop.time() + LOST_EVERY
            elif not self._bus.is_connected and began >= self._rest_until:
                await self._hub.check_heads()
                await self._check_members(tell_marks=False)
                await self._check_known()
                self._rest_until = loop.time() + min(MOST_REST, (loop.time() - began) * REST)
            else:
                asked = False
            failed_for = self._outage.worked(loop.time()) if asked else None
            if failed_for is not None:
                _log.warning("what is known can be held against the store again; it could not %s", failed_for)
        except BaseException as error:
            self._lost = self._lost or lost
            if not isinstance(error, MadangError):
                raise
            for_how_long = self._outage.failed(loop.time())  # half a second later it may be the same
            if for_how_long is not None:
                _log.warning("what is known cannot be held against the store%s: %s", for_how_long, error.in_full)

    async def check_all(self, lost: bool) -> None:
        """Check everything. `lost`: something was, so that also what nothing tells the age of is told again."""
        if lost:
            self._hub.forget()
            await self._tell_accounts()
        else:
            self._audited = await self._store.read(audit.last)
        await self._hub.reconcile()
        await self._check_members(tell_marks=lost)
        await self._check_known()
        await self._limiter.check_rates()

    async def end_revoked(self) -> None:
        """Tell of every session that was ended or shut out, unless its event came."""
        now = self._clock()
        try:
            found = dict(await self._store.read(sessions.revoked_since, now - REVOKED_WITHIN, now))
        except MadangError as error:
            _log.debug("ended sessions cannot be looked for: %s", error)
            return
        for session_id, user_id in found.items():
            # One that was told may be in use again: by a stream that was just opening, or after a lifted ban.
            if session_id not in self._ended or self._is_used(session_id):
                self._end(session_id, user_id)
        for session_id in [s for s, told in self._ended.items() if s not in found and told < now - REVOKED_WITHIN]:
            del self._ended[session_id]

    async def _tell_accounts(self) -> None:
        """Tell again of the accounts that changed since the last look when nothing was lost."""
        if self._audited is None:
            return
        ids = await self._store.read(audit.users_after, self._audited, ACCOUNT_ACTIONS, MOST_ACCOUNTS)
        for user in await self._store.read(accounts.users_by_id, ids):
            self._bus.deliver(UserChanged(user))

    async def _check_members(self, tell_marks: bool) -> None:
        """Hold the channels of all cursors against their users' memberships."""
        for users in _batches(self._hub.users(), USERS_AT_ONCE):
            self._moved.clear()
            found = await self._store.read(memberships.marks, users)
            for user_id in users:
                if user_id not in self._moved:  # else what was read may be from before; the next time then
                    await self._heal_member(user_id, found.get(user_id, {}), tell_marks)

    async def _heal_member(self, user_id: int, marks: dict[int, int], tell_marks: bool) -> None:
        cursors = [cursor for cursor in self._hub.cursors(user_id) if cursor.begun]
        member_of = marks.keys() | {LOBBY_ID}
        read = set(chain.from_iterable(cursor.positions for cursor in cursors))
        for channel_id in read - member_of:
            # Not further than what was told: a coming that is told later may be newer than what was read.
            position = max(cursor.moved_at(channel_id) for cursor in cursors)
            self.members_healed += 1
            self._bus.deliver(MembershipChanged(channel_id, user_id, False, position))
        if tell_marks:
            for channel_id in read & marks.keys():
                self._bus.deliver(ReadMarkMoved(channel_id, user_id, marks[channel_id]))
        missing = {c for cursor in cursors if cursor.follows for c in member_of - cursor.positions.keys()}
        for channel_id in missing:
            self._moved.discard(user_id)
            position = await self._store.read(messages.joined_at, channel_id, user_id)
            if user_id not in self._moved:
                self.members_healed += 1
                self._bus.deliver(MembershipChanged(channel_id, user_id, True, position))

    async def _check_known(self) -> None:
        """Hold every session in use here against the store."""
        in_use = {session.session_id for session in self._known.cached()}
        await self._check_sessions([*in_use.union(self._streams.sessions())])

    async def _check_sessions(self, session_ids: Sequence[int]) -> None:
        """Hold what is known of sessions against the store."""
        for ids in _batches(session_ids, SESSIONS_AT_ONCE):
            for _ in range(TRIES):
                changes = self._known.changes
                found = await self._store.read(sessions.by_ids, ids, self._clock())
                if changes == self._known.changes:  # else what was read may be from before
                    self._heal_sessions(ids, found)
                    break

    def _heal_sessions(self, ids: Sequence[int], found: dict[int, sessions.Found]) -> None:
        known = {session.session_id: session for session in self._known.some(ids)}
        for session_id in ids:
            row, session = found.get(session_id), known.get(session_id)
            if row is None:
                self._end(session_id, 0 if session is None else session.user_id)
            elif row.ban is not None or row.session.revoked_at is not None:
                self._end(session_id, row.session.user_id)
            elif session is not None:
                self._refresh(session, row.session)

    def _refresh(self, known: Session, stored: Session) -> None:
        if known.role is not stored.role:
            self.sessions_healed += 1
            self._bus.deliver(ServerRoleChanged(stored.user_id, stored.role))
        if stored.expires_at == 0 or stored.expires_at > known.expires_at:  # it was used elsewhere
            self._known.refresh(stored)

    def _end(self, session_id: int, user_id: int) -> None:
        if self._is_used(session_id):
            self.sessions_healed += 1
        self._bus.deliver(SessionEnded(session_id, user_id))

    def _is_used(self, session_id: int) -> bool:
        return bool(self._known.some([session_id])) or self._streams.has(session_id)

    def _on_lost(self) -> None:
        self._lost = True

    def _on_membership(self, event: MembershipChanged) -> None:
        self._moved.add(event.user_id)

    def _on_session_ended(self, event: SessionEnded) -> None:
        self._ended[event.session_id] = self._clock()


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
