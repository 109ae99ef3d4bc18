"""What keeps order to protobuf and back: bans, reports, invites and the audit log."""

from __future__ import annotations

from madang.core import models
from madang.v1 import agent_service_pb2 as agent_pb
from madang.v1 import lobby_service_pb2 as lobby_pb
from madang.wire.people import SERVER_ROLES, user_to_pb
from madang.wire.values import micros, set_time


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
        role=SERVER_ROLES.contract(invite.role),
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
        role=SERVER_ROLES.core_or(message.role, models.ServerRole.MEMBER),
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
