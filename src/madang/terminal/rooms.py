"""The channel that a command names."""

from __future__ import annotations

from madang.client.client import Client
from madang.core.models import Channel
from madang.terminal.exits import CommandError, Exit
from madang.terminal.titles import named, people_of, shown


async def room(client: Client, name: str, *, join: bool) -> Channel:
    """The channel of that name or id, of which the user is a member; `join`: become one first. `@mina` and `@mina,jun`
    are the direct channels with these people. The channel has a name to show.

    Raises CommandError where the user is not a member, ChannelNotFound, and UserNotFound.
    """
    others = people_of(name)
    if others is not None:
        return with_name(client, await client.open_direct(*(f"@{handle}" for handle in others)))
    info = await client.channel(name)
    if info.member is not None:
        return with_name(client, info.channel)
    if not join:
        raise outside(info.channel.name)
    return await client.join(info.channel)


def with_name(client: Client, channel: Channel) -> Channel:
    """The channel with a name to show, also where it is a direct one."""
    return named(channel, client.me.user_id, lambda user_id: client.known_user(user_id).handle)


def outside(name: str) -> CommandError:
    """What to tell somebody who is not a member."""
    return CommandError(f"you are not in {shown(name)}; the option --join joins it first", Exit.NOT_PERMITTED)
