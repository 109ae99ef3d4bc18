"""The channel that a command names."""

from __future__ import annotations

from madang.client.client import Client
from madang.core.models import Channel
from madang.terminal.exits import CommandError, Exit


async def room(client: Client, name: str, *, join: bool) -> Channel:
    """The channel of that name or id, of which the user is a member; `join`: become one first.

    Raises CommandError where the user is not a member, and ChannelNotFound.
    """
    info = await client.channel(name)
    if info.member is not None:
        return info.channel
    if not join:
        raise outside(info.channel.name)
    return await client.join(info.channel)


def outside(name: str) -> CommandError:
    """What to tell somebody who is not a member."""
    return CommandError(f"you are not in #{name}; the option --join joins it first", Exit.NOT_PERMITTED)
