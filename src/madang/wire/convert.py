"""Models to protobuf and back, one pair of functions for each resource of the contract."""

from __future__ import annotations

import uuid
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from madang.core import models
from madang.core.presence import Presence, Status
from madang.v1 import heartbeat_service_pb2 as heartbeat_pb
from madang.v1 import resources_pb2 as pb

_USER_KINDS: dict[models.UserKind, pb.UserKind.ValueType] = {
    models.UserKind.GUEST: pb.USER_KIND_GUEST,
    models.UserKind.CLASSIC: pb.USER_KIND_CLASSIC,
}
_USER_KINDS_BACK = {value: key for key, value in _USER_KINDS.items()}
_CHANNEL_KINDS: dict[models.ChannelKind, pb.ChannelKind.ValueType] = {
    models.ChannelKind.LOBBY: pb.CHANNEL_KIND_LOBBY,
    models.ChannelKind.PUBLIC: pb.CHANNEL_KIND_PUBLIC,
}
_CHANNEL_KINDS_BACK = {value: key for key, value in _CHANNEL_KINDS.items()}
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
    message = pb.User(user_id=user.user_id, handle=user.handle, kind=_USER_KINDS[user.kind])
    set_time(message.create_time, user.created_at)
    return message


def user_from_pb(message: pb.User) -> models.User:
    """A user as the core has it; a kind that is not known here counts as a guest."""
    return models.User(
        user_id=message.user_id,
        handle=message.handle,
        kind=_USER_KINDS_BACK.get(message.kind, models.UserKind.GUEST),
        created_at=micros(message.create_time),
    )


def session_to_pb(session: models.Session) -> pb.Session:
    """A session as the contract has it."""
    message = pb.Session(session_id=session.session_id, user_id=session.user_id, device=session.device)
    set_time(message.create_time, session.created_at)
    set_time(message.expire_time, session.expires_at)
    return message


def session_from_pb(message: pb.Session) -> models.Session:
    """A session as the core has it. The contract does not tell the last use; it is taken as the creation."""
    created = micros(message.create_time)
    return models.Session(
        session_id=message.session_id,
        user_id=message.user_id,
        device=message.device,
        created_at=created,
        used_at=created,
        expires_at=micros(message.expire_time),
    )


def channel_to_pb(channel: models.Channel) -> pb.Channel:
    """A channel as the contract has it."""
    message = pb.Channel(
        channel_id=channel.channel_id,
        name=channel.name,
        topic=channel.topic,
        kind=_CHANNEL_KINDS[channel.kind],
        owner_id=channel.owner_id,
        sequence=channel.sequence,
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
    )


def member_to_pb(member: models.Member) -> pb.Member:
    """A membership as the contract has it."""
    message = pb.Member(channel_id=member.channel_id, user_id=member.user_id, read_through=member.read_through)
    if member.joined_at is not None:
        set_time(message.join_time, member.joined_at)
    return message


def member_from_pb(message: pb.Member) -> models.Member:
    """A membership as the core has it."""
    return models.Member(
        channel_id=message.channel_id,
        user_id=message.user_id,
        joined_at=micros(message.join_time) if message.HasField("join_time") else None,
        read_through=message.read_through,
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
    return (models.Content.ARCHIVED if update.archived else models.Content.UNARCHIVED), ""
