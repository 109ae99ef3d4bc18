"""`madang console`: what is typed goes to the server, what happens there is printed.

Three tasks, and nothing else runs:

- *typed* takes one line after another, and carries it out;
- *follow* takes one event after another into the view, and prints the lines that it gives;
- *mark* tells the server now and then how far the user has read.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import aclosing, suppress

from madang.client.client import Client
from madang.core.errors import MadangError, Unauthenticated
from madang.core.models import LOBBY_ID, Channel, Content
from madang.terminal import lines, secrets
from madang.terminal.commands import Command, Invoke, Misread, Say, parse
from madang.terminal.desk import Desk
from madang.terminal.exits import CommandError, Exit, explain
from madang.terminal.handlers import COMMANDS, Handler
from madang.terminal.happenings import happened
from madang.terminal.identity import NewPerson, become
from madang.terminal.lines import Line
from madang.terminal.options import Options, as_name, read_options
from madang.terminal.output import print_error
from madang.terminal.pending import Unsent
from madang.terminal.places import checked_handle, is_numbered
from madang.terminal.safe import safe_line
from madang.terminal.screen import PlainScreen, Screen
from madang.terminal.selves import Becoming
from madang.terminal.signin import comes_anew, for_console, not_known
from madang.terminal.titles import shown
from madang.terminal.view import View

_PAST = 10
_LOOKED_AT = 200
"""Among so many messages of a channel the user's own are looked for, to tell how many are new."""
_LAST_SENDS = 3.0
_MARK_EVERY = 1.0
_BESIDE = (
    "Another console of {handle} is open here: this one is the same person, and keeps nothing on disk. "
    "The option --name comes as somebody else."
)
_LAST_MARKS = 1.0


class Console:
    """One run of the line mode."""

    def __init__(self, client: Client, view: View, screen: Screen, timeout: float) -> None:
        """`timeout`: seconds that a command waits for the server."""
        self._desk = Desk(client, view, screen)
        self._client = client
        self._view = view
        self._timeout = timeout
        self._marked: dict[int, int] = {}

    @property
    def becoming(self) -> Becoming | None:
        """Who the user wants to be next; None where it wants to leave."""
        return self._desk.becoming

    async def run(self) -> int:
        """Until the input ends or the user leaves; returns how many messages are not sent."""
        await self._greet()
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(self._follow()), tasks.create_task(self._mark())]
            await self._take_lines()
            for task in others:
                task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_MARKS):
                await self._mark_now()
        return len(self._view.pending)

    @property
    def unsaid(self) -> int:
        """How many lines were not sent, because the user was not where it wanted to be."""
        return self._desk.unsaid

    async def _greet(self) -> None:
        """Where one is connected, as whom, what was said last, and how to go on."""
        server, view = self._client.server, self._view
        await self._desk.note(f"Madang {server.version} on {server.target}. You are {view.me.handle}.")
        missed = 0
        for channel, member in await self._client.channels():
            view.channel_names.add(view.named(channel).name)
            if member is not None:
                behind = channel.sequence - member.read_through
                view.enter(channel, channel.sequence, unread=await self._news(channel, behind))
                missed = behind if channel.channel_id == LOBBY_ID else missed
        await self._desk.go_in(view.current, past=_PAST)
        if missed > _PAST:
            more = f"{missed - _PAST} more since you were last here"
            await self._desk.note(f"{more}; /history {min(missed, 500)} shows them.")
        await self._desk.say(*view.unread_lines())
        await self._desk.note(f"Type to talk in {shown(view.current.name)}. /help lists the commands, /quit leaves.")
        for outgoing in self._client.pending:
            view.sending(Unsent(outgoing.request_id, outgoing.channel_id, outgoing.text))

    async def _news(self, channel: Channel, behind: int) -> int:
        """How many messages of others there are among the last `behind`; of very many, only the last are looked at."""
        seen = min(behind, _LOOKED_AT)
        recent = await self._client.history(channel, limit=seen) if behind > 0 else []
        me = self._view.me.user_id
        return behind - seen + sum(each.content is Content.TEXT and each.author_id != me for each in recent)

    # What is typed

    async def _take_lines(self) -> None:
        async with aclosing(self._desk.screen.typed()) as typed:
            async for line in typed:
                await self._obey(line)
                if self._desk.leaving:
                    break
            await self._settle()

    async def _settle(self) -> None:
        """Wait for what is still on its way: for a script as long as it goes on, which takes its time at a limit."""
        while True:
            before = len(self._view.pending)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience()):
                    return await self._desk.settled()
            if self._desk.screen.interactive or len(self._view.pending) >= before:
                return None

    def _patience(self) -> float:
        """How many seconds to wait for what is still on its way: a script wants it sent, a person wants to go."""
        if not self._desk.screen.interactive:
            return self._timeout
        return _LAST_SENDS if self._client.online else 0.0

    async def _obey(self, line: str) -> None:
        match parse(line, COMMANDS):
            case Say(text):
                await self._desk.talk(text)
            case Misread(hint, meant):
                if meant:
                    self._desk.astray = f"{meant} did not work"
                await self._desk.say(*self._echo(line), lines.problem(hint))
            case Invoke(command, argument):
                await self._invoke(command, argument, line)

    async def _invoke(self, command: Command[Handler], argument: str, line: str) -> None:
        if command.name != "all":
            await self._desk.say(*self._echo(line))
        if command.goes_with(argument):
            self._desk.astray = f"{command.usage.split()[0]} did not work"  # until it has got there
        if not (command.offline or self._client.online):
            return await self._desk.say(lines.problem("This needs the connection; it works again when that is back."))
        current = self._view.current
        try:
            async with asyncio.timeout(self._timeout):
                await command.handler(self._desk, argument)
        except (MadangError, CommandError, TimeoutError) as error:
            name = self._place(error, current)
            await self._desk.say(lines.problem(explain(error, channel=name, to_join=f"/join {name} joins it")))

    def _place(self, error: BaseException, current: Channel) -> str:
        """The name of the channel that the error is about, where the user is in it; else of the one it was in."""
        channel_id = error.facts.get("channel_id") if isinstance(error, MadangError) else None
        room = self._view.rooms.get(channel_id) if isinstance(channel_id, int) else None
        return room.channel.name if room is not None else current.name

    def _echo(self, line: str) -> list[Line]:
        """The typed line, where it was erased from the screen when it was taken."""
        return [(("class:command", safe_line(f"> {line}")),)] if self._desk.screen.interactive else []

    # What happens

    async def _follow(self) -> None:
        async for event in self._client.events():
            before = self._view.current
            made = happened(self._view, event, self._client.server.target)
            if self._view.current_id != before.channel_id:
                self._desk.astray = f"you are no longer in {shown(before.name)}"
            if made:
                await self._desk.say(*made)
            self._desk.changed()

    # How far one has read

    async def _mark(self) -> None:
        while True:
            await asyncio.sleep(_MARK_EVERY)
            await self._mark_now()

    async def _mark_now(self) -> None:
        for room in list(self._view.rooms.values()):
            channel_id = room.channel.channel_id
            if self._client.online and room.last > self._marked.get(channel_id, 0):
                with suppress(MadangError):
                    await self._client.mark_read(channel_id, room.last)
                    self._marked[channel_id] = room.last


def console(arguments: argparse.Namespace) -> int:
    """Run the command: one console after another, for as long as the user becomes somebody else in it."""
    options = read_options(arguments)
    while True:
        code, becoming = asyncio.run(_console(options))
        if becoming is None:
            return code
        options = _become(options, becoming)


def _become(options: Options, becoming: Becoming) -> Options:
    """Ask for the password while no console has the terminal, and sign in; where that fails, all is as it was."""
    try:
        other = as_name(options, checked_handle(becoming.handle) if becoming.handle else options.name)
        ask = secrets.ask_twice if becoming.new else secrets.ask
        password = ask(f"{'A password for' if becoming.new else 'The password of'} {other.name}: ")
        asyncio.run(become(other, NewPerson(other.name, password, new=becoming.new, invite=becoming.invite)))
    except (MadangError, CommandError, TimeoutError, OSError, ValueError) as error:
        print_error(explain(error))
        return options
    except KeyboardInterrupt:
        print_error("you are who you were")
        return options
    return other


async def _console(options: Options) -> tuple[Exit, Becoming | None]:
    """Run one console; returns how it ended, and who the user wants to be next."""
    new = await comes_anew(options)
    async with for_console(options) as (client, keeps):
        view = View(client.me, known=lambda user_id: client.known_user(user_id).handle)
        screen = _screen(view)
        _end_on_signals(screen)
        if options.folder is not None and options.token is None and not keeps:
            await screen.show([lines.note(_BESIDE.format(handle=client.me.handle))])
        if new and is_numbered(client.me.handle, options.name):
            await screen.show([lines.note(f"{options.name} is taken; you are {client.me.handle}.")])
        running = Console(client, view, screen, options.timeout)
        try:
            unsent = await running.run()
        except BaseExceptionGroup as group:
            error = group.exceptions[0]
            raise (await not_known(options, error) if isinstance(error, Unauthenticated) else error) from None
        if unsent:
            await screen.show([lines.note(_unsent_text(unsent, keeps))])
    refused = Exit.REFUSED if running.unsaid and not screen.interactive else Exit.DONE
    return Exit.NOT_NOW if unsent else refused, running.becoming


def _screen(view: View) -> Screen:
    """A prompt where someone sits at a terminal, plain lines anywhere else."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        return PlainScreen()
    from madang.terminal.prompt import PromptScreen

    return PromptScreen(view, COMMANDS)


def _end_on_signals(screen: Screen) -> None:
    """Let a signal from outside end the console as the user would, so that the terminal is put back."""
    if screen.interactive:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, screen.close)


def _unsent_text(unsent: int, keeps: bool) -> str:
    what = "1 message is" if unsent == 1 else f"{unsent} messages are"
    later = "The next console sends what is left." if keeps else "Nothing keeps what is left."
    return f"{what} not sent yet. {later}"
