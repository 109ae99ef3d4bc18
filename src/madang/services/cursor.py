"""A subscriber's cursor: a position for each of its channels, and what it is yet to be told.

It takes, for each channel with news, everything between its position and the head as one batch: from the ring when that
reaches back far enough, else from the store, page by page. Its owner writes one response at a time; what happens
meanwhile gathers in the rings, once for all readers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from madang.core.errors import MadangError
from madang.core.events import MembershipChanged, ReadMarkMoved, TypingStarted
from madang.core.models import User
from madang.services.lag import LagProbe
from madang.services.pages import Pages
from madang.services.ring import MAX_BATCH_BYTES, Ring

MAX_TYPING = 100
"""In channels with more readers nobody is told who is writing; and no reader is told of more at once."""
MAX_OPENED = 200
"""How many channels one response opens: with the longest names and topics it stays far below gRPC's 4 MiB."""


class Feed(Protocol):
    """What cursors read from: the hub."""

    rings: dict[int, Ring]
    """By channel_id, of all channels that a cursor is in."""
    pages: Pages
    lag: LagProbe
    ring_hits: int
    ring_misses: int

    def add_reader(self, channel_id: int, cursor: Cursor, position: int) -> int:
        """Wake the cursor for the channel's news; the head as far as it is known."""

    def remove_reader(self, channel_id: int, cursor: Cursor) -> None:
        """Wake the cursor no more for this channel."""

    def check_soon(self, channel_id: int) -> None:
        """The channel's ring began with what an event told: its head may be further."""


@dataclass(slots=True)
class Notices:
    """What a subscriber is yet to be told beside messages. Coalesced: each thing once, as it is now."""

    opened: dict[int, int] = field(default_factory=dict)
    closed: dict[int, None] = field(default_factory=dict)
    typing: dict[tuple[int, int], None] = field(default_factory=dict)
    read_marks: dict[int, int] = field(default_factory=dict)
    users: dict[int, User] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed or self.typing or self.read_marks or self.users or self.nodes)

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
        "_feed",
        "_followed",
        "_moves",
        "_notices",
        "_ready",
        "_waiter",
        "begun",
        "follows",
        "positions",
        "user_id",
    )

    def __init__(self, feed: Feed, user_id: int, follow: bool) -> None:
        """`follow`: channels that the user joins later are read too."""
        self.user_id = user_id
        self.follows = follow
        self.begun = False
        """Whether it has all the channels that it begins with."""
        self.positions: dict[int, int] = {}
        self._feed = feed
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
        if self._feed.add_reader(channel_id, self, position) > position:
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
            self._feed.lag.delivered(self._followed, asyncio.get_running_loop().time())
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
            self._feed.check_soon(event.channel_id)
            self._notices.opened[event.channel_id] = event.position
            self._stir()
        elif not event.joined and event.channel_id in self.positions:
            del self.positions[event.channel_id]
            self._feed.remove_reader(event.channel_id, self)
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

    def note_nodes(self, nodes: tuple[str, ...]) -> None:
        """The Agents are at other addresses than before."""
        self._notices.nodes = nodes
        self._stir()

    async def _take_batches(self) -> list[bytes]:
        batches: list[bytes] = []
        later: dict[int, None] = {}
        size = 0
        while self._ready and size < MAX_BATCH_BYTES:
            channel_id = next(iter(self._ready))
            del self._ready[channel_id]
            position = self.positions.get(channel_id)
            ring = self._feed.rings.get(channel_id)
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
                self._feed.ring_misses += 1
                found = await self._feed.pages.load(channel_id, position)
                if self.positions.get(channel_id) != position:  # left meanwhile
                    continue
            else:
                self._feed.ring_hits += 1
            encoded, through = found
            self.positions[channel_id] = through
            if self._feed.lag.carries(channel_id, position, through):
                self._followed = self._feed.lag.began
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
