"""The Lobby: channels and people."""

from __future__ import annotations

from collections.abc import Sequence

from madang.core import policy
from madang.core.errors import (
    ChannelNameTaken,
    ChannelNotFound,
    LobbyIsFixed,
    NotAMember,
    UserNotFound,
)
from madang.core.events import MembershipChanged
from madang.core.limits import Limits
from madang.core.models import LOBBY_ID, Channel, Content, Member, User
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.policy import Action
from madang.core.text import check_channel_name, check_topic, fold
from madang.services import bounds, posting
from madang.storage import accounts, directory
from madang.storage.errors import NotUnique
from madang.storage.store import Store
from madang.storage.transaction import Transaction

DEFAULT_PAGE = 100
MAX_PAGE = 1000

Entry = tuple[Channel, Member | None]


class LobbyService:
    """Create, find, join and leave channels; find people."""

    def __init__(self, store: Store, limits: Limits | None = None) -> None:
        self._store = store
        self._limits = limits

    async def create(self, user_id: int, name: str, topic: str, request_id: bytes | None) -> Channel:
        """Make a channel with the user in it.

        Raises NameNotAllowed, TextNotAllowed, ChannelNameTaken.
        """
        check_topic(topic)
        return await self._store.write(_create, self._limits, user_id, check_channel_name(name), topic, request_id)

    async def get(self, user_id: int, channel_id: int) -> Entry:
        """A channel and the user's place in it. Raises ChannelNotFound."""
        channel = await self._store.read(directory.get, channel_id)
        return await self._entry(user_id, channel, channel_id)

    async def get_by_name(self, user_id: int, name: str) -> Entry:
        """The same by the channel's name."""
        channel = await self._store.read(directory.get_by_name, name)
        return await self._entry(user_id, channel, name)

    async def channels(
        self, user_id: int, size: int, token: str, joined_only: bool, include_archived: bool
    ) -> tuple[list[Entry], str]:
        """A page of channels, and the token of the next. Raises PageTokenInvalid."""
        query = ("channels", user_id, joined_only, include_archived)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        after = decode_token(query, token, 0)
        found = await self._store.read(directory.page, user_id, after, size + 1, joined_only, include_archived)
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1][0].channel_id) if more else ""

    async def update(self, user_id: int, channel_id: int, name: str | None, topic: str | None) -> Channel:
        """Rename a channel, set its topic. Raises what `create` raises, and what policy says."""
        if topic is not None:
            check_topic(topic)
        if name is not None:
            name = check_channel_name(name)
        return await self._store.write(_update, user_id, channel_id, name, topic)

    async def set_archived(self, user_id: int, channel_id: int, archived: bool) -> Channel:
        """Archive a channel, or bring it back. Repeating it changes nothing."""
        return await self._store.write(_set_archived, user_id, channel_id, archived)

    async def join(self, user_id: int, channel_id: int) -> tuple[Channel, Member]:
        """Join a channel. Repeating it changes nothing."""
        return await self._store.write(_join, self._limits, user_id, channel_id)

    async def leave(self, user_id: int, channel_id: int) -> None:
        """Leave a channel. Repeating it changes nothing."""
        await self._store.write(_leave, user_id, channel_id)

    async def members(
        self, user_id: int, channel_id: int, size: int, token: str
    ) -> tuple[list[tuple[Member, User]], str]:
        """A page of a channel's members, and the token of the next. Raises ChannelNotFound, PageTokenInvalid."""
        query = ("members", user_id, channel_id)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        after = decode_token(query, token, 0)
        await self.get(user_id, channel_id)
        found = await self._store.read(directory.members_page, channel_id, after, size + 1)
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1][1].user_id) if more else ""

    async def user(self, user_id: int) -> User:
        """A user by its id. Raises UserNotFound."""
        return _found(await self._store.read(accounts.user, user_id), user_id)

    async def user_by_handle(self, handle: str) -> User:
        """A user by its handle. Raises UserNotFound."""
        return _found(await self._store.read(accounts.user_by_handle, handle), handle)

    async def users_by_id(self, user_ids: Sequence[int]) -> list[User]:
        """Those of the users that there are."""
        return await self._store.read(accounts.users_by_id, set(user_ids))

    async def users(self, user_id: int, size: int, token: str) -> tuple[list[User], str]:
        """A page of all users, and the token of the next. Raises PageTokenInvalid."""
        query = ("users", user_id)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        found = await self._store.read(accounts.users_page, decode_token(query, token, 0), size + 1)
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1].user_id) if more else ""

    async def _entry(self, user_id: int, channel: Channel | None, asked: int | str) -> Entry:
        if channel is None:
            raise ChannelNotFound(channel=asked)
        return channel, await self._store.read(directory.member, channel.channel_id, user_id)


def _found(user: User | None, asked: int | str) -> User:
    if user is None:
        raise UserNotFound(user=asked)
    return user


def _place(transaction: Transaction, user_id: int, channel_id: int, action: Action) -> Entry:
    """The channel and the user's place in it, if the user may do this there."""
    channel = directory.get(transaction.connection, channel_id)
    if channel is None:
        raise ChannelNotFound(channel=channel_id)
    member = directory.member(transaction.connection, channel_id, user_id)
    policy.require(action, channel, user_id, member is not None)
    return channel, member


def _create(
    transaction: Transaction, limits: Limits | None, user_id: int, name: str, topic: str, request_id: bytes | None
) -> Channel:
    if request_id is not None:
        earlier = directory.get_by_request(transaction.connection, user_id, request_id)
        if earlier is not None:
            return earlier  # whatever it is called by now
    bounds.require_own(transaction, limits, user_id)
    try:
        channel = directory.create(transaction, name, topic, user_id, request_id)
    except NotUnique:
        raise ChannelNameTaken(name=name) from None
    bounds.require_place(transaction, limits, channel.channel_id, user_id)
    return _enter(transaction, channel, user_id)[0]


def _enter(transaction: Transaction, channel: Channel, user_id: int) -> tuple[Channel, Member]:
    member = directory.add_member(transaction, channel.channel_id, user_id)
    message = posting.record(transaction, channel, user_id, Content.MEMBER_JOINED)
    transaction.events.append(MembershipChanged(channel.channel_id, user_id, True, message.sequence))
    entered = directory.get(transaction.connection, channel.channel_id)
    return entered or channel, member


def _join(transaction: Transaction, limits: Limits | None, user_id: int, channel_id: int) -> tuple[Channel, Member]:
    found, member = directory.place(transaction.connection, channel_id, user_id)
    if found is not None and member is not None:
        return found, member
    channel, _ = _place(transaction, user_id, channel_id, Action.JOIN)
    bounds.require_place(transaction, limits, channel_id, user_id)
    return _enter(transaction, channel, user_id)


def _leave(transaction: Transaction, user_id: int, channel_id: int) -> None:
    if channel_id == LOBBY_ID:
        raise LobbyIsFixed
    try:
        channel, _ = _place(transaction, user_id, channel_id, Action.READ)
    except NotAMember:
        return
    directory.remove_member(transaction, channel_id, user_id)
    message = posting.record(transaction, channel, user_id, Content.MEMBER_LEFT)
    transaction.events.append(MembershipChanged(channel_id, user_id, False, message.sequence))


def _update(transaction: Transaction, user_id: int, channel_id: int, name: str | None, topic: str | None) -> Channel:
    channel, _ = _place(transaction, user_id, channel_id, Action.READ)
    if name is not None and name != channel.name:
        _place(transaction, user_id, channel_id, Action.RENAME)
        try:
            directory.update(transaction, channel_id, name=name, name_key=fold(name))
        except NotUnique:
            raise ChannelNameTaken(name=name) from None
        posting.record(transaction, channel, user_id, Content.RENAMED, name)
    if topic is not None and topic != channel.topic:
        _place(transaction, user_id, channel_id, Action.SET_TOPIC)
        directory.update(transaction, channel_id, topic=topic)
        posting.record(transaction, channel, user_id, Content.TOPIC_CHANGED, topic)
    return directory.get(transaction.connection, channel_id) or channel


def _set_archived(transaction: Transaction, user_id: int, channel_id: int, archived: bool) -> Channel:
    channel, _ = _place(transaction, user_id, channel_id, Action.ARCHIVE)
    if (channel.archived_at is not None) == archived:
        return channel
    directory.update(transaction, channel_id, archived_at=transaction.now if archived else None)
    posting.record(transaction, channel, user_id, Content.ARCHIVED if archived else Content.UNARCHIVED)
    return directory.get(transaction.connection, channel_id) or channel
