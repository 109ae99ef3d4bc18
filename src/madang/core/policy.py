"""Who may do what in a channel, as one table.

What a caller is to a channel is a *standing*; each action is a row that says the least one it takes, in which kinds of
channels there is no such thing, and what an archived channel refuses. What holds for a whole method, whatever the
channel, is in `madang.core.rights`.

A private or direct channel is not there for whoever is not in it: every refusal is then the same as for a channel that
does not exist. The server's administrators act as owners of every channel but direct ones: they manage it from outside,
and have to be in it, for all to see, to read or write.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from madang.core.errors import (
    ChannelArchived,
    ChannelIsDirect,
    ChannelNotFound,
    ChannelReadOnly,
    GuestsNotAllowed,
    LobbyIsFixed,
    MadangError,
    Muted,
    NotAMember,
    NotPermitted,
    SlowMode,
)
from madang.core.models import Channel, ChannelKind, ChannelRole, ServerRole

_SECOND = 1_000_000


class Standing(IntEnum):
    """What a user is to a channel; each includes those below it."""

    STRANGER = 0
    MEMBER = 1
    MODERATOR = 2
    OWNER = 3


class Action(Enum):
    """What can be done in a channel or to it."""

    SEE = auto()
    READ = auto()
    WRITE = auto()
    REPORT = auto()
    JOIN = auto()
    LEAVE = auto()
    ADD_MEMBER = auto()
    SET_TOPIC = auto()
    RENAME = auto()
    SET_MODES = auto()
    ARCHIVE = auto()
    REMOVE_MEMBER = auto()
    BAN = auto()
    UNBAN = auto()
    LIST_BANS = auto()
    MUTE = auto()
    SET_ROLE = auto()
    HANDLE_REPORTS = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `inside`: the caller has to be in the channel, an administrator too. `name`: as a refusal names it."""

    needs: Standing
    name: str
    inside: bool = False
    not_in: frozenset[ChannelKind] = frozenset()
    archived: bool = True


_FIXED = frozenset({ChannelKind.LOBBY, ChannelKind.DIRECT})
_DIRECT = frozenset({ChannelKind.DIRECT})

RULES: dict[Action, Rule] = {
    Action.SEE: Rule(Standing.STRANGER, "see the channel"),
    Action.READ: Rule(Standing.MEMBER, "read in the channel", inside=True),
    Action.WRITE: Rule(Standing.MEMBER, "write in the channel", inside=True, archived=False),
    Action.REPORT: Rule(Standing.MEMBER, "report a message", inside=True),
    Action.JOIN: Rule(Standing.STRANGER, "join the channel", not_in=_DIRECT, archived=False),
    Action.LEAVE: Rule(Standing.MEMBER, "leave the channel", inside=True, not_in=_FIXED),
    Action.ADD_MEMBER: Rule(Standing.MEMBER, "bring others in", not_in=_DIRECT, archived=False),
    Action.SET_TOPIC: Rule(Standing.MEMBER, "set the topic", archived=False),
    Action.RENAME: Rule(Standing.OWNER, "rename a channel", not_in=_FIXED, archived=False),
    Action.SET_MODES: Rule(Standing.OWNER, "set how a channel works", not_in=_DIRECT, archived=False),
    Action.ARCHIVE: Rule(Standing.OWNER, "archive a channel or bring it back", not_in=_FIXED),
    Action.REMOVE_MEMBER: Rule(Standing.MODERATOR, "remove a member", not_in=_FIXED),
    Action.BAN: Rule(Standing.MODERATOR, "ban a user", not_in=_FIXED),
    Action.UNBAN: Rule(Standing.MODERATOR, "end a ban", not_in=_DIRECT),
    Action.LIST_BANS: Rule(Standing.MODERATOR, "see who is banned", not_in=_DIRECT),
    Action.MUTE: Rule(Standing.MODERATOR, "mute a member", not_in=_DIRECT),
    Action.SET_ROLE: Rule(Standing.OWNER, "give roles", not_in=_DIRECT),
    Action.HANDLE_REPORTS: Rule(Standing.MODERATOR, "see its reports", not_in=_DIRECT),
}
"""What each action takes. An action without a row is refused to everyone."""

_HIDDEN = frozenset({ChannelKind.PRIVATE, ChannelKind.DIRECT})
_STANDINGS = {
    ChannelRole.MEMBER: Standing.MEMBER,
    ChannelRole.MODERATOR: Standing.MODERATOR,
    ChannelRole.OWNER: Standing.OWNER,
}
_ALLOWED = {Standing.MODERATOR: "the channel's moderators and owners", Standing.OWNER: "the channel's owners"}


def is_admin(server_role: ServerRole) -> bool:
    """Whether somebody of this role acts as an owner of every channel but direct ones."""
    return server_role >= ServerRole.ADMIN


def standing(channel: Channel, role: ChannelRole | None, server_role: ServerRole) -> Standing:
    """What a user is to the channel. `role`: None for one who is not in it; in the lobby everyone is."""
    if is_admin(server_role) and channel.kind is not ChannelKind.DIRECT:
        return Standing.OWNER
    return Standing.STRANGER if role is None else _STANDINGS[role]


def require(
    action: Action,
    channel: Channel,
    role: ChannelRole | None,
    server_role: ServerRole = ServerRole.GUEST,
    asked: int | str | None = None,
) -> None:
    """Raise unless a user of this role in the channel, and on the server, may do this. For what one has to be inside
    for, and a member is enough, the role on the server does not matter.

    Raises ChannelNotFound (of `asked`, by default the id), LobbyIsFixed, ChannelIsDirect, NotAMember, NotPermitted or
    ChannelArchived.
    """
    rule = RULES.get(action)
    if rule is None:
        raise NotPermitted(allowed="nobody", action=action.name)
    stands = standing(channel, role, server_role)
    outside = role is None and rule.inside
    if stands is Standing.STRANGER or outside:
        if channel.kind in _HIDDEN:
            raise ChannelNotFound(channel=channel.channel_id if asked is None else asked)
        if rule.needs is Standing.MEMBER:
            raise NotAMember(channel_id=channel.channel_id)
    if channel.kind in rule.not_in:
        raise LobbyIsFixed if channel.kind is ChannelKind.LOBBY else ChannelIsDirect(channel_id=channel.channel_id)
    if stands < rule.needs:
        raise NotPermitted(allowed=_ALLOWED[rule.needs], action=rule.name)
    if channel.archived_at is not None and not rule.archived:
        raise ChannelArchived(channel_id=channel.channel_id)


def absent(channel: Channel) -> MadangError:
    """What somebody is told who may read in the channel no more, because it left or was removed."""
    if channel.kind in _HIDDEN:
        return ChannelNotFound(channel=channel.channel_id)
    return NotAMember(channel_id=channel.channel_id)


def require_over(mine: Standing, theirs: Standing) -> None:
    """Raise NotPermitted unless somebody of my standing may act on somebody of theirs: nobody on an equal, but owners.

    Whether the action as such is allowed has been asked before.
    """
    if mine is not Standing.OWNER and mine <= theirs:
        raise NotPermitted(allowed="the channel's owners", action="do that to a moderator or an owner")


def asks_server_role(channel: Channel) -> bool:
    """Whether it depends on its role on the server if a member may write in the channel."""
    return channel.read_only or channel.slow_mode > 0 or (channel.kind is ChannelKind.LOBBY and not channel.guests)


def is_plain(channel: Channel) -> bool:
    """Whether every member that is not muted may write in the channel, with nothing more to ask: most are so."""
    return channel.archived_at is None and not asks_server_role(channel)


def require_voice(
    channel: Channel, stands: Standing, server_role: ServerRole, muted_until: int | None, now: int
) -> None:
    """Raise unless a member may write in the channel as it is set, now: Muted, ChannelReadOnly, GuestsNotAllowed.

    That it may write as such has been asked before. `server_role` counts only where `asks_server_role` says so.
    """
    if muted_until is not None and muted_until > now:
        raise Muted(channel_id=channel.channel_id, until=seconds(muted_until))
    if channel.read_only and stands < Standing.MODERATOR:
        raise ChannelReadOnly(channel_id=channel.channel_id)
    if channel.kind is ChannelKind.LOBBY and not channel.guests and server_role is ServerRole.GUEST:
        raise GuestsNotAllowed(where="to write in the lobby")


def require_entry(channel: Channel, server_role: ServerRole) -> None:
    """Raise GuestsNotAllowed where the one who comes in is a guest, and the channel lets none in."""
    if server_role is ServerRole.GUEST and not channel.guests:
        raise GuestsNotAllowed(where=f"in channel {channel.channel_id}")


def slow_down(channel: Channel, wrote_at: int | None, now: int) -> SlowMode | None:
    """Why a member may not write again yet, in slow mode; None when it may. `wrote_at`: when it last wrote there."""
    if wrote_at is None:
        return None
    rest = min(wrote_at - now, 0) + channel.slow_mode * _SECOND  # a clock that went back does not make it longer
    if rest <= 0:
        return None
    tenths = -(-rest // (_SECOND // 10))  # rounded up: whoever waits for so long is let through
    return SlowMode(channel_id=channel.channel_id, retry_after=tenths / 10)


def seconds(until: int | None) -> int:
    """A time in microseconds as errors tell it: in seconds, rounded up; 0 for what has no end."""
    return 0 if until is None else -(-until // _SECOND)
