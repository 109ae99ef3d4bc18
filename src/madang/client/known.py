"""What the client remembers of users and channels, by id, and of channels' names. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from madang.core.contents import number_of
from madang.core.models import Channel, Content, Message, User, UserKind

ChannelRef = int | str | Channel
"""A channel: its id, its name (a leading '#' is dropped; all digits are an id), or itself."""
UserRef = int | str | User
"""A user: its id, its handle (a leading '@' is dropped; all digits without one are an id), or itself."""


def parse_ref(ref: ChannelRef) -> int | str:
    """The id or the name that a reference to a channel holds."""
    if isinstance(ref, Channel):
        return ref.channel_id
    if isinstance(ref, int):
        return ref
    name = ref.removeprefix("#")
    return int(name) if name.isascii() and name.isdigit() else name


def parse_user_ref(ref: UserRef) -> int | str:
    """The id or the handle that a reference to a user holds."""
    if isinstance(ref, User):
        return ref.user_id
    if isinstance(ref, int):
        return ref
    return int(ref) if ref.isascii() and ref.isdigit() else ref.removeprefix("@")


class Known:
    """The users and channels that were seen, each as it last was."""

    def __init__(self) -> None:
        self._users: dict[int, User] = {}
        self._doubtful: set[int] = set()
        self._channels: dict[int, Channel] = {}
        self._ids: dict[str, int] = {}

    def has_user(self, user_id: int) -> bool:
        """Whether the user was seen before."""
        return user_id in self._users

    def is_doubtful(self, user_id: int) -> bool:
        """Whether the user may have changed unseen: nobody told, and nobody asked, since `doubt_users`."""
        return user_id in self._doubtful

    def doubt_users(self) -> None:
        """Nobody told of changes for a while: what is known of users may be old."""
        self._doubtful.update(self._users)

    def user_is(self, user: User) -> User:
        """Remember a user as it is now."""
        self._users[user.user_id] = user
        self._doubtful.discard(user.user_id)
        return user

    def channel_is(self, channel: Channel) -> Channel:
        """Remember a channel as it is now."""
        before = self._channels.get(channel.channel_id)
        if before is not None and self._ids.get(before.name.lower()) == channel.channel_id:
            del self._ids[before.name.lower()]
        self._channels[channel.channel_id] = channel
        if channel.name:  # a direct channel has none
            self._ids[channel.name.lower()] = channel.channel_id
        return channel

    def message_says(self, message: Message) -> None:
        """Let a change of a channel that is told in its conversation show in what is remembered of it."""
        channel = self._channels[message.channel_id]
        if message.sequence <= channel.sequence:  # an old change, read late: the channel has it, or a newer one
            return
        if (change := _CHANGES.get(message.content)) is not None:
            self.channel_is(replace(channel, **change(message), sequence=message.sequence))

    def channel(self, channel_id: int) -> Channel:
        """A channel that was seen before."""
        return self._channels[channel_id]

    def user(self, user_id: int) -> User:
        """A user that was seen before; a stand-in for one that the server does not know."""
        return self._users.get(user_id) or User(user_id, f"user-{user_id}", UserKind.GUEST, 0)

    def id_of(self, ref: ChannelRef) -> int | str:
        """A channel's id where it is known or given, else its name."""
        target = parse_ref(ref)
        return target if isinstance(target, int) else self._ids.get(target.lower(), target)


_CHANGES: dict[Content, Callable[[Message], dict[str, Any]]] = {
    Content.RENAMED: lambda message: {"name": message.text},
    Content.TOPIC_CHANGED: lambda message: {"topic": message.text},
    Content.ARCHIVED: lambda message: {"archived_at": message.created_at},
    Content.UNARCHIVED: lambda message: {"archived_at": None},
    Content.READ_ONLY_CHANGED: lambda message: {"read_only": bool(number_of(message))},
    Content.SLOW_MODE_CHANGED: lambda message: {"slow_mode": number_of(message)},
    Content.GUESTS_CHANGED: lambda message: {"guests": bool(number_of(message))},
}
"""What each kind of message says of its channel."""
