"""What `--json` prints: one JSON object a line. The names of the fields are part of the command's interface.

    message   channel_id, channel, sequence, time, author_id, author, content, text
    sent      channel_id, channel, sequence, time, request_id, author_id, author, content, text
    channel   channel_id, channel, topic, kind, owner_id, sequence, time, archived_time, joined, read_through
    user      user_id, handle, kind, time, status, seen_time

A time is RFC 3339 in UTC with microseconds, or null. `content` is `text`, `member_joined`, `member_left`, `renamed`,
`topic_changed`, `archived` or `unarchived`; `kind` is `lobby` or `public` for a channel, `guest` or `classic` for a
user; `status` is `online`, `away`, `do not disturb` or `offline`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from madang.core.models import Channel, Member, Message, User
from madang.core.presence import Presence, Status
from madang.terminal.safe import safe_json

Record = dict[str, str | int | bool | None]

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
    return {
        "channel_id": message.channel_id,
        "channel": channel,
        "sequence": message.sequence,
        "time": timestamp(message.created_at),
        "author_id": message.author_id,
        "author": author,
        "content": message.content.name.lower(),
        "text": message.text,
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
        "time": timestamp(user.created_at),
        "status": (presence.status if presence else Status.OFFLINE).value,
        "seen_time": timestamp(presence.seen_at if presence else None),
    }


def timestamp(micros: int | None) -> str | None:
    """Microseconds since the epoch as RFC 3339: `2025-11-22T14:02:05.123456Z`."""
    if micros is None:
        return None
    seconds, rest = divmod(micros, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06}Z"
