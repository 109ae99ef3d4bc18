"""Models to protobuf and back, one pair of functions for each resource of the contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from madang.core import models
from madang.core.presence import Presence, Status
from madang.v1 import agent_service_pb2 as agent_pb
from madang.v1 import heartbeat_service_pb2 as heartbeat_pb
from madang.v1 import lobby_service_pb2 as lobby_pb
from madang.v1 import resources_pb2 as pb

_USER_KINDS: dict[models.UserKind, pb.UserKind.ValueType] = {
    models.UserKind.GUEST: pb.USER_KIND_GUEST,
    models.UserKind.CLASSIC: pb.USER_KIND_CLASSIC,
    models.UserKind.PERSON: pb.USER_KIND_PERSON,
    models.UserKind.BOT: pb.USER_KIND_BOT,
}
_USER_KINDS_BACK = {value: key for key, value in _USER_KINDS.items()}
_CHANNEL_KINDS: dict[models.ChannelKind, pb.ChannelKind.ValueType] = {
    models.ChannelKind.LOBBY: pb.CHANNEL_KIND_LOBBY,
    models.ChannelKind.PUBLIC: pb.CHANNEL_KIND_PUBLIC,
    models.ChannelKind.PRIVATE: pb.CHANNEL_KIND_PRIVATE,
    models.ChannelKind.DIRECT: pb.CHANNEL_KIND_DIRECT,
}
_CHANNEL_KINDS_BACK = {value: key for key, value in _CHANNEL_KINDS.items()}
_SERVER_ROLES: dict[models.ServerRole, pb.ServerRole.ValueType] = {
    models.ServerRole.GUEST: pb.SERVER_ROLE_GUEST,
    models.ServerRole.BOT: pb.SERVER_ROLE_BOT,
    models.ServerRole.MEMBER: pb.SERVER_ROLE_MEMBER,
    models.ServerRole.ADMIN: pb.SERVER_ROLE_ADMIN,
    models.ServerRole.OWNER: pb.SERVER_ROLE_OWNER,
}
_SERVER_ROLES_BACK = {value: key for key, value in _SERVER_ROLES.items()}
_CHANNEL_ROLES: dict[models.ChannelRole, pb.ChannelRole.ValueType] = {
    models.ChannelRole.MEMBER: pb.CHANNEL_ROLE_MEMBER,
    models.ChannelRole.MODERATOR: pb.CHANNEL_ROLE_MODERATOR,
    models.ChannelRole.OWNER: pb.CHANNEL_ROLE_OWNER,
}
_CHANNEL_ROLES_BACK = {value: key for key, value in _CHANNEL_ROLES.items()}
_SCOPES: dict[models.Scope, pb.TokenScope.ValueType] = {
    models.Scope.SEND: pb.TOKEN_SCOPE_SEND,
    models.Scope.READ: pb.TOKEN_SCOPE_READ,
    models.Scope.MANAGE: pb.TOKEN_SCOPE_MANAGE,
}
_SCOPES_BACK = {value: key for key, value in _SCOPES.items()}
_STATUSES: dict[Status, heartbeat_pb.PresenceStatus.ValueType] = {
    Status.OFFLINE: heartbeat_pb.PRESENCE_STATUS_OFFLINE,
    Status.ONLINE: heartbeat_pb.PRESENCE_STATUS_ONLINE,
    Status.AWAY: heartbeat_pb.PRESENCE_STATUS_AWAY,
    Status.DO_NOT_DISTURB: heartbeat_pb.PRESENCE_STATUS_DO_NOT_DISTURB,
}
_STATUSES_BACK = {value: key for key, value in _STATUSES.items()}


def set_time(target: Timestamp, micros: int) -> None:
    """Write microseconds since the epoch into a Timestamp."""
    target.seconds, rest = divmod(micros, 1_000_000)
    target.nanos = rest * 1000


def micros(stamp: Timestamp) -> int:
    """A Timestamp as microseconds since the epoch."""
    return stamp.seconds * 1_000_000 + stamp.nanos // 1000


def request_id_bytes(text: str) -> bytes | None:
    """The 16 bytes of a UUID in the form that the contract allows; None for the empty string.

    The contract's validator has checked the shape, so this is the cheap way, not `uuid.UUID`.
    """
    return bytes.fromhex(text.replace("-", "")) if text else None


def request_id_text(raw: bytes) -> str:
    """The usual form of a UUID's 16 bytes."""
    return str(uuid.UUID(bytes=raw))


def user_to_pb(user: models.User) -> pb.User:
    """A user as the contract has it."""
    message = pb.User(
        user_id=user.user_id,
        handle=user.handle,
        kind=_USER_KINDS[user.kind],
        role=_SERVER_ROLES[user.role],
        display_name=user.display_name,
        status_text=user.status_text,
        owner_id=user.owner_id,
    )
    set_time(message.create_time, user.created_at)
    if user.deleted_at is not None:
        set_time(message.delete_time, user.deleted_at)
    if user.banned_at is not None:
        set_time(message.ban_time, user.banned_at)
    return message


def user_from_pb(message: pb.User) -> models.User:
    """A user as the core has it; a kind that is not known here counts as a guest."""
    return models.User(
        user_id=message.user_id,
        handle=message.handle,
        kind=_USER_KINDS_BACK.get(message.kind, models.UserKind.GUEST),
        created_at=micros(message.create_time),
        role=_SERVER_ROLES_BACK.get(message.role, models.ServerRole.GUEST),
        display_name=message.display_name,
        status_text=message.status_text,
        owner_id=message.owner_id,
        deleted_at=micros(message.delete_time) if message.HasField("delete_time") else None,
        banned_at=micros(message.ban_time) if message.HasField("ban_time") else None,
    )


def session_to_pb(session: models.Session) -> pb.Session:
    """A session as the contract has it."""
    message = pb.Session(
        session_id=session.session_id,
        user_id=session.user_id,
        device=session.device,
        address=session.address,
        scopes=[] if session.scopes is None else scopes_to_pb(session.scopes),
    )
    set_time(message.create_time, session.created_at)
    set_time(message.use_time, session.used_at)
    if session.expires_at:
        set_time(message.expire_time, session.expires_at)
    return message


def session_from_pb(message: pb.Session) -> models.Session:
    """A session as the core has it."""
    return models.Session(
        session_id=message.session_id,
        user_id=message.user_id,
        device=message.device,
        created_at=micros(message.create_time),
        used_at=micros(message.use_time),
        expires_at=micros(message.expire_time),
        address=message.address,
        scopes=scopes_from_pb(message.scopes) if message.scopes else None,
    )


def scopes_to_pb(scopes: models.Scope) -> list[pb.TokenScope.ValueType]:
    """What a token is good for as the contract has it."""
    return [_SCOPES[scope] for scope in models.Scope if scope in scopes]


def scopes_from_pb(values: Iterable[pb.TokenScope.ValueType]) -> models.Scope:
    """What a token is good for as the core has it; a scope that is not known here counts for nothing."""
    scopes = models.Scope(0)
    for value in values:
        scopes |= _SCOPES_BACK.get(value, models.Scope(0))
    return scopes


def server_role_to_pb(role: models.ServerRole) -> pb.ServerRole.ValueType:
    """A server role as the contract has it."""
    return _SERVER_ROLES[role]


def server_role_from_pb(value: pb.ServerRole.ValueType) -> models.ServerRole:
    """A server role as the core has it. Raises KeyError for one that is unspecified or not known here."""
    return _SERVER_ROLES_BACK[value]


def channel_role_to_pb(role: models.ChannelRole) -> pb.ChannelRole.ValueType:
    """A channel role as the contract has it."""
    return _CHANNEL_ROLES[role]


def channel_role_from_pb(value: pb.ChannelRole.ValueType) -> models.ChannelRole:
    """A channel role as the core has it. Raises KeyError for one that is unspecified or not known here."""
    return _CHANNEL_ROLES_BACK[value]


def channel_kind_from_pb(value: pb.ChannelKind.ValueType) -> models.ChannelKind:
    """A channel kind as the core has it. Raises KeyError for one that is unspecified or not known here."""
    return _CHANNEL_KINDS_BACK[value]


def channel_to_pb(channel: models.Channel) -> pb.Channel:
    """A channel as the contract has it."""
    message = pb.Channel(
        channel_id=channel.channel_id,
        name=channel.name,
        topic=channel.topic,
        kind=_CHANNEL_KINDS[channel.kind],
        owner_id=channel.owner_id,
        sequence=channel.sequence,
        read_only=channel.read_only,
        slow_mode_seconds=channel.slow_mode,
        guests=channel.guests,
        direct_user_ids=channel.direct_user_ids,
    )
    set_time(message.create_time, channel.created_at)
    if channel.archived_at is not None:
        set_time(message.archive_time, channel.archived_at)
    return message


def channel_from_pb(message: pb.Channel) -> models.Channel:
    """A channel as the core has it; a kind that is not known here counts as public."""
    return models.Channel(
        channel_id=message.channel_id,
        name=message.name,
        topic=message.topic,
        kind=_CHANNEL_KINDS_BACK.get(message.kind, models.ChannelKind.PUBLIC),
        owner_id=message.owner_id,
        sequence=message.sequence,
        created_at=micros(message.create_time),
        archived_at=micros(message.archive_time) if message.HasField("archive_time") else None,
        read_only=message.read_only,
        slow_mode=message.slow_mode_seconds,
        guests=message.guests,
        direct_user_ids=tuple(message.direct_user_ids),
    )


def member_to_pb(member: models.Member) -> pb.Member:
    """A membership as the contract has it."""
    message = pb.Member(
        channel_id=member.channel_id,
        user_id=member.user_id,
        read_through=member.read_through,
        role=_CHANNEL_ROLES[member.role],
    )
    if member.joined_at is not None:
        set_time(message.join_time, member.joined_at)
    if member.muted_until is not None:
        set_time(message.mute_expire_time, member.muted_until)
    return message


def member_from_pb(message: pb.Member) -> models.Member:
    """A membership as the core has it."""
    return models.Member(
        channel_id=message.channel_id,
        user_id=message.user_id,
        joined_at=micros(message.join_time) if message.HasField("join_time") else None,
        read_through=message.read_through,
        role=_CHANNEL_ROLES_BACK.get(message.role, models.ChannelRole.MEMBER),
        muted_until=micros(message.mute_expire_time) if message.HasField("mute_expire_time") else None,
    )


def ban_to_pb(ban: models.Ban, user: models.User) -> lobby_pb.Ban:
    """A ban from a channel as the contract has it."""
    message = lobby_pb.Ban(user=user_to_pb(user), moderator_id=ban.moderator_id, reason=ban.reason)
    set_time(message.create_time, ban.created_at)
    if ban.expires_at is not None:
        set_time(message.expire_time, ban.expires_at)
    return message


def ban_from_pb(channel_id: int, message: lobby_pb.Ban) -> models.Ban:
    """A ban from a channel as the core has it."""
    return models.Ban(
        channel_id=channel_id,
        user_id=message.user.user_id,
        moderator_id=message.moderator_id,
        reason=message.reason,
        created_at=micros(message.create_time),
        expires_at=micros(message.expire_time) if message.HasField("expire_time") else None,
    )


def report_to_pb(report: models.Report) -> lobby_pb.Report:
    """A report as the contract has it."""
    message = lobby_pb.Report(
        report_id=report.report_id,
        channel_id=report.channel_id,
        sequence=report.sequence,
        author_id=report.author_id,
        reporter_id=report.reporter_id,
        reason=report.reason,
        text=report.text,
        resolver_id=report.resolver_id,
    )
    set_time(message.create_time, report.created_at)
    if report.resolved_at is not None:
        set_time(message.resolve_time, report.resolved_at)
    return message


def report_from_pb(message: lobby_pb.Report) -> models.Report:
    """A report as the core has it."""
    return models.Report(
        report_id=message.report_id,
        channel_id=message.channel_id,
        sequence=message.sequence,
        author_id=message.author_id,
        reporter_id=message.reporter_id,
        reason=message.reason,
        text=message.text,
        created_at=micros(message.create_time),
        resolved_at=micros(message.resolve_time) if message.HasField("resolve_time") else None,
        resolver_id=message.resolver_id,
    )


def invite_to_pb(invite: models.Invite) -> agent_pb.Invite:
    """An invite as the contract has it."""
    message = agent_pb.Invite(
        invite_id=invite.invite_id,
        creator_id=invite.creator_id,
        role=_SERVER_ROLES[invite.role],
        max_uses=invite.max_uses,
        uses=invite.uses,
        note=invite.note,
    )
    set_time(message.create_time, invite.created_at)
    set_time(message.expire_time, invite.expires_at)
    if invite.revoked_at is not None:
        set_time(message.revoke_time, invite.revoked_at)
    return message


def invite_from_pb(message: agent_pb.Invite) -> models.Invite:
    """An invite as the core has it."""
    return models.Invite(
        invite_id=message.invite_id,
        creator_id=message.creator_id,
        role=_SERVER_ROLES_BACK.get(message.role, models.ServerRole.MEMBER),
        max_uses=message.max_uses,
        uses=message.uses,
        created_at=micros(message.create_time),
        expires_at=micros(message.expire_time),
        revoked_at=micros(message.revoke_time) if message.HasField("revoke_time") else None,
        note=message.note,
    )


def audit_event_to_pb(event: models.AuditEvent) -> agent_pb.AuditEvent:
    """An event of the audit log as the contract has it."""
    message = agent_pb.AuditEvent(
        event_id=event.event_id,
        actor_id=event.actor_id,
        address=event.address,
        action=event.action,
        user_id=event.user_id,
        channel_id=event.channel_id,
        details=event.details,
    )
    set_time(message.create_time, event.created_at)
    return message


def audit_event_from_pb(message: agent_pb.AuditEvent) -> models.AuditEvent:
    """An event of the audit log as the core has it."""
    return models.AuditEvent(
        event_id=message.event_id,
        created_at=micros(message.create_time),
        actor_id=message.actor_id,
        address=message.address,
        action=message.action,
        user_id=message.user_id,
        channel_id=message.channel_id,
        details=dict(message.details),
    )


def presence_to_pb(presence: Presence) -> heartbeat_pb.Presence:
    """A presence as the contract has it."""
    message = heartbeat_pb.Presence(user_id=presence.user_id, status=_STATUSES[presence.status])
    if presence.seen_at is not None:
        set_time(message.last_seen_time, presence.seen_at)
    return message


def presence_from_pb(message: heartbeat_pb.Presence) -> Presence:
    """A presence as the core has it; a status that is not known here counts as online."""
    return Presence(
        user_id=message.user_id,
        status=_STATUSES_BACK.get(message.status, Status.ONLINE),
        seen_at=micros(message.last_seen_time) if message.HasField("last_seen_time") else None,
    )


def status_to_pb(status: Status) -> heartbeat_pb.PresenceStatus.ValueType:
    """A presence status as the contract has it."""
    return _STATUSES[status]


def status_from_pb(value: heartbeat_pb.PresenceStatus.ValueType) -> Status:
    """A presence status as the core has it."""
    return _STATUSES_BACK[value]


class _MessageMaker(Protocol):
    """Makes a protobuf Message: the class itself, or `add` of a repeated field."""

    def __call__(self, *, channel_id: int, sequence: int, author_id: int) -> pb.Message: ...


def fill_message(make: _MessageMaker, message: models.Message) -> pb.Message:
    """Make a message as the contract has it, in a place of the caller's choice."""
    target = make(channel_id=message.channel_id, sequence=message.sequence, author_id=message.author_id)
    stamp = target.create_time
    stamp.seconds, rest = divmod(message.created_at, 1_000_000)
    stamp.nanos = rest * 1000
    match message.content:
        case models.Content.TEXT:
            target.text = message.text
        case models.Content.MEMBER_JOINED:
            target.member_joined.SetInParent()
        case models.Content.MEMBER_LEFT:
            target.member_left.SetInParent()
        case models.Content.RENAMED:
            target.channel_updated.name = message.text
        case models.Content.TOPIC_CHANGED:
            target.channel_updated.topic = message.text
        case models.Content.ARCHIVED:
            target.channel_updated.archived = True
        case models.Content.UNARCHIVED:
            target.channel_updated.archived = False
        case models.Content.READ_ONLY_CHANGED:
            target.channel_updated.read_only = message.text == "1"
        case models.Content.SLOW_MODE_CHANGED:
            target.channel_updated.slow_mode_seconds = int(message.text)
        case models.Content.GUESTS_CHANGED:
            target.channel_updated.guests = message.text == "1"
        case models.Content.MEMBER_REMOVED | models.Content.MEMBER_BANNED:
            user_id, _, target.member_removed.reason = message.text.partition(" ")
            target.member_removed.user_id = int(user_id)
            target.member_removed.banned = message.content is models.Content.MEMBER_BANNED
        case models.Content.ROLE_CHANGED:
            user_id, _, role = message.text.partition(" ")
            target.role_changed.user_id = int(user_id)
            target.role_changed.role = _CHANNEL_ROLES[models.ChannelRole(int(role))]
    return target


def message_to_pb(message: models.Message) -> pb.Message:
    """A message as the contract has it."""
    return fill_message(pb.Message, message)


def message_from_pb(message: pb.Message) -> models.Message:
    """A message as the core has it. The contract does not tell the version; it is taken as the sequence."""
    text = ""
    match message.WhichOneof("content"):
        case "member_joined":
            content = models.Content.MEMBER_JOINED
        case "member_left":
            content = models.Content.MEMBER_LEFT
        case "channel_updated":
            content, text = _update_from_pb(message.channel_updated)
        case "member_removed":
            removed = message.member_removed
            content = models.Content.MEMBER_BANNED if removed.banned else models.Content.MEMBER_REMOVED
            text = f"{removed.user_id} {removed.reason}"
        case "role_changed":
            content = models.Content.ROLE_CHANGED
            role = _CHANNEL_ROLES_BACK.get(message.role_changed.role, models.ChannelRole.MEMBER)
            text = f"{message.role_changed.user_id} {role.value}"
        case _:
            content, text = models.Content.TEXT, message.text
    return models.Message(
        channel_id=message.channel_id,
        sequence=message.sequence,
        version=message.sequence,
        author_id=message.author_id,
        created_at=micros(message.create_time),
        content=content,
        text=text,
    )


def _update_from_pb(update: pb.ChannelUpdated) -> tuple[models.Content, str]:
    if update.HasField("name"):
        return models.Content.RENAMED, update.name
    if update.HasField("topic"):
        return models.Content.TOPIC_CHANGED, update.topic
    if update.HasField("read_only"):
        return models.Content.READ_ONLY_CHANGED, str(int(update.read_only))
    if update.HasField("slow_mode_seconds"):
        return models.Content.SLOW_MODE_CHANGED, str(update.slow_mode_seconds)
    if update.HasField("guests"):
        return models.Content.GUESTS_CHANGED, str(int(update.guests))
    return (models.Content.ARCHIVED if update.archived else models.Content.UNARCHIVED), ""
