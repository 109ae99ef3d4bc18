"""Messages to protobuf and back, one field of the contract's `content` for each kind."""

from __future__ import annotations

from typing import Protocol

from madang.core import models
from madang.v1 import resources_pb2 as pb
from madang.wire.channels import CHANNEL_ROLES
from madang.wire.values import micros


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
            target.role_changed.role = CHANNEL_ROLES.contract(models.ChannelRole(int(role)))
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
            role = CHANNEL_ROLES.core_or(message.role_changed.role, models.ChannelRole.MEMBER)
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
