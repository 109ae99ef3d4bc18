"""Lists of channels and people as aligned lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from madang.client.moderation import BanInfo
from madang.core.models import (
    LOBBY_ID,
    AuditEvent,
    Channel,
    Invite,
    Member,
    Report,
    Scope,
    Session,
    User,
    UserKind,
)
from madang.core.presence import Presence, Status
from madang.terminal.lines import cut, local, stamp, table
from madang.terminal.titles import shown

_TEXT_ROOM = 60
"""Columns for the text of a reported message."""
_STATUSES = {Status.ONLINE: "here", Status.AWAY: "away", Status.DO_NOT_DISTURB: "do not disturb", Status.OFFLINE: ""}


def channel_lines(channels: Iterable[tuple[Channel, Member | None]], current_id: int = 0) -> list[str]:
    """Channels: name, whether the user is in it, topic."""
    return table([(shown(c.name), _place(c, member, current_id), c.topic) for c, member in channels])


def user_lines(people: Iterable[tuple[User, Presence | None]], me: int, shared: Mapping[int, list[str]]) -> list[str]:
    """People: handle, presence, and which of the user's channels they are in (`shared`, names by user_id)."""
    return table(
        [
            (_handle(user, me), status_text(presence), " ".join(shown(name) for name in shared.get(user.user_id, [])))
            for user, presence in people
        ]
    )


def account_lines(users: Iterable[User]) -> list[str]:
    """Accounts: id, handle, role and kind, the name that is shown, and whether they are shut out."""
    return table([(str(user.user_id), user.handle, _account(user), user.display_name) for user in users])


def session_lines(sessions: Iterable[Session], current: int) -> list[str]:
    """Sessions: id, device, address, last use, end, and which of them asks."""
    return table(
        [
            (
                str(session.session_id),
                session.device or "-",
                session.address or "-",
                f"used {stamp(session.used_at)}",
                f"until {stamp(session.expires_at)}" if session.expires_at else "does not expire",
                _scopes(session) if session.session_id != current else "this one",
            )
            for session in sessions
        ]
    )


def invite_lines(invites: Iterable[Invite], handles: Mapping[int, str]) -> list[str]:
    """Invites: id, role, uses, end, who made them, and what for."""
    return table(
        [
            (
                str(invite.invite_id),
                invite.role.name.lower(),
                f"{invite.uses} of {invite.max_uses} used",
                "revoked" if invite.revoked_at is not None else f"until {stamp(invite.expires_at)}",
                f"by {handles.get(invite.creator_id, 'the server')}",
                invite.note,
            )
            for invite in invites
        ]
    )


def audit_lines(events: Iterable[AuditEvent], handles: Mapping[int, str], channels: Mapping[int, str]) -> list[str]:
    """Events of the audit log: when, who, from where, what, to whom, in which channel, and further facts."""
    return table(
        [
            (
                stamp(event.created_at),
                _name(event.actor_id, handles) if event.actor_id else "-",
                event.address or "-",
                event.action,
                _name(event.user_id, handles) if event.user_id else "",
                _channel(event.channel_id, channels) if event.channel_id else "",
                _facts(event.details),
            )
            for event in events
        ]
    )


def _facts(details: Mapping[str, str]) -> str:
    """What else is known of an event: without what is empty, and times in this computer's time zone."""
    told = {name: _time(value) if name == "until" else value for name, value in details.items()}
    return " ".join(f"{name}={value}" for name, value in told.items() if value)


def _time(seconds: str) -> str:
    """Seconds since the epoch as date and time; empty for 0, which is for good."""
    if not seconds.isdecimal():
        return seconds
    return stamp(int(seconds) * 1_000_000) if int(seconds) else ""


def report_lines(reports: Iterable[Report], handles: Mapping[int, str], channels: Mapping[int, str]) -> list[str]:
    """Reports: id, when, which message, who wrote it, who reported it and why, and its text then."""
    return table(
        [
            (
                str(report.report_id),
                stamp(report.created_at),
                f"{_channel(report.channel_id, channels)} {report.sequence}",
                f"by {_name(report.author_id, handles)}",
                f"reported by {_name(report.reporter_id, handles)}{f': {report.reason}' if report.reason else ''}",
                "closed" if report.resolved_at is not None else "open",
                cut(report.text, _TEXT_ROOM),
            )
            for report in reports
        ]
    )


def ban_lines(bans: Iterable[BanInfo], handles: Mapping[int, str]) -> list[str]:
    """Bans from a channel: whom, until when, by whom and why."""
    return table(
        [
            (
                user.handle,
                "for good" if ban.expires_at is None else f"until {stamp(ban.expires_at)}",
                f"by {_name(ban.moderator_id, handles)}",
                ban.reason,
            )
            for ban, user in bans
        ]
    )


def article(role: str) -> str:
    """A role with its article: `an admin`, `a member`."""
    return f"{'an' if role[:1] in 'aeiou' else 'a'} {role}"


def status_text(presence: Presence | None) -> str:
    """A presence in a word or two; when the user was last seen where it is not here."""
    if presence is None:
        return "not here"
    if presence.status is Status.OFFLINE:
        return f"last here {local(presence.seen_at):%Y-%m-%d %H:%M}" if presence.seen_at else "not here"
    return _STATUSES[presence.status]


def is_here(presence: Presence | None) -> bool:
    """Whether somebody is here."""
    return presence is not None and presence.status is not Status.OFFLINE


def _handle(user: User, me: int) -> str:
    return f"{user.handle} (you)" if user.user_id == me else user.handle


def _account(user: User) -> str:
    if user.deleted_at is not None:
        return "deleted"
    what = user.role.name.lower() if user.kind is UserKind.PERSON else user.kind.name.lower()
    return f"{what}, banned" if user.banned_at is not None else what


def _scopes(session: Session) -> str:
    if session.scopes is None:
        return ""
    return " ".join(str(scope.name).lower() for scope in Scope if scope in session.scopes)


def _name(user_id: int, handles: Mapping[int, str]) -> str:
    return handles.get(user_id) or f"user {user_id}"


def _channel(channel_id: int, channels: Mapping[int, str]) -> str:
    name = channels.get(channel_id)
    return shown(name) if name else f"channel {channel_id}"


def _place(channel: Channel, member: Member | None, current_id: int) -> str:
    if channel.archived_at is not None:
        return "archived"
    if channel.channel_id == current_id:
        return "you talk here"
    return "joined" if member is not None or channel.channel_id == LOBBY_ID else ""
