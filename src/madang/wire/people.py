"""Users, sessions and presence to protobuf and back."""

from __future__ import annotations

from collections.abc import Iterable

from madang.core import models
from madang.core.presence import Presence, Status
from madang.v1 import heartbeat_service_pb2 as heartbeat_pb
from madang.v1 import resources_pb2 as pb
from madang.wire.values import Names, micros, set_time

_USER_KINDS = Names(models.UserKind, "USER_KIND", pb.UserKind.Value)
SERVER_ROLES = Names(models.ServerRole, "SERVER_ROLE", pb.ServerRole.Value)
_SCOPES = Names(models.Scope, "TOKEN_SCOPE", pb.TokenScope.Value)
STATUSES = Names(Status, "PRESENCE_STATUS", heartbeat_pb.PresenceStatus.Value)


def user_to_pb(user: models.User) -> pb.User:
    """A user as the contract has it."""
    message = pb.User(
        user_id=user.user_id,
        handle=user.handle,
        kind=_USER_KINDS.contract(user.kind),
        role=SERVER_ROLES.contract(user.role),
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
        kind=_USER_KINDS.core_or(message.kind, models.UserKind.GUEST),
        created_at=micros(message.create_time),
        role=SERVER_ROLES.core_or(message.role, models.ServerRole.GUEST),
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
    return [_SCOPES.contract(scope) for scope in models.Scope if scope in scopes]


def scopes_from_pb(values: Iterable[pb.TokenScope.ValueType]) -> models.Scope:
    """What a token is good for as the core has it; a scope that is not known here counts for nothing."""
    scopes = models.Scope(0)
    for value in values:
        scopes |= _SCOPES.core_or(value, models.Scope(0))
    return scopes


def presence_to_pb(presence: Presence) -> heartbeat_pb.Presence:
    """A presence as the contract has it."""
    message = heartbeat_pb.Presence(user_id=presence.user_id, status=STATUSES.contract(presence.status))
    if presence.seen_at is not None:
        set_time(message.last_seen_time, presence.seen_at)
    return message


def presence_from_pb(message: heartbeat_pb.Presence) -> Presence:
    """A presence as the core has it; a status that is not known here counts as online."""
    return Presence(
        user_id=message.user_id,
        status=STATUSES.core_or(message.status, Status.ONLINE),
        seen_at=micros(message.last_seen_time) if message.HasField("last_seen_time") else None,
    )
