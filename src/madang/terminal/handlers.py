"""The console's commands: the table, and what carries each of them out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from madang.core.errors import ChannelNotFound, MadangError
from madang.core.models import LOBBY_ID, Channel, ChannelKind
from madang.core.presence import Status
from madang.terminal import lines, moderation, selves
from madang.terminal.commands import Command, help_rows
from madang.terminal.desk import Desk
from madang.terminal.exits import CommandError, Exit, code_of, explain
from madang.terminal.listing import channel_lines
from madang.terminal.people import show_present, show_users
from madang.terminal.titles import shown

Handler = Callable[[Desk, str], Awaitable[None]]
_ANY = range(1, 1_000_000)
_HISTORY = 20
_HISTORY_AT_MOST = 500


async def say_in_lobby(desk: Desk, argument: str) -> None:
    """`/all TEXT`."""
    await desk.post(desk.view.rooms[LOBBY_ID].channel, argument)


async def make_channel(desk: Desk, argument: str) -> None:
    """`/make NAME [TOPIC]`."""
    name, _, topic = argument.partition(" ")
    await _go_in_new(desk, lambda: desk.client.create_channel(name.removeprefix("#"), topic.strip()))


async def make_private_channel(desk: Desk, argument: str) -> None:
    """`/private NAME [TOPIC]`."""
    name, _, topic = argument.partition(" ")
    create = desk.client.create_channel
    await _go_in_new(desk, lambda: create(name.removeprefix("#"), topic.strip(), kind=ChannelKind.PRIVATE))


async def list_channels(desk: Desk, argument: str) -> None:
    """`/list`."""
    infos = await desk.client.channels()
    desk.view.channel_names.update(desk.view.named(info.channel).name for info in infos)
    rows = channel_lines([(desk.view.named(info.channel), info.member) for info in infos], desk.view.current_id)
    await desk.print_table("Channels:", rows)


async def join_channel(desk: Desk, argument: str) -> None:
    """`/join NAME|ID`."""
    if known := desk.view.find(argument):
        return await desk.go_in(known)
    try:
        return await _go_in_new(desk, lambda: desk.client.join(argument))
    except ChannelNotFound:
        raise _no_such(argument.removeprefix("#")) from None
    except MadangError as error:  # about the channel that was asked for, not the one that the user is in
        raise CommandError(explain(error, channel=argument.removeprefix("#")), code_of(error)) from None


async def leave_channel(desk: Desk, argument: str) -> None:
    """`/leave [NAME]`. What was written there before goes out first."""
    channel = await _joined(desk, argument) if argument else desk.view.current
    await desk.settled(channel.channel_id)
    await desk.client.leave(channel)
    if not argument:
        desk.astray = ""
    await desk.say(*desk.view.leave(channel.channel_id))


async def switch_channel(desk: Desk, argument: str) -> None:
    """`/switch NAME`."""
    await desk.go_in(await _joined(desk, argument))


async def message_user(desk: Desk, argument: str) -> None:
    """`/msg USER[,USER] [TEXT]`: talk in the direct channel, or say one thing there."""
    who, _, text = argument.partition(" ")
    others = [other for other in who.split(",") if other]
    if not text.strip():
        return await _go_in_new(desk, lambda: desk.client.open_direct(*others))
    channel = await desk.client.open_direct(*others)
    desk.view.enter(channel, channel.sequence)
    return await desk.post(desk.view.named(channel), text.strip())


async def topic(desk: Desk, argument: str) -> None:
    """`/topic [TEXT]`. A new topic is printed when it comes over the stream."""
    channel = desk.view.current
    if argument:
        await desk.client.update_channel(channel, topic="" if argument == "-" else argument)
    elif channel.topic:
        await desk.note(f"{shown(channel.name)} is about: {channel.topic}")
    else:
        await desk.note(f"{shown(channel.name)} has no topic; /topic TEXT sets one.")


async def show_history(desk: Desk, argument: str) -> None:
    """`/history [N]`."""
    limit = int(argument) if argument.isdecimal() else 0 if argument else _HISTORY
    if not 0 < limit <= _HISTORY_AT_MOST:
        raise CommandError(f"write a number from 1 to {_HISTORY_AT_MOST} after /history", Exit.REFUSED)
    channel = desk.view.current
    past = await desk.authored(await desk.client.history(channel, limit=limit))
    title = lines.rule(f"the last {len(past)} messages of {shown(channel.name)}")
    await desk.say(title, *desk.view.past(channel, past), lines.rule("end of the history"))


async def go_away(desk: Desk, argument: str) -> None:
    """`/away`."""
    await desk.client.set_status(Status.AWAY)
    await desk.note("The others see you as away. /back ends it.")


async def come_back(desk: Desk, argument: str) -> None:
    """`/back`."""
    await desk.client.set_status(Status.ONLINE)
    await desk.note("The others see you as here.")


async def show_help(desk: Desk, argument: str) -> None:
    """`/help`."""
    chat = [("TEXT", "say it in the current channel"), ("//TEXT", "say a text that begins with /")]
    rows = [*chat, *help_rows(COMMANDS)]
    await desk.print_table("What you can type:", lines.table(rows))


async def leave_console(desk: Desk, argument: str) -> None:
    """`/quit`."""
    desk.leaving = True


COMMANDS: tuple[Command[Handler], ...] = (
    Command("all", "TEXT", "say something in the lobby", say_in_lobby, offline=True, free=True),
    Command(
        "msg",
        "USER[,USER] [TEXT]",
        "talk to somebody alone, or say one thing there",
        message_user,
        free=True,
        goes=(1,),
    ),
    Command("make", "NAME [TOPIC]", "make a channel, and talk there", make_channel, free=True, goes=_ANY),
    Command(
        "private",
        "NAME [TOPIC]",
        "make a channel that only those who are invited see",
        make_private_channel,
        free=True,
        goes=_ANY,
    ),
    Command("list", "", "list the channels", list_channels, aliases=("channels",)),
    Command("join", "NAME|ID", "join a channel, and talk there", join_channel, goes=(1,)),
    Command(
        "leave", "[NAME]", "leave the current channel, or another one", leave_channel, aliases=("part",), goes=(0,)
    ),
    Command("switch", "NAME", "talk in another channel that you have joined", switch_channel, goes=(1,), offline=True),
    Command("user", "[NAME|ID]", "who is where; a user, or the people of a channel", show_users, aliases=("users",)),
    Command("who", "", "who of the current channel is here", show_present),
    Command("topic", "[TEXT]", "show or set the channel's topic; - takes it away", topic, free=True),
    Command("history", "[N]", f"show the last {_HISTORY}, or N, messages of the channel", show_history),
    Command("invite", "USER [CHANNEL]", "bring somebody into the channel", moderation.add_member),
    Command("report", "SEQ|USER [REASON]", "report a message, or the last one of a user", moderation.report, free=True),
    Command("kick", "USER [REASON]", "remove somebody from the channel", moderation.kick, free=True),
    Command("ban", "USER [7d] [REASON]", "remove somebody, and keep it out", moderation.ban, free=True),
    Command("unban", "USER", "let somebody come again", moderation.unban),
    Command("bans", "", "who is banned from the channel", moderation.show_bans),
    Command("mute", "USER [10m|off]", "keep somebody from writing for a while", moderation.mute),
    Command("role", "USER ROLE", "make somebody owner, moderator or member", moderation.set_role),
    Command("readonly", "on|off", "let only moderators and owners write", moderation.read_only),
    Command("slow", "SECONDS|off", "slow mode: so long between two messages of a member", moderation.slow),
    Command("guests", "on|off", "let guests into the channel", moderation.guests),
    Command("nick", "NAME", "change your handle", selves.change_handle),
    Command("name", "DISPLAY NAME", "set the name beside your handle; - takes it away", selves.change_name, free=True),
    Command("status", "TEXT", "say what you are at; - takes it away", selves.change_status, free=True),
    Command("away", "", "be seen as away", go_away),
    Command("back", "", "be seen as here", come_back),
    Command("signin", "[HANDLE]", "sign in with your account", selves.sign_in, offline=True, free=True),
    Command(
        "register",
        "HANDLE [CODE]",
        "make an account, with the code of an invite",
        selves.register,
        offline=True,
        free=True,
    ),
    Command("help", "", "this list", show_help, aliases=("?",), offline=True),
    Command("quit", "", "leave the console (so does Ctrl-D)", leave_console, aliases=("exit",), offline=True),
)


async def _joined(desk: Desk, name: str) -> Channel:
    """The channel of that name, among those that the user is in. Raises CommandError, which says how to get in."""
    channel = desk.view.find(name)
    if channel is not None:
        return channel
    plain = name.removeprefix("#")
    way = f"/msg {plain[1:]} opens it" if plain.startswith("@") else f"/join {plain} joins it"
    if not plain.startswith("@") and desk.client.online:
        try:
            await desk.client.channel(plain)
        except ChannelNotFound:
            raise _no_such(plain) from None
    raise CommandError(f"you are not in {shown(plain)}; {way}", Exit.NOT_PERMITTED)


def _no_such(name: str) -> CommandError:
    return CommandError(f"there is no channel #{name}; /make {name} makes it", Exit.NOT_FOUND)


async def _go_in_new(desk: Desk, get_in: Callable[[], Awaitable[Channel]]) -> None:
    desk.view.hold()
    try:
        await desk.go_in(await get_in())
    finally:
        await desk.say(*desk.view.release())
