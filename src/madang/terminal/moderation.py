"""The console's commands of those who keep a channel in order, and `/report`, which is everyone's."""

from __future__ import annotations

from madang.core.errors import MadangError
from madang.core.models import ChannelRole, Content
from madang.terminal.desk import Desk
from madang.terminal.durations import is_duration, parse_duration, say_duration
from madang.terminal.exits import CommandError, Exit, code_of, explain
from madang.terminal.listing import ban_lines
from madang.terminal.titles import shown

_MUTE = 600
"""For how many seconds somebody is muted, when nothing is said."""
_RECENT = 200
"""Among how many messages the last one of a user is looked for."""
_ROLES = {role.name.lower(): role for role in ChannelRole}
_SWITCH = {"on": True, "off": False}


async def add_member(desk: Desk, argument: str) -> None:
    """`/invite USER [CHANNEL]`."""
    user, channel_name = _first(argument)
    channel = desk.view.current
    if channel_name:
        channel = desk.view.find(channel_name) or (await desk.client.channel(channel_name)).channel
    try:
        await desk.client.add_member(channel, user)
    except MadangError as error:  # about that channel, which need not be the one that the user is in
        raise CommandError(explain(error, channel=desk.view.named(channel).name), code_of(error)) from None
    await desk.note(f"{user.removeprefix('@')} is in {shown(channel.name)}.")


async def kick(desk: Desk, argument: str) -> None:
    """`/kick USER [REASON]`. It is printed when it comes over the stream, as most here."""
    user, reason = _first(argument)
    await desk.client.remove_member(desk.view.current, user, reason)


async def ban(desk: Desk, argument: str) -> None:
    """`/ban USER [TIME] [REASON]`."""
    user, reason = _first(argument)
    length, rest = _first(reason)
    seconds = None
    if is_duration(length):
        seconds, reason = parse_duration(length), rest
    await desk.client.ban_member(desk.view.current, user, reason, seconds=seconds)
    how_long = f"for {say_duration(seconds)}" if seconds else "for good"
    await desk.note(f"{user.removeprefix('@')} is banned from {shown(desk.view.current.name)} {how_long}.")


async def unban(desk: Desk, argument: str) -> None:
    """`/unban USER`."""
    await desk.client.unban_member(desk.view.current, argument)
    await desk.note(f"{argument.removeprefix('@')} may come to {shown(desk.view.current.name)} again.")


async def show_bans(desk: Desk, argument: str) -> None:
    """`/bans`."""
    bans = await desk.client.bans(desk.view.current)
    names = await desk.client.handles(ban.moderator_id for ban, _ in bans)
    title = f"Banned from {shown(desk.view.current.name)}:" if bans else "Nobody is banned here."
    await desk.print_table(title, ban_lines(bans, names))


async def mute(desk: Desk, argument: str) -> None:
    """`/mute USER [TIME|off]`."""
    user, length = _first(argument)
    seconds = _MUTE
    if length:
        try:
            seconds = 0 if length == "off" else parse_duration(length)
        except ValueError as error:
            raise CommandError(str(error), Exit.REFUSED) from None
    await desk.client.mute_member(desk.view.current, user, seconds)
    how = f"cannot write in {{}} for {say_duration(seconds)}" if seconds else "may write in {} again"
    await desk.note(f"{user.removeprefix('@')} {how.format(shown(desk.view.current.name))}.")


async def set_role(desk: Desk, argument: str) -> None:
    """`/role USER owner|moderator|member`."""
    user, name = _first(argument)
    role = _ROLES.get(name.lower())
    if role is None:
        raise CommandError("write /role USER, and after it owner, moderator or member", Exit.REFUSED)
    await desk.client.set_member_role(desk.view.current, user, role)


async def report(desk: Desk, argument: str) -> None:
    """`/report SEQ|USER [REASON]`."""
    what, reason = _first(argument)
    channel = desk.view.current
    sequence = int(what) if what.isascii() and what.isdigit() else await _last_by(desk, what)
    made = await desk.client.report(channel, sequence, reason)
    await desk.note(f"Message {made.sequence} of {shown(channel.name)} is reported to those who keep order here.")


async def read_only(desk: Desk, argument: str) -> None:
    """`/readonly on|off`."""
    await desk.client.update_channel(desk.view.current, read_only=_on_or_off(argument, "/readonly"))


async def guests(desk: Desk, argument: str) -> None:
    """`/guests on|off`."""
    await desk.client.update_channel(desk.view.current, guests=_on_or_off(argument, "/guests"))


async def slow(desk: Desk, argument: str) -> None:
    """`/slow SECONDS|off`."""
    if argument == "off":
        seconds = 0
    elif argument.isascii() and argument.isdigit():
        seconds = int(argument)
    elif is_duration(argument):
        seconds = parse_duration(argument)
    else:
        raise CommandError("write /slow, and after it a number of seconds, or off", Exit.REFUSED)
    await desk.client.update_channel(desk.view.current, slow_mode=seconds)


async def _last_by(desk: Desk, who: str) -> int:
    """The sequence of the last thing that a user said in the current channel."""
    channel = desk.view.current
    user = await desk.client.user(who)
    recent = await desk.client.history(channel, limit=_RECENT)
    said = [m.sequence for m in recent if m.author_id == user.user_id and m.content is Content.TEXT]
    if not said:
        raise CommandError(f"{user.handle} has said nothing in {shown(channel.name)} lately", Exit.NOT_FOUND)
    return said[-1]


def _first(argument: str) -> tuple[str, str]:
    """The first word, and the rest."""
    first, _, rest = argument.partition(" ")
    return first, rest.strip()


def _on_or_off(argument: str, command: str) -> bool:
    try:
        return _SWITCH[argument.lower()]
    except KeyError:
        raise CommandError(f"write {command} on, or {command} off", Exit.REFUSED) from None
