"""The Channel: the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from madang.bus.base import Bus
from madang.core import policy
from madang.core.errors import MadangError, MessageNotFound, PositionBeyondHead
from madang.core.events import ReadMarkMoved, TypingStarted
from madang.core.models import Actor, Content, Draft, Message, ServerRole
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.policy import Action
from madang.core.text import check_text
from madang.services import access
from madang.services.hub import Hub
from madang.services.subscription import Subscription, Wanted
from madang.storage import memberships, messages
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

    def __init__(self, store: Store, bus: Bus, hub: Hub, clock: Callable[[], int]) -> None:
        """`clock`: microseconds since the epoch."""
        self._store = store
        self._bus = bus
        self._hub = hub
        self._clock = clock

    async def send(self, user_id: int, channel_id: int, text: str, request_id: bytes | None) -> Message:
        """Store a message; return when it is on disk.

        Raises TextNotAllowed, ChannelNotFound, NotAMember, ChannelArchived, Muted, ChannelReadOnly, GuestsNotAllowed,
        SlowMode, RequestIdReused, StorageUnavailable.
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
        """One message. Raises MessageNotFound, ChannelNotFound, NotAMember."""
        message = await self._store.read(_get, user_id, channel_id, sequence)
        if message is None:
            raise MessageNotFound(sequence=sequence, channel_id=channel_id)
        return message

    async def page(
        self, user_id: int, channel_id: int, size: int, token: str, newest_first: bool, after: int, before: int
    ) -> tuple[list[Message], str]:
        """A page of messages with after < sequence < before (0: no bound), and the token of the next.

        Raises PageTokenInvalid, ChannelNotFound, NotAMember.
        """
        query = ("messages", user_id, channel_id, newest_first, after, before)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        before = before or _BEYOND_ALL
        cursor = decode_token(query, token, before if newest_first else after)
        low, high = (after, min(cursor, before)) if newest_first else (max(cursor, after), before)
        found = await self._store.read(_page, user_id, channel_id, low, high, newest_first, size + 1)
        shown, _ = cut(_within(found, MAX_PAGE_BYTES), size)
        return shown, encode_token(query, shown[-1].sequence) if len(shown) < len(found) else ""

    async def mark_read(self, user_id: int, channel_id: int, sequence: int) -> int:
        """Move the read mark forward; where it is now. Raises PositionBeyondHead, ChannelNotFound, NotAMember."""
        return await self._store.write(_mark_read, user_id, channel_id, sequence)

    async def set_typing(self, user_id: int, channel_id: int) -> None:
        """Tell the others that the user is writing. Raises what `send` raises, but for slow mode: thinking is free."""
        await self._store.read(_require_voice, user_id, channel_id, self._clock())
        self._bus.publish(TypingStarted(channel_id, user_id))

    def subscribe(self, user_id: int, wanted: Wanted) -> Subscription:
        """Begin a live stream; see Subscription."""
        cursor = self._hub.attach(user_id, follow=not wanted.channel_ids)
        return Subscription(self._store, self._hub, cursor, wanted)


def _within(found: list[Message], most: int) -> list[Message]:
    """The messages from the front whose texts keep within so many characters; at least one."""
    size = 0
    for count, message in enumerate(found):
        size += len(message.text)
        if size > most and count:
            return found[:count]
    return found


# What is read is read before the right to it is checked: whoever lost that meanwhile gets nothing of what came later.
def _get(connection: Connection, user_id: int, channel_id: int, sequence: int) -> Message | None:
    message = messages.get(connection, channel_id, sequence)
    access.require_read(connection, user_id, channel_id)
    return message


def _page(
    connection: Connection, user_id: int, channel_id: int, after: int, before: int, newest_first: bool, size: int
) -> list[Message]:
    found = messages.page(connection, channel_id, after, before, newest_first, size)
    access.require_read(connection, user_id, channel_id)
    return found


def _require_voice(connection: Connection, user_id: int, channel_id: int, now: int) -> None:
    author = Actor(user_id, 0, ServerRole.GUEST)
    place = access.require(connection, author, channel_id, Action.WRITE)
    muted_until = None if place.member is None else place.member.muted_until
    policy.require_voice(place.channel, place.standing, place.server_role, muted_until, now)


def _mark_read(transaction: Transaction, user_id: int, channel_id: int, sequence: int) -> int:
    channel, member = access.require_read(transaction.connection, user_id, channel_id)
    if sequence > channel.sequence:
        raise PositionBeyondHead(sequence=sequence, channel_id=channel_id, head=channel.sequence)
    if member is not None and sequence <= member.read_through:
        return member.read_through
    memberships.set_read_through(transaction, channel_id, user_id, sequence)
    transaction.events.append(ReadMarkMoved(channel_id, user_id, sequence))
    return sequence
