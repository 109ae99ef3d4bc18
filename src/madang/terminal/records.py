"""What `--json` prints: one JSON object a line. The names of the fields are part of the command's interface.

    message   channel_id, channel, sequence, time, author_id, author, content, text
    sent      channel_id, channel, sequence, time, request_id, author_id, author, content, text
    channel   channel_id, channel, topic, kind, owner_id, sequence, time, archived_time, joined, read_through
    user      user_id, handle, kind, role, display_name, status_text, owner_id, time, banned_time, status, seen_time
    session   session_id, user_id, device, address, time, use_time, expire_time, scopes, current
    token     session_id, user_id, device, address, time, use_time, expire_time, scopes, current, token
    invite    invite_id, creator_id, role, max_uses, uses, time, expire_time, revoke_time, note (new ones: code)
    code      code, expire_time
    audit     event_id, time, actor_id, actor, address, action, user_id, user, channel_id, details
    report    report_id, channel_id, sequence, author_id, reporter_id, reason, text, time, resolve_time, resolver_id

A time is RFC 3339 in UTC with microseconds, or null. `content` is `text`, `member_joined`, `member_left`, `renamed`,
`topic_changed`, `archived`, `unarchived`, `member_removed`, `member_banned`, `role_changed`, `read_only_changed`,
`slow_mode_changed` or `guests_changed`; a message that is about a user has `user_id`, too. `kind` is `lobby`, `public`,
`private` or `direct` for a channel, `guest`, `classic`, `person` or `bot` for a user; `role` is `guest`, `bot`,
`member`, `admin` or `owner`; `status` is `online`, `away`, `do not disturb` or `offline`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from madang.core.contents import number_of, reason_of, role_of, subject_id
from madang.core.models import (
    AuditEvent,
    Channel,
    Content,
    Invite,
    Member,
    Message,
    Report,
    Scope,
    Session,
    User,
)
from madang.core.presence import Presence, Status
from madang.terminal.safe import safe_json

Record = dict[str, str | int | bool | list[str] | dict[str, str] | None]

_FIELDS, _MEANING = (__doc__ or "").split("\n\n")[1:3]


def help_of(kind: str) -> str:
    """What the fields of one kind of record are, for the help."""
    fields = next(line for line in _FIELDS.splitlines() if line.split()[0] == kind)
    return f"each line of --json holds: {' '.join(fields.split()[1:])}\n\n{_MEANING.strip()}"


def encode(record: Record) -> str:
    """A record as one line of JSON, without a line end, safe to look at on a terminal."""
    return safe_json(json.dumps(record, ensure_ascii=False))


def message_record(message: Message, channel: str, author: str) -> Record:
    """A stored message."""
    about = subject_id(message)
    return {
        "channel_id": message.channel_id,
        "channel": channel,
        "sequence": message.sequence,
        "time": timestamp(message.created_at),
        "author_id": message.author_id,
        "author": author,
        "content": message.content.name.lower(),
        "text": _text(message),
        **({"user_id": about} if about else {}),
    }


def channel_record(channel: Channel, member: Member | None) -> Record:
    """A channel, and the user's place in it."""
    return {
        "channel_id": channel.channel_id,
        "channel": channel.name,
        "topic": channel.topic,
        "kind": channel.kind.name.lower(),
        "owner_id": channel.owner_id,
        "sequence": channel.sequence,
        "time": timestamp(channel.created_at),
        "archived_time": timestamp(channel.archived_at),
        "joined": member is not None,
        "read_through": member.read_through if member else None,
    }


def user_record(user: User, presence: Presence | None) -> Record:
    """A user, and how present it is."""
    return {
        "user_id": user.user_id,
        "handle": user.handle,
        "kind": user.kind.name.lower(),
        "role": user.role.name.lower(),
        "display_name": user.display_name,
        "status_text": user.status_text,
        "owner_id": user.owner_id,
        "time": timestamp(user.created_at),
        "banned_time": timestamp(user.banned_at),
        "status": (presence.status if presence else Status.OFFLINE).value,
        "seen_time": timestamp(presence.seen_at if presence else None),
    }


def session_record(session: Session, current: int) -> Record:
    """A session; `current`: the id of the one that asks."""
    scopes = [] if session.scopes is None else [str(scope.name).lower() for scope in Scope if scope in session.scopes]
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "device": session.device,
        "address": session.address,
        "time": timestamp(session.created_at),
        "use_time": timestamp(session.used_at),
        "expire_time": timestamp(session.expires_at or None),
        "scopes": scopes,
        "current": session.session_id == current,
    }


def invite_record(invite: Invite) -> Record:
    """An invite, without its code."""
    return {
        "invite_id": invite.invite_id,
        "creator_id": invite.creator_id,
        "role": invite.role.name.lower(),
        "max_uses": invite.max_uses,
        "uses": invite.uses,
        "time": timestamp(invite.created_at),
        "expire_time": timestamp(invite.expires_at),
        "revoke_time": timestamp(invite.revoked_at),
        "note": invite.note,
    }


def audit_record(event: AuditEvent, handles: Mapping[int, str]) -> Record:
    """An event of the audit log, with the handles that the users have now."""
    return {
        "event_id": event.event_id,
        "time": timestamp(event.created_at),
        "actor_id": event.actor_id,
        "actor": handles.get(event.actor_id),
        "address": event.address,
        "action": event.action,
        "user_id": event.user_id,
        "user": handles.get(event.user_id),
        "channel_id": event.channel_id,
        "details": event.details,
    }


def report_record(report: Report) -> Record:
    """A report of a message."""
    return {
        "report_id": report.report_id,
        "channel_id": report.channel_id,
        "sequence": report.sequence,
        "author_id": report.author_id,
        "reporter_id": report.reporter_id,
        "reason": report.reason,
        "text": report.text,
        "time": timestamp(report.created_at),
        "resolve_time": timestamp(report.resolved_at),
        "resolver_id": report.resolver_id,
    }


def _text(message: Message) -> str:
    """The words; for what is no text, what there is to say of it: a reason, a role, a number."""
    match message.content:
        case Content.MEMBER_REMOVED | Content.MEMBER_BANNED:
            return reason_of(message)
        case Content.ROLE_CHANGED:
            return role_of(message).name.lower()
        case Content.READ_ONLY_CHANGED | Content.GUESTS_CHANGED:
            return "on" if number_of(message) else "off"
    return message.text


def timestamp(micros: int | None) -> str | None:
    """Microseconds since the epoch as RFC 3339: `2025-11-22T14:02:05.123456Z`."""
    if micros is None:
        return None
    seconds, rest = divmod(micros, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06}Z"
