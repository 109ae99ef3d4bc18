"""Channels and memberships to protobuf and back."""

from __future__ import annotations

from madang.core import models
from madang.v1 import resources_pb2 as pb
from madang.wire.values import Names, micros, set_time

CHANNEL_KINDS = Names(models.ChannelKind, "CHANNEL_KIND", pb.ChannelKind.Value)
CHANNEL_ROLES = Names(models.ChannelRole, "CHANNEL_ROLE", pb.ChannelRole.Value)


def channel_to_pb(channel: models.Channel) -> pb.Channel:
    """A channel as the contract has it."""
    message = pb.Channel(
        channel_id=channel.channel_id,
        name=channel.name,
        topic=channel.topic,
        kind=CHANNEL_KINDS.contract(channel.kind),
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
        kind=CHANNEL_KINDS.core_or(message.kind, models.ChannelKind.PUBLIC),
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
        role=CHANNEL_ROLES.contract(member.role),
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
        role=CHANNEL_ROLES.core_or(message.role, models.ChannelRole.MEMBER),
        muted_until=micros(message.mute_expire_time) if message.HasField("mute_expire_time") else None,
    )
