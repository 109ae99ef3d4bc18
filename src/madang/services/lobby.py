"""The Lobby: channels and people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from madang.core import policy
from madang.core.errors import UserNotFound
from madang.core.limits import Limits
from madang.core.models import Actor, Channel, ChannelKind, Member, ServerRole, User
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.policy import Action
from madang.core.text import check_channel_name, check_topic
from madang.services import access, direct, making, membership
from madang.services.making import ChannelUpdate
from madang.storage import accounts, directory, memberships, server_bans
from madang.storage.database import Connection
from madang.storage.store import Store

DEFAULT_PAGE = 100
MAX_PAGE = 1000

Entry = tuple[Channel, Member | None]
MemberEntry = tuple[Member, User]


class LobbyService:
    """Create, find, join and leave channels; find people.

    A private or direct channel that the actor is not in is ChannelNotFound in every method; administrators see private
    ones. Methods of a channel raise what policy says, see `madang.core.policy`.
    """

    def __init__(self, store: Store, clock: Callable[[], int], limits: Limits | None = None) -> None:
        """`clock`: microseconds since the epoch."""
        self._store = store
        self._limits = limits
        self._clock = clock

    async def create(
        self,
        actor: Actor,
        name: str,
        topic: str,
        request_id: bytes | None,
        kind: ChannelKind = ChannelKind.PUBLIC,
    ) -> Channel:
        """Make a public or private channel with the actor in it, who owns it.

        Raises NameNotAllowed, TextNotAllowed, ChannelNameTaken. Names are unique, so whoever asks for the name of a
        private channel learns that it is taken, and nothing else.
        """
        check_topic(topic)
        name = check_channel_name(name)
        return await self._store.write(making.create, self._limits, actor, name, topic, request_id, kind)

    async def open_direct(self, actor: Actor, user_ids: Collection[int]) -> tuple[Channel, Member]:
        """The direct channel of the actor and these others; made where there is none. Raises InvalidField,
        UserNotFound.
        """
        return await self._store.write(direct.open_channel, self._limits, actor, user_ids)

    async def get(self, actor: Actor, channel_id: int) -> Entry:
        """A channel and the actor's place in it. Raises ChannelNotFound."""
        return self._entry(*(await self._store.read(access.require, actor, channel_id, Action.SEE))[:2])

    async def get_by_name(self, actor: Actor, name: str) -> Entry:
        """The same by the channel's name."""
        return self._entry(*(await self._store.read(access.by_name, actor, name))[:2])

    async def channels(
        self, actor: Actor, size: int, token: str, joined_only: bool, include_archived: bool
    ) -> tuple[list[Entry], str]:
        """A page of the channels that the actor can see, and the token of the next. Raises PageTokenInvalid."""
        query = ("channels", actor.user_id, joined_only, include_archived)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        after = decode_token(query, token, 0)
        found = await self._store.read(_channels, actor, after, size + 1, joined_only, include_archived)
        shown, more = cut(found, size)
        return [self._entry(*entry) for entry in shown], encode_token(query, shown[-1][0].channel_id) if more else ""

    async def update(self, actor: Actor, channel_id: int, wanted: ChannelUpdate) -> Channel:
        """Rename a channel, set its topic or how it works. Raises what `create` raises."""
        if wanted.topic is not None:
            check_topic(wanted.topic)
        if wanted.name is not None:
            wanted = wanted.named(check_channel_name(wanted.name))
        return await self._store.write(making.update, actor, channel_id, wanted)

    async def set_archived(self, actor: Actor, channel_id: int, archived: bool) -> Channel:
        """Archive a channel, or bring it back. Repeating it changes nothing."""
        return await self._store.write(making.set_archived, actor, channel_id, archived)

    async def retire(self, channel_id: int) -> None:
        """Archive a channel that a classic user made, when nobody is in it. Any other channel stays as it is."""
        if await self._store.read(making.abandoned, channel_id) is not None:  # nearly never; a write costs others time
            await self._store.write(making.retire, channel_id)

    async def join(self, actor: Actor, channel_id: int) -> tuple[Channel, Member]:
        """Join a channel. Repeating it changes nothing. Raises BannedFromChannel, GuestsNotAllowed."""
        channel, member = await self._store.write(membership.join, self._limits, actor, channel_id)
        return channel, access.as_of(member, self._clock())

    async def leave(self, actor: Actor, channel_id: int) -> None:
        """Leave a channel. Repeating it changes nothing. Raises LastOwner."""
        await self._store.write(membership.leave, actor, channel_id)

    async def take_out(self, user_id: int, channel_id: int) -> None:
        """Take a user whose time is over out of a channel; one that needs an owner gets another one. Repeating it
        changes nothing.
        """
        await self._store.write(membership.depart, user_id, channel_id)

    async def add(self, actor: Actor, channel_id: int, user_id: int) -> Member:
        """Bring a user into a channel. Repeating it changes nothing.

        Raises UserNotFound, GuestsNotAllowed, NotPermitted for one who is banned.
        """
        member = await self._store.write(membership.add, self._limits, actor, channel_id, user_id)
        return access.as_of(member, self._clock())

    async def members(self, actor: Actor, channel_id: int, size: int, token: str) -> tuple[list[MemberEntry], str]:
        """A page of a channel's members, and the token of the next. Raises ChannelNotFound, PageTokenInvalid."""
        query = ("members", actor.user_id, channel_id)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        after = decode_token(query, token, 0)
        found = await self._store.read(_members, actor, channel_id, after, size + 1)
        shown, more = cut(found, size)
        now = self._clock()
        entries = [(access.as_of(member, now), user) for member, user in shown]
        return entries, encode_token(query, shown[-1][1].user_id) if more else ""

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

    async def as_seen_by(self, actor: Actor, users: Sequence[User]) -> Sequence[User]:
        """The users as the actor may see them: administrators see who is shut out."""
        if actor.role < ServerRole.ADMIN or not users:
            return users
        return await self._store.read(server_bans.marked, users, self._clock())

    def _entry(self, channel: Channel, member: Member | None) -> Entry:
        return channel, None if member is None else access.as_of(member, self._clock())


def _found(user: User | None, asked: int | str) -> User:
    if user is None:
        raise UserNotFound(user=asked)
    return user


def _channels(
    connection: Connection, actor: Actor, after: int, size: int, joined_only: bool, include_archived: bool
) -> list[Entry]:
    private_too = policy.is_admin(access.server_role(connection, actor))
    return directory.page(connection, actor.user_id, after, size, joined_only, include_archived, private_too)


def _members(connection: Connection, actor: Actor, channel_id: int, after: int, size: int) -> list[MemberEntry]:
    """The members are read first: whoever lost its place meanwhile learns nothing of what came later."""
    found = memberships.page(connection, channel_id, after, size)
    access.require(connection, actor, channel_id, Action.SEE)
    return found
