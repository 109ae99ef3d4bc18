"""What the parts of the system tell each other after something happened. They travel over the bus."""

from __future__ import annotations

from dataclasses import dataclass

from madang.core.claims import Claim
from madang.core.models import Changes, ServerRole, User
from madang.core.presence import Presence


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    """A user joined or left a channel. `position`: the channel's head right after."""

    channel_id: int
    user_id: int
    joined: bool
    position: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session was signed out or revoked: its streams have to end."""

    session_id: int
    user_id: int


@dataclass(frozen=True, slots=True)
class ReadMarkMoved:
    """A user has read further, on one of its devices."""

    channel_id: int
    user_id: int
    read_through: int


@dataclass(frozen=True, slots=True)
class UserChanged:
    """A user's account changed."""

    user: User


@dataclass(frozen=True, slots=True)
class ServerRoleChanged:
    """A user may do more, or less, on this server: what is known of its sessions has to follow."""

    user_id: int
    role: ServerRole


@dataclass(frozen=True, slots=True)
class BotLimitsChanged:
    """An administrator set how many messages a bot may send, a second and at once; 0: as the settings say."""

    user_id: int
    messages_per_second: int
    burst: int


@dataclass(frozen=True, slots=True)
class TextsErased:
    """Texts are gone from the store: whoever keeps copies of a channel's latest changes has to let go of them."""

    channel_id: int


@dataclass(frozen=True, slots=True)
class HeadKnown:
    """A channel goes at least as far as this sequence: whoever is behind has missed something, and asks the store."""

    channel_id: int
    sequence: int


@dataclass(frozen=True, slots=True)
class TypingStarted:
    """A user is writing in a channel."""

    channel_id: int
    user_id: int


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Users' presence changed, in the eyes of this node: it never leaves it."""

    presences: tuple[Presence, ...]


@dataclass(frozen=True, slots=True)
class ClaimsChanged:
    """What a node says of who is present on it changed: from its version `after` to `version`."""

    node_id: str
    after: int
    version: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class NewsLost:
    """What a node told before may not have come: what is known here has to be held against the store."""


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """Changes in their encoded form: the segment of `(after, through]`; see `madang.wire.batches`.

    `trace`: by what the way of one of them is followed, a W3C traceparent; empty for nearly all.
    """

    channel_id: int
    after: int
    through: int
    segment: bytes
    trace: str = ""


_Lasting = (
    MembershipChanged
    | SessionEnded
    | ReadMarkMoved
    | UserChanged
    | ServerRoleChanged
    | BotLimitsChanged
    | TextsErased
    | HeadKnown
)

Event = Changes | _Lasting
"""What a transaction leaves for the others to know."""

BusEvent = ChannelChanged | _Lasting | TypingStarted | PresenceChanged | ClaimsChanged | NewsLost
"""What travels over the bus."""
