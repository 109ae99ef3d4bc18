"""How people come into channels, and out of them. Runs inside the writer's transactions."""

from __future__ import annotations

from madang.core import policy
from madang.core.errors import BannedFromChannel, LastOwner, NotAMember, NotPermitted, UserNotFound
from madang.core.events import MembershipChanged
from madang.core.limits import Limits
from madang.core.models import LOBBY_ID, Actor, Channel, ChannelRole, Content, Member, ServerRole
from madang.core.policy import Action
from madang.services import access, bounds, posting
from madang.storage import audit, bans, directory, memberships
from madang.storage.database import Connection
from madang.storage.transaction import Transaction


def enter(transaction: Transaction, channel: Channel, user_id: int, role: ChannelRole | None = None) -> Member:
    """Make the user a member; the channel is told, and the user's open streams begin with it."""
    transaction.lock_channels([channel.channel_id])
    member = memberships.add(transaction, channel.channel_id, user_id, role)
    message = posting.record(transaction, channel, user_id, Content.MEMBER_JOINED)
    transaction.events.append(MembershipChanged(channel.channel_id, user_id, True, message.sequence))
    return member


def end(
    transaction: Transaction,
    channel: Channel,
    user_id: int,
    author_id: int,
    content: Content,
    text: str = "",
    keep_role: bool = False,
) -> None:
    """Make a member a stranger; the channel is told, and the user's open streams show no more of it."""
    transaction.lock_channels([channel.channel_id])
    memberships.remove(transaction, channel.channel_id, user_id, keep_role)
    message = posting.record(transaction, channel, author_id, content, text)
    # Told before the entry itself: a node that has heard of the entry knows that its user is out, see Hub._let_go.
    transaction.events.insert(-1, MembershipChanged(channel.channel_id, user_id, False, message.sequence))


def join(transaction: Transaction, limits: Limits | None, actor: Actor, channel_id: int) -> tuple[Channel, Member]:
    """Join a channel; one who is in it stays.

    Raises BannedFromChannel, GuestsNotAllowed, LimitReached, and what policy says.
    """
    place = access.place(transaction.connection, actor, channel_id)
    if place.member is not None:
        return place.channel, place.member
    place.require(Action.JOIN)
    ban = bans.in_force(transaction.connection, channel_id, actor.user_id, transaction.now)
    if ban is not None:
        raise BannedFromChannel(channel_id=channel_id, until=policy.seconds(ban.expires_at), cause=ban.reason)
    policy.require_entry(place.channel, place.server_role)
    bounds.require_place(transaction, limits, channel_id, actor.user_id)
    member = enter(transaction, place.channel, actor.user_id)
    return directory.get(transaction.connection, channel_id) or place.channel, member


def add(transaction: Transaction, limits: Limits | None, actor: Actor, channel_id: int, user_id: int) -> Member:
    """Bring somebody else in; one who is in it stays. Who is banned stays out until the ban is lifted.

    Raises UserNotFound, NotPermitted, GuestsNotAllowed, LimitReached, and what policy says.
    """
    place = access.require(transaction.connection, actor, channel_id, Action.ADD_MEMBER)
    role = require_user(transaction.connection, user_id)
    member = memberships.get(transaction.connection, channel_id, user_id)
    if member is not None:
        return member
    if bans.in_force(transaction.connection, channel_id, user_id, transaction.now) is not None:
        raise NotPermitted(allowed="users who are not banned", action="be brought in")
    policy.require_entry(place.channel, role)
    bounds.require_place(transaction, limits, channel_id, user_id)
    audit.record(transaction, actor, "channel.member.add", user_id=user_id, channel_id=channel_id)
    return enter(transaction, place.channel, user_id)


def leave(transaction: Transaction, actor: Actor, channel_id: int) -> None:
    """Leave a channel; one who is not in it stays out. Raises LastOwner, and what policy says."""
    try:
        place = access.require(transaction.connection, actor, channel_id, Action.LEAVE)
    except NotAMember:
        return
    require_successor(transaction.connection, place.channel, place.member)
    _go(transaction, place.channel, actor.user_id)


def depart(transaction: Transaction, user_id: int, channel_id: int) -> None:
    """Take a user out of a channel in its own name, whatever kind of channel it is: its account has come to an end.

    Where it was the last owner, whoever comes next becomes one. One who is not in the channel stays out.
    """
    channel, member = directory.place(transaction.connection, channel_id, user_id)
    if channel is None or member is None or channel_id == LOBBY_ID:
        return
    try:
        require_successor(transaction.connection, channel, member)
    except LastOwner:
        heir = memberships.heir(transaction.connection, channel_id, user_id)
        if heir is not None:
            give_role(transaction, channel, heir, user_id, ChannelRole.OWNER)
    _go(transaction, channel, user_id)


def give_role(transaction: Transaction, channel: Channel, user_id: int, author_id: int, role: ChannelRole) -> Member:
    """Give a member a role; the channel is told."""
    transaction.lock_channels([channel.channel_id])
    member = memberships.change(transaction, channel.channel_id, user_id, role=role.value)
    posting.record(transaction, channel, author_id, Content.ROLE_CHANGED, f"{user_id} {role.value}")
    return member


def require_successor(connection: Connection, channel: Channel, member: Member | None) -> None:
    """Raise LastOwner where the member is the only owner of a channel with others in it. The lobby needs none."""
    if member is None or member.role is not ChannelRole.OWNER or channel.channel_id == LOBBY_ID:
        return
    others = memberships.others_in(connection, channel.channel_id, member.user_id, ChannelRole.MEMBER)
    if others and not memberships.others_in(connection, channel.channel_id, member.user_id, ChannelRole.OWNER):
        raise LastOwner(of=f"channel {channel.channel_id}")


def require_user(connection: Connection, user_id: int) -> ServerRole:
    """What a user may do on this server. Raises UserNotFound where there is none, or its account was deleted."""
    role = memberships.server_roles(connection, [user_id]).get(user_id)
    if role is None:
        raise UserNotFound(user=user_id)
    return role


def _go(transaction: Transaction, channel: Channel, user_id: int) -> None:
    """The user leaves. Who leaves nobody behind has its role again when it comes back, for want of another owner."""
    alone = not memberships.others_in(transaction.connection, channel.channel_id, user_id, ChannelRole.MEMBER)
    end(transaction, channel, user_id, user_id, Content.MEMBER_LEFT, keep_role=alone)
