"""What `client.events()` yields. Frozen; `Event` is the union of all of it."""

from __future__ import annotations

from dataclasses import dataclass

from madang.client.outgoing import Outgoing
from madang.core.errors import MadangError
from madang.core.models import Channel, Message, User
from madang.core.presence import Presence


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """An entry of a channel's conversation: words, a join, a leave, a new topic; `message.content` says which.

    `channel` is as it is after the entry, but for its `sequence`, which only moves when the channel itself changes.
    `subject` is to whom it was done, where somebody was removed or banned, or got a role; None otherwise.
    """

    channel: Channel
    author: User
    message: Message
    subject: User | None = None


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """The channel is in the stream from now on: news follow from `position`; the user has read through `read_through`.

    `channel.sequence` is the head at this moment: whoever has everything through it has caught up.
    """

    channel: Channel
    position: int
    read_through: int


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The channel is no longer in the stream: the user left it."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class ChannelReset:
    """The server's history is not the one that was known: drop what is known; news follow from `position`."""

    channel: Channel
    position: int


@dataclass(frozen=True, slots=True)
class TypingEvent:
    """Somebody is writing; good for 5 seconds."""

    channel: Channel
    user: User


@dataclass(frozen=True, slots=True)
class ReadMarkMoved:
    """The user has read through here, on another device."""

    channel: Channel
    read_through: int


@dataclass(frozen=True, slots=True)
class UserChanged:
    """An account changed: a new handle, say."""

    user: User


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """A user came, went, or wants to be seen differently. Only with `connect(presence=True)`."""

    user: User
    presence: Presence


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is there. `resumed`: news follow from where the client was, nothing is left out."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is lost, or a try to get it back has failed; the next try is in `retry_in` seconds."""

    error: MadangError
    retry_in: float


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was posted here reached STORED or FAILED."""

    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class SendDelayed:
    """A message that was posted here waits: the server takes no more so fast, or cannot store. It goes by itself.

    It is sent again in `seconds`; `error` says why (RateLimited, SlowMode, StorageUnavailable). `outgoing` is still
    SENDING. What was posted behind it (in slow mode: in its channel) waits too.
    """

    outgoing: Outgoing
    seconds: float
    error: MadangError


Event = (
    MessageEvent
    | ChannelOpened
    | ChannelClosed
    | ChannelReset
    | TypingEvent
    | ReadMarkMoved
    | UserChanged
    | PresenceChanged
    | Connected
    | Disconnected
    | Sent
    | SendDelayed
)
