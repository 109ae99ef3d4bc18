"""Moderation: who is kept out of a channel, who is kept from writing, and who decides that."""

from __future__ import annotations

from collections.abc import Callable

from madang.core import policy
from madang.core.errors import InvalidField, UserNotFound
from madang.core.models import LOBBY_ID, Actor, Ban, ChannelRole, Content, Member, ServerRole, User
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.policy import Action
from madang.core.text import MAX_REASON, check_line
from madang.services import access, membership
from madang.services.access import Place
from madang.storage import audit, bans, memberships
from madang.storage.database import Connection
from madang.storage.store import Store
from madang.storage.transaction import Transaction

DEFAULT_PAGE = 100
MAX_PAGE = 1000
_SECOND = 1_000_000

BanEntry = tuple[Ban, User]


class ModerationService:
    """Remove, ban, mute, give roles. Nobody acts on somebody of an equal or higher standing, but for owners.

    Every method raises what policy says, see `madang.core.policy`.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        """`clock`: microseconds since the epoch."""
        self._store = store
        self._clock = clock

    async def remove(self, actor: Actor, channel_id: int, user_id: int, reason: str) -> None:
        """Remove a member, who may come back. Repeating it changes nothing. Raises TextNotAllowed, LastOwner."""
        await self._store.write(_remove, actor, channel_id, user_id, check_line(reason, MAX_REASON))

    async def ban(self, actor: Actor, channel_id: int, user_id: int, reason: str, expires_at: int | None) -> None:
        """Keep a user out, a member or not, until `expires_at` (microseconds) or for good. A later ban replaces it.

        Raises TextNotAllowed, InvalidField for a time that has passed, UserNotFound, LastOwner.
        """
        await self._store.write(_ban, actor, channel_id, user_id, check_line(reason, MAX_REASON), expires_at)

    async def unban(self, actor: Actor, channel_id: int, user_id: int) -> None:
        """Let a user in again. Repeating it does no harm."""
        await self._store.write(_unban, actor, channel_id, user_id)

    async def bans(self, actor: Actor, channel_id: int, size: int, token: str) -> tuple[list[BanEntry], str]:
        """A page of the bans that are in force, and the token of the next. Raises PageTokenInvalid."""
        query = ("bans", actor.user_id, channel_id)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        after = decode_token(query, token, 0)
        found = await self._store.read(_bans, actor, channel_id, self._clock(), after, size + 1)
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1][0].user_id) if more else ""

    async def mute(self, actor: Actor, channel_id: int, user_id: int, seconds: int) -> Member:
        """Keep a member from writing for so many seconds, 0 to let it write again. Leaving does not end it.

        Raises UserNotFound for one who is not in the channel.
        """
        return await self._store.write(_mute, actor, channel_id, user_id, seconds)

    async def set_role(self, actor: Actor, channel_id: int, user_id: int, role: ChannelRole) -> Member:
        """Give a member a role. Repeating it changes nothing.

        Raises UserNotFound for one who is not in the channel; LastOwner.
        """
        return await self._store.write(_set_role, actor, channel_id, user_id, role)


def _remove(transaction: Transaction, actor: Actor, channel_id: int, user_id: int, reason: str) -> None:
    place = access.require(transaction.connection, actor, channel_id, Action.REMOVE_MEMBER)
    member = memberships.get(transaction.connection, channel_id, user_id)
    if member is None:
        return
    _require_over(transaction.connection, place, user_id, member)
    membership.require_successor(transaction.connection, place.channel, member)
    audit.record(transaction, actor, "channel.member.remove", user_id=user_id, channel_id=channel_id, reason=reason)
    content, text = Content.MEMBER_REMOVED, f"{user_id} {reason}"
    membership.end(transaction, place.channel, user_id, actor.user_id, content, text)


def _ban(
    transaction: Transaction, actor: Actor, channel_id: int, user_id: int, reason: str, expires_at: int | None
) -> None:
    place = access.require(transaction.connection, actor, channel_id, Action.BAN)
    if expires_at is not None and expires_at <= transaction.now:
        raise InvalidField(field="expire_time", rule="has passed")
    membership.require_user(transaction.connection, user_id)
    member = memberships.get(transaction.connection, channel_id, user_id)
    _require_over(transaction.connection, place, user_id, member)
    membership.require_successor(transaction.connection, place.channel, member)
    bans.put(transaction, Ban(channel_id, user_id, actor.user_id, reason, transaction.now, expires_at))
    audit.record(
        transaction,
        actor,
        "channel.member.ban",
        user_id=user_id,
        channel_id=channel_id,
        reason=reason,
        until=policy.seconds(expires_at),
    )
    if member is None:
        memberships.remove(transaction, channel_id, user_id)  # the role that it would have had again
    else:
        content, text = Content.MEMBER_BANNED, f"{user_id} {reason}"
        membership.end(transaction, place.channel, user_id, actor.user_id, content, text)


def _unban(transaction: Transaction, actor: Actor, channel_id: int, user_id: int) -> None:
    access.require(transaction.connection, actor, channel_id, Action.UNBAN)
    if bans.lift(transaction, channel_id, user_id):
        audit.record(transaction, actor, "channel.member.unban", user_id=user_id, channel_id=channel_id)


def _bans(connection: Connection, actor: Actor, channel_id: int, now: int, after: int, size: int) -> list[BanEntry]:
    access.require(connection, actor, channel_id, Action.LIST_BANS)
    return bans.page(connection, channel_id, now, after, size)


def _mute(transaction: Transaction, actor: Actor, channel_id: int, user_id: int, seconds: int) -> Member:
    transaction.lock_channels([channel_id])  # another node may be about to store what was written before
    place = access.require(transaction.connection, actor, channel_id, Action.MUTE)
    member = _require_member(transaction.connection, channel_id, user_id)
    _require_over(transaction.connection, place, user_id, member)
    until = transaction.now + seconds * _SECOND if seconds else None
    audit.record(transaction, actor, "channel.member.mute", user_id=user_id, channel_id=channel_id, seconds=seconds)
    return memberships.change(transaction, channel_id, user_id, muted_until=until)


def _set_role(transaction: Transaction, actor: Actor, channel_id: int, user_id: int, role: ChannelRole) -> Member:
    place = access.require(transaction.connection, actor, channel_id, Action.SET_ROLE)
    member = _require_member(transaction.connection, channel_id, user_id)
    if member.role is role:
        return access.as_of(member, transaction.now)
    membership.require_successor(transaction.connection, place.channel, member)
    audit.record(
        transaction, actor, "channel.member.role", user_id=user_id, channel_id=channel_id, role=role.name.lower()
    )
    given = membership.give_role(transaction, place.channel, user_id, actor.user_id, role)
    return access.as_of(given, transaction.now)


def _require_member(connection: Connection, channel_id: int, user_id: int) -> Member:
    """The membership of a user. In the lobby, where all are members, it has to be somebody at least."""
    member = memberships.get(connection, channel_id, user_id)
    if member is None or (channel_id == LOBBY_ID and user_id not in memberships.server_roles(connection, [user_id])):
        raise UserNotFound(user=user_id)
    return member


def _require_over(connection: Connection, place: Place, user_id: int, member: Member | None) -> None:
    """Raise NotPermitted where one who stands here may not act on this user, a member or not."""
    server_role = memberships.server_roles(connection, [user_id]).get(user_id, ServerRole.GUEST)
    theirs = policy.standing(place.channel, None if member is None else member.role, server_role)
    policy.require_over(place.standing, theirs)
