"""What the services and the store talk about. Immutable; times are integer microseconds since the epoch, UTC.

`Message` and `Draft` are made by the ten thousand a second, so they are named tuples: a frozen dataclass takes four
times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import NamedTuple

LOBBY_ID = 1
"""The channel that everyone is in."""


class UserKind(Enum):
    """What kind of account a user is; the value is what the store keeps."""

    GUEST = 1
    CLASSIC = 2
    PERSON = 3
    BOT = 4


class ServerRole(IntEnum):
    """What an account may do on this server; the value is what the store keeps. Each includes those before it."""

    GUEST = 1
    BOT = 2
    MEMBER = 3
    ADMIN = 4
    OWNER = 5


class ChannelRole(IntEnum):
    """What a member may do in a channel; the value is what the store keeps. Each includes those before it."""

    MEMBER = 1
    MODERATOR = 2
    OWNER = 3


class Scope(IntFlag):
    """What a bot's token is good for; the store keeps their sum."""

    SEND = 1
    READ = 2
    MANAGE = 4


class Registration(Enum):
    """How one gets an account."""

    INVITE = "invite"
    OPEN = "open"
    CLOSED = "closed"


class ChannelKind(Enum):
    """What kind of channel it is; the value is what the store keeps."""

    LOBBY = 1
    PUBLIC = 2
    PRIVATE = 3
    DIRECT = 4


class Content(Enum):
    """What a message is; the value is what the store keeps."""

    TEXT = 1
    MEMBER_JOINED = 2
    MEMBER_LEFT = 3
    RENAMED = 4
    TOPIC_CHANGED = 5
    ARCHIVED = 6
    UNARCHIVED = 7
    MEMBER_REMOVED = 8
    MEMBER_BANNED = 9
    ROLE_CHANGED = 10
    READ_ONLY_CHANGED = 11
    SLOW_MODE_CHANGED = 12
    GUESTS_CHANGED = 13


@dataclass(frozen=True, slots=True)
class User:
    """Someone who can sign in."""

    user_id: int
    handle: str
    kind: UserKind
    created_at: int
    role: ServerRole = ServerRole.GUEST
    display_name: str = ""
    status_text: str = ""
    owner_id: int = 0
    deleted_at: int | None = None
    banned_at: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one user on one device, or a bot's token.

    `expires_at` 0: never. `scopes` None: good for everything that the user may do. `role` is the user's at the time
    when the session was read; it does not travel over the wire.
    """

    session_id: int
    user_id: int
    device: str
    created_at: int
    used_at: int
    expires_at: int
    revoked_at: int | None = None
    address: str = ""
    scopes: Scope | None = None
    role: ServerRole = ServerRole.GUEST


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something to be done: the user, its session and role, and the network address that it asks from."""

    user_id: int
    session_id: int
    role: ServerRole
    address: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """A place with one conversation, in one order. `sequence` is its head; `slow_mode` is in seconds, 0 for off."""

    channel_id: int
    name: str
    topic: str
    kind: ChannelKind
    owner_id: int
    sequence: int
    created_at: int
    archived_at: int | None = None
    read_only: bool = False
    slow_mode: int = 0
    guests: bool = True
    direct_user_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A user's place in a channel. `joined_at` is None in the lobby, where nobody joins."""

    channel_id: int
    user_id: int
    joined_at: int | None
    read_through: int
    role: ChannelRole = ChannelRole.MEMBER
    muted_until: int | None = None


@dataclass(frozen=True, slots=True)
class Ban:
    """A user is kept out of a channel, or (channel_id 0) of the server. `expires_at` None: for good."""

    channel_id: int
    user_id: int
    moderator_id: int
    reason: str
    created_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Invite:
    """A code with which people register. `creator_id` 0: the server's own first one."""

    invite_id: int
    creator_id: int
    role: ServerRole
    max_uses: int
    uses: int
    created_at: int
    expires_at: int
    revoked_at: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody says that a message is wrong. `text`: the message's, at the time of the report."""

    report_id: int
    channel_id: int
    sequence: int
    author_id: int
    reporter_id: int
    reason: str
    text: str
    created_at: int
    resolved_at: int | None
    resolver_id: int


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that somebody did. Ids are 0 where there is nobody, or no channel."""

    event_id: int
    created_at: int
    actor_id: int
    address: str
    action: str
    user_id: int
    channel_id: int
    details: dict[str, str]


class Draft(NamedTuple):
    """A message that is yet to be stored. `request_id` holds the 16 bytes of a UUID.

    `trace`: by what its way is followed, a W3C traceparent; empty for nearly all.
    """

    channel_id: int
    author_id: int
    content: Content
    text: str
    request_id: bytes | None = None
    trace: str = ""


class Message(NamedTuple):
    """A stored entry of a channel's conversation.

    `text` is the body of a TEXT message, the new name of a RENAMED one, the new topic of a TOPIC_CHANGED one, the
    user_id and after a space the reason of a MEMBER_REMOVED or MEMBER_BANNED one, the user_id and the role's number of
    a ROLE_CHANGED one, the new number of a SLOW_MODE_CHANGED one, 1 or 0 for READ_ONLY_CHANGED and GUESTS_CHANGED;
    empty otherwise. `version` is the sequence of its last change: equal to `sequence` for one that never changed.
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
    version. `trace`: that of one of them; empty where none is followed.
    """

    channel_id: int
    after: int
    through: int
    messages: list[Message]
    trace: str = ""
