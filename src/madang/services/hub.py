"""The fan-out: rings of encoded changes, and cursors that read from them.

A subscriber owns a position per channel, not a queue. It takes, for each channel with news, everything between its
position and the head as one batch: from the ring when that reaches back far enough, else from the store, page by page.
Its owner writes one response at a time; what happens meanwhile gathers in the rings, once for all readers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

from madang.bus.base import Bus
from madang.core.contents import leaver_id
from madang.core.errors import MadangError
from madang.core.events import (
    ChannelChanged,
    HeadKnown,
    MembershipChanged,
    ReadMarkMoved,
    TextsErased,
    TypingStarted,
    UserChanged,
)
from madang.core.models import LOBBY_ID, Message, User
from madang.core.pacing import Turns
from madang.services.lag import LagProbe
from madang.services.ring import MAX_BATCH_BYTES, Ring
from madang.storage import memberships, messages
from madang.storage.store import Store
from madang.wire.batches import encode_batch, encode_segment

MAX_TYPING = 100
"""In channels with more readers nobody is told who is writing; and no reader is told of more at once."""
MAX_OPENED = 200
"""How many channels one response opens: with the longest names and topics it stays far below gRPC's 4 MiB."""
HEADS_AT_ONCE = 500
PAGE = 200
PAGE_BYTES = 128 * 1024
HISTORY_REST = 1.5
"""After a page from the store, no other is read for this many times as long as it took: catching up is the work of many
pages, and must not be felt by those who talk."""
ERASED_AGAIN = 5.0
"""When the ring of a channel with erased texts lets go once more, seconds: what another node stored before they were
erased may be told after that."""
LONGEST_REST = 0.5
"""Nor for longer than this, seconds: a page that took long has waited for something, more than it has worked."""

_log = logging.getLogger("madang.services")


@dataclass(slots=True)
class Notices:
    """What a subscriber is yet to be told beside messages. Coalesced: each thing once, as it is now."""

    opened: dict[int, int] = field(default_factory=dict)
    closed: dict[int, None] = field(default_factory=dict)
    typing: dict[tuple[int, int], None] = field(default_factory=dict)
    read_marks: dict[int, int] = field(default_factory=dict)
    users: dict[int, User] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed or self.typing or self.read_marks or self.users)

    @property
    def moved(self) -> bool:
        """Whether there are channels to be closed or opened."""
        return bool(self.closed or self.opened)

    def take_moved(self) -> Notices:
        """What is told by itself and before all else: what is closed, so that a channel can be closed and opened again;
        then what is opened, a bounded number at once, so that nothing comes from a channel before it is open.
        """
        if self.closed:
            closed, self.closed = self.closed, {}
            return Notices(closed=closed)
        opened = dict(islice(self.opened.items(), MAX_OPENED))
        for channel_id in opened:
            del self.opened[channel_id]
        return Notices(opened=opened)


class News(NamedTuple):
    """What a subscriber takes at once: notices, and encoded responses to be joined."""

    notices: Notices
    batches: list[bytes]


class Cursor:
    """One subscriber: a position for each of its channels. Made and owned by the hub; read by one task."""

    __slots__ = (
        "_ended",
        "_followed",
        "_hub",
        "_moves",
        "_notices",
        "_ready",
        "_waiter",
        "begun",
        "follows",
        "positions",
        "user_id",
    )

    def __init__(self, hub: Hub, user_id: int, follow: bool) -> None:
        """`follow`: channels that the user joins later are read too."""
        self.user_id = user_id
        self.follows = follow
        self.begun = False
        """Whether it has all the channels that it begins with."""
        self.positions: dict[int, int] = {}
        self._hub = hub
        # The last coming (its position) or going (the same, negative) that was told, by channel.
        self._moves: dict[int, int] = {}
        self._ready: dict[int, None] = {}  # in the order of their turns
        self._notices = Notices()
        self._waiter: asyncio.Future[None] | None = None
        self._ended: MadangError | None = None
        self._followed = 0.0  # when the change began that was followed and is being written; see LagProbe

    def watch(self, channel_id: int, position: int) -> None:
        """Read the channel from the position on, wherever it was announced to begin before."""
        self.positions[channel_id] = position
        self._notices.opened.pop(channel_id, None)
        if self._hub.add_reader(channel_id, self, position) > position:
            self.wake(channel_id)

    def has_left(self, channel_id: int) -> bool:
        """Whether the user left the channel since the cursor was made, and has not come back."""
        return self._moves.get(channel_id, 0) < 0

    def moved_at(self, channel_id: int) -> int:
        """The position of the last coming or going in the channel that was told; 0: none was."""
        return abs(self._moves.get(channel_id, 0))

    async def next(self) -> News:
        """What is new, as soon as there is something. Raises what the cursor was ended with."""
        if self._followed:  # whoever asks again has written what it had
            self._hub.lag.delivered(self._followed, asyncio.get_running_loop().time())
            self._followed = 0.0
        while True:
            if self._ended is not None:
                raise self._ended
            if self._notices.moved:
                return News(self._notices.take_moved(), [])
            batches = await self._take_batches() if self._ready else []
            if self._notices.moved:  # while a page was on its way; what is told next may be of the opened
                if batches:
                    return News(Notices(), batches)
                continue
            notices = self._notices
            if notices:
                self._notices = Notices()
            if batches or notices:
                return News(notices, batches)
            if not self._ready and self._ended is None:
                await self._sleep()

    def wake(self, channel_id: int) -> None:
        """There is news in the channel, and it is its turn."""
        self._ready[channel_id] = None
        self._stir()

    def end(self, error: MadangError) -> None:
        """End the subscription: `next` raises the error."""
        self._ended = error
        self._stir()

    def membership_changed(self, event: MembershipChanged) -> None:
        """The user joined or left a channel. What it left is shown no more, at once.

        What happened on two nodes may be told in the wrong order: the one with the higher position counts.
        """
        if event.position < self.moved_at(event.channel_id):
            return
        self._moves[event.channel_id] = event.position if event.joined else -event.position
        if event.joined and self.follows and event.channel_id not in self.positions:
            self.watch(event.channel_id, event.position)
            self._hub.check_soon(event.channel_id)
            self._notices.opened[event.channel_id] = event.position
            self._stir()
        elif not event.joined and event.channel_id in self.positions:
            del self.positions[event.channel_id]
            self._hub.remove_reader(event.channel_id, self)
            self._notices.opened.pop(event.channel_id, None)
            self._notices.typing = {key: None for key in self._notices.typing if key[0] != event.channel_id}
            self._notices.closed[event.channel_id] = None
            self._stir()

    def note_typing(self, event: TypingStarted) -> None:
        """Somebody else writes."""
        if event.user_id != self.user_id and len(self._notices.typing) < MAX_TYPING:
            self._notices.typing[event.channel_id, event.user_id] = None
            self._stir()

    def note_read_mark(self, event: ReadMarkMoved) -> None:
        """The user has read further, on whatever device."""
        if event.channel_id in self.positions:
            self._notices.read_marks[event.channel_id] = event.read_through
            self._stir()

    def note_user(self, user: User) -> None:
        """An account changed."""
        self._notices.users[user.user_id] = user
        self._stir()

    async def _take_batches(self) -> list[bytes]:
        batches: list[bytes] = []
        later: dict[int, None] = {}
        size = 0
        while self._ready and size < MAX_BATCH_BYTES:
            channel_id = next(iter(self._ready))
            del self._ready[channel_id]
            position = self.positions.get(channel_id)
            ring = self._hub.rings.get(channel_id)
            if position is None or ring is None or position >= ring.head:
                continue
            if channel_id in self._notices.opened:  # joined while a page was on its way: to be opened first
                later[channel_id] = None
                continue
            found = ring.batch(position)
            if found is None:
                if batches:  # what is here already should not wait for the store; it is the first to do so next time
                    self._ready = {channel_id: None, **self._ready}
                    break
                self._hub.ring_misses += 1
                found = await self._hub.load(channel_id, position)
                if self.positions.get(channel_id) != position:  # left meanwhile
                    continue
            else:
                self._hub.ring_hits += 1
            encoded, through = found
            self.positions[channel_id] = through
            if self._hub.lag.carries(channel_id, position, through):
                self._followed = self._hub.lag.began
            if through < ring.head:
                self._ready[channel_id] = None
            if through > position:
                batches.append(encoded)
                size += len(encoded)
        if later:
            self._ready.update(later)
        return batches

    async def _sleep(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _stir(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Hub:
    """All rings and cursors of this process."""

    def __init__(self, bus: Bus, rest: float) -> None:
        """`rest`: see `madang.core.pacing.Turns`."""
        self.gaps_healed = 0
        """How often the store was found to be further than the bus had told."""
        self.pages_loaded = 0
        """How many pages were read from the store, because a ring did not reach back far enough."""
        self.rings: dict[int, Ring] = {}
        self._bus = bus
        self._unchecked: dict[int, Ring] = {}  # whose head may have moved before the channel was watched
        self._to_check: dict[int, None] = {}
        self._checking: asyncio.Task[None] | None = None
        self._erased: dict[int, float] = {}
        self._readers: dict[int, dict[Cursor, None]] = {}
        self._by_user: dict[int, dict[Cursor, None]] = {}
        self._turns = Turns(rest)
        self._timer: asyncio.TimerHandle | None = None
        self._loads: dict[tuple[int, int], asyncio.Task[tuple[bytes, int]]] = {}
        self._history = asyncio.Semaphore()
        self._store: Store | None = None
        self.lag = LagProbe()
        self.ring_hits = 0
        """How many batches readers took from rings."""
        self.ring_misses = 0
        """How many a ring did not have."""
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
            heads = await self._source.read(messages.heads, watched[start : start + HEADS_AT_ONCE])
            self.gaps_healed += sum(1 for c, head in heads.items() if c in self.rings and self.rings[c].head < head)
            self.advance(heads)

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

    def users(self) -> list[int]:
        """Who has a cursor here."""
        return list(self._by_user)

    def cursors(self, user_id: int) -> list[Cursor]:
        """A user's cursors."""
        return list(self._by_user.get(user_id, ()))

    async def load(self, channel_id: int, position: int) -> tuple[bytes, int]:
        """A page from the store as one batch, and through where it reaches. Readers at one position share it."""
        key = (channel_id, position)
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = asyncio.create_task(self._load(channel_id, position))
            task.add_done_callback(partial(self._loaded, key))
        return await asyncio.shield(task)

    @property
    def _source(self) -> Store:
        if self._store is None:
            raise RuntimeError("the hub has no store yet")
        return self._store

    async def _load(self, channel_id: int, position: int) -> tuple[bytes, int]:
        await self._history.acquire()
        self.pages_loaded += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        rest = 0.0  # what failed was no work
        try:
            ring = self.rings.get(channel_id)
            until = None if ring is None else ring.boundary(position)
            told = 0 if ring is None else ring.head
            changes = await self._source.read(messages.changed, channel_id, position, PAGE, PAGE_BYTES, until)
            if ring is not None and changes.through == position and ring.head == told > position:
                # A change is told after its commit, so this one never was: or everybody would ask for it for ever.
                _log.warning("channel %d ends at %d, and not at %d, as was told", channel_id, position, told)
                ring.retreat(position)
            if self._bus.is_shared and channel_id != LOBBY_ID:
                await self._let_go(channel_id, changes.messages)
            segment = encode_segment(changes.messages)
            rest = min((loop.time() - began) * HISTORY_REST, LONGEST_REST)
        finally:
            loop.call_later(rest, self._history.release)
        return encode_batch(channel_id, changes.after, changes.through, [segment]), changes.through

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
            _log.warning("new channels could not be checked yet: %s", error)
        except Exception:  # nobody waits for this task
            _log.exception("new channels could not be checked")
        finally:
            self._checking = None

    def _loaded(self, key: tuple[int, int], task: asyncio.Task[tuple[bytes, int]]) -> None:
        del self._loads[key]
        if not task.cancelled():
            task.exception()  # whoever still waits for the page gets it too; nobody may

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
