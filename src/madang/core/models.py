"""What the services and the store talk about. Immutable; times are integer microseconds since the epoch, UTC.

`Message` and `Draft` are made by the ten thousand a second, so they are named tuples: a frozen dataclass takes four
times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

LOBBY_ID = 1
"""The channel that everyone is in."""


class UserKind(Enum):
    """What kind of account a user is; the value is what the store keeps."""

    GUEST = 1
    CLASSIC = 2


class ChannelKind(Enum):
    """What kind of channel it is; the value is what the store keeps."""

    LOBBY = 1
    PUBLIC = 2


class Content(Enum):
    """What a message is; the value is what the store keeps."""

    TEXT = 1
    MEMBER_JOINED = 2
    MEMBER_LEFT = 3
    RENAMED = 4
    TOPIC_CHANGED = 5
    ARCHIVED = 6
    UNARCHIVED = 7


@dataclass(frozen=True, slots=True)
class User:
    """Someone who can sign in."""

    user_id: int
    handle: str
    kind: UserKind
    created_at: int


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one user on one device."""

    session_id: int
    user_id: int
    device: str
    created_at: int
    used_at: int
    expires_at: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A place with one conversation, in one order. `sequence` is its head."""

    channel_id: int
    name: str
    topic: str
    kind: ChannelKind
    owner_id: int
    sequence: int
    created_at: int
    archived_at: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A user's place in a channel. `joined_at` is None in the lobby, where nobody joins."""

    channel_id: int
    user_id: int
    joined_at: int | None
    read_through: int


class Draft(NamedTuple):
    """A message that is yet to be stored. `request_id` holds the 16 bytes of a UUID."""

    channel_id: int
    author_id: int
    content: Content
    text: str
    request_id: bytes | None = None


class Message(NamedTuple):
    """A stored entry of a channel's conversation.

    `text` is the body of a TEXT message, the new name of a RENAMED one and the new topic of a TOPIC_CHANGED one; empty
    otherwise. `version` is the sequence of its last change: equal to `sequence` for one that never changed.
    """

    channel_id: int
    sequence: int
    version: int
    author_id: int
    created_at: int
    content: Content
    text: str


class Changes(NamedTuple):
    """A complete range of a channel's sequence, `(after, through]`: every message whose version lies in it, by
    version.
    """

    channel_id: int
    after: int
    through: int
    messages: list[Message]
