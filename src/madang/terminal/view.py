"""What the console shows, without showing it: the current channel, what is unread, unsent, and the connection.

Pure: methods take what happened, and return the lines to print. Whatever has a sequence is printed once: each room
knows through which sequence everything was printed or counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from madang.core.contents import subject_id
from madang.core.models import LOBBY_ID, Channel, Content, Message, User
from madang.terminal import lines
from madang.terminal.lines import Line
from madang.terminal.pending import Pending, Unsent
from madang.terminal.safe import safe_line
from madang.terminal.titles import named, shown


@dataclass(slots=True)
class Room:
    """A channel that the user is in."""

    channel: Channel
    shown: int
    """Through this sequence everything was printed, or left out on purpose."""
    unread: int = 0
    """How many messages came while the user was in another channel."""
    last: int = 0
    """The last message that was printed while the channel was the current one: what the user has read."""
    visited: bool = False
    """Whether it was the current one yet."""


class View:
    """The state of one console."""

    def __init__(self, me: User, zone: tzinfo | None = None, known: Callable[[int], str] = str) -> None:
        """`known`: gives the handle of a user that the view has not met."""
        self.me = me
        self.zone = zone
        self.rooms: dict[int, Room] = {}
        self.pending = Pending()
        self.handles: dict[int, str] = {me.user_id: me.handle}
        self._known = known
        self.channel_names: set[str] = set()
        self.current_id = LOBBY_ID
        self.retry_at: float | None = None
        self.is_stuck = False
        self.at = ""
        self._day: date | None = None
        self._held: list[tuple[Channel, User, Message]] | None = None

    # Rooms

    @property
    def current(self) -> Channel:
        """The channel that chat goes to."""
        return self.rooms[self.current_id].channel

    def name(self, channel_id: int) -> str:
        """A channel's name; a sign where it is not known."""
        room = self.rooms.get(channel_id)
        return room.channel.name if room else "?"

    def find(self, name: str) -> Channel | None:
        """The channel of that name or id among those that the user is in."""
        wanted = name.removeprefix("#").casefold()
        return next((r.channel for r in self.rooms.values() if wanted in (r.channel.name.casefold(), _id(r))), None)

    def named(self, channel: Channel) -> Channel:
        """The channel with a name to show, also where it is a direct one."""
        return named(channel, self.me.user_id, self.handle)

    def handle(self, user_id: int) -> str:
        """A user's handle, as far as it is known."""
        return self.handles.get(user_id) or self._known(user_id)

    def enter(self, channel: Channel, through: int, unread: int = 0) -> None:
        """The user is in a channel; where that is new, nothing of it through a sequence is to be printed."""
        channel = self.named(channel)
        self.channel_names.add(channel.name)
        room = self.rooms.setdefault(channel.channel_id, Room(channel, through, unread))
        room.channel = channel

    def opened(self, channel: Channel, position: int) -> None:
        """The live stream has a channel, from a position on."""
        if channel.channel_id in self.rooms or self._held is None:
            self.enter(channel, position)

    def hold(self) -> None:
        """The user is about to go into a channel: what comes from one that is not known yet waits until `release`, so
        that it is not printed before the channel's own heading and history.
        """
        self._held = []

    def release(self) -> list[Line]:
        """What waited, and was not printed meanwhile."""
        held, self._held = self._held or [], None
        return [line for channel, author, message in held for line in self.message(channel, author, message)]

    def switch(self, channel: Channel) -> list[Line]:
        """Talk in another channel that the user is in."""
        self.current_id = channel.channel_id
        room = self.rooms[channel.channel_id]
        room.visited = True
        room.unread = 0
        room.last = room.shown
        return [self._heading(room.channel)]

    def leave(self, channel_id: int) -> list[Line]:
        """The user is no longer in a channel; nothing happens when that was known."""
        room = self.rooms.pop(channel_id, None)
        if room is None:
            return []
        self.pending.left(channel_id)
        said = [lines.note(f"You are no longer in {shown(room.channel.name)}.")]
        if self.current_id == channel_id:
            said += self.switch(self.rooms[LOBBY_ID].channel)
        return said

    def reset(self, channel: Channel, position: int) -> list[Line]:
        """The server went back to an older state of a channel, and goes on from `position`."""
        self.enter(channel, position)
        self.rooms[channel.channel_id].shown = position
        self.pending.left(channel.channel_id)
        place = shown(self.name(channel.channel_id))
        return [lines.note(f"The server went back to an older state of {place}; what came later is lost there.")]

    def read(self, channel_id: int, through: int) -> None:
        """The user read a channel on another device."""
        room = self.rooms.get(channel_id)
        if room is not None and through >= room.shown:
            room.unread = 0

    # What came

    def past(self, channel: Channel, messages: Sequence[tuple[Message, str]]) -> list[Line]:
        """The end of a channel's history, each message with its author's handle, to be printed when it is entered."""
        printed = [line for message, author in messages for line in self._lines(message, author, self._place(channel))]
        if messages and channel.channel_id in self.rooms:
            room = self.rooms[channel.channel_id]
            room.shown = max(room.shown, messages[-1][0].sequence)
            room.last = room.shown
        return printed

    def message(self, channel: Channel, author: User, message: Message) -> list[Line]:
        """A message of the live stream."""
        if self._held is not None and channel.channel_id not in self.rooms:
            self._held.append((channel, author, message))
            return []
        self.enter(channel, message.sequence - 1)
        room = self.rooms[channel.channel_id]
        self.pending.came(message, own=author.user_id == self.me.user_id)
        if message.sequence <= room.shown:
            return []
        room.shown = message.sequence
        self.handles[author.user_id] = author.handle
        self._count(room, author, message)
        return self._lines(message, author.handle, self._place(channel))

    def user(self, user: User) -> list[Line]:
        """A user's account changed."""
        before = self.handles.get(user.user_id, "")
        self.handles[user.user_id] = user.handle
        mine = user.user_id == self.me.user_id
        if mine:
            self.me = user
        if before in ("", user.handle):
            return []
        return [lines.note(f"{'You are' if mine else f'{before} is'} {user.handle} now.")]

    def meet(self, users: Iterable[User]) -> None:
        """Know users by their handles."""
        self.handles.update({user.user_id: user.handle for user in users})

    # What the user wrote

    def sending(self, message: Unsent) -> Line:
        """The user wrote something; the line that says so where nothing else on the screen does."""
        self.pending.add(message)
        return lines.sending_line(message.text, channel=self._other(message.channel_id))

    def stored(self, request_id: str, channel_id: int, sequence: int) -> None:
        """A message of the user's own is stored. It is printed when it comes back over the stream."""
        self.is_stuck = False
        room = self.rooms.get(channel_id)
        self.pending.stored(request_id, channel_id, sequence, seen=room is None or room.shown >= sequence)

    def delayed(self, request_id: str, until: float) -> None:
        """A message of the user's own waits until a moment (seconds since the epoch): the user was too fast."""
        self.pending.delayed(request_id, until)

    def refused(self, message: Unsent, reason: str, now: int) -> list[Line]:
        """A message of the user's own was refused; `now` in microseconds."""
        self.pending.refused(message.request_id)
        where = self._other(message.channel_id)
        when = lines.clock(now, self.zone)
        return lines.refused_lines(message.text, reason, self.me.handle, when=when, channel=where)

    def region(self, columns: int, now: float, most: int = 5) -> list[Line]:
        """The live region above the prompt: what is not stored yet. `now`: seconds since the epoch."""
        return self.pending.region(columns, most, self._other, now)

    # The connection

    def lost(self, reason: str, retry_at: float, at: str = "") -> list[Line]:
        """The connection is gone; the next try is at `retry_at`. Told once, however many tries fail. `at`: the node
        where that will be.
        """
        first = self.retry_at is None
        self.retry_at = retry_at
        goes_on = "Trying again until it is back" if self.at in ("", at) else f"Going on at {at}"
        return [lines.problem(f"The connection is lost ({reason}). {goes_on}.")] if first else []

    def stuck(self, reason: str) -> list[Line]:
        """The server is there, and cannot store what the user wrote. Told once, until something is stored."""
        first, self.is_stuck = not self.is_stuck, True
        return [lines.problem(f"{reason[:1].upper()}{reason[1:]}. What you write goes when it can.")] if first else []

    def back(self, at: str = "") -> list[Line]:
        """The connection is there; `at`: the node."""
        was_lost, self.retry_at = self.retry_at is not None, None
        before, self.at = self.at, at
        where = "" if before in ("", at) else f", at {at}"
        return [lines.note(f"Connected again{where}.")] if was_lost else []

    def status(self, now: float) -> Line:
        """The line below the prompt: where one talks, as whom, the connection, what is unsent and unread."""
        parts = [shown(self.current.name), self.me.handle, self._link(now)]
        if self.pending:
            parts.append(f"{len(self.pending)} unsent")
        parts += [f"{shown(room.channel.name)} {room.unread} new" for room in self.rooms.values() if room.unread]
        return (("class:status", safe_line("  ·  ".join(parts))),)

    def _link(self, now: float) -> str:
        if self.retry_at is None:
            return "connected, cannot store now" if self.is_stuck else "connected"
        wait = max(0, round(self.retry_at - now))
        return f"reconnecting in {wait} s" if wait else "reconnecting"

    # How it is printed

    def unread_lines(self) -> list[Line]:
        """What is new in the channels that are not the current one."""
        return [
            lines.note(f"{shown(room.channel.name)}: {room.unread} new; /switch {room.channel.name} goes there.")
            for room in self.rooms.values()
            if room.unread
        ]

    def days(self, moment: datetime) -> list[Line]:
        """The line that begins a day, when `moment` is in another day than what was printed last."""
        before, self._day = self._day, moment.date()
        return [] if before == self._day else [lines.day_line(moment)]

    def _lines(self, message: Message, author: str, where: str) -> list[Line]:
        moment = lines.local(message.created_at, self.zone)
        own = message.author_id == self.me.user_id
        when = f"{moment:%H:%M}"
        subject = self.handle(about) if (about := subject_id(message)) else ""
        made = lines.message_lines(message, author, when=when, channel=where, own=own, subject=subject)
        return [*self.days(moment), *made]

    def _place(self, channel: Channel) -> str:
        return "" if channel.channel_id == self.current_id else self.named(channel).name

    def _other(self, channel_id: int) -> str:
        return "" if channel_id == self.current_id else self.name(channel_id)

    def _heading(self, channel: Channel) -> Line:
        topic = f": {channel.topic}" if channel.topic else ""
        return lines.rule(f"{shown(channel.name)}{topic}")

    def _count(self, room: Room, author: User, message: Message) -> None:
        if room.channel.channel_id == self.current_id:
            room.last = message.sequence
        elif message.content is Content.TEXT and author.user_id != self.me.user_id:
            room.unread += 1


def _id(room: Room) -> str:
    return str(room.channel.channel_id)
