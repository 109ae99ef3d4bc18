"""What a response of the live stream means: the rule of positions, applied. No I/O: responses in, items out."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping

from madang.client.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelReset,
    MessageEvent,
    ReadMarkMoved,
    TypingEvent,
    UserChanged,
)
from madang.client.inbox import Item
from madang.client.known import Known
from madang.client.store import Place
from madang.core.contents import subject_id
from madang.core.models import Content
from madang.core.positions import Position, Verdict
from madang.v1 import channel_service_pb2 as pb
from madang.wire.channels import channel_from_pb
from madang.wire.messages import message_from_pb
from madang.wire.people import user_from_pb


class Feed:
    """Where this client is in each channel, over every break of the stream."""

    def __init__(self, known: Known, places: Mapping[int, Place], only: Collection[int] = ()) -> None:
        """`places`: where an earlier process was. `only`: the channels to read; empty: all of the user's."""
        self.only = set(only)
        self.gap = False
        """Whether something was missing: nothing of that channel is taken until the stream begins anew."""
        self.applied = 0
        """How many ranges were applied."""
        self._known = known
        self._store_id = ""
        self._positions: dict[int, Position] = {}
        self._lost: set[int] = set()  # channels whose position was of another history
        self._read_through: dict[int, int] = {}  # of the channels that are open
        self._places = places
        self._beginning = True  # until every channel was named that the stream begins with
        self._named: set[int] = set()

    def begin(self, store_id: str) -> bool:
        """A stream begins, over the history `store_id`. Returns whether it goes on from where the client was."""
        if not self._store_id:
            self._lost = {channel_id for channel_id, place in self._places.items() if place.store_id != store_id}
            self._positions = {
                channel_id: Position(place.sequence)
                for channel_id, place in self._places.items()
                if channel_id not in self._lost
            }
        elif self._store_id != store_id:
            self._lost.update(self._positions)
            self._positions.clear()
        self._store_id = store_id
        return bool(self._positions)

    def request(self) -> pb.SubscribeRequest:
        """What to ask for now."""
        self._beginning, self.gap = True, False
        self._named.clear()
        request = pb.SubscribeRequest(channel_ids=sorted(self.only), store_id=self._store_id)
        for channel_id, position in self._positions.items():
            if self._wanted(channel_id):
                request.positions.add(channel_id=channel_id, sequence=position.sequence)
        return request

    def take(self, response: pb.SubscribeResponse) -> deque[Item]:
        """Apply a response; its authors were met before. Sets `gap`."""
        items: deque[Item] = deque()
        self._lost.update(reset.channel_id for reset in response.resets)
        if self._beginning:
            self._named.update(opened.channel.channel_id for opened in response.opened)
            if response.begun:
                items.extend(self._missing(self._named))
        for opened in response.opened:
            items.extend(self._opened(opened))
        if response.begun:
            self._beginning = False
        for reset in response.resets:
            items.extend(self._reset(reset.channel_id, reset.position))
        for batch in response.batches:
            items.extend(self._batch(batch))
        for closed in response.closed:
            items.extend(self.close(closed.channel_id))
        items.extend(self._unstored(response))
        return items

    def close(self, channel_id: int) -> Iterator[Item]:
        """The user left a channel."""
        self._positions.pop(channel_id, None)
        self._lost.discard(channel_id)
        was_open = self._read_through.pop(channel_id, None) is not None
        channel = self._known.channel(channel_id) if was_open else None
        yield Item(ChannelClosed(channel) if channel else None, channel_id, None)

    def _wanted(self, channel_id: int) -> bool:
        return not self.only or channel_id in self.only

    def _missing(self, opened: Collection[int]) -> Iterator[Item]:
        """The stream has named every channel that it begins with; the user left the others while it was broken."""
        known = {*self._positions, *self._lost, *self._read_through}
        for channel_id in sorted(known.difference(opened)):
            if self._wanted(channel_id):
                yield from self.close(channel_id)

    def _opened(self, opened: pb.ChannelOpened) -> Iterator[Item]:
        channel = self._known.channel_is(channel_from_pb(opened.channel))
        channel_id = channel.channel_id
        before = self._read_through.get(channel_id)
        self._read_through[channel_id] = opened.read_through
        lost = channel_id in self._lost
        if lost or (
            before is None and not self._beginning
        ):  # just joined: an earlier time in the channel counts no more
            self._positions.pop(channel_id, None)
        sequence = self._positions.setdefault(channel_id, Position(opened.position)).sequence
        if sequence < opened.position and not lost:  # what is between would never come
            self.gap = True
        if before is None:
            event = ChannelOpened(channel, sequence, opened.read_through)
            yield Item(event) if lost else Item(event, channel_id, Place(sequence, self._store_id))
        elif before != opened.read_through:
            yield Item(ReadMarkMoved(channel, opened.read_through))
        if lost:
            yield from self._reset(channel_id, opened.position)

    def _reset(self, channel_id: int, position: int) -> Iterator[Item]:
        """Where the channel goes on when what was known of it is not of this history; once for each time."""
        if channel_id in self._lost and channel_id in self._read_through:
            self._lost.discard(channel_id)
            self._positions[channel_id] = Position(position)
            event = ChannelReset(self._known.channel(channel_id), position)
            yield Item(event, channel_id, Place(position, self._store_id))

    def _batch(self, batch: pb.ChannelBatch) -> Iterator[Item]:
        position = self._positions.get(batch.channel_id) if batch.channel_id in self._read_through else None
        verdict = position.take(batch.after, batch.through) if position else Verdict.GAP
        if verdict is Verdict.APPLY:
            self.applied += 1
            yield from self._messages(batch)
        elif verdict is Verdict.GAP:
            self.gap = True

    def _messages(self, batch: pb.ChannelBatch) -> Iterator[Item]:
        known, channel_id, store_id, mark = self._known, batch.channel_id, self._store_id, batch.after
        left = len(batch.messages)
        for entry in batch.messages:
            message = message_from_pb(entry)
            subject = None
            if message.content is not Content.TEXT:
                known.message_says(message)
                subject = known.user(about) if (about := subject_id(message)) else None
            left -= 1
            # A message that was edited keeps its sequence, so that only the last one is known to be the range's end.
            mark = max(mark, message.sequence) if left else batch.through
            event = MessageEvent(known.channel(channel_id), known.user(message.author_id), message, subject)
            yield Item(event, channel_id, Place(mark, store_id))
        if not batch.messages:
            yield Item(None, channel_id, Place(batch.through, store_id))

    def _unstored(self, response: pb.SubscribeResponse) -> Iterator[Item]:
        known = self._known
        for typing in response.typing:
            if typing.channel_id in self._read_through:
                channel = known.channel(typing.channel_id)
                yield Item(TypingEvent(channel, known.user(typing.user_id)))
        for mark in response.read_marks:
            if mark.channel_id in self._read_through:
                self._read_through[mark.channel_id] = mark.read_through
                yield Item(ReadMarkMoved(known.channel(mark.channel_id), mark.read_through))
        for user in response.users:
            yield Item(UserChanged(known.user_is(user_from_pb(user))))


def authors(response: pb.SubscribeResponse) -> set[int]:
    """The users that a response is about, but does not hold."""
    found = {typing.user_id for typing in response.typing}
    for batch in response.batches:
        for message in batch.messages:
            found.add(message.author_id)
            if message.text:  # nearly all of them
                continue
            if message.HasField("member_removed"):
                found.add(message.member_removed.user_id)
            elif message.HasField("role_changed"):
                found.add(message.role_changed.user_id)
    for opened in response.opened:
        found.update(opened.channel.direct_user_ids)
    return found
