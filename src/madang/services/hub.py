"""The fan-out: rings of encoded changes, and the cursors that are woken to read from them.

A subscriber owns a position per channel, not a queue; see `madang.services.cursor`. What a ring does not hold any more
comes from the store; see `madang.services.pages`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from madang.bus.base import Bus
from madang.core.contents import leaver_id
from madang.core.errors import MadangError, StorageUnavailable
from madang.core.events import (
    ChannelChanged,
    HeadKnown,
    MembershipChanged,
    ReadMarkMoved,
    TextsErased,
    TypingStarted,
    UserChanged,
)
from madang.core.models import LOBBY_ID, Changes, Message
from madang.core.pacing import Turns
from madang.services.cursor import MAX_TYPING, Cursor
from madang.services.lag import LagProbe
from madang.services.pages import Pages
from madang.services.ring import Ring
from madang.storage import memberships, messages
from madang.storage.store import Store

HEADS_AT_ONCE = 500
PAGE = 200
PAGE_BYTES = 128 * 1024
ERASED_AGAIN = 5.0
"""When the ring of a channel with erased texts lets go once more, seconds: what another node stored before they were
erased may be told after that."""
_log = logging.getLogger("madang.services")


class Hub:
    """All rings and cursors of this process."""

    def __init__(self, bus: Bus, rest: float) -> None:
        """`rest`: see `madang.core.pacing.Turns`."""
        self.gaps_healed = 0
        """How often the store was found to be further than the bus had told."""
        self.rings: dict[int, Ring] = {}
        """By channel_id, of all channels that a cursor is in."""
        self.pages = Pages(self.rings, self._page)
        self._bus = bus
        self._unchecked: dict[int, Ring] = {}  # whose head may have moved before the channel was watched
        self._to_check: dict[int, None] = {}
        self._checking: asyncio.Task[None] | None = None
        self._erased: dict[int, float] = {}
        self._readers: dict[int, dict[Cursor, None]] = {}
        self._by_user: dict[int, dict[Cursor, None]] = {}
        self._turns = Turns(rest)
        self._timer: asyncio.TimerHandle | None = None
        self._store: Store | None = None
        self.lag = LagProbe()
        self.ring_hits = 0
        """How many batches readers took from rings."""
        self.ring_misses = 0
        """How many a ring did not have."""
        self.nodes: tuple[str, ...] = ()
        """Where Agents are, `host:port`; empty where there is only this one."""
        bus.subscribe(ChannelChanged, self._on_changes)
        bus.subscribe(MembershipChanged, self._on_membership)
        bus.subscribe(TypingStarted, self._on_typing)
        bus.subscribe(ReadMarkMoved, self._on_read_mark)
        bus.subscribe(UserChanged, self._on_user)
        bus.subscribe(TextsErased, self._on_erased)
        bus.subscribe(HeadKnown, self._on_head)

    async def close(self) -> None:
        """End the check of new channels, if one is under way."""
        checking = self._checking
        if checking is not None:
            checking.cancel()
            await asyncio.wait([checking])

    def use(self, store: Store) -> None:
        """Read from this store whatever the rings do not hold."""
        self._store = store

    def attach(self, user_id: int, follow: bool) -> Cursor:
        """A new cursor without channels; see Cursor."""
        cursor = Cursor(self, user_id, follow)
        self._by_user.setdefault(user_id, {})[cursor] = None
        return cursor

    def detach(self, cursor: Cursor) -> None:
        """The cursor is read no more."""
        for channel_id in cursor.positions:
            self.remove_reader(channel_id, cursor)
        cursors = self._by_user[cursor.user_id]
        del cursors[cursor]
        if not cursors:
            del self._by_user[cursor.user_id]

    def add_reader(self, channel_id: int, cursor: Cursor, position: int) -> int:
        """Wake the cursor for the channel's news; the head as far as it is known here.

        A new ring takes the reader's position for the head; `advance` tells it better.
        """
        ring = self.rings.get(channel_id)
        if ring is None:
            ring = self.rings[channel_id] = self._unchecked[channel_id] = Ring(channel_id, position)
            self._readers[channel_id] = {}
            self._bus.watch(channel_id)
        self._readers[channel_id][cursor] = None
        return ring.head

    async def check_fresh(self, channel_ids: Iterable[int]) -> None:
        """Where rings are new, learn their heads once everything that happens from then on is told.

        Whoever finds an unchecked ring checks it: the one who made it may be gone before it comes to it.
        """
        fresh = {c: ring for c in channel_ids if (ring := self._unchecked.get(c)) is not None}
        if not fresh:
            return
        await self._bus.settled()
        ids = list(fresh)
        for start in range(0, len(ids), HEADS_AT_ONCE):
            self.advance(await self._source.read(messages.heads, ids[start : start + HEADS_AT_ONCE]))
        for channel_id, ring in fresh.items():
            if self._unchecked.get(channel_id) is ring:
                del self._unchecked[channel_id]

    def check_soon(self, channel_id: int) -> None:
        """The channel's ring began with what an event told. On one node there is nothing that it could have missed."""
        if not self._bus.is_shared:
            self._unchecked.pop(channel_id, None)
            return
        self._to_check[channel_id] = None
        if self._checking is None:
            self._checking = asyncio.create_task(self._check())

    def is_behind(self) -> bool:
        """Whether crowds wait for their turn."""
        return self._timer is not None

    def remove_reader(self, channel_id: int, cursor: Cursor) -> None:
        """Wake the cursor no more; the last reader takes the ring with it."""
        readers = self._readers[channel_id]
        readers.pop(cursor, None)
        if not readers:
            del self._readers[channel_id], self.rings[channel_id]
            self._unchecked.pop(channel_id, None)
            self._bus.unwatch(channel_id)

    def advance(self, heads: dict[int, int]) -> None:
        """Hold the rings against the store's heads, by channel_id: whoever is behind is woken."""
        for channel_id, head in heads.items():
            ring = self.rings.get(channel_id)
            if ring is not None and ring.advance(head):
                self._turns.ask(channel_id)
        self._take_turns()

    async def reconcile(self) -> None:
        """Check every watched channel against the store, and let the rings forget what is old. Called now and then."""
        for ring in self.rings.values():
            ring.forget_old()
        await self.check_heads()

    async def check_heads(self) -> None:
        """Check every watched channel against the store."""
        watched = list(self.rings)
        for start in range(0, len(watched), HEADS_AT_ONCE):
            some = watched[start : start + HEADS_AT_ONCE]
            told = {channel_id: ring.head for channel_id in some if (ring := self.rings.get(channel_id)) is not None}
            heads = await self._source.read(messages.heads, some)
            self.gaps_healed += sum(1 for c, head in heads.items() if c in self.rings and self.rings[c].head < head)
            self.advance(heads)
            for channel_id, head in heads.items():
                if told.get(channel_id, head) > head:
                    self._take_back(channel_id, head, told[channel_id])

    def _take_back(self, channel_id: int, head: int, told: int) -> None:
        """What was told of a channel is not stored. A change is told after its commit, so it never was: it was forged,
        or the database went back. Whoever was given it would take nothing of what comes under the same numbers.
        """
        ring = self.rings.get(channel_id)
        if ring is None or ring.head < told:  # another one since
            return
        _log.warning("channel %d ends at %d, and not at %d, as was told", channel_id, head, told)
        ring.retreat(head)
        for cursor in self._readers[channel_id]:
            if cursor.positions[channel_id] > head:
                cursor.end(StorageUnavailable(problem="this stream has told what is not stored; subscribe again"))
        self._turns.ask(channel_id)
        self._take_turns()

    def forget(self) -> None:
        """Let all rings go of what they hold: texts may have been erased that they have copies of."""
        for ring in self.rings.values():
            ring.forget()

    def forget_erased(self) -> None:
        """Let rings go once more of texts that were erased a while ago. Called now and then."""
        due = asyncio.get_running_loop().time() - ERASED_AGAIN
        for channel_id in [c for c, erased_at in self._erased.items() if erased_at <= due]:
            del self._erased[channel_id]
            self._forget(channel_id)

    def nodes_are(self, nodes: Iterable[str]) -> None:
        """Tell every subscriber where Agents are now, if that is news: who loses this node may find no one to ask."""
        now = tuple(sorted(nodes))
        if not now or now == self.nodes:
            return
        self.nodes = now
        for cursor in self._all_cursors():
            cursor.note_nodes(now)

    def users(self) -> list[int]:
        """Who has a cursor here."""
        return list(self._by_user)

    def cursors(self, user_id: int) -> list[Cursor]:
        """A user's cursors."""
        return list(self._by_user.get(user_id, ()))

    @property
    def _source(self) -> Store:
        if self._store is None:
            raise RuntimeError("the hub has no store yet")
        return self._store

    async def _page(self, channel_id: int, position: int, until: int | None) -> Changes:
        changes = await self._source.read(messages.changed, channel_id, position, PAGE, PAGE_BYTES, until)
        if self._bus.is_shared and channel_id != LOBBY_ID:
            await self._let_go(channel_id, changes.messages)
        return changes

    async def _let_go(self, channel_id: int, entries: Sequence[Message]) -> None:
        """Take the cursors of those who went with one of these entries: the node where that was may tell it later than
        others tell what came after it.

        An entry may be old, and its user back since: it is the store that says.
        """
        gone = {user_id: entry.sequence for entry in entries if (user_id := leaver_id(entry))}
        read = {user_id for user_id in gone if any(channel_id in each.positions for each in self.cursors(user_id))}
        if not read:
            return
        members = await self._source.read(memberships.marks, read)
        for user_id in read:
            if channel_id not in members.get(user_id, {}):
                self._on_membership(MembershipChanged(channel_id, user_id, False, gone[user_id]))

    async def _check(self) -> None:
        """What `check_soon` asked for. What fails is checked with everything else."""
        try:
            while self._to_check:
                asked, self._to_check = self._to_check, {}
                await self.check_fresh(asked)
        except MadangError as error:
            _log.debug("new channels could not be checked yet: %s", error)  # the store has told why
        except Exception:  # nobody waits for this task
            _log.exception("new channels could not be checked")
        finally:
            self._checking = None

    def _on_changes(self, event: ChannelChanged) -> None:
        ring = self.rings.get(event.channel_id)
        if ring is not None and ring.append(event.after, event.through, event.segment):
            self._turns.ask(event.channel_id)
            now = asyncio.get_running_loop().time()
            self.lag.begin(event.channel_id, event.through, len(self._readers[event.channel_id]), now, event.trace)
            if self._timer is None:
                self._take_turns()

    def _take_turns(self) -> None:
        """Wake the crowds whose turn it is, and come back when it is the next one's."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while (channel_id := self._turns.next(now)) is not None:
            readers = self._readers.get(channel_id, {})
            for cursor in readers:
                cursor.wake(channel_id)
            self._turns.woke(len(readers), now)
        due = self._turns.due_at()
        if due is not None:
            self._timer = loop.call_at(due, self._take_turns)

    def _on_membership(self, event: MembershipChanged) -> None:
        for cursor in self.cursors(event.user_id):
            cursor.membership_changed(event)

    def _on_typing(self, event: TypingStarted) -> None:
        readers = self._readers.get(event.channel_id, {})
        if len(readers) > MAX_TYPING:  # in a crowd it says nothing, and would cost a write to everyone
            return
        for cursor in readers:
            cursor.note_typing(event)

    def _on_read_mark(self, event: ReadMarkMoved) -> None:
        for cursor in self.cursors(event.user_id):
            cursor.note_read_mark(event)

    def _on_erased(self, event: TextsErased) -> None:
        self._forget(event.channel_id)
        if self._bus.is_shared:
            self._erased[event.channel_id] = asyncio.get_running_loop().time()

    def _forget(self, channel_id: int) -> None:
        ring = self.rings.get(channel_id)
        if ring is not None:
            ring.forget()

    def _on_head(self, event: HeadKnown) -> None:
        self.advance({event.channel_id: event.sequence})

    def _on_user(self, event: UserChanged) -> None:
        for cursor in self._all_cursors():
            cursor.note_user(event.user)

    def _all_cursors(self) -> Iterable[Cursor]:
        return [cursor for cursors in self._by_user.values() for cursor in cursors]
