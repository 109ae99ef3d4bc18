"""The Channel: the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from madang.bus.base import Bus
from madang.core import policy
from madang.core.errors import ChannelNotFound, MadangError, MessageNotFound, PositionBeyondHead
from madang.core.events import ReadMarkMoved, TypingStarted
from madang.core.models import Channel, Content, Draft, Member, Message
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.policy import Action
from madang.core.text import check_text
from madang.services.hub import Hub
from madang.services.subscription import Subscription, Wanted
from madang.storage import directory, messages
from madang.storage.database import Connection
from madang.storage.store import Store
from madang.storage.transaction import Transaction

DEFAULT_PAGE = 50
MAX_PAGE = 500
MAX_PAGE_BYTES = 1024 * 1024
"""A page ends early beyond this many characters of text: gRPC clients refuse messages of more than 4 MiB by default."""
_BEYOND_ALL = 2**63 - 1

Appended = Message | MadangError


class ChannelService:
    """Send, read, mark, type, subscribe. The rights are checked at every call."""

    def __init__(self, store: Store, bus: Bus, hub: Hub) -> None:
        self._store = store
        self._bus = bus
        self._hub = hub

    async def send(self, user_id: int, channel_id: int, text: str, request_id: bytes | None) -> Message:
        """Store a message; return when it is on disk.

        Raises TextNotAllowed, ChannelNotFound, NotAMember, ChannelArchived, RequestIdReused, StorageUnavailable.
        """
        check_text(text)
        draft = Draft(channel_id, user_id, Content.TEXT, text, request_id)
        (appended,) = await self._store.append([draft])
        if isinstance(appended, MadangError):
            raise appended
        return appended

    def is_behind(self) -> bool:
        """Whether more is stored than can be delivered now."""
        return self._hub.is_behind()

    def post(self, drafts: Sequence[Draft]) -> asyncio.Future[list[Appended]]:
        """Store messages whose texts were checked; see `Writer.append`."""
        return self._store.append(drafts)

    async def get(self, user_id: int, channel_id: int, sequence: int) -> Message:
        """One message. Raises MessageNotFound, and what `require` raises."""
        await self.require(Action.READ, user_id, channel_id)
        message = await self._store.read(messages.get, channel_id, sequence)
        if message is None:
            raise MessageNotFound(sequence=sequence, channel_id=channel_id)
        return message

    async def page(
        self, user_id: int, channel_id: int, size: int, token: str, newest_first: bool, after: int, before: int
    ) -> tuple[list[Message], str]:
        """A page of messages with after < sequence < before (0: no bound), and the token of the next.

        Raises PageTokenInvalid, and what `require` raises.
        """
        query = ("messages", user_id, channel_id, newest_first, after, before)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        before = before or _BEYOND_ALL
        cursor = decode_token(query, token, before if newest_first else after)
        await self.require(Action.READ, user_id, channel_id)
        low, high = (after, min(cursor, before)) if newest_first else (max(cursor, after), before)
        found = await self._store.read(messages.page, channel_id, low, high, newest_first, size + 1)
        shown, _ = cut(_within(found, MAX_PAGE_BYTES), size)
        return shown, encode_token(query, shown[-1].sequence) if len(shown) < len(found) else ""

    async def mark_read(self, user_id: int, channel_id: int, sequence: int) -> int:
        """Move the read mark forward; where it is now. Raises PositionBeyondHead, and what `require` raises."""
        return await self._store.write(_mark_read, user_id, channel_id, sequence)

    async def set_typing(self, user_id: int, channel_id: int) -> None:
        """Tell the others that the user is writing. Raises what `require` raises."""
        await self.require(Action.WRITE, user_id, channel_id)
        self._bus.publish(TypingStarted(channel_id, user_id))

    def subscribe(self, user_id: int, wanted: Wanted) -> Subscription:
        """Begin a live stream; see Subscription."""
        cursor = self._hub.attach(user_id, follow=not wanted.channel_ids)
        return Subscription(self._store, self._hub, cursor, wanted)

    async def require(self, action: Action, user_id: int, channel_id: int) -> Channel:
        """The channel, if the user may do this there. Raises ChannelNotFound, NotAMember, ChannelArchived."""
        channel, member = await self._store.read(_place, user_id, channel_id)
        policy.require(action, channel, user_id, member is not None)
        return channel


def _within(found: list[Message], most: int) -> list[Message]:
    """The messages from the front whose texts keep within so many characters; at least one."""
    size = 0
    for count, message in enumerate(found):
        size += len(message.text)
        if size > most and count:
            return found[:count]
    return found


def _place(connection: Connection, user_id: int, channel_id: int) -> tuple[Channel, Member | None]:
    channel = directory.get(connection, channel_id)
    if channel is None:
        raise ChannelNotFound(channel=channel_id)
    return channel, directory.member(connection, channel_id, user_id)


def _mark_read(transaction: Transaction, user_id: int, channel_id: int, sequence: int) -> int:
    channel, member = _place(transaction.connection, user_id, channel_id)
    policy.require(Action.READ, channel, user_id, member is not None)
    if sequence > channel.sequence:
        raise PositionBeyondHead(sequence=sequence, channel_id=channel_id, head=channel.sequence)
    if member is not None and sequence <= member.read_through:
        return member.read_through
    directory.set_read_through(transaction, channel_id, user_id, sequence)
    transaction.events.append(ReadMarkMoved(channel_id, user_id, sequence))
    return sequence
