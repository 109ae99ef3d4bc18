"""Where somebody stands in a channel, as the store knows it in this very transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from madang.core import policy
from madang.core.errors import ChannelNotFound
from madang.core.models import Actor, Channel, ChannelRole, Member, ServerRole
from madang.core.policy import Action, Standing
from madang.storage import directory, memberships
from madang.storage.database import Connection


class Place(NamedTuple):
    """A channel, and what somebody is in it and on this server. `member`: None for one who is not in it."""

    channel: Channel
    member: Member | None
    server_role: ServerRole

    @property
    def role(self) -> ChannelRole | None:
        """The role in the channel; None for one who is not in it."""
        return None if self.member is None else self.member.role

    @property
    def standing(self) -> Standing:
        """What follows from it all."""
        return policy.standing(self.channel, self.role, self.server_role)

    def require(self, action: Action, asked: int | str | None = None) -> None:
        """Raise what policy says, unless one who stands here may do this."""
        policy.require(action, self.channel, self.role, self.server_role, asked)


def server_role(connection: Connection, actor: Actor) -> ServerRole:
    """What the actor may do on this server: as the store says it now, not as it was when its session was read.

    Only one without an account, the server itself, brings its role along.
    """
    return memberships.server_roles(connection, [actor.user_id]).get(actor.user_id, actor.role)


def place(connection: Connection, actor: Actor, channel_id: int) -> Place:
    """The actor's place, with nothing asked of it yet. Raises ChannelNotFound where there is no such channel."""
    channel = directory.get(connection, channel_id)
    if channel is None:
        raise ChannelNotFound(channel=channel_id)
    member = memberships.get(connection, channel_id, actor.user_id)
    return Place(channel, member, server_role(connection, actor))


def require(connection: Connection, actor: Actor, channel_id: int, action: Action) -> Place:
    """The actor's place, if it may do this there. Raises ChannelNotFound, and what policy says."""
    found = place(connection, actor, channel_id)
    found.require(action)
    return found


def by_name(connection: Connection, actor: Actor, name: str) -> Place:
    """The actor's place in the channel of this name. Raises ChannelNotFound, also where it may not see it."""
    channel = directory.get_by_name(connection, name)
    if channel is None:
        raise ChannelNotFound(channel=name)
    member = memberships.get(connection, channel.channel_id, actor.user_id)
    found = Place(channel, member, server_role(connection, actor))
    found.require(Action.SEE, name)
    return found


def require_read(connection: Connection, user_id: int, channel_id: int) -> tuple[Channel, Member | None]:
    """The channel and the user's membership, if it may read there: that takes no more than to be in it.

    Raises ChannelNotFound, NotAMember.
    """
    channel, member = directory.place(connection, channel_id, user_id)
    if channel is None:
        raise ChannelNotFound(channel=channel_id)
    policy.require(Action.READ, channel, None if member is None else member.role)
    return channel, member


def as_of(member: Member, now: int) -> Member:
    """A membership as it is shown at this time, microseconds: a mute that has ended is none."""
    over = member.muted_until is not None and member.muted_until <= now
    return replace(member, muted_until=None) if over else member
