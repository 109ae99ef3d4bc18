"""What the console's commands work on: the client, the state of what is shown, and the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from madang.client.client import Client
from madang.core.contents import subject_id
from madang.core.errors import MadangError
from madang.core.models import Channel, Message
from madang.terminal import lines
from madang.terminal.clock import now_micros
from madang.terminal.exits import explain
from madang.terminal.lines import Line
from madang.terminal.pending import Unsent
from madang.terminal.screen import Screen
from madang.terminal.titles import shown
from madang.terminal.view import View

if TYPE_CHECKING:
    from madang.terminal.selves import Becoming


class Desk:
    """One console's parts, and the few things that all commands do with them."""

    def __init__(self, client: Client, view: View, screen: Screen) -> None:
        self.client = client
        self.view = view
        self.screen = screen
        self.leaving = False
        """Whether the user wants to leave the console."""
        self.becoming: Becoming | None = None
        """Who the user wants to be next."""
        self.astray = ""
        """Why the user may be in another channel than it thinks; empty when it is where it wanted to be."""
        self.unsaid = 0
        """How many lines were not sent because of that."""
        self._changed = asyncio.Event()

    async def say(self, *made: Line) -> None:
        """Print lines."""
        await self.screen.show(made)
        self.screen.refresh()

    async def note(self, *texts: str) -> None:
        """Print remarks."""
        await self.say(*(lines.note(text) for text in texts))

    async def post(self, channel: Channel, text: str) -> None:
        """Hand a message to the client; it is printed when it comes back over the stream."""
        try:
            outgoing = self.client.post(channel.channel_id, text)
        except MadangError as error:
            unsent = Unsent("", channel.channel_id, text)
            await self.say(*self.view.refused(unsent, explain(error, channel=channel.name), now_micros()))
            return
        sending = self.view.sending(Unsent(outgoing.request_id, channel.channel_id, text))
        await self.say(*([] if self.screen.interactive else [sending]))

    async def talk(self, text: str) -> None:
        """Say something in the current channel; but not where the user wanted to be in another one by now.

        Somebody at a terminal is told once, and sees where it is. A script cannot: it is told each time.
        """
        if not self.astray:
            return await self.post(self.view.current, text)
        here = shown(self.view.current.name)
        again = "; send it again to say it here" if self.screen.interactive else ""
        await self.say(lines.problem(f"Not sent: {self.astray}, and you are in {here}{again}."))
        self.unsaid += 1
        if self.screen.interactive:
            self.astray = ""
        return None

    async def settled(self, channel_id: int | None = None) -> None:
        """Wait until none of the user's own messages is on its way: in that channel, or anywhere."""
        while self.view.pending.any(channel_id):
            self._changed.clear()
            await self._changed.wait()

    def changed(self) -> None:
        """Something happened: whoever waits looks again."""
        self._changed.set()
        self.screen.refresh()

    async def go_in(self, channel: Channel, past: int = 10) -> None:
        """Talk in a channel that the user is in; its last messages are shown the first time, if one is connected."""
        room = self.view.rooms.get(channel.channel_id)
        first = room is None or not room.visited
        online = self.client.online
        recent = await self.client.history(channel, limit=past) if first and online else []
        authored = await self.authored(recent)
        self.view.enter(channel, channel.sequence)
        self.astray = ""
        await self.say(*self.view.switch(channel), *self.view.past(channel, authored))
        if first and not online:
            await self.note("There is no connection now; /history shows what was said here, when it is back.")

    async def authored(self, messages: Sequence[Message]) -> list[tuple[Message, str]]:
        """Messages with their authors' handles; the view can name those whom they are about, too."""
        await self.client.handles(subject_id(message) for message in messages)
        return [(message, await self.client.name(message.author_id)) for message in messages]

    async def print_table(self, title: str, rows: Iterable[str]) -> None:
        """Print a list under its title."""
        await self.note(title, *(f"  {row}" for row in rows))
