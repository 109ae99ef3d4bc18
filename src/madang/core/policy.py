"""Who may do what in a channel, as one table.

What a caller is to a channel is a *standing*; each action needs at least one. Server roles, channel roles and bans come
as further standings and rows, not as further branches.
"""

from __future__ import annotations

from enum import IntEnum

from madang.core.errors import ChannelArchived, LobbyIsFixed, NotAMember, NotPermitted
from madang.core.models import Channel, ChannelKind


class Standing(IntEnum):
    """What a user is to a channel; each includes those below it."""

    STRANGER = 0
    MEMBER = 1
    OWNER = 2


class Action(IntEnum):
    """What can be done in a channel or to it."""

    READ = 0
    WRITE = 1
    SET_TOPIC = 2
    RENAME = 3
    ARCHIVE = 4
    JOIN = 5


_NEEDS = {
    Action.READ: Standing.MEMBER,
    Action.WRITE: Standing.MEMBER,
    Action.SET_TOPIC: Standing.MEMBER,
    Action.RENAME: Standing.OWNER,
    Action.ARCHIVE: Standing.OWNER,
    Action.JOIN: Standing.STRANGER,
}
_NAMES = {Action.RENAME: "rename a channel", Action.ARCHIVE: "archive a channel or bring it back"}
_NOT_IN_ARCHIVED = frozenset({Action.WRITE, Action.SET_TOPIC, Action.RENAME, Action.JOIN})
_NOT_IN_LOBBY = frozenset({Action.RENAME, Action.ARCHIVE})


def standing(channel: Channel, user_id: int, is_member: bool) -> Standing:
    """What the user is to the channel. In the lobby everyone is a member."""
    if user_id == channel.owner_id:
        return Standing.OWNER
    if is_member or channel.kind is ChannelKind.LOBBY:
        return Standing.MEMBER
    return Standing.STRANGER


def require(action: Action, channel: Channel, user_id: int, is_member: bool) -> None:
    """Raise unless the user may do this: LobbyIsFixed, NotAMember, NotPermitted or ChannelArchived.

    An owner that left its channel still owns it, but must be in it to read and write.
    """
    if channel.kind is ChannelKind.LOBBY and action in _NOT_IN_LOBBY:
        raise LobbyIsFixed
    stands = standing(channel, user_id, is_member)
    needed = _NEEDS[action]
    inside = is_member or channel.kind is ChannelKind.LOBBY
    if needed is Standing.MEMBER and not inside:
        raise NotAMember(channel_id=channel.channel_id)
    if stands < needed:
        raise NotPermitted(allowed="the channel's owner", action=_NAMES[action])
    if channel.archived_at is not None and action in _NOT_IN_ARCHIVED:
        raise ChannelArchived(channel_id=channel.channel_id)
