"""One live stream: opens its channels, then turns what its cursor takes into encoded responses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from madang.core import policy
from madang.core.errors import ChannelNotFound, MadangError
from madang.core.models import Channel, Member
from madang.core.policy import Action
from madang.services.cursor import MAX_OPENED, Cursor, Notices
from madang.services.hub import Hub
from madang.storage import directory, memberships
from madang.storage.database import Connection
from madang.storage.store import Store
from madang.v1 import channel_service_pb2 as pb
from madang.wire.channels import channel_to_pb
from madang.wire.people import user_to_pb


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subscriber asks for. `positions`: channel_id to sequence; `channel_ids`: empty for all of the user's;
    `store_id`: the history that the positions are of, empty when it does not matter.
    """

    positions: dict[int, int] = field(default_factory=dict)
    channel_ids: frozenset[int] = frozenset()
    store_id: str = ""


class Beginning(NamedTuple):
    """A channel that a stream begins with. `reset`: the caller's position was not of this history."""

    channel: Channel
    member: Member
    position: int
    reset: bool


class Subscription:
    """An open stream: ask for the `next` response again and again; `close` always."""

    def __init__(self, store: Store, hub: Hub, cursor: Cursor, wanted: Wanted) -> None:
        self._store = store
        self._hub = hub
        self._cursor = cursor
        self._wanted = wanted
        self._begun = False
        self._beginning: list[Beginning] = []  # the next one last

    def end(self, error: MadangError) -> None:
        """End the stream: `next` raises the error."""
        self._cursor.end(error)

    def close(self) -> None:
        """Let go of everything."""
        self._hub.detach(self._cursor)

    async def next(self) -> bytes:
        """The next SubscribeResponse, encoded: the first ones name the channels, the others come as there is news.

        Raises what the stream is ended with; at its beginning also ChannelNotFound, NotAMember.
        """
        if not self._begun:
            self._begun = True
            await self._begin()
            return self._name_channels()
        if self._beginning:
            return self._name_channels()
        news = await self._cursor.next()
        if not news.notices:
            return news.batches[0] if len(news.batches) == 1 else b"".join(news.batches)
        return b"".join((await self._encode(news.notices), *news.batches))

    async def _begin(self) -> None:
        """Open every channel. Whatever is left or stored between the first look and the last is not missed: the cursor
        was attached before the first, and new rings learn their heads after they were made.
        """
        cursor, wanted = self._cursor, self._wanted
        found = await self._store.read(_channels, cursor.user_id, wanted.channel_ids)
        for channel, member in found:
            if cursor.has_left(channel.channel_id):
                if wanted.channel_ids:
                    raise policy.absent(channel)
                continue
            beginning = self._begin_at(channel, member)
            self._beginning.append(beginning)
            cursor.watch(channel.channel_id, beginning.position)
        self._beginning.reverse()
        # What is known already, at once: whoever made a ring may go before it has told the ring where the head is.
        self._hub.advance({channel.channel_id: channel.sequence for channel, _ in found})
        await self._hub.check_fresh(cursor.positions)
        cursor.begun = True

    def _begin_at(self, channel: Channel, member: Member) -> Beginning:
        """Where the stream begins in a channel: where the caller stands, unless that is not in this history."""
        position = self._wanted.positions.get(channel.channel_id)
        if position is None:
            return Beginning(channel, member, channel.sequence, reset=False)
        same_history = self._wanted.store_id in ("", self._store.store_id)
        if same_history and position <= channel.sequence:
            return Beginning(channel, member, position, reset=False)
        return Beginning(channel, member, channel.sequence, reset=True)

    def _name_channels(self) -> bytes:
        """The next of the responses that a stream begins with."""
        response = pb.SubscribeResponse()
        for _ in range(min(len(self._beginning), MAX_OPENED)):
            channel, member, position, reset = self._beginning.pop()
            _add_opened(response, channel, member, position)
            if reset:
                response.resets.add(channel_id=channel.channel_id, position=position)
        response.begun = not self._beginning
        if response.begun:
            response.nodes.extend(self._hub.nodes)
        return response.SerializeToString()

    async def _encode(self, notices: Notices) -> bytes:
        response = pb.SubscribeResponse()
        for channel_id, position in notices.opened.items():
            channel, member = await self._store.read(directory.place, channel_id, self._cursor.user_id)
            if channel is not None and member is not None:
                _add_opened(response, channel, member, position)
        for channel_id in notices.closed:
            response.closed.add(channel_id=channel_id)
        for channel_id, user_id in notices.typing:
            response.typing.add(channel_id=channel_id, user_id=user_id)
        for channel_id, read_through in notices.read_marks.items():
            response.read_marks.add(channel_id=channel_id, read_through=read_through)
        response.users.extend(user_to_pb(user) for user in notices.users.values())
        response.nodes.extend(notices.nodes)
        return response.SerializeToString()


def _add_opened(response: pb.SubscribeResponse, channel: Channel, member: Member, position: int) -> None:
    response.opened.add(channel=channel_to_pb(channel), position=position, read_through=member.read_through)


def _channels(connection: Connection, user_id: int, channel_ids: Iterable[int]) -> list[tuple[Channel, Member]]:
    """The user's channels, or those of the asked-for ones. Raises ChannelNotFound, NotAMember."""
    members = memberships.of_user(connection, user_id)
    wanted = sorted(channel_ids) or sorted(members)
    channels = directory.get_many(connection, wanted)
    for channel_id in wanted:
        if channel_id not in channels:
            raise ChannelNotFound(channel=channel_id)
        member = members.get(channel_id)
        policy.require(Action.READ, channels[channel_id], None if member is None else member.role)
    return [(channels[channel_id], members[channel_id]) for channel_id in wanted]
