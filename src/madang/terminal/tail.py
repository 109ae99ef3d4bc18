"""`madang tail`: what was said in a channel, and what is said from now on."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import suppress

from madang.client.client import Client
from madang.client.events import ChannelClosed, ChannelReset, Connected, Disconnected, MessageEvent
from madang.core.contents import subject_id
from madang.core.errors import NotAMember
from madang.core.models import Channel, Message
from madang.terminal import lines
from madang.terminal.exits import CommandError, Exit, explain
from madang.terminal.options import Options, read_options
from madang.terminal.output import ends_with_its_reader, print_error, print_lines, print_record
from madang.terminal.records import message_record
from madang.terminal.rooms import outside, room
from madang.terminal.signin import one_shot
from madang.terminal.titles import people_of, shown

_LAST = 10


class _Enough(Exception):
    """As many messages were printed as were asked for."""


class _Printer:
    """Prints messages until there are enough of them; what was printed is not printed again."""

    def __init__(self, arguments: argparse.Namespace, channel: Channel) -> None:
        self._json: bool = arguments.json
        self._left: int | None = arguments.limit
        self._channel = channel.name
        self.through = 0

    def take(self, message: Message, author: str, subject: str = "") -> None:
        """Print a message; raises _Enough after the last one. `subject`: to whom it was done."""
        if message.sequence <= self.through:
            return
        self.through = message.sequence
        if self._json:
            print_record(message_record(message, self._channel, author))
        else:
            when = lines.stamp(message.created_at)
            print_lines(lines.message_lines(message, author, when=when, subject=subject))
        self._count()

    def _count(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                raise _Enough


async def tail(arguments: argparse.Namespace) -> int:
    """Run the command."""
    options = read_options(arguments)
    with suppress(_Enough), ends_with_its_reader():
        if arguments.join:
            async with one_shot(options) as client:
                await room(client, arguments.channel, join=True)
        try:
            await _read(arguments, options)
        except NotAMember:
            raise outside(arguments.channel.removeprefix("#")) from None
    return Exit.DONE


async def _read(arguments: argparse.Namespace, options: Options) -> None:
    """Print the past and what follows. The live stream begins before the past is read, so that nothing is left out."""
    only = [await _where(arguments, options)] if arguments.follow else None
    async with one_shot(options, live=arguments.follow, channels=only) as client:
        channel = await room(client, arguments.channel, join=False)
        printer = _Printer(arguments, channel)
        async for message in _past(client, channel, arguments):
            about = subject_id(message)
            printer.take(message, await client.name(message.author_id), await client.name(about) if about else "")
        if arguments.follow:
            start = channel.sequence if arguments.after is None else arguments.after
            printer.through = max(printer.through, start)
            await _follow(client, channel, printer)


async def _where(arguments: argparse.Namespace, options: Options) -> int | str:
    """The channel as the live stream is asked for it: a direct one has no name there."""
    if people_of(arguments.channel) is None:
        return str(arguments.channel)
    async with one_shot(options) as client:
        return (await room(client, arguments.channel, join=False)).channel_id


async def _past(client: Client, channel: Channel, arguments: argparse.Namespace) -> AsyncIterator[Message]:
    """The stored messages to begin with."""
    if arguments.after is not None:
        if arguments.after > channel.sequence:
            raise CommandError(
                f"--after {arguments.after} lies beyond the end of {shown(channel.name)}, {channel.sequence}",
                Exit.REFUSED,
            )
        async for message in client.messages(channel, after=arguments.after):
            yield message
        return
    for message in await client.history(channel, limit=_how_many(arguments)):
        yield message


def _how_many(arguments: argparse.Namespace) -> int:
    if arguments.last is not None:
        return int(arguments.last)
    return int(arguments.limit) if arguments.limit and not arguments.follow else _LAST


async def _follow(client: Client, channel: Channel, printer: _Printer) -> None:
    """Print what comes, for ever."""
    told = False
    async for event in client.events():
        match event:
            case MessageEvent(_, author, message, subject):
                printer.take(message, author.handle, subject.handle if subject is not None else "")
            case ChannelReset(_, position):
                printer.through = position
                print_error(f"the server went back to an older state of {shown(channel.name)}; going on from there")
            case ChannelClosed():
                raise CommandError(f"you are no longer in {shown(channel.name)}", Exit.NOT_PERMITTED)
            case Connected():
                told = False
            case Disconnected(error) if not told:
                told = True
                print_error(f"the connection is lost ({explain(error)}); trying again until it is back")
